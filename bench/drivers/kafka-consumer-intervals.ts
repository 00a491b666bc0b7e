/** What Apache Kafka's consumer tools print while they read, and the rate that follows from it. */
import { withResolvers } from '../process/resolvers.ts'
import type { SeriesPoint } from '../result.ts'
import { type ConsumerInterval, consumerInterval } from './kafka-output.ts'

const TOO_SOON = 'the consumer tool was done too soon to be measured: store more records (--records)'

export interface MeasuredIntervals {
  readonly records: number
  readonly seconds: number
  readonly series: SeriesPoint[]
  readonly warmUpSeconds: number
}

/** Lines of ConsumerPerformance --show-detailed-stats: the warm-up's are left out, rates come from what is between the rest. */
export class ConsumerIntervals {
  readonly all: ConsumerInterval[] = []
  readonly #warmUpSeconds: number
  readonly #onProgress: (records: number) => void
  readonly #begun = withResolvers<void>()

  constructor(warmUpSeconds: number, onProgress: (records: number) => void = () => {}) {
    this.#warmUpSeconds = warmUpSeconds
    this.#onProgress = onProgress
  }

  /** The first records are here, the start of the group is over. */
  get begun(): Promise<void> {
    return this.#begun.promise
  }

  readonly onLine = (line: string): void => {
    const interval = consumerInterval(line)
    if (interval === undefined) return
    this.all.push(interval)
    this.#begun.resolve()
    this.#onProgress(interval.records)
  }

  /** From when to when it was warm and read. When little was stored half of the time is warm-up; the run says how long it was. */
  warm(): { fromMs: number; toMs: number } {
    const begin = this.all[0]
    const last = this.all.at(-1)
    if (begin === undefined || last === undefined || this.all.length < 4) throw new Error(TOO_SOON)
    return { fromMs: begin.atMs + Math.min(this.#warmUpSeconds * 1000, (last.atMs - begin.atMs) / 2), toMs: last.atMs }
  }

  measured({ fromMs, toMs }: { fromMs: number; toMs: number }): MeasuredIntervals {
    const begin = this.all[0]!
    const counted = this.all.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs)
    const first = counted[0]
    const last = counted.at(-1)
    if (first === undefined || last === undefined || last === first) throw new Error(TOO_SOON)
    const series = counted.slice(1).map((one) => ({
      atSeconds: (one.atMs - first.atMs) / 1000,
      recordsPerSecond: Math.round(one.recordsPerSecond),
    }))
    const seconds = (last.atMs - first.atMs) / 1000
    return { records: last.records - first.records, seconds, series, warmUpSeconds: (first.atMs - begin.atMs) / 1000 }
  }
}

/** The rate is the sum of theirs while all of them read, warm. */
export function measuredTogether(all: readonly ConsumerIntervals[]): MeasuredIntervals {
  const warm = all.map((one) => one.warm())
  const window = {
    fromMs: Math.max(...warm.map(({ fromMs }) => fromMs)),
    toMs: Math.min(...warm.map(({ toMs }) => toMs)),
  }
  const parts = all.map((one) => one.measured(window))
  const records = parts.reduce((total, one) => total + one.records, 0)
  const rate = parts.reduce((total, one) => total + one.records / one.seconds, 0)
  return {
    records,
    seconds: records / rate,
    series: parts.length === 1 ? parts[0]!.series : [],
    warmUpSeconds: Math.max(...parts.map((one) => one.warmUpSeconds)),
  }
}
