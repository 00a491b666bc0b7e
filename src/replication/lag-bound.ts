/**
 * How far producers who ask for the leader's word alone (acks=1, acks=0) may run ahead of the followers in sync:
 * `maxBytes` of a partition. What lies further ahead is answered when the slowest of those has come that near, is away, or
 * is not in sync any more. So a fail-over to one that has been asking loses about that of what was acknowledged, and
 * followers read what is still in the page cache.
 *
 * Places count the bytes that the log has taken since it was opened: while followers keep up, an append costs one comparison.
 */
import { ErrorCode } from '../base/index.ts'
import type { Log } from '../log/index.ts'
import { type ReplicationWait, ReplicationWaits } from './replication-waits.ts'

export class LagBound {
  readonly #log: Log
  readonly #maxBytes: number
  readonly #waits = new ReplicationWaits()
  /** What ends there or before need not wait. */
  #limit = Number.POSITIVE_INFINITY

  /** 0: no bound. */
  constructor(log: Log, maxBytes: number) {
    this.#log = log
    this.#maxBytes = maxBytes
  }

  /** The leader's own place. */
  get end(): number {
    return this.#log.replica.appendedBytes
  }

  /** What is appended now has to wait. */
  get isReached(): boolean {
    return this.#log.replica.appendedBytes > this.#limit
  }

  get waiting(): number {
    return this.#waits.size
  }

  /** About where a replica is that has all before `offset`: never further back than it is. */
  placeOf(offset: number): number {
    return this.#maxBytes === 0 ? this.end : this.end - this.#log.availableBytes(offset)
  }

  /** The slowest follower in sync is there; Infinity: there is none. */
  slowestAt(place: number): void {
    if (this.#maxBytes === 0) return
    this.#limit = place + this.#maxBytes
    this.#waits.advanced(this.#limit, ErrorCode.NONE)
  }

  /** Calls back when `wait.end` is not too far ahead any more. */
  await(wait: ReplicationWait): void {
    if (wait.end <= this.#limit) wait.settled(ErrorCode.NONE)
    else this.#waits.add(wait)
  }

  stopAwaiting(wait: ReplicationWait): void {
    this.#waits.remove(wait)
  }

  /** Nothing waits from now on. */
  lift(errorCode: number): void {
    this.#limit = Number.POSITIVE_INFINITY
    this.#waits.end(errorCode)
  }
}
