/** Time and chance. Core code never touches Date, performance, timers or Math.random itself. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall clock, milliseconds since 1970: for record timestamps and retention only. */
  nowMs(): number
  /** Never goes back; for time-outs, leases and measuring. Milliseconds with a fraction. */
  monotonicMs(): number
  /** Calls `callback` once after at least `delayMs`; somebody waits for it, so it keeps the process alive until then or until cancelled. */
  after(delayMs: number, callback: () => void): Timer
  /** Calls `callback` again and again; does not keep the process alive. */
  every(intervalMs: number, callback: () => void): Timer
  /** Calls `callback` in this turn of the event loop, after the I/O that is ready now: the place to gather work. */
  soon(callback: () => void): void
}

export interface Random {
  /** 0 ≤ x < 1. */
  fraction(): number
  /** `count` unpredictable bytes (ids). */
  bytes(count: number): Uint8Array
}
