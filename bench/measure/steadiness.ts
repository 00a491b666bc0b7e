/**
 * Whether a rate has stopped rising, told by the rates of equal intervals from the beginning. A JVM gets faster for minutes while its
 * compilers work, in steps and with setbacks: what is flat, or falls, for half a minute may rise to three times as much after.
 * So the less the rates differ among each other, the fewer of them are enough, and once there are twelve the last six must not be more
 * than a tenth above the six before, whatever the last few look like. A rate that falls for a minute does not rise any more.
 */

interface Window {
  readonly intervals: number
  /** How far the mean of its second half may be above that of the first. */
  readonly rise: number
  /** How far any rate may be from the mean of all. */
  readonly band: number
}

const LONG: Window = { intervals: 12, rise: 0.1, band: Number.POSITIVE_INFINITY }
const WINDOWS: readonly Window[] = [
  // Next to no noise: what was warm from the start.
  { intervals: 4, rise: 0.05, band: 0.1 },
  { intervals: 6, rise: 0.1, band: 0.2 },
  LONG,
]

/** What a JVM that is warm still compiles, of its CPU; a fresh one spends a third on it. */
const COMPILING_MAX = 0.15
const COMPILING_INTERVALS = 3

/**
 * Of a JVM: steady over the long window, since a fresh one may be flat at a fifth of its rate for half a minute, and its compilers at rest
 * where that can be seen (`shares`, one for each interval that was). One that `wasWarm` under this load has to show only that it still is.
 */
export function isWarmJvm(rates: readonly number[], shares: readonly number[], wasWarm = false): boolean {
  if ((rates.length < LONG.intervals && !wasWarm) || !isSteady(rates)) return false
  return shares.length === 0 || mean(shares.slice(-COMPILING_INTERVALS)) <= COMPILING_MAX
}

export function isSteady(rates: readonly number[]): boolean {
  if (rates.length >= LONG.intervals && !holds(rates, LONG)) return false
  return WINDOWS.some((window) => holds(rates, window))
}

/** Of the last twelve, or as many as there are: the later half is more than a tenth above the earlier one. */
export function isRising(rates: readonly number[]): boolean {
  const half = Math.min(LONG.intervals, rates.length) >> 1
  return half === 0 || mean(rates.slice(-half)) > mean(rates.slice(-2 * half, -half)) * (1 + LONG.rise)
}

function holds(rates: readonly number[], { intervals, rise, band }: Window): boolean {
  if (rates.length < intervals) return false
  const last = rates.slice(-intervals)
  const middle = mean(last)
  const before = mean(last.slice(0, intervals / 2))
  const after = mean(last.slice(intervals / 2))
  // Who moves nothing at all is not steady.
  return before > 0 && after <= before * (1 + rise) && last.every((rate) => Math.abs(rate - middle) <= middle * band)
}

function mean(values: readonly number[]): number {
  return values.reduce((total, one) => total + one, 0) / values.length
}
