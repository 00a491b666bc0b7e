/**
 * The batches of one produce request that are written and wait for followers (acks=all): one timer for all of them, and
 * for each one entry in its partition. What the time-out finds waiting is answered REQUEST_TIMED_OUT: nothing is known of
 * it, it may yet be replicated.
 */
import { ErrorCode } from '../base/index.ts'
import type { Clock, Timer } from '../env/index.ts'
import type { ReplicationWait } from '../replication/index.ts'
import type { Partition } from './partition.ts'

class BatchWait implements ReplicationWait {
  readonly endOffset: number
  readonly partition: Partition
  readonly #settle: (errorCode: number) => void
  isSettled = false

  constructor(partition: Partition, endOffset: number, settle: (errorCode: number) => void) {
    this.partition = partition
    this.endOffset = endOffset
    this.#settle = settle
  }

  settled(errorCode: number): void {
    if (this.isSettled) return
    this.isSettled = true
    this.#settle(errorCode)
  }
}

export class DelayedProduce {
  readonly #timer: Timer
  readonly #waits: BatchWait[] = []

  constructor(clock: Clock, timeoutMs: number) {
    this.#timer = clock.after(Math.max(0, timeoutMs), () => this.#timedOut())
  }

  /** `settle` is called once, maybe at once. `epoch`: in which the batch was appended. */
  wait(partition: Partition, epoch: number, endOffset: number, settle: (errorCode: number) => void): void {
    const wait = new BatchWait(partition, endOffset, settle)
    this.#waits.push(wait)
    partition.awaitReplication(wait, epoch)
  }

  /** Everything has settled. */
  end(): void {
    this.#timer.cancel()
  }

  #timedOut(): void {
    for (const wait of this.#waits) {
      if (wait.isSettled) continue
      wait.partition.stopAwaiting(wait)
      wait.settled(ErrorCode.REQUEST_TIMED_OUT)
    }
  }
}
