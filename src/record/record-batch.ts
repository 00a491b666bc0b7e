/**
 * A batch in received or read bytes: typed view of its header, its cursor, its records. It copies nothing; everything
 * it gives lives as long as the bytes below it.
 */
import { crc32c } from '../native/index.ts'
import * as header from './batch-header.ts'
import type { RecordHeader } from './batch-writer.ts'
import { RecordCursor, readHeaders } from './record-cursor.ts'

export class RecordBatch {
  readonly bytes: Uint8Array
  /** Of the batch in `bytes`. */
  readonly position: number
  /** Records before this offset are left out by `cursor` and iteration: a reader may begin inside of a batch. */
  readonly startOffset: number
  /** The same for records from this offset on. */
  readonly endOffset: number

  /** Requires a whole header at `position`; `batchesOf` sees to that. */
  constructor(bytes: Uint8Array, position: number, startOffset = 0, endOffset = Number.POSITIVE_INFINITY) {
    this.bytes = bytes
    this.position = position
    this.startOffset = startOffset
    this.endOffset = endOffset
  }

  get baseOffset(): number {
    return header.baseOffset(this.bytes, this.position)
  }
  /** Inclusive. */
  get lastOffset(): number {
    return header.lastOffset(this.bytes, this.position)
  }
  get lastOffsetDelta(): number {
    return header.lastOffsetDelta(this.bytes, this.position)
  }
  get sizeInBytes(): number {
    return header.batchSize(this.bytes, this.position)
  }
  get leaderEpoch(): number {
    return header.leaderEpoch(this.bytes, this.position)
  }
  get magic(): number {
    return header.magic(this.bytes, this.position)
  }
  get crc(): number {
    return header.crc(this.bytes, this.position)
  }
  get attributes(): number {
    return header.attributes(this.bytes, this.position)
  }
  get isControl(): boolean {
    return header.isControl(this.bytes, this.position)
  }
  get isTransactional(): boolean {
    return header.isTransactional(this.bytes, this.position)
  }
  get timestampType(): 0 | 1 {
    return header.timestampType(this.bytes, this.position)
  }
  get compression(): number {
    return header.compression(this.bytes, this.position)
  }
  get baseTimestamp(): number {
    return header.baseTimestamp(this.bytes, this.position)
  }
  get maxTimestamp(): number {
    return header.maxTimestamp(this.bytes, this.position)
  }
  get producerId(): number {
    return header.producerId(this.bytes, this.position)
  }
  get producerEpoch(): number {
    return header.producerEpoch(this.bytes, this.position)
  }
  get baseSequence(): number {
    return header.baseSequence(this.bytes, this.position)
  }
  get recordCount(): number {
    return header.recordCount(this.bytes, this.position)
  }

  /** Whether the batch is whole and its CRC is that of its bytes. */
  isValid(): boolean {
    const size = this.sizeInBytes
    const end = this.position + size
    if (size < header.BATCH_HEADER_BYTES || end > this.bytes.length || this.magic !== header.MAGIC_V2) return false
    return crc32c(this.bytes, this.position + header.ATTRIBUTES_AT, end) === this.crc
  }

  /**
   * A cursor before the first record from `startOffset` on; errors as `RecordCursor.reset`. Takes `cursor` again when
   * one is given.
   */
  cursor(cursor: RecordCursor = new RecordCursor()): RecordCursor {
    cursor.reset(this.bytes, this.position, this.startOffset, this.endOffset)
    return cursor
  }

  *[Symbol.iterator](): IterableIterator<LogRecord> {
    const cursor = this.cursor()
    while (cursor.next()) yield new LogRecord(cursor)
  }
}

/** One record, its key, value and headers decoded when asked for; views live as long as the batch's bytes. */
export class LogRecord {
  readonly offset: number
  readonly timestamp: number
  readonly #bytes: Uint8Array
  readonly #keyStart: number
  readonly #keyLength: number
  readonly #valueStart: number
  readonly #valueLength: number
  readonly #headersStart: number
  readonly #end: number

  /** Takes what the cursor stands on; the cursor may move on afterwards. `isCopy`: bytes of its own, valid for ever. */
  constructor(cursor: RecordCursor, isCopy = false) {
    const start = isCopy ? cursor.keyStart : 0
    this.offset = cursor.offset
    this.timestamp = cursor.timestamp
    this.#bytes = isCopy ? cursor.bytes.slice(start, cursor.recordEnd) : cursor.bytes
    this.#keyStart = cursor.keyStart - start
    this.#keyLength = cursor.keyLength
    this.#valueStart = cursor.valueStart - start
    this.#valueLength = cursor.valueLength
    this.#headersStart = cursor.headersStart - start
    this.#end = cursor.recordEnd - start
  }

  get key(): Uint8Array | null {
    return this.#keyLength < 0 ? null : this.#bytes.subarray(this.#keyStart, this.#keyStart + this.#keyLength)
  }
  get value(): Uint8Array | null {
    return this.#valueLength < 0 ? null : this.#bytes.subarray(this.#valueStart, this.#valueStart + this.#valueLength)
  }
  get headers(): RecordHeader[] {
    return readHeaders(this.#bytes, this.#headersStart, this.#end)
  }
}

/** The batches in `bytes` from position `from` on; stops before an incomplete tail or a size that cannot be. */
export function* batchesOf(bytes: Uint8Array, from = 0): IterableIterator<RecordBatch> {
  let position = from
  while (position + header.BATCH_HEADER_BYTES <= bytes.length) {
    const size = header.batchSize(bytes, position)
    if (size < header.BATCH_HEADER_BYTES || position + size > bytes.length) return
    yield new RecordBatch(bytes, position)
    position += size
  }
}
