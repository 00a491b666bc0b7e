/** A load's result for a terminal, and the same as rows for CSV and Markdown. */
import type { LatencySummary } from '../measure/latency.ts'
import { formatMs, formatRate } from '../measure/progress.ts'
import { alignColumns } from '../report/table.ts'
import { bottleneckOf } from '../summary.ts'
import type { FindMaxResult, LoadResult, LoadRun } from './result.ts'
import { describeVerification } from './verification.ts'

export const latencyHeads = ['p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max', 'mean', 'count'] as const

export function latencyCells(latency: LatencySummary): string[] {
  const { p50, p90, p99, p999, p9999, max, mean, count } = latency
  return [...[p50, p90, p99, p999, p9999, max, mean].map(formatMs), String(count)]
}

const kinds: readonly (readonly [string, (run: LoadRun) => LatencySummary | null])[] = [
  ['latency from the intended sending', (run) => run.latencyMs],
  ['service time, from the call of send', (run) => run.serviceTimeMs],
  ['end to end, from the intended sending', (run) => run.endToEndMs],
  ['lateness of the sending', (run) => run.latenessMs],
]

export function formatLoad(result: LoadResult): string {
  const lines = result.runs.flatMap((run, index) => [
    ...(result.runs.length === 1 ? [] : [`run ${index + 1}`]),
    ...runLines(run, result.settings.arrivals !== null),
    '',
  ])
  return [...lines, footerOf(result)].join('\n')
}

export function runLines(run: LoadRun, isOpen: boolean): string[] {
  const counts = [
    `${formatRate(run.recordsPerSecond)} records/s, ${run.mebibytesPerSecond.toFixed(2)} MiB/s`,
    ...(isOpen ? [`${run.intended} meant to be sent`] : []),
    `${run.acknowledged} acknowledged`,
    ...(run.failed > 0 ? [`${run.failed} failed`] : []),
    ...(run.unfinished > 0 ? [`${run.unfinished} without an answer`] : []),
    ...(run.retries > 0 ? [`${run.retries} batches sent again`] : []),
  ]
  const rows = kinds.flatMap(([title, of]) => {
    const latency = of(run)
    // In a closed loop a record is sent when it is meant to be: the same figures twice say nothing.
    if (latency === null || (!isOpen && of !== kinds[0]![1] && of !== kinds[2]![1])) return []
    return [[title, '', ...latencyCells(latency)]]
  })
  const lines = [counts.join(', ')]
  if (rows.length > 0) lines.push('', ...alignColumns([['', '', ...latencyHeads], ...rows]))
  if (run.overhead !== null) lines.push('', overheadLine(run))
  if (run.verification !== null) {
    lines.push(
      `verified: ${describeVerification(run.verification)}`,
      ...run.verification.examples.map((one) => `  ${one}`),
    )
  }
  const full = bottleneckOf(run.processes)
  if (full !== null)
    lines.push(`at its limit: ${full}${isOpen ? ' (a precise producer waits in turns of its loop)' : ''}`)
  if (run.error !== null) lines.push(`INCOMPLETE: ${run.error}`)
  return lines
}

function overheadLine({ overhead, latenessMs }: LoadRun): string {
  const { microsecondsPerRecord, latencyMs } = overhead!
  const late =
    latenessMs === null
      ? ''
      : `; in this run records left ${formatMs(latenessMs.p50)} (p99 ${formatMs(latenessMs.p99)}) late`
  return (
    `the harness itself: ${microsecondsPerRecord.toFixed(2)} µs a record, and ${formatMs(latencyMs.p50)} (p99 ` +
    `${formatMs(latencyMs.p99)}) against a broker that takes no time${late}`
  )
}

export function formatFindMax(result: FindMaxResult): string {
  const { goal, trials } = result
  const name = { p50: 'p50', p99: 'p99', p999: 'p99.9' }[goal.percentile]
  const rows = trials.map(({ rate, passed, why, run }) => [
    formatRate(rate),
    passed ? 'passed' : 'failed',
    formatRate(run.recordsPerSecond),
    ...(run.latencyMs === null
      ? ['', '', '']
      : [run.latencyMs.p50, run.latencyMs.p99, run.latencyMs.p999].map(formatMs)),
    why,
  ])
  const heads = ['rate', '', 'reached', 'p50', 'p99', 'p99.9', '']
  const found =
    result.maxRate === null
      ? `no rate with ${name} of at most ${formatMs(goal.milliseconds)} was found`
      : `${formatRate(result.maxRate)} records/s with ${name} of at most ${formatMs(goal.milliseconds)}` +
        (result.tooHigh === null
          ? ' (the highest rate that was allowed)'
          : `; ${formatRate(result.tooHigh)} is too much`)
  return [...alignColumns([heads, ...rows]), '', found, footerOf(result)].join('\n')
}

function footerOf(result: LoadResult | FindMaxResult): string {
  const { settings, machine } = result
  const { tuning } = settings
  const notes = `${result.complete ? '' : 'INCOMPLETE. '}${result.orientation ? 'For orientation only (one run). ' : ''}`
  const load = settings.arrivals === null ? 'closed loop' : `open loop, ${settings.arrivals.kind}`
  return (
    `${notes}${load}; ${settings.producers} producers, acks ${tuning.acks === -1 ? 'all' : tuning.acks}, batch ${tuning.batchBytes}, ` +
    `linger ${tuning.lingerMs} ms, ${tuning.compression === 'none' ? 'no compression' : tuning.compression}, ` +
    `${settings.partitions} partitions, ${result.placement}; ${machine.cores} × ${machine.cpu}, ${machine.fileSystem}, ${machine.kernel}, node ${machine.node}`
  )
}
