/**
 * A clock that stands still until a test moves it: `advance` runs the timers that come due, in the order of their times.
 * `soon` is the real one, a turn of the event loop: only time is virtual.
 */
import { assert } from '../../base/index.ts'
import type { Clock, Timer } from '../clock.ts'
import { nodeClock } from '../node/clock.ts'

const START_MS = 1_700_000_000_000

interface Entry {
  dueMs: number
  readonly order: number
  readonly intervalMs: number | undefined
  readonly callback: () => void
}

export class VirtualClock implements Clock {
  #wallMs: number
  #elapsedMs = 0
  #order = 0
  readonly #timers = new Set<Entry>()

  constructor(nowMs = START_MS) {
    this.#wallMs = nowMs
  }

  /** Timers that are set. */
  get timerCount(): number {
    return this.#timers.size
  }

  nowMs(): number {
    return this.#wallMs
  }

  monotonicMs(): number {
    return this.#elapsedMs
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.#add(delayMs, undefined, callback)
  }

  every(intervalMs: number, callback: () => void): Timer {
    assert(intervalMs > 0, 'an interval is longer than nothing')
    return this.#add(intervalMs, intervalMs, callback)
  }

  soon(callback: () => void): void {
    nodeClock.soon(callback)
  }

  /** Lets time pass. Timers that are set meanwhile run too, when they come due. */
  advance(ms: number): void {
    assert(ms >= 0, 'time does not go back')
    const endMs = this.#elapsedMs + ms
    for (let next = this.#earliest(endMs); next !== undefined; next = this.#earliest(endMs)) {
      this.#moveTo(next.dueMs)
      if (next.intervalMs === undefined) this.#timers.delete(next)
      else next.dueMs += next.intervalMs
      next.callback()
    }
    this.#moveTo(endMs)
  }

  /** Sets the wall clock, as an administrator would: timers and monotonic time do not notice. */
  setWall(nowMs: number): void {
    this.#wallMs = nowMs
  }

  #add(delayMs: number, intervalMs: number | undefined, callback: () => void): Timer {
    const dueMs = this.#elapsedMs + Math.max(0, delayMs)
    const entry: Entry = { dueMs, order: this.#order++, intervalMs, callback }
    this.#timers.add(entry)
    return { cancel: () => void this.#timers.delete(entry) }
  }

  #earliest(endMs: number): Entry | undefined {
    let found: Entry | undefined
    for (const entry of this.#timers) {
      if (entry.dueMs > endMs) continue
      const isEarlier = found === undefined || entry.dueMs < found.dueMs
      if (isEarlier || (entry.dueMs === found!.dueMs && entry.order < found!.order)) found = entry
    }
    return found
  }

  #moveTo(elapsedMs: number): void {
    this.#wallMs += elapsedMs - this.#elapsedMs
    this.#elapsedMs = elapsedMs
  }
}
