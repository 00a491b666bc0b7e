/** A matrix as rows: for a terminal, CSV, Markdown. */
import { formatMs, formatRate, formatSeconds } from '../measure/progress.ts'
import { alignColumns } from '../report/table.ts'
import type { Cell as TextCell } from '../report/text-files.ts'
import { cellText, type Plan } from './plan.ts'
import type { Cell, MatrixResult } from './result.ts'
import { type Axis, axes, type Workload } from './workload.ts'

export function formatPlan(workload: Workload, plan: Plan, done: number): string {
  const lines = [
    `${workload.name}: ${plan.cells.length} cells × ${workload.runs} runs of ${workload.load.seconds} s, about ${formatSeconds(plan.seconds)}`,
    ...plan.varied.map((axis) => `  ${axis}: ${valuesOf(workload, axis).join(', ')}`),
  ]
  if (plan.skipped.length > 0) {
    const reasons = [...new Set(plan.skipped.map(({ why }) => why))].join('; ')
    lines.push(`  ${plan.skipped.length} combinations left out: ${reasons}`)
  }
  if (done > 0) lines.push(`  ${done} runs are there already: going on behind them (--fresh begins anew)`)
  return lines.join('\n')
}

export function valuesOf(workload: Workload, axis: Axis): string[] {
  return workload.matrix[axis].map((value) => (axis === 'acks' && value === -1 ? 'all' : String(value)))
}

export function variedIn({ workload }: MatrixResult): Axis[] {
  return axes.filter((axis) => workload.matrix[axis].length > 1)
}

export function formatMatrix(result: MatrixResult): string {
  const varied = variedIn(result)
  const rows = result.cells.map((cell) => [
    cell.pareto ? '*' : '',
    ...varied.map((axis) => cellText(axis, cell.settings)),
    ...figures(cell),
  ])
  const heads = ['', ...varied, 'records/s', 'low – high', 'MiB/s', 'p50', 'p99']
  const failures = result.cells.filter(({ error }) => error !== null)
  const { machine } = result
  return [
    ...alignColumns([heads, ...rows]),
    '',
    '*: nothing here has both more throughput and a lower p99',
    ...(result.cells.length < result.planned ? [`${result.cells.length} of ${result.planned} cells measured`] : []),
    ...failures.map(({ id, error }) => `FAILED ${id}: ${error?.split('\n')[0]}`),
    `${result.complete ? '' : 'INCOMPLETE. '}${result.orientation ? 'For orientation only. ' : ''}${result.placement}; ` +
      `${machine.cores} × ${machine.cpu}, ${machine.fileSystem}, ${machine.kernel}, node ${machine.node}`,
  ].join('\n')
}

export function figures(cell: Cell): string[] {
  if (cell.recordsPerSecond === null) return ['failed', '', '', '', '']
  return [
    formatRate(cell.recordsPerSecond),
    `${formatRate(cell.low!)} – ${formatRate(cell.high!)}`,
    cell.mebibytesPerSecond!.toFixed(1),
    cell.p50 === null ? '' : formatMs(cell.p50),
    cell.p99 === null ? '' : formatMs(cell.p99),
  ]
}

/** Numbers without units, all axes. */
export function matrixRows(result: MatrixResult): TextCell[][] {
  const head = [...axes, 'records/s', 'low', 'high', 'MiB/s', 'p50 ms', 'p99 ms', 'pareto', 'error']
  const rows = result.cells.map((cell) => [
    ...axes.map((axis) => cellText(axis, cell.settings)),
    cell.recordsPerSecond,
    cell.low,
    cell.high,
    cell.mebibytesPerSecond,
    cell.p50,
    cell.p99,
    String(cell.pareto),
    cell.error,
  ])
  return [head, ...rows]
}

export function matrixMarkdown(result: MatrixResult): TextCell[][] {
  const varied = variedIn(result)
  const rows = result.cells.map((cell) => [
    ...varied.map((axis) => cellText(axis, cell.settings)),
    ...figures(cell),
    cell.pareto ? '*' : '',
  ])
  return [[...varied, 'records/s', 'low – high', 'MiB/s', 'p50', 'p99', 'Pareto'], ...rows]
}
