/**
 * The segment that a compaction job writes: `<base>.log.cleaned` and its three index files, all synced when `finish`
 * returns. Until they are renamed no open takes them for part of the log. Index entries are those that a segment makes
 * for itself as batches are appended.
 */
import type { Disk, File } from '../../env/index.ts'
import { lastOffset, maxTimestamp } from '../../record/index.ts'
import { CLEANED_SUFFIX, SEGMENT_SIDE_SUFFIXES, segmentFileName } from '../file-names.ts'
import { OffsetIndex } from '../offset-index.ts'
import { TimeIndex } from '../time-index.ts'
import { type TransactionEntry, TransactionIndex } from '../transaction-index.ts'
import type { Throttle } from './throttle.ts'

/** Written but not synced: syncing now and then keeps the last sync short, and appends to other files from waiting for it. */
const UNSYNCED_BYTES_MAX = 16 * 1024 * 1024

export interface CleanedSettings {
  readonly segmentIndexBytes: number
  readonly indexIntervalBytes: number
}

/** What the log's own segment of these files knows of itself. */
export interface CleanedSegment {
  readonly baseOffset: number
  readonly size: number
  /** Exclusive. */
  readonly nextOffset: number
  readonly firstTimestamp: number
  readonly maxTimestamp: number
  readonly maxTimestampOffset: number
}

export class CleanedSegmentWriter {
  readonly #disk: Disk
  readonly #directory: string
  readonly #baseOffset: number
  readonly #settings: CleanedSettings
  readonly #throttle: Throttle
  readonly #offsetIndex: OffsetIndex
  readonly #timeIndex: TimeIndex
  readonly #buffer: Uint8Array
  #buffered = 0
  #written = 0
  #synced = 0
  /** The sync that goes on while more is written. */
  #syncing: Promise<void> | undefined
  #file: File | undefined
  #size = 0
  #nextOffset: number
  #firstTimestamp = -1
  #maxTimestamp = -1
  #maxTimestampOffset: number
  #bytesSinceEntry = 0

  constructor(
    given: { disk: Disk; directory: string; throttle: Throttle },
    baseOffset: number,
    settings: CleanedSettings,
    bufferBytes: number,
  ) {
    this.#disk = given.disk
    this.#directory = given.directory
    this.#throttle = given.throttle
    this.#baseOffset = baseOffset
    this.#settings = settings
    this.#nextOffset = baseOffset
    this.#maxTimestampOffset = baseOffset
    this.#offsetIndex = OffsetIndex.empty(baseOffset, settings.segmentIndexBytes)
    this.#timeIndex = TimeIndex.empty(baseOffset, settings.segmentIndexBytes)
    this.#buffer = new Uint8Array(bufferBytes)
  }

  get size(): number {
    return this.#size
  }

  /** Begins the file; what an earlier attempt left is void. */
  async begin(): Promise<void> {
    this.#file = await this.#disk.open(this.#pathOf('.log'), 'write')
    if (this.#file.size > 0) await this.#file.truncate(0)
  }

  /** Takes a batch when there is room for it: true. False: ask `appendSlowly`. */
  append(bytes: Uint8Array, at: number, size: number): boolean {
    if (this.#buffered + size > this.#buffer.length) return false
    this.#buffer.set(bytes.subarray(at, at + size), this.#buffered)
    this.#buffered += size
    this.#accept(bytes, at, size)
    return true
  }

  async appendSlowly(bytes: Uint8Array, at: number, size: number): Promise<void> {
    await this.#flush()
    if (this.append(bytes, at, size)) return
    await this.#write(bytes.subarray(at, at + size))
    this.#accept(bytes, at, size)
  }

  /** Writes and syncs everything. */
  async finish(aborted: readonly TransactionEntry[]): Promise<CleanedSegment> {
    await this.#flush()
    await this.#syncing
    await this.#file!.dataSync()
    await this.#file!.close()
    this.#timeIndex.append(this.#maxTimestamp, this.#maxTimestampOffset)
    const transactions = TransactionIndex.empty(this.#settings.segmentIndexBytes)
    for (const entry of aborted) transactions.append(entry)
    const saved = await Promise.allSettled([
      this.#save('.index', this.#offsetIndex.content),
      this.#save('.timeindex', this.#timeIndex.content),
      this.#save('.txnindex', transactions.content),
    ])
    for (const one of saved) if (one.status === 'rejected') throw one.reason
    return {
      baseOffset: this.#baseOffset,
      size: this.#size,
      nextOffset: this.#nextOffset,
      firstTimestamp: this.#firstTimestamp,
      maxTimestamp: this.#maxTimestamp,
      maxTimestampOffset: this.#maxTimestampOffset,
    }
  }

  /** Closes and removes what there is of it. */
  async discard(): Promise<void> {
    await this.#syncing?.catch(() => {})
    await this.#file?.close()
    for (const suffix of ['.log', ...SEGMENT_SIDE_SUFFIXES]) await this.#disk.unlink(this.#pathOf(suffix))
  }

  #accept(bytes: Uint8Array, at: number, size: number): void {
    const last = lastOffset(bytes, at)
    const timestamp = maxTimestamp(bytes, at)
    if (this.#size === 0) this.#firstTimestamp = timestamp
    if (timestamp > this.#maxTimestamp) {
      this.#maxTimestamp = timestamp
      this.#maxTimestampOffset = last
    }
    const isDue = this.#bytesSinceEntry > this.#settings.indexIntervalBytes
    if (isDue && !this.#offsetIndex.isFull && !this.#timeIndex.isFull) {
      this.#offsetIndex.append(last, this.#size)
      this.#timeIndex.append(this.#maxTimestamp, this.#maxTimestampOffset)
      this.#bytesSinceEntry = 0
    }
    this.#size += size
    this.#bytesSinceEntry += size
    this.#nextOffset = last + 1
  }

  async #flush(): Promise<void> {
    const count = this.#buffered
    this.#buffered = 0
    if (count > 0) await this.#write(this.#buffer.subarray(0, count))
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#throttle.take(bytes.length)
    await this.#file!.write([bytes], this.#written)
    this.#written += bytes.length
    if (this.#written - this.#synced < UNSYNCED_BYTES_MAX) return
    await this.#syncing // one that failed is the last
    this.#syncing = this.#file!.dataSync()
    this.#syncing.catch(() => {}) // met where it is awaited
    this.#synced = this.#written
  }

  async #save(suffix: string, content: Uint8Array): Promise<void> {
    const file = await this.#disk.open(this.#pathOf(suffix), 'write')
    try {
      await file.truncate(0)
      if (content.length > 0) await file.write([content.slice()], 0)
      await file.dataSync()
    } finally {
      await file.close()
    }
  }

  #pathOf(suffix: string): string {
    return `${this.#directory}/${segmentFileName(this.#baseOffset, suffix)}${CLEANED_SUFFIX}`
  }
}
