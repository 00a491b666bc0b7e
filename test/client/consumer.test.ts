import { afterEach, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { type ConsumedBatch, Consumer, type ConsumerOptions, type StartingPoint } from '../../src/client/index.ts'
import { Fetch, type FetchRequest, ListOffsets, Metadata } from '../../src/protocol/index.ts'
import { waitFor } from '../wait-for.ts'
import { batchWith, type Compression, compressedBatch, markerBatch } from './batches.ts'
import { FakeBroker } from './fake-broker.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function brokerWith(partitions: number, nodes = 1): Promise<FakeBroker> {
  const broker = await FakeBroker.start(nodes)
  broker.addTopic('t', partitions)
  closers.push(() => broker.close())
  return broker
}

function consumerOf(broker: FakeBroker, options: Partial<ConsumerOptions> = {}): Consumer {
  const quick = { retryBackoffMs: 5, retryBackoffMaxMs: 20, reconnectBackoffMs: 5, reconnectBackoffMaxMs: 20 }
  const consumer = new Consumer({ bootstrap: broker.bootstrap, fetchMaxWaitMs: 50, ...quick, ...options })
  closers.push(() => consumer.close())
  return consumer
}

function reading(
  broker: FakeBroker,
  offset: StartingPoint | undefined,
  options: Partial<ConsumerOptions> = {},
): Consumer {
  const consumer = consumerOf(broker, options)
  consumer.assign([{ topic: 't', partition: 0, offset }])
  return consumer
}

const text = (bytes: Uint8Array | null): string => new TextDecoder().decode(bytes ?? undefined)
const valuesOf = (batch: ConsumedBatch | undefined): string[] => [...(batch ?? [])].map(({ value }) => text(value))

/** Values of the next batches until `count` records are there. */
async function take(consumer: Consumer, count: number): Promise<string[]> {
  const values: string[] = []
  while (values.length < count) values.push(...valuesOf(await consumer.nextBatch()))
  return values
}

describe('batches', () => {
  test('come in order, with their offsets', async () => {
    const broker = await brokerWith(1)
    broker.append('t', 0, batchWith(['a', 'b']))
    broker.append('t', 0, batchWith(['c']))
    const consumer = reading(broker, 'beginning')
    const first = (await consumer.nextBatch())!
    expect([first.topic, first.partition, first.firstOffset, first.lastOffset, first.recordCount]).toEqual([
      't',
      0,
      0,
      1,
      2,
    ])
    expect(first.highWatermark).toBe(3)
    expect(consumer.position('t', 0)).toBe(2)
    const second = (await consumer.nextBatch())!
    expect([...second].map(({ offset, value }) => [offset, text(value)])).toEqual([[2, 'c']])
    expect(valuesOf(first)).toEqual(['a', 'b'])
  })

  test('a waiting consumer gets a batch as soon as it is appended', async () => {
    const broker = await brokerWith(1)
    const consumer = reading(broker, 'end', { fetchMaxWaitMs: 10_000 })
    const waiting = consumer.nextBatch()
    await waitFor(() => expect(broker.callsOf(Fetch)).toHaveLength(1))
    broker.append('t', 0, batchWith(['now']))
    expect(valuesOf(await waiting)).toEqual(['now'])
  })

  test('the next fetch is under way while a batch is worked on, but only so far ahead', async () => {
    const broker = await brokerWith(1)
    for (let batch = 0; batch < 6; batch++) broker.append('t', 0, batchWith(['x'.repeat(500)]))
    const consumer = reading(broker, 0, { maxPartitionFetchBytes: 1_000, prefetchBytes: 1_500 })
    await consumer.nextBatch()
    await waitFor(() => expect(broker.callsOf(Fetch)).toHaveLength(3))
    expect(await take(consumer, 5)).toHaveLength(5)
  })

  test('every partition gets its turn', async () => {
    const broker = await brokerWith(3, 2)
    for (let partition = 0; partition < 3; partition++) {
      for (let batch = 0; batch < 5; batch++) broker.append('t', partition, batchWith([`${partition}`]))
    }
    const consumer = consumerOf(broker)
    consumer.assign([0, 1, 2].map((partition) => ({ topic: 't', partition, offset: 'beginning' })))
    expect((await take(consumer, 15)).sort().join('')).toBe('000001111122222')
  })

  test('records before the wanted offset are left out of the first batch', async () => {
    const broker = await brokerWith(1)
    broker.append('t', 0, batchWith(['a', 'b', 'c', 'd']))
    const batch = (await reading(broker, 2).nextBatch())!
    expect([batch.firstOffset, batch.recordCount, batch.lastOffset]).toEqual([2, 2, 3])
    const cursor = batch.cursor()
    const offsets: number[] = []
    while (cursor.next()) offsets.push(cursor.offset)
    expect(offsets).toEqual([2, 3])
    expect(cursor.next()).toBe(false)
    expect(valuesOf(batch)).toEqual(['c', 'd'])
  })

  test('a cursor is used again for batch after batch', async () => {
    const broker = await brokerWith(1)
    for (const value of ['a', 'b', 'c']) broker.append('t', 0, batchWith([value]))
    const consumer = reading(broker, 0, { reuseBuffers: true })
    let cursor = (await consumer.nextBatch())!.cursor()
    const first = cursor
    const seen: string[] = []
    for (let batch = 0; batch < 3; batch++) {
      while (cursor.next()) seen.push(text(cursor.value()))
      if (batch < 2) cursor = (await consumer.nextBatch())!.cursor(cursor)
    }
    expect([seen, cursor]).toEqual([['a', 'b', 'c'], first])
  })

  test('records come one by one for who wants that', async () => {
    const broker = await brokerWith(1)
    broker.append('t', 0, batchWith(['a', 'b']))
    const seen: string[] = []
    for await (const record of reading(broker, 0).records()) {
      seen.push(text(record.value))
      if (seen.length === 2) break
    }
    expect(seen).toEqual(['a', 'b'])
  })

  test('control batches are not handed out', async () => {
    const broker = await brokerWith(1)
    broker.append('t', 0, batchWith(['a']))
    broker.append('t', 0, markerBatch(7, 'commit'))
    broker.append('t', 0, batchWith(['b']))
    expect(await take(reading(broker, 0), 2)).toEqual(['a', 'b'])
  })

  test('aborted transactions are left out when only committed records are read', async () => {
    const broker = await brokerWith(1)
    const transactional = { producerId: 7, transactional: true }
    const log = [
      batchWith(['plain']),
      batchWith(['aborted'], transactional),
      batchWith(['other'], { producerId: 8, transactional: true }),
      batchWith(['aborted, too'], transactional),
      markerBatch(7, 'abort'),
      batchWith(['committed'], transactional),
    ]
    for (const batch of log) {
      const target = broker.partition('t', 0)
      const bytes = batch.slice()
      new DataView(bytes.buffer).setBigInt64(0, BigInt(target.endOffset))
      target.batches.push({ bytes, baseOffset: target.endOffset, lastOffset: target.endOffset })
      target.endOffset++
    }
    broker.abortedTransactions = [{ producerId: 7, firstOffset: 1 }]
    const committed = reading(broker, 0, { isolation: 'read_committed' })
    expect(await take(committed, 3)).toEqual(['plain', 'other', 'committed'])
    expect(await take(reading(broker, 0), 5)).toEqual(['plain', 'aborted', 'other', 'aborted, too', 'committed'])
  })
})

describe('where to begin', () => {
  async function fiveBatches(): Promise<FakeBroker> {
    const broker = await brokerWith(1)
    for (const value of [0, 1, 2, 3, 4]) broker.append('t', 0, batchWith([`${value}`], { timestamp: 1_000 * value }))
    return broker
  }

  test.each([
    ['the beginning', 'beginning', '0'],
    ['an offset', 3, '3'],
    ['a time between two records', { timestamp: 1_001 }, '2'],
    ['the time of a record', { timestamp: 4_000 }, '4'],
  ] as [string, StartingPoint, string][])('%s', async (_, offset, value) => {
    expect(valuesOf(await reading(await fiveBatches(), offset).nextBatch())).toEqual([value])
  })

  test.each([
    ['the end', 'end' as const],
    ['a time after the last record', { timestamp: 9_000 }],
  ])('%s', async (_, offset) => {
    const broker = await fiveBatches()
    const consumer = reading(broker, offset)
    await waitFor(() => expect(consumer.position('t', 0)).toBe(5))
    broker.append('t', 0, batchWith(['new']))
    expect(valuesOf(await consumer.nextBatch())).toEqual(['new'])
  })

  test('no offset: auto.offset.reset decides', async () => {
    const broker = await fiveBatches()
    expect(valuesOf(await reading(broker, undefined, { autoOffsetReset: 'earliest' }).nextBatch())).toEqual(['0'])
    const latest = reading(broker, undefined)
    await waitFor(() => expect(latest.position('t', 0)).toBe(5))
    const none = reading(broker, undefined, { autoOffsetReset: 'none' })
    await expect(none.nextBatch()).rejects.toMatchObject({ code: 'PAGELOG_OFFSET_OUT_OF_RANGE' })
    none.seek('t', 0, 4)
    expect(valuesOf(await none.nextBatch())).toEqual(['4'])
  })

  test('an offset out of range is reset as the policy says', async () => {
    const broker = await fiveBatches()
    broker.partition('t', 0).startOffset = 2
    expect(valuesOf(await reading(broker, 99, { autoOffsetReset: 'earliest' }).nextBatch())).toEqual(['2'])
    const latest = reading(broker, 99)
    await waitFor(() => expect(latest.position('t', 0)).toBe(5))
    await expect(reading(broker, 99, { autoOffsetReset: 'none' }).nextBatch()).rejects.toMatchObject({
      code: 'PAGELOG_OFFSET_OUT_OF_RANGE',
      offset: 99,
    })
  })

  test('a look-up is tried again', async () => {
    const broker = await fiveBatches()
    broker.inject(ListOffsets, { error: ErrorCode.OFFSET_NOT_AVAILABLE }, { kind: 'disconnect' })
    expect(valuesOf(await reading(broker, 'beginning').nextBatch())).toEqual(['0'])
    expect(broker.callsOf(ListOffsets)).toHaveLength(3)
  })
})

describe('seek, pause, assign', () => {
  test('what was fetched before a seek is dropped, also what is under way', async () => {
    const broker = await brokerWith(1)
    for (const value of ['a', 'b', 'c', 'd']) broker.append('t', 0, batchWith([value]))
    let letGo = (): void => {}
    const until = new Promise<void>((resolve) => {
      letGo = resolve
    })
    broker.inject(Fetch, { kind: 'hold', until })
    const consumer = reading(broker, 0)
    const waiting = consumer.nextBatch()
    await waitFor(() => expect(broker.callsOf(Fetch)).toHaveLength(1))
    consumer.seek('t', 0, 2)
    letGo()
    expect(valuesOf(await waiting)).toEqual(['c'])
    consumer.seek('t', 0, 'beginning')
    expect(consumer.position('t', 0)).toBeUndefined()
    expect(await take(consumer, 4)).toEqual(['a', 'b', 'c', 'd'])
  })

  test('a paused partition neither gives nor fetches, and goes on where it was', async () => {
    const broker = await brokerWith(2)
    for (const value of ['a', 'b']) broker.append('t', 0, batchWith([value]))
    const consumer = consumerOf(broker)
    consumer.assign([0, 1].map((partition) => ({ topic: 't', partition, offset: 'beginning' })))
    expect(valuesOf(await consumer.nextBatch())).toEqual(['a'])
    consumer.pause([{ topic: 't', partition: 0 }])
    broker.append('t', 1, batchWith(['other']))
    expect(valuesOf(await consumer.nextBatch())).toEqual(['other'])
    expect(await consumer.nextBatch({ timeoutMs: 20 })).toBeUndefined()
    consumer.resume()
    expect(valuesOf(await consumer.nextBatch())).toEqual(['b'])
  })

  test('assigning again keeps the position of what stays and drops the rest', async () => {
    const broker = await brokerWith(2)
    for (const partition of [0, 1]) for (const value of ['a', 'b']) broker.append('t', partition, batchWith([value]))
    const consumer = reading(broker, 0)
    expect(valuesOf(await consumer.nextBatch())).toEqual(['a'])
    consumer.assign([{ topic: 't', partition: 0 }])
    expect(valuesOf(await consumer.nextBatch())).toEqual(['b'])
    consumer.assign([{ topic: 't', partition: 1, offset: 1 }])
    const batch = await consumer.nextBatch()
    expect([batch?.partition, ...valuesOf(batch)]).toEqual([1, 'b'])
    expect(() => consumer.position('t', 0)).toThrow(expect.objectContaining({ code: 'PAGELOG_INVALID_ARGUMENT' }))
  })

  test.each([
    [{ topic: '', partition: 0 }],
    [{ topic: 't', partition: -1 }],
    [{ topic: 't', partition: 0, offset: -5 }],
    [{ topic: 't', partition: 0, offset: { timestamp: 0.5 } }],
  ])('%j cannot be assigned', async (start) => {
    const broker = await brokerWith(1)
    const assign = (): void => consumerOf(broker).assign([start])
    expect(assign).toThrow(expect.objectContaining({ code: 'PAGELOG_INVALID_ARGUMENT' }))
  })
})

describe('failures', () => {
  test.each([
    ['a lost connection', { kind: 'disconnect' as const }],
    ['a lost answer', { kind: 'lose answer' as const }],
    ['NOT_LEADER_OR_FOLLOWER', { error: ErrorCode.NOT_LEADER_OR_FOLLOWER }],
    ['UNKNOWN_LEADER_EPOCH', { error: ErrorCode.UNKNOWN_LEADER_EPOCH }],
    ['UNKNOWN_TOPIC_OR_PARTITION', { error: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }],
  ])('after %s reading goes on, nothing twice', async (_, fault) => {
    const broker = await brokerWith(1)
    for (const value of ['a', 'b', 'c']) broker.append('t', 0, batchWith([value]))
    broker.inject(Fetch, fault, { kind: 'none' }, fault)
    const consumer = reading(broker, 0, { maxPartitionFetchBytes: 1 })
    expect(await take(consumer, 3)).toEqual(['a', 'b', 'c'])
    expect(await consumer.nextBatch({ timeoutMs: 30 })).toBeUndefined()
  })

  test('a fetch that is not answered is given up', async () => {
    const broker = await brokerWith(1)
    broker.append('t', 0, batchWith(['a']))
    broker.inject(Fetch, { kind: 'no answer' })
    const consumer = reading(broker, 0, { requestTimeoutMs: 30, fetchMaxWaitMs: 20 })
    expect(await take(consumer, 1)).toEqual(['a'])
  })

  test('a leader that moved is followed, its epoch sent along', async () => {
    const broker = await brokerWith(1, 2)
    broker.append('t', 0, batchWith(['a']))
    const consumer = reading(broker, 0)
    expect(await take(consumer, 1)).toEqual(['a'])
    broker.moveLeader('t', 0, 2)
    broker.append('t', 0, batchWith(['b']))
    expect(await take(consumer, 1)).toEqual(['b'])
    const last = broker.callsOf(Fetch).findLast(({ nodeId }) => nodeId === 2)!.body as FetchRequest
    expect(last.topics[0]!.partitions[0]!.currentLeaderEpoch).toBe(1)
  })

  test('a topic that does not exist yet is waited for', async () => {
    const broker = await brokerWith(1)
    const consumer = consumerOf(broker)
    consumer.assign([{ topic: 'later', partition: 0, offset: 'beginning' }])
    const waiting = consumer.nextBatch()
    await waitFor(() => expect(broker.callsOf(Metadata).length).toBeGreaterThan(1))
    broker.addTopic('later', 1)
    broker.append('later', 0, batchWith(['a']))
    expect(valuesOf(await waiting)).toEqual(['a'])
  })

  test('a partition that does not exist is asked for with pauses, and the others are read', async () => {
    const broker = await brokerWith(1)
    const consumer = consumerOf(broker, { retryBackoffMs: 10_000, retryBackoffMaxMs: 10_000 })
    consumer.assign([0, 9].map((partition) => ({ topic: 't', partition, offset: 0 })))
    for (let record = 0; record < 20; record++) {
      broker.append('t', 0, batchWith(['a']))
      expect(await take(consumer, 1)).toEqual(['a'])
    }
    expect(broker.callsOf(Metadata).length).toBeLessThan(3)
  })

  test('a topic that may not be read is an error', async () => {
    const broker = await brokerWith(1)
    broker.inject(Metadata, { error: ErrorCode.TOPIC_AUTHORIZATION_FAILED })
    await expect(reading(broker, 0).nextBatch()).rejects.toMatchObject({ code: 'PAGELOG_BROKER', kafkaCode: 29 })
  })

  test('what was fetched before an error is handed out first', async () => {
    const broker = await brokerWith(1)
    broker.append('t', 0, batchWith(['a']))
    broker.inject(Fetch, { kind: 'none' }, { error: ErrorCode.TOPIC_AUTHORIZATION_FAILED })
    const consumer = reading(broker, 0)
    await waitFor(() => expect(broker.callsOf(Fetch)).toHaveLength(2))
    expect(await take(consumer, 1)).toEqual(['a'])
    await expect(consumer.nextBatch()).rejects.toMatchObject({ kafkaCode: 29 })
  })

  test('a damaged batch is an error until the application seeks past it', async () => {
    const broker = await brokerWith(1)
    for (const value of ['a', 'b', 'c']) broker.append('t', 0, batchWith([value]))
    broker.partition('t', 0).batches[1]!.bytes[65]! ^= 1
    const consumer = reading(broker, 0)
    expect(await take(consumer, 1)).toEqual(['a'])
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(consumer.nextBatch()).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT', offset: 1 })
    }
    expect(consumer.position('t', 0)).toBe(1)
    consumer.seek('t', 0, 2)
    expect(await take(consumer, 1)).toEqual(['c'])
  })

  test('without check.crcs damage is not looked for', async () => {
    const broker = await brokerWith(1)
    broker.append('t', 0, batchWith(['abc']))
    const { bytes } = broker.partition('t', 0).batches[0]!
    bytes[bytes.length - 2]! ^= 1
    expect(valuesOf(await reading(broker, 0, { checkCrcs: false }).nextBatch())).toEqual(['abb'])
  })

  test('a codec that nobody knows is refused', async () => {
    const broker = await brokerWith(1)
    broker.append('t', 0, compressedBatch(7 as Compression))
    await expect(reading(broker, 0).nextBatch()).rejects.toMatchObject({
      code: 'PAGELOG_UNSUPPORTED',
      message: expect.stringContaining('t-0 at offset 0: unknown compression codec 7'),
      kafkaCode: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
      offset: 0,
    })
  })
})

describe('ending', () => {
  test('a loop ends when the consumer is closed', async () => {
    const broker = await brokerWith(1)
    broker.append('t', 0, batchWith(['a']))
    const consumer = reading(broker, 0)
    const seen: string[] = []
    for await (const batch of consumer) {
      seen.push(...valuesOf(batch))
      void consumer.close()
    }
    expect(seen).toEqual(['a'])
    expect(await consumer.nextBatch()).toBeUndefined()
    expect(() => consumer.assign([])).toThrow(expect.objectContaining({ code: 'PAGELOG_CLOSED' }))
  })

  test('a loop ends at once when the consumer is closed, whatever was fetched ahead', async () => {
    const broker = await brokerWith(1)
    for (const value of ['a', 'b', 'c']) broker.append('t', 0, batchWith([value]))
    const consumer = reading(broker, 0)
    const seen: string[] = []
    for await (const batch of consumer) {
      seen.push(...valuesOf(batch))
      void consumer.close()
    }
    expect(seen).toEqual(['a'])
  })

  test('a loop ends by its signal although there is more', async () => {
    const broker = await brokerWith(1)
    for (const value of ['a', 'b', 'c']) broker.append('t', 0, batchWith([value]))
    const consumer = reading(broker, 0)
    const controller = new AbortController()
    const seen: string[] = []
    const loop = async (): Promise<void> => {
      for await (const batch of consumer.batches({ signal: controller.signal })) {
        seen.push(...valuesOf(batch))
        controller.abort()
      }
    }
    await expect(loop()).rejects.toMatchObject({ code: 'PAGELOG_ABORTED' })
    expect(seen).toEqual(['a'])
    expect(await take(consumer, 2)).toEqual(['b', 'c'])
  })

  test('a wait ends by its signal, and the next one goes on', async () => {
    const broker = await brokerWith(1)
    const consumer = reading(broker, 0)
    const controller = new AbortController()
    const waiting = consumer.nextBatch({ signal: controller.signal })
    controller.abort('stop')
    await expect(waiting).rejects.toMatchObject({ code: 'PAGELOG_ABORTED', cause: 'stop' })
    broker.append('t', 0, batchWith(['a']))
    expect(await take(consumer, 1)).toEqual(['a'])
  })

  test('a wait ends by its time-out', async () => {
    const broker = await brokerWith(1)
    expect(await reading(broker, 0).nextBatch({ timeoutMs: 10 })).toBeUndefined()
  })

  test('a loop over batches that are all there lets timers and sockets have their turn', async () => {
    const broker = await brokerWith(1)
    for (let batch = 0; batch < 200; batch++) broker.append('t', 0, batchWith(['x'.repeat(100)]))
    const consumer = reading(broker, 0, { turnBytes: 1_000 })
    let turns = 0
    const count = (): void => {
      turns++
      immediate = setImmediate(count)
    }
    let immediate = setImmediate(count)
    await take(consumer, 100)
    turns = 0
    await take(consumer, 100)
    clearImmediate(immediate)
    expect(turns).toBeGreaterThan(5)
  })
})
