/** Medians of a matrix's cells, and which of them nothing beats. Pure. */
import type { LoadRun } from '../load/result.ts'
import { median, summarize } from '../measure/statistics.ts'
import type { PlannedCell } from './plan.ts'
import type { Cell } from './result.ts'

export function cellOf({ id, settings }: PlannedCell, runs: readonly LoadRun[]): Cell {
  const good = runs.filter(({ error }) => error === null)
  const error = runs.find((run) => run.error !== null)?.error ?? null
  if (good.length === 0) {
    const nothing = { recordsPerSecond: null, low: null, high: null, mebibytesPerSecond: null, p50: null, p99: null }
    return { id, settings, runs, ...nothing, pareto: false, error }
  }
  const rates = summarize(good.map((run) => run.recordsPerSecond))
  const latency = (of: 'p50' | 'p99') => {
    const values = good.map((run) => run.latencyMs?.[of]).filter((value) => value !== undefined)
    return values.length === 0 ? null : median(values)
  }
  return {
    id,
    settings,
    runs,
    recordsPerSecond: rates.median,
    low: rates.low,
    high: rates.high,
    mebibytesPerSecond: median(good.map((run) => run.mebibytesPerSecond)),
    p50: latency('p50'),
    p99: latency('p99'),
    pareto: false,
    error,
  }
}

/** A cell is on the front when no other has as much throughput and as low a p99, and more of one of the two. */
export function withPareto(cells: readonly Cell[]): Cell[] {
  const known = cells.filter(({ mebibytesPerSecond, p99 }) => mebibytesPerSecond !== null && p99 !== null)
  const beats = (a: Cell, b: Cell) => {
    const [rateA, rateB] = [a.mebibytesPerSecond!, b.mebibytesPerSecond!]
    const [p99A, p99B] = [a.p99!, b.p99!]
    return rateA >= rateB && p99A <= p99B && (rateA > rateB || p99A < p99B)
  }
  return cells.map((cell) => ({
    ...cell,
    pareto: known.includes(cell) && !known.some((other) => other !== cell && beats(other, cell)),
  }))
}
