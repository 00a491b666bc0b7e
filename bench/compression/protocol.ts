/**
 * What every client under test is told and says, ours and others': a program is given a spec as JSON, prints `measuring`
 * when its warm-up is over, and in the end one line of JSON.
 */
import type { LatencySummary } from '../measure/latency.ts'
import type { LoopDelay } from '../result.ts'

export interface ProduceSpec {
  readonly kind: 'produce'
  readonly bootstrap: string
  readonly topic: string
  /** See payloads.ts; its values are sent in turn, again and again. */
  readonly payloadFile: string
  readonly codec: string
  /** Undefined: the client's default. */
  readonly level?: number
  readonly batchBytes: number
  readonly lingerMs: number
  readonly bufferBytes: number
  readonly warmUpSeconds: number
  readonly seconds: number
  /** Records a second; 0: as fast as it goes. */
  readonly rate: number
  /** Worker threads; ours only. */
  readonly workers?: number
  /** `pagelog.compression.worker.min.bytes`; ours only. */
  readonly workerMinBytes?: number
}

export interface ConsumeSpec {
  readonly kind: 'consume'
  readonly bootstrap: string
  readonly topic: string
  readonly partitions: number
  /** In the topic. A client that reads them once measures from the first quarter at the latest, and to their end. */
  readonly storedRecords: number
  readonly fetchMaxBytes: number
  readonly partitionFetchMaxBytes: number
  readonly warmUpSeconds: number
  readonly seconds: number
  readonly workers?: number
  readonly workerMinBytes?: number
}

export type ClientSpec = ProduceSpec | ConsumeSpec

export interface ClientResult {
  readonly records: number
  /** Of values. */
  readonly bytes: number
  /** From the first record of the phase until all are acknowledged, or read. */
  readonly seconds: number
  /** Of one record in about a thousand, from the call of send to the acknowledgement. */
  readonly latencyMs?: Pick<LatencySummary, 'p50' | 'p99'> | null
  readonly loopDelay?: LoopDelay | null
  /** Sum of the values' first bytes: that they were looked at. */
  readonly firstBytes?: number
  readonly errors: number
  /** What the client calls itself. */
  readonly client: string
}
