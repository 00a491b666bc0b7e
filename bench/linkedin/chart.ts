/** 2014 and now side by side, as bars; the sizes of records as curves. */
import { formatMs, formatRate } from '../measure/progress.ts'
import { axisTitle, type Chart, draw, millions, type Option, type Palette, valueAxis } from '../report/charts.ts'
import { variantTitles } from '../report/variants.ts'
import { columns } from './published.ts'
import type { LinkedinColumn, LinkedinResult } from './result.ts'

export function linkedinChart(result: LinkedinResult): string | undefined {
  const chart = ratesChart(result)
  return chart === undefined ? undefined : draw(chart.height, chart.option, chart.label)
}

export function ratesChart(result: LinkedinResult): Chart | undefined {
  const tests = result.tests.filter(({ published }) => published.recordsPerSecond !== null)
  if (tests.length === 0) return undefined
  const targets = [...new Set(tests.flatMap(({ columns }) => columns.map(({ target }) => target)))]
  const rows = targets.flatMap((target, index) =>
    columns.map(({ name }) => ({
      name: `${variantTitles[target] ?? target}, settings of ${name}`,
      index,
      opacity: name === 'today' ? 1 : 0.55,
      data: tests.map(
        (test) => test.columns.find((one) => one.target === target && one.name === name)?.recordsPerSecond ?? null,
      ),
    })),
  )
  const measured = rows.filter(({ data }) => data.some((rate) => rate !== null))
  const option = (palette: Palette, isNarrow: boolean): Option => {
    const colours = Object.values(palette.series)
    const ours = measured.map((row) => ({ ...row, color: colours[row.index % colours.length]! }))
    const then = {
      name: 'published in 2014',
      color: palette.limit,
      opacity: 1,
      data: tests.map(({ published }) => published.recordsPerSecond),
    }
    return {
      grid: { left: isNarrow ? 104 : 176, right: isNarrow ? 48 : 64, top: 20 + 18 * (ours.length + 1), bottom: 50 },
      legend: { top: 0, left: 0, orient: 'vertical', textStyle: { color: palette.text, fontSize: 11 }, itemHeight: 9 },
      xAxis: { ...valueAxis(palette, millions), ...axisTitle(palette, 'records a second') },
      yAxis: {
        type: 'category',
        inverse: true,
        // In lines where there is no room for one.
        data: tests.map(({ id }) => (isNarrow ? id.replaceAll(/(.{8,}?-)/g, '$1\n') : id)),
        axisLabel: { color: palette.text, fontSize: 11 },
        axisLine: { lineStyle: { color: palette.line } },
        axisTick: { show: false },
      },
      series: [then, ...ours].map(({ name, color, opacity, data }) => ({
        name,
        type: 'bar' as const,
        barMaxWidth: 14,
        itemStyle: { color, opacity, borderRadius: [0, 3, 3, 0] },
        data,
        label: {
          show: true,
          position: 'right' as const,
          color: palette.text,
          fontSize: 10,
          formatter: ({ value }: { value?: unknown }) => (typeof value === 'number' ? formatRate(value) : ''),
        },
      })) as never,
    }
  }
  const bars = 1 + measured.length
  return { height: 80 + 18 * bars + tests.length * (14 + 16 * bars), option, label: 'Records a second in 2014 and now' }
}

/** Who was measured, with which settings: a line or a colour each. */
function linesOf(columns: readonly LinkedinColumn[]): { name: string; target: string; column: string }[] {
  const all = columns.map(({ target, name }) => ({ name: `${target}, ${name}`, target, column: name }))
  return all.filter((one, i) => all.findIndex(({ name }) => name === one.name) === i)
}

const legend = (palette: Palette) => ({
  ...{ top: 0, left: 0, orient: 'vertical' as const, itemHeight: 9 },
  textStyle: { color: palette.text, fontSize: 11 },
})

/** Bytes of the value, out of `1000 bytes, batch.size …`. */
const sizeOf = ({ settings }: LinkedinColumn) => Number.parseInt(settings, 10)

/** Both axes by tens: the curves of the paper. */
export function sizesChart(result: LinkedinResult, of: 'records' | 'bytes'): string | undefined {
  const columns = result.tests.find(({ id }) => id === 'message-size')?.columns ?? []
  const figureOf = (one: LinkedinColumn) => (of === 'records' ? one.recordsPerSecond : one.mebibytesPerSecond)
  const lines = linesOf(columns)
  if (!columns.some((one) => (figureOf(one) ?? 0) > 0)) return undefined
  const option = (palette: Palette): Option => {
    const colours = Object.values(palette.series)
    const format = of === 'records' ? formatRate : (value: number) => `${value} MiB`
    return {
      grid: { left: 76, right: 24, top: 20 + 18 * lines.length, bottom: 30 },
      legend: legend(palette),
      xAxis: { ...valueAxis(palette, (value) => `${value} B`), type: 'log' } as never,
      yAxis: { ...valueAxis(palette, format), type: 'log' } as never,
      series: lines.map(({ name, target, column }, i) => ({
        name,
        type: 'line' as const,
        symbolSize: 6,
        lineStyle: { width: 2, type: column === 'today' ? ('solid' as const) : ('dashed' as const) },
        itemStyle: { color: colours[i % colours.length]! },
        data: columns
          .filter((one) => one.target === target && one.name === column && (figureOf(one) ?? 0) > 0)
          .map((one) => [sizeOf(one), figureOf(one)!]),
      })),
    }
  }
  const what = of === 'records' ? 'Records a second' : 'MiB a second'
  return draw(280 + 18 * lines.length, option, `${what} by the size of a record`)
}

/** p50, p99 and p99.9 of one record at a time, by tens. */
export function endToEndChart(result: LinkedinResult): string | undefined {
  const test = result.tests.find(({ id }) => id === 'end-to-end')
  const columns = (test?.columns ?? []).filter(({ p50 }) => p50 !== null)
  const published = test?.published.latencyMs
  if (columns.length === 0 || published == null) return undefined
  const option = (palette: Palette): Option => {
    const colours = Object.values(palette.series)
    const ours = columns.map(({ target, name, p50, p99, p999 }, i) => {
      return { name: `${target}, ${name}`, color: colours[i % colours.length]!, data: [p50, p99, p999] }
    })
    const then = { name: 'published in 2014', color: palette.limit, data: Object.values(published) }
    return {
      grid: { left: 76, right: 24, top: 20 + 18 * (columns.length + 1), bottom: 30 },
      legend: legend(palette),
      xAxis: { type: 'category', data: ['p50', 'p99', 'p99.9'], axisLabel: { color: palette.faint, fontSize: 12 } },
      yAxis: { ...valueAxis(palette, formatMs), type: 'log' } as never,
      series: [then, ...ours].map(({ name, color, data }) => ({
        name,
        type: 'line' as const,
        symbolSize: 8,
        lineStyle: { width: 2 },
        itemStyle: { color },
        data,
      })) as never,
    }
  }
  return draw(280 + 18 * (columns.length + 1), option, 'Latency from end to end')
}
