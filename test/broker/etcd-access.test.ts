import { beforeEach, describe, expect, test } from 'vitest'
import { checkEtcdAccess, type EtcdAccess } from '../../src/broker/etcd-access.ts'
import { Lines } from './fixtures.ts'

let logger: Lines
beforeEach(() => {
  logger = new Lines()
})

const open = { metadataCa: '', metadataCertificate: '', etcdRequireAuth: false }
const far = [
  { host: '127.0.0.1', port: 2379 },
  { host: '10.0.0.7', port: 2379 },
]
const near = ['127.0.0.1', '127.8.0.1', '::1', 'localhost'].map((host) => ({ host, port: 2379 }))

function check(
  access: Partial<Omit<EtcdAccess, 'settings'>>,
  settings: Partial<EtcdAccess['settings']> = {},
): string[] {
  checkEtcdAccess({ endpoints: far, isUserKnown: false, logger, ...access, settings: { ...open, ...settings } })
  return logger.lines.map(({ level, message }) => `${level} ${message}`)
}

describe('an etcd in a network', () => {
  test('that asks for nothing is warned of, also one that is reached by TLS', () => {
    expect(check({})).toEqual([expect.stringMatching(/^warn etcd lets everybody in/)])
    expect(logger.take()[0]!.fields).toEqual({ etcd: '127.0.0.1:2379,10.0.0.7:2379' })
    expect(check({}, { metadataCa: 'ca.pem' })).toHaveLength(1)
  })

  test('that gets a password in the clear is warned of', () => {
    expect(check({ isUserKnown: true })).toEqual([expect.stringMatching(/^warn the password for etcd goes over/)])
  })

  test('with TLS and a password or a certificate is not', () => {
    expect(check({ isUserKnown: true }, { metadataCa: 'ca.pem' })).toEqual([])
    expect(check({}, { metadataCertificate: 'broker.pem' })).toEqual([])
  })
})

test('an etcd on loopback, and the socket of a supervisor, are not warned of', () => {
  expect(check({ endpoints: near })).toEqual([])
  expect(check({ endpoints: [{ socketPath: '/data/metadata.sock' }] }, { etcdRequireAuth: true })).toEqual([])
})

describe('pagelog.etcd.require.auth', () => {
  const required = { etcdRequireAuth: true }

  test.each([
    ['in a network', far],
    ['on loopback', near],
  ])('refuses an etcd that asks for nothing, %s', (_, endpoints) => {
    const refusal = {
      code: 'PAGELOG_INVALID_SETTING',
      message: expect.stringMatching(/^etcd at .*require\.auth/) as string,
    }
    expect(() => check({ endpoints }, required)).toThrow(expect.objectContaining(refusal) as Error)
    expect(() => check({ endpoints }, { ...required, metadataCa: 'ca.pem' })).toThrow('lets everybody in')
  })

  test('takes one that knows the user, or is shown a certificate', () => {
    check({ isUserKnown: true }, required)
    check({}, { ...required, metadataCertificate: 'broker.pem' })
  })
})
