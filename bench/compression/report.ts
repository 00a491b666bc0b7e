/** One self-contained HTML page of a compression result, in the manner of the other report. */
import { escapeHtml as h, page } from '../report/page.ts'
import type { CompressionResult } from './result.ts'
import { speedHeads, speedRow, throughputHeads, throughputRow } from './table.ts'

export async function renderCompressionReport(result: CompressionResult): Promise<string> {
  const { speedChart, throughputChart } = await import('./charts.ts')
  const figure = (svg: string, caption: string) => `<figure>${svg}<figcaption>${h(caption)}</figcaption></figure>`
  const { settings, machine } = result
  const through = settings.throughputPayloads.flatMap((payload) =>
    settings.throughputBatches
      .filter((size) => result.throughput.some((one) => one.payload === payload && one.batchBytes === size))
      .map((size) =>
        figure(throughputChart(result, payload, size), `${payload}, batch.size ${size}: records a second.`),
      ),
  )
  const alone = settings.payloads.flatMap((payload) =>
    settings.batches
      .filter((size) => result.speeds.some((one) => one.payload === payload && one.batchBytes === size))
      .map((size) => figure(speedChart(result, payload, size), `${payload}, batches of ${size >> 10} KiB.`)),
  )
  const failures = result.failures.map(({ what, error }) => `<li>${h(what)}: ${h(error.split('\n')[0] ?? '')}</li>`)
  return page(
    `pagelog compression benchmark, ${result.startedAt.slice(0, 10)}`,
    `<header>
<p class="kicker">pagelog ${h(result.version)} · ${h(result.startedAt.slice(0, 16).replace('T', ' '))} UTC</p>
<h1>Compression: what it gains, what it costs</h1>
<p class="notice">One run of each: for orientation.${result.complete ? '' : ' Incomplete.'}</p>
${failures.length === 0 ? '' : `<ul class="notice">${failures.join('')}</ul>`}
</header>
<section><h2>Producers through a pagelog broker</h2>
<div class="grid">${through.join('')}</div>
${table(throughputHeads, 4, result.throughput.map(throughputRow))}</section>
<section><h2>Codecs on one core</h2>
<div class="grid">${alone.join('')}</div>
${table(speedHeads, 3, result.speeds.map(speedRow))}</section>
<section><h2>How it was measured</h2>
<p class="faint">${h(
      `${machine.cores} × ${machine.cpu}, ${machine.fileSystem}, ${machine.kernel}, node ${machine.node}, ${machine.java ?? 'no Java'}. ` +
        `Seeded payloads (seed ${settings.payloadSeed}, ${settings.payloadBytes >> 20} MiB), no two values equal. MB/s of one core are by CPU ` +
        `time. Producers: ${settings.seconds} s after a warm-up, ${settings.partitions} partitions, linger 5 ms, acks 1; a closed loop, so that ` +
        'p99 is mostly time in the queue.',
    )}</p>
<pre>${h(result.command)}</pre></section>`,
  )
}

function table(heads: readonly string[], names: number, rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string) =>
    row.map((cell, at) => `<${tag}${at < names ? '' : ' class="n"'}>${h(cell)}</${tag}>`).join('')
  const body = rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n')
  return `<div class="scroll"><table><thead><tr>${cells(heads, 'th')}</tr></thead><tbody>${body}</tbody></table></div>`
}
