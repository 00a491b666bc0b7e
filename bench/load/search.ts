/**
 * Looks for the highest rate that still meets a goal: doubles until one fails (or halves until one passes), then
 * narrows the gap, until it is as small as asked or the trials are used up. Pure: what a trial is, is the caller's.
 */
export interface SearchOptions {
  readonly startRate: number
  readonly rateMax: number
  /** Done when the gap between passed and failed is at most this share of the passed rate. */
  readonly precision: number
  readonly trialsMax: number
}

export interface SearchOutcome {
  readonly passed: number | null
  readonly failed: number | null
}

const RATE_MIN = 1
const FACTOR = 2

/** The next rate to try; undefined when there is nothing more to find out. */
export function nextRate(outcome: SearchOutcome, options: SearchOptions): number | undefined {
  const { passed, failed } = outcome
  const { startRate, rateMax, precision } = options
  if (passed === null && failed === null) return Math.min(startRate, rateMax)
  if (failed === null) return passed! >= rateMax ? undefined : Math.min(rateMax, passed! * FACTOR)
  if (passed === null) return failed <= RATE_MIN ? undefined : Math.max(RATE_MIN, Math.floor(failed / FACTOR))
  if ((failed - passed) / passed <= precision) return undefined
  // By ratios, not by differences: rates span orders of magnitude.
  const middle = Math.round(Math.sqrt(passed * failed))
  return middle > passed && middle < failed ? middle : undefined
}

/** `tryRate` says whether the rate meets the goal; undefined ends the search (it was interrupted). */
export async function search(
  options: SearchOptions,
  tryRate: (rate: number) => Promise<boolean | undefined>,
): Promise<SearchOutcome> {
  let outcome: SearchOutcome = { passed: null, failed: null }
  for (let trial = 0; trial < options.trialsMax; trial++) {
    const rate = nextRate(outcome, options)
    if (rate === undefined) break
    const passed = await tryRate(rate)
    if (passed === undefined) break
    outcome = passed ? { ...outcome, passed: rate } : { ...outcome, failed: rate }
  }
  return outcome
}
