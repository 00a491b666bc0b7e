/**
 * The reports of the benchmarks in a real browser, with scripts switched off: in every figure one chart is drawn and seen, in light
 * and dark, and a phone shows all of it without scrolling sideways. PAGELOG_SCREENSHOTS=<folder> keeps what was seen.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compare } from '../../bench/compare/compare.ts'
import { renderComparison } from '../../bench/compare/report.ts'
import { runLinkedin } from '../../bench/linkedin/run.ts'
import { renderLinkedin } from '../../bench/linkedin/table.ts'
import { IntervalLatency } from '../../bench/load/intervals.ts'
import { renderLoadReport } from '../../bench/load/report.ts'
import { planOf } from '../../bench/matrix/plan.ts'
import { renderMatrixReport } from '../../bench/matrix/report.ts'
import { runMatrix } from '../../bench/matrix/run.ts'
import { MatrixState } from '../../bench/matrix/state.ts'
import { readWorkload } from '../../bench/matrix/workload.ts'
import { Progress } from '../../bench/measure/progress.ts'
import { loopback } from '../../bench/netns/placement.ts'
import { makeScratch } from '../../bench/process/scratch.ts'
import { renderReport } from '../../bench/report/html.ts'
import { loadResult, loadRun } from '../bench/sample-load.ts'
import { result as sample } from '../bench/sample-result.ts'
import { Browser } from './browser.ts'

const PHONE = { width: 360, height: 740 }
const DESK = { width: 1280, height: 900 }
/** Smaller words in a chart nobody reads; pixels of a phone that is 360 wide. */
const TEXT_PIXELS_MIN = 8

let directory = ''
let browser: Browser
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-reports-test-'))
  browser = await Browser.start()
})
afterAll(async () => {
  await browser.close()
  rmSync(directory, { recursive: true, force: true })
})

const progress = () => new Progress(1, { quiet: true })
const { signal } = new AbortController()

/** With latencies over time, of which the sample has none. */
function load() {
  const result = loadResult([900, 1000], [8, 9])
  const latency = new IntervalLatency()
  for (let i = 0; i < 5000; i++) latency.record(1 + (i % 40) / 10, i)
  latency.finish(5000)
  const series = [0.5, 1, 1.5, 2].map((atSeconds) => ({ atSeconds, recordsPerSecond: 1000 - atSeconds }))
  return { ...result, runs: result.runs.map((run) => ({ ...run, series, intervals: latency.intervals })) }
}

async function matrix() {
  const text = 'matrix: { acks: [0, 1, all], batchBytes: [4096, 16384, 65536] }\nload: { seconds: 1, warmUpSeconds: 0 }'
  const workload = readWorkload(text, 'a text')
  return await runMatrix({
    ...{ workload, plan: planOf(workload, true), state: new MatrixState(directory, workload, 'loopback') },
    ...{ bootstrap: null, dataDirectory: directory, netns: undefined, hosts: undefined, quick: true },
    ...{ command: 'a test', signal, progress: progress() },
    run: async ({ settings }) => loadRun(settings.tuning.batchBytes * 10, settings.tuning.acks === -1 ? 20 : 8),
    session: async (_, work) =>
      await work({
        target: { bootstrap: 'nowhere:1' },
        placement: loopback,
        scratch: makeScratch(join(directory, 'scratch')),
      }),
  })
}

async function linkedin() {
  const own = sample.results.find(({ target }) => target === 'pagelog')!
  const tests = ['single-producer', 'single-consumer', 'message-size', 'end-to-end']
  return await runLinkedin({
    ...{ tests, mode: 'normal', against: null, command: 'a test', signal, progress: progress() },
    measure: async (settings) => {
      const results = settings.tests.map((name) => ({
        ...own,
        test: name,
        recordsPerSecond: 1e9 / settings.valueBytes,
      }))
      return { ...sample, results, settings: { ...settings, targets: {} } }
    },
  })
}

const reports: Readonly<Record<string, () => Promise<string>>> = {
  bench: () => renderReport(sample),
  load: () => renderLoadReport(load()),
  matrix: async () => renderMatrixReport(await matrix()),
  compare: async () =>
    renderComparison(compare(loadResult([900, 1000, 950], [8, 9, 8.5]), loadResult([1800, 1850, 1900], [7, 9, 8]), [])),
  linkedin: async () => renderLinkedin(await linkedin()),
}

interface Seen {
  readonly scrollWidth: number
  readonly innerWidth: number
  readonly background: string
  readonly figures: readonly {
    readonly charts: number
    readonly left: number
    readonly right: number
    readonly height: number
    readonly shapes: number
    readonly smallestText: number
  }[]
}

/** Evaluated in the page: what of the figures takes up room. */
const LOOK = `(() => {
  const box = (one) => one.getBoundingClientRect()
  const figures = [...document.querySelectorAll('figure')].map((figure) => {
    const charts = [...figure.querySelectorAll('svg')].filter((svg) => box(svg).width > 0 && box(svg).height > 0)
    const inside = (what) => charts.flatMap((svg) => [...svg.querySelectorAll(what)]).map(box)
    const whole = charts.length === 0 ? { left: 0, right: 0, height: 0 } : box(charts[0])
    return {
      charts: charts.length, left: whole.left, right: whole.right, height: whole.height,
      shapes: inside('path, rect, circle, polyline').filter(({ width, height }) => width + height > 0).length,
      smallestText: Math.min(...inside('text').filter(({ width }) => width > 0).map(({ width, height }) => Math.min(width * 8, height))),
    }
  })
  const { scrollWidth } = document.documentElement
  return { scrollWidth, innerWidth, background: getComputedStyle(document.body).backgroundColor, figures }
})()`

function brightness(color: string): number {
  const parts = color.match(/\d+/g)!.slice(0, 3).map(Number)
  return parts.reduce((sum, part) => sum + part, 0) / parts.length
}

async function keep(name: string): Promise<void> {
  const folder = process.env.PAGELOG_SCREENSHOTS
  if (folder === undefined) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name}.png`), await browser.screenshot(true))
}

describe.each(Object.keys(reports))('the report of %s', (name) => {
  let url = ''
  beforeAll(async () => {
    const path = join(directory, `${name}.html`)
    writeFileSync(path, await reports[name]!())
    url = pathToFileURL(path).href
  })

  test.each([
    ['light', PHONE],
    ['dark', PHONE],
    ['light', DESK],
    ['dark', DESK],
  ] as const)('%s, %o', async (scheme, size) => {
    await browser.open(url, { ...size, scheme })
    const seen = await browser.evaluate<Seen>(LOOK)
    await keep(`${name}-${scheme}-${size.width}`)
    expect(seen.innerWidth).toBe(size.width)
    expect(seen.scrollWidth, 'as wide as the screen').toBeLessThanOrEqual(size.width)
    if (scheme === 'light') expect(brightness(seen.background)).toBeGreaterThan(200)
    else expect(brightness(seen.background)).toBeLessThan(60)
    expect(seen.figures.length).toBeGreaterThanOrEqual(name === 'linkedin' ? 4 : 1)
    for (const figure of seen.figures) {
      expect(figure.charts, 'the chart of this scheme, not that of the other').toBe(1)
      expect(figure.left).toBeGreaterThanOrEqual(0)
      expect(figure.right).toBeLessThanOrEqual(size.width)
      expect(figure.height).toBeGreaterThan(100)
      expect(figure.shapes).toBeGreaterThan(3)
      expect(figure.smallestText).toBeGreaterThanOrEqual(TEXT_PIXELS_MIN)
    }
  })
})

test('scripts are off in these pages', async () => {
  const path = join(directory, 'script.html')
  writeFileSync(path, '<title>off</title><script>document.title = "on"</script>')
  await browser.open(pathToFileURL(path).href, { ...PHONE, scheme: 'light' })
  expect(await browser.evaluate<string>('document.title')).toBe('off')
})
