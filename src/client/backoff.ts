/** Exponential back-off with jitter, as KIP-580: `base` doubled with each failure, ± 20 %, never above `max`. */
import type { Clock, Random } from '../env/index.ts'

const JITTER = 0.2
const DOUBLINGS_MAX = 30

/** Milliseconds to wait after the `failures`-th failure in a row (1 the first). */
export function backoffMs(failures: number, baseMs: number, maxMs: number, random: Random): number {
  const doubled = baseMs * 2 ** Math.min(Math.max(failures - 1, 0), DOUBLINGS_MAX)
  return Math.min(maxMs, doubled * (1 - JITTER + 2 * JITTER * random.fraction()))
}

/**
 * Returns until when to wait, by the monotonic clock, and calls `over` then, never before: the time is read first, so a
 * thread that stands still between the two only comes later.
 */
export function waitOut(clock: Clock, pauseMs: number, over: () => void): number {
  const untilMs = clock.monotonicMs() + pauseMs
  clock.after(pauseMs, over)
  return untilMs
}
