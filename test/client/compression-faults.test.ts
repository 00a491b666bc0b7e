/** Compression when things go wrong: jobs that end late, out of order or not at all; damaged batches and bombs. */
import { afterEach, describe, expect, test } from 'vitest'
import { ErrorCode, PagelogError } from '../../src/base/index.ts'
import {
  type ConsumedBatch,
  Consumer,
  type ConsumerOptions,
  Producer,
  type ProducerOptions,
} from '../../src/client/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { Produce, type ProduceRequest } from '../../src/protocol/index.ts'
import {
  ATTRIBUTES_AT,
  BatchWriter,
  baseSequence,
  codecNumber,
  compressBatch,
  crc32c,
  decompressBatch,
  loadCodec,
  RecordBatch,
  setCrc,
} from '../../src/record/index.ts'
import * as golden from '../record/compression/golden.ts'
import { waitFor } from '../wait-for.ts'
import { batchWith, markerBatch } from './batches.ts'
import { FakeBroker } from './fake-broker.ts'
import { HeldWorkers } from './held-workers.ts'

const gzip = await loadCodec(codecNumber('gzip'))
const lz4 = await loadCodec(codecNumber('lz4'))

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function setUp(): Promise<{ broker: FakeBroker; workers: HeldWorkers }> {
  const broker = await FakeBroker.start()
  broker.addTopic('t', 1)
  const workers = new HeldWorkers()
  closers.push(
    () => broker.close(),
    () => workers.close(),
  )
  return { broker, workers }
}

const quick = { retryBackoffMs: 5, retryBackoffMaxMs: 20, reconnectBackoffMs: 5, reconnectBackoffMaxMs: 20 }
const text = (bytes: Uint8Array | null): string => new TextDecoder().decode(bytes ?? undefined)
const valuesOf = (batch: ConsumedBatch | undefined): string[] => [...(batch ?? [])].map(({ value }) => text(value))
const crashed = (): PagelogError => new PagelogError('PAGELOG_WORKER', 'job failed with its thread: out of memory')

describe('producer', () => {
  async function producing(options: Partial<ProducerOptions> = {}) {
    const { broker, workers } = await setUp()
    const env = { ...nodeEnv(), workers }
    const producer = new Producer({
      bootstrap: broker.bootstrap,
      env,
      compressionType: 'gzip',
      compressionWorkerMinBytes: 0,
      lingerMs: 0,
      ...quick,
      ...options,
    })
    closers.push(() => producer.close({ timeoutMs: 1_000 }))
    await producer.partitionsOf('t')
    /** Each value becomes a batch and a job. */
    const sendEach = async (...values: string[]) => {
      const deliveries = []
      for (const value of values) {
        const before = workers.asked
        deliveries.push(producer.send({ topic: 't', value }).then(undefined, (error: unknown) => error))
        await waitFor(() => expect(workers.asked).toBe(before + 1))
      }
      return deliveries
    }
    const stored = () =>
      broker.partition('t', 0).batches.map(({ bytes }) => new RecordBatch(decompressBatch(bytes, gzip, 1 << 24), 0))
    const storedValues = () => stored().flatMap((batch) => [...batch].map(({ value }) => text(value)))
    return { broker, workers, producer, sendEach, storedValues }
  }

  test('batches whose compression ends in another order leave in theirs', async () => {
    const { workers, producer, sendEach, storedValues } = await producing()
    await sendEach('a', 'b', 'c')
    const [a, b, c] = workers.jobs
    c!.end()
    b!.end()
    await new Promise((go) => setTimeout(go, 20))
    expect(storedValues()).toEqual([])
    a!.end()
    await producer.flush()
    expect(storedValues()).toEqual(['a', 'b', 'c'])
  })

  test('after a batch that may have been stored is given up the next one waits for its compression', async () => {
    const { broker, workers, producer, sendEach, storedValues } = await producing()
    const [a, b, c] = await sendEach('a', 'b', 'c')
    workers.jobs[0]!.end()
    expect(await a).toMatchObject({ offset: 0 })
    const error = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    broker.inject(Produce, { kind: 'disconnect' }, { error })
    workers.jobs[1]!.end()
    expect(await b).toMatchObject({ kafkaCode: error })
    expect(storedValues()).toEqual(['a'])
    workers.jobs[2]!.end()
    expect(await c).toMatchObject({ offset: 1 })
    expect(storedValues()).toEqual(['a', 'c'])
    expect(producer.stats).toMatchObject({ retries: 1, bufferBytesUsed: 0 })
  })

  test('a worker that dies fails the records of its batch alone', async () => {
    const { broker, workers, producer, sendEach, storedValues } = await producing()
    const [first, second, third] = await sendEach('a', 'b', 'c')
    workers.jobs[1]!.end(crashed())
    workers.release()
    expect(await first).toMatchObject({ offset: 0 })
    expect(await second).toMatchObject({
      code: 'PAGELOG_WORKER',
      message: expect.stringContaining('t-0: the batch cannot be compressed'),
    })
    expect(await third).toMatchObject({ offset: 1 })
    expect(await producer.send({ topic: 't', value: 'd' })).toMatchObject({ offset: 2 })
    expect(storedValues()).toEqual(['a', 'c', 'd'])
    expect(broker.partition('t', 0).batches.map(({ bytes }) => baseSequence(bytes, 0))).toEqual([0, 1, 2])
    await expect(producer.flush()).rejects.toMatchObject({ code: 'PAGELOG_WORKER' })
    expect(producer.stats).toMatchObject({ batchesFailed: 1, recordsFailed: 1, bufferBytesUsed: 0 })
  })

  test('batches that wait for a worker count as buffer memory, until there is no room', async () => {
    const { workers, producer } = await producing({ batchBytes: 10_000, bufferBytes: 50_000 })
    let sent = 0
    for (; producer.hasRoom; sent++) producer.send({ topic: 't', value: 'x'.repeat(3_000) })
    expect(producer.stats.bufferBytesUsed).toBeGreaterThan(40_000)
    expect(producer.stats.bufferBytesUsed).toBeLessThanOrEqual(50_000)
    for (let left = 100; left > 0; left--) {
      try {
        producer.send({ topic: 't', value: 'x'.repeat(3_000) })
        sent++
      } catch (error) {
        expect(error).toMatchObject({ code: 'PAGELOG_BUFFER_FULL' })
        left = 0
      }
    }
    expect(producer.stats.bufferBytesUsed).toBeLessThanOrEqual(50_000)
    workers.release()
    await producer.ready()
    await producer.flush()
    expect(producer.stats).toMatchObject({ recordsDelivered: sent, bufferBytesUsed: 0 })
  })

  test('at most sixteen jobs of a producer wait in the pool', async () => {
    const { workers, producer, storedValues } = await producing({ batchBytes: 200 })
    for (let i = 0; i < 60; i++) producer.send({ topic: 't', value: `${i}`.padEnd(100) })
    await waitFor(() => expect(workers.jobs.length).toBe(16))
    await new Promise((go) => setTimeout(go, 20))
    expect(workers.asked).toBe(16)
    workers.release()
    await producer.flush()
    expect(storedValues().map(Number)).toEqual(Array.from({ length: 60 }, (_, i) => i))
  })

  test('a pool that has no place is asked again', async () => {
    const { workers, producer, storedValues } = await producing()
    workers.release()
    workers.refusals.push(new PagelogError('PAGELOG_BUFFER_FULL', 'too many', { retriable: true }))
    await producer.send({ topic: 't', value: 'a' })
    expect(storedValues()).toEqual(['a'])
  })

  test('a delivery that ends while its batch is compressed fails at once, its memory comes back later', async () => {
    const options = { deliveryTimeoutMs: 60, requestTimeoutMs: 50 }
    const { workers, producer, sendEach, storedValues } = await producing(options)
    const [late] = await sendEach('late')
    expect(await late).toMatchObject({ code: 'PAGELOG_TIMED_OUT' })
    expect(producer.stats.bufferBytesUsed).toBeGreaterThan(0)
    workers.release()
    await waitFor(() => expect(producer.stats.bufferBytesUsed).toBe(0))
    await producer.send({ topic: 't', value: 'next' })
    expect(storedValues()).toEqual(['next'])
  })

  test('close does not wait longer than it is told for a job that does not end', async () => {
    const { workers, producer, sendEach } = await producing()
    const [lost] = await sendEach('lost')
    await producer.close({ timeoutMs: 20 })
    expect(await lost).toMatchObject({ code: 'PAGELOG_CLOSED' })
    workers.release()
    await waitFor(() => expect(producer.stats.bufferBytesUsed).toBe(0))
  })

  test('a batch that is sent again has the same bytes', async () => {
    const { broker, workers, producer } = await producing()
    workers.release()
    broker.inject(Produce, { kind: 'lose answer' })
    await producer.send({ topic: 't', value: 'once' })
    const sent = broker.callsOf(Produce).map(({ body }) => {
      const { records } = (body as ProduceRequest).topicData[0]!.partitionData[0]!
      return Buffer.from(records!).toString('hex')
    })
    expect(sent.length).toBe(2)
    expect(sent[1]).toBe(sent[0])
    expect(broker.partition('t', 0).batches.length).toBe(1)
  })
})

/** Values that come to `bytes`, all the same. */
function bigBatch(bytes: number, codec = gzip): Uint8Array {
  const writer = new BatchWriter(new Uint8Array(bytes + 1_000))
  writer.append(1_000, null, new Uint8Array(bytes))
  return compressBatch(writer.finish(), codec)
}

/** Damaged, but with the CRC of a batch that came so from its producer. */
function damagedBatch(values: readonly string[]): Uint8Array {
  const bytes = compressBatch(batchWith(values), gzip)
  bytes[bytes.length - 12]! ^= 0xff
  setCrc(bytes, 0, crc32c(bytes, ATTRIBUTES_AT, bytes.length))
  return bytes
}

describe('consumer', () => {
  async function consuming(batches: readonly Uint8Array[], options: Partial<ConsumerOptions> = {}) {
    const { broker, workers } = await setUp()
    for (const batch of batches) broker.append('t', 0, batch)
    const env = { ...nodeEnv(), workers }
    const consumer = new Consumer({ bootstrap: broker.bootstrap, fetchMaxWaitMs: 50, env, ...quick, ...options })
    closers.push(() => consumer.close())
    consumer.assign([{ topic: 't', partition: 0, offset: 0 }])
    return { broker, workers, consumer }
  }
  const packed = (value: string): Uint8Array => compressBatch(batchWith([value]), gzip)
  const inWorkers = { compressionWorkerMinBytes: 0 }

  test.each([
    ['in place', {}],
    ['in workers', inWorkers],
  ])('%s: a damaged batch is an error with its place, until the application goes elsewhere', async (_, options) => {
    const batches = [packed('a'), damagedBatch(['b']), packed('c')]
    const { workers, consumer } = await consuming(batches, options)
    workers.release()
    expect(valuesOf(await consumer.nextBatch())).toEqual(['a'])
    for (let i = 0; i < 2; i++) {
      await expect(consumer.nextBatch()).rejects.toMatchObject({
        code: 'PAGELOG_CORRUPT',
        message: expect.stringContaining('t-0 at offset 1: damaged gzip data'),
        offset: 1,
      })
    }
    expect(consumer.position('t', 0)).toBe(1)
    consumer.seek('t', 0, 2)
    expect(valuesOf(await consumer.nextBatch())).toEqual(['c'])
  })

  test('the CRC of compressed batches is checked', async () => {
    const bytes = packed('a')
    bytes[bytes.length - 1]! ^= 1
    const { consumer } = await consuming([bytes])
    await expect(consumer.nextBatch()).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT', offset: 0 })
  })

  test.each([
    ['gzip', gzip],
    ['lz4', lz4],
  ])('%s: a batch that holds more than it may is an error, and the next ones come', async (_, codec) => {
    const batches = [packed('a'), bigBatch(5_000_000, codec), packed('c')]
    const { workers, consumer } = await consuming(batches, { decompressedBatchMaxBytes: 4_000_000 })
    workers.release()
    expect(valuesOf(await consumer.nextBatch())).toEqual(['a'])
    await expect(consumer.nextBatch()).rejects.toMatchObject({ code: 'PAGELOG_TOO_LARGE', offset: 1 })
    consumer.seek('t', 0, 2)
    expect(valuesOf(await consumer.nextBatch())).toEqual(['c'])
  })

  test('a small batch that holds much goes to a worker', async () => {
    const { workers, consumer } = await consuming([bigBatch(3_000_000)])
    const next = consumer.nextBatch()
    await waitFor(() => expect(workers.jobs.map(({ name }) => name)).toEqual(['decompress']))
    workers.release()
    expect((await next)!.sizeInBytes).toBeGreaterThan(3_000_000)
  })

  test('a batch of an unusual ratio is unpacked with all the room only when its turn has come', async () => {
    const { workers, consumer } = await consuming([packed('a'), bigBatch(8_000_000)], inWorkers)
    await waitFor(() => expect(workers.jobs.length).toBe(2))
    const bounds = workers.jobs.map(({ input }) => input.maxBytes!)
    expect(Math.max(...bounds)).toBeLessThan(1_000_000)
    for (const { end } of workers.jobs.splice(0)) end()
    expect(valuesOf(await consumer.nextBatch())).toEqual(['a'])
    const next = consumer.nextBatch()
    await waitFor(() => expect(workers.jobs.map(({ input }) => input.maxBytes)).toEqual([32 * 1024 * 1024]))
    workers.release()
    expect((await next)!.sizeInBytes).toBeGreaterThan(8_000_000)
  })

  test('batches are unpacked ahead, within the prefetch bytes, and handed out in order', async () => {
    const batches = Array.from({ length: 12 }, (_, i) => packed(`${i}`))
    const { workers, consumer } = await consuming(batches, { ...inWorkers, prefetchBytes: 4 * 65_536 })
    await waitFor(() => expect(workers.jobs.length).toBe(4))
    await new Promise((go) => setTimeout(go, 20))
    expect(workers.asked).toBe(4)
    for (const { end } of workers.jobs.splice(0).reverse()) end()
    // What they hold is less than what they might have held: there is room for more.
    await waitFor(() => expect(workers.asked).toBeGreaterThan(4))
    workers.release()
    const values: string[] = []
    while (values.length < 12) values.push(...valuesOf(await consumer.nextBatch()))
    expect(values).toEqual(batches.map((_, i) => `${i}`))
  })

  test('after a worker has died its batch is tried again', async () => {
    const { workers, consumer } = await consuming([packed('a')], inWorkers)
    await waitFor(() => expect(workers.jobs.length).toBe(1))
    workers.jobs.shift()!.end(crashed())
    await expect(consumer.nextBatch()).rejects.toMatchObject({ code: 'PAGELOG_WORKER', offset: 0 })
    workers.release()
    expect(valuesOf(await consumer.nextBatch())).toEqual(['a'])
  })

  test('seeking away from a batch that is being unpacked goes on there', async () => {
    const { workers, consumer } = await consuming([packed('a'), packed('b')], { ...inWorkers, prefetchBytes: 1 })
    const next = consumer.nextBatch()
    await waitFor(() => expect(workers.jobs.length).toBe(1))
    consumer.seek('t', 0, 1)
    workers.release()
    expect(valuesOf(await next)).toEqual(['b'])
  })

  test('closing ends a wait for a batch that is being unpacked', async () => {
    const { workers, consumer } = await consuming([packed('a')], inWorkers)
    const next = consumer.nextBatch()
    await waitFor(() => expect(workers.jobs.length).toBe(1))
    await consumer.close()
    expect(await next).toBeUndefined()
  })

  test('a seek into a compressed batch leaves out the records before it', async () => {
    const { consumer } = await consuming([compressBatch(batchWith(['a', 'b', 'c']), gzip)])
    consumer.seek('t', 0, 2)
    const batch = (await consumer.nextBatch())!
    expect([valuesOf(batch), batch.firstOffset, batch.recordCount]).toEqual([['c'], 2, 1])
  })

  test.each([
    ['in place', {}],
    ['in workers', inWorkers],
  ])('%s: compressed batches of aborted transactions are left out', async (_, options) => {
    const inTransaction = (value: string, producerId: number): Uint8Array =>
      compressBatch(batchWith([value], { producerId, transactional: true }), gzip)
    const batches = [inTransaction('no', 1), inTransaction('yes', 2), markerBatch(1, 'abort'), markerBatch(2, 'commit')]
    const { broker, workers, consumer } = await consuming([], { ...options, isolation: 'read_committed' })
    workers.release()
    broker.abortedTransactions = [{ producerId: 1, firstOffset: 0 }]
    for (const batch of [...batches, packed('end')]) broker.append('t', 0, batch)
    consumer.seek('t', 0, 0)
    const values: string[] = []
    while (values.at(-1) !== 'end') values.push(...valuesOf(await consumer.nextBatch()))
    expect(values).toEqual(['yes', 'end'])
  })

  const formats = golden.OLD_SETS.map(([format, codec, logAppendTime, hex]) => ({ format, codec, logAppendTime, hex }))
  test.each(formats)(
    'messages of format $format with $codec, append time $logAppendTime, are converted',
    async (set) => {
      const { broker, workers, consumer } = await consuming([], inWorkers)
      workers.release()
      const partition = broker.partition('t', 0)
      const last = golden.OLD_RECORDS.at(-1)![0]
      partition.batches.push({ bytes: Buffer.from(set.hex, 'hex'), baseOffset: 70, lastOffset: last })
      partition.endOffset = last + 1
      broker.append('t', 0, batchWith(['new']))
      consumer.seek('t', 0, 70)
      const offsets: number[] = []
      while (offsets.at(-1) !== last + 1) for (const { offset } of (await consumer.nextBatch())!) offsets.push(offset)
      expect(offsets).toEqual([...golden.OLD_RECORDS.map(([offset]) => offset), last + 1])
    },
  )
})
