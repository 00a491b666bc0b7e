/** Charts of a load: latency by percentile, and over time. */
import { LatencyRecorder, type LatencySummary } from '../measure/latency.ts'
import { formatRate } from '../measure/progress.ts'
import { draw, type Option, type Palette, PERCENTILES, valueAxis } from '../report/charts.ts'
import type { LoadRun } from './result.ts'

const legend = (palette: Palette) => ({
  top: 0,
  textStyle: { color: palette.text, fontSize: 11 },
  itemWidth: 14,
  itemHeight: 8,
  itemGap: 24,
})

const colours = (palette: Palette) => Object.values(palette.series)

export function percentileChart(run: LoadRun): string | undefined {
  const lines: [string, LatencySummary | null][] = [
    ['intended', run.latencyMs],
    ['service', run.serviceTimeMs],
    ['end to end', run.endToEndMs],
  ]
  const known = lines.filter((line): line is [string, LatencySummary] => line[1] !== null)
  if (known.length === 0) return undefined
  const option = (palette: Palette): Option => ({
    grid: { left: 76, right: 24, top: 34, bottom: 50 },
    legend: legend(palette),
    xAxis: {
      ...categoryAxis(palette, 'percentile'),
      data: PERCENTILES.map(([, title]) => title),
    },
    yAxis: { ...valueAxis(palette, (value) => `${value} ms`), type: 'log' } as never,
    series: known.map(([name, latency], index) => ({
      name,
      type: 'line' as const,
      symbolSize: 7,
      lineStyle: { width: 2.5 },
      itemStyle: { color: colours(palette)[index]! },
      data: PERCENTILES.map(([key]) => Math.max(0.001, latency[key])),
    })),
  })
  return draw(300, option, 'Latency by percentile')
}

/** p50, p99 and the maximum of each second. */
export function overTimeChart(run: LoadRun): string | undefined {
  if (run.intervals.length < 2) return undefined
  const points = run.intervals.map(({ startSeconds, latency }) => {
    const recorder = new LatencyRecorder()
    recorder.merge(latency)
    return { startSeconds, latency: recorder.summary()! }
  })
  const option = (palette: Palette): Option => ({
    grid: { left: 76, right: 24, top: 34, bottom: 50 },
    legend: legend(palette),
    xAxis: { ...valueAxis(palette, (value) => `${value} s`), min: 0 },
    yAxis: { ...valueAxis(palette, (value) => `${value} ms`), type: 'log' } as never,
    series: (['p50', 'p99', 'max'] as const).map((key, index) => ({
      name: key,
      type: 'line' as const,
      showSymbol: false,
      itemStyle: { color: colours(palette)[index]! },
      data: points.map(({ startSeconds, latency }) => [startSeconds, Math.max(0.001, latency[key])]),
    })),
  })
  return draw(280, option, 'Latency of each second')
}

export function rateChart(run: LoadRun): string | undefined {
  if (run.series.length < 2) return undefined
  const option = (palette: Palette): Option => ({
    grid: { left: 76, right: 24, top: 16, bottom: 40 },
    xAxis: { ...valueAxis(palette, (value) => `${value} s`), min: 0 },
    yAxis: { ...valueAxis(palette, formatRate), min: 0 },
    series: [
      {
        type: 'line',
        showSymbol: false,
        itemStyle: { color: palette.series.pagelog! },
        data: run.series.map(({ atSeconds, recordsPerSecond }) => [atSeconds, recordsPerSecond]),
      },
    ],
  })
  return draw(240, option, 'Records acknowledged a second, over time')
}

function categoryAxis(palette: Palette, name: string) {
  return {
    type: 'category' as const,
    boundaryGap: false,
    name,
    nameLocation: 'middle' as const,
    nameGap: 26,
    nameTextStyle: { color: palette.faint, fontSize: 12 },
    axisLabel: { color: palette.faint, fontSize: 12 },
    axisLine: { lineStyle: { color: palette.line } },
  }
}
