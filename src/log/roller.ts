/** Ends the active segment and begins the next one; what that leaves to be synced is done behind the appends. */
import { channels, publish } from './diagnostics.ts'
import type { Flusher } from './flusher.ts'
import type { LogState } from './log-state.ts'
import { encodeSnapshot } from './producer-snapshots.ts'
import { Segment } from './segment.ts'

export class Roller {
  readonly #state: LogState
  readonly #flusher: Flusher
  readonly #sealing = new Set<Promise<void>>()

  constructor(state: LogState, flusher: Flusher) {
    this.#state = state
    this.#flusher = flusher
  }

  /**
   * Begins a new segment; requires that nothing is in flight. Its directory entry and the old segment are synced behind
   * the appends; until then the recovery point stays before them, so that a crash costs a scan but is never taken for
   * damage. Error: PAGELOG_DISK_FULL.
   */
  async roll(baseOffset: number): Promise<void> {
    const state = this.#state
    const sealed = state.segments.active
    if (sealed.hasOutdatedFiles) {
      // Those of the last segment are looked at twice at open, those of others are believed: they come before the next.
      await sealed.saveIndexes()
      state.hasUnsyncedNames = true
      await this.#flusher.flush(baseOffset)
    }
    const create = (): Promise<Segment> => Segment.create(state.context, baseOffset)
    const { share } = state.context
    const segment = await (share === undefined ? create() : share.cache.within(create)).finally(() => {
      state.hasUnsyncedNames = true // a file that was removed again counts as well
    })
    state.segments.add(segment)
    publish(channels.roll, () => ({ directory: state.context.directory, baseOffset, sealedBytes: sealed.size }))
    // Nothing is in flight: what is committed is what the batches before the new segment say.
    const snapshot = encodeSnapshot(state.producers)
    const sealing = this.#seal(sealed, baseOffset, snapshot)
      .catch((error: Error) => state.fail(error))
      .finally(() => this.#sealing.delete(sealing))
    this.#sealing.add(sealing)
  }

  /** Resolves when no segment is being sealed. */
  async drain(): Promise<void> {
    await Promise.all(this.#sealing)
  }

  async #seal(sealed: Segment, endOffset: number, snapshot: Uint8Array): Promise<void> {
    const state = this.#state
    sealed.pins++
    try {
      await sealed.saveIndexes()
      await sealed.releaseBlocks()
      if (state.failure !== undefined) return // and nothing more is written
      await state.snapshots.take(endOffset, snapshot)
      state.hasUnsyncedNames = true // of the index files, also when the records are synced already
      await this.#flusher.flush(endOffset)
    } finally {
      sealed.unpin()
    }
  }
}
