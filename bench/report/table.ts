/** The result as a table for a terminal: one row per test and variant, the share of the limit and the ratio beside it. */
import { formatGiB, formatMs, formatRate } from '../measure/progress.ts'
import type { RunIo, StoredResult } from '../result.ts'
import { type BenchResult, isRun, type LimitResult, type RatioResult, type TestResult, variantName } from '../result.ts'
import { ioOf, storedOf, worstReplication } from '../summary.ts'
import { NOT_WARM, warmUpText } from './warm-ups.ts'

export function formatTable(result: BenchResult): string {
  const rows = [
    ['test', 'broker and client', 'median', 'low – high', 'MiB/s', 'of limit', againstTitle(result), 'p50 / p99'],
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
  lines.push(...warmUpLines(result))
  for (const failure of result.failures) {
    lines.push(`FAILED ${failure.test} · ${failure.target}: ${failure.error.split('\n')[0]}`)
  }
  lines.push(footer(result))
  return lines.join('\n')
}

function resultRow(one: TestResult, result: BenchResult): string[] {
  const name = variantName(one.target, one.driver)
  if (one.recordsPerSecond === null) return [one.test, name, noFigure(one), '', '', '', '', '']
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

/** Instead of a rate. */
export function noFigure({ runs }: Pick<TestResult, 'runs'>): string {
  return runs.length === 0 ? 'not measured' : 'failed'
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

/** `6.4 ×`; for latencies, where less is better, which percentile it is; whom it is against unless that is Kafka with its own tools. */
export function formatRatio(ratio: RatioResult): string {
  const what = ratio.measure === 'recordsPerSecond' ? '' : ratio.measure === 'latencyP50' ? 'p50 ' : 'p99 '
  return `${what}${ratio.ratio.toFixed(2)} ×${againstText(ratio)}${ratio.stillRising === true ? NOT_WARM : ''}`
}

/** Another client on the same broker by its name; the same one on the other broker by that. */
function againstText({ target, against }: RatioResult): string {
  if (against === 'kafka') return ''
  const [broker, driver] = against.split('+')
  return target.split('+')[0] === broker ? ` ${driver}` : ` on ${broker}`
}

/** Over the column of ratios. */
export function againstTitle({ ratios }: Pick<BenchResult, 'ratios'>): string {
  return ratios.every(({ against }) => against === 'kafka') ? 'against Kafka' : 'ratio'
}

/** How warm each target was, test by test. */
export function warmUpLines({ warmUps = [], results }: Pick<BenchResult, 'warmUps' | 'results'>): string[] {
  const tools = results.filter(({ runs }) => runs.some((run) => isRun(run) && run.stillRising === true))
  return [
    ...warmUps.map((one) => `${one.test} · ${warmUpText(one)}`),
    ...tools.map(
      (one) => `${one.test} · ${variantName(one.target, one.driver)}: the tool was still rising, its figure is too low`,
    ),
  ]
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

/** Where brokers and clients were. */
export function placesText({ network }: Pick<BenchResult['settings'], 'network'>): string {
  if (network === 'hosts') return 'brokers on other hosts'
  if (network === undefined || network === 'loopback') return 'all on one machine, over loopback'
  return `all on one machine, each in a namespace of its own, links ${network === 'unshaped' ? network : `of ${network}`}`
}

/** `Apache Kafka 4.1.1, kafkajs 2.2.4; `, or nothing. */
export function versionsText({ versions = {} }: Pick<BenchResult, 'versions'>): string {
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return names.length === 0 ? '' : `${names.join(', ')}; `
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
    `acks ${settings.acks}, ${settings.partitions} partitions; ${placesText(settings)}; ${versionsText(result)}${machine.cores} × ${machine.cpu}, ${machine.fileSystem}, ` +
    `${machine.kernel}, node ${machine.node}${result.commit === null ? '' : `, commit ${result.commit}`}`
  )
}
