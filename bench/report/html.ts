/** One self-contained HTML page of a result: no scripts, nothing fetched, light and dark, readable on a phone. */
import { formatGiB, formatMiB, formatMs, formatRate } from '../measure/progress.ts'
import {
  type BenchResult,
  isRun,
  type LimitResult,
  medianRunOf,
  type TestId,
  type TestResult,
  variantName,
} from '../result.ts'
import { ioOf, storedOf, worstReplication } from '../summary.ts'
import { isLatencyTest, workloads } from '../workloads.ts'
import { escapeHtml as h, page } from './page.ts'
import { againstTitle, formatRatio, ioText, noFigure, placesText, storedText, warmUpLines } from './table.ts'
import { variantClass, variantTitles } from './variants.ts'
import { NOT_WARM } from './warm-ups.ts'

export async function renderReport(result: BenchResult): Promise<string> {
  const charts = await import('./charts.ts')
  const titles = variantTitles
  const title = (one: TestResult) => {
    const name = variantName(one.target, one.driver)
    return titles[name] ?? name
  }
  const figure = (svg: string | undefined, caption: string) =>
    svg === undefined ? '' : `<figure>${svg}<figcaption>${h(caption)}</figcaption></figure>`
  const legend = `<p class="legend">${charts
    .variantsOf(result)
    .map((name) => `<span class="${variantClass(name)}">${h(titles[name] ?? name)}</span>`)
    .join('')}</p>`
  const perTest = result.settings.tests
    .map((test) => {
      const rows = result.results.filter((one) => one.test === test)
      const figures = [
        figure(charts.seriesChart(result, test), 'Records a second over the measured phase of the median run.'),
        figure(
          charts.storedChart(result, test),
          'Records a second by what is stored on all brokers, a point for each tenth of it.',
        ),
        figure(charts.latencyChart(result, test), latencyCaption(test)),
      ].join('')
      return `<section><h2>${h(workloads[test].title)} <code>${test}</code></h2>
${figures === '' ? '' : `${legend}<div class="grid">${figures}</div>`}${processTable(rows, title)}${runList(rows, title)}</section>`
    })
    .join('\n')
  return page(
    `pagelog benchmark, ${result.startedAt.slice(0, 10)}`,
    `<header>
<p class="kicker">pagelog ${h(result.version)} · ${h(result.startedAt.slice(0, 16).replace('T', ' '))} UTC</p>
<h1>${h(headline(result))}</h1>
${notices(result)}
</header>
${cards(result)}
<section><h2>All tests</h2>
${legend}
<div class="grid">
${figure(charts.throughputChart(result), 'Median of the runs; whiskers from the lowest to the highest.')}
${figure(charts.shareChart(result), 'Rate as a share of what the same bytes need with bare system calls, measured beside each run.')}
</div>
${headlineTable(result, title)}
</section>
${perTest}
<section><h2>How it was measured</h2>
${settingsTable(result)}
<p>The command:</p><pre>${h(result.command)}</pre>
<p class="faint">Producers, consumers and brokers are processes of their own. Warm-up is not counted; ${
      result.orientation ? '' : '\nbefore each run the write-back of the one before was waited for; '
    }runs of the different brokers alternate; what was received was
compared with what was acknowledged, by count and checksum, wherever pagelog’s client was used.</p>
${warmUpLines(result)
  .map((line) => `<p class="faint">${h(line)}</p>`)
  .join('\n')}
</section>`,
  )
}

/** The one sentence that a reader takes away. */
export function headline(result: BenchResult): string {
  const ratio = result.ratios.find(
    ({ measure, target, against }) => measure === 'recordsPerSecond' && target === 'pagelog' && against === 'kafka',
  )
  const first = result.results.find((one) => one.target === 'pagelog' && one.recordsPerSecond !== null)
  if (ratio !== undefined) {
    const what = workloads[ratio.test].title.toLowerCase()
    return `${ratio.ratio.toFixed(1)} times Apache Kafka’s rate${ratio.stillRising === true ? NOT_WARM : ''}: ${what}, on this machine`
  }
  if (first?.recordsPerSecond == null) return 'Nothing could be measured'
  if (isLatencyTest(first.test)) {
    const brokers = workloads[first.test].brokers === 1 ? 'one broker' : 'three replicas'
    return `Produce to consume in ${formatMs(first.latencyMs?.p50 ?? 0)}, ${brokers}`
  }
  return `${formatRate(first.recordsPerSecond).replace(' M', ' million')} records a second: ${workloads[first.test].title.toLowerCase()}`
}

function notices(result: BenchResult): string {
  const texts: string[] = []
  if (!result.complete)
    texts.push('Incomplete: the run was cut short or a part of it failed. What is shown was measured.')
  if (result.orientation)
    texts.push('For orientation only: one run of each test, or no wait for write-back between runs.')
  if (result.ratios.some(({ stillRising }) => stillRising === true))
    texts.push('Ratios marked as not warm are against a broker or tool that was still getting faster: they flatter.')
  for (const failure of result.failures) {
    texts.push(`${failure.test}, ${failure.target} failed: ${failure.error.split('\n')[0]}`)
  }
  return texts.map((text) => `<p class="notice">${h(text)}</p>`).join('\n')
}

function cards(result: BenchResult): string {
  const own = result.results.filter((one) => one.target === 'pagelog' && one.recordsPerSecond !== null)
  const card = (one: TestResult) => {
    const isLatency = isLatencyTest(one.test)
    const value = isLatency ? formatMs(one.latencyMs?.p50 ?? 0) : formatRate(one.recordsPerSecond ?? 0)
    const unit = isLatency
      ? `p50 · p99 ${formatMs(one.latencyMs?.p99 ?? 0)}`
      : `records/s · ${one.mebibytesPerSecond} MiB/s`
    const ratios = result.ratios
      .filter((ratio) => ratio.test === one.test && ratio.target === 'pagelog' && ratio.against === 'kafka')
      .map((ratio) => `${formatRatio(ratio)} Kafka`)
    const share = one.shareOfLimit === null ? [] : [`${(one.shareOfLimit * 100).toFixed(0)} % of the limit`]
    return `<div class="card"><p class="name">${h(workloads[one.test].title)}</p><p class="value">${h(value)}</p>
<p class="unit">${h(unit)}</p><p class="ratio">${h([...ratios, ...share].join(' · '))}</p></div>`
  }
  return own.length === 0 ? '' : `<div class="cards">${own.map(card).join('')}</div>`
}

function headlineTable(result: BenchResult, title: (one: TestResult) => string): string {
  const rows = result.settings.tests.flatMap((test) => [
    ...result.results.filter((one) => one.test === test).map((one) => resultRow(one, result, title)),
    ...result.limits.filter((limit) => limit.test === test).map(limitRow),
  ])
  const heads = ['test', 'broker and client', 'records/s', 'low – high', 'MiB/s', 'of limit', againstTitle(result)]
  return table(heads, 2, rows)
}

function resultRow(one: TestResult, result: BenchResult, title: (one: TestResult) => string): string {
  const names = [`<code>${one.test}</code>`, h(title(one))]
  if (one.recordsPerSecond === null) return row(names, [noFigure(one), '', '', '', ''])
  const name = variantName(one.target, one.driver)
  const ratios = result.ratios.filter((ratio) => ratio.test === one.test && ratio.target === name).map(formatRatio)
  return row(names, [
    formatRate(one.recordsPerSecond),
    `${formatRate(one.low ?? 0)} – ${formatRate(one.high ?? 0)}`,
    (one.mebibytesPerSecond ?? 0).toFixed(1),
    one.shareOfLimit === null ? '' : `${(one.shareOfLimit * 100).toFixed(0)} %`,
    ratios.join(', '),
  ])
}

function limitRow(limit: LimitResult): string {
  const names = [`<code>${limit.test}</code>`, `<span class="faint">limit probe: ${limit.probe}</span>`]
  if (limit.latencyMs !== null) {
    return row(names, [`p50 ${formatMs(limit.latencyMs.p50)}`, `p99 ${formatMs(limit.latencyMs.p99)}`, '', '', ''])
  }
  return row(names, [
    formatRate(limit.recordsPerSecond ?? 0),
    `${formatRate(limit.low ?? 0)} – ${formatRate(limit.high ?? 0)}`,
    (limit.mebibytesPerSecond ?? 0).toFixed(1),
    '',
    '',
  ])
}

function processTable(results: readonly TestResult[], title: (one: TestResult) => string): string {
  const rows = results.flatMap((one) =>
    (medianRunOf(one)?.processes ?? []).map((process) => {
      const delay = process.eventLoopDelayMs
      return row(
        [h(title(one)), h(process.role)],
        [
          process.cpuSeconds === null ? '' : `${process.cpuSeconds} s`,
          process.busiestThread === null ? '' : `${(process.busiestThread * 100).toFixed(0)} %`,
          process.rss === null ? '' : formatMiB(process.rss),
          process.readBytes == null ? '' : formatGiB(process.readBytes),
          process.writtenBytes == null ? '' : formatGiB(process.writtenBytes),
          delay === null ? '' : formatMs(delay.p99),
          delay === null ? '' : formatMs(delay.max),
        ],
      )
    }),
  )
  if (rows.length === 0) return ''
  const names = ['broker and client', 'process']
  const heads = [...names, 'CPU', 'busiest thread', 'memory', 'disk read', 'written', 'loop delay p99', 'max']
  return table(heads, 2, rows)
}

function runList(results: readonly TestResult[], title: (one: TestResult) => string): string {
  const lines = results.map((one) => {
    const runs = one.runs.map((run) => (isRun(run) ? formatRate(run.recordsPerSecond) : 'failed')).join(' · ')
    const limit = one.bottleneck === null ? '' : ` The limit was the ${one.bottleneck}.`
    const errors = one.errors + one.retries === 0 ? '' : ` Errors ${one.errors}, retries ${one.retries}.`
    return `<li>${h(`${title(one)}: runs of ${runs} records/s.${limit}${followers(one)}${traffic(one)}${errors}`)}</li>`
  })
  return lines.length === 0 ? '' : `<ul class="faint">${lines.join('')}</ul>`
}

function followers(one: TestResult): string {
  const worst = worstReplication(one.runs)
  if (worst === null) return ''
  return ` Followers ${formatRate(worst.lagRecords)} records behind at the end, equal after ${formatMs(worst.equalAfterMs)}, in the worst run.`
}

function traffic(one: TestResult): string {
  const stored = storedOf(one)
  const io = ioOf(one)
  const texts = [stored === null ? '' : storedText(stored), io === null ? '' : ioText(io)]
  return texts.map((text) => (text === '' ? '' : ` ${text[0]!.toUpperCase()}${text.slice(1)}.`)).join('')
}

function growth({ tests, storedBytes, brokerMemoryBytes }: BenchResult['settings']): [string, string][] {
  const isGrowing = tests.includes('throughput-vs-stored') && storedBytes !== undefined
  return [
    ...(isGrowing
      ? [['stored', `${formatGiB(storedBytes)} on all brokers together, in throughput-vs-stored`] as const]
      : []),
    ...(brokerMemoryBytes === undefined
      ? []
      : [['memory', `each broker confined to ${formatGiB(brokerMemoryBytes)}, page cache included`] as const]),
  ].map(([name, value]) => [name, value])
}

function settingsTable(result: BenchResult): string {
  const { settings: s, machine: m } = result
  const entries: [string, string][] = [
    ['machine', `${m.cores} × ${m.cpu}, ${formatMiB(m.memoryBytes)}, ${m.architecture}`],
    ['system', `${m.kernel}, ${m.fileSystem}, node ${m.node}${m.java === null ? '' : `, ${m.java}`}`],
    ['places', placesText(s)],
    ...Object.entries(result.versions ?? {}),
    ['open files', m.openFiles ?? 'unknown'],
    ['commit', result.commit ?? 'unknown'],
    ['values', `${s.valueBytes} bytes, random, seed ${s.payloadSeed}, out of ${formatMiB(s.payloadPoolBytes)}`],
    [
      'producer',
      `batch ${s.batchBytes} bytes, linger ${s.lingerMs} ms, acks ${s.acks === -1 ? 'all' : s.acks} where the test does not say, no idempotence`,
    ],
    ['topic', `${s.partitions} partitions, 1 replica; tests with 3x: three brokers, three replicas`],
    ['runs', `${s.runs}, each up to ${s.records} records or ${s.seconds} s after ${s.warmUpSeconds} s of warm-up`],
    ...growth(s),
    ...Object.entries(s.targets).map(([name, settings]): [string, string] => [
      `${name} broker`,
      `${Object.entries(settings)
        .map(([key, value]) => `${key}=${value}`)
        .join(', ')}; else its defaults`,
    ]),
  ]
  const rows = entries.map(([name, value]) => `<tr><th scope="row">${h(name)}</th><td>${h(value)}</td></tr>`)
  return `<div class="scroll"><table class="settings"><tbody>${rows.join('')}</tbody></table></div>`
}

function latencyCaption(test: TestId): string {
  return isLatencyTest(test)
    ? 'From the call of send until the record is acknowledged and read.'
    : 'From the call of send to the acknowledgement while the producer keeps its buffer full: mostly time in the queue.'
}

/** The first cells are markup already, the others plain text. */
function row(names: readonly string[], figures: readonly string[]): string {
  return `<tr>${names.map((cell) => `<td>${cell}</td>`).join('')}${figures.map((cell) => `<td class="n">${h(cell)}</td>`).join('')}</tr>`
}

function table(heads: readonly string[], names: number, rows: readonly string[]): string {
  const cells = heads.map((head, index) => `<th scope="col"${index < names ? '' : ' class="n"'}>${h(head)}</th>`)
  return `<div class="scroll"><table><thead><tr>${cells.join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`
}
