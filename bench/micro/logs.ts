/** Logs with something in them, for what reads, looks up and opens. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Log, type LogDirectory, type LogSettings, openLogDirectory } from '../../src/log/index.ts'
import { BATCH_HEADER_BYTES, BatchWriter } from '../../src/record/index.ts'
import { randomBytes } from '../drivers/payloads.ts'
import { Batches, type BatchesOptions, Values } from './records.ts'

export const LOG_NAME = 'records'
/** Appends under way at once: enough that no write waits for the loop. */
const IN_FLIGHT = 16

export interface FilledLog {
  readonly logs: LogDirectory
  readonly log: Log
  readonly recordsPerBatch: number
}

export interface FillOptions extends BatchesOptions {
  readonly logBytes: number
  readonly settings?: Partial<LogSettings>
}

/** A log of at least `logBytes` in a new log directory. */
export async function fillLog(directory: string, options: FillOptions): Promise<FilledLog> {
  const { settings } = options
  const logs = await openLogDirectory(directory, settings === undefined ? {} : { settings })
  const log = await logs.open(LOG_NAME)
  const batches = new Batches(options)
  await appendUntil(log, batches, options.logBytes)
  return { logs, log, recordsPerBatch: options.recordsPerBatch }
}

/** Of a log to be compacted: many segments, as a log that is compacted for its size has. */
const KEYED_SEGMENT_BYTES = 64 << 20
/** Batches of about 64 KiB. */
const RECORDS_PER_KEYED_BATCH = 500
const KEY_BYTES = 16
/** 2026-01-01: a fixed time. */
const KEYED_TIMESTAMP_MS = 1_767_225_600_000
/** What a record takes there, key and value and the rest. */
const KEYED_RECORD_BYTES = 127
/** On average, so that about a quarter is kept. */
const RECORDS_PER_KEY = 4

/**
 * A log with cleanup.policy=compact, keys drawn evenly by a seeded generator: what is kept lies everywhere, thinly in the
 * oldest segment and thickly in the newest.
 */
export async function fillKeyed(logs: LogDirectory, name: string, logBytes: number): Promise<Log> {
  const settings = { cleanupPolicy: ['compact'], segmentBytes: KEYED_SEGMENT_BYTES }
  const log = await logs.open(name, { settings })
  const keys = Math.ceil(logBytes / KEYED_RECORD_BYTES / RECORDS_PER_KEY)
  const values = new Values(KEYED_SEGMENT_BYTES)
  const draws = new Uint32Array(randomBytes(RECORDS_PER_KEYED_BATCH * 4, 7).buffer)
  const batchBytes = BATCH_HEADER_BYTES + RECORDS_PER_KEYED_BATCH * (KEYED_RECORD_BYTES + 1)
  let queued = 0
  const append = async (): Promise<void> => {
    const writer = new BatchWriter(new Uint8Array(batchBytes))
    while (queued < logBytes) {
      writer.reset()
      for (let i = 0; i < RECORDS_PER_KEYED_BATCH; i++) {
        // A step of a linear congruential generator for each of 500 independent sequences.
        const draw = (Math.imul(draws[i]!, 1_664_525) + 1_013_904_223) >>> 0
        draws[i] = draw
        const key = Buffer.from(String(Math.floor((draw / 2 ** 32) * keys)).padStart(KEY_BYTES, '0'), 'latin1')
        writer.append(KEYED_TIMESTAMP_MS + queued, key, values.next())
      }
      const batch = writer.finish()
      queued += batch.length
      await log.append(batch)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, append))
  return log
}

/** Appends whole batches until the log has `logBytes`. */
export async function appendUntil(log: Log, batches: Batches, logBytes: number): Promise<void> {
  const inFlight = Math.min(IN_FLIGHT, batches.length)
  let queued = log.size
  const append = async (): Promise<void> => {
    while (queued < logBytes) {
      const batch = batches.next()
      queued += batch.length
      await log.append(batch)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, append))
}

/** What a crash leaves, at its worst: nothing was ever synced, so that everything has to be checked. */
export async function forgetRecoveryPoint(directory: string): Promise<void> {
  await rm(join(directory, 'recovery-point-offset-checkpoint'), { force: true })
}
