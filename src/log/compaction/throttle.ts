/** Holds a job to a rate: `take` waits until the bytes taken so far are due. */
import type { JobEnv } from '../../env/index.ts'

/** Shorter waits are not worth a timer. */
const WAIT_MS_MIN = 5
/** An abort is noticed after so long. */
const WAIT_MS_MAX = 100

export class Throttle {
  readonly #env: JobEnv
  readonly #bytesPerMs: number
  #dueMs: number

  /** `bytesPerSecond`: log.cleaner.io.max.bytes.per.second; no limit when it is not finite. */
  constructor(env: JobEnv, bytesPerSecond: number) {
    this.#env = env
    this.#bytesPerMs = bytesPerSecond / 1000
    this.#dueMs = env.clock.monotonicMs()
  }

  /** Counts bytes that are read or written. */
  take(bytes: number): Promise<void> | undefined {
    if (!Number.isFinite(this.#bytesPerMs)) return undefined
    const nowMs = this.#env.clock.monotonicMs()
    this.#dueMs = Math.max(nowMs, this.#dueMs) + bytes / this.#bytesPerMs
    return this.#dueMs - nowMs < WAIT_MS_MIN ? undefined : this.#wait()
  }

  async #wait(): Promise<void> {
    const { clock } = this.#env
    for (;;) {
      const leftMs = this.#dueMs - clock.monotonicMs()
      if (leftMs <= 0 || this.#env.isAborted()) return
      await new Promise<void>((resolve) => {
        clock.after(Math.min(leftMs, WAIT_MS_MAX), resolve)
      })
    }
  }
}
