/** Readers of what Apache Kafka's perf tools print (4.1). A line that is none of theirs gives undefined. */

export interface ProducerInterval {
  readonly records: number
  readonly recordsPerSecond: number
  readonly meanLatencyMs: number
  readonly maxLatencyMs: number
}

/** `4491234 records sent, 898246.8 records/sec (85.66 MB/sec), 3.3 ms avg latency, 240.0 ms max latency.` */
export function producerInterval(line: string): ProducerInterval | undefined {
  const found =
    /^(\d+) records sent, ([\d.]+) records\/sec \([\d.]+ MB\/sec\), ([\d.]+) ms avg latency, ([\d.]+) ms max latency\.$/.exec(
      line.trim(),
    )
  if (found === null) return undefined
  const [records, recordsPerSecond, meanLatencyMs, maxLatencyMs] = found.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
  ]
  return { records, recordsPerSecond, meanLatencyMs, maxLatencyMs }
}

export interface ConsumerInterval {
  readonly atMs: number
  /** Since the tool began. */
  readonly records: number
  readonly recordsPerSecond: number
  readonly fetchRecordsPerSecond: number
}

/**
 * A line of --show-detailed-stats:
 * `2026-11-21 12:00:01:234, 0, 381.4697, 381.4697, 4000000, 4000000.0000, 0, 1000, 381.4697, 4000000.0000`
 * (time, thread, MB consumed, MB/s, records consumed, records/s, ms of rebalancing, ms of fetching, fetch MB/s, fetch records/s).
 */
export function consumerInterval(line: string): ConsumerInterval | undefined {
  const fields = line.split(',').map((field) => field.trim())
  if (fields.length !== 10) return undefined
  const atMs = kafkaTime(fields[0]!)
  const [records, recordsPerSecond, fetchRecordsPerSecond] = [fields[4], fields[5], fields[9]].map(Number)
  if (atMs === undefined || Number.isNaN(Number(fields[1])) || Number.isNaN(records)) return undefined
  return {
    atMs,
    records: records!,
    recordsPerSecond: recordsPerSecond!,
    fetchRecordsPerSecond: fetchRecordsPerSecond!,
  }
}

export interface ConsumerTotal {
  readonly seconds: number
  readonly records: number
  readonly recordsPerSecond: number
  readonly fetchRecordsPerSecond: number
}

/** The last line without --show-detailed-stats: start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, fetch MB/s, fetch records/s. */
export function consumerTotal(line: string): ConsumerTotal | undefined {
  const fields = line.split(',').map((field) => field.trim())
  if (fields.length !== 10) return undefined
  const startedMs = kafkaTime(fields[0]!)
  const endedMs = kafkaTime(fields[1]!)
  if (startedMs === undefined || endedMs === undefined) return undefined
  return {
    seconds: (endedMs - startedMs) / 1000,
    records: Number(fields[4]),
    recordsPerSecond: Number(fields[5]),
    fetchRecordsPerSecond: Number(fields[9]),
  }
}

/** `yyyy-MM-dd HH:mm:ss:SSS`, taken as UTC: only differences are used. */
function kafkaTime(text: string): number | undefined {
  const found = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d):(\d{3})$/.exec(text)
  if (found === null) return undefined
  const [year, month, day, hour, minute, second, ms] = found.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  return Date.UTC(year, month - 1, day, hour, minute, second, ms)
}

export interface EndToEndSummary {
  readonly meanMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
}

/** `Avg latency: 0.7507 ms` and `Percentiles: 50th = 0, 99th = 3, 99.9th = 8` (whole milliseconds, cut off). */
export function endToEndSummary(output: string): EndToEndSummary | undefined {
  const mean = /Avg latency: ([\d.]+) ms/.exec(output)
  const percentiles = /Percentiles: 50th = (\d+), 99th = (\d+), 99\.9th = (\d+)/.exec(output)
  if (mean === null || percentiles === null) return undefined
  const [p50Ms, p99Ms, p999Ms] = percentiles.slice(1).map(Number) as [number, number, number]
  return { meanMs: Number(mean[1]), p50Ms, p99Ms, p999Ms }
}
