/**
 * One segment of a log: a `.log` file of batches back to back, its offset index, time index and transaction index. The
 * newest segment of a log is *active* (appended to), the others are *sealed*.
 *
 * A segment opens its file and loads its indexes (segment-indexes.ts) when it is used and may be unloaded again
 * (segment-cache.ts).
 */
import { assert, PagelogError } from '../base/index.ts'
import type { Clock, Disk, File } from '../env/index.ts'
import { BATCH_HEADER_BYTES, lastOffset, maxTimestamp } from '../record/index.ts'
import { BatchScanner } from './batch-scanner.ts'
import type { CleanedSegment } from './compaction/cleaned-segment.ts'
import { SEGMENT_SIDE_SUFFIXES, segmentFileName } from './file-names.ts'
import { readFirstTime, readIndexesBefore, readLastTime } from './index-files.ts'
import type { LogSettings } from './log-settings.ts'
import type { OffsetIndex } from './offset-index.ts'
import { rollJitterMs } from './roll-jitter.ts'
import type { CacheShare } from './segment-cache.ts'
import { SegmentFile } from './segment-file.ts'
import { SegmentIndexes } from './segment-indexes.ts'
import type { TimeIndex } from './time-index.ts'
import type { TransactionEntry, TransactionIndex } from './transaction-index.ts'

/** Offsets in an index are relative to the segment, in an int32. */
export const RELATIVE_OFFSET_MAX = 0x7fffffff
const NO_TIMESTAMP = -1

export interface SegmentContext {
  readonly disk: Disk
  readonly clock: Clock
  readonly directory: string
  /** May change while the log is open. */
  settings: LogSettings
  /** Of the limits of the directory. Without it nothing is counted. */
  readonly share?: CacheShare
}

export class Segment {
  readonly baseOffset: number
  readonly path: string
  /** Bytes that readers may see; the file may be larger while a write is in flight. */
  size = 0
  /** Exclusive. */
  nextOffset: number
  /** Largest timestamp of its batches, -1 without any. */
  maxTimestamp = NO_TIMESTAMP
  /** Last offset of the batch that has it. */
  maxTimestampOffset: number
  /** Uses that wait for something and need it loaded. */
  pins = 0
  /** It was read or written since the cache looked at it last. */
  wasUsed = false
  /** It was sealed and nothing goes into it any more, although it is the last one: what is appended needs the next one. */
  isComplete = false
  readonly #context: SegmentContext
  readonly #createdMs: number
  #firstTimestamp = NO_TIMESTAMP
  readonly #file: SegmentFile
  readonly #indexes: SegmentIndexes
  #loading: Promise<void> | undefined
  #hasTimes = true

  constructor(context: SegmentContext, baseOffset: number) {
    this.#context = context
    this.#createdMs = context.clock.nowMs()
    this.baseOffset = baseOffset
    this.nextOffset = baseOffset
    this.maxTimestampOffset = baseOffset
    this.path = this.#pathOf('.log')
    this.#file = new SegmentFile(context.disk, this.path, () => context.share?.opened(this))
    this.#indexes = new SegmentIndexes(context, baseOffset, this.#file)
  }

  /**
   * A new, empty one with its file; no file when that fails. What an earlier process may have left under the name is
   * void: it was cut.
   */
  static async create(context: SegmentContext, baseOffset: number): Promise<Segment> {
    const segment = new Segment(context, baseOffset)
    try {
      await segment.openFile()
      if (segment.file.size > 0) await segment.file.truncate(0)
      if (context.settings.preallocate) await segment.file.allocate(0, context.settings.segmentBytes)
    } catch (error) {
      // Left behind, or back after a power loss, it would hide what goes before it instead: even a full disk is final.
      const removed = segment.remove().then(() => context.disk.syncDirectory(context.directory))
      await removed.catch((cause: unknown) => {
        const message = `cannot remove ${segment.path}, which was not begun`
        throw new PagelogError('PAGELOG_STORAGE', message, { cause, path: segment.path })
      })
      throw error
    }
    segment.resetIndexes()
    return segment
  }

  /**
   * One of which only the directory's listing is known: `nextOffset` may be beyond its last batch, and its largest
   * timestamp is read when `LogState.loadTimes` asks for it.
   */
  static listed(context: SegmentContext, baseOffset: number, size: number, nextOffset: number): Segment {
    const segment = new Segment(context, baseOffset)
    segment.size = size
    segment.nextOffset = size === 0 ? baseOffset : nextOffset
    segment.#hasTimes = size === 0
    segment.#indexes.mayHaveFiles = true
    return segment
  }

  /** Of one that compaction wrote: its file, which may have another name for now, and what is in there. */
  adopt(
    file: File,
    indexes: Pick<SegmentIndexes, 'offsets' | 'times' | 'transactions'>,
    written: Pick<CleanedSegment, 'firstTimestamp' | 'maxTimestamp' | 'maxTimestampOffset'>,
  ): void {
    this.#file.adopt(file)
    this.#indexes.resume(indexes)
    this.#indexes.areSaved(this.size)
    this.#setTimes(written.maxTimestamp, written.maxTimestampOffset)
    this.#firstTimestamp = written.firstTimestamp
  }

  /** Of its first batch, by which it ages; -1 without one, or while it was never loaded. */
  get firstTimestamp(): number {
    return this.#firstTimestamp
  }

  /** What its end was found to be, of one that is listed. */
  setEnd(end: Pick<Segment, 'nextOffset' | 'maxTimestamp' | 'maxTimestampOffset'>): void {
    this.nextOffset = end.nextOffset
    this.#setTimes(end.maxTimestamp, end.maxTimestampOffset)
  }

  /**
   * Stands behind the batches before `offset`, or some earlier ones, with what good index files say of them. `wasSaved`:
   * they were written when the log ended there; the answer is then whether what all markers before it aborted is known.
   */
  async resume(offset: number, wasSaved: boolean): Promise<boolean> {
    const found = await readIndexesBefore(this.#context, this, offset, wasSaved)
    this.resetIndexes()
    this.size = 0
    this.nextOffset = this.baseOffset
    if (found === undefined) return false
    const { offsetIndex, timeIndex, transactionIndex, position, nextOffset } = found
    // The batch at `position` has an entry, which is left out there: it gets it again.
    this.#indexes.resume({ offsets: offsetIndex, times: timeIndex, transactions: transactionIndex })
    this.size = position
    const last = timeIndex.count - 1
    const maxTimestamp = last < 0 ? NO_TIMESTAMP : timeIndex.timestampAt(last)
    this.setEnd({ nextOffset, maxTimestamp, maxTimestampOffset: last < 0 ? this.baseOffset : timeIndex.offsetAt(last) })
    await this.#readFirstTimestamp()
    return wasSaved && transactionIndex !== undefined
  }

  /** `maxTimestamp` is known. */
  get hasTimes(): boolean {
    return this.#hasTimes
  }

  /** Makes `maxTimestamp` known by the last entry of the time index. False when that is not to be had: `load` knows. */
  async readTimes(): Promise<boolean> {
    if (this.#hasTimes) return true
    const last = await this.#file.named(() =>
      readLastTime(this.#context.disk, this.#pathOf('.timeindex'), this.baseOffset),
    )
    if (last !== undefined && !this.#hasTimes) this.#setTimes(last.timestamp, last.offset)
    return this.#hasTimes
  }

  get isOpen(): boolean {
    return this.#file.isOpen
  }
  /** Memory of the indexes that are loaded. */
  get indexBytes(): number {
    return this.#indexes.memoryBytes
  }
  /** Undefined while unloaded. */
  get offsetIndex(): OffsetIndex | undefined {
    return this.#indexes.offsets
  }
  get timeIndex(): TimeIndex | undefined {
    return this.#indexes.times
  }
  /** Undefined also while it is unknown, see `SegmentIndexes`. */
  get transactionIndex(): TransactionIndex | undefined {
    return this.#indexes.transactions
  }

  /** File and indexes are at hand: reads need not wait. */
  get isLoaded(): boolean {
    return this.#file.isOpen && this.#indexes.areLoaded
  }
  get file(): File {
    return this.#file.opened
  }

  /** Index files were written that `sync` has not covered yet. */
  get hasUnsyncedIndexes(): boolean {
    return this.#indexes.hasUnsynced
  }

  /** Unloaded, the indexes would have to be built anew. */
  get hasUnsavedIndexes(): boolean {
    return this.#indexes.isUnsaved(this.size)
  }
  /** Its index files may be those of fewer batches. */
  get hasOutdatedFiles(): boolean {
    return this.#indexes.mayHaveFiles && this.hasUnsavedIndexes
  }

  /** The log has given it up: it is found no more, only what has it open already goes on reading. */
  get isRetired(): boolean {
    return this.#file.isRetired
  }

  /** Gives it up; once this resolves nothing goes by the names of its files any more. */
  async retire(): Promise<void> {
    await this.#file.retire()
    if (this.pins === 0) void this.unload().catch(() => {}) // what fails to close is given up anyway
  }

  /** Of a log that closes; resolves when its file is closed, or left to those that have it pinned. */
  async close(): Promise<void> {
    await this.#file.retire()
    if (this.pins === 0) await this.unload()
  }

  /** One that has it pinned needs it no longer. */
  unpin(): void {
    this.pins--
    if (this.isRetired && this.pins === 0) void this.unload().catch(() => {})
  }

  openFile(): Promise<File> {
    return this.#file.open()
  }

  /** Makes `isLoaded` true. An index that is missing or cannot be right is rebuilt from the batches. */
  load(): Promise<void> {
    this.#loading ??= this.#file
      .named(() => this.#load())
      .finally(() => {
        this.#loading = undefined
        this.#indexes.count()
      })
    return this.#loading
  }

  /** Empty indexes, for a walk over the file that calls `accept`. */
  resetIndexes(): void {
    this.#indexes.reset()
  }

  /** The next batch of the file, header at `at` in `bytes`: it becomes visible and, where due, gets index entries. */
  accept(bytes: Uint8Array, at: number, size: number): void {
    const last = lastOffset(bytes, at)
    const timestamp = maxTimestamp(bytes, at)
    if (this.size === 0) {
      this.#firstTimestamp = timestamp
      this.#hasTimes = true
    }
    if (timestamp > this.maxTimestamp) {
      this.maxTimestamp = timestamp
      this.maxTimestampOffset = last
    }
    this.#indexes.accept(last, this.size, size, this)
    this.size += size
    this.nextOffset = last + 1
  }

  /** A transaction whose ABORT marker is in the batch accepted last. */
  acceptAborted(transaction: TransactionEntry): void {
    this.#indexes.acceptAborted(transaction)
  }

  /** The transaction index was built from the batches before `endOffset`. */
  setTransactionIndex(index: TransactionIndex, endOffset: number): void {
    this.#indexes.setTransactions(index, endOffset)
  }

  /**
   * Whether a batch has to go to a new segment, `pendingBytes` being on their way into this one: by size, by the age of
   * the first batch, by full indexes, by offsets that the index cannot hold, or because it is complete.
   */
  mustRoll(batch: { size: number; lastOffset: number; maxTimestamp: number }, pendingBytes: number): boolean {
    const { settings, clock } = this.#context
    const used = this.size + pendingBytes
    if (batch.lastOffset - this.baseOffset > RELATIVE_OFFSET_MAX) return true
    if (used === 0) return false
    if (this.isComplete) return true
    if (used > settings.segmentBytes - batch.size) return true
    assert(this.#indexes.areLoaded, 'active segment has indexes')
    if (this.#indexes.isFull) return true
    const ageMaxMs = settings.segmentMs - rollJitterMs(this.path, settings)
    if (this.#firstTimestamp !== NO_TIMESTAMP) return batch.maxTimestamp - this.#firstTimestamp > ageMaxMs
    return this.size > 0 && clock.nowMs() - this.#createdMs > ageMaxMs
  }

  /** The blocks reserved beyond its end are given back: it is sealed. */
  async releaseBlocks(): Promise<void> {
    if (!this.#context.settings.preallocate || this.isRetired) return
    await (await this.openFile()).truncate(this.size)
  }

  /**
   * Writes both index files, the closing time index entry included; synced by the next `sync`. On a full disk there
   * are none afterwards: they will be rebuilt.
   */
  saveIndexes(): Promise<void> {
    return this.#indexes.save(this)
  }

  /** Writes the transaction index, also when it is empty: without a file it would be unknown. Synced by the next `sync`. */
  saveTransactionIndex(): Promise<void> {
    return this.#indexes.saveTransactions()
  }

  /** fdatasync of the batches, and of the index files written since the last one. One that was not open is not afterwards. */
  async sync(): Promise<void> {
    if (!this.isRetired) await this.#file.named(() => this.#sync())
  }

  async #sync(): Promise<void> {
    const wasOpen = this.#file.isOpen
    this.pins++ // it must not be closed before
    try {
      await (await this.openFile()).dataSync()
    } finally {
      this.unpin()
    }
    if (!wasOpen && !this.isLoaded && this.pins === 0) await this.unload()
    await this.#indexes.syncFiles()
  }

  /** Closes the file and forgets the indexes, which are on disk or will be rebuilt. */
  async unload(): Promise<void> {
    const file = this.#file.release()
    this.#indexes.forget()
    if (file !== undefined) this.#context.share?.cache.closed(this)
    await file?.close()
  }

  /** Removes all files of the segment. */
  async remove(): Promise<void> {
    await this.unload()
    for (const suffix of [...SEGMENT_SIDE_SUFFIXES, '.log']) await this.#context.disk.unlink(this.#pathOf(suffix))
  }

  /** Drops the batches that `kept` has not and syncs the cut; the index files go, they are written when it is sealed. */
  async cutTo(kept: Segment): Promise<void> {
    this.size = kept.size
    this.nextOffset = kept.nextOffset
    this.maxTimestamp = kept.maxTimestamp
    this.maxTimestampOffset = kept.maxTimestampOffset
    this.#firstTimestamp = kept.#firstTimestamp
    this.#hasTimes = true
    this.#indexes.truncateTransactions(kept.nextOffset)
    this.#indexes.take(kept.#indexes)
    await this.#indexes.remove()
    const file = await this.openFile()
    await file.truncate(this.size)
    await file.dataSync()
  }

  /** Throws away what the indexes say and walks the file for them: some entry did not lead to its batch. */
  async rebuildIndexes(): Promise<void> {
    const fresh = await this.before(Number.POSITIVE_INFINITY)
    this.#indexes.take(fresh.#indexes)
    // Unless batches came meanwhile: what was known of the others may be as wrong as the index was.
    if (!this.#hasTimes || this.size === fresh.size) this.#setTimes(fresh.maxTimestamp, fresh.maxTimestampOffset)
  }

  /**
   * What it is up to the batch that holds `offset`, by a walk over the headers: the same without a file, for `cutTo`.
   * Error: PAGELOG_CORRUPT.
   */
  async before(offset: number): Promise<Segment> {
    const fresh = new Segment(this.#context, this.baseOffset)
    fresh.resetIndexes()
    const scanner = new BatchScanner(await this.openFile(), { from: 0, to: this.size, verify: false })
    while (scanner.next() || (await scanner.more())) {
      if (scanner.lastOffset >= offset) return fresh
      fresh.accept(scanner.bytes, scanner.at, scanner.size)
    }
    if (scanner.fault !== undefined) {
      const fields = { path: this.path, position: scanner.position }
      throw new PagelogError('PAGELOG_CORRUPT', `segment is damaged: ${scanner.fault}`, fields)
    }
    return fresh
  }

  async #load(): Promise<void> {
    await this.openFile()
    if (this.#indexes.areLoaded) return
    await this.#readFirstTimestamp()
    if (!(await this.#indexes.load(this.size, this.nextOffset))) {
      if (this.size === 0) return this.resetIndexes() // nothing that files could tell
      await this.rebuildIndexes()
      await this.saveIndexes()
      return
    }
    const { timeIndex, baseOffset } = this
    const last = timeIndex!.count - 1
    if (!this.#hasTimes && last >= 0) this.#setTimes(timeIndex!.timestampAt(last), timeIndex!.offsetAt(last))
    if (!this.#hasTimes) this.#setTimes(NO_TIMESTAMP, baseOffset)
  }

  /** Of the first batch: by it the segment ages. */
  async #readFirstTimestamp(): Promise<void> {
    if (this.#firstTimestamp !== NO_TIMESTAMP || this.size < BATCH_HEADER_BYTES) return
    this.#firstTimestamp = await readFirstTime(this.file)
  }

  #setTimes(timestampMs: number, offset: number): void {
    this.maxTimestamp = timestampMs
    this.maxTimestampOffset = offset
    this.#hasTimes = true
  }

  #pathOf(suffix: string): string {
    return `${this.#context.directory}/${segmentFileName(this.baseOffset, suffix)}`
  }
}
