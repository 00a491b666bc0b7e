/**
 * A batch as the application gets it: the received bytes with a view on them. Records before the wanted offset, which
 * share the first batch after a seek, are left out. Nothing is copied, but a compressed batch is decompressed into bytes of
 * its own; by default the bytes live as long as anything that refers to them, with `reuseBuffers` only until the next
 * batch is asked for.
 */
import { LogRecord, type RecordBatch, RecordCursor } from '../record/index.ts'

export class ConsumedBatch implements Iterable<LogRecord> {
  readonly topic: string
  readonly partition: number
  /** Exclusive end of what could be read when the batch was received: how far behind one is. */
  readonly highWatermark: number
  /** The batch as it lies in the log, decompressed; its records may begin before `firstOffset`. */
  readonly batch: RecordBatch
  readonly #fromOffset: number
  #skipped = -1

  /** For the fetcher: `fromOffset` is the first offset wanted. */
  constructor(topic: string, partition: number, highWatermark: number, batch: RecordBatch, fromOffset: number) {
    this.topic = topic
    this.partition = partition
    this.highWatermark = highWatermark
    this.batch = batch
    this.#fromOffset = fromOffset
  }

  /** Lowest offset that a record here may have: the batch's first, or the one that was wanted. */
  get firstOffset(): number {
    return Math.max(this.batch.baseOffset, this.#fromOffset)
  }
  /** Inclusive; of the batch, whose last record may be gone from a compacted topic. */
  get lastOffset(): number {
    return this.batch.lastOffset
  }
  /** Records that the cursor will visit. */
  get recordCount(): number {
    const { recordCount, baseOffset } = this.batch
    if (this.#fromOffset <= baseOffset) return recordCount
    if (this.#skipped === -1) this.cursor()
    return recordCount - this.#skipped
  }
  /** Decompressed. */
  get sizeInBytes(): number {
    return this.batch.sizeInBytes
  }

  /**
   * A new cursor before the first record: the fastest way to read. Given one (not in use any more), it is set to this
   * batch, if that is possible, and returned.
   */
  cursor(reused?: RecordCursor): RecordCursor {
    const { batch } = this
    if (this.#fromOffset > batch.baseOffset) return this.#trimmedCursor()
    const cursor = reused ?? new RecordCursor()
    cursor.reset(batch.bytes, batch.position)
    return cursor
  }

  *[Symbol.iterator](): IterableIterator<LogRecord> {
    const cursor = this.cursor()
    while (cursor.next()) yield new LogRecord(cursor)
  }

  #trimmedCursor(): RecordCursor {
    const cursor = new TrimmedCursor()
    cursor.reset(this.batch.bytes, this.batch.position)
    this.#skipped = cursor.skipTo(this.#fromOffset)
    return cursor
  }
}

/** Stands on its first record before it is asked for it, for only there it can see that it is the first. */
class TrimmedCursor extends RecordCursor {
  #ahead = false
  #over = false

  /** Returns how many records were passed over. */
  skipTo(offset: number): number {
    let skipped = 0
    while (super.next()) {
      if (this.offset >= offset) {
        this.#ahead = true
        return skipped
      }
      skipped++
    }
    this.#over = true
    return skipped
  }

  override next(): boolean {
    if (this.#ahead) {
      this.#ahead = false
      return true
    }
    return !this.#over && super.next()
  }
}
