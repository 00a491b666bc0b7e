/** The shape of what a load came to; `load.schema.json` has the published form, a test holds the two together. */

import type { LatencySummary } from '../measure/latency.ts'
import type { ProcessResult, ResultFacts, SeriesPoint } from '../result.ts'
import type { ArrivalSpec } from './arrivals.ts'
import type { LoadCounts } from './counts.ts'
import type { LatencyInterval } from './intervals.ts'
import type { KeySpec } from './keys.ts'
import type { Pacing } from './pace.ts'
import type { Overhead, ProducerTuning } from './protocol.ts'
import type { ValueSpec } from './values.ts'
import type { Verification } from './verification.ts'

export const LOAD_SCHEMA_VERSION = 1

export interface LoadSettings {
  /** Null: a pagelog broker is started for it. */
  readonly bootstrap: string | null
  /** A topic that is there already; null: one is made for each run and deleted after it. */
  readonly topic: string | null
  readonly partitions: number
  readonly replication: number
  readonly producers: number
  readonly tuning: ProducerTuning
  readonly values: ValueSpec
  readonly poolBytes: number
  readonly keys: KeySpec
  /** Of all producers together; null: a closed loop. */
  readonly arrivals: ArrivalSpec | null
  readonly pacing: Pacing
  readonly warmUpSeconds: number
  readonly seconds: number
  readonly drainSeconds: number
  /** Everything is read by a consumer and compared. */
  readonly verify: boolean
  readonly seed: number
}

export interface LoadRun extends LoadCounts {
  readonly seconds: number
  readonly recordsPerSecond: number
  readonly mebibytesPerSecond: number
  /** From the intended sending. */
  readonly latencyMs: LatencySummary | null
  /** From the call of send. */
  readonly serviceTimeMs: LatencySummary | null
  /** How much after its time a record was sent. */
  readonly latenessMs: LatencySummary | null
  /** From the intended sending until a consumer has it. */
  readonly endToEndMs: LatencySummary | null
  readonly overhead: Overhead | null
  readonly verification: Verification | null
  readonly series: readonly SeriesPoint[]
  readonly intervals: readonly LatencyInterval[]
  readonly processes: readonly ProcessResult[]
  readonly retries: number
  /** What cut the run short, or made it worth nothing; what is there is still true. */
  readonly error: string | null
}

export interface LoadResult extends ResultFacts {
  readonly kind: 'load'
  readonly schemaVersion: typeof LOAD_SCHEMA_VERSION
  readonly settings: LoadSettings
  readonly placement: string
  readonly runs: readonly LoadRun[]
}

/** One rate that was tried. */
export interface Trial {
  readonly rate: number
  readonly passed: boolean
  readonly why: string
  readonly run: LoadRun
}

export interface FindMaxResult extends ResultFacts {
  readonly kind: 'find-max'
  readonly schemaVersion: typeof LOAD_SCHEMA_VERSION
  readonly settings: LoadSettings
  readonly placement: string
  readonly goal: { readonly percentile: 'p50' | 'p99' | 'p999'; readonly milliseconds: number }
  /** Records a second; null when even the lowest rate was too much. */
  readonly maxRate: number | null
  /** The lowest rate that did not pass; null when none failed. */
  readonly tooHigh: number | null
  readonly trials: readonly Trial[]
}
