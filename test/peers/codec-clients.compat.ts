/**
 * Compressed records between clients of five languages, in every codec and at the ends of its levels, through our broker
 * and through Apache Kafka: what any of them writes, each of them reads, record for record.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startKafka } from '../../bench/targets/kafka.ts'
import { Admin, Producer } from '../../src/client/index.ts'
import { type CodecName, codecName } from '../../src/record/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import {
  goClient,
  javaClient,
  type PeerClient,
  pythonClient,
  type Reading,
  type Writing,
} from './clients/peer-client.ts'
import { testedCodecs } from './codecs.ts'
import type { SetRecord } from './compression/record-sets.ts'
import { createTopics } from './create-topics.ts'
import { kcat, kcatRead } from './kcat.ts'
import { type PlainRecord, readTopic } from './records.ts'
import { storedBatches } from './stored-batches.ts'

interface Client {
  write(writing: Writing): Promise<void>
  read(reading: Reading): Promise<readonly SetRecord[]>
}

type Levels = Readonly<Partial<Record<CodecName, readonly number[]>>>

/** The ends of what each library has; kafka-python has no setting for it, kcat's are librdkafka's. */
const levels: Readonly<Record<string, Levels>> = {
  pagelog: { gzip: [1, 9], lz4: [1, 17], zstd: [-131_072, 22] },
  java: { gzip: [1, 9], lz4: [1, 17], zstd: [-131_072, 22] },
  librdkafka: { gzip: [1, 9], lz4: [1, 12], zstd: [1, 12] },
  'franz-go': { gzip: [1, 9], lz4: [512, 131_072], zstd: [1, 4] },
  'kafka-python': {},
  kcat: {},
}
const names = Object.keys(levels)
const others = names.filter((name) => name !== 'pagelog')
const codecs = testedCodecs('none', 'gzip', 'snappy', 'lz4', 'zstd')

const base64 = (text: string | null): string | null => (text === null ? null : Buffer.from(text).toString('base64'))
const fromBase64 = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text, 'base64'))

function setRecord({ offset, timestamp, key, value, headers }: PlainRecord): SetRecord {
  return {
    offset,
    timestamp,
    key: base64(key),
    value: base64(value),
    headers: headers.map(([name, text]) => [name, base64(text)] as const),
  }
}

/** Text that hardly shrinks. */
function noise(length: number): string {
  const characters: string[] = []
  for (let index = 0, state = length; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    characters.push(String.fromCharCode(33 + (state >>> 25)))
  }
  return characters.join('').replaceAll('\x7f', '~')
}

/** Recent, or Apache Kafka's retention might take them. */
const start = Date.now() - 600_000

/** Around the blocks of the framings (32 and 64 KiB), and with everything that a record may lack. */
const records: readonly SetRecord[] = [
  ...Array.from({ length: 400 }, (_, index) => ({
    key: index % 5 === 0 ? null : `user-${index % 40}`,
    value: index % 17 === 16 ? null : `{"id":${index},"kind":"page-view","path":"/shop/${(index * 7) % 41}"}`,
    headers:
      index % 4 === 0
        ? ([
            ['trace', noise(16)],
            ['trace', 'again'],
            ['none', null],
          ] as const)
        : [],
  })),
  { key: 'noise', value: noise(65_537), headers: [] },
  { key: 'equal', value: 'x'.repeat(200_000), headers: [['name', 'größe €']] as const },
  { key: '', value: '', headers: [['', '']] as const },
  { key: null, value: null, headers: [] },
].map((record, offset) => setRecord({ ...record, partition: 0, offset, timestamp: start + offset * 7 }))

const ours: Client = {
  async write({ bootstrap, topic, codec, level, records }) {
    const option = level === undefined ? {} : { [`compression${codec[0]!.toUpperCase()}${codec.slice(1)}Level`]: level }
    await using producer = new Producer({ bootstrap, compressionType: codec, batchBytes: 600_000, ...option })
    await producer.partitionsOf(topic)
    for (const { timestamp, key, value, headers } of records) {
      const pairs = headers.map(([name, text]) => ({ key: name, value: fromBase64(text) }))
      const payload = { key: fromBase64(key), value: fromBase64(value), headers: pairs }
      producer.send({ topic, partition: 0, timestamp, ...payload })
    }
    await producer.flush()
  },
  read: async ({ bootstrap, topic }) => (await readTopic(bootstrap, topic)).map(setRecord),
}

/** It has one set of headers for all records and no times, and lines for records. */
const byKcat: Client = {
  async write({ bootstrap, topic, codec, records }) {
    const lines = records.map(({ key, value }) => `${fromBase64(key)}\t${fromBase64(value)}\n`)
    const how = ['-z', codec, '-K', '\t', '-H', 'h=v', '-X', 'batch.size=600000', '-X', 'linger.ms=100']
    await kcat(bootstrap, ['-P', '-t', topic, '-p', '0', ...how], lines.join(''))
  },
  read: async ({ bootstrap, topic }) => (await kcatRead(bootstrap, topic)).map(setRecord),
}
const ofKcat = records
  .filter(({ key, value }) => key && value)
  .map((record, offset) => ({ ...record, offset, headers: [['h', base64('v')] as const] }))
/** It writes neither headers without a value nor records without key and value. */
const ofKafkaPython = records
  .filter(({ key, value }) => key !== null || value !== null)
  .map((record, offset) => ({ ...record, offset, headers: record.headers.filter(([, value]) => value !== null) }))
const sentBy = (writer: string): readonly SetRecord[] =>
  writer === 'kcat' ? ofKcat : writer === 'kafka-python' ? ofKafkaPython : records

const started: PeerClient[] = []
const clients = new Map<string, Client>([
  ['pagelog', ours],
  ['kcat', byKcat],
])

beforeAll(async () => {
  const starts = {
    java: javaClient,
    'franz-go': goClient,
    'kafka-python': () => pythonClient('kafka-python'),
    librdkafka: () => pythonClient('librdkafka'),
  }
  for (const [name, start] of Object.entries(starts)) {
    const client = await start()
    started.push(client)
    clients.set(name, client)
  }
})

afterAll(() => {
  for (const client of started) client.close()
})

interface Running {
  readonly bootstrap: string
  readonly dataDirectory: string
  close(): Promise<void>
}

const brokers: Readonly<Record<string, () => Promise<Running>>> = {
  'our broker': async () => {
    const broker = await startBroker()
    return { bootstrap: broker.bootstrap, dataDirectory: broker.directory, close: () => broker.close() }
  },
  'Apache Kafka': async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pagelog-peers-'))
    const close = async (): Promise<void> => rm(directory, { recursive: true, force: true })
    try {
      const kafka = await startKafka({ directory, partitions: 1 })
      const { bootstrap, dataDirectory } = kafka
      return { bootstrap, dataDirectory: dataDirectory!, close: () => kafka.close().then(close) }
    } catch (error) {
      await close()
      throw error
    }
  },
}

describe.each(Object.keys(brokers))('through %s', (name) => {
  let broker: Running

  beforeAll(async () => {
    broker = await brokers[name]!()
  })

  afterAll(async () => {
    await broker?.close()
  })

  /** What `writer` writes is read here, and the same by `readers`. */
  async function exchange(writer: string, codec: CodecName, readers: readonly string[], level?: number): Promise<void> {
    const topic = `${writer}-${codec}${level === undefined ? '' : level < 0 ? `-m${-level}` : `-${level}`}`
    const { bootstrap, dataDirectory } = broker
    await using admin = new Admin({ bootstrap })
    await createTopics(admin, [{ topic, partitions: 1, replicationFactor: 1 }])
    const sent = sentBy(writer)
    await clients
      .get(writer)!
      .write({ bootstrap, topic, codec, records: sent, ...(level === undefined ? {} : { level }) })
    const stored = new Set(storedBatches(join(dataDirectory, `${topic}-0`)).map(({ compression }) => compression))
    // Batches that would not shrink some leave as they are.
    const foundCodecs = new Set([...stored].map(codecName))
    expect(foundCodecs.has(codec)).toBe(true)
    expect([...foundCodecs].filter((found) => found !== codec && found !== 'none')).toEqual([])
    const here = await ours.read({ bootstrap, topic, count: sent.length })
    expect(
      writer === 'kcat' ? here.map((record, at) => ({ ...record, timestamp: sent[at]!.timestamp })) : here,
    ).toEqual(sent)
    const reads = readers.map((reader) => clients.get(reader)!.read({ bootstrap, topic, count: sent.length }))
    for (const [at, found] of (await Promise.all(reads)).entries())
      expect([readers[at], found]).toEqual([readers[at], here])
  }

  describe.each(codecs)('%s', (codec) => {
    test.each(names)('of %s is read by all', async (writer) => {
      await exchange(writer, codec, others)
    })

    const withLevels = names.flatMap((writer) =>
      (levels[writer]![codec] ?? []).map((level) => [writer, level] as const),
    )
    if (withLevels.length > 0) {
      test.each(withLevels)('of %s at level %i as well', async (writer, level) => {
        await exchange(writer, codec, writer === 'pagelog' ? others : ['java'], level)
      })
    }
  })
})
