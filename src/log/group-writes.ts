/** The writes of a log that are in flight, in the order of their offsets, and how large the next one should be. */
import type { PendingAppend } from './append-queue.ts'
import type { Segment } from './segment.ts'

/**
 * A write takes a quarter of what is on its way, so that some is being written, some answered and some queued anew, within
 * these bounds: less is not worth a call, and more would keep the first of its appends waiting.
 */
const WRITE_SHARE = 1 / 4
const WRITE_BYTES_MIN = 32_768
const WRITE_BYTES_MAX = 524_288
/** Of a write that need not be heard of early: what a follower asks of one partition. */
const WHOLE_BYTES_MAX = 1_048_576
/** Of all that are in flight: what comes then gathers. */
const IN_FLIGHT_BYTES_MAX = 1_048_576

/** Appends that share a gathered write. */
export interface Group {
  readonly appends: readonly PendingAppend[]
  /** Pinned until the write is over. */
  readonly segment: Segment
  readonly byteLength: number
  readonly written: Promise<void>
  /** Settles with the sync that covers the group; undefined when nobody has asked for one. */
  flushed: Promise<void> | undefined
  /** Of a write that brings its sync along: lets it land before that. */
  hurry: (() => void) | undefined
}

export class GroupWrites {
  readonly #groups: Group[] = []
  #byteLength = 0

  /** The write that lands next. */
  get first(): Group | undefined {
    return this.#groups[0]
  }
  /** Where the last one goes. */
  get segment(): Segment | undefined {
    return this.#groups.at(-1)?.segment
  }
  get byteLength(): number {
    return this.#byteLength
  }

  /** How much the next write should take, with so many bytes queued, of which `first` is the first. */
  nextBytes(queuedBytes: number, first: PendingAppend): number {
    if (first.goesWhole) return Math.min(queuedBytes, WHOLE_BYTES_MAX)
    const onTheirWay = this.#byteLength + queuedBytes
    return Math.min(Math.max(onTheirWay * WRITE_SHARE, WRITE_BYTES_MIN), WRITE_BYTES_MAX)
  }

  /** Whether so many queued bytes are worth a write behind those in flight. */
  takesMore(queuedBytes: number, first: PendingAppend): boolean {
    return queuedBytes >= this.nextBytes(queuedBytes, first) && this.#byteLength < IN_FLIGHT_BYTES_MAX
  }

  add(group: Group): void {
    group.segment.pins++
    this.#groups.push(group)
    this.#byteLength += group.byteLength
  }

  /** The first has landed: `take` is done with its segment's end before anyone else may look at that. */
  landed(take: (group: Group) => void): void {
    const group = this.#groups.shift()!
    this.#byteLength -= group.byteLength
    take(group)
    group.segment.unpin()
  }

  /** Somebody waits for the first: it need not wait for its sync. */
  hurry(): void {
    const first = this.#groups[0]
    if (first === undefined) return
    first.hurry?.()
    first.hurry = undefined
  }

  /** Resolves when the kernel has answered all of them: until then the bytes are its own. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#groups.map((group) => group.written))
  }

  /** All of them are void; requires that they are settled. */
  clear(): void {
    for (const { segment } of this.#groups.splice(0)) segment.unpin()
    this.#byteLength = 0
  }
}
