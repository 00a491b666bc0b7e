/**
 * What the harness and the processes of a load say to each other over IPC. A driver sets up, says `ready`, waits for
 * `start`, warms up, says `measuring`, and in the end `result`. On `stop` it ends early, with what there is by then.
 */

import type { CodecName } from '../../src/record/index.ts'
import type { LoopDelay, SeriesPoint } from '../result.ts'
import type { ArrivalSpec } from './arrivals.ts'
import type { LoadCounts } from './counts.ts'
import type { LatencyInterval } from './intervals.ts'
import type { KeySpec } from './keys.ts'
import type { Pacing } from './pace.ts'
import type { ValueSpec } from './values.ts'
import type { SentRecords, Verification } from './verification.ts'

export interface ProducerTuning {
  readonly acks: number
  readonly batchBytes: number
  readonly lingerMs: number
  readonly bufferBytes: number
  readonly compression: CodecName
  readonly maxInFlight: number
  readonly idempotent: boolean
}

export interface LoadProducerSpec {
  readonly kind: 'producer'
  readonly bootstrap: string
  readonly topic: string
  /** Which of the producers this is, from 0. */
  readonly producer: number
  readonly tuning: ProducerTuning
  readonly values: ValueSpec
  readonly poolBytes: number
  readonly keys: KeySpec
  readonly seed: number
  readonly warmUpSeconds: number
  readonly seconds: number
  /** Of this producer alone, warm-up included; null: as fast as it goes. */
  readonly arrivals: ArrivalSpec | null
  readonly pacing: Pacing
  /** Answers are waited for so long after the last record. */
  readonly drainSeconds: number
  /** Values are stamped: they can be verified, and their readers know when they were meant to be sent. */
  readonly stamped: boolean
}

export interface LoadConsumerSpec {
  readonly kind: 'consumer'
  readonly bootstrap: string
  readonly topic: string
  readonly partitions: number
  readonly drainSeconds: number
}

export type LoadSpec = LoadProducerSpec | LoadConsumerSpec

export type ToLoadDriver =
  | { readonly type: 'start' | 'stop' }
  /** To a consumer: the producer's measured phase has begun. */
  | { readonly type: 'measure' }
  /** To a consumer: what was sent; it reads so many and says how they were. */
  | { readonly type: 'finish'; readonly sent: readonly SentRecords[]; readonly acknowledged: number }

/** What the harness itself costs: measured before the load, in the same process, against nothing. */
export interface Overhead {
  /** Of the event loop, for one record: schedule, stamp, bookkeeping, two histograms. */
  readonly microsecondsPerRecord: number
  /** What it would report of a broker that takes no time. */
  readonly latencyMs: { readonly p50: number; readonly p99: number }
}

export interface LoadProducerResult extends LoadCounts {
  readonly kind: 'producer'
  readonly seconds: number
  readonly bytesPerValue: number
  /** Encoded histograms; an empty string when nothing was recorded. */
  readonly latency: string
  readonly service: string
  readonly lateness: string
  readonly intervals: readonly LatencyInterval[]
  readonly series: readonly SeriesPoint[]
  readonly overhead: Overhead | null
  readonly retries: number
  /** What the last failed delivery said. */
  readonly lastError: string | null
  readonly loopDelay: LoopDelay | null
  readonly all: SentRecords
  /** Acknowledged in all phases. */
  readonly allAcknowledged: number
}

export interface LoadConsumerResult {
  readonly kind: 'consumer'
  readonly verification: Verification
  /** From the intended sending of a record to its being here; of what was sent in the measured phase. */
  readonly endToEnd: string
  readonly loopDelay: LoopDelay | null
}

export type LoadDriverResult = LoadProducerResult | LoadConsumerResult

export type FromLoadDriver =
  | { readonly type: 'ready' | 'measuring' }
  | { readonly type: 'progress'; readonly records: number }
  | { readonly type: 'result'; readonly result: LoadDriverResult }
  | { readonly type: 'error'; readonly message: string }
