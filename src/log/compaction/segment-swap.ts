/**
 * Puts a segment that compaction wrote in the place of those it was made of. A crash at any step leaves a log with the
 * same newest record of every key:
 *
 *   1  side files `.cleaned` → `.swap`, directory synced     before: the next open removes all of it
 *   2  `.log.cleaned` → `.log.swap`, directory synced        from here on: the next open completes it
 *   3  in memory: readers find the new segment
 *   4  old files give up their names, directory synced       no old segment can be seen beside the new one
 *   5  side files `.swap` → final names, directory synced
 *   6  `.log.swap` → `.log`, directory synced                as long as `.log.swap` is there, 4 and 5 are done again
 *
 * What an open does with `<base>.log.swap`: it removes every segment whose base offset lies in [base, end of the swap
 * file's last batch] together with its side files, then does 5 and 6. Files with `.cleaned`, and side files with `.swap`
 * that have no `.log.swap`, are removed.
 */
import { hasCode, PagelogError } from '../../base/index.ts'
import { CLEANED_SUFFIX, SEGMENT_SIDE_SUFFIXES, SWAP_SUFFIX, segmentFileName } from '../file-names.ts'
import type { LogState } from '../log-state.ts'
import { OffsetIndex } from '../offset-index.ts'
import { Segment } from '../segment.ts'
import { TimeIndex } from '../time-index.ts'
import { TransactionIndex } from '../transaction-index.ts'
import type { CleanedSegment } from './cleaned-segment.ts'
import { readFailure } from './read-failure.ts'

/**
 * Within `state.structure`; `old` are neighbours in the log and synced. Error: PAGELOG_STORAGE, and the log is offline:
 * the next open finds the old segments or the new one.
 */
export async function swapSegments(state: LogState, old: readonly Segment[], cleaned: CleanedSegment): Promise<void> {
  const { disk, directory } = state.context
  const nameOf = (suffix: string): string => `${directory}/${segmentFileName(cleaned.baseOffset, suffix)}`
  const renameAll = async (suffixes: readonly string[], from: string, to: string): Promise<void> => {
    for (const suffix of suffixes) await disk.rename(`${nameOf(suffix)}${from}`, `${nameOf(suffix)}${to}`)
    await disk.syncDirectory(directory)
  }
  try {
    await renameAll(SEGMENT_SIDE_SUFFIXES, CLEANED_SUFFIX, SWAP_SUFFIX)
  } catch (error) {
    // Without room for a name nothing has changed that the next open, or the next attempt, would mind.
    if (hasCode(error, 'PAGELOG_DISK_FULL')) await dropCleaned(state, cleaned.baseOffset)
    else state.fail(error as Error)
    throw error
  }
  const fresh = await adopted(state, cleaned)
  try {
    await renameAll(['.log'], CLEANED_SUFFIX, SWAP_SUFFIX)
    state.segments.replace(old, fresh)
    await state.discarded.discard(old, 0)
    await disk.syncDirectory(directory)
    await renameAll(SEGMENT_SIDE_SUFFIXES, SWAP_SUFFIX, '')
    await renameAll(['.log'], SWAP_SUFFIX, '')
    state.unpin(fresh)
  } catch (error) {
    state.unpin(fresh)
    if (!state.segments.all.includes(fresh)) await fresh.unload().catch(() => {})
    state.fail(error as Error)
    throw error
  }
}

/**
 * The new segment, loaded before its log has a name that counts: until then there may be no descriptor for it, and nothing
 * has happened. Pinned until its files have their own names.
 */
async function adopted(state: LogState, cleaned: CleanedSegment): Promise<Segment> {
  try {
    return await loaded(state, cleaned)
  } catch (error) {
    await dropCleaned(state, cleaned.baseOffset)
    throw readFailure(error)
  }
}

async function loaded(state: LogState, cleaned: CleanedSegment): Promise<Segment> {
  const { disk, settings, directory } = state.context
  const { baseOffset, size, nextOffset } = cleaned
  const pathOf = (suffix: string): string => `${directory}/${segmentFileName(baseOffset, suffix)}${SWAP_SUFFIX}`
  const [offsets, times, transactions] = await Promise.all(
    SEGMENT_SIDE_SUFFIXES.map((suffix) => disk.readFile(pathOf(suffix))),
  )
  const bytesMax = settings.segmentIndexBytes
  const segment = Segment.listed(state.context, baseOffset, size, nextOffset)
  segment.pins = 1
  const indexes = {
    offsets: offsets && OffsetIndex.load(baseOffset, bytesMax, offsets, size),
    times: times && TimeIndex.load(baseOffset, bytesMax, times),
    transactions: transactions && TransactionIndex.load(bytesMax, transactions, baseOffset, nextOffset),
  }
  const logPath = `${directory}/${segmentFileName(baseOffset, '.log')}${CLEANED_SUFFIX}`
  segment.adopt(await disk.open(logPath, 'write'), indexes, cleaned)
  if (!segment.isLoaded) await segment.rebuildIndexes()
  return segment
}

/** Removes what the job wrote for `baseOffset`, side files that were renamed once included: it is not wanted any more. */
export async function dropCleaned(state: LogState, baseOffset: number): Promise<void> {
  const { disk, directory } = state.context
  for (const suffix of ['.log', ...SEGMENT_SIDE_SUFFIXES]) {
    const path = `${directory}/${segmentFileName(baseOffset, suffix)}`
    await disk.unlink(`${path}${CLEANED_SUFFIX}`)
    if (suffix !== '.log') await disk.unlink(`${path}${SWAP_SUFFIX}`)
  }
}

/**
 * Removes what aborted compactions could not. An open takes a `.cleaned` log with a base offset below that of a
 * `.log.swap` for a sign that a segment was being split, and then drops the latter: there must be none.
 */
export async function dropLeftovers(state: LogState): Promise<void> {
  const { disk, directory } = state.context
  for (const name of await disk.list(directory)) {
    if (name.endsWith(CLEANED_SUFFIX)) await disk.unlink(`${directory}/${name}`)
  }
}

/** Throws PAGELOG_ABORTED when one of `segments` is not the log's any more. */
export function assertStillThere(state: LogState, segments: readonly Segment[]): void {
  if (segments.every((segment) => !segment.isRetired && state.segments.all.includes(segment))) return
  const path = state.context.directory
  throw new PagelogError('PAGELOG_ABORTED', 'segments were removed while they were compacted', { path })
}
