/**
 * Which leader epoch began at which offset: Kafka's `leader-epoch-checkpoint`, lines `epoch startOffset`. An epoch is
 * on disk before the first batch of it is appended (reliability L7), so that the file never lacks one that the log has.
 * Cuts may lag behind on disk: an entry beyond the end of the log is dropped at open.
 */
import { assert, Mutex } from '../base/index.ts'
import type { Disk } from '../env/index.ts'
import { parseCheckpoint, writeCheckpoint } from './checkpoint-file.ts'

export interface EpochStart {
  readonly epoch: number
  readonly startOffset: number
}

/** The answer to OffsetForLeaderEpoch; -1 and -1 when the epoch is unknown. */
export interface EpochEnd {
  readonly epoch: number
  /** Exclusive. */
  readonly endOffset: number
}

/** That which Kafka's tools expect to find. */
export const FIRST_EPOCH = 0
const UNKNOWN_END: EpochEnd = { epoch: -1, endOffset: -1 }

export class LeaderEpochCheckpoint {
  readonly #disk: Disk
  readonly #path: string
  /** Both fields increase strictly. */
  #entries: EpochStart[]
  /** An append may begin an epoch while a trim writes the file: side by side one of them would lose its temporary file. */
  readonly #writes = new Mutex()
  /** The newest epoch has begun and is not on disk. */
  #isBegun = false

  private constructor(disk: Disk, path: string, entries: EpochStart[]) {
    this.#disk = disk
    this.#path = path
    this.#entries = entries
  }

  /** Reads the file; `isNew` says that there was none, or a damaged one: `replay` then finds the epochs in the log. */
  static async open(disk: Disk, path: string): Promise<{ epochs: LeaderEpochCheckpoint; isNew: boolean }> {
    return LeaderEpochCheckpoint.of(disk, path, await disk.readFile(path))
  }

  /** The same of what was read already; `content` undefined: there is no file. */
  static of(
    disk: Disk,
    path: string,
    content: Uint8Array | undefined,
  ): { epochs: LeaderEpochCheckpoint; isNew: boolean } {
    const fields = content && parseCheckpoint(content, 2)
    const entries = (fields ?? []).map(([epoch, offset]) => ({ epoch: Number(epoch), startOffset: Number(offset) }))
    const isGood =
      fields !== undefined &&
      entries.every(isEntry) &&
      entries.every((entry, i) => i === 0 || grows(entries[i - 1]!, entry))
    return { epochs: new LeaderEpochCheckpoint(disk, path, isGood ? entries : []), isNew: !isGood }
  }

  /** That of a partition which begins. Its name is durable when the caller has synced the directory. */
  static async begin(disk: Disk, path: string, startOffset: number): Promise<void> {
    await writeCheckpoint(disk, path, [`${FIRST_EPOCH} ${startOffset}`], 'unsynced')
  }

  get entries(): readonly EpochStart[] {
    return this.#entries
  }

  /** -1 when there is none. */
  get latest(): number {
    return this.#entries.at(-1)?.epoch ?? -1
  }

  /** An append of `epoch` needs `assign` first. */
  lacks(epoch: number): boolean {
    return epoch > this.latest || (this.#isBegun && epoch === this.latest)
  }

  /**
   * A leader begins its epoch at the end of the log, so that it can say where the ones before it ended. In memory only:
   * `assign` follows with the first batch, and an epoch without any need not be remembered.
   */
  begin(epoch: number, startOffset: number): void {
    assert(epoch >= this.latest, 'a leader has the newest epoch')
    if (epoch === this.latest) return
    this.#entries = [...this.#entries.filter((entry) => entry.startOffset < startOffset), { epoch, startOffset }]
    this.#isBegun = true
  }

  /** A batch met at open: its epoch may be missing when the file was. In memory only; `save` follows. */
  replay(epoch: number, baseOffset: number): boolean {
    if (epoch <= this.latest) return false
    this.#entries = [...this.#entries, { epoch, startOffset: baseOffset }]
    return true
  }

  /** The epoch of the batches at `offset`; -1 when it is before the first one known. */
  epochAt(offset: number): number {
    return this.#entries.findLast((entry) => entry.startOffset <= offset)?.epoch ?? -1
  }

  /**
   * Where `epoch` ended, as a leader tells its followers (KIP-101, KIP-279): of the largest epoch at most `epoch` that
   * the log knows, the offset behind its last batch. Unknown for an epoch that is still to come; the newest ends where
   * the log does. An epoch before all that are known ended where they begin.
   */
  endOffsetFor(epoch: number, logEndOffset: number): EpochEnd {
    if (epoch < 0 || epoch > this.latest) return UNKNOWN_END
    if (epoch === this.latest) return { epoch, endOffset: logEndOffset }
    const next = this.#entries.findIndex((entry) => entry.epoch > epoch)
    const endOffset = this.#entries[next]!.startOffset
    return { epoch: this.#entries[next - 1]?.epoch ?? epoch, endOffset }
  }

  /** The log was cut: forgets the epochs that start at or beyond `endOffset`. In memory only. False when there is none. */
  truncate(endOffset: number): boolean {
    const kept = this.#entries.filter((entry) => entry.startOffset < endOffset)
    if (kept.length === this.#entries.length) return false
    this.#entries = kept
    this.#isBegun = false
    return true
  }

  /**
   * The log begins at `startOffset` now: forgets the epochs that ended before it; the one that holds it starts there.
   * In memory only. False when nothing changes.
   */
  truncateStart(startOffset: number): boolean {
    const first = this.#entries.findLastIndex((entry) => entry.startOffset <= startOffset)
    if (first < 0 || (first === 0 && this.#entries[0]!.startOffset === startOffset)) return false
    const { epoch } = this.#entries[first]!
    this.#entries = [{ epoch, startOffset }, ...this.#entries.slice(first + 1)]
    return true
  }

  /**
   * Begins an epoch at `startOffset`, on disk before it returns. Entries that contradict it go (reliability L2): an epoch
   * in which nothing was appended has the same start, and one that is not older cannot have begun before.
   */
  async assign(epoch: number, startOffset: number): Promise<void> {
    assert(epoch >= 0 && startOffset >= 0, 'a leader epoch and its start are no negative numbers')
    const latest = this.#entries.at(-1)
    const isKnown = latest !== undefined && latest.epoch === epoch && latest.startOffset <= startOffset
    if (isKnown && !this.#isBegun) return
    const assigned = (): EpochStart[] => {
      const kept = this.#entries.filter((entry) => entry.epoch < epoch && entry.startOffset < startOffset)
      return [...kept, { epoch, startOffset }]
    }
    await this.#writes.run(async () => {
      await this.#write(assigned())
      this.#entries = assigned() // the start of the log may have been cut meanwhile
    })
  }

  async save(): Promise<void> {
    await this.#writes.run(() => this.#write(this.#entries))
  }

  async #write(entries: readonly EpochStart[]): Promise<void> {
    const lines = entries.map((entry) => `${entry.epoch} ${entry.startOffset}`)
    await writeCheckpoint(this.#disk, this.#path, lines)
    if (entries.at(-1)?.epoch === this.latest) this.#isBegun = false
  }
}

function isEntry(entry: EpochStart): boolean {
  const { epoch, startOffset } = entry
  return Number.isSafeInteger(epoch) && epoch >= 0 && Number.isSafeInteger(startOffset) && startOffset >= 0
}

function grows(before: EpochStart, after: EpochStart): boolean {
  return after.epoch > before.epoch && after.startOffset > before.startOffset
}
