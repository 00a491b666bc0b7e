/**
 * Brings a log to the device, one fsync at a time: whoever asks while one runs shares the next one (group commit). The
 * recovery point advances only here. A failed fsync takes the log offline and is never repeated (reliability L5).
 */
import type { Timer } from '../env/index.ts'
import type { LogState } from './log-state.ts'

/** Longer waits than this are none: a timer cannot hold them. */
const TIMER_MS_MAX = 0x7fffffff

export class Flusher {
  readonly #state: LogState
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #target = 0
  #timer: Timer | undefined

  constructor(state: LogState) {
    this.#state = state
  }

  /** Resolves when everything before `offset` is on the device. Rejects with the failure that took the log offline. */
  flush(offset: number): Promise<void> {
    if (this.#state.failure !== undefined) return Promise.reject(this.#state.failure)
    if (offset <= this.#state.recoveryPoint && !this.#state.hasUnsyncedNames) return Promise.resolve()
    this.#target = Math.max(this.#target, offset)
    if (this.#next !== undefined) return this.#next
    if (this.#running === undefined) return this.#start()
    const next = this.#running.then(
      () => this.#start(),
      () => this.#start(),
    )
    this.#next = next
    return next
  }

  /** Records were appended: sync them within flush.ms. */
  scheduleFlush(): void {
    const { clock, settings } = this.#state.context
    if (this.#timer !== undefined || settings.flushMs > TIMER_MS_MAX) return
    this.#timer = clock.after(settings.flushMs, () => {
      this.#timer = undefined
      if (this.#state.isClosed) return
      this.flush(this.#state.logEndOffset).catch(() => {}) // the log is offline and says so itself
    })
  }

  /** No flush begins by itself any more; resolves when none runs, however it ended. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    while (this.#running !== undefined) await this.#running.catch(() => {})
  }

  #start(): Promise<void> {
    this.#next = undefined
    const running = this.#run(this.#target).finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }

  async #run(target: number): Promise<void> {
    const state = this.#state
    if (state.failure !== undefined) throw state.failure
    try {
      const hadUnsyncedNames = state.hasUnsyncedNames
      state.hasUnsyncedNames = false
      for (const segment of [...state.segments.all]) {
        const isBehind = segment.nextOffset <= state.recoveryPoint && segment !== state.segments.active
        const isSynced = isBehind && !segment.hasUnsyncedIndexes
        if (!isSynced && segment.baseOffset < target) await segment.sync()
      }
      if (hadUnsyncedNames) await state.context.disk.syncDirectory(state.context.directory)
      state.recoveryPoint = Math.max(state.recoveryPoint, target)
    } catch (error) {
      state.fail(error as Error)
      throw error
    }
  }
}
