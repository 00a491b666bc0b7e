/**
 * The rules on which the safety of replication rests, as one object: whoever is given another one than `soundRules` loses
 * records. Tests do that, one rule at a time, to see that the damage is found (test/faults/cluster/broken-rules.mjs, and
 * test/simulation/broken-rules.faults.ts); no setting and no option of a command leads here.
 */
import type { AppendResult, Log } from '../log/index.ts'
import type { MetadataStore } from '../metadata/index.ts'
import { type IsrStore, MetadataIsrStore } from './isr-store.ts'

export interface ReplicationRules {
  /** Settles when the log has written the batch: nobody is told of it before (reliability L1). */
  append(log: Log, batch: Uint8Array, epoch: number): Promise<AppendResult>
  /** Exclusive: what a replica that begins to follow keeps before its leader has said where they part (R1). */
  keptToFollow(log: Log): number
  /** Whether it matters in which leader epoch a reader believes (R2). */
  readonly comparesLeaderEpochs: boolean
  /** Whether it matters of which epoch the last batch is that a reader has (R1, R2). */
  readonly comparesLastEpochs: boolean
  /** How a leader changes its ISR (R5). */
  isrStore(store: MetadataStore): IsrStore
  /** Whether a leader that is alone in its ISR commits (R9). */
  commitsAlone(isLeaseValid: boolean): boolean
  /** What appends are answered that wait for followers when leadership is lost (R8). */
  answerOfLost(errorCode: number): number
}

export const soundRules: ReplicationRules = {
  append: (log, batch, epoch) => log.appendBatch(batch, epoch),
  keptToFollow: (log) => log.logEndOffset,
  comparesLeaderEpochs: true,
  comparesLastEpochs: true,
  isrStore: (store) => new MetadataIsrStore(store),
  commitsAlone: (isLeaseValid) => isLeaseValid,
  answerOfLost: (errorCode) => errorCode,
}
