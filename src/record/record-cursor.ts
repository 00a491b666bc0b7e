/**
 * Walks the records of an uncompressed batch in place: after `next()` the fields hold positions and lengths, no object
 * is made. It never hands out bytes outside its batch; a damaged record throws PAGELOG_CORRUPT.
 */
import { PagelogError } from '../base/index.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  baseTimestamp,
  batchSize,
  Compression,
  compression,
  lastOffset,
  MAGIC_V2,
  magic,
  maxTimestamp,
  recordCount,
  timestampType,
} from './batch-header.ts'
import type { RecordHeader } from './batch-writer.ts'
import { readVarint, readVarlong, varintEnd } from './varint.ts'

/** Smallest record: length, attributes, timestamp, offset, null key, null value, no headers. */
const RECORD_BYTES_MIN = 7
const textDecoder = new TextDecoder()
const NO_BYTES = new Uint8Array(0)

export class RecordCursor {
  /** The bytes that all positions refer to. */
  bytes: Uint8Array = NO_BYTES
  offset = -1
  timestamp = -1
  keyStart = 0
  /** -1: null. */
  keyLength = -1
  valueStart = 0
  /** -1: null. */
  valueLength = -1
  headerCount = 0

  #at = 0
  #end = 0
  #headersStart = 0
  #recordEnd = 0
  #left = 0
  #baseOffset = 0
  #baseTimestamp = 0
  /** With log append time every record has the batch's max timestamp; else -1. */
  #appendTime = -1

  /**
   * Stands before the first record of the batch at `position`. Throws PAGELOG_CORRUPT when the batch is not wholly
   * there or cannot hold its records, PAGELOG_UNSUPPORTED for a compressed one. With `startOffset` it stands before the
   * first record that has at least that offset; with `endOffset` there are no records from that offset on.
   */
  reset(bytes: Uint8Array, position: number, startOffset = 0, endOffset = Number.POSITIVE_INFINITY): void {
    if (position + BATCH_HEADER_BYTES > bytes.length) throw corrupt('batch header is cut off', position)
    const size = batchSize(bytes, position)
    if (size < BATCH_HEADER_BYTES || position + size > bytes.length) throw corrupt('batch is cut off', position)
    if (magic(bytes, position) !== MAGIC_V2) throw corrupt('not a batch of version 2', position)
    if (compression(bytes, position) !== Compression.NONE) {
      throw new PagelogError('PAGELOG_UNSUPPORTED', 'records are compressed: decompress the batch first', { position })
    }
    const count = recordCount(bytes, position)
    if (count < 0 || count * RECORD_BYTES_MIN > size - BATCH_HEADER_BYTES)
      throw corrupt('impossible record count', position)
    this.bytes = bytes
    this.#at = position + BATCH_HEADER_BYTES
    this.#end = position + size
    this.#left = count
    this.#baseOffset = baseOffset(bytes, position)
    this.#baseTimestamp = baseTimestamp(bytes, position)
    this.#appendTime = timestampType(bytes, position) === 1 ? maxTimestamp(bytes, position) : -1
    if (this.#baseOffset < startOffset) this.#skip(startOffset)
    if (lastOffset(bytes, position) >= endOffset) this.#cut(endOffset)
  }

  /** Moves to the next record; false after the last. */
  next(): boolean {
    if (this.#left === 0) {
      if (this.#at !== this.#end) throw corrupt('bytes after the last record', this.#at)
      return false
    }
    const bytes = this.bytes
    let at = this.#at
    // A one-byte or two-byte varint is read in place; `b` is undefined past the end of the bytes and then no test holds.
    let b = bytes[at]!
    let next = bytes[at + 1]!
    let length: number
    if (b < 0x80) {
      length = (b >>> 1) ^ -(b & 1)
      at += 1
    } else if (next < 0x80) {
      length = ((b & 0x7f) | (next << 7)) >>> 1
      if ((b & 1) !== 0) length = -1
      at += 2
    } else {
      length = readVarint(bytes, at)
      at = varintEnd
    }
    const recordEnd = at + length
    if (length < RECORD_BYTES_MIN - 1 || recordEnd > this.#end) throw corrupt('record is cut off', this.#at)

    at += 1 // attributes, unused
    let delta: number
    b = bytes[at]!
    if (b < 0x80) {
      delta = (b >>> 1) ^ -(b & 1)
      at += 1
    } else {
      delta = readVarlong(bytes, at)
      at = varintEnd
    }
    let offsetDelta: number
    b = bytes[at]!
    next = bytes[at + 1]!
    if (b < 0x80) {
      offsetDelta = (b >>> 1) ^ -(b & 1)
      at += 1
    } else if (next < 0x80) {
      const raw = (b & 0x7f) | (next << 7)
      offsetDelta = (raw >>> 1) ^ -(raw & 1)
      at += 2
    } else {
      offsetDelta = readVarint(bytes, at)
      at = varintEnd
    }
    this.#readFields(bytes, at, recordEnd)
    this.#at = recordEnd
    this.#left--
    this.offset = this.#baseOffset + offsetDelta
    this.timestamp = this.#appendTime === -1 ? this.#baseTimestamp + delta : this.#appendTime
    return true
  }

  /** Goes on to stand before the first record with at least `startOffset`. */
  #skip(startOffset: number): void {
    for (let at = this.#at, left = this.#left; this.next(); at = this.#at, left = this.#left) {
      if (this.offset < startOffset) continue
      this.#at = at
      this.#left = left
      return
    }
  }

  /** Ends the walk before the first record with at least `endOffset`. */
  #cut(endOffset: number): void {
    const start = this.#at
    const before = this.#left
    let end = start
    let count = 0
    for (; this.next() && this.offset < endOffset; end = this.#at) count++
    this.#at = start
    this.#left = Math.min(before, count)
    this.#end = end
  }

  /** View of the key, as long-lived as the batch's bytes. */
  key(): Uint8Array | null {
    return this.keyLength < 0 ? null : this.bytes.subarray(this.keyStart, this.keyStart + this.keyLength)
  }

  /** View of the value, as long-lived as the batch's bytes. */
  value(): Uint8Array | null {
    return this.valueLength < 0 ? null : this.bytes.subarray(this.valueStart, this.valueStart + this.valueLength)
  }

  headers(): RecordHeader[] {
    return this.headerCount === 0 ? [] : readHeaders(this.bytes, this.#headersStart, this.#recordEnd)
  }

  /** Where this record's headers lie: [start, end) for {@link readHeaders}. */
  get headersStart(): number {
    return this.#headersStart
  }
  get recordEnd(): number {
    return this.#recordEnd
  }

  /** Key, value and header count, from `position` to the end of the record. */
  #readFields(bytes: Uint8Array, position: number, recordEnd: number): void {
    let at = position
    let keyLength: number
    let b = bytes[at]!
    if (b < 0x80) {
      keyLength = (b >>> 1) ^ -(b & 1)
      at += 1
    } else {
      keyLength = readVarint(bytes, at)
      at = varintEnd
    }
    this.keyStart = at
    this.keyLength = keyLength
    if (keyLength > 0) at += keyLength

    let valueLength: number
    b = bytes[at]!
    const next = bytes[at + 1]!
    if (b < 0x80) {
      valueLength = (b >>> 1) ^ -(b & 1)
      at += 1
    } else if (next < 0x80) {
      const raw = (b & 0x7f) | (next << 7)
      valueLength = (raw >>> 1) ^ -(raw & 1)
      at += 2
    } else {
      valueLength = readVarint(bytes, at)
      at = varintEnd
    }
    this.valueStart = at
    this.valueLength = valueLength
    if (valueLength > 0) at += valueLength

    if (at >= recordEnd || keyLength < -1 || valueLength < -1)
      throw corrupt('key or value runs past its record', this.#at)
    b = bytes[at]!
    if (b === 0) {
      this.headerCount = 0
      if (at + 1 !== recordEnd) throw corrupt('record is longer than its fields', this.#at)
    } else this.headerCount = this.#countHeaders(at, recordEnd)
    this.#headersStart = at
    this.#recordEnd = recordEnd
  }

  #countHeaders(at: number, recordEnd: number): number {
    const count = readVarint(this.bytes, at)
    // A header takes two bytes at least.
    if (varintEnd > recordEnd || count < 0 || count > (recordEnd - varintEnd) >> 1) {
      throw corrupt('impossible header count', this.#at)
    }
    return count
  }
}

/** The headers in [start, end). Throws PAGELOG_CORRUPT when they do not fill it exactly. */
export function readHeaders(bytes: Uint8Array, start: number, end: number): RecordHeader[] {
  const count = readVarint(bytes, start)
  let at = varintEnd
  const headers: RecordHeader[] = []
  for (let index = 0; index < count; index++) {
    const keyLength = readVarint(bytes, at)
    const keyStart = varintEnd
    if (keyLength < 0 || keyStart + keyLength > end) throw corrupt('header key runs past its record', start)
    const valueLength = readVarint(bytes, keyStart + keyLength)
    const valueStart = varintEnd
    at = valueStart + Math.max(valueLength, 0)
    if (valueLength < -1 || at > end) throw corrupt('header value runs past its record', start)
    const key = textDecoder.decode(bytes.subarray(keyStart, keyStart + keyLength))
    headers.push({ key, value: valueLength < 0 ? null : bytes.subarray(valueStart, at) })
  }
  if (at !== end) throw corrupt('record is longer than its headers', start)
  return headers
}

function corrupt(reason: string, position: number): PagelogError {
  return new PagelogError('PAGELOG_CORRUPT', `damaged record batch: ${reason}`, { position })
}
