/**
 * Brings a log to the device, one fsync at a time (group commit): an fsync covers everything that the kernel had when it
 * began. Who asks for no more than that shares it, who asks for more shares the next one, however many they are. The
 * recovery point advances only here. A failed fsync takes the log offline and is never repeated (reliability L5).
 */
import { Mutex } from '../base/index.ts'
import type { SyncedWrite, Timer } from '../env/index.ts'
import type { LogState } from './log-state.ts'
import type { Segment } from './segment.ts'

/** Longer waits than this are none: a timer cannot hold them. */
const TIMER_MS_MAX = 0x7fffffff

export class Flusher {
  readonly #state: LogState
  readonly #order = new Mutex()
  /** The flush under way and the offset it covers. */
  #running: Promise<void> | undefined
  #covered = 0
  /** It covers names as well: until it is over a log that was synced already may still lose a file. */
  #coversNames = false
  #next: Promise<void> | undefined
  #timer: Timer | undefined

  constructor(state: LogState) {
    this.#state = state
  }

  /** Resolves when everything before `offset` is on the device. Rejects with the failure that took the log offline. */
  flush(offset: number): Promise<void> {
    const { failure, recoveryPoint, hasUnsyncedNames } = this.#state
    if (failure !== undefined) return Promise.reject(failure)
    if (!hasUnsyncedNames) {
      if (offset <= recoveryPoint && !this.#coversNames) return Promise.resolve()
      if (this.#running !== undefined && offset <= this.#covered) return this.#running
    }
    this.#next ??= this.#order.run(() => this.#start())
    return this.#next
  }

  /**
   * A write into the active segment up to `endOffset` that brings its sync along, so that both are one trip to the pool.
   * Undefined, and nothing has begun, while another flush is under way or more than this has to be synced.
   */
  write(
    segment: Segment,
    parts: readonly Uint8Array[],
    at: { readonly position: number; readonly endOffset: number },
  ): SyncedWrite | undefined {
    if (!this.#isDoneUpTo(segment)) return undefined
    const { written, synced, hurry } = segment.file.writeSynced(parts, at.position)
    const flushed = this.#order.run(() => this.#follow(written, synced, at.endOffset))
    flushed.catch(() => {}) // whoever waits for it hears of it
    return { written, synced: flushed, hurry }
  }

  /** Records were appended: sync them within flush.ms. */
  scheduleFlush(): void {
    const { clock, settings } = this.#state.context
    if (settings.flushMs > TIMER_MS_MAX || this.#timer !== undefined) return
    this.#timer = clock.after(settings.flushMs, () => {
      this.#timer = undefined
      if (this.#state.isClosed) return
      this.flush(this.#state.logEndOffset).catch(() => {}) // the log is offline and says so itself
    })
  }

  /** Runs `work` while no flush does; those asked for meanwhile come after it. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.#order.run(work)
  }

  /** No flush begins by itself any more; resolves when none runs, however it ended. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    await this.#order.run(async () => {})
  }

  async #start(): Promise<void> {
    this.#next = undefined
    this.#covered = this.#state.writtenEndOffset
    this.#coversNames = this.#state.hasUnsyncedNames
    this.#running = this.#run(this.#covered)
    try {
      await this.#running
    } finally {
      this.#running = undefined
      this.#coversNames = false
    }
  }

  /** Everything but the end of `segment` is on the device, and nothing else is being synced. */
  #isDoneUpTo(segment: Segment): boolean {
    const { segments, hasUnsyncedNames, recoveryPoint } = this.#state
    if (hasUnsyncedNames || !this.#order.isFree || segment.baseOffset > recoveryPoint) return false
    return segment === segments.active && !segments.all.some((one) => one.hasUnsyncedIndexes)
  }

  async #follow(written: Promise<void>, synced: Promise<void>, endOffset: number): Promise<void> {
    await written // refused, it has nothing to be synced
    this.#covered = endOffset
    this.#running = this.#finish(synced, endOffset)
    try {
      await this.#running
    } finally {
      this.#running = undefined
    }
  }

  async #finish(synced: Promise<void>, endOffset: number): Promise<void> {
    const state = this.#state
    try {
      await synced
      state.counters.syncs++
      if (state.failure !== undefined) throw state.failure
      state.recoveryPoint = Math.max(state.recoveryPoint, endOffset)
    } catch (error) {
      state.fail(error as Error)
      throw error
    }
  }

  async #run(target: number): Promise<void> {
    const state = this.#state
    if (state.failure !== undefined) throw state.failure
    try {
      const hadUnsyncedNames = state.hasUnsyncedNames
      state.hasUnsyncedNames = false
      const { recoveryPoint, segments } = state
      for (const segment of segments.all) {
        // The active one may be written to meanwhile: it is left out only when nothing of it was asked for.
        const isBehind = segment.nextOffset <= recoveryPoint && (segment !== segments.active || target <= recoveryPoint)
        if ((isBehind || segment.baseOffset >= target) && !segment.hasUnsyncedIndexes) continue
        if (state.failure !== undefined) throw state.failure
        await segment.sync()
        state.counters.syncs++
      }
      // It may be the sync of this very directory that failed meanwhile, for a snapshot: a second one would succeed.
      if (state.failure !== undefined) throw state.failure
      if (hadUnsyncedNames) await state.context.disk.syncDirectory(state.context.directory)
      // What another log of the directory met meanwhile says as much about this one: nothing is claimed any more.
      if (state.failure !== undefined) throw state.failure
      state.recoveryPoint = Math.max(state.recoveryPoint, target)
    } catch (error) {
      state.fail(error as Error)
      throw error
    }
  }
}
