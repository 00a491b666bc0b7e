/**
 * Compressed batches through our broker: Java's and librdkafka's producers in every codec, topics whose compression.type
 * wants another one, read back by Java and kcat.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Admin } from '../../src/client/index.ts'
import { codecNumber } from '../../src/record/index.ts'
import { startBroker, type TestBroker } from '../../src/testing/index.ts'
import { hasZstd } from '../zstd.ts'
import { testedCodecs } from './codecs.ts'
import { consoleConsume, consoleProduce, tool } from './kafka-tools.ts'
import { kcat, kcatRead } from './kcat.ts'
import { storedBatches } from './stored-batches.ts'

const all = ['gzip', 'snappy', 'lz4', ...(hasZstd ? (['zstd'] as const) : [])] as const
const codecs = testedCodecs(...all)
/** Every producer's codec meets every topic's once. */
const pairs = all
  .map((from, i) => [from, all[(i + 1) % all.length]!] as const)
  .filter((pair) => pair.some((codec) => codecs.includes(codec)))

let broker: TestBroker
let bootstrap: string

beforeAll(async () => {
  broker = await startBroker()
  bootstrap = broker.bootstrap
})

afterAll(async () => {
  await broker?.close()
})

async function createTopic(topic: string, configs: Record<string, string>): Promise<void> {
  await using admin = new Admin({ bootstrap })
  await admin.createTopics([{ topic, partitions: 1, configs }])
}

const COUNT = 3_000
const values = Array.from({ length: COUNT }, (_, i) => `{"id":${i},"kind":"page-view","path":"/shop/${i % 9}"}`)
const input = `${values.join('\n')}\n`

/** The codecs of the batches on disk. */
function storedCodecs(topic: string): number[] {
  return [...new Set(storedBatches(join(broker.directory, `${topic}-0`)).map(({ compression }) => compression))]
}

async function readByBoth(topic: string): Promise<void> {
  const [java, rdkafka] = await Promise.all([
    consoleConsume(bootstrap, topic, { partition: 0, offset: 'earliest', count: COUNT }),
    kcatRead(bootstrap, topic),
  ])
  expect(java.map(({ value }) => value)).toEqual(values)
  expect(rdkafka).toEqual(java)
}

describe.each([
  [
    'java',
    // Batches of a megabyte: they go through a worker.
    (topic: string, codec: string) =>
      consoleProduce(bootstrap, topic, input, { codec, producer: ['batch.size=1000000', 'linger.ms=200'] }),
  ],
  ['kcat', (topic: string, codec: string) => kcat(bootstrap, ['-P', '-t', topic, '-z', codec], input)],
])('%s writes', (name, write) => {
  test.each(codecs)('%s, which is stored as it came', async (codec) => {
    const topic = `${name}-${codec}`
    await createTopic(topic, {})
    await write(topic, codec)
    expect(storedCodecs(topic)).toEqual([codecNumber(codec)])
    await readByBoth(topic)
  })

  test.each([
    ...pairs,
    ...codecs.map((codec) => [codec, 'uncompressed'] as const),
    ...codecs.map((codec) => ['none', codec] as const),
  ])('%s into a topic of %s', async (from, to) => {
    const topic = `${name}-${from}-to-${to}`
    await createTopic(topic, { 'compression.type': to })
    await write(topic, from)
    expect(storedCodecs(topic)).toEqual([codecNumber(to)])
    await readByBoth(topic)
  })
})

test('Kafka’s tools show the settings', async () => {
  await createTopic('shown', { 'compression.type': 'gzip', 'compression.gzip.level': '7' })
  const args = ['--bootstrap-server', bootstrap, '--describe', '--entity-type', 'topics', '--entity-name', 'shown']
  const output = await tool('kafka.admin.ConfigCommand', args)
  expect(output).toContain('compression.gzip.level=7 sensitive=false')
  expect(output).toContain('DYNAMIC_TOPIC_CONFIG:compression.type=gzip, DEFAULT_CONFIG:compression.type=producer')
})
