/** HDR logs of the tests of latency: a file for each run, by name. */
import { type BenchResult, isRun, variantName } from '../result.ts'
import { toHdrLog } from './text-files.ts'

export function latencyLogs(result: BenchResult, prefix = ''): Record<string, string> {
  const logs: Record<string, string> = {}
  for (const { test, target, driver, runs } of result.results) {
    const name = variantName(target, driver)
    for (const [i, run] of runs.entries()) {
      if (!isRun(run) || run.intervals === undefined || run.intervals.length === 0) continue
      const comment = `[microseconds from the call of send until the record is read; ${test}, ${name}, run ${i + 1}; ${result.command}]`
      logs[`${prefix}${test}-${name.replaceAll(/[^a-z0-9-]/g, '-')}-${i + 1}.hlog`] = toHdrLog(
        run.intervals,
        result.startedAt,
        comment,
      )
    }
  }
  return logs
}
