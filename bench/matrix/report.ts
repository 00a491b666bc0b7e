/** One HTML page of a matrix. */
import { escapeHtml as h, page } from '../report/page.ts'
import type { MatrixResult } from './result.ts'
import { matrixMarkdown, variedIn } from './table.ts'

export async function renderMatrixReport(result: MatrixResult): Promise<string> {
  const { heatMapChart, heatMapsOf, paretoChart } = await import('./charts.ts')
  const { workload, machine } = result
  const figure = (svg: string | undefined, caption: string) =>
    svg === undefined ? '' : `<figure>${svg}<figcaption>${h(caption)}</figcaption></figure>`
  const maps = heatMapsOf(result).map((map) =>
    figure(
      heatMapChart(result, map),
      `${map.measure === 'p99' ? 'p99 latency' : 'Records a second'} by ${map.x} and ${map.y}: the median of the cells there.`,
    ),
  )
  const [heads = [], ...rows] = matrixMarkdown(result)
  const names = variedIn(result).length
  const cells = (row: readonly unknown[], tag: string) =>
    row.map((cell, at) => `<${tag}${at < names ? '' : ' class="n"'}>${h(String(cell ?? ''))}</${tag}>`).join('')
  const failures = result.cells.filter(({ error }) => error !== null)
  return page(
    `pagelog matrix, ${result.startedAt.slice(0, 10)}`,
    `<header>
<p class="kicker">pagelog ${h(result.version)} · ${h(result.startedAt.slice(0, 16).replace('T', ' '))} UTC · ${h(result.placement)}</p>
<h1>${h(result.name.charAt(0).toUpperCase() + result.name.slice(1))}</h1>
${result.orientation ? '<p class="notice">Short runs, once each: for orientation.</p>' : ''}
${result.complete ? '' : `<p class="notice">Incomplete: ${result.cells.length} of ${result.planned} cells, ${failures.length} with failures.</p>`}
</header>
<section><h2>Throughput against p99</h2>${figure(paretoChart(result), 'Right and low is good. The line joins what nothing here beats in both.')}</section>
<section><h2>Two by two</h2><div class="grid">${maps.join('')}</div></section>
<section><h2>All cells</h2>
<div class="scroll"><table><thead><tr>${cells(heads, 'th')}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n')}</tbody></table></div>
${failures.length === 0 ? '' : `<ul class="notice">${failures.map(({ id, error }) => `<li>${h(`${id}: ${error?.split('\n')[0]}`)}</li>`).join('')}</ul>`}</section>
<section><h2>How it was measured</h2>
<p class="faint">${h(
      `${workload.runs} runs of each cell, ${workload.load.seconds} s after ${workload.load.warmUpSeconds} s of warm-up, round by round. ` +
        `${workload.load.rate === null ? 'A closed loop: the latency is mostly time in the producer’s buffer.' : `An open loop of ${workload.load.rate} records/s: latencies from the intended sending.`} ` +
        `${machine.cores} × ${machine.cpu}, ${machine.fileSystem}, ${machine.kernel}, node ${machine.node}.`,
    )}</p>
<pre>${h(JSON.stringify(workload, null, 1))}</pre>
<pre>${h(result.command)}</pre></section>`,
  )
}
