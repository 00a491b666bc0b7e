/** What a log says of itself: for metrics, tests and people. */
import type { LogState } from './log-state.ts'

export interface LogStats {
  readonly logStartOffset: number
  readonly logEndOffset: number
  /** Exclusive; everything before it is on the device. */
  readonly recoveryPoint: number
  /** Bytes of all batches. */
  readonly size: number
  readonly segments: number
  /** Segments whose file is open. */
  readonly openSegments: number
  /** Memory of the indexes that are loaded. */
  readonly indexBytes: number
  /** Producer ids known. */
  readonly producers: number
  readonly openTransactions: number
  /** Files of removed segments that wait for file.delete.delay.ms. */
  readonly filesToDelete: number
  /** Since the log was opened: batches appended, their bytes, the writes and the fdatasync calls that they took. */
  readonly appends: number
  readonly appendedBytes: number
  readonly writes: number
  readonly syncs: number
}

export interface LogDirectoryStats {
  readonly logs: number
  /** Partitions that could not be opened. */
  readonly damaged: number
  readonly size: number
  readonly segments: number
  readonly openSegments: number
  readonly indexBytes: number
  readonly producers: number
  readonly appends: number
  readonly appendedBytes: number
  readonly writes: number
  readonly syncs: number
}

export function statsOf(state: LogState): LogStats {
  let openSegments = 0
  let indexBytes = 0
  for (const segment of state.segments.all) {
    if (segment.isOpen) openSegments++
    indexBytes += segment.indexBytes
  }
  return {
    logStartOffset: state.logStartOffset,
    logEndOffset: state.logEndOffset,
    recoveryPoint: Math.min(state.recoveryPoint, state.logEndOffset),
    size: state.segments.size,
    segments: state.segments.count,
    openSegments,
    indexBytes,
    producers: state.producers.size,
    openTransactions: state.producers.openTransactions,
    filesToDelete: state.discarded.count,
    ...state.counters,
  }
}

/** The sum of what the logs of a directory say. */
export function sumStats(logs: Iterable<LogStats>, damaged: number): LogDirectoryStats {
  const state = { size: 0, segments: 0, openSegments: 0, indexBytes: 0, producers: 0 }
  const sum = { ...state, appends: 0, appendedBytes: 0, writes: 0, syncs: 0 }
  const names = Object.keys(sum) as (keyof typeof sum)[]
  let count = 0
  for (const log of logs) {
    count++
    for (const name of names) sum[name] += log[name]
  }
  return { logs: count, damaged, ...sum }
}
