/** A log as `verify` looks at it: one that is open, or just its files. */
import type { Disk } from '../env/index.ts'
import {
  baseOffsetOf,
  LEADER_EPOCH_FILE,
  SEGMENT_SIDE_SUFFIXES,
  segmentFileName,
  snapshotOffsetOf,
} from './file-names.ts'
import { LeaderEpochCheckpoint } from './leader-epoch-checkpoint.ts'
import type { LogSettings } from './log-settings.ts'
import type { LogState } from './log-state.ts'
import { compactedEndOf } from './offset-order.ts'
import { PartitionFiles } from './partition-files.ts'
import type { Segment } from './segment.ts'
import { LogVerifier, type LogView, type SegmentView, type VerifyOptions } from './verify.ts'
import type { VerifyReport } from './verify-report.ts'

export interface VerifiedLog {
  readonly env: { readonly disk: Disk }
  readonly directory: string
  readonly settings: LogSettings
  /** `firstDirtyOffset` of a log that was compacted, if its policy is another by now: before it offsets may be missing. */
  readonly compactedEnd?: number
}

/**
 * Looks at the files of a log that nobody has open, one that refuses to open included; see `Log.verify`. Errors:
 * PAGELOG_ABORTED, PAGELOG_STORAGE.
 */
export async function verifyLog(log: VerifiedLog, options: VerifyOptions = {}): Promise<VerifyReport> {
  const { env, directory, settings, compactedEnd } = log
  return await new LogVerifier(await viewOfFiles(env.disk, directory, settings, compactedEnd), options).run()
}

/** `compactedEnd`: before which compaction has been there, where that is known. */
export async function viewOfFiles(
  disk: Disk,
  directory: string,
  settings: LogSettings,
  compactedEnd = 0,
): Promise<LogView> {
  const files = await PartitionFiles.scan(disk, directory)
  const bases = files.names.map(baseOffsetOf).filter((offset) => offset !== undefined)
  const segments = bases.map((baseOffset, index): SegmentView => {
    const name = segmentFileName(baseOffset, '.log')
    return {
      baseOffset,
      path: `${directory}/${name}`,
      size: files.sizeOf(name),
      isActive: index === bases.length - 1,
      isThere: () => true,
      index: (suffix) => files.contentOf(segmentFileName(baseOffset, suffix)),
    }
  })
  const content = await files.contentOf(LEADER_EPOCH_FILE)
  const { epochs, isNew } = LeaderEpochCheckpoint.of(disk, `${directory}/${LEADER_EPOCH_FILE}`, content)
  return {
    disk,
    directory,
    compactedEnd: compactedEndOf(settings, compactedEnd),
    indexBytesMax: settings.segmentIndexBytes,
    segments,
    epochs: isNew ? undefined : epochs.entries,
    snapshotOffsets: files.names.map(snapshotOffsetOf).filter((offset) => offset !== undefined),
  }
}

/** What is visible now. Index files are written when a segment is sealed: until they are, memory has them. */
export function viewOfState(state: LogState): LogView {
  const { context, segments, snapshots, epochs } = state
  return {
    disk: context.disk,
    directory: context.directory,
    compactedEnd: compactedEndOf(context.settings, state.firstDirtyOffset),
    indexBytesMax: context.settings.segmentIndexBytes,
    segments: segments.all.map((segment) => viewOfSegment(state, segment)),
    epochs: [...epochs.entries],
    snapshotOffsets: snapshots.offsets.filter((offset) => offset <= state.logEndOffset),
  }
}

function viewOfSegment(state: LogState, segment: Segment): SegmentView {
  const { disk, directory } = state.context
  const isActive = segment === state.segments.active
  const isSaved = !isActive && segment.nextOffset <= state.recoveryPoint && !segment.hasUnsyncedIndexes
  const held = [segment.offsetIndex, segment.timeIndex, segment.transactionIndex].map((index) => index?.content.slice())
  return {
    baseOffset: segment.baseOffset,
    path: segment.path,
    size: segment.size,
    isActive: !isSaved,
    isThere: () => !segment.isRetired && state.segments.all.includes(segment),
    index: async (suffix) => {
      if (!isSaved) return held[(SEGMENT_SIDE_SUFFIXES as readonly string[]).indexOf(suffix)]
      return await disk.readFile(`${directory}/${segmentFileName(segment.baseOffset, suffix)}`)
    },
  }
}
