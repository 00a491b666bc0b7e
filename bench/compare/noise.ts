/**
 * How far two medians may lie apart by chance, from how far the runs of each lie apart. Logarithms are compared, so that
 * a half and a double are equally far. From the runs of both the deviation s of one run is pooled; the median of n runs
 * deviates by s·√e(n), the difference of two by s·√(e(a) + e(b)), and Student's t for the runs there are makes a band
 * of it in which nineteen of twenty repetitions of the same thing lie. No band without at least two runs of one side.
 */

/** Student's t, two-sided 95 %, by degrees of freedom from 1 on. */
const T95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
] as const
const T95_MANY = 1.96

/** Variance of the median of n normal values, of one value's. */
const MEDIAN_VARIANCE = [1, 1, 0.5, 0.449, 0.298, 0.287, 0.215, 0.21, 0.168, 0.166] as const

/** Clocks, counters and rounding: nothing is known better than this. */
const BAND_MIN = 0.005

export function medianVariance(runs: number): number {
  return MEDIAN_VARIANCE[runs] ?? Math.PI / 2 / runs
}

/** The share by which the medians may differ by chance, upwards; null when the runs cannot tell. */
export function noiseBand(before: readonly number[], after: readonly number[]): number | null {
  const freedom = Math.max(0, before.length - 1) + Math.max(0, after.length - 1)
  if (freedom === 0 || before.length === 0 || after.length === 0) return null
  if ([...before, ...after].some((value) => !(value > 0))) return null
  const squares = squaredDeviations(before) + squaredDeviations(after)
  const deviation = Math.sqrt(squares / freedom)
  const t = T95[freedom - 1] ?? T95_MANY
  const difference = t * deviation * Math.sqrt(medianVariance(before.length) + medianVariance(after.length))
  return Math.max(BAND_MIN, Math.exp(difference) - 1)
}

function squaredDeviations(values: readonly number[]): number {
  const logs = values.map(Math.log)
  const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length
  return logs.reduce((sum, value) => sum + (value - mean) ** 2, 0)
}

/** Whether a change, a share, is more than chance: downwards the band is as wide as upwards by logarithm. */
export function isBeyond(change: number, band: number): boolean {
  return Math.abs(Math.log(1 + change)) > Math.log(1 + band)
}
