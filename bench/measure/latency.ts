/**
 * Latencies as HDR histograms: recorded in microseconds, three significant digits, mergeable across processes in their
 * compressed text form.
 */
import * as hdr from 'hdr-histogram-js'

export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly p9999: number
  readonly max: number
}

export interface LatencySummary extends Percentiles {
  readonly mean: number
  readonly count: number
}

const MICROSECONDS_MAX = 3_600_000_000

export class LatencyRecorder {
  readonly #histogram = hdr.build({
    bitBucketSize: 64,
    autoResize: true,
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  })

  /** A fraction of a microsecond counts as a whole one: never better than it was. */
  record(milliseconds: number, count = 1): void {
    const microseconds = Math.min(MICROSECONDS_MAX, Math.max(1, Math.ceil(milliseconds * 1000)))
    if (count === 1) this.#histogram.recordValue(microseconds)
    else this.#histogram.recordValueWithCount(microseconds, count)
  }

  get count(): number {
    return this.#histogram.totalCount
  }

  reset(): void {
    this.#histogram.reset()
  }

  /** Text that `merge` of another process reads. */
  encode(): string {
    return hdr.encodeIntoCompressedBase64(this.#histogram)
  }

  merge(encoded: string): void {
    this.#histogram.add(hdr.decodeFromCompressedBase64(encoded))
  }

  /** Milliseconds; undefined when nothing was recorded. */
  summary(): LatencySummary | undefined {
    const h = this.#histogram
    if (h.totalCount === 0) return undefined
    const at = (percentile: number) => h.getValueAtPercentile(percentile) / 1000
    return {
      count: h.totalCount,
      mean: round(h.mean / 1000),
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      p9999: at(99.99),
      max: h.maxValue / 1000,
    }
  }
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 1e4) / 1e4
}
