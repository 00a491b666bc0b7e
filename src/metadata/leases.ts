/**
 * The embedded engine's leases and their ends. Time is not stored: a store that is opened again gives every lease its
 * full time, and one that was held up itself (a paused process) adds the time that it was away, because nobody can have
 * kept a lease alive meanwhile. A lease may live too long, never too short.
 */
import type { Clock, Timer } from '../env/index.ts'

/** A timer this late is a pause of the process and not a busy turn. */
const PAUSE_MS = 200
/** When a full disk keeps a lease from ending, it is tried again. */
const RETRY_MS = 1000

interface LeaseState {
  readonly ttlMs: number
  readonly keys: Set<string>
  deadlineMs: number
  /** Its end is being written: it cannot be kept alive any more. */
  ending: boolean
}

export class Leases {
  readonly #clock: Clock
  readonly #expired: (id: string) => void
  readonly #leases = new Map<string, LeaseState>()
  #timer: { readonly dueMs: number; readonly handle: Timer } | undefined
  #running = false

  constructor(clock: Clock, expired: (id: string) => void) {
    this.#clock = clock
    this.#expired = expired
  }

  get size(): number {
    return this.#leases.size
  }

  has(id: string): boolean {
    return this.#leases.has(id)
  }

  /** Ids with their full time. */
  entries(): [id: string, ttlMs: number][] {
    return [...this.#leases].map(([id, { ttlMs }]) => [id, ttlMs])
  }

  keysOf(id: string): Iterable<string> {
    return this.#leases.get(id)?.keys ?? []
  }

  grant(id: string, ttlMs: number): void {
    const deadlineMs = this.#clock.monotonicMs() + ttlMs
    this.#leases.set(id, { ttlMs, keys: new Set(), deadlineMs, ending: false })
    this.#arm()
  }

  end(id: string): void {
    this.#leases.delete(id)
    this.#arm()
  }

  attach(id: string, key: string): void {
    this.#leases.get(id)?.keys.add(key)
  }

  detach(id: string, key: string): void {
    this.#leases.get(id)?.keys.delete(key)
  }

  /** The time it now has; undefined when there is no such lease. */
  keepAlive(id: string): number | undefined {
    const lease = this.#leases.get(id)
    if (!lease || lease.ending) return undefined
    lease.deadlineMs = this.#clock.monotonicMs() + lease.ttlMs
    return lease.ttlMs
  }

  /** The end of a lease could not be written: later again. */
  postpone(id: string): void {
    const lease = this.#leases.get(id)
    if (!lease) return
    lease.deadlineMs = this.#clock.monotonicMs() + RETRY_MS
    this.#arm()
  }

  /** From now on time counts; before, while a journal is read, it does not. */
  start(): void {
    this.#running = true
    const now = this.#clock.monotonicMs()
    for (const lease of this.#leases.values()) lease.deadlineMs = now + lease.ttlMs
    this.#arm()
  }

  stop(): void {
    this.#running = false
    this.#timer?.handle.cancel()
    this.#timer = undefined
  }

  clear(): void {
    this.#leases.clear()
    this.#arm()
  }

  /** Keeping a lease alive does not move the timer: it finds, once a lease's time, that it came too early. */
  #arm(): void {
    if (!this.#running) return
    let dueMs = Number.POSITIVE_INFINITY
    for (const lease of this.#leases.values()) dueMs = Math.min(dueMs, lease.deadlineMs)
    if (this.#timer !== undefined && this.#timer.dueMs <= dueMs) return
    this.#timer?.handle.cancel()
    this.#timer = undefined
    if (dueMs === Number.POSITIVE_INFINITY) return
    const handle = this.#clock.after(Math.max(0, dueMs - this.#clock.monotonicMs()), () => this.#due(dueMs))
    this.#timer = { dueMs, handle }
  }

  #due(dueMs: number): void {
    this.#timer = undefined
    const now = this.#clock.monotonicMs()
    const awayMs = now - dueMs
    if (awayMs > PAUSE_MS) {
      for (const lease of this.#leases.values()) {
        if (!lease.ending) lease.deadlineMs = Math.max(lease.deadlineMs, now + Math.min(awayMs, lease.ttlMs))
      }
    }
    // What came in while the loop was busy is read first: a call to keep a lease alive may be among it.
    this.#clock.soon(() => {
      if (this.#running) this.#endOverdue()
    })
  }

  #endOverdue(): void {
    const now = this.#clock.monotonicMs()
    for (const [id, lease] of [...this.#leases]) {
      if (lease.deadlineMs > now) continue
      lease.ending = true
      // Until the journal has it a timer would only find it again.
      lease.deadlineMs = Number.POSITIVE_INFINITY
      this.#expired(id)
    }
    this.#arm()
  }
}
