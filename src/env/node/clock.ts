/** The real clock. Its timers never fire early by the clock that `monotonicMs` reads. */
import type { Clock, Timer } from '../clock.ts'

/** The longest delay that one of Node's timers takes; longer ones are set again. */
const DELAY_MS_MAX = 0x7fffffff

class NodeTimer implements Timer {
  readonly #callback: () => void
  #handle: NodeJS.Timeout | undefined
  #dueMs: number

  constructor(delayMs: number, callback: () => void) {
    this.#callback = callback
    this.#dueMs = performance.now() + Math.max(0, delayMs)
    this.#arm(delayMs)
  }

  cancel(): void {
    clearTimeout(this.#handle)
    this.#handle = undefined
  }

  #arm(delayMs: number): void {
    this.#handle = setTimeout(NodeTimer.#fired, Math.min(DELAY_MS_MAX, Math.max(1, Math.ceil(delayMs))), this)
  }

  /** Node's timers count whole milliseconds of a cached time and may be up to one early. */
  static #fired(timer: NodeTimer): void {
    const leftMs = timer.#dueMs - performance.now()
    if (leftMs > 0) timer.#arm(leftMs)
    else timer.#callback()
  }
}

class NodeInterval implements Timer {
  readonly #handle: NodeJS.Timeout

  constructor(intervalMs: number, callback: () => void) {
    this.#handle = setInterval(callback, Math.min(DELAY_MS_MAX, intervalMs)).unref()
  }

  cancel(): void {
    clearInterval(this.#handle)
  }
}

export const nodeClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, callback) => new NodeTimer(delayMs, callback),
  every: (intervalMs, callback) => new NodeInterval(intervalMs, callback),
  soon: (callback) => {
    setImmediate(callback)
  },
}
