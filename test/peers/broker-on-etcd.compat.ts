/** `pagelog broker` on a real etcd that asks who it is: by certificates on both sides and by a password. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { Child } from '../../bench/process/children.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { EtcdMetadata } from '../../src/metadata/etcd.ts'
import { batchOf, createTopic, fetch, produce, recordsIn } from '../broker/fixtures.ts'
import { RawClient } from '../broker/raw-client.ts'
import { type Certificates, makeCertificates } from './certificates.ts'
import { TestEtcd } from './etcd.ts'
import { etcdProgram } from './etcd-program.ts'
import { BROKER_PASSWORD, BROKER_USER, etcdUsers } from './etcd-users.ts'

const launcher = fileURLToPath(new URL('../../bin/pagelog.cjs', import.meta.url))
const undo: (() => unknown)[] = []
// It may have to be built first, which takes longer than a test may.
beforeAll(() => etcdProgram())
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pagelog-secured-'))
  undo.push(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function argumentsFor(etcd: TestEtcd, directory: string, overrides: Readonly<Record<string, string>>): string[] {
  const { host, port } = etcd.endpoints[0]!
  const metadata = ['--metadata', `etcd://${host}:${port}`, '--override', 'pagelog.etcd.require.auth=true']
  const given = Object.entries(overrides).flatMap(([name, value]) => ['--override', `${name}=${value}`])
  return [launcher, 'broker', '--port', '0', '--data-dir', directory, ...metadata, ...given]
}

/** A broker that must not start: what it says, all of it. */
function refusal(args: readonly string[], password = ''): Promise<{ status: unknown; lines: string[] }> {
  const env = { ...process.env, PAGELOG_METADATA_PASSWORD: password }
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: 60_000, env }, (error, output, errors) => {
      resolve({ status: error?.code ?? 0, lines: `${output}${errors}`.trim().split('\n') })
    })
  })
}

async function serve(args: readonly string[], password: string): Promise<RawClient> {
  let heard = ''
  const broker = new Child('pagelog', {
    command: process.execPath,
    args,
    env: { PAGELOG_METADATA_PASSWORD: password },
    onLine: (line) => {
      heard ||= /listening on (\S+),/.exec(line)?.[1] ?? ''
      listening()
    },
  })
  undo.push(() => broker.end())
  let listening = (): void => {}
  const listens = new Promise<void>((resolve) => {
    listening = resolve
  })
  await Promise.race([listens, broker.failure()])
  const client = await RawClient.connect(heard)
  undo.push(() => client.close())
  return client
}

const tlsOf = (files: Certificates): Record<string, string> => ({
  'pagelog.metadata.ca': files.ca,
  'pagelog.metadata.certificate': files.client.cert,
  'pagelog.metadata.key': files.client.key,
})

test('with certificates and a password a broker serves, and nobody else gets in', { timeout: 240_000 }, async () => {
  const files = await makeCertificates()
  undo.push(() => files.remove())
  const etcd = await TestEtcd.start({ tls: files })
  undo.push(() => etcd.close())
  await (await etcdUsers(etcd, files)).enable()
  const user = { 'pagelog.metadata.user': BROKER_USER }
  const client = await serve(argumentsFor(etcd, folder(), { ...tlsOf(files), ...user }), BROKER_PASSWORD)
  await createTopic(client, 'events')
  expect((await produce(client, 'events', batchOf(['a']))).errorCode).toBe(0)
  expect(recordsIn((await fetch(client, 'events')).records)).toEqual(['0:a'])
  const read = (path: string): string => readFileSync(path, 'utf8')
  const store = await EtcdMetadata.open({
    clock: nodeEnv().clock,
    endpoints: etcd.endpoints,
    tls: { ca: read(files.ca), cert: read(files.client.cert), key: read(files.client.key) },
    user: BROKER_USER,
    password: BROKER_PASSWORD,
  })
  undo.push(() => store.close())
  expect((await store.get('brokers/1')).pair).toBeDefined()
  const withoutUser = { ...tlsOf(files), 'node.id': '2' }
  const { 'pagelog.metadata.certificate': _, 'pagelog.metadata.key': __, ...withoutCertificate } = tlsOf(files)
  for (const [overrides, password, words] of [
    [{ ...withoutUser, ...user }, 'wrong', /refuses this user/],
    // etcd takes the certificate for one of a user without a name.
    [withoutUser, '', /refuses this user.*permission denied/],
    [{ ...withoutCertificate, ...user, 'node.id': '2' }, BROKER_PASSWORD, /etcd/],
    [{ ...withoutUser, 'pagelog.metadata.ca': join(folder(), 'none.pem') }, '', /none\.pem for etcd is not there/],
  ] as const) {
    const directory = folder()
    expect(await refusal(argumentsFor(etcd, directory, overrides), password)).toEqual({
      status: 1,
      lines: [expect.stringMatching(words)],
    })
    expect(readdirSync(directory).filter((name) => !name.includes('.lock'))).toEqual([])
  }
})

test('an etcd that asks for nothing is refused where that is required', { timeout: 240_000 }, async () => {
  const etcd = await TestEtcd.start()
  undo.push(() => etcd.close())
  // One whose user etcd would not have asked for is no better than none.
  for (const overrides of [{}, { 'pagelog.metadata.user': BROKER_USER }]) {
    const { status, lines } = await refusal(argumentsFor(etcd, folder(), overrides), BROKER_PASSWORD)
    expect(status).toBe(1)
    const words = /^pagelog: etcd at 127\.0\.0\.1:\d+ lets everybody in who reaches it/
    expect(lines.filter((line) => line.startsWith('pagelog: '))).toEqual([expect.stringMatching(words)])
  }
})
