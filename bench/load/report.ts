/** A load's result as an HTML page, and as rows for CSV and Markdown. */
import { escapeHtml as h, page } from '../report/page.ts'
import type { Cell } from '../report/text-files.ts'
import type { FindMaxResult, LoadResult, LoadRun } from './result.ts'
import { formatFindMax, latencyCells, latencyHeads, runLines } from './table.ts'

const figure = (svg: string | undefined, caption: string) =>
  svg === undefined ? '' : `<figure>${svg}<figcaption>${h(caption)}</figcaption></figure>`

export async function renderLoadReport(result: LoadResult | FindMaxResult): Promise<string> {
  const { overTimeChart, percentileChart, rateChart } = await import('./charts.ts')
  const sections = runsOf(result).map(
    ({ title, run }) => `<section><h2>${h(title)}</h2>
<div class="grid">${figure(percentileChart(run), 'By percentile: from the intended sending, from the call of send, until a consumer has it.')}${figure(overTimeChart(run), 'Of each second.')}${figure(
      rateChart(run),
      'Records acknowledged a second.',
    )}</div>
<div class="scroll"><pre>${h(runLines(run, result.settings.arrivals !== null).join('\n'))}</pre></div></section>`,
  )
  const { machine } = result
  return page(
    `pagelog ${result.kind}, ${result.startedAt.slice(0, 10)}`,
    `<header>
<p class="kicker">pagelog ${h(result.version)} · ${h(result.startedAt.slice(0, 16).replace('T', ' '))} UTC · ${h(result.placement)}</p>
<h1>${result.kind === 'load' ? 'Latency under load' : 'The highest rate that meets the goal'}</h1>
${result.orientation ? '<p class="notice">One run: for orientation.</p>' : ''}${result.complete ? '' : '<p class="notice">Incomplete: see below.</p>'}
</header>
${result.kind === 'find-max' ? `<section><h2>Search</h2><div class="scroll"><pre>${h(formatFindMax(result))}</pre></div></section>` : ''}
${sections.join('\n')}
<section><h2>How it was measured</h2>
<p class="faint">${h(
      'Latencies count from the time at which a record was meant to be sent; the service time from the call of send. ' +
        `${machine.cores} × ${machine.cpu}, ${machine.fileSystem}, ${machine.kernel}, node ${machine.node}.`,
    )}</p>
<pre>${h(JSON.stringify(result.settings, null, 1))}</pre>
<pre>${h(result.command)}</pre></section>`,
  )
}

function runsOf(result: LoadResult | FindMaxResult): { title: string; run: LoadRun }[] {
  if (result.kind === 'load') return result.runs.map((run, index) => ({ title: `Run ${index + 1}`, run }))
  return result.trials.map(({ rate, passed, run }) => ({
    title: `${rate} records/s: ${passed ? 'passed' : 'failed'}`,
    run,
  }))
}

/** A row for each run; the head first. */
export function loadRows(result: LoadResult | FindMaxResult): Cell[][] {
  const head = [
    'run',
    'records/s',
    'MiB/s',
    'intended',
    'acknowledged',
    'failed',
    'unfinished',
    'latency',
    ...latencyHeads,
  ]
  const rows = runsOf(result).flatMap(({ title, run }) => {
    const counts = [
      title,
      Math.round(run.recordsPerSecond * 10) / 10,
      Math.round(run.mebibytesPerSecond * 1000) / 1000,
      run.intended,
      run.acknowledged,
      run.failed,
      run.unfinished,
    ]
    const kinds = [
      ['intended', run.latencyMs],
      ['service', run.serviceTimeMs],
      ['end-to-end', run.endToEndMs],
      ['lateness', run.latenessMs],
    ] as const
    const known = kinds.filter(([, latency]) => latency !== null)
    if (known.length === 0) return [[...counts, '', ...latencyHeads.map(() => null)]]
    return known.map(([name, latency]) => {
      const { p50, p90, p99, p999, p9999, max, mean, count } = latency!
      return [...counts, name, p50, p90, p99, p999, p9999, max, mean, count]
    })
  })
  return [head, ...rows]
}

/** For people: units in the cells. */
export function loadMarkdown(result: LoadResult | FindMaxResult): Cell[][] {
  const head = ['run', 'records/s', 'latency', ...latencyHeads]
  const rows = runsOf(result).flatMap(({ title, run }) =>
    (
      [
        ['intended', run.latencyMs],
        ['service', run.serviceTimeMs],
        ['end to end', run.endToEndMs],
      ] as const
    )
      .filter(([, latency]) => latency !== null)
      .map(([name, latency]) => [title, Math.round(run.recordsPerSecond), name, ...latencyCells(latency!)]),
  )
  return [head, ...rows]
}
