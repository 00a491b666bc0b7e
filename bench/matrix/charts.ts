/** Heat maps of two axes each, and throughput against p99 with the cells that nothing beats. */
import { formatMs, formatRate } from '../measure/progress.ts'
import { median } from '../measure/statistics.ts'
import { draw, type Option, type Palette, valueAxis } from '../report/charts.ts'
import { cellText } from './plan.ts'
import type { Cell, MatrixResult } from './result.ts'
import { valuesOf, variedIn } from './table.ts'
import type { Axis } from './workload.ts'

export interface HeatMap {
  readonly x: Axis
  readonly y: Axis
  readonly measure: 'recordsPerSecond' | 'p99'
}

/** Every pair of axes that vary, for throughput and p99; with one axis alone it stands against clients, which is one row. */
export function heatMapsOf(result: MatrixResult): HeatMap[] {
  const varied = variedIn(result)
  const pairs: [Axis, Axis][] = []
  if (varied.length === 1) pairs.push([varied[0]!, varied[0] === 'clients' ? 'partitions' : 'clients'])
  for (let i = 0; i < varied.length; i++) {
    for (let j = i + 1; j < varied.length; j++) pairs.push([varied[j]!, varied[i]!])
  }
  return pairs.flatMap(([x, y]) => [
    { x, y, measure: 'recordsPerSecond' as const },
    { x, y, measure: 'p99' as const },
  ])
}

/** Of the cells that share a place (other axes vary too) the median. */
export function heatMapChart(result: MatrixResult, { x, y, measure }: HeatMap): string {
  const xs = valuesOf(result.workload, x)
  const ys = valuesOf(result.workload, y)
  const places: { at: [number, number]; value: number }[] = []
  for (const [column, xValue] of xs.entries()) {
    for (const [row, yValue] of ys.entries()) {
      const values = result.cells
        .filter(({ settings }) => cellText(x, settings) === xValue && cellText(y, settings) === yValue)
        .map((cell) => cell[measure])
        .filter((value) => value !== null)
      if (values.length > 0) places.push({ at: [column, row], value: median(values) })
    }
  }
  const format = measure === 'p99' ? formatMs : formatRate
  const logs = places.map(({ value }) => Math.log10(Math.max(1e-3, value)))
  const axis = (palette: Palette, data: string[], name: string) => ({
    type: 'category' as const,
    data,
    name,
    nameLocation: 'middle' as const,
    nameTextStyle: { color: palette.faint, fontSize: 12 },
    axisLabel: { color: palette.text, fontSize: 12 },
    axisTick: { show: false },
    axisLine: { lineStyle: { color: palette.line } },
  })
  const option = (palette: Palette): Option => {
    const colours = [palette.line, palette.series.pagelog!]
    return {
      grid: { left: 96, right: 16, top: 8, bottom: 52 },
      xAxis: { ...axis(palette, xs, x), nameGap: 30 },
      yAxis: { ...axis(palette, ys, y), nameGap: 72 },
      visualMap: {
        show: false,
        min: Math.min(...logs),
        max: Math.max(...logs, Math.min(...logs) + 1e-6),
        // A low latency is what is wished for: it has the colour.
        inRange: { color: measure === 'p99' ? [...colours].reverse() : colours },
      },
      series: [
        {
          type: 'heatmap',
          data: logs.map((log, index) => ({
            value: [...places[index]!.at, log],
            label: { color: isStrong(log, logs, measure === 'p99') ? onColour(palette) : palette.text },
          })),
          label: {
            show: true,
            fontSize: 12,
            formatter: ({ dataIndex }: { dataIndex: number }) => format(places[dataIndex]!.value),
          },
          itemStyle: { borderColor: palette.line, borderWidth: 1 },
        },
      ] as never,
    }
  }
  const what = measure === 'p99' ? 'p99 latency' : 'records a second'
  return draw(90 + ys.length * 44, option, `${what} by ${x} and ${y}`)
}

/** Whether a cell has so much of the colour that the page's letters cannot be read on it. */
function isStrong(log: number, logs: readonly number[], reversed: boolean): boolean {
  const [low, high] = [Math.min(...logs), Math.max(...logs)]
  const share = high === low ? 0 : (log - low) / (high - low)
  return (reversed ? 1 - share : share) > 0.55
}

/** Letters on the colour: light ones on a light page, whose colours are dark, and the other way round. */
function onColour(palette: Palette): string {
  return palette.text.startsWith('#1') ? '#ffffff' : '#12151b'
}

const LABELS_MAX = 14

/** Right and low is good. What nothing beats is joined by a line and named. */
export function paretoChart(result: MatrixResult): string | undefined {
  const known = result.cells.filter(({ mebibytesPerSecond, p99 }) => mebibytesPerSecond !== null && p99 !== null)
  if (known.length === 0) return undefined
  const front = known.filter(({ pareto }) => pareto).sort((a, b) => a.mebibytesPerSecond! - b.mebibytesPerSecond!)
  const most = Math.max(...known.map(({ mebibytesPerSecond }) => mebibytesPerSecond!))
  const point = (cell: Cell) => ({
    name: cell.id,
    value: [cell.mebibytesPerSecond!, Math.max(1e-3, cell.p99!)],
    // Towards the middle, where there is room for it.
    label: { position: cell.mebibytesPerSecond! > most / 2 ? 'left' : 'right' },
  })
  const option = (palette: Palette): Option => ({
    grid: { left: 70, right: 30, top: 16, bottom: 50 },
    xAxis: {
      ...valueAxis(palette, (value) => `${value}`),
      name: 'MiB/s',
      nameLocation: 'middle',
      nameGap: 28,
      nameTextStyle: { color: palette.faint, fontSize: 12 },
      min: 0,
    } as never,
    yAxis: { ...valueAxis(palette, (value) => `${value} ms`), type: 'log' } as never,
    series: [
      {
        type: 'scatter',
        symbolSize: 8,
        itemStyle: { color: palette.limit },
        data: known.filter(({ pareto }) => !pareto).map(point),
      },
      {
        type: 'line',
        symbolSize: 9,
        itemStyle: { color: palette.series.pagelog! },
        lineStyle: { width: 2 },
        data: front.map(point),
        label: {
          show: front.length <= LABELS_MAX,
          color: palette.text,
          fontSize: 10,
          formatter: '{b}',
        },
        labelLayout: { hideOverlap: true },
      },
    ] as never,
  })
  return draw(360, option, 'Throughput against p99 latency')
}
