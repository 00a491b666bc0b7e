/** Numbers over repeated runs: median and spread, and ratios taken inside one run. */

export interface Summary {
  readonly median: number
  readonly low: number
  readonly high: number
}

/** The middle value, or the mean of the two in the middle. Requires at least one value. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('median of nothing')
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export function summarize(values: readonly number[]): Summary {
  return { median: median(values), low: Math.min(...values), high: Math.max(...values) }
}

/**
 * Ratios of interleaved runs: run i of one against run i of the other, for both met the same state of the machine.
 * Runs without a partner (a failed one, a cut end) are left out; undefined when none is left.
 */
export function pairedRatio(
  ours: readonly (number | undefined)[],
  theirs: readonly (number | undefined)[],
): Summary | undefined {
  const ratios: number[] = []
  for (let run = 0; run < Math.min(ours.length, theirs.length); run++) {
    const a = ours[run]
    const b = theirs[run]
    if (a !== undefined && b !== undefined && a > 0 && b > 0) ratios.push(a / b)
  }
  return ratios.length === 0 ? undefined : summarize(ratios)
}

/** The smallest value that at least `share` (0 to 1) of the values do not exceed. Requires at least one value. */
export function percentileOf(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('percentile of nothing')
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
}
