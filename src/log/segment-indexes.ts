/**
 * The three indexes of a segment while they are in memory, their files, and what of them the files do not have yet. Files
 * are written when the segment is sealed, when it is unloaded and when the log closes, not with every append: after an
 * unclean shutdown they are built anew anyway. Memory: 8 bytes per offset index entry and 12 per time index entry, at
 * most one of each per `index.interval.bytes` of batches (and per batch), at most `segment.index.bytes` each.
 */
import { hasCode, Mutex } from '../base/index.ts'
import { SEGMENT_SIDE_SUFFIXES, segmentFileName } from './file-names.ts'
import { isTooSparse, syncFile, writeIndexFile } from './index-files.ts'
import { OffsetIndex } from './offset-index.ts'
import type { SegmentContext } from './segment.ts'
import type { SegmentFile } from './segment-file.ts'
import { TimeIndex } from './time-index.ts'
import { type TransactionEntry, TransactionIndex } from './transaction-index.ts'

/** The largest timestamp so far, and the last offset of its batch. */
export interface LargestTime {
  readonly maxTimestamp: number
  readonly maxTimestampOffset: number
}

export class SegmentIndexes {
  /** Undefined while unloaded; what the walk over the file fills when set to empty ones. */
  offsets: OffsetIndex | undefined
  times: TimeIndex | undefined
  /** Undefined also while it is unknown: its file is missing or cannot be right, and it takes the producers to build it. */
  transactions: TransactionIndex | undefined
  /** Aborted transactions that came while the index was unknown. */
  #lateAborts: TransactionEntry[] = []
  readonly #context: SegmentContext
  readonly #baseOffset: number
  readonly #file: SegmentFile
  /** What writes or removes index files: sealing and unloading may want it at the same time. */
  readonly #writes = new Mutex()
  /** Suffixes of the files that were written and not synced yet. */
  #unsynced: readonly string[] = []
  #bytesSinceEntry = 0
  /** Of their memory, as the cache knows it. */
  #countedBytes = 0
  /** Of the batches that the files cover; -1 when there are none or they are out of date. */
  #savedSize = -1
  /** Files of earlier batches may be on disk, of whatever age. */
  mayHaveFiles = false

  constructor(context: SegmentContext, baseOffset: number, file: SegmentFile) {
    this.#context = context
    this.#baseOffset = baseOffset
    this.#file = file
  }

  get areLoaded(): boolean {
    return this.offsets !== undefined && this.times !== undefined
  }
  /** The next batch needs another segment. */
  get isFull(): boolean {
    return this.offsets?.isFull === true || this.times?.isFull === true || this.transactions?.isFull === true
  }
  get memoryBytes(): number {
    return (this.offsets?.memoryBytes ?? 0) + (this.times?.memoryBytes ?? 0) + (this.transactions?.memoryBytes ?? 0)
  }
  /** Files were written that `syncFiles` has not covered yet. */
  get hasUnsynced(): boolean {
    return this.#unsynced.length > 0
  }
  /** Of a segment of that size: unloaded, they would have to be built anew. */
  isUnsaved(size: number): boolean {
    return this.offsets !== undefined && this.#savedSize !== size
  }

  /** Empty ones, for a walk over the file. */
  reset(): void {
    const bytesMax = this.#context.settings.segmentIndexBytes
    this.offsets = OffsetIndex.empty(this.#baseOffset, bytesMax)
    this.times = TimeIndex.empty(this.#baseOffset, bytesMax)
    this.transactions = TransactionIndex.empty(bytesMax)
    this.#bytesSinceEntry = 0
  }

  /** What index files, or other memory, say; the batch behind them, or the one named last, has no entry. */
  resume(found: Pick<SegmentIndexes, 'offsets' | 'times' | 'transactions'>): void {
    this.offsets = found.offsets
    this.times = found.times
    this.transactions = found.transactions
    this.#bytesSinceEntry = Number.MAX_SAFE_INTEGER
  }

  /** Those of offsets and times are what `other` has. */
  take(other: SegmentIndexes): void {
    this.offsets = other.offsets
    this.times = other.times
    this.#bytesSinceEntry = other.#bytesSinceEntry
    this.count()
  }

  /** They are on disk, or will be built anew. */
  forget(): void {
    this.offsets = undefined
    this.times = undefined
    this.transactions = undefined
    this.#lateAborts = []
    this.count()
  }

  /** The files are as the memory, for a segment of `size` bytes. */
  areSaved(size: number): void {
    this.#savedSize = size
    this.count()
  }

  /** The next batch of the file, at `position`, gets entries where they are due. */
  accept(last: number, position: number, size: number, time: LargestTime): void {
    this.#enter(last, position, time)
    this.#bytesSinceEntry += size
  }

  #enter(last: number, position: number, time: LargestTime): void {
    const { offsets, times } = this
    if (offsets === undefined || times === undefined) return
    if (this.#bytesSinceEntry <= this.#context.settings.indexIntervalBytes) return
    if (offsets.isFull || times.isFull) return // the next append rolls
    offsets.append(last, position)
    times.append(time.maxTimestamp, time.maxTimestampOffset)
    this.#bytesSinceEntry = 0
    this.count()
  }

  /** A transaction whose ABORT marker is in the batch accepted last. */
  acceptAborted(transaction: TransactionEntry): void {
    if (this.transactions === undefined) this.#lateAborts.push(transaction)
    else this.transactions.append(transaction)
  }

  /** The transaction index was built from the batches before `endOffset`. */
  setTransactions(index: TransactionIndex, endOffset: number): void {
    for (const transaction of this.#lateAborts) if (transaction.lastOffset >= endOffset) index.append(transaction)
    this.#lateAborts = []
    this.transactions = index
  }

  /** The log was cut: what ended at or beyond `endOffset` is as if it had never been. */
  truncateTransactions(endOffset: number): void {
    this.transactions?.truncate(endOffset)
    this.#lateAborts = this.#lateAborts.filter((transaction) => transaction.lastOffset < endOffset)
  }

  /** Tells the cache what they take now. */
  count(): void {
    const bytes = this.#file.isOpen ? this.memoryBytes : 0
    const grown = bytes - this.#countedBytes
    this.#countedBytes = bytes
    this.#context.share?.cache.indexGrew(grown)
  }

  /**
   * From the files, for a segment of `size` bytes up to `nextOffset`. False: offsets and times are missing or cannot be
   * right.
   */
  async load(size: number, nextOffset: number): Promise<boolean> {
    const { disk, settings } = this.#context
    const [offsets, times, transactions] = await Promise.all(
      SEGMENT_SIDE_SUFFIXES.map((suffix) => disk.readFile(this.#pathOf(suffix))),
    )
    const bytesMax = settings.segmentIndexBytes
    const base = this.#baseOffset
    this.transactions ??= transactions && TransactionIndex.load(bytesMax, transactions, base, nextOffset)
    const offsetIndex = offsets && OffsetIndex.load(base, bytesMax, offsets, size)
    const timeIndex = times && TimeIndex.load(base, bytesMax, times)
    if (offsetIndex === undefined || timeIndex === undefined || isTooSparse(offsetIndex, size, settings)) return false
    this.offsets = offsetIndex
    this.times = timeIndex
    this.#savedSize = size
    this.#bytesSinceEntry = size - (offsetIndex.count === 0 ? 0 : offsetIndex.positionAt(offsetIndex.count - 1))
    return true
  }

  /** Writes the files of a segment of `size` bytes, the closing time index entry included; see `Segment.saveIndexes`. */
  save(segment: LargestTime & { readonly size: number }): Promise<void> {
    return this.#writes.run(() => this.#save(segment))
  }

  async #save(segment: LargestTime & { readonly size: number }): Promise<void> {
    const { offsets, times } = this
    if (offsets === undefined || times === undefined || this.#file.isRetired) return
    times.append(segment.maxTimestamp, segment.maxTimestampOffset)
    const { size } = segment
    try {
      await this.#file.named(async () => {
        await this.#write('.index', offsets.content)
        await this.#write('.timeindex', times.content)
      })
      await this.#saveTransactions()
      this.#savedSize = size
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_DISK_FULL')) throw error
      await this.#remove()
    }
  }

  /** Writes the transaction index, also when it is empty: without a file it would be unknown. */
  saveTransactions(): Promise<void> {
    return this.#writes.run(() => this.#saveTransactions())
  }

  async #saveTransactions(): Promise<void> {
    const { transactions } = this
    if (transactions === undefined || this.#file.isRetired) return
    await this.#file.named(() => this.#writeTransactions(transactions.content))
  }

  /** Other than those of the others, the lack of an entry is not noticed: it is there whole, or as it was. */
  async #writeTransactions(content: Uint8Array): Promise<void> {
    if (content.length === 0) return await this.#write('.txnindex', content)
    this.mayHaveFiles = true
    await this.#context.disk.replaceFile(this.#pathOf('.txnindex'), content.slice())
    this.#unsynced = this.#unsynced.filter((suffix) => suffix !== '.txnindex')
  }

  /** Removes the files. */
  remove(): Promise<void> {
    return this.#writes.run(() => this.#remove())
  }

  async #remove(): Promise<void> {
    this.#savedSize = -1
    this.#unsynced = [] // first: a sync would make the files anew
    for (const suffix of SEGMENT_SIDE_SUFFIXES) await this.#context.disk.unlink(this.#pathOf(suffix))
  }

  async syncFiles(): Promise<void> {
    const unsynced = this.#unsynced
    this.#unsynced = []
    for (const suffix of unsynced) await syncFile(this.#context.disk, this.#pathOf(suffix))
  }

  async #write(suffix: string, content: Uint8Array): Promise<void> {
    this.mayHaveFiles = true
    await writeIndexFile(this.#context.disk, this.#pathOf(suffix), content)
    if (!this.#unsynced.includes(suffix)) this.#unsynced = [...this.#unsynced, suffix]
  }

  #pathOf(suffix: string): string {
    return `${this.#context.directory}/${segmentFileName(this.#baseOffset, suffix)}`
  }
}
