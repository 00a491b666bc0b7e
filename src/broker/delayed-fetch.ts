/**
 * A fetch that waits for `minBytes` or its time-out. It keeps one number per partition, so that an append costs it one
 * look at the log that grew, however many partitions it asks for. Completed fetches are answered a few at a time: ten
 * thousand consumers woken by one append must not hold the event loop.
 */
import type { Clock, Timer } from '../env/index.ts'
import type { GrowthWait } from '../replication/index.ts'
import type { Partition } from './partition.ts'
import type { Session } from './session.ts'

export interface WaitedPartition {
  readonly partition: Partition
  readonly offset: number
}

/** What a fetch waits for. */
export interface FetchWish {
  readonly minBytes: number
  readonly maxWaitMs: number
  readonly partitions: readonly WaitedPartition[]
  /** It waits for what is appended, not for what is committed. */
  readonly isFollower: boolean
}

export class FetchPurgatory {
  readonly #clock: Clock
  readonly #answersPerTurn: number
  #answersLeft: number
  readonly #ready: DelayedFetch[] = []
  #scheduled = false
  #waiting = 0

  constructor(clock: Clock, answersPerTurn = 32) {
    this.#clock = clock
    this.#answersPerTurn = answersPerTurn
    this.#answersLeft = answersPerTurn
  }

  /** Fetches that wait now. */
  get size(): number {
    return this.#waiting
  }

  /** Resolves true when the fetch is to be answered, false when its connection is gone. `begun` learns how to end it. */
  wait(session: Session, wish: FetchWish, begun?: (end: () => void) => void): Promise<boolean> {
    this.#waiting++
    return new Promise<boolean>((resolve) => {
      const fetch = new DelayedFetch(wish, resolve, this)
      begun?.(() => fetch.complete())
      fetch.watch(
        this.#clock.after(wish.maxWaitMs, () => fetch.complete()),
        session,
      )
    })
  }

  /** Called by a fetch that need not wait any longer. */
  finished(fetch: DelayedFetch): void {
    this.#waiting--
    if (this.#answersLeft > 0) {
      this.#answersLeft--
      fetch.answer()
    } else {
      this.#ready.push(fetch)
    }
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#clock.soon(() => {
      this.#scheduled = false
      this.#answersLeft = this.#answersPerTurn
      for (const fetch of this.#ready.splice(0, this.#answersPerTurn)) {
        this.#answersLeft--
        fetch.answer()
      }
      if (this.#ready.length > 0) this.#schedule()
    })
  }
}

export class DelayedFetch implements GrowthWait {
  readonly #minBytes: number
  readonly #isFollower: boolean
  readonly #partitions: readonly WaitedPartition[]
  readonly #resolve: (answer: boolean) => void
  readonly #purgatory: FetchPurgatory
  /** Bytes per partition as last seen. */
  readonly #bytes: Float64Array
  #bytesTotal = 0
  #timer: Timer | undefined
  #stopListening: (() => void) | undefined
  #done = false
  #wanted = true

  constructor(wish: FetchWish, resolve: (answer: boolean) => void, purgatory: FetchPurgatory) {
    this.#minBytes = wish.minBytes
    this.#isFollower = wish.isFollower
    this.#partitions = wish.partitions
    this.#resolve = resolve
    this.#purgatory = purgatory
    this.#bytes = new Float64Array(wish.partitions.length)
  }

  watch(timer: Timer, session: Session): void {
    this.#timer = timer
    this.#stopListening = session.onClose(() => this.abandon())
    for (let slot = 0; slot < this.#partitions.length && !this.#done; slot++) {
      this.#partitions[slot]!.partition.addWaiting(this, slot, this.#isFollower)
      this.grew(slot)
    }
  }

  /** The log of this slot has grown. */
  grew(slot: number): void {
    if (this.#done) return
    const { partition, offset } = this.#partitions[slot]!
    const bytes = partition.availableBytes(offset, this.#isFollower)
    this.#bytesTotal += bytes - this.#bytes[slot]!
    this.#bytes[slot] = bytes
    if (this.#bytesTotal >= this.#minBytes) this.complete()
  }

  complete(): void {
    if (this.#done) return
    this.#done = true
    this.#timer?.cancel()
    this.#stopListening?.()
    for (const { partition } of this.#partitions) partition.removeWaiting(this)
    this.#purgatory.finished(this)
  }

  /** The connection is gone: nothing will be read or sent. */
  abandon(): void {
    this.#wanted = false
    this.complete()
  }

  answer(): void {
    this.#resolve(this.#wanted)
  }
}
