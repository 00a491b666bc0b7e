/** The results of micro-benchmarks as a table: a block for each, pagelog first, what it is times the others beside. */
import type { Machine } from '../measure/machine.ts'
import { formatMs, formatRate } from '../measure/progress.ts'
import type { MicroOutcome } from './micro.ts'
import type { Scale } from './scale.ts'

export interface MicroRow {
  readonly name: string
  readonly title: string
  readonly subject: string
  readonly outcome: MicroOutcome | null
  readonly error: string | null
}

export interface MicroResult {
  readonly schema: 1
  readonly command: string
  readonly startedAt: string
  readonly commit: string | null
  readonly machine: Machine
  readonly scale: Scale
  readonly poolThreads: number
  /** Names and versions; null when none was measured. */
  readonly peers: string | null
  readonly complete: boolean
  readonly rows: readonly MicroRow[]
}

/** `2.10 M rec/s  200 MiB/s  p50 / p99 0.021 / 0.034 ms`. */
export function summaryOf({ outcome, error }: MicroRow): string {
  if (outcome === null) return `FAILED ${error?.split('\n')[0]}`
  const latency = latencyOf(outcome)
  return [figureOf(outcome), throughputOf(outcome), latency === '' ? '' : `p50 / p99 / p99.9 ${latency}`]
    .filter((part) => part !== '')
    .join('  ')
}

export function formatMicroTable(result: MicroResult): string {
  const header = ['', 'rate or time', '±', 'MiB/s', 'p50 / p99 / p99.9', 'pagelog is', '']
  const blocks = [...new Set(result.rows.map(({ name }) => name))].map((name) =>
    result.rows.filter((row) => row.name === name),
  )
  const cells = [header, ...blocks.flatMap((rows) => rows.map((row) => rowCells(row, rows[0]!)))]
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  const lines: string[] = [joinCells(header, widths)]
  for (const rows of blocks) {
    lines.push('', `${rows[0]!.name}: ${rows[0]!.title}`)
    for (const row of rows) lines.push(joinCells(rowCells(row, rows[0]!), widths))
  }
  return [...lines, '', footer(result)].join('\n')
}

function rowCells(row: MicroRow, own: MicroRow): string[] {
  const { outcome } = row
  const name = `  ${row.subject}`
  if (outcome === null) return [name, 'failed', '', '', '', '', row.error?.split('\n')[0] ?? '']
  return [
    name,
    figureOf(outcome),
    outcome.marginPercent === null ? '' : `${outcome.marginPercent.toFixed(1)} %`,
    outcome.mebibytesPerSecond === null ? '' : outcome.mebibytesPerSecond.toFixed(1),
    latencyOf(outcome),
    row === own || own.outcome === null ? '' : `${ratio(own.outcome, outcome).toFixed(2)} ×`,
    Object.entries(outcome.details)
      .map(([key, value]) => `${key} ${Number(value.toPrecision(3))}`)
      .join(', '),
  ]
}

/** How many times better the first is. */
function ratio(own: MicroOutcome, other: MicroOutcome): number {
  return own.unit === 'ms' ? other.value / own.value : own.value / other.value
}

function figureOf({ value, unit }: MicroOutcome): string {
  if (unit === 'ms') return formatMs(value)
  return unit === 'MiB/s' ? `${value.toFixed(1)} MiB/s` : `${formatRate(value)} ${unit}`
}

function throughputOf({ mebibytesPerSecond }: MicroOutcome): string {
  return mebibytesPerSecond === null ? '' : `${mebibytesPerSecond.toFixed(1)} MiB/s`
}

function latencyOf({ latencyMs }: MicroOutcome): string {
  if (latencyMs === null) return ''
  const { p50, p99, p999 } = latencyMs
  return `${p50.toFixed(3)} / ${p99.toFixed(3)} / ${p999.toFixed(3)} ms`
}

function joinCells(cells: readonly string[], widths: readonly number[]): string {
  const last = cells.length - 1
  return cells
    .map((cell, column) =>
      column === 0 || column === last ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
    )
    .join('  ')
    .trimEnd()
}

function footer({ scale, machine, commit, peers, poolThreads, complete }: MicroResult): string {
  const notes = [
    complete ? '' : 'INCOMPLETE. ',
    scale.name === 'full' ? '' : `Scale "${scale.name}": for orientation only. `,
  ]
  return (
    `${notes.join('')}100-byte values; ${scale.timeMs} ms a benchmark after ${scale.warmUpMs} ms of warm-up, each subject in a process ` +
    `of its own with ${poolThreads} pool threads; ${machine.cores} × ${machine.cpu}, ${machine.fileSystem}, ${machine.kernel}, ` +
    `node ${machine.node}${peers === null ? '' : `, ${peers}`}${commit === null ? '' : `, commit ${commit}`}`
  )
}
