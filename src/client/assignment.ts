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
  /** The fetch in flight that asks for it; answers to others are dropped. */
  asked: object | undefined
  /** Leader epoch of the last batch before `fetchOffset`; -1: not known, so nothing can be said of what was read. */
  fetchEpoch = -1
  /** Epoch of the leader that was last found to have what was read (KIP-320). */
  checkedEpoch = -1
  /** A leader is being asked whether it has what was read. */
  checking = false
  /** The leader has no such offset; whether that is because it was truncated is to be found out first. */
  outOfRange = false
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
    this.fetchEpoch = -1
    this.outOfRange = false
    this.wish = typeof where === 'number' ? undefined : where
  }

  /** Nothing more is fetched; what was fetched ahead is void, so that it does not take others' room. */
  pause(): void {
    this.paused = true
    if (this.wish !== undefined || this.fetchOffset === this.position) return
    this.seekEpoch++
    this.fetchOffset = this.position
    this.fetchEpoch = -1
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
    const { fetchOffset, paused, fault, checking } = this
    return fetchOffset >= 0 && !paused && fault === undefined && !checking && nowMs >= this.notBeforeMs
  }

  /** Whether a leader in this epoch has to be asked before more is fetched from it. */
  needsCheck(leaderEpoch: number): boolean {
    return this.fetchEpoch >= 0 && leaderEpoch >= 0 && (leaderEpoch > this.checkedEpoch || this.outOfRange)
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
