import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { DeleteTopics, Fetch, ListOffsets } from '../../src/protocol/index.ts'
import { batchOf, createTopic, type Fixture, fetch, produce, recordsIn, startFixture, stillServes } from './fixtures.ts'
import { RawClient } from './raw-client.ts'

let fixture: Fixture
let client: RawClient
let other: RawClient
let topicId: string
/** Size of each of the three batches in `three`. */
let batchBytes: number

beforeAll(async () => {
  fixture = await startFixture()
  client = fixture.client
  other = await RawClient.connect(fixture.bootstrap)
  topicId = await createTopic(client, 'three')
  const batch = batchOf(['a', 'b'])
  batchBytes = batch.length
  for (const values of [
    ['a', 'b'],
    ['c', 'd'],
    ['e', 'f'],
  ])
    await produce(client, 'three', batchOf(values))
})
afterAll(async () => {
  await other.close()
  await fixture.close()
})

describe('reading', () => {
  test.each([4, 5, 6, 7, 8, 9, 10, 11, 12])('version %i is served by name', async (version) => {
    const answer = await fetch(client, 'three', { version })
    expect(answer).toMatchObject({ errorCode: 0, highWatermark: 6, lastStableOffset: 6 })
    expect(recordsIn(answer.records)).toEqual(['0:a', '1:b', '2:c', '3:d', '4:e', '5:f'])
  })

  test.each([13, 14, 15, 16, 17, 18])('version %i is served by id', async (version) => {
    const answer = await fetch(client, '', { version, topicId, offset: 4 })
    expect(recordsIn(answer.records)).toEqual(['4:e', '5:f'])
    const unknown = await fetch(client, '', { version, topicId: 'MTIzNDU2Nzg5MDEyMzQ1Ng' })
    expect(unknown.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
  })

  test('from the middle of a batch gives the batch', async () => {
    expect(recordsIn((await fetch(client, 'three', { offset: 3 })).records)).toEqual(['2:c', '3:d', '4:e', '5:f'])
  })

  test('the first batch comes whole, whatever the limits', async () => {
    for (const limit of [{ partitionMaxBytes: 1 }, { maxBytes: 1 }, { partitionMaxBytes: 0, maxBytes: 0 }]) {
      const { records } = await fetch(client, 'three', { offset: 2, ...limit })
      expect(recordsIn(records).slice(0, 2)).toEqual(['2:c', '3:d'])
      expect(records!.length).toBeLessThan(2 * batchBytes)
    }
  })

  test('a session is begun when asked for, and one that is not there is not found', async () => {
    const topics = [{ topic: 'three', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 100 }] }]
    const create = await client.ask(Fetch, 12, { sessionId: 0, sessionEpoch: 0, topics })
    expect(create.errorCode).toBe(0)
    expect(create.sessionId).toBeGreaterThan(0)
    expect((await client.ask(Fetch, 12, { sessionId: 0, sessionEpoch: -1, topics })).sessionId).toBe(0)
    const go = await client.ask(Fetch, 12, { sessionId: 77, sessionEpoch: 3, topics })
    expect(go).toMatchObject({ errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND, responses: [] })
    expect(await client.ask(Fetch, 12, { sessionId: 77, sessionEpoch: -1, topics })).toMatchObject({ errorCode: 0 })
  })

  test('read_committed is told of no aborted transactions, read_uncommitted of null', async () => {
    const topics = [{ topic: 'three', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 100 }] }]
    for (const [isolationLevel, expected] of [
      [0, null],
      [1, []],
    ] as const) {
      const { responses } = await client.ask(Fetch, 11, { isolationLevel, topics })
      expect(responses[0]!.partitions[0]!.abortedTransactions).toEqual(expected)
    }
  })
})

describe('errors', () => {
  test('offsets outside the log', async () => {
    for (const offset of [7, -1, -2, 1e12]) {
      const answer = await fetch(client, 'three', { offset, maxWaitMs: 5000 })
      expect(answer).toMatchObject({ errorCode: ErrorCode.OFFSET_OUT_OF_RANGE, highWatermark: -1 })
      expect(answer.records).toHaveLength(0)
    }
  })

  test('unknown topics and partitions, at once', async () => {
    const wait = { maxWaitMs: 10000, minBytes: 1000000 }
    expect((await fetch(client, 'nope', wait)).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect((await fetch(client, 'three', { ...wait, partition: 1 })).errorCode).toBe(
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    )
  })

  test('leader epochs that are not the current one', async () => {
    expect((await fetch(client, 'three', { currentLeaderEpoch: 0 })).errorCode).toBe(ErrorCode.NONE)
    expect((await fetch(client, 'three', { currentLeaderEpoch: 1 })).errorCode).toBe(ErrorCode.UNKNOWN_LEADER_EPOCH)
  })

  test('followers', async () => {
    const topics = [{ topic: 'three', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 100 }] }]
    const { responses } = await client.ask(Fetch, 11, { replicaId: 2, topics })
    expect(responses[0]!.partitions[0]!.errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  })
})

describe('waiting', () => {
  test('ends when a record comes', async () => {
    await createTopic(client, 'awaited')
    const waiting = fetch(other, 'awaited', { maxWaitMs: 15000 })
    await expect.poll(() => fixture.broker.metrics().fetchesWaiting).toBe(1)
    await produce(client, 'awaited', batchOf(['x']))
    expect(recordsIn((await waiting).records)).toEqual(['0:x'])
    expect(fixture.broker.metrics().fetchesWaiting).toBe(0)
  })

  test('ends with what is there when the time is up', async () => {
    const answer = await fetch(client, 'three', { offset: 4, minBytes: 100000, maxWaitMs: 30 })
    expect(recordsIn(answer.records)).toEqual(['4:e', '5:f'])
    expect(await fetch(client, 'three', { offset: 6, maxWaitMs: 30 })).toMatchObject({ errorCode: 0, highWatermark: 6 })
  })

  test('goes on until enough bytes are there', async () => {
    await createTopic(client, 'enough')
    const waiting = fetch(other, 'enough', { maxWaitMs: 15000, minBytes: 3 * batchBytes })
    await produce(client, 'enough', batchOf(['a', 'b']))
    await produce(client, 'enough', batchOf(['c', 'd']))
    expect(fixture.broker.metrics().fetchesWaiting).toBe(1)
    await produce(client, 'enough', batchOf(['e', 'f']))
    expect(recordsIn((await waiting).records)).toHaveLength(6)
  })

  test('ends when the topic is deleted', async () => {
    await createTopic(client, 'doomed')
    const waiting = fetch(other, 'doomed', { maxWaitMs: 15000 })
    await expect.poll(() => fixture.broker.metrics().fetchesWaiting).toBe(1)
    await client.ask(DeleteTopics, 4, { topicNames: ['doomed'], timeoutMs: 1000 })
    expect((await waiting).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })

  test('is given up when the connection is lost', async () => {
    const leaver = await RawClient.connect(fixture.bootstrap)
    const waiting = fetch(leaver, 'three', { offset: 6, maxWaitMs: 10000 }).catch(() => 'gone')
    await expect.poll(() => fixture.broker.metrics().fetchesWaiting).toBe(1)
    leaver.socket.resetAndDestroy()
    expect(await waiting).toBe('gone')
    await expect.poll(() => fixture.broker.metrics().fetchesWaiting).toBe(0)
  })

  test('of many on one partition all are woken by one append', async () => {
    await createTopic(client, 'crowd')
    const clients = await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(fixture.bootstrap)))
    const waiting = clients.map((one) => fetch(one, 'crowd', { maxWaitMs: 15000 }))
    await expect.poll(() => fixture.broker.metrics().fetchesWaiting).toBe(100)
    await produce(client, 'crowd', batchOf(['x']))
    for (const answer of await Promise.all(waiting)) expect(recordsIn(answer.records)).toEqual(['0:x'])
    await Promise.all(clients.map((one) => one.close()))
  })
})

test('a full response leaves the next one to the partition that got nothing', async () => {
  await createTopic(client, 'fair', { numPartitions: 3 })
  for (const partition of [0, 1, 2]) await produce(client, 'fair', batchOf([`p${partition}`]), { partition })
  const partitions = [0, 1, 2].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1000 }))
  const served: string[][] = []
  for (let round = 0; round < 3; round++) {
    const { responses } = await client.ask(Fetch, 12, { maxBytes: 1, topics: [{ topic: 'fair', partitions }] })
    expect(responses[0]!.partitions.map((answer) => answer.partitionIndex)).toEqual([0, 1, 2])
    served.push(responses[0]!.partitions.flatMap((answer) => recordsIn(answer.records)))
  }
  expect(served).toEqual([['0:p0'], ['0:p1'], ['0:p2']])
})

test('a slow reader of much data gets every byte, while others are served', async () => {
  await createTopic(client, 'large')
  const values = Array.from({ length: 10 }, (_, i) => String(i).repeat(90000))
  for (let i = 0; i < 8; i++) await produce(client, 'large', batchOf(values))
  const slow = await RawClient.connect(fixture.bootstrap)
  slow.socket.pause()
  const answer = fetch(slow, 'large', { maxBytes: 1 << 24, partitionMaxBytes: 1 << 24 })
  await stillServes(client)
  slow.socket.resume()
  const records = recordsIn((await answer).records)
  expect(records).toHaveLength(80)
  expect(records[79]).toBe(`79:${values[9]}`)
  await slow.close()
})

describe('list offsets', () => {
  const ask = async (timestamp: number, version = 9, more: object = {}) => {
    const { topics } = await client.ask(ListOffsets, version, {
      replicaId: -1,
      topics: [{ name: 'times', partitions: [{ partitionIndex: 0, timestamp, ...more }] }],
    })
    return topics[0]!.partitions[0]!
  }
  beforeAll(async () => {
    await createTopic(client, 'times')
    for (const timestamp of [1000, 3000, 2000]) await produce(client, 'times', batchOf(['x'], { timestamp }))
  })

  test('named times', async () => {
    expect(await ask(-1)).toMatchObject({ errorCode: 0, offset: 3, timestamp: -1, leaderEpoch: 0 })
    expect(await ask(-2)).toMatchObject({ errorCode: 0, offset: 0, timestamp: -1 })
    expect(await ask(-3)).toMatchObject({ errorCode: 0, offset: 1, timestamp: 3000 })
    expect(await ask(-4)).toMatchObject({ errorCode: 0, offset: 0 })
    expect(await ask(-5)).toMatchObject({ errorCode: 0, offset: -1, timestamp: -1, leaderEpoch: -1 })
  })

  test('a point in time', async () => {
    expect(await ask(0, 1)).toMatchObject({ offset: 0, timestamp: 1000 })
    expect(await ask(1001, 4)).toMatchObject({ offset: 1, timestamp: 3000, leaderEpoch: 0 })
    expect(await ask(3001)).toMatchObject({ errorCode: 0, offset: -1, timestamp: -1 })
  })

  test('named times that the version does not have', async () => {
    for (const [timestamp, version] of [
      [-3, 6],
      [-4, 7],
      [-5, 8],
      [-6, 10],
      [-99, 10],
    ] as const) {
      expect((await ask(timestamp, version)).errorCode).toBe(ErrorCode.UNSUPPORTED_VERSION)
    }
  })

  test('errors', async () => {
    expect((await ask(-1, 9, { partitionIndex: 1 })).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect((await ask(-1, 9, { currentLeaderEpoch: 3 })).errorCode).toBe(ErrorCode.UNKNOWN_LEADER_EPOCH)
    const partitions = [0, 0].map((partitionIndex) => ({ partitionIndex, timestamp: -1 }))
    const { topics } = await client.ask(ListOffsets, 5, { replicaId: -1, topics: [{ name: 'times', partitions }] })
    expect(topics[0]!.partitions.map((answer) => answer.errorCode)).toEqual([42, 42])
  })
})
