/** What every test of this folder expects at its end, and tells. */
import { expect } from 'vitest'
import { SESSION_MS } from './fault-cluster.ts'
import type { Gap, Outcome } from './under-load.ts'

/** `unknown`: so many records were sent beside the load, and may have been refused. */
export function expectSound(outcome: Outcome, what: string, unknown = 0): void {
  console.log(`${what}: ${describeOutcome(outcome)}`)
  expect(outcome.violations, outcome.historyFile).toEqual([])
  expect(outcome.errors).toEqual([])
  expect(outcome.sent - outcome.acknowledged).toBeLessThanOrEqual(unknown)
}

export function describeOutcome({ acknowledged, sent, gaps, looseLost, looseAcknowledged }: Outcome): string {
  const loose = `with acks=1 ${looseLost} of ${looseAcknowledged} were lost`
  return `${acknowledged} of ${sent} were acknowledged; ${loose}; longest pauses ${describeGaps(gaps)}`
}

export function describeGaps(gaps: readonly Gap[]): string {
  const sorted = gaps.map(({ ms }) => Math.round(ms)).sort((a, b) => b - a)
  return sorted.length === 0 ? 'none' : `${sorted.slice(0, 5).join(', ')} ms of ${sorted.length}`
}

/** The session and what finding out and electing may take, on a machine three times as slow. */
export const UNAVAILABLE_MS_MAX: number = 3 * (SESSION_MS + 3_000)
