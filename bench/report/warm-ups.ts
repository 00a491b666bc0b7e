/** For how long targets were warmed before they were measured, in words, and what that makes of a ratio. */
import type { WarmUpResult } from '../result.ts'
import { targetTitles } from './variants.ts'

/** `Apache Kafka warmed for 96 s, steady`, or `Apache Kafka still rising after 180 s: its figure is too low`. */
export function warmUpText({ target, seconds, steady }: WarmUpResult): string {
  const title = targetTitles[target]
  return steady
    ? `${title} warmed for ${seconds} s, steady`
    : `${title} still rising after ${seconds} s: its figure is too low`
}

/** Behind a ratio against what was not warm. */
export const NOT_WARM = ' (not warm)'
