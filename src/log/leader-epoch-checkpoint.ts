/**
 * Which leader epoch began at which offset: Kafka's `leader-epoch-checkpoint`, lines `epoch startOffset`. An epoch is
 * on disk before the first batch of it is appended (reliability L7), so that the file never lacks one that the log has.
 */
import type { Disk } from '../env/index.ts'
import { readCheckpoint, writeCheckpoint } from './checkpoint-file.ts'

export interface EpochStart {
  readonly epoch: number
  readonly startOffset: number
}

export class LeaderEpochCheckpoint {
  readonly #disk: Disk
  readonly #path: string
  /** Both fields increase strictly. */
  #entries: EpochStart[]

  private constructor(disk: Disk, path: string, entries: EpochStart[]) {
    this.#disk = disk
    this.#path = path
    this.#entries = entries
  }

  /** Reads the file; `isNew` says that there was none, or a damaged one: `replay` then finds the epochs in the log. */
  static async open(disk: Disk, path: string): Promise<{ epochs: LeaderEpochCheckpoint; isNew: boolean }> {
    const fields = await readCheckpoint(disk, path, 2)
    const entries = (fields ?? []).map(([epoch, offset]) => ({ epoch: Number(epoch), startOffset: Number(offset) }))
    const isGood =
      fields !== undefined &&
      entries.every(isEntry) &&
      entries.every((entry, i) => i === 0 || grows(entries[i - 1]!, entry))
    return { epochs: new LeaderEpochCheckpoint(disk, path, isGood ? entries : []), isNew: !isGood }
  }

  get entries(): readonly EpochStart[] {
    return this.#entries
  }

  /** -1 when there is none. */
  get latest(): number {
    return this.#entries.at(-1)?.epoch ?? -1
  }

  /** A batch met at open: its epoch may be missing when the file was. In memory only; `save` follows. */
  replay(epoch: number, baseOffset: number): boolean {
    if (epoch <= this.latest) return false
    this.#entries = [...this.#entries, { epoch, startOffset: baseOffset }]
    return true
  }

  /** Forgets the epochs that start at or beyond `endOffset`. False when there is none. */
  truncate(endOffset: number): boolean {
    const kept = this.#entries.filter((entry) => entry.startOffset < endOffset)
    if (kept.length === this.#entries.length) return false
    this.#entries = kept
    return true
  }

  /** Begins an epoch at `startOffset`, on disk before it returns. */
  async assign(epoch: number, startOffset: number): Promise<void> {
    // An epoch in which nothing was appended has the same start: the newer one replaces it.
    const kept = this.#entries.filter((entry) => entry.startOffset < startOffset)
    const entries = [...kept, { epoch, startOffset }]
    await this.#write(entries)
    this.#entries = entries
  }

  async save(): Promise<void> {
    await this.#write(this.#entries)
  }

  async #write(entries: readonly EpochStart[]): Promise<void> {
    const lines = entries.map((entry) => `${entry.epoch} ${entry.startOffset}`)
    await writeCheckpoint(this.#disk, this.#path, lines)
  }
}

function isEntry(entry: EpochStart): boolean {
  return Number.isSafeInteger(entry.epoch) && Number.isSafeInteger(entry.startOffset) && entry.startOffset >= 0
}

function grows(before: EpochStart, after: EpochStart): boolean {
  return after.epoch > before.epoch && after.startOffset > before.startOffset
}
