/** What every test of this folder expects at its end, and tells. */
import { expect } from 'vitest'
import { SESSION_MS } from './fault-cluster.ts'
import type { SortedGaps } from './gaps.ts'
import type { Gap, Outcome } from './under-load.ts'
import { SLACK } from './watched-cluster.ts'

/** What a session, and finding out and electing after it, may take (D1); a test allows SLACK times that. */
export const UNAVAILABLE_MS: number = SESSION_MS + 3_000

/** `unknown`: so many records were sent beside the load, and may have been refused. */
export function expectSound(outcome: Outcome, what: string, unknown = 0): void {
  console.log(`${what}: ${describeOutcome(outcome)}`)
  // First: a consumer that an error has ended is stuck as well.
  expect(outcome.errors, outcome.historyFile).toEqual([])
  expect(outcome.violations, outcome.historyFile).toEqual([])
  expect(outcome.sent - outcome.acknowledged).toBeLessThanOrEqual(unknown)
}

export function describeOutcome(outcome: Outcome): string {
  const { acknowledged, sent, gaps, looseLost, looseAcknowledged, longestHealMs, seenMs } = outcome
  const loose = `with acks=1 ${looseLost} of ${looseAcknowledged} were lost`
  const healed = `in sync again after ${Math.round(longestHealMs)} ms at most, all read ${Math.round(seenMs)} ms after the end`
  return `${acknowledged} of ${sent} were acknowledged; ${loose}; longest pauses ${describeGaps(gaps)}; ${healed}`
}

export function describeGaps(gaps: readonly Gap[]): string {
  const sorted = gaps.map(({ ms }) => Math.round(ms)).sort((a, b) => b - a)
  return sorted.length === 0 ? 'none' : `${sorted.slice(0, 5).join(', ')} ms of ${sorted.length}`
}

/** Bounds the pauses of single faults by D1's limit. */
export function expectAvailable({ single, overlapping }: SortedGaps): void {
  const limit = `${UNAVAILABLE_MS} ms are promised, ${SLACK} times that allowed`
  console.log(`single faults: ${describeGaps(single)} (${limit}); overlapping ones: ${describeGaps(overlapping)}`)
  expect(Math.max(0, ...single.map(({ ms }) => ms))).toBeLessThan(SLACK * UNAVAILABLE_MS)
}
