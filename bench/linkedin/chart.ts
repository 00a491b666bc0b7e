/** 2014 and now side by side, as bars. */
import { formatRate } from '../measure/progress.ts'
import { draw, type Option, type Palette, valueAxis } from '../report/charts.ts'
import type { LinkedinResult } from './result.ts'

export function linkedinChart(result: LinkedinResult): string | undefined {
  const tests = result.tests.filter(({ published }) => published.recordsPerSecond !== null)
  if (tests.length === 0) return undefined
  const targets = [...new Set(tests.flatMap(({ columns }) => columns.map(({ target }) => target)))]
  const option = (palette: Palette, isNarrow: boolean): Option => {
    const colours = Object.values(palette.series)
    const ours = targets.flatMap((target, index) =>
      (['2014', 'today'] as const).map((name) => ({
        name: `${target}, settings of ${name}`,
        color: colours[index % colours.length]!,
        opacity: name === 'today' ? 1 : 0.55,
        data: tests.map(
          ({ columns }) => columns.find((one) => one.target === target && one.name === name)?.recordsPerSecond ?? null,
        ),
      })),
    )
    const then = {
      name: 'published in 2014',
      color: palette.limit,
      opacity: 1,
      data: tests.map(({ published }) => published.recordsPerSecond),
    }
    return {
      grid: { left: isNarrow ? 104 : 176, right: isNarrow ? 48 : 64, top: 20 + 18 * (ours.length + 1), bottom: 30 },
      legend: { top: 0, left: 0, orient: 'vertical', textStyle: { color: palette.text, fontSize: 11 }, itemHeight: 9 },
      xAxis: valueAxis(palette, formatRate),
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
  const bars = 1 + 2 * targets.length
  return draw(60 + 18 * bars + tests.length * (14 + 16 * bars), option, 'Records a second in 2014 and now')
}
