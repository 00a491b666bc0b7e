/**
 * One partition's way through the producer: the open batch takes records; closed ones wait in order; those in flight
 * may be several. When one of these fails and is to be retried, nothing more leaves until all of them are back; then
 * they go out again in their first order, so that retries neither reorder nor leave gaps.
 */
import type { BatchInProgress } from './batch-in-progress.ts'
import { Fifo } from './fifo.ts'

/** Sequences are 31 bits and wrap to 0. */
const SEQUENCE_MODULUS = 2_147_483_648

/**
 * Of one producer, by brokers. The connection's limit is not enough: after a change of leaders some may be unanswered at
 * the old one and be in the log all the same, and the new one must still know them when they are sent again.
 */
const BATCHES_REMEMBERED = 5

export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  /** Takes records; null: the next record opens one. */
  open: BatchInProgress | null = null
  /** -1 when the leader is not known. */
  leaderId = -1
  leaderEpoch = -1
  /** Monotonic: since when that leader is known. */
  leaderSinceMs = 0
  /** In a ready list of the sender. */
  listed = false
  /** Monotonic time before which nothing is sent: back-off. */
  notBeforeMs = 0
  /** Failures in a row, for the back-off. */
  failures = 0
  /** One of those in flight failed: nothing leaves until all are back. */
  recovering = false
  /** The broker refused the sequence for good: the next batch starts a new one under a new epoch (KIP-360). */
  needsNewEpoch = false
  /** The broker has no use for the producer id itself: a new one is needed, an epoch would not do. */
  needsNewId = false

  readonly inFlight: BatchInProgress[] = []
  readonly #closed = new Fifo<BatchInProgress>()
  /** To be sent again, by order. */
  readonly #retries: BatchInProgress[] = []
  #nextOrder = 0
  #producerId = -1
  #producerEpoch = -1
  #nextSequence = 0
  /**
   * The broker knows the sequence. A broker to which a producer id is new takes any first sequence, so if the first
   * batch failed the second would be stored before it: the first one travels alone.
   */
  #isProven = false

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get producerId(): number {
    return this.#producerId
  }
  get producerEpoch(): number {
    return this.#producerEpoch
  }
  takeOrder(): number {
    return this.#nextOrder++
  }

  /** Batches waiting, not counting the open one and those in flight. */
  get waiting(): number {
    return this.#retries.length + this.#closed.length
  }

  sendable(nowMs: number): boolean {
    const next = this.next()
    if (next === undefined || next.compressing || nowMs < this.notBeforeMs) return false
    if (this.inFlight.length === 0) return true
    // Batches in flight stay with the identity they left under, so a new one waits for them.
    if (this.recovering || this.needsNewEpoch || this.needsNewId) return false
    if (this.#producerId < 0) return true
    return this.#isProven && this.inFlight.length < BATCHES_REMEMBERED
  }

  /** The broker has taken a batch of this sequence. */
  prove(): void {
    this.#isProven = true
  }

  /** The open batch takes no more. */
  closeOpen(): void {
    if (this.open === null) return
    this.#closed.push(this.open)
    this.open = null
  }

  next(): BatchInProgress | undefined {
    return this.#retries[0] ?? this.#closed.peek()
  }

  /** Takes `next()` out to be sent. */
  takeNext(): BatchInProgress | undefined {
    const batch = this.#retries.length > 0 ? this.#retries.shift() : this.#closed.shift()
    if (batch !== undefined) {
      this.inFlight.push(batch)
      this.recovering &&= this.#retries.length > 0
    }
    return batch
  }

  /** Back from the broker, whatever the outcome. */
  returned(batch: BatchInProgress): void {
    const at = this.inFlight.indexOf(batch)
    if (at >= 0) this.inFlight.splice(at, 1)
  }

  /** Puts a returned batch in front of all that have not been sent. */
  retry(batch: BatchInProgress): void {
    this.recovering = true
    let at = this.#retries.length
    while (at > 0 && this.#retries[at - 1]!.order > batch.order) at--
    this.#retries.splice(at, 0, batch)
  }

  /** Whether nothing that comes before `batch` is on its way or waits to be sent again. */
  isFirst(batch: BatchInProgress): boolean {
    const before = (other: BatchInProgress): boolean => other.order < batch.order
    return !this.inFlight.some(before) && !this.#retries.some(before)
  }

  /** Takes a batch that failed for good out of what waits. */
  remove(batch: BatchInProgress): void {
    const at = this.#retries.indexOf(batch)
    if (at >= 0) this.#retries.splice(at, 1)
    else {
      const rest = this.#closed.drain()
      for (const other of rest) if (other !== batch) this.#closed.push(other)
    }
    if (this.open === batch) this.open = null
  }

  /** Starts at sequence 0 under a producer id; what waits to be sent again gets new sequences, too. */
  adopt(producerId: number, producerEpoch: number): void {
    this.#producerId = producerId
    this.#producerEpoch = producerEpoch
    this.#nextSequence = 0
    this.#isProven = false
    this.needsNewEpoch = false
    this.needsNewId = false
    for (const batch of this.#retries) batch.baseSequence = -1
  }

  /** What waits to be sent again and must not be under another sequence than it had. */
  doubtful(): BatchInProgress[] {
    return this.#retries.filter(({ isDoubtful }) => isDoubtful)
  }

  /** Gives a batch that is about to leave its sequence, once. */
  assignSequence(batch: BatchInProgress): void {
    if (batch.baseSequence >= 0) return
    batch.sequence(this.#producerId, this.#producerEpoch, this.#nextSequence)
    this.#nextSequence = (this.#nextSequence + batch.recordCount) % SEQUENCE_MODULUS
  }
}
