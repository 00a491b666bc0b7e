/** The partitions that a consumer reads, with where each stands. */
import type { PagelogError } from '../base/index.ts'

/** Where to read from: an offset, the ends of the log, or the first record at or after a time (milliseconds since 1970). */
export type StartingPoint = number | 'beginning' | 'end' | { readonly timestamp: number }

/** ListOffsets' name for a starting point that has to be looked up. */
export type OffsetWish = { readonly timestamp: number }
export const WISH_END: OffsetWish = { timestamp: -1 }
export const WISH_BEGINNING: OffsetWish = { timestamp: -2 }

export class AssignedPartition {
  readonly topic: string
  readonly partition: number
  /** Offset of the next record for the application; -1 until it is known. */
  position = -1
  /** Offset of the next fetch: ahead of `position` by what waits for the application. */
  fetchOffset = -1
  /** To be looked up before anything is fetched. */
  wish: OffsetWish | undefined
  /** Counts the seeks: answers to what was asked before the last one are dropped. */
  seekEpoch = 0
  /** No longer assigned. */
  dropped = false
  paused = false
  lookingUp = false
  /** A fetch that asks for it is in flight. */
  asked = false
  /** Fetches and look-ups wait until then: back-off. Monotonic. */
  notBeforeMs = 0
  failures = 0
  /** Why nothing more can be read until the application seeks. */
  fault: PagelogError | undefined
  /** From the last answer, -1 before: exclusive end of what may be read. */
  highWatermark = -1

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** Goes on from there; what was fetched and what is under way is void. */
  moveTo(where: number | OffsetWish): void {
    this.seekEpoch++
    this.fault = undefined
    this.failures = 0
    this.notBeforeMs = 0
    this.position = typeof where === 'number' ? where : -1
    this.fetchOffset = this.position
    this.wish = typeof where === 'number' ? undefined : where
  }

  /** Nothing more is fetched; what was fetched ahead is void, so that it does not take others' room. */
  pause(): void {
    this.paused = true
    if (this.wish !== undefined || this.fetchOffset === this.position) return
    this.seekEpoch++
    this.fetchOffset = this.position
  }

  /** Whether an answer to a question of that seek epoch still counts. */
  isCurrent(seekEpoch: number): boolean {
    return !this.dropped && this.seekEpoch === seekEpoch
  }

  /** There is more than was fetched, as far as is known: a fetch is answered at once. */
  get isBehind(): boolean {
    return this.highWatermark > this.fetchOffset
  }

  fetchable(nowMs: number): boolean {
    return this.fetchOffset >= 0 && !this.paused && this.fault === undefined && nowMs >= this.notBeforeMs
  }
}

/** All of them, in the order in which they are asked for. */
export class Assignment implements Iterable<AssignedPartition> {
  readonly #partitions = new Map<string, AssignedPartition>()

  get size(): number {
    return this.#partitions.size
  }
  get(topic: string, partition: number): AssignedPartition | undefined {
    return this.#partitions.get(`${topic}:${partition}`)
  }
  add(state: AssignedPartition): void {
    this.#partitions.set(`${state.topic}:${state.partition}`, state)
  }
  /** Drops all but `kept`. */
  keepOnly(kept: ReadonlySet<AssignedPartition>): void {
    for (const [name, state] of this.#partitions) {
      if (kept.has(state)) continue
      state.dropped = true
      this.#partitions.delete(name)
    }
  }
  /** To the end of the order: it has just been served, others come first next time. */
  served(state: AssignedPartition): void {
    const name = `${state.topic}:${state.partition}`
    if (this.#partitions.delete(name)) this.#partitions.set(name, state)
  }
  [Symbol.iterator](): IterableIterator<AssignedPartition> {
    return this.#partitions.values()
  }
}
