/** Records in compressed batches between our clients and others', each codec, both directions, through our broker. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Admin, Consumer, Producer } from '../../src/client/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { type CodecName, codecName } from '../../src/record/index.ts'
import { startBroker, type TestBroker } from '../../src/testing/index.ts'
import { hasZstd } from '../zstd.ts'
import { testedCodecs } from './codecs.ts'
import { consoleConsume, consoleProduce } from './kafka-tools.ts'
import { kcat, kcatRead } from './kcat.ts'
import { endOffsets, type PlainRecord, readTopic } from './records.ts'
import { storedBatches } from './stored-batches.ts'

/** Large enough for several blocks of every framing and for worker threads. */
const COUNT = 3_000
const COMPRESSORS: readonly CodecName[] = ['gzip', 'snappy', 'lz4', 'zstd']

let broker: TestBroker
let bootstrap: string
const codecs = testedCodecs(...COMPRESSORS)

beforeAll(async () => {
  broker = await startBroker()
  bootstrap = broker.bootstrap
})

afterAll(async () => {
  await broker?.close()
})

async function createTopic(topic: string): Promise<void> {
  await using admin = new Admin({ bootstrap })
  await admin.createTopics([{ topic, partitions: 1 }])
}

const values = Array.from({ length: COUNT }, (_, i) =>
  JSON.stringify({
    id: i,
    kind: i % 3 === 0 ? 'page-view' : 'click',
    path: `/shop/${(i * 7) % 41}`,
    took: (i * 37) % 997,
  }),
)
const lines = values.map((value) => `${value}\n`).join('')
const valuesOf = (records: readonly PlainRecord[]): (string | null)[] => records.map(({ value }) => value)

function expectStored(topic: string, codec: CodecName): void {
  const batches = storedBatches(join(broker.directory, `${topic}-0`))
  expect(new Set(batches.map(({ compression }) => codecName(compression)))).toEqual(new Set([codec]))
}

/** One topic by our producer, large batches and small ones. */
async function produce(topic: string, compressionType: CodecName): Promise<void> {
  await createTopic(topic)
  for (const batchBytes of [16_384, 250_000]) {
    await using producer = new Producer({ bootstrap, compressionType, batchBytes })
    await producer.partitionsOf(topic)
    for (const value of values) {
      if (!producer.hasRoom) await producer.ready()
      producer.send({ topic, value, key: 'k', headers: [{ key: 'h', value: 'x' }] })
    }
    await producer.flush()
  }
  expectStored(topic, compressionType)
  expect(await endOffsets(bootstrap, topic)).toEqual([2 * COUNT])
}

describe.each(codecs)('%s', (codec) => {
  test('ours is read by kcat and by the Java consumer', async () => {
    const topic = `ours-${codec}`
    await produce(topic, codec)
    const sent = [...values, ...values]
    const byKcat = await kcatRead(bootstrap, topic)
    expect(valuesOf(byKcat)).toEqual(sent)
    expect(byKcat.at(-1)).toMatchObject({ offset: 2 * COUNT - 1, key: 'k', headers: [['h', 'x']] })
    const byJava = await consoleConsume(bootstrap, topic, { partition: 0, offset: 'earliest', count: 2 * COUNT })
    expect(byJava).toEqual(byKcat)
  })

  test('kcat’s is read by our consumer', async () => {
    const topic = `kcat-${codec}`
    await createTopic(topic)
    await kcat(bootstrap, ['-P', '-t', topic, '-z', codec], lines)
    expectStored(topic, codec)
    expect(valuesOf(await readTopic(bootstrap, topic))).toEqual(values)
  })

  test('the Java producer’s is read by our consumer', async () => {
    const topic = `java-${codec}`
    await createTopic(topic)
    await consoleProduce(bootstrap, topic, lines, { codec, producer: ['batch.size=200000', 'linger.ms=50'] })
    expectStored(topic, codec)
    expect(valuesOf(await readTopic(bootstrap, topic))).toEqual(values)
  })
})

test('zstd is stored by a broker that trusts headers; where Node has none our consumer names the package', async () => {
  const trusting = await startBroker({ settings: { produceCheckCompressed: 'header' } })
  try {
    await kcat(trusting.bootstrap, ['-P', '-t', 'foreign', '-z', 'zstd'], lines)
    expect(valuesOf(await kcatRead(trusting.bootstrap, 'foreign'))).toEqual(values)
    await using consumer = new Consumer({ bootstrap: trusting.bootstrap, env: nodeEnv() })
    consumer.assign([{ topic: 'foreign', partition: 0, offset: 0 }])
    if (hasZstd) return expect((await consumer.nextBatch())?.recordCount).toBeGreaterThan(0)
    await expect(consumer.nextBatch()).rejects.toMatchObject({
      code: 'PAGELOG_UNSUPPORTED',
      message: expect.stringContaining('npm install zstd-napi'),
    })
  } finally {
    await trusting.close()
  }
})
