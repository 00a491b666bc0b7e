/** Rates over time out of a running count, read eight times a second: given so, or a quarter of a second each, or a second, as long as it took. */
import type { SeriesPoint } from '../result.ts'

const INTERVAL_MS = 125
/** Up to this long each reading is kept. */
const FINEST_MS_MAX = 2_500
/** Up to this long a quarter of a second each is. */
const FINE_MS = 250
const FINE_MS_MAX = 10_000

export class SeriesRecorder {
  readonly #count: () => number
  readonly #points: { atMs: number; count: number }[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(count: () => number) {
    this.#count = count
  }

  start(): void {
    this.#read()
    this.#timer = setInterval(() => this.#read(), INTERVAL_MS)
    this.#timer.unref()
  }

  stop(): SeriesPoint[] {
    clearInterval(this.#timer)
    this.#read()
    return toSeries(this.#points)
  }

  #read(): void {
    this.#points.push({ atMs: performance.now(), count: this.#count() })
  }
}

export function toSeries(points: readonly { atMs: number; count: number }[]): SeriesPoint[] {
  const first = points[0]
  const last = points.at(-1)
  if (first === undefined || last === undefined || last === first) return []
  const allMs = last.atMs - first.atMs
  const stepMs = allMs > FINE_MS_MAX ? 1000 : allMs > FINEST_MS_MAX ? FINE_MS : INTERVAL_MS
  const series: SeriesPoint[] = []
  let from = first
  for (const point of points) {
    const elapsed = point.atMs - from.atMs
    // A short last piece says little and would show as a spike; half a step is taken.
    if (elapsed < stepMs * 0.9 && !(point === last && elapsed > stepMs * 0.5)) continue
    series.push({
      atSeconds: Math.round(point.atMs - first.atMs) / 1000,
      recordsPerSecond: Math.round(((point.count - from.count) * 1000) / elapsed),
    })
    from = point
  }
  return series
}

/**
 * Several as one, at the times of the one that has the fewest points and until the first of them ends: the steps of two that took about as
 * long may differ.
 */
export function sumSeries(all: readonly (readonly SeriesPoint[])[]): SeriesPoint[] {
  const [coarsest] = [...all].sort((a, b) => a.length - b.length)
  if (coarsest === undefined) return []
  const untilSeconds = Math.min(...all.map((series) => series.at(-1)?.atSeconds ?? 0))
  const points: SeriesPoint[] = []
  let from = 0
  for (const { atSeconds } of coarsest) {
    if (atSeconds > untilSeconds) break
    const between = all.reduce((sum, series) => sum + countAt(series, atSeconds) - countAt(series, from), 0)
    points.push({ atSeconds, recordsPerSecond: Math.round(between / (atSeconds - from)) })
    from = atSeconds
  }
  return points
}

/** Each point's rate is that since the point before it. */
function countAt(series: readonly SeriesPoint[], seconds: number): number {
  let count = 0
  let from = 0
  for (const { atSeconds, recordsPerSecond } of series) {
    if (from >= seconds) break
    count += recordsPerSecond * (Math.min(atSeconds, seconds) - from)
    from = atSeconds
  }
  return count
}
