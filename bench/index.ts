/**
 * bench: measures Kafka-compatible brokers; see docs/benchmarks.md for how.
 *
 *   import { formatTable, runBench } from 'pagelog/bench'
 *   const result = await runBench({ settings, command: 'my program' })
 *   console.log(formatTable(result))
 *
 * `result.schema.json` describes the result; `renderReport` makes one HTML page of it.
 */
export { type AskedSettings, type BenchOptions, runBench } from './bench.ts'
export { readCommandLine } from './options.ts'
export { renderReport } from './report/html.ts'
export { formatTable } from './report/table.ts'
export {
  allTests,
  type BenchResult,
  type BenchSettings,
  type FailedRun,
  type LimitResult,
  type RatioResult,
  type RunResult,
  type TestId,
  type TestResult,
} from './result.ts'
