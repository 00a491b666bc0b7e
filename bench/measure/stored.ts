/** Rates by what is stored: a series over time cut into tenths of the records. Pure. */
import type { SeriesPoint, StoredResult } from '../result.ts'

const PARTS = 10

/**
 * `bytesPerRecord` is that of one replica; each of `replicas` brokers has one of everything. undefined when the series is too
 * short to be cut.
 */
export function storedResult(
  series: readonly SeriesPoint[],
  bytesPerRecord: number,
  replicas: number,
  memoryBytes: number | null,
): StoredResult | undefined {
  const records = cumulative(series)
  const all = records.at(-1)
  if (all === undefined || all.records <= 0 || series.length < PARTS) return undefined
  const tenths: { storedBytes: number; recordsPerSecond: number }[] = []
  let fromSeconds = 0
  for (let part = 1; part <= PARTS; part++) {
    const until = (all.records * part) / PARTS
    const atSeconds = secondsAt(records, until)
    tenths.push({
      storedBytes: Math.round(until * bytesPerRecord * replicas),
      recordsPerSecond: Math.round(all.records / PARTS / (atSeconds - fromSeconds)),
    })
    fromSeconds = atSeconds
  }
  const brokerBytes = Math.round(all.records * bytesPerRecord)
  return {
    bytes: brokerBytes * replicas,
    brokerBytes,
    memoryBytes,
    tenths,
    lastOfFirst: Math.round((tenths.at(-1)!.recordsPerSecond / tenths[0]!.recordsPerSecond) * 1e4) / 1e4,
  }
}

interface Reached {
  readonly seconds: number
  readonly records: number
}

/** Each point's rate is that since the point before it. */
function cumulative(series: readonly SeriesPoint[]): Reached[] {
  const reached: Reached[] = []
  let [seconds, records] = [0, 0]
  for (const point of series) {
    records += point.recordsPerSecond * (point.atSeconds - seconds)
    seconds = point.atSeconds
    reached.push({ seconds, records })
  }
  return reached
}

/** When so many records were reached, in a straight line between two points. */
function secondsAt(reached: readonly Reached[], records: number): number {
  let before: Reached = { seconds: 0, records: 0 }
  for (const point of reached) {
    if (point.records >= records && point.records > before.records) {
      const share = (records - before.records) / (point.records - before.records)
      return before.seconds + share * (point.seconds - before.seconds)
    }
    before = point
  }
  return before.seconds
}
