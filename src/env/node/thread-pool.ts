/**
 * Slots of libuv's thread pool (design §3). The pool is one queue for all files of the process, so work that may be long
 * in a device, if let in freely, would keep every thread busy and appends behind it. So such work comes in classes,
 * each with a queue of its own: together they hold at most two threads fewer than there are, and one class never takes
 * the last slots that the others need to go on. Appends and short calls (open, stat …) are not counted.
 */
import { assert } from '../../base/index.ts'

/** The classes of work that may wait for a device. */
export const PoolClass = { DATA_SYNC: 0, COLD_READ: 1, REGION_SEND: 2 } as const
export type PoolClass = (typeof PoolClass)[keyof typeof PoolClass]

const CLASSES = 3
const LIBUV_DEFAULT_THREADS = 4
const LIBUV_MAX_THREADS = 1024

export class PoolSlots {
  /** How many the three classes may hold together. */
  readonly slots: number
  readonly #held: number[] = new Array(CLASSES).fill(0)
  readonly #waiting: (() => void)[][] = Array.from({ length: CLASSES }, () => [])
  #heldInAll = 0
  #lastServed = 0

  constructor(threads: number) {
    this.slots = Math.max(1, threads - 2)
  }

  /** Calls `start` once a slot is free, at once if one is. Whoever is started calls `leave` exactly once when done. */
  enter(kind: PoolClass, start: () => void): void {
    if (this.#waiting[kind]!.length === 0 && this.#admits(kind)) this.#start(kind, start)
    else this.#waiting[kind]!.push(start)
  }

  /** Takes a slot that is free now; false when there is none, or others wait for one. */
  tryEnter(kind: PoolClass): boolean {
    if (this.#waiting[kind]!.length > 0 || !this.#admits(kind)) return false
    this.#start(kind, () => {})
    return true
  }

  leave(kind: PoolClass): void {
    assert(this.#held[kind]! > 0, 'a pool slot was given back that nobody held')
    this.#held[kind]! -= 1
    this.#heldInAll--
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#start(next, this.#waiting[next]!.shift()!)
    }
  }

  /** Slots that work of this class holds now. */
  held(kind: PoolClass): number {
    return this.#held[kind]!
  }

  /** Work of this class that waits for a slot. */
  waiting(kind: PoolClass): number {
    return this.#waiting[kind]!.length
  }

  #start(kind: PoolClass, start: () => void): void {
    this.#held[kind]! += 1
    this.#heldInAll++
    this.#lastServed = kind
    start()
  }

  /** A class without a slot takes any free one; one that has a slot leaves one for each class that has none. */
  #admits(kind: PoolClass): boolean {
    const free = this.slots - this.#heldInAll
    if (this.#held[kind] === 0) return free > 0
    let withoutSlot = 0
    for (let other = 0; other < CLASSES; other++) if (this.#held[other] === 0) withoutSlot++
    return free > withoutSlot
  }

  /** Of the classes that wait and may start: the one with the fewest slots, in turn. */
  #next(): PoolClass | undefined {
    let best: number | undefined
    for (let step = 1; step <= CLASSES; step++) {
      const kind = (this.#lastServed + step) % CLASSES
      if (this.#waiting[kind]!.length === 0 || !this.#admits(kind as PoolClass)) continue
      if (best === undefined || this.#held[kind]! < this.#held[best]!) best = kind
    }
    return best as PoolClass | undefined
  }
}

/** How many threads libuv's pool has in this process. The variable counts as it was when the pool started. */
export function poolThreads(text: string | undefined): number {
  if (text === undefined) return LIBUV_DEFAULT_THREADS
  const threads = Number.parseInt(text, 10)
  return Number.isNaN(threads) || threads < 1 ? 1 : Math.min(threads, LIBUV_MAX_THREADS)
}

/** The slots of this process: files and network share them. */
export const poolSlots = new PoolSlots(poolThreads(process.env.UV_THREADPOOL_SIZE))
