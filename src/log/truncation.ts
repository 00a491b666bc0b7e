/**
 * Gives up the end of a log, for a program that takes back what it appended and for a replica that follows another
 * leader. Appends stop meanwhile. The order makes a crash at any step leave a log that opens, with the old end, the new
 * one or one between:
 *
 *   recovery point lowered, on disk → readers see the new end → later segments removed, the newest first → the segment
 *   that holds the new end cut and synced, directory synced → epochs and snapshots brought to the new end
 *
 * What the producers were at the new end is found before anything goes: where the start of the log lies in the batch that
 * is cut, the batches before it, trimmed and still there, go with their segment.
 */
import { hasCode, PagelogError } from '../base/index.ts'
import type { Appender } from './appender.ts'
import { channels, publish } from './diagnostics.ts'
import { producersAt } from './log-replay.ts'
import type { LogState } from './log-state.ts'
import { encodeSnapshot } from './producer-snapshots.ts'
import type { ProducerState } from './producer-state.ts'
import { Segment } from './segment.ts'
import { assertCanChange, type EndOptions, type Writers } from './trimming.ts'

/** See `Log.truncateTo`. `forget` makes readers drop what they remember of positions. */
export function truncateTo(
  state: LogState,
  writers: Writers,
  offset: number,
  options: EndOptions & { readonly forget: () => void },
): Promise<number> {
  const { appender, flusher } = writers
  return state.structure.run(async () => {
    assertCanChange(state, options.signal)
    return await appender.exclusive(async () => {
      assertCanChange(state, options.signal)
      assertInRange(state, offset)
      if (offset === state.logEndOffset) {
        state.epochs.truncate(offset) // one that was begun and has nothing
        return offset
      }
      const formerEndOffset = state.logEndOffset
      const formerSize = state.segments.size
      const segment = state.segments.find(offset)
      const isSealed = segment !== state.segments.active
      await state.pin(segment)
      try {
        await flusher.exclusive(() => cut(state, segment, offset, options.forget))
      } finally {
        state.unpin(segment)
      }
      if (isSealed) await rollAfterCut(state, appender)
      const bytes = formerSize - state.segments.size
      const { logEndOffset } = state
      publish(channels.truncate, () => {
        return { directory: state.context.directory, logEndOffset, formerEndOffset, bytes }
      })
      return logEndOffset
    })
  })
}

/** A segment that was compacted has gaps, which the active one must not have. */
async function rollAfterCut(state: LogState, appender: Appender): Promise<void> {
  try {
    await appender.roll()
  } catch (error) {
    // The log was cut, so this is no failure: the next append needs the room, and is refused without it.
    if (!hasCode(error, 'PAGELOG_DISK_FULL')) throw error
    state.logger.warn({ err: error, directory: state.context.directory }, 'no room for the next segment')
  }
}

function assertInRange(state: LogState, offset: number): void {
  const path = state.context.directory
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `${offset} is not an offset`, { path })
  }
  if (offset < state.logStartOffset || offset > state.logEndOffset) {
    const message = `offset ${offset} is outside of ${state.logStartOffset} to ${state.logEndOffset}`
    throw new PagelogError('PAGELOG_OFFSET_OUT_OF_RANGE', message, { offset, path })
  }
}

/** Nothing else is synced meanwhile; it must not wait for room in the segment cache, which may wait for a sync. */
async function cut(state: LogState, segment: Segment, offset: number, forget: () => void): Promise<void> {
  const kept = await segment.before(offset)
  // The start of the log never goes back: its offsets are not given out again.
  const endOffset = Math.max(kept.nextOffset, state.logStartOffset)
  const producers = await producersAt(
    { context: state.context, segments: state.segments.all },
    state.snapshots,
    kept.nextOffset,
  )
  await lowerFirstDirty(state, endOffset)
  await lowerRecoveryPoint(state, endOffset)
  const fresh = endOffset === kept.nextOffset ? undefined : await beginAt(state, endOffset, producers)
  const { segments } = state
  const isSealed = segment !== segments.active
  const later = segments.removeLast(segments.count - 1 - segments.all.indexOf(segment))
  state.logEndOffset = endOffset
  state.writtenEndOffset = endOffset
  state.cuts++
  forget()
  try {
    await state.discarded.discard(later, 0)
    if (fresh === undefined) await segment.cutTo(kept)
    else await putInPlace(state, fresh)
    state.cuts++
    segment.isComplete = segment.size > 0 && (segment.isComplete || isSealed)
    state.producers.become(producers)
    await finish(state)
  } catch (error) {
    // From here on there is no way back: the next open finds the old end, the new one or one between.
    state.fail(error as Error)
    throw state.failure // a full disk as well: it must not be taken for a refusal that has changed nothing
  }
}

/** All that is left was trimmed already: the log goes on in a segment of its own. Nothing has changed if this rejects. */
async function beginAt(state: LogState, offset: number, producers: ProducerState): Promise<Segment> {
  const { snapshots } = state
  try {
    // The batches that say the same are about to go.
    await snapshots.take(offset, encodeSnapshot(producers))
    if (!snapshots.offsets.includes(offset)) {
      const path = snapshots.pathOf(offset)
      throw new PagelogError('PAGELOG_DISK_FULL', 'no room for a snapshot of the producers', { path })
    }
    return await Segment.create(state.context, offset).finally(() => {
      state.hasUnsyncedNames = true // a file that was removed again counts as well
    })
  } catch (error) {
    if (!hasCode(error, 'PAGELOG_DISK_FULL')) state.fail(error as Error)
    throw error
  }
}

async function putInPlace(state: LogState, fresh: Segment): Promise<void> {
  const { disk, directory } = state.context
  await disk.syncDirectory(directory)
  state.segments.add(fresh)
  await state.discarded.discard(state.segments.removeFirst(state.segments.count - 1), 0)
}

/** Everything else that speaks of batches which are gone. */
async function finish(state: LogState): Promise<void> {
  const { disk, directory } = state.context
  await disk.syncDirectory(directory)
  if (state.epochs.truncate(state.logEndOffset)) await state.epochs.save()
  await state.snapshots.removeBeyond(state.logEndOffset)
}

/** Nothing has changed yet when this rejects with PAGELOG_DISK_FULL. */
async function lowerRecoveryPoint(state: LogState, endOffset: number): Promise<void> {
  const former = state.recoveryPoint
  if (former <= endOffset) return
  state.recoveryPoint = endOffset
  try {
    await state.persist.recoveryPoint(endOffset)
  } catch (error) {
    if (hasCode(error, 'PAGELOG_DISK_FULL')) state.recoveryPoint = former
    else state.fail(error as Error)
    throw error
  }
}

/** What is appended behind the new end is not clean, whatever was there before. As `lowerRecoveryPoint`. */
async function lowerFirstDirty(state: LogState, endOffset: number): Promise<void> {
  const former = state.firstDirtyOffset
  if (former <= endOffset) return
  state.firstDirtyOffset = endOffset
  try {
    await state.persist.firstDirty(endOffset)
  } catch (error) {
    if (hasCode(error, 'PAGELOG_DISK_FULL')) state.firstDirtyOffset = former
    else state.fail(error as Error)
    throw error
  }
}
