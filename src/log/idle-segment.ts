/** Unloads a segment of a log so that the directory stays within its limits; see segment-cache.ts for which and when. */
import { hasCode } from '../base/index.ts'
import type { Flusher } from './flusher.ts'
import type { LogState } from './log-state.ts'
import type { Segment } from './segment.ts'

/**
 * Unloads `segment` unless somebody uses it. Its indexes are written where their files are out of date, and its bytes
 * brought to the device: without its descriptor a failure of write-back would go unseen (reliability L5).
 */
export async function unloadIdle(state: LogState, flusher: Flusher, segment: Segment): Promise<void> {
  if (segment.pins > 0 || segment.isRetired || state.refusal() !== undefined) return
  if (!isSaved(state, segment)) {
    segment.pins++
    try {
      if (hasUnsavedIndexes(segment)) await saveIndexes(state, segment)
      await flusher.flush(segment.nextOffset)
    } finally {
      segment.unpin()
    }
  }
  // It may have been used meanwhile.
  if (segment.pins === 0 && isSaved(state, segment)) await segment.unload()
}

function isSaved(state: LogState, segment: Segment): boolean {
  return segment.nextOffset <= state.recoveryPoint && !hasUnsavedIndexes(segment) && !segment.hasUnsyncedIndexes
}

/** Those of an empty segment say nothing: a log that nobody has written to yet costs no files. */
function hasUnsavedIndexes(segment: Segment): boolean {
  return segment.size > 0 && segment.hasUnsavedIndexes
}

/** On a full disk there are none: they stay in memory. */
async function saveIndexes(state: LogState, segment: Segment): Promise<void> {
  try {
    await segment.saveIndexes()
    state.hasUnsyncedNames = true
  } catch (error) {
    if (!hasCode(error, 'PAGELOG_CLOSED')) state.fail(error as Error)
    throw error
  }
}
