/**
 * What of a log a compaction may touch, in Kafka's terms:
 *
 *   log start ── clean: one record a key ──► first dirty ── to be cleaned ──► end ── not yet ──► active segment
 *
 * The end is the base offset of a segment: nothing at or behind the active segment, the recovery point, the last stable
 * offset or min.compaction.lag.ms is touched.
 */
import type { LogState } from '../log-state.ts'
import { RELATIVE_OFFSET_MAX, type Segment } from '../segment.ts'

export interface CompactionPlan {
  readonly firstDirtyOffset: number
  /** Exclusive; the first dirty offset when there is nothing to clean. */
  readonly endOffset: number
  readonly cleanBytes: number
  /** Between the first dirty offset and the end. */
  readonly dirtyBytes: number
  /** Share of the dirty bytes, 0 to 1. */
  readonly dirtyRatio: number
  /** The oldest dirty record has waited max.compaction.lag.ms. */
  readonly isOverdue: boolean
}

export async function planCompaction(state: LogState): Promise<CompactionPlan> {
  const { segments, context } = state
  const { minCompactionLagMs } = context.settings
  const firstDirtyOffset = Math.max(state.firstDirtyOffset, state.logStartOffset)
  const nowMs = context.clock.nowMs()
  const unstable = state.producers.firstUnstableOffset ?? Number.POSITIVE_INFINITY
  const limit = Math.min(state.recoveryPoint, state.highWatermark, unstable)
  let endOffset = segments.first.baseOffset
  let cleanBytes = 0
  let dirtyBytes = 0
  let isOverdue = false
  for (const [index, segment] of segments.all.entries()) {
    const next = segments.all[index + 1]
    if (next === undefined || next.baseOffset > limit) break
    const isDirty = next.baseOffset > firstDirtyOffset
    if (isDirty) {
      await state.loadTimes(segment)
      if (minCompactionLagMs > 0 && segment.maxTimestamp > nowMs - minCompactionLagMs) break
      if (dirtyBytes === 0) isOverdue = await isOlder(state, segment, nowMs)
      dirtyBytes += segment.size
    } else cleanBytes += segment.size
    endOffset = next.baseOffset
  }
  const total = cleanBytes + dirtyBytes
  return {
    firstDirtyOffset,
    endOffset: Math.max(endOffset, firstDirtyOffset),
    cleanBytes,
    dirtyBytes,
    dirtyRatio: total === 0 ? 0 : dirtyBytes / total,
    isOverdue,
  }
}

/** Whether the first record of a segment has waited max.compaction.lag.ms. */
async function isOlder(state: LogState, segment: Segment, nowMs: number): Promise<boolean> {
  const { maxCompactionLagMs } = state.context.settings
  if (maxCompactionLagMs >= nowMs || segment.size === 0) return false
  if (segment.firstTimestamp < 0) {
    await state.pin(segment)
    state.unpin(segment)
  }
  return segment.firstTimestamp >= 0 && segment.firstTimestamp < nowMs - maxCompactionLagMs
}

/** Whether the active segment holds a record that has waited max.compaction.lag.ms, so that it has to be sealed. */
export function mustSealActive(state: LogState): boolean {
  const { active } = state.segments
  const { maxCompactionLagMs } = state.context.settings
  if (active.size === 0 || active.firstTimestamp < 0) return false
  return active.firstTimestamp < state.context.clock.nowMs() - maxCompactionLagMs
}

/**
 * Neighbours that together fit a segment become one: by their size, their indexes, and the offsets that an index can
 * hold. `endOffset`: of the last of `segments`.
 */
export function groupSegments(state: LogState, segments: readonly Segment[], endOffset: number): Segment[][] {
  const { segmentBytes, segmentIndexBytes, indexIntervalBytes } = state.context.settings
  const entryBytes = 12
  const groups: Segment[][] = []
  let group: Segment[] = []
  let bytes = 0
  let indexBytes = 0
  for (const [index, segment] of segments.entries()) {
    const nextBase = segments[index + 1]?.baseOffset ?? endOffset
    // About one entry an interval, and one a batch where batches are larger.
    const entries = Math.ceil(segment.size / Math.max(61, indexIntervalBytes)) * entryBytes
    const first = group[0]
    const fits =
      first !== undefined &&
      bytes + segment.size <= segmentBytes &&
      indexBytes + entries <= segmentIndexBytes &&
      nextBase - 1 - first.baseOffset <= RELATIVE_OFFSET_MAX
    if (!fits && first !== undefined) {
      groups.push(group)
      group = []
      bytes = 0
      indexBytes = 0
    }
    group.push(segment)
    bytes += segment.size
    indexBytes += entries
  }
  if (group.length > 0) groups.push(group)
  return groups
}
