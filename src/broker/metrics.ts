/** Plain counters: one addition each on the hot path, read as a whole by whoever publishes them. */
import type { LoopDelay } from '../env/index.ts'

export class BrokerCounters {
  requests = 0
  requestsMalformed = 0
  requestsFailed = 0
  connectionsAccepted = 0
  connectionsRefused = 0
  connectionsIdleClosed = 0
  produceBatches = 0
  produceBytes = 0
  produceBatchesRefused = 0
  produceBatchesDuplicate = 0
  fetchResponses = 0
  fetchBytes = 0
  topicsCreated = 0
  topicsDeleted = 0
}

/** A snapshot; numbers since start unless the name says otherwise. */
export interface BrokerMetrics extends Readonly<BrokerCounters> {
  readonly connections: number
  readonly fetchesWaiting: number
  readonly topics: number
  readonly partitions: number
  readonly refusalLinesSuppressed: number
  /** Known now, whether they are served or cannot be opened. */
  readonly logsDamaged: number
  /** Times that all logs were read through for damage, the bytes of that, and the logs that it found damaged. */
  readonly scrubPasses: number
  readonly scrubBytes: number
  readonly scrubLogsDamaged: number
  /** Of the process; absent where nobody samples. */
  readonly process?: { readonly cpuSeconds: number; readonly rss: number; readonly eventLoop: LoopDelay }
}
