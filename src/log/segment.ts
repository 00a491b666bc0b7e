/**
 * One segment of a log: a `.log` file of batches back to back, its offset index and its time index. The newest segment
 * of a log is *active* (appended to), the others are *sealed*.
 *
 * Index files are written when the segment is sealed and when the log closes, not with every append: after an unclean
 * shutdown they are rebuilt anyway. A sealed segment opens its file and loads its indexes when it is first read and
 * may be unloaded again; an active one always has them. Memory: 8 bytes per offset index entry and 12 per time index
 * entry, at most one of each per `index.interval.bytes` of batches (and per batch), at most `segment.index.bytes` each.
 */
import { assert, hasCode, PagelogError } from '../base/index.ts'
import type { Clock, Disk, File } from '../env/index.ts'
import { lastOffset, maxTimestamp } from '../record/index.ts'
import { BatchScanner } from './batch-scanner.ts'
import { segmentFileName } from './file-names.ts'
import type { LogSettings } from './log-settings.ts'
import { OffsetIndex } from './offset-index.ts'
import { TimeIndex } from './time-index.ts'

/** Offsets in an index are relative to the segment, in an int32. */
export const RELATIVE_OFFSET_MAX = 0x7fffffff
const NO_TIMESTAMP = -1

export interface SegmentContext {
  readonly disk: Disk
  readonly clock: Clock
  readonly directory: string
  readonly settings: LogSettings
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
  /** Undefined while unloaded; what the walk over the file fills when set to empty ones. */
  offsetIndex: OffsetIndex | undefined
  timeIndex: TimeIndex | undefined
  readonly #context: SegmentContext
  readonly #createdMs: number
  #firstTimestamp = NO_TIMESTAMP
  #bytesSinceEntry = 0
  #file: File | undefined
  #opening: Promise<void> | undefined
  #hasUnsyncedIndexes = false

  constructor(context: SegmentContext, baseOffset: number) {
    this.#context = context
    this.#createdMs = context.clock.nowMs()
    this.baseOffset = baseOffset
    this.nextOffset = baseOffset
    this.maxTimestampOffset = baseOffset
    this.path = this.#pathOf('.log')
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
      // The offsets may go to the segment before it after all; left behind, the file would hide them.
      await segment.remove()
      throw error
    }
    segment.resetIndexes()
    return segment
  }

  /** File and indexes are at hand: reads need not wait. */
  get isLoaded(): boolean {
    return this.#file !== undefined && this.offsetIndex !== undefined && this.timeIndex !== undefined
  }
  get file(): File {
    assert(this.#file !== undefined, 'segment file is open')
    return this.#file
  }

  /** Index files were written that `sync` has not covered yet. */
  get hasUnsyncedIndexes(): boolean {
    return this.#hasUnsyncedIndexes
  }

  async openFile(): Promise<File> {
    this.#file ??= await this.#context.disk.open(this.path, 'write')
    return this.#file
  }

  /** Makes `isLoaded` true. An index that is missing or cannot be right is rebuilt from the batches. */
  load(): Promise<void> {
    this.#opening ??= this.#load().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  /** Empty indexes, for a walk over the file that calls `accept`. */
  resetIndexes(): void {
    const bytesMax = this.#context.settings.segmentIndexBytes
    this.offsetIndex = OffsetIndex.empty(this.baseOffset, bytesMax)
    this.timeIndex = TimeIndex.empty(this.baseOffset, bytesMax)
    this.#bytesSinceEntry = 0
  }

  /** The next batch of the file, header at `at` in `bytes`: it becomes visible and, where due, gets index entries. */
  accept(bytes: Uint8Array, at: number, size: number): void {
    const last = lastOffset(bytes, at)
    const timestamp = maxTimestamp(bytes, at)
    if (this.size === 0) this.#firstTimestamp = timestamp
    if (timestamp > this.maxTimestamp) {
      this.maxTimestamp = timestamp
      this.maxTimestampOffset = last
    }
    this.#index(last, this.size)
    this.size += size
    this.#bytesSinceEntry += size
    this.nextOffset = last + 1
  }

  /**
   * Whether a batch has to go to a new segment, `pendingBytes` being on their way into this one: by size, by the age of
   * the first batch, by full indexes, by offsets that the index cannot hold.
   */
  mustRoll(batch: { size: number; lastOffset: number; maxTimestamp: number }, pendingBytes: number): boolean {
    const { settings, clock } = this.#context
    const used = this.size + pendingBytes
    if (batch.lastOffset - this.baseOffset > RELATIVE_OFFSET_MAX) return true
    if (used === 0) return false
    if (used > settings.segmentBytes - batch.size) return true
    assert(this.offsetIndex !== undefined && this.timeIndex !== undefined, 'active segment has indexes')
    if (this.offsetIndex.isFull || this.timeIndex.isFull) return true
    if (this.#firstTimestamp !== NO_TIMESTAMP) return batch.maxTimestamp - this.#firstTimestamp > settings.segmentMs
    return this.size > 0 && clock.nowMs() - this.#createdMs > settings.segmentMs
  }

  /**
   * Writes both index files, the closing time index entry included; synced by the next `sync`. On a full disk there
   * are none afterwards: they will be rebuilt.
   */
  async saveIndexes(): Promise<void> {
    const { offsetIndex, timeIndex } = this
    if (offsetIndex === undefined || timeIndex === undefined) return
    timeIndex.append(this.maxTimestamp, this.maxTimestampOffset)
    try {
      await this.#saveIndex('.index', offsetIndex.content)
      await this.#saveIndex('.timeindex', timeIndex.content)
      this.#hasUnsyncedIndexes = true
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_DISK_FULL')) throw error
      for (const suffix of ['.index', '.timeindex']) await this.#context.disk.unlink(this.#pathOf(suffix))
    }
  }

  /** fdatasync of the batches, and of the index files written since the last one. One that was not open is not afterwards. */
  async sync(): Promise<void> {
    const wasOpen = this.#file !== undefined
    const file = await this.openFile()
    await file.dataSync()
    if (!wasOpen && !this.isLoaded && this.pins === 0) await this.unload()
    if (!this.#hasUnsyncedIndexes) return
    this.#hasUnsyncedIndexes = false
    for (const suffix of ['.index', '.timeindex']) {
      const index = await this.#context.disk.open(this.#pathOf(suffix), 'write')
      try {
        await index.dataSync()
      } finally {
        await index.close()
      }
    }
  }

  /** Closes the file and forgets the indexes, which are on disk or will be rebuilt. */
  async unload(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    this.offsetIndex = undefined
    this.timeIndex = undefined
    await file?.close()
  }

  /** Removes all files of the segment. */
  async remove(): Promise<void> {
    await this.unload()
    for (const suffix of ['.index', '.timeindex', '.txnindex', '.log'])
      await this.#context.disk.unlink(this.#pathOf(suffix))
  }

  /** Throws away what the indexes say and walks the file for them: some entry did not lead to its batch. */
  async rebuildIndexes(): Promise<void> {
    const fresh = new Segment(this.#context, this.baseOffset)
    fresh.resetIndexes()
    const scanner = new BatchScanner(await this.openFile(), { from: 0, to: this.size, verify: false })
    while (scanner.next() || (await scanner.more())) fresh.accept(scanner.bytes, scanner.at, scanner.size)
    if (scanner.fault !== undefined) {
      const fields = { path: this.path, position: scanner.position }
      throw new PagelogError('PAGELOG_CORRUPT', `segment is damaged: ${scanner.fault}`, fields)
    }
    this.offsetIndex = fresh.offsetIndex
    this.timeIndex = fresh.timeIndex
    this.#bytesSinceEntry = fresh.#bytesSinceEntry
  }

  async #load(): Promise<void> {
    const { disk, settings } = this.#context
    await this.openFile()
    if (this.offsetIndex !== undefined && this.timeIndex !== undefined) return
    const offsets = await disk.readFile(this.#pathOf('.index'))
    const times = await disk.readFile(this.#pathOf('.timeindex'))
    const bytesMax = settings.segmentIndexBytes
    const offsetIndex = offsets && OffsetIndex.load(this.baseOffset, bytesMax, offsets, this.size)
    const timeIndex = times && TimeIndex.load(this.baseOffset, bytesMax, times)
    if (offsetIndex === undefined || timeIndex === undefined) {
      await this.rebuildIndexes()
      await this.saveIndexes()
      return
    }
    this.offsetIndex = offsetIndex
    this.timeIndex = timeIndex
  }

  #index(last: number, position: number): void {
    const { offsetIndex, timeIndex } = this
    if (offsetIndex === undefined || timeIndex === undefined) return
    if (this.#bytesSinceEntry <= this.#context.settings.indexIntervalBytes) return
    if (offsetIndex.isFull || timeIndex.isFull) return // the next append rolls
    offsetIndex.append(last, position)
    timeIndex.append(this.maxTimestamp, this.maxTimestampOffset)
    this.#bytesSinceEntry = 0
  }

  async #saveIndex(suffix: string, content: Uint8Array): Promise<void> {
    const file = await this.#context.disk.open(this.#pathOf(suffix), 'write')
    try {
      await file.truncate(0)
      if (content.length > 0) await file.write([content.slice()], 0)
    } finally {
      await file.close()
    }
  }

  #pathOf(suffix: string): string {
    return `${this.#context.directory}/${segmentFileName(this.baseOffset, suffix)}`
  }
}
