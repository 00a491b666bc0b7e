/** What the tests of compaction share: keyed batches, transactions, and reading a log back as a table. */
import type { Disk, Workers } from '../../src/env/index.ts'
import { inThreadWorkers } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { SeededRandom, VirtualClock } from '../../src/env/simulated/index.ts'
import { Log, type LogOptions, type LogSettings } from '../../src/log/index.ts'
import {
  ATTRIBUTES_AT,
  BatchWriter,
  batchesOf,
  Compression,
  crc32c,
  decompressBatch,
  deleteHorizonMs,
  loadCodec,
  RecordBatch,
  setCrc,
} from '../../src/record/index.ts'
import { bytesOf, defaults } from './support.ts'

export const HOUR_MS = 3_600_000

export interface Producer {
  readonly id: number
  readonly epoch?: number
  readonly sequence: number
  readonly transactional?: boolean
}

/** Key and value; a value of null is a tombstone. */
export type Pair = readonly [key: string | null, value: string | null]

const bytes = (text: string | null): Uint8Array | null => (text === null ? null : Buffer.from(text))

export function pairs(records: readonly Pair[], timestampMs: number, producer?: Producer): Uint8Array {
  const writer = new BatchWriter(new Uint8Array(1 << 20))
  for (const [key, value] of records) writer.append(timestampMs, bytes(key), bytes(value))
  if (producer === undefined) return writer.finish().slice()
  const { id, epoch = 0, sequence, transactional = false } = producer
  return writer.finish({ producerId: id, producerEpoch: epoch, baseSequence: sequence, transactional }).slice()
}

/** The end of a transaction. */
export function marker(id: number, isCommit: boolean, timestampMs: number, epoch = 0): Uint8Array {
  const writer = new BatchWriter(new Uint8Array(200))
  writer.append(timestampMs, Buffer.from([0, 0, 0, isCommit ? 1 : 0]), Buffer.from([0, 0, 0, 0, 0, 7]))
  const batch = writer.finish({ producerId: id, producerEpoch: epoch, baseSequence: -1, transactional: true }).slice()
  return withAttribute(batch, 0x20)
}

/** Says that it is compressed, with records nobody can read: what compaction makes of codecs it does not know. */
export function compressed(records: readonly Pair[], timestampMs: number): Uint8Array {
  return withAttribute(pairs(records, timestampMs), Compression.ZSTD)
}

function withAttribute(batch: Uint8Array, bits: number): Uint8Array {
  batch[ATTRIBUTES_AT + 1] = batch[ATTRIBUTES_AT + 1]! | bits
  setCrc(batch, 0, crc32c(batch, ATTRIBUTES_AT, batch.length))
  return batch
}

export interface Machine {
  readonly disk: Disk
  readonly clock: VirtualClock
  readonly workers: Workers
  readonly random: SeededRandom
}

/** A world of its own, its time in the test's hands. */
export function machineOn(disk: Disk = memoryDisk(), clock = new VirtualClock(), seed = 1): Machine {
  return { disk, clock, workers: inThreadWorkers({ disk, clock }), random: new SeededRandom(seed) }
}

export const compactSettings: LogSettings = {
  ...defaults,
  cleanupPolicy: ['compact'],
  segmentBytes: 1000,
  indexIntervalBytes: 100,
  fileDeleteDelayMs: 0,
  retentionMs: -1,
}

export async function openCompacted(machine: Machine, options: Partial<LogOptions> = {}): Promise<Log> {
  const directory = '/log'
  await machine.disk.makeDirectory(directory)
  const fixed = { env: machine, directory, recoveryPoint: 0, cleanShutdown: true }
  return await Log.open({ settings: compactSettings, ...fixed, ...options })
}

export interface Stored {
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
}

/** Every batch of the log, from the first to the last. */
export async function batchesIn(log: Log): Promise<RecordBatch[]> {
  const batches: RecordBatch[] = []
  let next = log.logStartOffset
  while (next < log.logEndOffset) {
    const slice = await log.slice(next, 1 << 20, { minOneBatch: true })
    if (slice.byteLength === 0) break
    for (const batch of batchesOf(await bytesOf(slice.regions))) {
      if (!batch.isValid()) throw new Error(`batch at ${batch.baseOffset} is damaged`)
      if (batch.lastOffset < next) continue
      batches.push(batch)
      next = batch.lastOffset + 1
    }
  }
  return batches
}

async function openBatch(batch: RecordBatch): Promise<RecordBatch | undefined> {
  if (batch.compression === Compression.NONE) return batch
  const bytes = batch.bytes.subarray(batch.position, batch.position + batch.sizeInBytes)
  try {
    return new RecordBatch(decompressBatch(bytes, await loadCodec(batch.compression), 1 << 20), 0)
  } catch {
    return undefined
  }
}

/** Records of data batches; batches that cannot be opened are left out. */
export async function recordsIn(log: Log): Promise<Stored[]> {
  const stored: Stored[] = []
  for (const batch of await batchesIn(log)) {
    const plain = batch.isControl ? undefined : await openBatch(batch)
    if (plain === undefined) continue
    for (const { offset, key, value } of plain) {
      if (offset >= log.logStartOffset) stored.push({ offset, key: textOf(key), value: textOf(value) })
    }
  }
  return stored
}

/** The newest value of each key that is not deleted. */
export async function tableOf(log: Log): Promise<Record<string, string>> {
  const table = new Map<string, string>()
  for (const { key, value } of await recordsIn(log)) {
    if (key === null) continue
    if (value === null) table.delete(key)
    else table.set(key, value)
  }
  return Object.fromEntries([...table].sort(([a], [b]) => (a < b ? -1 : 1)))
}

export function horizonOf(batch: RecordBatch): number {
  return deleteHorizonMs(batch.bytes, batch.position)
}

function textOf(content: Uint8Array | null): string | null {
  return content === null ? null : Buffer.from(content).toString()
}
