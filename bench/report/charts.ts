/**
 * The report's charts: drawn by echarts to SVG text on the server side, so that the page needs no script. Each is drawn
 * for a light and for a dark page, wide and for a phone; the style sheet shows one of the four.
 */
import * as echarts from 'echarts'
import { formatGiB, formatRate } from '../measure/progress.ts'
import { type BenchResult, medianRunOf, type TestId, variantName } from '../result.ts'
import { storedOf } from '../summary.ts'
import { isLatencyTest } from '../workloads.ts'
import { otherColours, variantTitles } from './variants.ts'

export type Option = echarts.EChartsOption

export interface Palette {
  readonly text: string
  readonly faint: string
  readonly line: string
  readonly limit: string
  readonly series: Readonly<Record<string, string>>
}

const light: Palette = {
  text: '#1f2430',
  faint: '#6b7280',
  line: '#e3e6ec',
  limit: '#9aa3b2',
  series: { pagelog: '#0f766e', kafka: '#c2570c', 'kafka+pagelog-client': '#6d5bd0', ...otherColours },
}

const dark: Palette = {
  text: '#e6e9ef',
  faint: '#98a2b3',
  line: '#2b313d',
  limit: '#667085',
  series: { pagelog: '#2dd4bf', kafka: '#fb923c', 'kafka+pagelog-client': '#a594ff', ...otherColours },
}

const WIDE = 520
/** What a card has on a phone, so that letters have their size there. */
const NARROW = 300
/** A file of its own. */
const DRAWING = 760
const FONT = 'ui-sans-serif, system-ui, sans-serif'

/** A chart before it is drawn. */
export interface Chart {
  readonly height: number
  readonly option: (palette: Palette, isNarrow: boolean) => Option
  readonly label: string
}

function svgOf({ height, option }: Chart, palette: Palette, width: number, more: Option = {}): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height })
  const text = { fontFamily: FONT, color: palette.text }
  chart.setOption({ animation: false, textStyle: text, ...option(palette, width === NARROW), ...more })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}

/** As files of their own, for pages that cannot have our style sheet. */
export function drawings(chart: Chart): { readonly light: string; readonly dark: string } {
  const one = (palette: Palette, backgroundColor: string) => svgOf(chart, palette, DRAWING, { backgroundColor })
  return { light: one(light, '#ffffff'), dark: one(dark, '#12151b') }
}

/** All drawings of a chart, one above the other: the style sheet hides three. */
export function draw(height: number, option: Chart['option'], label: string): string {
  const one = (palette: Palette, name: string, width: number) => {
    const svg = svgOf({ height, option, label }, palette, width)
    return `<div class="${name}" role="img" aria-label="${label}">${svg}</div>`
  }
  const both = (width: number) => one(light, 'on-light', width) + one(dark, 'on-dark', width)
  return `<div class="wide">${both(WIDE)}</div><div class="narrow">${both(NARROW)}</div>`
}

export function valueAxis(palette: Palette, format: (value: number) => string) {
  return {
    type: 'value' as const,
    axisLabel: { color: palette.faint, fontSize: 12, formatter: format, hideOverlap: true },
    splitLine: { lineStyle: { color: palette.line } },
  }
}

/** Below a horizontal axis, in 50 pixels with its labels. */
export function axisTitle(palette: Palette, name: string) {
  return { name, nameLocation: 'middle' as const, nameGap: 26, nameTextStyle: { color: palette.faint, fontSize: 12 } }
}

export const millions = (value: number) => (value === 0 ? '0' : formatRate(value).replace(/\.0+ /, ' '))

/** Medians as bars, lowest and highest run as whiskers. */
export function throughputChart(result: BenchResult): string | undefined {
  const tests = result.settings.tests.filter((test) =>
    result.results.some((one) => one.test === test && one.recordsPerSecond !== null && !isLatencyTest(test)),
  )
  if (tests.length === 0) return undefined
  const names = variantsOf(result)
  const option = (palette: Palette): Option => ({
    grid: { left: 92, right: 64, top: 8, bottom: 30 },
    xAxis: valueAxis(palette, millions),
    yAxis: {
      type: 'category',
      inverse: true,
      data: tests.map(testTitle),
      axisLabel: { color: palette.text, fontSize: 13, lineHeight: 17 },
      axisLine: { lineStyle: { color: palette.line } },
      axisTick: { show: false },
    },
    series: names.flatMap((name) => barsWithWhiskers(result, tests, name, palette)) as never,
  })
  return draw(40 + tests.length * (24 + 24 * names.length), option, 'Records a second by test')
}

function barsWithWhiskers(result: BenchResult, tests: readonly TestId[], name: string, palette: Palette): unknown[] {
  const found = tests.map((test) =>
    result.results.find((one) => one.test === test && variantName(one.target, one.driver) === name),
  )
  const color = palette.series[name] ?? palette.faint
  return [
    {
      name: variantTitles[name] ?? name,
      type: 'bar',
      barMaxWidth: 20,
      itemStyle: { color, borderRadius: [0, 4, 4, 0] },
      data: found.map((one) => one?.recordsPerSecond ?? null),
    },
    {
      type: 'custom',
      silent: true,
      z: 5,
      data: found.map((one, index) => [index, one?.low ?? null, one?.high ?? null, one?.recordsPerSecond ?? null]),
      encode: { x: [1, 2], y: 0 },
      renderItem: whisker(variantsOf(result).indexOf(name), variantsOf(result).length, palette),
    },
  ]
}

/** Whisker and figure of a bar. echarts' bars do not tell where they are: their place is computed as it lays them out. */
function whisker(index: number, count: number, palette: Palette) {
  return (_: unknown, api: echarts.CustomSeriesRenderItemAPI): unknown => {
    const [row, low, high, rate] = [0, 1, 2, 3].map((dimension) => api.value(dimension)) as number[]
    if (low === undefined || high === undefined || rate === undefined || Number.isNaN(rate)) return undefined
    const layout = (api as unknown as { barLayout(o: object): { offsetCenter: number; width: number }[] }).barLayout({
      barMaxWidth: 20,
      count,
    })[index]!
    const [x1, y] = api.coord([low, row!]) as [number, number]
    const [x2] = api.coord([high, row!]) as [number, number]
    const at = y + layout.offsetCenter
    const style = { stroke: palette.text, lineWidth: 1.5, opacity: 0.75 }
    const line = (x: number, y1: number, xEnd: number, y2: number) => ({
      type: 'line',
      shape: { x1: x, y1, x2: xEnd, y2 },
      style,
    })
    const title = {
      type: 'text',
      style: {
        text: formatRate(rate),
        x: x2 + 8,
        y: at,
        fill: palette.text,
        font: `12px ${FONT}`,
        verticalAlign: 'middle',
      },
    }
    const whiskers = [line(x1, at, x2, at), line(x1, at - 4, x1, at + 4), line(x2, at - 4, x2, at + 4)]
    return { type: 'group', children: low === high ? [title] : [...whiskers, title] }
  }
}

/** What share of the limit probe each test reached. */
export function shareChart(result: BenchResult): string | undefined {
  const rows = result.results.filter((one) => one.shareOfLimit !== null)
  if (rows.length === 0) return undefined
  const tests = result.settings.tests.filter((test) => rows.some((row) => row.test === test))
  const names = variantsOf(result)
  const option = (palette: Palette): Option => ({
    grid: { left: 92, right: 56, top: 8, bottom: 30 },
    xAxis: { ...valueAxis(palette, (value) => `${value} %`), min: 0, max: 100 },
    yAxis: {
      type: 'category',
      inverse: true,
      data: tests.map(testTitle),
      axisLabel: { color: palette.text, fontSize: 13, lineHeight: 17 },
      axisLine: { lineStyle: { color: palette.line } },
      axisTick: { show: false },
    },
    series: names.map((name) => ({
      name: variantTitles[name] ?? name,
      type: 'bar' as const,
      barMaxWidth: 20,
      showBackground: true,
      backgroundStyle: { color: palette.line, borderRadius: [0, 4, 4, 0] },
      itemStyle: { color: palette.series[name] ?? palette.faint, borderRadius: [0, 4, 4, 0] },
      data: tests.map((test) => {
        const row = rows.find((one) => one.test === test && variantName(one.target, one.driver) === name)
        return row?.shareOfLimit == null ? null : Math.round(row.shareOfLimit * 1000) / 10
      }),
      label: {
        show: true,
        position: 'right' as const,
        color: palette.text,
        fontSize: 12,
        formatter: ({ value }: { value?: unknown }) => (typeof value === 'number' ? `${value} %` : ''),
      },
    })) as never,
  })
  return draw(40 + tests.length * (24 + 24 * names.length), option, 'Share of the limit probe')
}

/** Fields of a latency summary, and how axes call them. */
export const PERCENTILES = [
  ['p50', '50'],
  ['p90', '90'],
  ['p99', '99'],
  ['p999', '99.9'],
  ['p9999', '99.99'],
  ['max', 'max'],
] as const

/** Latency by percentile, on a logarithmic axis. */
export function latencyChart(result: BenchResult, test: TestId): string | undefined {
  const rows = result.results.filter((one) => one.test === test && one.latencyMs !== null)
  if (rows.length === 0) return undefined
  const names = rows.map((row) => variantName(row.target, row.driver))
  const limit = result.limits.find((one) => one.test === test)?.latencyMs
  const option = (palette: Palette): Option => ({
    grid: { left: 76, right: 24, top: 12, bottom: 50 },
    xAxis: {
      type: 'category',
      boundaryGap: false,
      data: PERCENTILES.map(([, title]) => title),
      ...axisTitle(palette, 'percentile'),
      axisLabel: { color: palette.faint, fontSize: 12 },
      axisLine: { lineStyle: { color: palette.line } },
    },
    yAxis: {
      ...valueAxis(palette, (value) => `${value} ms`),
      type: 'log',
      min: (range: { min: number }) => 10 ** Math.floor(Math.log10(Math.min(range.min, limit?.p50 ?? range.min))),
    } as never,
    series: rows.map((row, index) => ({
      name: variantTitles[names[index]!] ?? names[index]!,
      type: 'line' as const,
      symbolSize: 7,
      lineStyle: { width: 2.5 },
      itemStyle: { color: palette.series[names[index]!] ?? palette.faint },
      data: PERCENTILES.map(([key]) => row.latencyMs![key]),
      ...(index === 0 && limit != null
        ? {
            markLine: {
              symbol: 'none',
              silent: true,
              lineStyle: { color: palette.limit, type: 'dashed' as const },
              label: { formatter: 'echo probe p50', position: 'insideEndTop' as const, color: palette.faint },
              data: [{ yAxis: limit.p50 }],
            },
          }
        : {}),
    })),
  })
  return draw(300, option, `Latency by percentile, ${test}`)
}

/** Rate over time, of the median run. */
export function seriesChart(result: BenchResult, test: TestId): string | undefined {
  const rows = result.results.flatMap((one) => {
    const { series = [] } = medianRunOf(one) ?? {}
    return one.test === test && series.length > 1 ? [{ name: variantName(one.target, one.driver), series }] : []
  })
  if (rows.length === 0) return undefined
  const option = (palette: Palette): Option => ({
    grid: { left: 76, right: 24, top: 12, bottom: 50 },
    xAxis: {
      ...valueAxis(palette, (value) => `${value} s`),
      min: 0,
      splitLine: { show: false },
      axisLine: { show: true, lineStyle: { color: palette.line } },
    },
    yAxis: { ...valueAxis(palette, millions), min: 0 },
    series: rows.map(({ name, series }) => ({
      name: variantTitles[name] ?? name,
      type: 'line' as const,
      showSymbol: series.length < 12,
      symbolSize: 5,
      lineStyle: { width: 2 },
      itemStyle: { color: palette.series[name] ?? palette.faint },
      data: series.map((point) => [point.atSeconds, point.recordsPerSecond]),
    })),
  })
  return draw(280, option, `Records a second over time, ${test}`)
}

/** Rate by what is stored: the tenths of the median run. */
export function storedChart(result: BenchResult, test: TestId): string | undefined {
  const rows = result.results.flatMap((one) => {
    const stored = storedOf(one)
    return one.test === test && stored !== null ? [{ name: variantName(one.target, one.driver), stored }] : []
  })
  if (rows.length === 0) return undefined
  const most = Math.max(...rows.map(({ stored }) => stored.bytes))
  const interval = axisStep(most)
  const option = (palette: Palette): Option => ({
    grid: { left: 76, right: 36, top: 12, bottom: 50 },
    xAxis: {
      ...valueAxis(palette, (value) => (value === 0 ? '0' : formatGiB(value))),
      min: 0,
      // Marks at whole units, not at round numbers of bytes.
      ...{ interval, max: Math.ceil(most / interval) * interval },
      splitLine: { show: false },
      axisLine: { show: true, lineStyle: { color: palette.line } },
    },
    yAxis: { ...valueAxis(palette, millions), min: 0 },
    series: rows.map(({ name, stored }) => ({
      name: variantTitles[name] ?? name,
      type: 'line' as const,
      symbolSize: 6,
      lineStyle: { width: 2 },
      itemStyle: { color: palette.series[name] ?? palette.faint },
      data: stored.tenths.map(({ storedBytes, recordsPerSecond }) => [storedBytes, recordsPerSecond]),
    })),
  })
  return draw(280, option, `Records a second by what is stored, ${test}`)
}

/** A power of two of bytes, so that there are four to eight of them. */
function axisStep(bytes: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2(bytes / 8)))
}

export function variantsOf(result: BenchResult): string[] {
  return [...new Set(result.results.map((one) => variantName(one.target, one.driver)))]
}

/** Two short lines instead of one that a phone cuts off. */
function testTitle(test: TestId): string {
  const titles: Record<TestId, string> = {
    'single-producer': 'one\nproducer',
    'single-consumer': 'one\nconsumer',
    'three-consumers': '3 consumers\neach all',
    'producer-and-consumer-1x': 'producer\n+ consumer',
    'end-to-end-1x': 'end to end',
    'single-producer-3x-async': 'one producer\n3x async',
    'single-producer-3x-sync': 'one producer\n3x sync',
    'three-producers-3x-async': '3 producers\n3x async',
    'throughput-vs-stored': 'growing\n3x async',
    'producer-and-consumer-3x': 'producer\n+ consumer 3x',
    'end-to-end-3x': 'end to end\n3x',
  }
  return titles[test]
}
