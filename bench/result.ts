/**
 * The shape of a result file; `result.schema.json` beside this file is the published form and a test holds the two
 * together. Times are milliseconds unless the name says otherwise; MiB are payload over 2^20 bytes.
 */
import type { LatencyInterval } from './load/intervals.ts'
import type { LatencySummary } from './measure/latency.ts'
import type { Machine } from './measure/machine.ts'

export const SCHEMA_VERSION = 2

export const allTests = [
  'single-producer',
  'single-consumer',
  'three-consumers',
  'producer-and-consumer-1x',
  'end-to-end-1x',
  'single-producer-3x-async',
  'single-producer-3x-sync',
  'three-producers-3x-async',
  'throughput-vs-stored',
  'producer-and-consumer-3x',
  'end-to-end-3x',
] as const

export type TestId = (typeof allTests)[number]

/** The broker and what loads it: `kafka+pagelog-client` is our client on Apache Kafka. */
export const allTargets = ['pagelog', 'kafka', 'hosts'] as const
export type TargetName = (typeof allTargets)[number]
/** Than ours and Apache Kafka's tools. */
export const otherClients = ['kafkajs', 'platformatic', 'node-rdkafka', 'librdkafka'] as const
export type OtherClient = (typeof otherClients)[number]
export const allDrivers = ['pagelog-client', 'kafka-tools', ...otherClients] as const
export type DriverName = (typeof allDrivers)[number]

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
  /** Bytes that it had the device read, and dirtied for the device to write; of brokers, where Linux tells. */
  readonly readBytes?: number | null
  readonly writtenBytes?: number | null
  /** Bytes over the links of a network namespace of its own; null where it shares one. */
  readonly receivedBytes?: number | null
  readonly sentBytes?: number | null
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

/** What the brokers read, wrote and sent during the measured phase. */
export interface RunIo {
  /** Of all brokers, from and to the device. */
  readonly readBytes: number
  readonly writtenBytes: number
  /** Over the brokers' links, both directions, or all that went over the loopback that everybody shares; null where nobody knows. */
  readonly networkBytes: number | null
  readonly network: 'links' | 'loopback'
  /** Bytes of the log that consumers and followers were sent; null where nobody read. */
  readonly servedBytes: number | null
  /** Of the served bytes those for which no device had to be read. */
  readonly pageCacheShare: number | null
}

/** A rate while the stored data grow. */
export interface StoredResult {
  /** That the measured phase added on all brokers, and on the one that has most. */
  readonly bytes: number
  readonly brokerBytes: number
  /** What memory each broker was confined to. */
  readonly memoryBytes: number | null
  /** The rates while each tenth of it was added. */
  readonly tenths: readonly { readonly storedBytes: number; readonly recordsPerSecond: number }[]
  /** The last tenth's rate as a share of the first's. */
  readonly lastOfFirst: number
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
  /** What drove it was still getting faster when its warm-up had to end: its rate is too low. Where that is known. */
  readonly stillRising?: boolean
  /** The write-back of earlier runs was done before this one began; null when it was not waited for. */
  readonly writeBackQuiet: boolean | null
  /** Bytes of memory that were used once before the run, so that it touches none for the first time; absent where that was not done. */
  readonly memoryUsed?: number
  /** Null where there is one replica. */
  readonly replication: ReplicationResult | null
  /** Absent or null where the system does not tell. */
  readonly io?: RunIo | null
  /** Of the test in which it grows. */
  readonly stored?: StoredResult | null
  /** Latencies second by second, of tests of latency. */
  readonly intervals?: readonly LatencyInterval[]
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
  /** Place in `runs` of the one whose rate (or p50) is the median's nearest: it stands for the test. Null when all failed. */
  readonly medianRun: number | null
  /** From the intended send time. In a closed loop that is when the record was sent. Of the median run. */
  readonly latencyMs: LatencySummary | null
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
  /** Set where `against` was still getting faster when its warm-up had to end: the ratio flatters `target`. */
  readonly stillRising?: true
}

/** How a target was brought to its speed before the first run of a test, where targets are compared. */
export interface WarmUpResult {
  readonly test: TestId
  readonly target: TargetName
  readonly brokers: number
  /** Under load. */
  readonly seconds: number
  /** Its rate had stopped rising; false when the bound came first, or the load failed. */
  readonly steady: boolean
  /** Of the last intervals, with our client: of end-to-end records one at a time, of loads that produce and fetch both. */
  readonly recordsPerSecond: number
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
  /** What throughput-vs-stored adds on the disks of all brokers together; without it `STORED_BYTES`. */
  readonly storedBytes?: number
  /** What each broker is confined to. */
  readonly brokerMemoryBytes?: number
  /** `loopback`, the rate of shaped links between namespaces, or `hosts`: brokers on other machines. */
  readonly network?: string
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
  /** Of what was measured beside pagelog. */
  readonly versions?: Readonly<Record<string, string>>
  readonly limits: readonly LimitResult[]
  readonly results: readonly TestResult[]
  readonly ratios: readonly RatioResult[]
  /** Absent where nothing is compared. */
  readonly warmUps?: readonly WarmUpResult[]
  readonly failures: readonly { readonly test: TestId; readonly target: string; readonly error: string }[]
}

export function medianRunOf({ runs, medianRun }: TestResult): RunResult | undefined {
  return medianRun === null ? undefined : (runs[medianRun] as RunResult)
}

export function isRun(run: RunResult | FailedRun): run is RunResult {
  return !('error' in run)
}

/** How a broker and its driver are named in ratios and tables. */
export function variantName(target: TargetName, driver: DriverName): string {
  const own = target === 'kafka' ? 'kafka-tools' : 'pagelog-client'
  return driver === own ? target : `${target}+${driver}`
}
