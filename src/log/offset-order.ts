/**
 * Whether the offsets of a batch are those of its place in the log: the one rule of recovery and `verify`. No CRC covers
 * a base offset, so that what leaves a gap is only believed where compaction may have left one and the batch behind does
 * not say otherwise.
 */
import type { LogSettings } from './log-settings.ts'
import { RELATIVE_OFFSET_MAX } from './segment.ts'

export const OffsetOrder = { RIGHT: 0, GAP: 1, WRONG: 2 } as const
export type OffsetOrder = (typeof OffsetOrder)[keyof typeof OffsetOrder]

export interface BatchPlace {
  /** Exclusive end of the batch before. */
  readonly nextOffset: number
  /** Of the segment. */
  readonly baseOffset: number
  /** Compaction may have been here. */
  readonly mayHaveGaps: boolean
}

/**
 * Before this offset (exclusive) batches may be missing in the active segment as well: a compacted segment that was cut
 * ends its log until the next is begun, and its policy may be another by then. `firstDirtyOffset`: 0 when unknown.
 */
export function compactedEndOf(settings: Pick<LogSettings, 'cleanupPolicy'>, firstDirtyOffset = 0): number {
  return settings.cleanupPolicy.includes('compact') ? Number.POSITIVE_INFINITY : firstDirtyOffset
}

/** GAP: `isContradicted` decides. */
export function orderOf(first: number, last: number, place: BatchPlace): OffsetOrder {
  if (first < place.nextOffset || last < first || last - place.baseOffset > RELATIVE_OFFSET_MAX) {
    return OffsetOrder.WRONG
  }
  if (first === place.nextOffset) return OffsetOrder.RIGHT
  return place.mayHaveGaps ? OffsetOrder.GAP : OffsetOrder.WRONG
}

/** Whether the batch, or segment, behind begins before one that leaves a gap and ends at `last`: that one's offset is damaged. */
export function isContradicted(last: number, followingOffset: number | undefined): boolean {
  return followingOffset !== undefined && followingOffset <= last
}
