/** Results of a load and of find-max are what the published schema says; their files can be read again. */
import * as hdr from 'hdr-histogram-js'
import { expect, test } from 'vitest'
import { whyNot } from '../../../bench/load/command.ts'
import { IntervalLatency } from '../../../bench/load/intervals.ts'
import { loadMarkdown, loadRows, renderLoadReport } from '../../../bench/load/report.ts'
import type { FindMaxResult } from '../../../bench/load/result.ts'
import { formatFindMax, formatLoad } from '../../../bench/load/table.ts'
import { toHdrLog } from '../../../bench/report/text-files.ts'
import { loadResult, loadRun } from '../sample-load.ts'
import { schemaErrors } from '../suite-schema.ts'

const load = loadResult([1000, 1100], [10, 12])

function findMax(): FindMaxResult {
  const { runs, ...rest } = load
  const goal = { percentile: 'p99', milliseconds: 10 } as const
  const trials = runs.map((run, index) => ({
    rate: 1000 * (index + 1),
    passed: index === 0,
    why: index === 0 ? '' : '12 ms',
    run,
  }))
  return { ...rest, kind: 'find-max', goal, maxRate: 1000, tooHigh: 2000, trials }
}

test('both are valid, and what is no result is not', () => {
  expect(schemaErrors(load)).toEqual([])
  expect(schemaErrors(findMax())).toEqual([])
  expect(schemaErrors({ ...load, runs: [{}] }).length).toBeGreaterThan(0)
  expect(schemaErrors({ ...load, more: 1 }).length).toBeGreaterThan(0)
})

test('tables, rows and pages of both', async () => {
  expect(formatLoad(load)).toMatch(/run 1\n1.0 k records\/s/)
  expect(formatFindMax(findMax())).toContain('1.0 k records/s with p99 of at most 10.0 ms; 2.0 k is too much')
  // Latency and service time of two runs, and the head.
  expect(loadRows(load)).toHaveLength(1 + 2 * 2)
  expect(loadMarkdown(load)).toHaveLength(1 + 2 * 2)
  for (const result of [load, findMax()]) {
    const html = await renderLoadReport(result)
    expect(html).toContain('<svg')
    expect(html).not.toMatch(/NaN|>undefined|<script/)
  }
})

test('a rate passes when latency and rate are held, and says why not otherwise', () => {
  const goal = { percentile: 'p99', milliseconds: 10 } as const
  const run = { ...loadRun(1000, 9), intended: 10_000 }
  expect(whyNot(run, 10, goal)).toBeUndefined()
  expect(whyNot({ ...run, intended: 11_000 }, 10, goal)).toBe('the rate was not reached')
  expect(whyNot({ ...loadRun(1000, 11), intended: 10_000 }, 10, goal)).toContain('11.0 ms')
  expect(whyNot(loadRun(1000, 9, 'it broke\nbadly'), 10, goal)).toBe('it broke')
})

test('an HDR log is read by its own reader: each second with its histogram', () => {
  const latency = new IntervalLatency()
  for (let i = 0; i < 3000; i++) latency.record(i / 1000 + 1, i)
  latency.finish(3000)
  const reader = new hdr.HistogramLogReader(toHdrLog(latency.intervals, '2026-01-05T08:00:00.000Z', 'a test'))
  const counts: number[] = []
  for (let next = reader.nextIntervalHistogram(); next !== null; next = reader.nextIntervalHistogram()) {
    counts.push((next as hdr.Histogram).totalCount)
  }
  expect(counts).toEqual([1000, 1000, 1000])
})
