/** Rates over time out of a running count: read every quarter of a second, given a second each once there are enough. */
import type { SeriesPoint } from '../result.ts'

const INTERVAL_MS = 250
/** Up to this long a quarter of a second each is kept. */
const FINE_SECONDS_MAX = 10

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
  const stepMs = last.atMs - first.atMs > FINE_SECONDS_MAX * 1000 ? 1000 : INTERVAL_MS
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
