/**
 * Encodes records straight into the final bytes of a batch: each value is copied once, nothing is allocated per record.
 * The buffer is the caller's; `finish` gives the view that goes on the wire as it is. Record layout after the header:
 *
 *   length varint | attributes int8 = 0 | timestamp delta varlong | offset delta varint |
 *   key length varint (-1 null), key | value length varint (-1 null), value |
 *   header count varint { key length varint, key utf-8, value length varint (-1 null), value }
 */
import { PagelogError } from '../base/index.ts'
import { crc32c } from '../native/index.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  Compression,
  NO_PRODUCER,
  type ProducerFields,
  setCrc,
  writeHeader,
} from './batch-header.ts'
import { sizeOfLength, sizeOfVarlong, writeLength, writeVarlong } from './varint.ts'

export interface RecordHeader {
  readonly key: string
  readonly value: Uint8Array | null
}

export interface FinishOptions extends ProducerFields {
  /** Only Compression.NONE until the codecs land. */
  readonly compression?: Compression
}

const ZIGZAG_MINUS_ONE = 1
const LENGTH_BYTES_MAX = 5
const TIMESTAMP_BYTES_MAX = 10
/** Up to this length a loop beats the call of TypedArray.prototype.set (measured on Node 20). */
const LOOP_COPY_BYTES_MAX = 8
const textEncoder = new TextEncoder()

export class BatchWriter {
  #buffer: Uint8Array
  #size = BATCH_HEADER_BYTES
  #count = 0
  #baseTimestamp = -1
  #maxTimestamp = -1

  /** `buffer` may be pooled; its whole length is the batch's room, at least 61 bytes. */
  constructor(buffer: Uint8Array) {
    this.#buffer = buffer
  }

  get count(): number {
    return this.#count
  }

  /** Bytes used so far, the batch header included. */
  get size(): number {
    return this.#size
  }

  /** Appends one record; false when it does not fit, then nothing was written. Key and value are copied. */
  append(
    timestampMs: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers?: readonly RecordHeader[],
  ): boolean {
    const count = this.#count
    const far = count === 0 ? 0 : timestampMs - this.#baseTimestamp
    const near = far | 0 // int32 arithmetic is what makes this fast; nearly every delta fits
    const isNear = near === far && near >= 0 && near < 0x2000_0000
    const hasHeaders = headers !== undefined && headers.length > 0
    const bodySize =
      1 +
      (isNear ? sizeOfLength(near) : sizeOfVarlong(far)) +
      sizeOfLength(count) +
      (key === null ? 1 : sizeOfLength(key.length) + key.length) +
      (value === null ? 1 : sizeOfLength(value.length) + value.length) +
      (hasHeaders ? sizeOfHeaders(headers) : 1)
    const buffer = this.#buffer
    let at = this.#size
    if (at + sizeOfLength(bodySize) + bodySize > buffer.length) return false

    at = writeLength(buffer, at, bodySize)
    buffer[at++] = 0
    at = isNear ? writeLength(buffer, at, near) : writeVarlong(buffer, at, far)
    at = writeLength(buffer, at, count)
    at = key === null ? writeNull(buffer, at) : writeBytes(buffer, at, key)
    at = value === null ? writeNull(buffer, at) : writeBytes(buffer, at, value)
    if (hasHeaders) at = writeHeaders(buffer, at, headers)
    else buffer[at++] = 0

    if (count === 0) {
      this.#baseTimestamp = timestampMs
      this.#maxTimestamp = timestampMs
    } else if (timestampMs > this.#maxTimestamp) this.#maxTimestamp = timestampMs
    this.#size = at
    this.#count = count + 1
    return true
  }

  /**
   * Upper bound of the bytes a record takes in a batch, its batch's header not included: for sizing the buffer of a
   * record larger than the usual batch (BATCH_HEADER_BYTES + this).
   */
  static recordSizeMax(
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] = [],
  ): number {
    const fixed = 5 * LENGTH_BYTES_MAX + 1 + TIMESTAMP_BYTES_MAX
    return fixed + (key?.length ?? 0) + (value?.length ?? 0) + sizeOfHeaders(headers)
  }

  /**
   * Writes the header and the CRC; returns the view of the finished batch: base offset 0, leader epoch -1. Requires at
   * least one record. Without `options` the batch has no producer. May be called again with other producer fields (a retry under a new producer id).
   */
  finish(options: FinishOptions = NO_PRODUCER): Uint8Array {
    if (this.#count === 0) throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'a batch needs at least one record')
    if ((options.compression ?? Compression.NONE) !== Compression.NONE) {
      throw new PagelogError('PAGELOG_UNSUPPORTED', `compression ${options.compression} is not supported`)
    }
    const buffer = this.#buffer
    const times = { baseTimestamp: this.#baseTimestamp, maxTimestamp: this.#maxTimestamp }
    writeHeader(buffer, this.#size, this.#count, times, options)
    setCrc(buffer, 0, crc32c(buffer, ATTRIBUTES_AT, this.#size))
    return buffer.subarray(0, this.#size)
  }

  /** Starts a new batch in `buffer`, or in the same one. */
  reset(buffer: Uint8Array = this.#buffer): void {
    this.#buffer = buffer
    this.#size = BATCH_HEADER_BYTES
    this.#count = 0
    this.#baseTimestamp = -1
    this.#maxTimestamp = -1
  }
}

function writeNull(buffer: Uint8Array, at: number): number {
  buffer[at] = ZIGZAG_MINUS_ONE
  return at + 1
}

function writeBytes(buffer: Uint8Array, position: number, bytes: Uint8Array): number {
  const length = bytes.length
  const at = writeLength(buffer, position, length)
  if (length <= LOOP_COPY_BYTES_MAX) for (let index = 0; index < length; index++) buffer[at + index] = bytes[index]!
  else buffer.set(bytes, at)
  return at + length
}

function sizeOfHeaders(headers: readonly RecordHeader[]): number {
  let size = sizeOfLength(headers.length)
  for (const header of headers) {
    const keyLength = utf8Length(header.key)
    const valueLength = header.value === null ? 0 : header.value.length
    size += sizeOfLength(keyLength) + keyLength + sizeOfLength(valueLength) + valueLength
  }
  return size
}

function writeHeaders(buffer: Uint8Array, start: number, headers: readonly RecordHeader[]): number {
  let at = writeLength(buffer, start, headers.length)
  for (const header of headers) {
    at = writeLength(buffer, at, utf8Length(header.key))
    at += textEncoder.encodeInto(header.key, buffer.subarray(at)).written
    at = header.value === null ? writeNull(buffer, at) : writeBytes(buffer, at, header.value)
  }
  return at
}

/** Bytes of `text` as TextEncoder writes it: a lone surrogate becomes U+FFFD, three bytes. */
function utf8Length(text: string): number {
  let size = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) size += 1
    else if (unit < 0x800) size += 2
    else if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(index + 1))) {
      size += 4
      index++
    } else size += 3
  }
  return size
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000
}
