/** Two results line by line: what changed, and whether that is more than chance. Pure. */
import { median } from '../measure/statistics.ts'
import type { BenchResult } from '../result.ts'
import { type AnyResult, isBetterWhenHigher, type Measured, type MeasureName, measuredIn } from './measures.ts'
import { isBeyond, noiseBand } from './noise.ts'
import type { Rule } from './rules.ts'

export type Verdict = 'same' | 'better' | 'worse' | 'unknown'

export interface ComparedLine {
  readonly what: string
  readonly measure: MeasureName
  /** Medians; records a second or milliseconds. */
  readonly before: number
  readonly after: number
  /** 0.1: a tenth more. */
  readonly change: number
  /** What chance may do; null when there are too few runs to tell. */
  readonly band: number | null
  readonly verdict: Verdict
  /** How many before and after. */
  readonly runs: readonly [number, number]
}

export interface Comparison {
  readonly kind: 'comparison'
  readonly schemaVersion: 1
  readonly before: Origin
  readonly after: Origin
  /** What makes the two hard to compare. */
  readonly notes: readonly string[]
  readonly lines: readonly ComparedLine[]
  /** In one of the two only. */
  readonly missing: readonly string[]
  readonly failed: readonly {
    readonly what: string
    readonly measure: MeasureName
    readonly rule: string
    readonly change: number
  }[]
}

interface Origin {
  readonly command: string
  readonly startedAt: string
  readonly commit: string | null
}

export function compare(before: AnyResult, after: AnyResult, rules: readonly Rule[] = []): Comparison {
  const key = ({ what, measure }: Measured) => `${what}, ${measure}`
  const old = new Map(measuredIn(before).map((one) => [key(one), one]))
  const now = new Map(measuredIn(after).map((one) => [key(one), one]))
  const lines = [...old.values()].flatMap((one) => {
    const other = now.get(key(one))
    return other === undefined ? [] : [lineOf(one, other)]
  })
  const missing = [
    ...[...old.keys()].filter((name) => !now.has(name)).map((name) => `${name}: not in the second`),
    ...[...now.keys()].filter((name) => !old.has(name)).map((name) => `${name}: not in the first`),
  ]
  const failed = rules.flatMap((rule) =>
    lines
      .filter((line) => rule.measure === line.measure && breaks(rule, line))
      .map(({ what, measure, change }) => ({ what, measure, rule: rule.text, change })),
  )
  return {
    kind: 'comparison',
    schemaVersion: 1,
    before: originOf(before),
    after: originOf(after),
    notes: notesOf(before, after),
    lines,
    missing,
    failed,
  }
}

/** Beyond the rule's bound, and not by chance; where chance cannot be told the bound alone decides. */
function breaks(rule: Rule, line: ComparedLine): boolean {
  const isOver = rule.direction === '>' ? line.change > rule.change : line.change < rule.change
  return isOver && (line.band === null || isBeyond(line.change, line.band))
}

function lineOf(before: Measured, after: Measured): ComparedLine {
  const [old, now] = [median(before.values), median(after.values)]
  const change = now / old - 1
  const band = noiseBand(before.values, after.values)
  return {
    what: before.what,
    measure: before.measure,
    before: old,
    after: now,
    change,
    band,
    verdict: verdictOf(change, band, isBetterWhenHigher(before.measure)),
    runs: [before.values.length, after.values.length],
  }
}

function verdictOf(change: number, band: number | null, higherIsBetter: boolean): Verdict {
  if (band === null) return 'unknown'
  if (!isBeyond(change, band)) return 'same'
  return change > 0 === higherIsBetter ? 'better' : 'worse'
}

function originOf({ command, startedAt, commit }: AnyResult): Origin {
  return { command, startedAt, commit }
}

function notesOf(before: AnyResult, after: AnyResult): string[] {
  const notes: string[] = []
  for (const [name, of] of [
    ['CPU', ({ machine }: AnyResult) => `${machine.cores} × ${machine.cpu}`],
    ['memory', ({ machine }: AnyResult) => `${Math.round(machine.memoryBytes / 2 ** 30)} GiB`],
    ['kernel', ({ machine }: AnyResult) => machine.kernel],
    ['file system', ({ machine }: AnyResult) => machine.fileSystem],
    ['node', ({ machine }: AnyResult) => machine.node],
    // Older results do not name it.
    ['congestion control', ({ machine }: AnyResult) => machine.congestionControl ?? undefined],
  ] as const) {
    const [first, then] = [of(before), of(after)]
    if (first !== undefined && then !== undefined && first !== then)
      notes.push(`different ${name}: ${first}, then ${then}`)
  }
  if (JSON.stringify(settingsOf(before)) !== JSON.stringify(settingsOf(after))) notes.push('different settings')
  for (const [name, one] of [
    ['first', before],
    ['second', after],
  ] as const) {
    if (!one.complete) notes.push(`the ${name} is incomplete`)
    if (one.orientation) notes.push(`the ${name} is for orientation only`)
  }
  return notes
}

function settingsOf(result: AnyResult): unknown {
  if (!('kind' in result)) return comparable(result)
  if (result.kind === 'matrix') return result.workload
  return result.kind === 'linkedin-2014' ? result.results.map(comparable) : result.settings
}

/** Which tests there are is told line by line. */
function comparable({ settings }: BenchResult): unknown {
  return { ...settings, tests: [] }
}
