/**
 * The shape of a result file; `result.schema.json` beside this file is the published form and a test holds the two
 * together. Times are milliseconds unless the name says otherwise; MiB are payload over 2^20 bytes.
 */
import type { LatencySummary } from './measure/latency.ts'
import type { Machine } from './measure/machine.ts'

export const SCHEMA_VERSION = 1

export const allTests = [
  'single-producer',
  'single-consumer',
  'producer-and-consumer-1x',
  'end-to-end-1x',
  'single-producer-3x-async',
  'single-producer-3x-sync',
  'three-producers-3x-async',
  'producer-and-consumer-3x',
  'end-to-end-3x',
] as const

export type TestId = (typeof allTests)[number]

/** The broker and what loads it: `kafka+pagelog-client` is our client on Apache Kafka. */
export type TargetName = 'pagelog' | 'kafka'
export type DriverName = 'pagelog-client' | 'kafka-tools'

export interface LoopDelay {
  readonly p50: number
  readonly p99: number
  readonly max: number
  /** CPU used between two turns of the event loop, 99th percentile; where the sampler knows it. */
  readonly cpuPerTurnP99?: number
}

export interface ProcessResult {
  readonly role: string
  readonly cpuSeconds: number | null
  readonly rss: number | null
  readonly eventLoopDelayMs: LoopDelay | null
  /** CPU of the busiest thread as a share of one core. */
  readonly busiestThread: number | null
}

export interface SeriesPoint {
  readonly atSeconds: number
  readonly recordsPerSecond: number
}

/** How the followers kept up; on replicated topics only. */
export interface ReplicationResult {
  /** Of the replica furthest behind, when the last record of the measured phase was acknowledged. */
  readonly lagBytes: number
  readonly lagRecords: number
  /** From then on (for Apache Kafka's tools from their end) until all replicas were equal. */
  readonly equalAfterMs: number
}

/** One measured run. */
export interface RunResult {
  readonly recordsPerSecond: number
  readonly records: number
  readonly seconds: number
  readonly latencyMs: LatencySummary | null
  readonly serviceTimeMs: LatencySummary | null
  readonly series: readonly SeriesPoint[]
  readonly processes: readonly ProcessResult[]
  readonly errors: number
  readonly retries: number
  /** Records received = records acknowledged by count and checksum; null where a tool of others cannot tell. */
  readonly verified: boolean | null
  /** Bytes the log holds for one record, batch headers included. */
  readonly storedBytesPerRecord: number | null
  readonly warmUpSeconds: number
  /** The write-back of earlier runs was done before this one began; null when it was not waited for. */
  readonly writeBackQuiet: boolean | null
  /** Null where there is one replica. */
  readonly replication: ReplicationResult | null
}

export interface FailedRun {
  readonly error: string
}

export interface TestResult {
  readonly test: TestId
  readonly target: TargetName
  readonly driver: DriverName
  readonly runs: readonly (RunResult | FailedRun)[]
  /** Median of the runs that succeeded; null when none did. */
  readonly recordsPerSecond: number | null
  readonly low: number | null
  readonly high: number | null
  readonly mebibytesPerSecond: number | null
  readonly shareOfLimit: number | null
  /** From the intended send time. In a closed loop that is when the record was sent. Of the median run. */
  readonly latencyMs: LatencySummary | null
  readonly serviceTimeMs: LatencySummary | null
  readonly series: readonly SeriesPoint[]
  readonly processes: readonly ProcessResult[]
  /** Which process or thread was at 90 % of a core or more; null when none was. */
  readonly bottleneck: string | null
  readonly errors: number
  readonly retries: number
}

export type ProbeName = 'produce' | 'consume' | 'both' | 'replicate' | 'echo'

export interface LimitResult {
  readonly test: TestId
  readonly probe: ProbeName
  readonly bytesPerRecord: number
  /** Throughput probes: records a second that the probe's bytes would be. Latency probe: null. */
  readonly recordsPerSecond: number | null
  readonly mebibytesPerSecond: number | null
  readonly low: number | null
  readonly high: number | null
  /** Latency probe only. */
  readonly latencyMs: { readonly p50: number; readonly p99: number } | null
  readonly runs: readonly number[]
}

export type Measure = 'recordsPerSecond' | 'latencyP50' | 'latencyP99'

/** `target` divided by `against`, run by run. For latencies less is better. */
export interface RatioResult {
  readonly test: TestId
  readonly measure: Measure
  readonly target: string
  readonly against: string
  readonly ratio: number
  readonly low: number
  readonly high: number
}

export interface BenchSettings {
  readonly tests: readonly TestId[]
  readonly valueBytes: number
  readonly records: number
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly latencyRecords: number
  readonly batchBytes: number
  readonly lingerMs: number
  readonly acks: number
  readonly partitions: number
  readonly runs: number
  readonly against: string | null
  readonly payloadSeed: number
  readonly payloadPoolBytes: number
  readonly targets: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** What the result of any benchmark says of its run. */
export interface ResultFacts {
  readonly version: string
  readonly startedAt: string
  readonly finishedAt: string
  /** False when the run was cut short or a part failed: what is there is still true. */
  readonly complete: boolean
  /** One run or no wait for write-back: for orientation only. */
  readonly orientation: boolean
  readonly command: string
  readonly commit: string | null
  readonly machine: Machine
}

export interface BenchResult extends ResultFacts {
  readonly schemaVersion: typeof SCHEMA_VERSION
  readonly settings: BenchSettings
  readonly limits: readonly LimitResult[]
  readonly results: readonly TestResult[]
  readonly ratios: readonly RatioResult[]
  readonly failures: readonly { readonly test: TestId; readonly target: string; readonly error: string }[]
}

export function isRun(run: RunResult | FailedRun): run is RunResult {
  return !('error' in run)
}

/** How a broker and its driver are named in ratios and tables. */
export function variantName(target: TargetName, driver: DriverName): string {
  const own = target === 'pagelog' ? 'pagelog-client' : 'kafka-tools'
  return driver === own ? target : `${target}+${driver}`
}
