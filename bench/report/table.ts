/** The result as a table for a terminal: one row per test and variant, the share of the limit and the ratio beside it. */
import { formatMs, formatRate } from '../measure/progress.ts'
import { type BenchResult, isRun, type LimitResult, type RatioResult, type TestResult, variantName } from '../result.ts'
import { worstReplication } from '../summary.ts'

export function formatTable(result: BenchResult): string {
  const rows = [
    ['test', 'broker and client', 'median', 'low – high', 'MiB/s', 'of limit', 'against Kafka', 'p50 / p99'],
  ]
  for (const test of result.settings.tests) {
    for (const one of result.results.filter((candidate) => candidate.test === test)) rows.push(resultRow(one, result))
    const limit = result.limits.find((candidate) => candidate.test === test)
    if (limit !== undefined) rows.push(limitRow(limit))
  }
  const lines = [...alignColumns(rows), '']
  for (const one of result.results) {
    if (one.bottleneck !== null) {
      lines.push(`${one.test} · ${variantName(one.target, one.driver)}: the limit was the ${one.bottleneck}`)
    }
  }
  for (const one of result.results) {
    const worst = worstReplication(one.runs)
    if (worst === null) continue
    lines.push(
      `${one.test} · ${variantName(one.target, one.driver)}: followers ${formatRate(worst.lagRecords)} records behind at the end, ` +
        `equal after ${formatMs(worst.equalAfterMs)}${one.runs.length > 1 ? ' (worst run)' : ''}`,
    )
  }
  for (const failure of result.failures) {
    lines.push(`FAILED ${failure.test} · ${failure.target}: ${failure.error.split('\n')[0]}`)
  }
  lines.push(footer(result))
  return lines.join('\n')
}

function resultRow(one: TestResult, result: BenchResult): string[] {
  const name = variantName(one.target, one.driver)
  if (one.recordsPerSecond === null) return [one.test, name, 'failed', '', '', '', '', '']
  const latency = one.latencyMs === null ? '' : `${formatMs(one.latencyMs.p50)} / ${formatMs(one.latencyMs.p99)}`
  const share = one.shareOfLimit === null ? '' : `${(one.shareOfLimit * 100).toFixed(0)} %`
  return [
    one.test,
    name,
    `${formatRate(one.recordsPerSecond)} rec/s`,
    `${formatRate(one.low ?? 0)} – ${formatRate(one.high ?? 0)}`,
    (one.mebibytesPerSecond ?? 0).toFixed(1),
    share,
    result.ratios
      .filter((ratio) => ratio.test === one.test && ratio.target === name)
      .map(formatRatio)
      .join(', '),
    latency,
  ]
}

function limitRow(limit: LimitResult): string[] {
  const name = `limit: ${limit.probe} probe`
  if (limit.latencyMs !== null) {
    const { p50, p99 } = limit.latencyMs
    return [limit.test, name, '', '', '', '', '', `${formatMs(p50)} / ${formatMs(p99)}`]
  }
  return [
    limit.test,
    name,
    `${formatRate(limit.recordsPerSecond ?? 0)} rec/s`,
    `${formatRate(limit.low ?? 0)} – ${formatRate(limit.high ?? 0)}`,
    (limit.mebibytesPerSecond ?? 0).toFixed(1),
    '',
    '',
    '',
  ]
}

/** `6.4 ×`; for latencies, where less is better, which percentile it is. */
export function formatRatio(ratio: RatioResult): string {
  const what = ratio.measure === 'recordsPerSecond' ? '' : ratio.measure === 'latencyP50' ? 'p50 ' : 'p99 '
  return `${what}${ratio.ratio.toFixed(2)} ×`
}

export function alignColumns(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row
      // The first two columns are names, the others figures.
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  )
}

function footer(result: BenchResult): string {
  const { settings, machine } = result
  const runs = result.results.flatMap((one) => one.runs).filter(isRun).length
  const notes = [
    result.complete ? '' : 'INCOMPLETE. ',
    result.orientation ? 'For orientation only (one run or no wait for write-back). ' : '',
  ].join('')
  return (
    `${notes}${runs} runs; ${settings.valueBytes}-byte values, batch ${settings.batchBytes}, linger ${settings.lingerMs} ms, ` +
    `acks ${settings.acks}, ${settings.partitions} partitions; ${machine.cores} × ${machine.cpu}, ${machine.fileSystem}, ` +
    `${machine.kernel}, node ${machine.node}${result.commit === null ? '' : `, commit ${result.commit}`}`
  )
}
