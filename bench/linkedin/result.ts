/** The shape of a repetition of the tests of 2014; `suite.schema.json` has the published form. */
import type { BenchResult, ResultFacts } from '../result.ts'

/** Of what is around the results of tests, which have their own. */
export const LINKEDIN_SCHEMA_VERSION = 1

export interface LinkedinColumn {
  readonly name: '2014' | 'today'
  /** `batch.size 8196, linger.ms 0`. */
  readonly settings: string
  /** Broker and client. */
  readonly target: string
  readonly recordsPerSecond: number | null
  readonly low: number | null
  readonly high: number | null
  readonly mebibytesPerSecond: number | null
  readonly p50: number | null
  readonly p99: number | null
  readonly p999: number | null
  /** The rate as a multiple of that of Apache Kafka with its own tools, of latencies the p50's; where that was measured. */
  readonly ratio?: number | null
  /** Kafka was still getting faster when its warm-up had to end: the ratio flatters. */
  readonly stillRising?: true
  /** Of what the same bytes need with bare system calls. */
  readonly shareOfLimit?: number | null
  /** Of the test in which the stored data grow: the last tenth's rate as a share of the first's. */
  readonly lastOfFirst?: number | null
  readonly error: string | null
}

export interface LinkedinTest {
  readonly id: string
  readonly title: string
  readonly published: {
    readonly recordsPerSecond: number | null
    readonly mebibytesPerSecond: number | null
    readonly latencyMs: { readonly p50: number; readonly p99: number; readonly p999: number } | null
    readonly note: string | null
  }
  readonly columns: readonly LinkedinColumn[]
}

export interface LinkedinResult extends ResultFacts {
  readonly kind: 'linkedin-2014'
  readonly schemaVersion: typeof LINKEDIN_SCHEMA_VERSION
  readonly quick: boolean
  readonly tests: readonly LinkedinTest[]
  /** Of the ten, those that were not measured. */
  readonly missing: readonly string[]
  readonly hardware2014: string
  /** All of what was measured, in the shape of the tests. */
  readonly results: readonly BenchResult[]
}
