/**
 * What a goal is: a line of an area, measured now and held against its figure. A part holds the lines that are measured
 * together and takes at most a quarter of an hour.
 */
import type { Progress } from '../measure/progress.ts'
import type { Scratch } from '../process/scratch.ts'

export interface GoalLine {
  readonly id: string
  readonly pass: boolean
  readonly measured: string
  readonly goal: string
  /** How it was measured, and what else is worth knowing. */
  readonly how: string
}

export interface GoalContext {
  readonly scratch: Scratch
  readonly signal: AbortSignal
  readonly progress: Progress
  readonly runs: number
  /** Lines are printed as they come, not at the end. */
  readonly report: (line: GoalLine) => void
}

export interface GoalPart {
  readonly name: string
  readonly title: string
  readonly run: (context: GoalContext) => Promise<void>
}

export interface GoalArea {
  readonly name: string
  readonly parts: readonly GoalPart[]
}

export function formatLine(line: GoalLine): string {
  return `${line.pass ? 'PASS ' : 'SHORT'}  ${line.id}  ${line.measured}  (goal ${line.goal})  ${line.how}`
}
