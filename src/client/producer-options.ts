/** What a producer is made with, and what it tells of itself. */
import type { Logger, PagelogError } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import type { CodecName } from '../record/index.ts'
import type { Partitioner } from './partitioner.ts'
import type { Bootstrap, ProducerSettings } from './settings.ts'

export type ProducerEnv = Pick<Env, 'network' | 'clock' | 'random'> & Partial<Pick<Env, 'workers'>>

/** Options by their inside names; Kafka's names, defaults and ranges are in `producerSettings`. */
export interface ProducerOptions extends Partial<Omit<ProducerSettings, 'bootstrap' | 'acks' | 'compressionType'>> {
  readonly bootstrap: Bootstrap
  readonly acks?: 'all' | -1 | 0 | 1 | '-1' | '0' | '1' | undefined
  readonly compressionType?: CodecName
  readonly partitioner?: Partitioner | undefined
  /** Hears of every batch that failed for good, awaited or not. */
  readonly onError?: ((error: PagelogError, failed: FailedBatch) => void) | undefined
  /** Without workers, batches of every size are compressed on this thread. */
  readonly env?: ProducerEnv | undefined
  readonly logger?: Logger | undefined
}

export interface FailedBatch {
  readonly topic: string
  /** -1 when the topic's metadata never came. */
  readonly partition: number
  readonly recordCount: number
}

export interface ProducerStats {
  readonly recordsDelivered: number
  readonly recordsFailed: number
  readonly batchesDelivered: number
  readonly batchesFailed: number
  readonly requests: number
  /** Batches sent again. */
  readonly retries: number
  readonly bufferBytesUsed: number
}
