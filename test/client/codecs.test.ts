/** Compressed batches from producer to consumer through our broker: every codec, in place and in worker threads. */
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { Admin, Consumer, Producer, type ProducerOptions } from '../../src/client/index.ts'
import { type Env, nodeEnv, nodeWorkers } from '../../src/env/index.ts'
import { type CodecName, codecName, type RecordBatch } from '../../src/record/index.ts'
import { startBroker, type TestBroker } from '../../src/testing/index.ts'
import { storedBatches } from '../peers/stored-batches.ts'
import { hasZstd } from '../zstd.ts'

const workers = nodeWorkers({ threadsMax: 2 })
const threaded: Env = { ...nodeEnv(), workers }
const { network, clock, random } = nodeEnv()
const alone = { network, clock, random }

let broker: TestBroker
let admin: Admin
const codecs: CodecName[] = ['gzip', 'snappy', 'lz4', ...(hasZstd ? (['zstd'] as const) : [])]

beforeAll(async () => {
  broker = await startBroker()
  admin = new Admin({ bootstrap: broker.bootstrap })
})
const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})
afterAll(async () => {
  await admin.close()
  await broker.close()
  await workers.close()
})

let topics = 0
async function newTopic(partitions = 1): Promise<string> {
  const topic = `packed-${topics++}`
  await admin.createTopics([{ topic, partitions }])
  return topic
}

function producerOf(options: Partial<ProducerOptions>): Producer {
  const producer = new Producer({ bootstrap: broker.bootstrap, ...options })
  closers.push(() => producer.close({ timeoutMs: 1_000 }))
  return producer
}

/** Waits for room, as a program does. */
async function sendAll(producer: Producer, topic: string, values: readonly string[], partition = 0): Promise<void> {
  for (const value of values) {
    if (!producer.hasRoom) await producer.ready()
    producer.send({ topic, partition, value })
  }
  await producer.flush()
}

/** Values by partition, in order. */
async function readAll(topic: string, count: number, options: object = {}, partitions = 1): Promise<string[][]> {
  await using consumer = new Consumer({ bootstrap: broker.bootstrap, fetchMaxWaitMs: 50, ...options })
  consumer.assign(Array.from({ length: partitions }, (_, partition) => ({ topic, partition, offset: 'beginning' })))
  const values: string[][] = Array.from({ length: partitions }, () => [])
  const next: number[] = new Array(partitions).fill(0)
  let seen = 0
  while (seen < count) {
    const batch = (await consumer.nextBatch())!
    for (const { offset, value } of batch) {
      expect(offset).toBe(next[batch.partition]!++)
      values[batch.partition]!.push(new TextDecoder().decode(value!))
      seen++
    }
  }
  return values
}

const event = (i: number, extra = 0): string =>
  JSON.stringify({
    id: i,
    kind: 'page-view',
    path: `/shop/${i % 9}`,
    user: `user-${(i * 31) % 997}`,
    pad: 'x'.repeat(extra),
  })
const events = (count: number, extra = 0): string[] => Array.from({ length: count }, (_, i) => event(i, extra))

const ways: [string, object][] = [
  ['in place', { env: alone }],
  ['in worker threads', { env: threaded, compressionWorkerMinBytes: 0 }],
  ['as the thresholds say', { env: threaded }],
]

describe.each(codecs)('%s', (compressionType) => {
  test.each(ways)('%s: records come back as they were sent', async (_, options) => {
    const topic = await newTopic()
    const sent = events(3_000)
    await sendAll(producerOf({ compressionType, batchBytes: 100_000, ...options }), topic, sent)
    expect(await readAll(topic, sent.length, options)).toEqual([sent])
    expect(await readAll(topic, sent.length, { ...options, reuseBuffers: true, prefetchBytes: 1 })).toEqual([sent])
  })

  test('small and large batches keep their order in every partition', async () => {
    const topic = await newTopic(3)
    const options = { env: threaded, compressionWorkerMinBytes: 4_000 }
    const producer = producerOf({ compressionType, batchBytes: 20_000, lingerMs: 0, ...options })
    const sent: string[][] = [[], [], []]
    for (let i = 0; i < 600; i++) {
      const value = event(i, i % 7 === 0 ? 15_000 : 10)
      sent[i % 3]!.push(value)
      producer.send({ topic, partition: i % 3, value })
      if (i % 50 === 0) await producer.ready()
      if (i % 20 === 0) await new Promise((go) => setImmediate(go))
    }
    await producer.flush()
    expect(await readAll(topic, 600, options, 3)).toEqual(sent)
    expect(producer.stats.bufferBytesUsed).toBe(0)
  })
})

const levels: [CodecName, string, number, number][] = [
  ['gzip', 'compressionGzipLevel', 1, 9],
  ...(hasZstd ? [['zstd', 'compressionZstdLevel', -5, 19] as [CodecName, string, number, number]] : []),
]
test.each(levels)('%s: a higher level makes smaller batches', async (compressionType, setting, low, high) => {
  const sizes: number[] = []
  for (const level of [low, high]) {
    const topic = await newTopic()
    await sendAll(producerOf({ compressionType, [setting]: level, batchBytes: 100_000 }), topic, events(2_000))
    sizes.push(stored(topic).reduce((sum, { sizeInBytes }) => sum + sizeInBytes, 0))
  }
  expect(sizes[1]!).toBeLessThan(sizes[0]!)
})

test('every level of lz4 makes the same batches', async () => {
  const sizes: number[] = []
  for (const compressionLz4Level of [1, 17]) {
    const topic = await newTopic()
    await sendAll(producerOf({ compressionType: 'lz4', compressionLz4Level }), topic, ['x'.repeat(10_000)])
    sizes.push(...stored(topic).map(({ sizeInBytes }) => sizeInBytes))
  }
  expect(sizes[1]).toBe(sizes[0])
})

test('a batch that its codec makes larger is sent compressed all the same', async () => {
  const topic = await newTopic()
  await sendAll(producerOf({ compressionType: 'snappy' }), topic, ['x'])
  expect(stored(topic).map((batch) => codecName(batch.compression))).toEqual(['snappy'])
  expect(await readAll(topic, 1)).toEqual([['x']])
})

test('records sent before the metadata is there are compressed, too', async () => {
  const topic = await newTopic()
  const producer = producerOf({ compressionType: 'gzip' })
  const { offset } = await producer.send({ topic, value: 'early' })
  expect(offset).toBe(0)
  expect(stored(topic).map((batch) => codecName(batch.compression))).toEqual(['gzip'])
})

test('zstd works where it is at hand; elsewhere it fails each batch, and names what to install', async () => {
  const topic = await newTopic()
  const producer = producerOf({ compressionType: 'zstd' })
  for (let i = 0; i < 2; i++) {
    const sending = producer.send({ topic, value: 'x' })
    if (hasZstd) expect(await sending).toMatchObject({ offset: i })
    else
      await expect(sending).rejects.toMatchObject({
        code: 'PAGELOG_UNSUPPORTED',
        kafkaCode: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
        message: expect.stringContaining('npm install zstd-napi'),
      })
  }
  expect(producer.stats).toMatchObject({ bufferBytesUsed: 0, recordsFailed: hasZstd ? 0 : 2 })
})

test.each([
  [{ compressionType: 'gzip', compressionGzipLevel: 0 }, 'compression.gzip.level=0: allowed is -1 or 1 to 9'],
  [{ compressionType: 'gzip', compressionGzipLevel: 10 }, 'compression.gzip.level=10: allowed is -1 to 9'],
  [{ compressionLz4Level: 18 }, 'compression.lz4.level=18: allowed is 1 to 17'],
  [{ compressionZstdLevel: 23 }, 'compression.zstd.level=23: allowed is -131072 to 22'],
  [{ compressionType: 'brotli' }, 'compression.type=brotli: allowed is none, gzip, snappy, lz4, zstd'],
])('%j is refused', (options, message) => {
  const make = (): Producer => new Producer({ bootstrap: 'x:1', ...(options as Partial<ProducerOptions>) })
  expect(make).toThrow(expect.objectContaining({ code: 'PAGELOG_INVALID_SETTING', message }))
})

/** What lies in the log of the topic's first partition. */
function stored(topic: string): RecordBatch[] {
  return storedBatches(join(broker.directory, `${topic}-0`))
}
