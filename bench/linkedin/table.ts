/** 2014 beside now, as rows: for a terminal, Markdown, CSV, and a page. */
import { pageCacheShare } from '../measure/io.ts'
import { formatGiB, formatMs, formatRate } from '../measure/progress.ts'
import { escapeHtml as h, page } from '../report/page.ts'
import { alignColumns, placesText, versionsText, warmUpLines } from '../report/table.ts'
import type { Cell } from '../report/text-files.ts'
import { NOT_WARM } from '../report/warm-ups.ts'
import { variantName } from '../result.ts'
import { ioOf, worstReplication } from '../summary.ts'
import { columns } from './published.ts'
import type { LinkedinColumn, LinkedinResult, LinkedinTest } from './result.ts'
import { networksOf } from './run.ts'

const OF_THE_LIMIT = 'of the limit: beside what bare system calls move in the same run, as many bytes a record'

/** Median, or for latencies p50, p99, p99.9. */
function figure(test: LinkedinTest, column: LinkedinColumn): string {
  if (column.recordsPerSecond === null) {
    return column.error === null ? 'not measured' : `failed: ${column.error.split('\n')[0]}`
  }
  if (test.published.latencyMs !== null) return `${latency(column)}${besideKafka(column, 'p50 ')}`
  const flat = column.lastOfFirst == null ? '' : `, last tenth ${(column.lastOfFirst * 100).toFixed(0)} % of the first`
  const share = column.shareOfLimit == null ? '' : `, ${(column.shareOfLimit * 100).toFixed(0)} % of the limit`
  const bytes = `${(column.mebibytesPerSecond ?? 0).toFixed(1)} MiB/s`
  return `${formatRate(column.recordsPerSecond)} rec/s, ${bytes}${share}${flat}${besideKafka(column)}`
}

function besideKafka({ ratio, stillRising }: LinkedinColumn, what = ''): string {
  return ratio == null ? '' : ` (${what}${ratio.toFixed(2)} × Kafka${stillRising === true ? NOT_WARM : ''})`
}

function latency({ p50, p99, p999 }: { p50: number | null; p99: number | null; p999: number | null }): string {
  return [p50, p99, p999].map((one) => (one === null ? '?' : formatMs(one))).join(' / ')
}

function publishedText({ published }: LinkedinTest): string {
  if (published.latencyMs !== null) return latency(published.latencyMs)
  if (published.recordsPerSecond === null) return published.note ?? ''
  return `${formatRate(published.recordsPerSecond)} rec/s, ${published.mebibytesPerSecond?.toFixed(1)} MiB/s`
}

/** A row for each test, size and broker: 2014's figures, ours with the settings of 2014, ours with today's. */
export function linkedinRows(result: LinkedinResult): string[][] {
  const names = columns.map(({ name }) => name)
  const measured = names.filter((name) => result.tests.some((test) => test.columns.some((one) => one.name === name)))
  const rows = result.tests.flatMap((test) => {
    const kinds = [...new Set(test.columns.map(({ target, settings }) => `${target}\n${sizeOf(test, settings)}`))]
    return kinds.map((kind) => {
      const [target = '', size = ''] = kind.split('\n')
      const of = (name: LinkedinColumn['name']) => {
        const found = test.columns.find(
          (one) => one.name === name && one.target === target && sizeOf(test, one.settings) === size,
        )
        return found === undefined ? 'not measured' : figure(test, found)
      }
      return [size === '' ? test.id : `${test.id}, ${size}`, target, publishedText(test), ...measured.map(of)]
    })
  })
  return [['test', 'broker and client', 'published in 2014', ...measured.map((name) => `settings of ${name}`)], ...rows]
}

function sizeOf(test: LinkedinTest, settings: string): string {
  return test.id === 'message-size' ? (settings.split(',')[0] ?? '') : ''
}

export function formatLinkedin(result: LinkedinResult): string {
  return [...alignColumns(linkedinRows(result)), '', ...linkedinNotes(result)].join('\n')
}

/** What belongs to the table: how to read it, what stands behind it, both machines. */
export function linkedinNotes(result: LinkedinResult): string[] {
  const { machine } = result
  const versions = Object.assign({}, ...result.results.map((one) => one.versions ?? {})) as Record<string, string>
  const places = networksOf(result).map((network) => placesText({ network }))
  return [
    'end-to-end: p50 / p99 / p99.9',
    ...(result.results.some(({ limits }) => limits.length > 0) ? [OF_THE_LIMIT] : []),
    ...pageCacheLines(result),
    ...behind(result),
    ...(result.missing.length === 0 ? [] : [`not measured: ${result.missing.join(', ')}`]),
    `2014: ${result.hardware2014}`,
    `now: ${result.complete ? '' : 'INCOMPLETE. '}${result.orientation ? 'For orientation only (one run each). ' : ''}` +
      `${machine.cores} × ${machine.cpu}, ${formatGiB(machine.memoryBytes)}, ${machine.fileSystem}, ${machine.kernel}, ` +
      `node ${machine.node}, ${versionsText({ versions })}${places.join('; ')}`,
  ]
}

/** How far followers were behind, who was at its limit, and what failed: without it a rate is half of the truth. */
function behind({ results }: LinkedinResult): string[] {
  return results.flatMap((result) => {
    const { batchBytes, lingerMs, valueBytes } = result.settings
    const failures = result.failures.map(({ test, target, error }) => `FAILED ${test} · ${target}: ${firstLine(error)}`)
    const lines = result.results.flatMap((one) => {
      const what = `${one.test} · ${variantName(one.target, one.driver)}`
      const worst = worstReplication(one.runs)
      return [
        ...(worst === null
          ? []
          : [
              `${what}: followers ${formatRate(worst.lagRecords)} records behind at the end, equal after ${formatMs(worst.equalAfterMs)}`,
            ]),
        ...(one.bottleneck === null ? [] : [`${what}: the limit was the ${one.bottleneck}`]),
      ]
    })
    return [...lines, ...warmUpLines(result), ...failures].map(
      (line) => `batch.size ${batchBytes}, linger.ms ${lingerMs}, ${valueBytes} bytes: ${line}`,
    )
  })
}

const firstLine = (text: string) => text.split('\n')[0] ?? ''

/** Of all that consumers and followers were sent in the median runs, for each kind of broker. */
function pageCacheLines({ results }: LinkedinResult): string[] {
  const all = results.flatMap((one) => one.results)
  return [...new Set(all.map(({ target }) => target))].flatMap((target) => {
    let [served, read] = [0, 0]
    for (const one of all) {
      const io = one.target === target ? ioOf(one) : null
      if (io?.servedBytes == null) continue
      served += io.servedBytes
      read += io.readBytes
    }
    if (served === 0) return []
    const share = `${(Math.floor(pageCacheShare(read, served) * 1e4) / 100).toFixed(2)} % of the reads`
    return [
      `${target}: ${share} came from the page cache (${formatGiB(read)} off the device, ${formatGiB(served)} served)`,
    ]
  })
}

/** Numbers without units, a row for each measurement. */
export function linkedinCsv(result: LinkedinResult): Cell[][] {
  const head = [
    ...['test', 'column', 'target', 'settings', 'records/s', 'low', 'high', 'MiB/s', 'p50 ms', 'p99 ms', 'p99.9 ms'],
    ...['last tenth of first', 'times Kafka', 'share of limit'],
    ...['2014 records/s', '2014 MiB/s', 'error'],
  ]
  const rows = result.tests.flatMap(({ id, published, columns }) =>
    columns.map((one) => [
      ...[id, one.name, one.target, one.settings, one.recordsPerSecond, one.low, one.high, one.mebibytesPerSecond],
      ...[one.p50, one.p99, one.p999, one.lastOfFirst ?? null, one.ratio ?? null, one.shareOfLimit ?? null],
      ...[published.recordsPerSecond, published.mebibytesPerSecond, one.error],
    ]),
  )
  return [head, ...rows]
}

async function storedFigures({ results }: LinkedinResult): Promise<string> {
  const { storedChart, variantsOf } = await import('../report/charts.ts')
  const figures = results.map((one) => {
    const chart = storedChart(one, 'throughput-vs-stored')
    const { batchBytes, lingerMs } = one.settings
    const what = `Records a second by what is stored on all brokers: batch.size ${batchBytes}, linger.ms ${lingerMs}, ${variantsOf(one).join(', ')}.`
    return chart === undefined ? '' : `<figure>${chart}<figcaption>${h(what)}</figcaption></figure>`
  })
  return figures.join('')
}

/** The bars as files of their own, light and dark. */
export async function linkedinDrawings(result: LinkedinResult): Promise<Record<string, string>> {
  const [{ ratesChart }, { drawings }] = await Promise.all([import('./chart.ts'), import('../report/charts.ts')])
  const chart = ratesChart(result)
  if (chart === undefined) return {}
  const { light, dark } = drawings(chart)
  return { 'chart.svg': light, 'chart-dark.svg': dark }
}

export async function renderLinkedin(result: LinkedinResult): Promise<string> {
  const { endToEndChart, linkedinChart, sizesChart } = await import('./chart.ts')
  const [heads = [], ...rows] = linkedinRows(result)
  const cells = (row: readonly string[], tag: string) => row.map((cell) => `<${tag}>${h(cell)}</${tag}>`).join('')
  const chart = linkedinChart(result)
  const stored = await storedFigures(result)
  const figure = (svg: string | undefined, caption: string) =>
    svg === undefined ? '' : `<figure>${svg}<figcaption>${h(caption)}</figcaption></figure>`
  const others = [
    figure(sizesChart(result, 'records'), 'message-size: records a second by the size of a record.'),
    figure(sizesChart(result, 'bytes'), 'message-size: payload a second by the size of a record.'),
    figure(endToEndChart(result), 'end-to-end: from the call of send until the record is acknowledged and read.'),
  ].join('')
  return page(
    `The tests of 2014, ${result.startedAt.slice(0, 10)}`,
    `<header>
<p class="kicker">pagelog ${h(result.version)} · ${h(result.startedAt.slice(0, 16).replace('T', ' '))} UTC</p>
<h1>The Kafka benchmarks of 2014, then and now</h1>
${result.orientation ? '<p class="notice">One run of each: for orientation.</p>' : ''}
${result.complete ? '' : '<p class="notice">Incomplete.</p>'}
</header>
${chart === undefined ? '' : `<section><h2>Records a second</h2><figure>${chart}<figcaption>Medians; what was published in 2014 beside them.</figcaption></figure></section>`}
${stored === '' ? '' : `<section><h2>While the stored data grow</h2><div class="grid">${stored}</div></section>`}
${others === '' ? '' : `<section><h2>Sizes and latencies</h2><div class="grid">${others}</div></section>`}
<section><h2>All</h2><div class="scroll"><table><thead><tr>${cells(heads, 'th')}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n')}</tbody></table></div></section>
<section><h2>How it was measured</h2><ul class="faint">${linkedinNotes(result)
      .map((line) => `<li>${h(line)}</li>`)
      .join('')}</ul><pre>${h(result.command)}</pre></section>`,
  )
}
