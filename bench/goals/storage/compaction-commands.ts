/** Compaction of one log beside appends to another, in the same process as an application has both. */
import { mkdir } from 'node:fs/promises'
import { type Log, type LogDirectory, openLogDirectory } from '../../../src/log/index.ts'
import { LoopDelayMeter } from '../../measure/loop-delay.ts'
import { fillKeyed } from '../../micro/logs.ts'
import { Batches, recordsPerBatch } from '../../micro/records.ts'
import type { LoopDelay } from '../../result.ts'

const POOL_BYTES = 64 << 20
/** Appends not yet answered. */
const IN_FLIGHT = 16
/** What was appended is trimmed above this: else a long turn would measure the kernel's limit of dirty pages. */
const APPENDED_BYTES_MAX = 512 << 20
const APPENDED_SEGMENT_BYTES = 64 << 20

let logs: LogDirectory | undefined
let appended: Log | undefined
let keyed: Log | undefined
let batches: Batches | undefined
let count = 0

export interface CompactionSettings {
  readonly directory: string
  /** log.cleaner.io.max.bytes.per.second */
  readonly bytesPerSecond: number
}

/** Nothing is compacted unless it is asked for. */
export async function openCompaction({ directory, bytesPerSecond }: CompactionSettings): Promise<void> {
  await mkdir(directory, { recursive: true })
  const settings = { cleanerEnable: false, cleanerIoMaxBytesPerSecond: bytesPerSecond, fileDeleteDelayMs: 0 }
  logs = await openLogDirectory(directory, { settings })
  batches = new Batches({ poolBytes: POOL_BYTES, recordsPerBatch: recordsPerBatch() })
}

/** Fresh logs for the next turn: both turns append to a new one, so that the page cache's memory is used again. */
export async function prepareTurn({ keyedBytes }: { readonly keyedBytes: number }): Promise<void> {
  await dropLog('appended', appended)
  await dropLog('keyed', keyed)
  count++
  appended = await logs!.open(`appended-${count}`, { settings: { segmentBytes: APPENDED_SEGMENT_BYTES } })
  keyed = keyedBytes === 0 ? undefined : await fillKeyed(logs!, `keyed-${count}`, keyedBytes)
  await keyed?.flush()
}

async function dropLog(name: string, log: Log | undefined): Promise<void> {
  if (log !== undefined) await logs!.remove(`${name}-${count}`, 0)
}

export interface TurnOutput {
  readonly appendedBytesPerSecond: number
  readonly seconds: number
  readonly loopDelay: LoopDelay | null
  /** Bytes of segments that were compacted; 0 without compaction. */
  readonly inputBytes: number
  readonly keptShare: number
}

export interface TurnInput {
  /** Of appends alone; with a keyed log they go on until its compaction is done. */
  readonly milliseconds: number
}

/** Appends as fast as they are answered, alone or until the compaction that begins with them is done. */
export async function takeTurn({ milliseconds }: TurnInput): Promise<TurnOutput> {
  const meter = new LoopDelayMeter()
  const startedMs = performance.now()
  const log = appended!
  let isOver = false
  let bytes = 0
  let trimming: Promise<unknown> | undefined
  const trimWhenLarge = (): void => {
    if (trimming !== undefined || log.size < APPENDED_BYTES_MAX) return
    trimming = log.trimBefore(log.logEndOffset).finally(() => {
      trimming = undefined
    })
  }
  const write = async (): Promise<void> => {
    while (!isOver && (keyed !== undefined || performance.now() - startedMs < milliseconds)) {
      const batch = batches!.next()
      bytes += batch.length
      await log.append(batch)
      trimWhenLarge()
    }
  }
  const writing = Promise.all(Array.from({ length: IN_FLIGHT }, write))
  const report = await keyed?.compact().finally(() => {
    isOver = true
  })
  const compactedMs = performance.now() - startedMs
  await writing
  await trimming
  const seconds = (performance.now() - startedMs) / 1000
  return {
    appendedBytesPerSecond: bytes / seconds,
    seconds: report === undefined ? seconds : compactedMs / 1000,
    loopDelay: meter.stop(),
    inputBytes: report?.sizeBefore ?? 0,
    keptShare: report === undefined ? 1 : report.sizeAfter / report.sizeBefore,
  }
}

export async function closeCompaction(): Promise<void> {
  await logs?.close({ clean: false })
}
