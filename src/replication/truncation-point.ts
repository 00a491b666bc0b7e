/** Where a follower's log parts from its leader's (KIP-101, KIP-279). */
export interface EpochEnd {
  /** -1: unknown. */
  readonly epoch: number
  /** Exclusive. */
  readonly endOffset: number
}

/**
 * What a follower keeps. `theirs` is the leader's answer: the largest epoch, at most the one that it was asked for, that
 * it knows, and where that ended. `ours` is what the follower's own log says of that epoch, in the same way. Where the
 * follower does not know it, all of what it has of later epochs goes, and it has to ask again.
 */
export function truncationOffset(ours: EpochEnd, theirs: EpochEnd, logEndOffset: number): number {
  if (theirs.epoch < 0 || ours.epoch < 0) return Math.min(Math.max(0, theirs.endOffset), logEndOffset)
  if (ours.epoch !== theirs.epoch) return Math.min(ours.endOffset, logEndOffset)
  return Math.min(ours.endOffset, theirs.endOffset, logEndOffset)
}
