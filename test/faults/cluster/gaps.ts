/** Pauses in which nothing was acknowledged, by what had happened. */
import type { Gap } from './under-load.ts'

export interface Stretch {
  readonly fromMs: number
  readonly toMs: number
}

export interface SortedGaps {
  readonly single: readonly Gap[]
  readonly overlapping: readonly Gap[]
}

/** Apart: the pauses of single faults, and those that touch a stretch in which another fault came before one was over. */
export function sortGaps(gaps: readonly Gap[], overlaps: readonly Stretch[]): SortedGaps {
  const touches = ({ fromMs, ms }: Gap): boolean =>
    overlaps.some((stretch) => fromMs < stretch.toMs && fromMs + ms > stretch.fromMs)
  return { single: gaps.filter((gap) => !touches(gap)), overlapping: gaps.filter(touches) }
}
