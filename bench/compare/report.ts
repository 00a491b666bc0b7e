/** One HTML page of a comparison: each change as a bar, before it what chance may do. */
import { draw, type Option, type Palette, valueAxis } from '../report/charts.ts'
import { escapeHtml as h, page } from '../report/page.ts'
import { comparisonRows, formatComparison } from './command.ts'
import type { ComparedLine, Comparison } from './compare.ts'

const percent = (share: number) => `${Math.round(share * 1000) / 10} %`

export function renderComparison(comparison: Comparison): string {
  const { lines, before, after } = comparison
  const [heads = [], ...rows] = comparisonRows(comparison)
  const cells = (row: readonly string[], tag: string) =>
    row.map((cell, at) => `<${tag}${at < 2 ? '' : ' class="n"'}>${h(cell)}</${tag}>`).join('')
  const figures = (['rate', 'latency'] as const).map((kind) => {
    const some = lines.filter(({ measure }) => (measure === 'rate') === (kind === 'rate'))
    const caption = kind === 'rate' ? 'Records a second: more is better.' : 'Latencies: less is better.'
    return some.length === 0 ? '' : `<figure>${changesChart(some)}<figcaption>${caption}</figcaption></figure>`
  })
  return page(
    'pagelog comparison',
    `<header><h1>What changed</h1>
<p class="kicker">from ${h(before.startedAt)} to ${h(after.startedAt)}</p></header>
<section><h2>Changes</h2><p class="faint">The grey bar is what chance may do; a change within it says nothing.</p>
<div class="grid">${figures.join('')}</div>
<div class="scroll"><table><thead><tr>${cells(heads, 'th')}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('\n')}</tbody></table></div></section>
<section><h2>As text</h2><div class="scroll"><pre>${h(formatComparison(comparison))}</pre></div></section>`,
  )
}

function changesChart(lines: readonly ComparedLine[]): string {
  const option = (palette: Palette, isNarrow: boolean): Option => ({
    grid: { left: isNarrow ? 104 : 176, right: 48, top: 8, bottom: 30 },
    xAxis: valueAxis(palette, percent),
    yAxis: {
      type: 'category',
      inverse: true,
      data: lines.map(({ what, measure }) => `${what}\n${measure}`),
      axisLabel: { color: palette.text, fontSize: 11, width: isNarrow ? 96 : 168, overflow: 'break' },
      axisLine: { show: false },
      axisTick: { show: false },
    },
    series: [
      { band: -1, color: palette.line },
      { band: 1, color: palette.line },
      { band: 0, color: palette.series.pagelog! },
    ].map(({ band, color }) => ({
      type: 'bar' as const,
      // Both halves of the band in one place; before it the change, through which it can be seen.
      ...(band === 0 ? { z: 3 } : { stack: 'band', z: 2 }),
      barWidth: 16,
      barGap: '-100%',
      itemStyle: { color, opacity: band === 0 ? 0.75 : 1 },
      data: lines.map((line) => (band === 0 ? line.change : line.band === null ? null : band * line.band)),
      label: {
        show: band === 0,
        position: 'right' as const,
        color: palette.text,
        fontSize: 11,
        formatter: ({ value }: { value?: unknown }) => (typeof value === 'number' ? percent(value) : ''),
      },
    })) as never,
  })
  return draw(70 + lines.length * 48, option, 'Changes and noise')
}
