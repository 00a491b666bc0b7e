/**
 * What the harness and a driver process say to each other over IPC. A driver sets up, says `ready`, waits for `start`,
 * warms up, says `measuring`, measures, says `measured`, drains, says `result`, and ends.
 */
import type { LatencyInterval } from '../load/intervals.ts'
import type { PreparedClient } from '../peers/other-clients.ts'
import type { LoopDelay, SeriesPoint } from '../result.ts'
import type { Checksum } from './payloads.ts'

export interface PayloadSpec {
  readonly valueBytes: number
  readonly seed: number
  readonly poolBytes: number
}

interface CommonSpec {
  readonly bootstrap: string
  readonly topic: string
  readonly warmUpSeconds: number
  /** The measured phase ends with whichever comes first. */
  readonly records: number
  readonly seconds: number
}

export interface ProducerSpec extends CommonSpec {
  readonly kind: 'producer'
  /** Another client than ours. */
  readonly client: PreparedClient | null
  readonly partitions: number
  readonly payload: PayloadSpec
  readonly acks: number
  readonly batchBytes: number
  readonly lingerMs: number
  readonly bufferBytes: number
}

export interface ConsumerSpec extends CommonSpec {
  readonly kind: 'consumer'
  /** Another client than ours. */
  readonly client: PreparedClient | null
  readonly partitions: number
  /**
   * `laps`: what is stored, from the start, again and again (each partition begins anew when it has been read), until
   * the measured phase is over; then every partition is read to its end once more. Other clients read it once.
   * `follow`: each record once, as it comes, measuring from `measure` to `measured`, until `finish` says how many there are.
   */
  readonly mode: 'laps' | 'follow'
}

export interface EndToEndSpec extends CommonSpec {
  readonly kind: 'end-to-end'
  readonly payload: PayloadSpec
  readonly acks: number
}

export type DriverSpec = ProducerSpec | ConsumerSpec | EndToEndSpec

export type ToDriver =
  | { readonly type: 'start' }
  /** To a following consumer: the producer's measured phase begins or is over, and so does or is yours. */
  | { readonly type: 'measure' | 'measured' }
  /** To a following consumer: so many records were acknowledged in all. */
  | { readonly type: 'finish'; readonly records: number }

export interface DriverResult {
  /** Of the measured phase. */
  readonly records: number
  readonly seconds: number
  /** Of all phases: acknowledged by a producer, received by a consumer (in `laps`: of one lap). */
  readonly checksum: Checksum
  /** A consumer's sums are not of all that is stored: the measured phase was over before. */
  readonly isPart?: boolean
  /** Encoded histogram; an empty string when nothing was recorded. */
  readonly latency: string
  /** The same second by second, of tests of latency. */
  readonly intervals?: readonly LatencyInterval[]
  readonly series: readonly SeriesPoint[]
  readonly errors: number
  readonly retries: number
  readonly loopDelay: LoopDelay | null
}

export type FromDriver =
  | { readonly type: 'ready' | 'measuring' | 'measured' }
  | { readonly type: 'progress'; readonly records: number }
  | { readonly type: 'result'; readonly result: DriverResult }
  | { readonly type: 'error'; readonly message: string }
