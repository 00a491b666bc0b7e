/** Latencies of a whole run and of each second of it, so that they can be written as an HDR log and drawn over time. */
import { LatencyRecorder } from '../measure/latency.ts'

/** One second or less; `start` counts from the beginning of what is measured. */
export interface LatencyInterval {
  readonly startSeconds: number
  readonly seconds: number
  /** Encoded histogram, microseconds. */
  readonly latency: string
}

export class IntervalLatency {
  readonly whole = new LatencyRecorder()
  readonly intervals: LatencyInterval[] = []
  #current = new LatencyRecorder()
  #startMs = 0
  readonly #intervalMs: number

  constructor(intervalMs = 1000) {
    this.#intervalMs = intervalMs
  }

  /** `atMs`: since the measured phase began; never before the time of the call before. */
  record(milliseconds: number, atMs: number, count = 1): void {
    if (atMs >= this.#startMs + this.#intervalMs) this.#turn(atMs)
    this.whole.record(milliseconds, count)
    this.#current.record(milliseconds, count)
  }

  /** Ends the last interval. */
  finish(atMs: number): void {
    this.#close(Math.max(atMs, this.#startMs + 1))
  }

  #turn(atMs: number): void {
    const steps = Math.floor((atMs - this.#startMs) / this.#intervalMs)
    this.#close(this.#startMs + this.#intervalMs)
    // Seconds in which nothing came back have no histogram, and the next begins where it belongs.
    this.#startMs += (steps - 1) * this.#intervalMs
  }

  #close(endMs: number): void {
    if (this.#current.count > 0) {
      this.intervals.push({
        startSeconds: this.#startMs / 1000,
        seconds: (endMs - this.#startMs) / 1000,
        latency: this.#current.encode(),
      })
      this.#current = new LatencyRecorder()
    }
    this.#startMs = endMs
  }
}

/** Those of several processes by their second. */
export function mergeIntervals(parts: readonly (readonly LatencyInterval[])[]): LatencyInterval[] {
  const bySecond = new Map<number, LatencyInterval[]>()
  for (const one of parts.flat()) {
    const second = Math.round(one.startSeconds)
    bySecond.set(second, [...(bySecond.get(second) ?? []), one])
  }
  return [...bySecond]
    .sort(([a], [b]) => a - b)
    .map(([startSeconds, ones]) => {
      if (ones.length === 1) return { ...ones[0]!, startSeconds }
      const merged = new LatencyRecorder()
      for (const { latency } of ones) merged.merge(latency)
      return { startSeconds, seconds: Math.max(...ones.map(({ seconds }) => seconds)), latency: merged.encode() }
    })
}
