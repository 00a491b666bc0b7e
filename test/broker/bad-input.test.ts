/** What a client can do wrong on the wire: an error or a closed connection, one log line, nobody else disturbed. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ApiVersions, Fetch, ListOffsets, Metadata, Produce } from '../../src/protocol/index.ts'
import {
  batchOf,
  createTopic,
  endOffset,
  type Fixture,
  fetch,
  produce,
  recordsIn,
  startFixture,
  stillServes,
} from './fixtures.ts'
import { RawClient } from './raw-client.ts'

let fixture: Fixture
let client: RawClient
let offender: RawClient
beforeAll(async () => {
  fixture = await startFixture({ settings: { socketRequestMaxBytes: 100000 } })
  client = fixture.client
  await createTopic(client, 'topic')
  await produce(client, 'topic', batchOf(['kept']))
})
afterAll(() => fixture.close())
beforeEach(async () => {
  fixture.logger.take()
  offender = await RawClient.connect(fixture.bootstrap)
})

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** A frame with its length, around any bytes. */
const framed = (...bytes: Uint8Array[]): Buffer => {
  const content = Buffer.concat(bytes)
  return Buffer.concat([int32(content.length), content])
}

const header = (key: number, version: number): Buffer => {
  const bytes = Buffer.alloc(10)
  bytes.writeInt16BE(key, 0)
  bytes.writeInt16BE(version, 2)
  bytes.writeInt32BE(7, 4)
  bytes.writeInt16BE(-1, 8)
  return bytes
}

async function expectClosedWithOneLine(): Promise<void> {
  await offender.closed
  await expect.poll(() => fixture.logger.lines).toMatchObject([{ level: 'warn', message: 'closed a connection' }])
  await stillServes(client)
  expect(fixture.logger.lines).toHaveLength(1)
  expect(recordsIn((await fetch(client, 'topic')).records)).toEqual(['0:kept'])
}

const manyTopics = Buffer.concat([header(3, 1), int32(2000000000)])
const cases: [string, () => Buffer][] = [
  ['a frame longer than socket.request.max.bytes', () => int32(100001)],
  ['the longest frame there is', () => int32(2147483647)],
  ['a negative length', () => int32(-5)],
  ['the length 0', () => int32(0)],
  ['a length that leaves no room for a header', () => framed(Buffer.alloc(5))],
  ['an unknown API', () => framed(header(999, 0), Buffer.alloc(20))],
  ['a negative API', () => framed(header(-1, 0))],
  ['an API that is not served', () => framed(header(11, 5), Buffer.alloc(20))],
  ['an unknown version', () => framed(header(3, 14), Buffer.alloc(20))],
  ['a negative version', () => framed(header(3, -1), Buffer.alloc(20))],
  ['Produce version 2, which is advertised', () => framed(header(0, 2), Buffer.alloc(20))],
  ['an array longer than the frame', () => framed(manyTopics)],
  ['a negative array length', () => framed(header(3, 0), int32(-7))],
  ['bytes behind the body', () => framed(header(3, 1), int32(0), Buffer.from([1]))],
  ['a client id longer than the frame', () => framed(header(3, 1).subarray(0, 8), Buffer.from([0x7f, 0xff]))],
  ['text of another protocol', () => Buffer.from('GET / HTTP/1.1\r\nHost: example\r\n\r\n')],
]

describe('closes the connection', () => {
  test.each(cases)('for %s', async (_what, bytes) => {
    offender.send(bytes())
    await expectClosedWithOneLine()
  })

  test('for a request cut off at any byte of its body', async () => {
    const request = offender.encode(Produce, 9, {
      acks: 1,
      topicData: [{ name: 'topic', partitionData: [{ index: 0, records: batchOf(['refused']) }] }],
    })
    for (let length = 14; length < request.length - 1; length += 3) {
      fixture.logger.take()
      offender = await RawClient.connect(fixture.bootstrap)
      offender.send(framed(request.subarray(4, length)))
      await expectClosedWithOneLine()
    }
  })

  test('for a stream that ends within a frame', async () => {
    const request = offender.encode(Metadata, 9, { topics: null })
    offender.socket.end(request.subarray(0, request.length - 1))
    await expectClosedWithOneLine()
  })
})

test('requests before a bad one are answered before the connection closes', async () => {
  const good = Array.from({ length: 3 }, () => offender.encode(ListOffsets, 1, { replicaId: -1, topics: [] }))
  const wait = offender.encode(Fetch, 11, {
    maxWaitMs: 50,
    minBytes: 1000000,
    maxBytes: 1000,
    sessionEpoch: -1,
    topics: [{ topic: 'topic', partitions: [{ partition: 0, fetchOffset: 1, partitionMaxBytes: 1000 }] }],
  })
  offender.send(Buffer.concat([...good, wait, framed(header(999, 0)), ...good]))
  await expectClosedWithOneLine()
  expect(offender.answered).toEqual([1, 2, 3, 4])
})

describe('memory', () => {
  test('an announced length costs nothing until the bytes come', async () => {
    const before = process.memoryUsage().rss
    const clients = await Promise.all(Array.from({ length: 300 }, () => RawClient.connect(fixture.bootstrap)))
    for (const one of clients) one.send(Buffer.concat([int32(100000), Buffer.alloc(10)]))
    await stillServes(client)
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024)
    await Promise.all(clients.map((one) => one.close()))
  })
})

describe('limits', () => {
  test('connections beyond max.connections are closed, earlier ones live', async () => {
    const small = await startFixture({ settings: { maxConnections: 2 } })
    const second = await RawClient.connect(small.bootstrap)
    await stillServes(second)
    const third = await RawClient.connect(small.bootstrap)
    await third.closed
    expect(small.logger.take()).toMatchObject([{ fields: { limit: 'max.connections' } }])
    await second.close()
    await expect.poll(() => small.broker.metrics().connections).toBe(1)
    const fourth = await RawClient.connect(small.bootstrap)
    await stillServes(fourth)
    await fourth.close()
    await small.close()
  })

  test('a client that asks on and on and never reads is closed when its time is up', async () => {
    const eager = await startFixture({ settings: { connectionsMaxIdleMs: 300, connectionOutboxMaxBytes: 1024 } })
    await createTopic(eager.client, 'topic')
    await produce(eager.client, 'topic', batchOf(['x'.repeat(1_000_000)]))
    const deaf = await RawClient.connect(eager.bootstrap)
    deaf.socket.pause()
    const topics = [{ topic: 'topic', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_100_000 }] }]
    for (let i = 0; i < 50; i++) {
      deaf.send(deaf.encode(Fetch, 11, { maxWaitMs: 0, minBytes: 1, maxBytes: 1_100_000, sessionEpoch: -1, topics }))
    }
    await expect.poll(() => eager.broker.metrics().connectionsIdleClosed, { timeout: 5_000 }).toBeGreaterThan(0)
    expect(eager.broker.metrics().fetchResponses).toBeLessThan(50)
    await deaf.close()
    await eager.close()
  })

  test('idle connections are closed, those that wait for a fetch are not', async () => {
    const eager = await startFixture({ settings: { connectionsMaxIdleMs: 200 } })
    await createTopic(eager.client, 'topic')
    const idle = await RawClient.connect(eager.bootstrap)
    const waiting = fetch(eager.client, 'topic', { maxWaitMs: 10000 })
    await idle.closed
    expect((await waiting).errorCode).toBe(0)
    expect(eager.broker.metrics().connectionsIdleClosed).toBe(1)
    await eager.close()
  })
})

describe('other connections', () => {
  test('keep their answers while a thousand bad requests come in, and the log stays short', async () => {
    const bad = framed(header(999, 0))
    const offend = async (): Promise<void> => {
      for (let i = 0; i < 25; i++) {
        const one = await RawClient.connect(fixture.bootstrap)
        one.send(bad)
        await one.closed
      }
    }
    const offenders = Array.from({ length: 40 }, offend)
    for (let i = 0; i < 20; i++) await stillServes(client)
    await Promise.all(offenders)
    const { requestsMalformed, refusalLinesSuppressed } = fixture.broker.metrics()
    expect(requestsMalformed).toBeGreaterThanOrEqual(1000)
    expect(fixture.logger.lines.length + refusalLinesSuppressed).toBeGreaterThanOrEqual(1000)
    expect(fixture.logger.lines.length).toBeLessThan(900)
    await offender.close()
  })

  test('one connection may ask many things at once and gets its answers in order', async () => {
    const asks = Array.from({ length: 200 }, async (_, i) => {
      if (i % 4 === 0) await fetch(offender, 'topic', { offset: 1, maxWaitMs: 1 })
      else if (i % 4 === 1)
        await offender.ask(ListOffsets, 5, {
          replicaId: -1,
          topics: [{ name: 'topic', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
        })
      else if (i % 4 === 2) await offender.ask(ApiVersions, 0, {})
      else await offender.ask(Fetch, 4, { maxWaitMs: 0, topics: [] })
    })
    await Promise.all(asks)
    expect(offender.answered).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
    await offender.close()
  })
})

test('nothing refused is stored', async () => {
  expect(await endOffset(client, 'topic')).toBe(1)
})
