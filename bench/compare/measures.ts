/** What of a result can be compared: for each thing measured the values of its runs. Pure; any kind of result. */

import type { LinkedinResult } from '../linkedin/result.ts'
import type { FindMaxResult, LoadResult, LoadRun } from '../load/result.ts'
import type { MatrixResult } from '../matrix/result.ts'
import type { BenchResult, RunResult } from '../result.ts'
import { isRun, variantName } from '../result.ts'

export type AnyResult = BenchResult | LoadResult | FindMaxResult | MatrixResult | LinkedinResult

export const measures = ['rate', 'p50', 'p99', 'p99.9', 'max'] as const
export type MeasureName = (typeof measures)[number]

export interface Measured {
  /** Of which test and broker, which cell, which load. */
  readonly what: string
  readonly measure: MeasureName
  /** One for each run. */
  readonly values: readonly number[]
}

/** More is better of a rate, less of a latency. */
export function isBetterWhenHigher(measure: MeasureName): boolean {
  return measure === 'rate'
}

type Run = Pick<RunResult | LoadRun, 'recordsPerSecond' | 'latencyMs'>

function ofRuns(what: string, runs: readonly Run[], withRate = true): Measured[] {
  const of = (measure: MeasureName, value: (run: Run) => number | undefined): Measured => ({
    what,
    measure,
    values: runs.map(value).filter((one) => one !== undefined),
  })
  return [
    ...(withRate ? [of('rate', (run) => run.recordsPerSecond)] : []),
    of('p50', (run) => run.latencyMs?.p50),
    of('p99', (run) => run.latencyMs?.p99),
    of('p99.9', (run) => run.latencyMs?.p999),
    of('max', (run) => run.latencyMs?.max),
  ].filter(({ values }) => values.length > 0)
}

export function measuredIn(result: AnyResult): Measured[] {
  if (!('kind' in result)) {
    return result.results.flatMap((one) =>
      ofRuns(
        `${one.test} · ${variantName(one.target, one.driver)}`,
        one.runs.filter(isRun),
        !one.test.startsWith('end-to-end'),
      ),
    )
  }
  switch (result.kind) {
    case 'linkedin-2014':
      return result.results.flatMap((one) => {
        const { batchBytes, lingerMs, valueBytes } = one.settings
        const settings = `batch ${batchBytes}, linger ${lingerMs} ms, ${valueBytes} bytes`
        return measuredIn(one).map((measured) => ({ ...measured, what: `${measured.what} · ${settings}` }))
      })
    case 'load': {
      const runs = result.runs.filter(({ error }) => error === null)
      return ofRuns('load', runs)
    }
    case 'find-max':
      return result.maxRate === null ? [] : [{ what: 'find-max', measure: 'rate', values: [result.maxRate] }]
    case 'matrix':
      return result.cells.flatMap((cell) =>
        ofRuns(
          cell.id,
          cell.runs.filter(({ error }) => error === null),
        ),
      )
  }
}
