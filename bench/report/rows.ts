/** A result of the tests as rows, for CSV and Markdown. */
import { formatMs, formatRate } from '../measure/progress.ts'
import { type BenchResult, variantName } from '../result.ts'
import { ioOf, storedOf } from '../summary.ts'
import { againstTitle, formatRatio, noFigure } from './table.ts'
import type { Cell } from './text-files.ts'

/** Numbers without units; limit probes are rows of their own. */
export function benchRows(result: BenchResult): Cell[][] {
  const head = [
    ...['test', 'target', 'records/s', 'low', 'high', 'MiB/s', 'share of limit'],
    ...['p50 ms', 'p90 ms', 'p99 ms', 'p99.9 ms', 'p99.99 ms', 'max ms', 'errors', 'retries'],
    ...['read bytes', 'written bytes', 'network bytes', 'page cache share', 'last tenth of first'],
  ]
  const rows = result.results.map((one): Cell[] => {
    const { latencyMs } = one
    const latency = (['p50', 'p90', 'p99', 'p999', 'p9999', 'max'] as const).map((key) => latencyMs?.[key] ?? null)
    const rate = [one.recordsPerSecond, one.low, one.high, one.mebibytesPerSecond, one.shareOfLimit]
    const io = ioOf(one)
    const traffic = [io?.readBytes, io?.writtenBytes, io?.networkBytes, io?.pageCacheShare, storedOf(one)?.lastOfFirst]
    const names = [one.test, variantName(one.target, one.driver)]
    return [...names, ...rate, ...latency, one.errors, one.retries, ...traffic.map((cell) => cell ?? null)]
  })
  const limits = result.limits.map((limit): Cell[] => [
    ...[
      limit.test,
      `limit: ${limit.probe}`,
      limit.recordsPerSecond,
      limit.low,
      limit.high,
      limit.mebibytesPerSecond,
      1,
    ],
    ...[limit.latencyMs?.p50 ?? null, null, limit.latencyMs?.p99 ?? null, null, null, null, null, null],
    ...[null, null, null, null, null],
  ])
  return [head, ...rows, ...limits]
}

export function benchMarkdown(result: BenchResult): Cell[][] {
  const rows = result.results.map((one): Cell[] => {
    const target = variantName(one.target, one.driver)
    const ratios = result.ratios.filter((ratio) => ratio.test === one.test && ratio.target === target).map(formatRatio)
    return [
      one.test,
      target,
      one.recordsPerSecond === null ? noFigure(one) : formatRate(one.recordsPerSecond),
      one.low === null || one.high === null ? '' : `${formatRate(one.low)} – ${formatRate(one.high)}`,
      one.mebibytesPerSecond === null ? '' : one.mebibytesPerSecond.toFixed(1),
      one.shareOfLimit === null ? '' : `${(one.shareOfLimit * 100).toFixed(0)} %`,
      ratios.join(', '),
      one.latencyMs === null ? '' : `${formatMs(one.latencyMs.p50)} / ${formatMs(one.latencyMs.p99)}`,
    ]
  })
  const head = [
    'test',
    'broker and client',
    'records/s',
    'low – high',
    'MiB/s',
    'of limit',
    againstTitle(result),
    'p50 / p99',
  ]
  return [head, ...rows]
}
