/**
 * Finds leader epochs in batches met at open, since no CRC covers that field: an epoch counts once the batch behind does
 * not contradict it (reliability L2: epochs never decrease along a log). A single batch with a damaged epoch then moves
 * nothing; `verify` reports it.
 */
import type { EpochStart, LeaderEpochCheckpoint } from './leader-epoch-checkpoint.ts'

export class EpochReplay {
  readonly #epochs: LeaderEpochCheckpoint
  readonly #isNew: boolean
  #candidate: EpochStart | undefined
  #hasChanged = false

  /** `isNew`: the checkpoint was missing, so that even the last batch of the log is believed. */
  constructor(epochs: LeaderEpochCheckpoint, isNew: boolean) {
    this.#epochs = epochs
    this.#isNew = isNew
  }

  /** The next batch. */
  see(epoch: number, baseOffset: number): void {
    const candidate = this.#candidate
    if (candidate !== undefined && epoch >= candidate.epoch) this.#confirm(candidate)
    this.#candidate = epoch > this.#epochs.latest ? { epoch, startOffset: baseOffset } : undefined
  }

  /** No batch follows. True when the checkpoint has other entries now. */
  end(): boolean {
    if (this.#isNew && this.#candidate !== undefined) this.#confirm(this.#candidate)
    this.#candidate = undefined
    return this.#hasChanged
  }

  #confirm(candidate: EpochStart): void {
    this.#hasChanged = this.#epochs.replay(candidate.epoch, candidate.startOffset) || this.#hasChanged
  }
}
