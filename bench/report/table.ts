/** The result as a table for a terminal: one row per test and variant, the share of the limit and the ratio beside it. */
import { formatGiB, formatMs, formatRate } from '../measure/progress.ts'
import type { RunIo, StoredResult } from '../result.ts'
import { type BenchResult, isRun, type LimitResult, type RatioResult, type TestResult, variantName } from '../result.ts'
import { ioOf, storedOf, worstReplication } from '../summary.ts'

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
  for (const one of result.results) {
    const what = `${one.test} · ${variantName(one.target, one.driver)}`
    const stored = storedOf(one)
    if (stored !== null) lines.push(`${what}: ${storedText(stored)}`)
    else if (one.test === 'throughput-vs-stored' && one.recordsPerSecond !== null) {
      lines.push(`${what}: over too soon to be cut into tenths (--stored)`)
    }
    const io = ioOf(one)
    if (io !== null) lines.push(`${what}: ${ioText(io)}`)
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

/** `99.9 % of the reads came from the page cache; …`: of the median run. */
export function ioText(io: RunIo): string {
  const { servedBytes, pageCacheShare, networkBytes } = io
  const share =
    pageCacheShare === null || servedBytes === null
      ? ''
      : `${formatShare(pageCacheShare)} of the reads came from the page cache (${formatGiB(servedBytes)} served); `
  const network = io.network === 'links' ? 'over the brokers’ links' : 'over loopback'
  return (
    `${share}brokers read ${formatGiB(io.readBytes)} from the device and wrote ${formatGiB(io.writtenBytes)}` +
    `${networkBytes === null ? '' : `, ${formatGiB(networkBytes)} ${network}`}`
  )
}

/** Never rounded up to a whole that it is not. */
function formatShare(share: number): string {
  return share === 1 ? '100 %' : `${(Math.floor(share * 1e4) / 100).toFixed(2)} %`
}

/** `last tenth 97 % of the first; 2.10 M … 2.04 M rec/s while 40.0 GiB were stored, 13.3 GiB on each broker`. */
export function storedText(stored: StoredResult): string {
  const { bytes, brokerBytes, memoryBytes, tenths, lastOfFirst } = stored
  const memory =
    memoryBytes === null ? '' : `, ${(brokerBytes / memoryBytes).toFixed(1)} × its memory of ${formatGiB(memoryBytes)}`
  const rates = tenths.map(({ recordsPerSecond }) => formatRate(recordsPerSecond)).join(', ')
  return (
    `last tenth ${(lastOfFirst * 100).toFixed(0)} % of the first while ${formatGiB(bytes)} were stored ` +
    `(${formatGiB(brokerBytes)} on each broker${memory}): ${rates} rec/s`
  )
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
