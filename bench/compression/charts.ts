/** The charts of a compression result, as SVG: producers through the broker; what a codec gains and what it costs. */
import type * as echarts from 'echarts'
import { formatRate } from '../measure/progress.ts'
import { draw, type Option, type Palette, valueAxis } from '../report/charts.ts'
import type { PayloadKind } from './payloads.ts'
import { type CompressionResult, codecs, type SpeedResult, type ThroughputResult } from './result.ts'
import { clientTitle, codecTitle } from './table.ts'

const BAR_PIXELS = 17
const GAP_PIXELS = 26
/** Colours by client; more workers are the same colour, fainter. */
const FADE = 0.3

function colourOf(palette: Palette, one: ThroughputResult): { color: string; opacity: number } {
  const name = one.client === 'pagelog' ? 'pagelog' : one.client === 'java' ? 'kafka' : 'kafka+pagelog-client'
  const opacity = one.workers === null ? 1 : Math.max(FADE, 1 - one.workers * FADE)
  return { color: palette.series[name] ?? palette.faint, opacity }
}

/** Records a second by codec, a bar for each client. */
export function throughputChart(result: CompressionResult, payload: PayloadKind, batchBytes: number): string {
  const rows = result.throughput.filter((one) => one.payload === payload && one.batchBytes === batchBytes)
  const names = [...new Set(rows.map(codecTitle))]
  const clients = [...new Set(rows.map(clientTitle))]
  const option = (palette: Palette): Option => ({
    grid: { left: 76, right: 64, top: 34, bottom: 30 },
    legend: { top: 0, textStyle: { color: palette.text, fontSize: 11 }, itemWidth: 12, itemHeight: 10 },
    xAxis: valueAxis(palette, formatRate),
    yAxis: { ...codecAxis(palette, names), inverse: true },
    series: clients.map((title) => {
      const own = rows.filter((one) => clientTitle(one) === title)
      return {
        name: title,
        type: 'bar' as const,
        barMaxWidth: BAR_PIXELS,
        itemStyle: { ...colourOf(palette, own[0]!), borderRadius: [0, 3, 3, 0] },
        data: names.map((name) => own.find((one) => codecTitle(one) === name)?.recordsPerSecond ?? null),
        label: {
          show: true,
          position: 'right' as const,
          color: palette.text,
          fontSize: 10,
          formatter: ({ value }: { value?: unknown }) => (typeof value === 'number' ? formatRate(value) : ''),
        },
      }
    }) as never,
  })
  const height = 64 + names.length * (GAP_PIXELS + clients.length * BAR_PIXELS)
  return draw(height, option, `Records a second by codec and client, ${payload}, batches of ${batchBytes >> 10} KiB`)
}

/** Each codec and level as a point: how small, and how fast on one core. */
export function speedChart(result: CompressionResult, payload: PayloadKind, batchBytes: number): string {
  const rows = result.speeds.filter(
    (one) => one.payload === payload && one.batchBytes === batchBytes && one.codec !== 'none',
  )
  const option = (palette: Palette): Option => ({
    grid: { left: 60, right: 70, top: 16, bottom: 48 },
    xAxis: {
      ...valueAxis(palette, (value) => `${value}`),
      type: 'log',
      name: 'MB/s of one core, compressing',
      nameLocation: 'middle',
      nameGap: 28,
      nameTextStyle: { color: palette.faint, fontSize: 12 },
    } as never,
    yAxis: { ...valueAxis(palette, (value) => `${value} : 1`), min: 1 },
    series: [
      {
        type: 'scatter',
        symbolSize: 11,
        itemStyle: { color: palette.series.pagelog! },
        data: rows.map((one: SpeedResult) => ({ name: codecTitle(one), value: [one.compress, one.ratio] })),
        label: { show: true, position: 'right', color: palette.text, fontSize: 11, formatter: '{b}' },
      },
    ],
  })
  return draw(280, option, `Ratio and speed by codec, ${payload}, batches of ${batchBytes >> 10} KiB`)
}

function codecAxis(palette: Palette, names: readonly string[]): echarts.YAXisComponentOption {
  return {
    type: 'category',
    data: [...names].sort((a, b) => place(a) - place(b)),
    axisLabel: { color: palette.text, fontSize: 13 },
    axisLine: { lineStyle: { color: palette.line } },
    axisTick: { show: false },
  }
}

function place(title: string): number {
  return codecs.findIndex((codec) => title.startsWith(codec))
}
