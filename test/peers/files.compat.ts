/**
 * The files: segments written here are read by Kafka's DumpLogSegments and served by Apache Kafka; a directory written
 * by Apache Kafka, stopped or killed, opens here.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launchKafka, prepareKafka } from '../../bench/targets/kafka.ts'
import { waitForPort } from '../../bench/targets/ports.ts'
import type { Target, TargetOptions } from '../../bench/targets/target.ts'
import { defaultsOf } from '../../src/base/index.ts'
import { Admin, Producer } from '../../src/client/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { type Log, LogDirectory, logSettings } from '../../src/log/index.ts'
import { batchesOf } from '../../src/record/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import { createTopics } from './create-topics.ts'
import { consoleConsume, dumpLogSegments, tool } from './kafka-tools.ts'
import { endOffsets, type PlainRecord, readTopic } from './records.ts'
import { segmentFiles, storedBatches } from './stored-batches.ts'

const SEGMENT_BYTES = 1_048_576

let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-peers-'))
})

afterAll(async () => {
  if (directory !== undefined) await rm(directory, { recursive: true, force: true })
})

/** Keys, headers, nulls, small batches and large ones, one idempotent producer, several segments. */
async function fill(bootstrap: string, topic: string): Promise<PlainRecord[]> {
  await using producer = new Producer({ bootstrap, batchBytes: 16_384 })
  const written: PlainRecord[] = []
  for (let i = 0; i < 6_000; i++) {
    const key = i % 5 === 0 ? null : `key ${i % 100}`
    const value = i % 50 === 49 ? null : `value ${i} ${'x'.repeat(i % 1_000)}`
    const headers =
      i % 3 === 0
        ? [
            { key: 'number', value: `${i}` },
            { key: 'null', value: null },
          ]
        : []
    const timestamp = 1_700_000_000_000 + i
    if (!producer.hasRoom) await producer.ready()
    const delivery = producer.send({ topic, partition: 0, key, value, headers, timestamp })
    if (i % 250 === 0) await delivery
    written.push({
      partition: 0,
      offset: i,
      timestamp,
      key,
      value,
      headers: headers.map((h) => [h.key, h.value] as const),
    })
  }
  await producer.flush()
  return written
}

describe('written here', () => {
  const topic = 'written-here'
  let partitionDirectory: string
  let written: PlainRecord[]

  beforeAll(async () => {
    const logDirectory = join(directory, 'ours')
    const { bootstrap, close } = await startBroker({ directory: logDirectory })
    await using admin = new Admin({ bootstrap })
    const configs = { 'segment.bytes': `${SEGMENT_BYTES}`, 'index.interval.bytes': '2048' }
    await admin.createTopics([{ topic, configs }])
    written = await fill(bootstrap, topic)
    await admin.close()
    await close()
    partitionDirectory = join(logDirectory, `${topic}-0`)
  })

  test('DumpLogSegments reads every batch of every segment', async () => {
    const files = segmentFiles(partitionDirectory)
    expect(files.length).toBeGreaterThan(2)
    const { lines, complaints } = await dumpLogSegments(files, '--deep-iteration', '--print-data-log')
    expect(complaints).toBe('')
    const batches = lines.filter((line) => line.startsWith('baseOffset: '))
    const stored = storedBatches(partitionDirectory)
    expect(batches.map((line) => Number(/^baseOffset: (\d+)/.exec(line)?.[1]))).toEqual(stored.map((b) => b.baseOffset))
    expect(batches.filter((line) => !line.endsWith('isvalid: true'))).toEqual([])
    expect(batches.filter((line) => !/producerId: \d+ producerEpoch: 0 partitionLeaderEpoch: 0 /.test(line))).toEqual(
      [],
    )

    const records = lines.filter((line) => line.startsWith('| offset: '))
    expect(records.map(parseDumped)).toEqual(
      written.map(({ offset, timestamp, key, value, headers }) => {
        return { offset, timestamp, sequence: offset, headerKeys: headers.map(([name]) => name).join(','), key, value }
      }),
    )
  })

  test('its indexes agree with its segments', async () => {
    const indexes = [...segmentFiles(partitionDirectory, '.index'), ...segmentFiles(partitionDirectory, '.timeindex')]
    const [sane, verified] = await Promise.all([
      dumpLogSegments(indexes, '--index-sanity-check'),
      dumpLogSegments(indexes, '--verify-index-only'),
    ])
    const checked = indexes.flatMap((path) => [`Dumping ${path}`, `${path} passed sanity check.`])
    expect(sane).toEqual({ lines: checked, complaints: '' })
    expect(verified).toEqual({ lines: indexes.map((path) => `Dumping ${path}`), complaints: '' })
  })

  test('an index has an entry about every index.interval.bytes', async () => {
    const [first] = segmentFiles(partitionDirectory, '.index')
    const { lines } = await dumpLogSegments([first!])
    const entries = lines.filter((line) => /^offset: \d+ position: \d+$/.test(line))
    expect(entries.length).toBeGreaterThan(SEGMENT_BYTES / 16_384 / 2)
  })

  test('Apache Kafka serves it, and goes on writing to it', async () => {
    const options: TargetOptions = { directory: join(directory, 'adopting'), partitions: 1 }
    const { port, properties } = await prepareKafka(options)
    const start = async (): Promise<Target> => await started(options, port, properties)
    // Its metadata must know the topic: it makes an empty one first, whose place and id ours takes.
    let kafka = await start()
    try {
      await using admin = new Admin({ bootstrap: kafka.bootstrap })
      await createTopics(admin, [{ topic, configs: { 'segment.bytes': `${SEGMENT_BYTES}` } }])
    } finally {
      await kafka.close()
    }
    const place = join(kafka.dataDirectory, `${topic}-0`)
    const identity = await readFile(join(place, 'partition.metadata'))
    await rm(place, { recursive: true })
    await cp(partitionDirectory, place, { recursive: true })
    await writeFile(join(place, 'partition.metadata'), identity)

    kafka = await start()
    try {
      expect(await readTopic(kafka.bootstrap, topic)).toEqual(written)
      await using producer = new Producer({ bootstrap: kafka.bootstrap })
      expect(await producer.send({ topic, value: 'behind' })).toMatchObject({ offset: written.length })
      const from = { partition: 0, offset: `${written.length - 1}`, count: 2 }
      expect((await consoleConsume(kafka.bootstrap, topic, from)).map(({ value }) => value)).toEqual([
        written.at(-1)!.value,
        'behind',
      ])
      const log = await readFile(join(kafka.dataDirectory, '..', 'kafka.log'), 'utf8')
      expect(log.split('\n').filter((line) => /corrupt|rebuild|recover|truncat/i.test(line))).toEqual([])
    } finally {
      await kafka.close()
    }
  })
})

describe('written by Apache Kafka', () => {
  const count = 100_000
  let options: TargetOptions
  let prepared: { port: number; properties: string }
  let kafka: Target | undefined

  beforeAll(async () => {
    options = { directory: join(directory, 'kafka'), partitions: 1 }
    prepared = await prepareKafka(options)
    kafka = await start()
    await using admin = new Admin({ bootstrap: kafka.bootstrap })
    const configs = { 'segment.bytes': `${SEGMENT_BYTES * 4}` }
    await createTopics(
      admin,
      ['plain', 'packed', 'shapes'].map((topic) => ({ topic, configs })),
    )
    await fill(kafka.bootstrap, 'shapes')
    await Promise.all([perf('plain', 'compression.type=none'), perf('packed', 'compression.type=lz4')])
  })

  afterAll(async () => {
    await kafka?.close()
  })

  const start = (): Promise<Target> => started(options, prepared.port, prepared.properties)

  async function perf(topic: string, ...settings: string[]): Promise<void> {
    const args = ['--topic', topic, '--num-records', `${count}`, '--record-size', '100', '--throughput', '-1']
    const props = [`bootstrap.servers=${kafka!.bootstrap}`, 'acks=all', ...settings]
    await tool('org.apache.kafka.tools.ProducerPerformance', [...args, '--producer-props', ...props])
  }

  /** Opens a copy, so that one directory serves several tests. */
  async function openCopy(name: string): Promise<LogDirectory> {
    const path = join(directory, name)
    await cp(kafka!.dataDirectory, path, { recursive: true })
    return await LogDirectory.open({ env: nodeEnv(), path, defaults: defaultsOf(logSettings) })
  }

  test('a stopped directory opens as clean, with every batch', async () => {
    await kafka!.close()
    const logs = await openCopy('stopped')
    try {
      expect(logs.wasClean).toBe(true)
      expect(logs.nodeId).toBe(1)
      expect(logs.damaged.size).toBe(0)
      expect(
        logs
          .partitions()
          .map(({ topic }) => topic)
          .sort(),
      ).toEqual(['packed', 'plain', 'shapes'])
      for (const topic of ['plain', 'packed']) {
        const log = logs.get(topic, 0)!
        expect(log.recovery).toMatchObject({ batchesScanned: 0, bytesDropped: 0 })
        expect(await countRecords(log)).toBe(count)
      }
      expect(await countRecords(logs.get('shapes', 0)!)).toBe(6_000)
      const found = await logs.get('shapes', 0)!.offsetForTime(1_700_000_000_000 + 4_321)
      expect(found).toMatchObject({ offset: 4_321, timestamp: 1_700_000_004_321 })
    } finally {
      await logs.close()
    }
  })

  test('what we opened and closed again, Apache Kafka takes back', async () => {
    const logs = await openCopy('returned')
    await logs.close()
    await rm(kafka!.dataDirectory, { recursive: true })
    await cp(join(directory, 'returned'), kafka!.dataDirectory, { recursive: true })
    kafka = await start()
    for (const topic of ['plain', 'packed']) expect(await endOffsets(kafka.bootstrap, topic)).toEqual([count])
    expect(await readTopic(kafka.bootstrap, 'shapes')).toHaveLength(6_000)
  })

  test('a killed directory is recovered, with every batch', async () => {
    await perf('plain')
    process.kill(kafka!.pid, 'SIGKILL')
    await kafka!.failure.catch(() => {})
    const logs = await openCopy('killed')
    try {
      expect(logs.wasClean).toBe(false)
      expect(logs.damaged.size).toBe(0)
      const log = logs.get('plain', 0)!
      expect(log.recovery.batchesScanned).toBeGreaterThan(0)
      expect(log.recovery.bytesDropped).toBe(0)
      expect(await countRecords(log)).toBe(2 * count)
      expect(await countRecords(logs.get('packed', 0)!)).toBe(count)
    } finally {
      await logs.close()
    }
  })
})

/** Starts Apache Kafka on a prepared directory and waits until it serves. */
async function started(options: TargetOptions, port: number, properties: string): Promise<Target> {
  const target = await launchKafka(options, port, properties)
  try {
    await Promise.race([waitForPort(port, 60_000), target.failure])
  } catch (error) {
    await target.close()
    throw error
  }
  return target
}

/** Reads the log to its end as a broker would; every batch must follow the one before it and have its CRC. */
async function countRecords(log: Log): Promise<number> {
  let records = 0
  let next = log.logStartOffset
  while (next < log.logEndOffset) {
    const { regions } = await log.slice(next, 1 << 20, { minOneBatch: true })
    const parts: Uint8Array[] = []
    for (const region of regions) {
      const bytes = new Uint8Array(region.length)
      expect(await region.file.read(bytes, region.position)).toBe(region.length)
      parts.push(bytes)
      region.release()
    }
    for (const batch of batchesOf(Buffer.concat(parts))) {
      expect(batch.baseOffset).toBe(next)
      expect(batch.isValid()).toBe(true)
      next = batch.lastOffset + 1
      records += batch.recordCount
    }
  }
  return records
}

/** `| offset: 0 CreateTime: 17… keySize: -1 valueSize: 2 sequence: 0 headerKeys: [h1,h2] key: k payload: v` */
function parseDumped(line: string): unknown {
  const pattern =
    /^\| offset: (\d+) CreateTime: (\d+) keySize: (-?\d+) valueSize: (-?\d+) sequence: (-?\d+) headerKeys: \[(.*?)\](?: key: (.*?))?(?: payload: (.*))?$/
  const found = pattern.exec(line)
  if (found === null) throw new Error(`not what DumpLogSegments prints: ${line}`)
  const [, offset, timestamp, keySize, valueSize, sequence, headerKeys, key, value] = found
  return {
    offset: Number(offset),
    timestamp: Number(timestamp),
    sequence: Number(sequence),
    headerKeys,
    key: keySize === '-1' ? null : key,
    value: valueSize === '-1' ? null : value,
  }
}
