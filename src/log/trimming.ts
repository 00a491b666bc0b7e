/**
 * Gives up the start of a log. The new start is in the directory's checkpoint on disk before any segment below it goes,
 * so that a crash never brings some of them back behind a hole; segments go whole, from the oldest on. An offset inside
 * a segment only hides what is before it. What is given up is synced first: otherwise a power loss could leave a log that
 * ends before its start, and its offsets would be given out again.
 */
import { hasCode, PagelogError } from '../base/index.ts'
import { abortError } from './abort.ts'
import type { Appender } from './appender.ts'
import { channels, publish } from './diagnostics.ts'
import type { Flusher } from './flusher.ts'
import type { LogState } from './log-state.ts'
import type { Segment } from './segment.ts'

export interface Trimmed {
  readonly logStartOffset: number
  /** Segments that went. */
  readonly segments: number
  readonly bytes: number
}

/** The write side of a log. */
export interface Writers {
  readonly appender: Appender
  readonly flusher: Flusher
}

export interface EndOptions {
  /** Looked at until the change begins; once begun it is carried through. Error: PAGELOG_ABORTED. */
  readonly signal?: AbortSignal
}

/** See `Log.trimBefore`. */
export function trimBefore(
  state: LogState,
  writers: Writers,
  offset: number,
  options: EndOptions = {},
): Promise<Trimmed> {
  return state.structure.run(async () => {
    assertCanChange(state, options.signal)
    const { logStartOffset, logEndOffset } = state
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `${offset} is not an offset`, {
        path: state.context.directory,
      })
    }
    if (offset > logEndOffset) {
      const message = `offset ${offset} is beyond the end of the log at ${logEndOffset}`
      throw new PagelogError('PAGELOG_OFFSET_OUT_OF_RANGE', message, { offset, path: state.context.directory })
    }
    if (offset <= logStartOffset) return { logStartOffset, segments: 0, bytes: 0 }
    if (offset === logEndOffset) await sealActive(state, writers.appender)
    const trimmed = await raiseLogStart(state, writers.flusher, offset)
    publish(channels.trim, () => ({ directory: state.context.directory, ...trimmed }))
    return trimmed
  })
}

/** Nothing is left before the end: the next segment begins there, so that all before it can go. */
export async function sealActive(state: LogState, appender: Appender): Promise<void> {
  try {
    await appender.exclusive(() => appender.roll())
  } catch (error) {
    // Then its bytes stay until it is sealed in the ordinary way.
    if (!hasCode(error, 'PAGELOG_DISK_FULL')) throw error
    state.logger.warn({ err: error, directory: state.context.directory }, 'no room for the next segment')
  }
}

/** Within `state.structure`. Errors: PAGELOG_DISK_FULL (only whole segments went), PAGELOG_STORAGE. */
export async function raiseLogStart(state: LogState, flusher: Flusher, offset: number): Promise<Trimmed> {
  await flusher.flush(offset)
  const refusal = await persistStart(state, offset)
  const removed =
    refusal === undefined
      ? await removeBelow(state, offset, state.context.settings.fileDeleteDelayMs)
      : await trimFullDisk(state, flusher, { offset, refusal })
  await tidyStart(state)
  let bytes = 0
  for (const segment of removed) bytes += segment.size
  return { logStartOffset: state.logStartOffset, segments: removed.length, bytes }
}

/**
 * The checkpoint finds no room, and trimming is what makes some: where a log starts follows from its first segment as
 * well, so whole segments may go before the checkpoint says so. As long as it does not, a power loss must find neither a
 * hole nor no segment at all: each goes only once the name of the next is on the device and the one before it is gone
 * from there. After each the checkpoint is tried again.
 */
async function trimFullDisk(
  state: LogState,
  flusher: Flusher,
  { offset, refusal }: { offset: number; refusal: PagelogError },
): Promise<Segment[]> {
  const removed: Segment[] = []
  let missing: PagelogError | undefined = refusal
  while (missing !== undefined && countBelow(state, offset) > 0) {
    const boundary = state.segments.all[1]!.baseOffset
    await flusher.flush(boundary)
    state.logStartOffset = Math.max(state.logStartOffset, boundary)
    removed.push(...(await removeBelow(state, boundary, 0)))
    state.hasUnsyncedNames = true
    await flusher.flush(boundary)
    missing = await persistStart(state, offset)
  }
  if (missing !== undefined && state.logStartOffset < offset) throw missing
  return [...removed, ...(await removeBelow(state, offset, state.context.settings.fileDeleteDelayMs))]
}

/** On a full disk it gives the error: nothing has changed. */
async function persistStart(state: LogState, offset: number): Promise<PagelogError | undefined> {
  try {
    await state.persist.logStart(offset, () => {
      state.logStartOffset = offset
    })
    return undefined
  } catch (error) {
    if (hasCode(error, 'PAGELOG_DISK_FULL')) return error
    state.fail(error as Error)
    throw error
  }
}

/** A failure has taken the log offline. */
async function removeBelow(state: LogState, offset: number, delayMs: number): Promise<Segment[]> {
  const removed = state.segments.removeFirst(countBelow(state, offset))
  try {
    await state.discarded.discard(removed, delayMs)
  } catch (error) {
    throw state.failure ?? error // a full disk as well: it must not be taken for a refusal
  }
  return removed
}

/** Leading segments that hold nothing from `offset` on; never the active one. */
function countBelow(state: LogState, offset: number): number {
  const { all } = state.segments
  let count = 0
  while (count + 1 < all.length && all[count + 1]!.baseOffset <= offset) count++
  return count
}

/** Epochs and snapshots of what is gone: where they stay they do no harm. */
async function tidyStart(state: LogState): Promise<void> {
  try {
    if (state.epochs.truncateStart(state.logStartOffset)) await state.epochs.save()
    await state.snapshots.removeBefore(state.segments.first.baseOffset)
  } catch (error) {
    if (hasCode(error, 'PAGELOG_DISK_FULL')) return
    state.fail(error as Error)
    throw error
  }
}

/** Throws when the log was closed or failed meanwhile, or nobody wants the change any more. */
export function assertCanChange(state: LogState, signal: AbortSignal | undefined): void {
  state.assertOpen()
  if (signal?.aborted) throw abortError(signal, 'it was aborted before it began: nothing has changed')
}
