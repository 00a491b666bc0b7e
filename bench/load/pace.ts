/**
 * Waiting for a point in time. Timers of an event loop are a millisecond coarse, which would be an error of ten per cent
 * in a latency of ten: the last of the wait is spent in turns of the loop instead. That takes a core at high rates, and
 * says so in the client's CPU; `coarse` does without and has its lateness in the result.
 */
import type { Clock } from '../../src/env/index.ts'

export type Pacing = 'precise' | 'coarse'

export interface Pace {
  /** Milliseconds of a clock that never goes back. */
  nowMs(): number
  /** Resolves at `atMs` of that clock or a little later. */
  until(atMs: number): Promise<void>
}

/** A timer of whole milliseconds may be so much late: what is left after it is spun away. */
const TIMER_SLACK_MS = 1

export function nodePace(pacing: Pacing): Pace {
  return {
    nowMs: () => performance.now(),
    until: (atMs) =>
      new Promise((resolve) => {
        const leftMs = atMs - performance.now()
        if (pacing === 'coarse') {
          setTimeout(resolve, Math.max(1, leftMs))
          return
        }
        const spin = () => {
          if (performance.now() >= atMs) resolve()
          else setImmediate(spin)
        }
        if (leftMs >= TIMER_SLACK_MS + 1) setTimeout(spin, Math.floor(leftMs - TIMER_SLACK_MS))
        else setImmediate(spin)
      }),
  }
}

/** Sums of fractions may fall short of a time by less than a clock can tell: a step that it can. */
const CLOCK_STEP_MS = 0.001

/** For tests in virtual time. */
export function clockPace(clock: Clock): Pace {
  return {
    nowMs: () => clock.monotonicMs(),
    until: (atMs) =>
      new Promise((resolve) => clock.after(Math.max(CLOCK_STEP_MS, atMs - clock.monotonicMs()), resolve)),
  }
}
