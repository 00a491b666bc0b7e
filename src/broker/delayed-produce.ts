/**
 * The batches of one produce request that are written and wait for followers: one timer for all of them, and for each one
 * entry in its partition. What the time-out finds waiting is answered `lateCode`: with acks=all REQUEST_TIMED_OUT, as
 * nothing is known of it and it may yet be replicated; NONE where to be written is all that was asked for.
 */
import type { Clock, Timer } from '../env/index.ts'
import type { ReplicationWait } from '../replication/index.ts'
import type { Partition } from './partition.ts'

class BatchWait implements ReplicationWait {
  readonly end: number
  readonly partition: Partition
  readonly #settle: (errorCode: number) => void
  isSettled = false

  constructor(partition: Partition, end: number, settle: (errorCode: number) => void) {
    this.partition = partition
    this.end = end
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
  readonly #lateCode: number
  readonly #waits: BatchWait[] = []

  constructor(clock: Clock, timeoutMs: number, lateCode: number) {
    this.#lateCode = lateCode
    this.#timer = clock.after(Math.max(0, timeoutMs), () => this.#timedOut())
  }

  /** Until what lies before `endOffset` is committed. `settle` is called once, maybe at once. `epoch`: of the append. */
  wait(partition: Partition, epoch: number, endOffset: number, settle: (errorCode: number) => void): void {
    partition.awaitReplication(this.#waitOf(partition, endOffset, settle), epoch)
  }

  /** Until the followers in sync are near enough to that place (LagBound). */
  waitForFollowers(partition: Partition, epoch: number, place: number, settle: (errorCode: number) => void): void {
    partition.awaitFollowers(this.#waitOf(partition, place, settle), epoch)
  }

  #waitOf(partition: Partition, end: number, settle: (errorCode: number) => void): BatchWait {
    const wait = new BatchWait(partition, end, settle)
    this.#waits.push(wait)
    return wait
  }

  /** Everything has settled. */
  end(): void {
    this.#timer.cancel()
  }

  #timedOut(): void {
    for (const wait of this.#waits) {
      if (wait.isSettled) continue
      wait.partition.stopAwaiting(wait)
      wait.settled(this.#lateCode)
    }
  }
}
