/** The metadata server by its wire: what it answers to what no client of ours sends. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { nodeEnv } from '../../src/env/index.ts'
import { EtcdMetadata } from '../../src/metadata/etcd.ts'
import type { EmbeddedMetadata } from '../../src/metadata/index.ts'
import { MetadataServer } from '../../src/metadata/metadata-server.ts'
import { patience, Seen } from './conformance.ts'
import { embedded, put, type StoreUnderTest } from './stores.ts'

const { clock, disk } = nodeEnv()
let directory: string
let socketPath: string
let inner: StoreUnderTest
let server: MetadataServer

const serve = (store = inner) =>
  MetadataServer.listen({ store: store.store as EmbeddedMetadata, clock, disk, listen: { socketPath } })

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-server-'))
  socketPath = join(directory, 's')
  inner = await embedded()
  server = await serve()
})
afterEach(async () => {
  await server.close()
  await inner.close()
  await rm(directory, { recursive: true, force: true })
})

function ask(path: string, body?: string): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path, method: body === undefined ? 'GET' : 'POST' }, (response) => {
      let text = ''
      response.on('data', (part) => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode!, body: JSON.parse(text) }))
    })
    asking.on('error', reject)
    asking.end(body)
  })
}

describe('requests', () => {
  test('that are no JSON, no objects or too large are refused, and the next is served', async () => {
    for (const body of ['', '{', '7', 'null', '"x"', `{"key":"${'x'.repeat(5_000_000)}"}`]) {
      expect(await ask('/v3/kv/range', body)).toMatchObject({ status: 400, body: { code: 3 } })
    }
    expect(await ask('/v3/kv/range', '{"key":"YQ=="}')).toEqual({ status: 200, body: { header: { revision: '0' } } })
  })

  test('with fields of another kind are refused, and change nothing', async () => {
    const bodies = [
      '{"compare":7}',
      '{"success":[null]}',
      '{"success":[{"request_put":{"key":7}}]}',
      '{"compare":[null]}',
    ]
    for (const body of bodies) expect((await ask('/v3/kv/txn', body)).status).toBe(400)
    expect((await inner.store.range('')).revision).toBe(0)
  })

  test('for what is not served say so', async () => {
    expect(await ask('/v3/maintenance/defragment', '{}')).toMatchObject({ status: 501, body: { code: 12 } })
    expect(await ask('/v3/kv/range')).toMatchObject({ status: 400 })
    const between = { key: 'YQ==', range_end: 'eg==' }
    expect(await ask('/v3/kv/range', JSON.stringify(between))).toMatchObject({ status: 501 })
    const failure = { success: [], failure: [{}], compare: [{ target: 'LEASE', key: 'YQ==' }] }
    expect(await ask('/v3/kv/txn', JSON.stringify(failure))).toMatchObject({ status: 501 })
    expect(await ask('/v3/watch', JSON.stringify({ create_request: between }))).toMatchObject({ status: 501 })
  })

  test('say what they speak', async () => {
    expect(await ask('/version')).toMatchObject({ status: 200, body: { etcdserver: expect.stringMatching(/^3\.6\./) } })
  })
})

describe('the socket', () => {
  test('that an earlier process left behind is replaced', async () => {
    await server.close()
    await writeFile(socketPath, '')
    server = await serve()
    expect((await ask('/version')).status).toBe(200)
  })

  test('whose path is too long is refused in words', async () => {
    const listen = { socketPath: `/tmp/${'x'.repeat(120)}` }
    const opening = MetadataServer.listen({ store: inner.store as EmbeddedMetadata, clock, disk, listen })
    await expect(opening).rejects.toMatchObject({ code: 'PAGELOG_INVALID_ARGUMENT' })
    await expect(opening).rejects.toThrow(/at most 103 bytes/)
  })

  test('on a port that is taken is refused', async () => {
    const options = { store: inner.store as EmbeddedMetadata, clock, disk }
    const first = await MetadataServer.listen({ ...options, listen: { host: '127.0.0.1', port: 0 } })
    await expect(MetadataServer.listen({ ...options, listen: first.endpoint })).rejects.toMatchObject({
      code: 'PAGELOG_INVALID_ARGUMENT',
    })
    await first.close()
  })

  test('is closed with whoever is connected', async () => {
    const idle = connect(socketPath)
    const ended = new Promise((resolve) => idle.on('close', resolve))
    await new Promise((resolve) => idle.on('connect', resolve))
    const client = await EtcdMetadata.open({ clock, endpoints: [{ socketPath }], root: '' })
    const seen = new Seen(client, '', 1)
    await inner.store.transact([], [put('a', '1')])
    await seen.saw('put a=1')
    await server.close()
    await ended
    await client.close()
  })
})

describe('a client', () => {
  test('goes on with another server on the same store, leases and all', async () => {
    const client = await EtcdMetadata.open({ clock, endpoints: [{ socketPath }], root: '' })
    const { id } = await client.grantLease(5000)
    await client.transact([], [put('a', '1', id)])
    const seen = new Seen(client, '', 1)
    await seen.saw('put a=1')
    await server.close()
    server = await serve()
    await vi.waitFor(async () => expect(await client.keepAlive(id)).toBe(5000), patience)
    await inner.store.transact([], [put('b', '2')])
    await seen.saw('put a=1', 'put b=2')
    await client.close()
  })

  test('of a store that was put back to an older state is told so', async () => {
    for (let i = 0; i < 10; i++) await inner.store.transact([], [put('a', String(i))])
    const client = await EtcdMetadata.open({ clock, endpoints: [{ socketPath }], root: '' })
    const seen = new Seen(client, '', 11)
    await server.close()
    const older = await embedded()
    await older.store.transact([], [put('a', '0')])
    server = await serve(older)
    await vi.waitFor(() => expect(seen.losses).toEqual(['went-back']), patience)
    await client.close()
    await older.close()
  })

  test('that does not read is cut off, and the store does not wait for it', async () => {
    const stalled = request({ socketPath, path: '/v3/watch', method: 'POST' })
    const answered = new Promise<IncomingMessage>((resolve) => stalled.on('response', resolve))
    stalled.on('error', () => {})
    stalled.end(JSON.stringify({ create_request: { key: 'AA==', range_end: 'AA==' } }))
    const response = await answered
    response.on('error', () => {})
    const closed = new Promise((resolve) => response.on('close', resolve))
    const value = 'x'.repeat(1_000_000)
    // The socket takes some, the server keeps 16 MiB, and then it is enough.
    for (let i = 0; i < 40; i++) await inner.store.transact([], [put('a', value)])
    response.resume()
    await closed
    expect(response.complete).toBe(false)
    expect((await inner.store.get('a')).pair?.version).toBe(40)
  })
})
