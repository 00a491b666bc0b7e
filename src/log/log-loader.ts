/**
 * Opens the files of a partition.
 *
 * After a clean shutdown nothing is walked but the end of the active segment, from its last index entry on: of the others
 * names and sizes are enough, their indexes are loaded when they are first read. The producers come from the newest
 * snapshot, which a clean close leaves at the end of the log.
 *
 * Otherwise it recovers (log-recovery.ts), which looks at what lies above the recovery point.
 *
 * Whatever is missing or damaged beside the `.log` files is built anew from them: indexes when their segment is next
 * loaded, snapshots and epochs at once. Only bytes of `.log` files that are damaged below the recovery point keep a log
 * from being opened: PAGELOG_CORRUPT; `repairLog` says what can be done.
 */
import { baseOffset, leaderEpoch } from '../record/index.ts'
import { endAtRecoveryPoint, readActiveEnd } from './active-end.ts'
import { EpochReplay } from './epoch-replay.ts'
import { baseOffsetOf, LEADER_EPOCH_FILE, segmentFileName, snapshotOffsetOf } from './file-names.ts'
import { FIRST_EPOCH, LeaderEpochCheckpoint } from './leader-epoch-checkpoint.ts'
import {
  checkedLogStart,
  damaged,
  type LoadedLog,
  type LoadOptions,
  listSegments,
  NOTHING_DONE,
  type Opening,
  removeTrimmed,
} from './log-opening.ts'
import { LogRecovery } from './log-recovery.ts'
import { replay } from './log-replay.ts'
import { PartitionFiles } from './partition-files.ts'
import { ProducerSnapshots } from './producer-snapshots.ts'
import { ProducerState } from './producer-state.ts'
import { Segment } from './segment.ts'
import { Segments } from './segments.ts'
import { finishSwaps } from './swap-files.ts'

/** Errors: PAGELOG_CORRUPT (synced bytes are damaged), PAGELOG_STORAGE. */
export async function loadLog(options: LoadOptions): Promise<LoadedLog> {
  const opening = await begin(options)
  if (opening.found.length === 0) return await beginLog(opening)
  const segments = listSegments(opening)
  const active = segments.at(-1)!
  const end = options.cleanShutdown ? await readActiveEnd(opening, segments) : await endAtRecoveryPoint(opening, active)
  if (end === undefined) return await new LogRecovery(opening, segments).run()
  active.setEnd(end)
  return await openClean(opening, segments)
}

async function begin(options: LoadOptions): Promise<Opening> {
  const { disk, directory } = options.context
  let files = options.files ?? (await PartitionFiles.scan(disk, directory))
  if (await finishSwaps(disk, directory, files.names)) files = await PartitionFiles.scan(disk, directory)
  const { names } = files
  const content = await files.contentOf(LEADER_EPOCH_FILE)
  const { epochs, isNew } = LeaderEpochCheckpoint.of(disk, `${directory}/${LEADER_EPOCH_FILE}`, content)
  const offsets = names.map(snapshotOffsetOf).filter((offset) => offset !== undefined)
  const newest = offsets.at(-1)
  const tail = newest === undefined ? undefined : await files.contentOf(segmentFileName(newest, '.snapshot'))
  const known = newest === undefined || tail === undefined ? undefined : { offset: newest, content: tail }
  const snapshots = new ProducerSnapshots(disk, directory, offsets, known)
  const found = names.map(baseOffsetOf).filter((offset) => offset !== undefined)
  return { ...options, files, found, snapshots, epochs, isNew }
}

/** A partition without a segment: a new one. */
async function beginLog(opening: Opening): Promise<LoadedLog> {
  const { context, logStartOffset, recoveryPoint, epochs, isNew, snapshots } = opening
  if (logStartOffset < recoveryPoint) {
    const path = `${context.directory}/${segmentFileName(logStartOffset, '.log')}`
    throw damaged(path, 0, logStartOffset, 'all of its segments are gone')
  }
  if (isNew) await epochs.assign(FIRST_EPOCH, logStartOffset)
  await snapshots.removeBeyond(-1)
  const segments = new Segments([await Segment.create(context, logStartOffset)])
  const begun = { segments, producers: new ProducerState(), snapshots, epochs, logStartOffset }
  return { ...begun, report: NOTHING_DONE, isUntouched: false }
}

/** Nothing is to be recovered. */
async function openClean(opening: Opening, segments: Segment[]): Promise<LoadedLog> {
  const { context, recoveryPoint, epochs, isNew, snapshots, logger } = opening
  const active = segments.at(-1)!
  const endOffset = active.nextOffset
  if (endOffset < recoveryPoint) {
    // A snapshot at the end is proof that the last process closed the log there.
    if (!snapshots.offsets.includes(endOffset)) {
      throw damaged(active.path, active.size, endOffset, 'the log ends before its recovery point')
    }
    logger.warn({ directory: context.directory, endOffset, recoveryPoint }, 'recovery point is beyond the log: ignored')
  }
  await snapshots.removeBeyond(endOffset)
  const producers = await replayMissing(opening, segments, endOffset)
  await snapshots.removeStray((offset) => opening.found.includes(offset))
  const logStartOffset = checkedLogStart(opening, endOffset)
  if (!opening.cleanShutdown) await removeTrimmed(segments, logStartOffset)
  const isCut = epochs.truncate(endOffset + 1)
  if (epochs.truncateStart(logStartOffset) || isCut || isNew) await epochs.save()
  const opened = { segments: new Segments(segments), producers, snapshots, epochs, logStartOffset }
  return { ...opened, report: NOTHING_DONE, isUntouched: opening.cleanShutdown && !snapshots.hasRemoved }
}

/** Producers by the newest snapshot and what follows it; with them the epochs, when their file was missing. */
async function replayMissing(
  opening: Opening,
  segments: readonly Segment[],
  endOffset: number,
): Promise<ProducerState> {
  const { context, snapshots, epochs, isNew } = opening
  const { offset, state } = await snapshots.loadLatest(endOffset, segments[0]!.baseOffset)
  const from = isNew ? 0 : offset
  if (from >= endOffset) return state
  const epochReplay = new EpochReplay(epochs, isNew)
  await replay({ context, segments, from, to: endOffset }, (bytes, at, batch) => {
    if (isNew) epochReplay.see(leaderEpoch(bytes, at), baseOffset(bytes, at))
    if (batch !== undefined && batch.lastOffset >= offset) state.replay(batch)
  })
  epochReplay.end()
  return state
}
