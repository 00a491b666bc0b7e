/**
 * A clock that stands still until a test moves it: `advance` runs the timers that come due, in the order of their times.
 * `soon` is the real one, a turn of the event loop: only time is virtual. For whole processes there is the `Scheduler`.
 */
import { assert } from '../../base/index.ts'
import type { Clock, Timer } from '../clock.ts'
import { nodeClock } from '../node/clock.ts'
import { EventQueue, type QueuedEvent } from './event-queue.ts'

const START_MS = 1_700_000_000_000

interface Entry extends QueuedEvent {
  dueMs: number
  isCancelled: boolean
  readonly intervalMs: number | undefined
  readonly callback: () => void
}

export class VirtualClock implements Clock {
  #wallMs: number
  #elapsedMs = 0
  readonly #timers = new EventQueue<Entry>()

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
    for (let next = this.#timers.peek(); next !== undefined && next.dueMs <= endMs; next = this.#timers.peek()) {
      this.#moveTo(next.dueMs)
      this.#timers.pop()
      if (next.intervalMs === undefined) next.isCancelled = true
      else {
        next.dueMs += next.intervalMs
        this.#timers.push(next)
      }
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
    const order = this.#timers.nextOrder()
    const entry: Entry = { dueMs, tie: 0, order, intervalMs, callback, isCancelled: false }
    this.#timers.push(entry)
    return {
      cancel: () => {
        if (entry.isCancelled) return
        entry.isCancelled = true
        this.#timers.noteCancelled()
      },
    }
  }

  #moveTo(elapsedMs: number): void {
    this.#wallMs += elapsedMs - this.#elapsedMs
    this.#elapsedMs = elapsedMs
  }
}
