/** The shape of a compression result; `result.schema.json` has the published form, a test holds the two together. */
import type { LoopDelay, ResultFacts } from '../result.ts'
import type { ProducerClient } from './clients.ts'
import type { PayloadKind } from './payloads.ts'

export const COMPRESSION_SCHEMA_VERSION = 1

export const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
export type CodecId = (typeof codecs)[number]

/** One codec on one core, without any broker. */
export interface SpeedResult {
  readonly codec: CodecId
  /** Null: the codec has none. */
  readonly level: number | null
  readonly batchBytes: number
  readonly payload: PayloadKind
  /** Plain bytes over compressed ones, batch headers included. */
  readonly ratio: number
  /** Plain megabytes (10^6) for each second of CPU. */
  readonly compress: number
  readonly decompress: number
  readonly node: string
}

/** A producer at full speed through a broker. */
export interface ThroughputResult {
  readonly client: ProducerClient
  /** As the client calls itself. */
  readonly clientVersion: string
  readonly codec: CodecId
  readonly level: number | null
  readonly batchBytes: number
  readonly payload: PayloadKind
  /** Null for clients that have none. */
  readonly workers: number | null
  readonly recordsPerSecond: number
  readonly megabytesPerSecond: number
  /** In a closed loop: mostly time in the queue. */
  readonly latencyP99Ms: number | null
  /** Of the producer's process. */
  readonly eventLoopDelayMs: LoopDelay | null
  readonly coresUsed: number | null
}

export interface CompressionSettings {
  readonly codecs: readonly CodecId[]
  /** Empty: the levels of the default list. */
  readonly levels: readonly number[]
  readonly batches: readonly number[]
  readonly payloads: readonly PayloadKind[]
  readonly workers: readonly number[]
  readonly clients: readonly ProducerClient[]
  /** What goes through the broker, of the above. */
  readonly throughputPayloads: readonly PayloadKind[]
  readonly throughputBatches: readonly number[]
  readonly speedSeconds: number
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly partitions: number
  readonly payloadBytes: number
  readonly payloadSeed: number
}

export interface CompressionResult extends ResultFacts {
  readonly kind: 'compression'
  readonly schemaVersion: typeof COMPRESSION_SCHEMA_VERSION
  readonly settings: CompressionSettings
  readonly speeds: readonly SpeedResult[]
  readonly throughput: readonly ThroughputResult[]
  readonly failures: readonly { readonly what: string; readonly error: string }[]
}
