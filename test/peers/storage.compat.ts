/**
 * The storage engine's files and Apache Kafka's: what either writes, stopped or killed, the other opens: transactions and
 * their index, producer snapshots, checkpoints, compacted logs. files.compat.ts has plain segments and their indexes.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { defaultsOf } from '../../src/base/index.ts'
import { Admin, Producer } from '../../src/client/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { type Log, LogDirectory, type LogSettings, logSettings } from '../../src/log/index.ts'
import { createTopics } from './create-topics.ts'
import { dumpLogSegments } from './kafka-tools.ts'
import { type Consumed, KafkaDirectory } from './storage/kafka-directory.ts'
import { kafkasView, ourView } from './storage/stored-state.ts'
import { segmentFiles, storedBatches } from './stored-batches.ts'

const SEGMENT_BYTES = 1_048_576
const ROUNDS = 30
const VALUE_BYTES = 40_000
const KEYS = 100
const KEYED_RECORDS = 8_000
const settings: LogSettings = { ...defaultsOf(logSettings), segmentBytes: SEGMENT_BYTES }

let directory: string
let kafka: KafkaDirectory
/** The transactions of Kafka's producers: what became of each record, and what Kafka's consumers read of them. */
let fates: Map<string, string>
let committed: Consumed

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-peers-'))
  kafka = await KafkaDirectory.prepare(join(directory, 'kafka'), { 'log.cleaner.backoff.ms': '200' })
  await kafka.start()
  await using admin = new Admin({ bootstrap: kafka.bootstrap })
  const configs = { 'segment.bytes': `${SEGMENT_BYTES}` }
  const compacting = { ...configs, 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.01' }
  await createTopics(admin, [
    { topic: 'transactional', configs },
    { topic: 'compacted', configs: compacting },
    // Places for what is written here.
    ...['our-transactional', 'our-compacted', 'our-killed'].map((topic) => ({ topic, configs })),
  ])
  fates = await kafka.transact('transactional', ROUNDS, VALUE_BYTES)
  committed = await kafka.consume('transactional', 'read_committed')
  await fillKeyed(async (key, value) => {
    await using producer = new Producer({ bootstrap: kafka.bootstrap })
    for (let i = 0; i < KEYED_RECORDS; i++) {
      if (!producer.hasRoom) await producer.ready()
      void producer.send({ topic: 'compacted', partition: 0, key: key(i), value: value(i) })
    }
    await producer.flush()
  })
  await vi.waitUntil(() => firstDirty(kafka.path, 'compacted') > 0, { timeout: 60_000, interval: 200 })
  await kafka.stop()
})

afterAll(async () => {
  await kafka?.stop()
  if (directory !== undefined) await rm(directory, { recursive: true, force: true })
})

/** Keys come round again and again; values name the record. */
async function fillKeyed(
  fill: (key: (i: number) => string, value: (i: number) => string) => Promise<void>,
): Promise<void> {
  const padding = 'x'.repeat(1_000)
  await fill(
    (i) => `key ${(i * 37) % KEYS}`,
    (i) => `${i} ${padding}`,
  )
}

function firstDirty(path: string, topic: string): number {
  const file = join(path, 'cleaner-offset-checkpoint')
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  return Number(new RegExp(`^${topic} 0 (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
}

/** Opens a copy of Kafka's directory, so that one serves several tests. */
async function openCopy(name: string): Promise<LogDirectory> {
  const path = join(directory, name)
  await cp(kafka.path, path, { recursive: true })
  return await openDirectory(path)
}

async function openDirectory(path: string): Promise<LogDirectory> {
  const settingsOf = (topic: string): LogSettings => {
    return topic.endsWith('compacted') ? { ...settings, cleanupPolicy: ['compact'] } : settings
  }
  const opened = await LogDirectory.open({ env: nodeEnv(), path, defaults: settings, settingsOf })
  expect([...opened.damaged]).toEqual([])
  return opened
}

const nameIn = (value: Uint8Array | null): string => new TextDecoder().decode(value ?? undefined).split(' ')[0]!

/** What a consumer with `isolation.level=read_committed` makes of the log. */
async function committedIn(log: Log): Promise<Consumed> {
  const end = log.lastStableOffset
  const aborted = await log.abortedTransactions(log.logStartOffset, end)
  const records: { offset: number; name: string }[] = []
  for await (const batch of log.read({ to: end })) {
    const isAborted = aborted.some(({ producerId, firstOffset, lastOffset }) => {
      return (
        batch.isTransactional && batch.producerId === producerId && within(batch.baseOffset, firstOffset, lastOffset)
      )
    })
    if (isAborted) continue
    for (const { offset, value } of batch) records.push({ offset, name: nameIn(value) })
  }
  return { records, end }
}

const within = (offset: number, first: number, last: number): boolean => offset >= first && offset <= last

/** The newest record of every key, by key. */
async function newestIn(log: Log): Promise<Map<string, string>> {
  const newest = new Map<string, string>()
  for await (const batch of log.read()) {
    for (const { key, value } of batch) newest.set(new TextDecoder().decode(key!), nameIn(value))
  }
  return newest
}

function expectedNewest(): Map<string, string> {
  const newest = new Map<string, string>()
  for (let i = 0; i < KEYED_RECORDS; i++) newest.set(`key ${(i * 37) % KEYS}`, `${i}`)
  return newest
}

const sorted = (map: Map<string, string>): [string, string][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))

/** Whole batches, as a segment file has them. */
function bytesOfBatches(partition: string): { bytes: Uint8Array; leaderEpoch: number }[] {
  return storedBatches(partition).map(({ bytes, position, sizeInBytes, leaderEpoch }) => {
    return { bytes: bytes.slice(position, position + sizeInBytes), leaderEpoch }
  })
}

/** Appends to a log of its own until it is killed; the offset up to which everything was answered. */
async function appendUntilKilled(path: string): Promise<number> {
  const script = fileURLToPath(new URL('../log/append-until-killed.mjs', import.meta.url))
  const child = spawn(process.execPath, [script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
    if (output.split('\n').length > 3_000) child.kill('SIGKILL')
  })
  await once(child, 'close')
  return Number(output.split('\n').slice(0, -1).at(-1)) + 1
}

describe('written by Apache Kafka', () => {
  test('its checkpoints, snapshots and indexes say to us what they say to Kafka', async () => {
    const view = await kafkasView(kafka.path)
    for (const kind of ['clean true', 'checkpoint recovery', 'checkpoint cleaner', 'epoch transactional-0']) {
      expect(
        view.some((line) => line.startsWith(kind)),
        kind,
      ).toBe(true)
    }
    expect(view.filter((line) => line.startsWith('snapshot transactional-0/')).length).toBeGreaterThan(10)
    expect(view.filter((line) => line.startsWith('aborted transactional-0/')).length).toBeGreaterThan(10)
    expect(view.filter((line) => line.startsWith('corrupt'))).toEqual([])
    expect(await ourView(kafka.path)).toEqual(view)
  })

  test('aborted and open transactions are known, and what is committed is what its consumers read', async () => {
    const logs = await openCopy('transactional')
    try {
      expect(logs.wasClean).toBe(true)
      const log = logs.get('transactional', 0)!
      expect(log.recovery).toMatchObject({ batchesScanned: 0, bytesDropped: 0 })
      expect(await committedIn(log)).toEqual(committed)
      const names = [...fates].filter(([, fate]) => fate === 'committed').map(([name]) => name)
      expect(committed.records.map(({ name }) => name)).toEqual(names.filter((name) => name !== 'behind-0'))
      expect(nameIn((await log.readAt(log.lastStableOffset))!.value)).toBe('left-0')
    } finally {
      await logs.close()
    }
  })

  test('the last batch of a producer is known as a duplicate, by its snapshot', async () => {
    const last = storedBatches(join(kafka.path, 'transactional-0'))
      .filter((batch) => !batch.isTransactional)
      .at(-1)!
    const logs = await openCopy('duplicates')
    try {
      const log = logs.get('transactional', 0)!
      const bytes = last.bytes.slice(last.position, last.position + last.sizeInBytes)
      expect(await log.appendBatch(bytes, log.leaderEpoch)).toMatchObject({
        duplicate: true,
        baseOffset: last.baseOffset,
      })
    } finally {
      await logs.close()
    }
  })

  test('what it has compacted has the newest record of every key, and can be compacted again', async () => {
    const logs = await openCopy('compacted')
    try {
      const log = logs.get('compacted', 0)!
      expect(log.logEndOffset).toBe(KEYED_RECORDS)
      expect(sorted(await newestIn(log))).toEqual(sorted(expectedNewest()))
      let records = 0
      for await (const batch of log.read()) records += batch.recordCount
      expect(records).toBeLessThan(KEYED_RECORDS / 2)
      await log.compact()
      expect(sorted(await newestIn(log))).toEqual(sorted(expectedNewest()))
      expect(log.size).toBeLessThan(SEGMENT_BYTES)
    } finally {
      await logs.close()
    }
  })

  test('killed, with a transaction open, it is recovered with all that is committed', async () => {
    await kafka.start()
    await kafka.transact('transactional', 5, 1_000)
    const before = await kafka.consume('transactional', 'read_committed')
    await kafka.kill()
    const logs = await openCopy('killed')
    try {
      expect(logs.wasClean).toBe(false)
      const log = logs.get('transactional', 0)!
      expect(log.recovery.bytesDropped).toBe(0)
      expect(await committedIn(log)).toEqual(before)
      committed = before
    } finally {
      await logs.close()
    }
  })
})

describe('written here', () => {
  let ours: string
  let newest: Map<string, string>

  beforeAll(async () => {
    ours = join(directory, 'ours')
    const logs = await openDirectory(ours)
    const transactional = await logs.create('our-transactional', 0)
    for (const { bytes, leaderEpoch } of bytesOfBatches(join(kafka.path, 'transactional-0'))) {
      await transactional.appendBatch(bytes, leaderEpoch)
    }
    const compacted = await logs.create('our-compacted', 0)
    await fillKeyed(async (key, value) => {
      for (let i = 0; i < KEYED_RECORDS; i += 20) {
        const batch = Array.from({ length: 20 }, (_, at) => ({
          key: Buffer.from(key(i + at)),
          value: Buffer.from(value(i + at)),
        }))
        await compacted.append(batch)
      }
    })
    await compacted.compact()
    newest = await newestIn(compacted)
    await logs.close()
  })

  test('its checkpoints, snapshots and indexes say to Kafka what they say to us', async () => {
    const view = await ourView(ours)
    expect(view).toContain('clean true')
    expect(view.filter((line) => line.startsWith('checkpoint cleaner')).length).toBe(1)
    expect(view.filter((line) => line.startsWith('snapshot our-transactional-0/')).length).toBeGreaterThan(5)
    expect(view.filter((line) => line.startsWith('corrupt'))).toEqual([])
    expect(await kafkasView(ours)).toEqual(view)
    // The same transactions were aborted, whatever the segments.
    const abortedIn = (lines: string[]): string[] =>
      lines.filter((line) => /^aborted .*transactional-0/.test(line)).map((line) => line.replace(/^aborted \S+ /, ''))
    expect(abortedIn(view)).toEqual(abortedIn(await kafkasView(kafka.path)))
  })

  test('DumpLogSegments has nothing to complain of', async () => {
    for (const topic of ['our-transactional', 'our-compacted']) {
      const partition = join(ours, `${topic}-0`)
      const { lines, complaints } = await dumpLogSegments(segmentFiles(partition), '--deep-iteration')
      expect(complaints).toBe('')
      const batches = lines.filter((line) => line.startsWith('baseOffset: '))
      expect(batches.length).toBe(storedBatches(partition).length)
      expect(batches.filter((line) => !line.endsWith('isvalid: true'))).toEqual([])
      const others = ['.index', '.timeindex', '.txnindex', '.snapshot'].flatMap((suffix) =>
        segmentFiles(partition, suffix),
      )
      expect((await dumpLogSegments(others)).complaints).toBe('')
      const indexes = others.filter((path) => /\.(?:time)?index$/.test(path))
      expect((await dumpLogSegments(indexes, '--index-sanity-check')).complaints).toBe('')
      expect((await dumpLogSegments(indexes, '--verify-index-only')).complaints).toBe('')
    }
  })

  test('Apache Kafka serves what was closed: committed records only to those who ask for that, compacted logs', async () => {
    // Down since it was killed; a clean end of its own comes first.
    await kafka.start()
    await kafka.stop()
    for (const topic of ['our-transactional', 'our-compacted']) await kafka.adopt(join(ours, `${topic}-0`), topic)
    await kafka.start()
    expect(await kafka.consume('our-transactional', 'read_committed')).toEqual(committed)
    const { records, end } = await kafka.consume('our-compacted', 'read_uncommitted')
    expect(end).toBe(KEYED_RECORDS)
    expect(records.map(({ name }) => name)).toEqual([...newest.values()].sort((a, b) => Number(a) - Number(b)))
    expect(await kafka.complaints()).toEqual([])
    await kafka.stop()
  })

  test('Apache Kafka recovers what a killed process left, and goes on writing', async () => {
    const left = join(directory, 'left')
    const answered = await appendUntilKilled(left)
    await kafka.adopt(join(left, 't-0'), 'our-killed')
    await rm(join(kafka.path, '.kafka_cleanshutdown'))
    await kafka.start()
    const { records, end } = await kafka.consume('our-killed', 'read_uncommitted')
    expect(end).toBeGreaterThanOrEqual(answered)
    expect(records).toEqual(Array.from({ length: end }, (_, offset) => ({ offset, name: `${offset}` })))
    await using producer = new Producer({ bootstrap: kafka.bootstrap })
    expect(await producer.send({ topic: 'our-killed', value: 'behind' })).toMatchObject({ offset: end })
    expect(await kafka.consume('our-transactional', 'read_committed')).toEqual(committed)
    await kafka.stop()
  })
})
