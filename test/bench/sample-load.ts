/** A load's result made by hand: runs with these rates and p99s. */
import { factsOf } from '../../bench/facts.ts'
import { readLoadLine } from '../../bench/load/options.ts'
import type { LoadResult, LoadRun } from '../../bench/load/result.ts'

export function loadRun(recordsPerSecond: number, p99: number, error: string | null = null): LoadRun {
  const latency = {
    count: 100,
    mean: p99 / 3,
    p50: p99 / 4,
    p90: p99 / 2,
    p99,
    p999: p99 * 2,
    p9999: p99 * 3,
    max: p99 * 4,
  }
  return {
    ...{ intended: 100, sent: 100, acknowledged: 100, failed: 0, unfinished: 0, seconds: 1 },
    ...{ recordsPerSecond, mebibytesPerSecond: recordsPerSecond / 10_000, latencyMs: latency, serviceTimeMs: latency },
    ...{ latenessMs: null, endToEndMs: null, overhead: null, verification: null, series: [], intervals: [] },
    ...{ processes: [], retries: 0, error },
  }
}

export function loadResult(rates: readonly number[], p99s: readonly number[]): LoadResult {
  const { settings } = readLoadLine(['--rate', '100'])!
  const startedAt = '2026-01-05T08:00:00.000Z'
  return {
    kind: 'load',
    schemaVersion: 1,
    ...factsOf({ startedAt, command: 'pagelog bench load', complete: true, orientation: false }),
    settings,
    placement: 'loopback',
    runs: rates.map((rate, index) => loadRun(rate, p99s[index]!)),
  }
}
