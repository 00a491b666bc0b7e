/** What the client makes of servers that are not what it wants: stand-ins that answer as such servers do. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { nodeEnv } from '../../src/env/index.ts'
import { EtcdMetadata } from '../../src/metadata/etcd.ts'

const { clock } = nodeEnv()
const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

async function standIn(answer: RequestListener): Promise<{ host: string; port: number }> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

const version = (etcdserver: string, rest = '{"header":{"cluster_id":"1","revision":"5"}}'): RequestListener => {
  return (request, response) => {
    response.end(request.url === '/version' ? JSON.stringify({ etcdserver, etcdcluster: etcdserver }) : rest)
  }
}

test('etcd 3.4 and older is refused with the reason in one line', async () => {
  for (const old of ['3.4.30', '3.3.25', '2.3.8']) {
    const endpoint = await standIn(version(old))
    const opening = EtcdMetadata.open({ clock, endpoints: [endpoint] })
    await expect(opening).rejects.toMatchObject({ code: 'PAGELOG_UNSUPPORTED' })
    await expect(opening).rejects.toThrow(
      new RegExp(
        `^etcd ${old} at 127.0.0.1:${endpoint.port} is too old .its watches can drop events around a compaction.: 3.5 or newer is needed$`,
      ),
    )
  }
})

test('a member that is too old is refused too when it is come to later', async () => {
  const good = await standIn(version('3.6.1'))
  const store = await EtcdMetadata.open({ clock, endpoints: [good, await standIn(version('3.4.30'))] })
  servers[0]!.closeAllConnections()
  servers[0]!.close()
  await expect(store.get('a')).rejects.toMatchObject({ code: 'PAGELOG_UNSUPPORTED' })
  await store.close()
})

test('early releases of 3.5 are used with a warning', async () => {
  const lines: string[] = []
  const log = (_: object, message: string): void => void lines.push(message)
  const logger = { debug: log, info: log, warn: log, error: log, fatal: log, trace: log }
  for (const release of ['3.5.0', '3.5.17', '3.5.18', '3.6.0']) {
    lines.length = 0
    const store = await EtcdMetadata.open({ clock, logger, endpoints: [await standIn(version(release))] })
    expect(lines).toHaveLength(release === '3.5.0' || release === '3.5.17' ? 1 : 0)
    await store.close()
  }
})

test('what is no etcd is refused', async () => {
  const pages: RequestListener[] = [
    (_, response) => response.end('<html>'),
    (_, response) => response.writeHead(404).end('{}'),
    version('three'),
  ]
  for (const page of pages) {
    const opening = EtcdMetadata.open({ clock, endpoints: [await standIn(page)] })
    await expect(opening).rejects.toMatchObject({ code: 'PAGELOG_UNSUPPORTED' })
  }
})

test('an etcd that answers without sense is as one that does not answer', async () => {
  const endpoint = await standIn(version('3.6.1', 'no JSON'))
  await expect(EtcdMetadata.open({ clock, endpoints: [endpoint] })).rejects.toMatchObject({
    code: 'PAGELOG_METADATA_UNREACHABLE',
  })
})

test('members of two clusters are not mixed', async () => {
  const one = await standIn(version('3.6.1'))
  const two = await standIn(version('3.6.1', '{"header":{"cluster_id":"2","revision":"5"}}'))
  const store = await EtcdMetadata.open({ clock, endpoints: [one, two] })
  servers[0]!.closeAllConnections()
  servers[0]!.close()
  await expect(store.get('a')).rejects.toMatchObject({ code: 'PAGELOG_INVALID_SETTING' })
  await expect(store.get('a')).rejects.toThrow(/belongs to another etcd cluster/)
  await store.close()
})

test('a certificate that is none is said in one line', async () => {
  for (const tls of [{ ca: 'no PEM', cert: 'no PEM', key: 'no PEM' }, { cert: 'x' }]) {
    const opening = EtcdMetadata.open({ clock, endpoints: [{ host: '127.0.0.1', port: 1 }], tls })
    await expect(opening).rejects.toMatchObject({ code: 'PAGELOG_METADATA_UNREACHABLE' })
    await expect(opening).rejects.toThrow(/^no metadata server answers \(127\.0\.0\.1:1: [^\n]+\)$/)
  }
})
