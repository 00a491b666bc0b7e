/** What the parts of an open share: what was asked for, what was found, what comes of it. */
import { type Logger, PagelogError } from '../base/index.ts'
import { segmentFileName } from './file-names.ts'
import type { LeaderEpochCheckpoint } from './leader-epoch-checkpoint.ts'
import type { PartitionFiles } from './partition-files.ts'
import type { ProducerSnapshots } from './producer-snapshots.ts'
import type { ProducerState } from './producer-state.ts'
import { Segment, type SegmentContext } from './segment.ts'
import type { Segments } from './segments.ts'

export interface RecoveryReport {
  /** Batches whose CRC was checked. */
  readonly batchesScanned: number
  readonly bytesDropped: number
  /** Why the log was cut; undefined when it was not. */
  readonly reason?: string
}

export interface LoadOptions {
  readonly context: SegmentContext
  readonly logger: Logger
  readonly logStartOffset: number
  readonly recoveryPoint: number
  readonly cleanShutdown: boolean
  /** Exclusive; compaction has not gone beyond it. Undefined when that is unknown. */
  readonly compactedEnd?: number | undefined
  /** What the caller has read of the directory already. */
  readonly files?: PartitionFiles
  /** Awaited before batches are cut off that had been written whole, and not only the end of a write under way. */
  readonly beforeCut?: () => Promise<void>
}

export interface LoadedLog {
  readonly segments: Segments
  readonly producers: ProducerState
  readonly snapshots: ProducerSnapshots
  readonly epochs: LeaderEpochCheckpoint
  /** That of the options, or of the first segment when that is none. */
  readonly logStartOffset: number
  readonly report: RecoveryReport
  /** Nothing was made or changed, so that all of it is on the device as the last process left it. */
  readonly isUntouched: boolean
}

export const NOTHING_DONE: RecoveryReport = { batchesScanned: 0, bytesDropped: 0 }

/** What has been opened so far. */
export interface Opening extends LoadOptions {
  readonly files: PartitionFiles
  /** By rising base offset. */
  readonly found: readonly number[]
  readonly snapshots: ProducerSnapshots
  readonly epochs: LeaderEpochCheckpoint
  /** The epochs are those of no file. */
  readonly isNew: boolean
}

/** One per `.log` file; those that are sealed end where the next one begins. */
export function listSegments(opening: Opening): Segment[] {
  const { context, files, found } = opening
  return found.map((offset, index) => {
    const size = files.sizeOf(segmentFileName(offset, '.log'))
    return Segment.listed(context, offset, size, found[index + 1] ?? offset)
  })
}

/**
 * Where the log starts. Segments before the start are removed as soon as it is on disk, so after a clean shutdown it
 * lies in the first one; a checkpoint that says otherwise is damaged, and must not hide what is there.
 */
export function checkedLogStart(opening: Opening, endOffset: number): number {
  const { logStartOffset, found, cleanShutdown, logger, context } = opening
  const first = found[0]!
  if (!cleanShutdown) return Math.max(first, Math.min(logStartOffset, endOffset))
  if (logStartOffset <= Math.min(endOffset, found[1] ?? endOffset)) return Math.max(first, logStartOffset)
  logger.warn({ directory: context.directory, logStartOffset, first }, 'log start is beyond the first segment: ignored')
  return first
}

/** A trim that was under way is completed: after a clean shutdown the start of a log has to lie in its first segment. */
export async function removeTrimmed(segments: Segment[], logStartOffset: number): Promise<void> {
  while (segments.length > 1 && segments[1]!.baseOffset <= logStartOffset) await segments.shift()!.remove()
}

export function damaged(path: string, position: number, offset: number, reason: string): PagelogError {
  const fields = { path, position, offset }
  return new PagelogError('PAGELOG_CORRUPT', `log is damaged below its recovery point: ${reason}`, fields)
}
