/**
 * Messages of formats 0 and 1, before record batches: each has its own offset, CRC and attributes (big endian).
 *
 *   offset i64 | size i32 | CRC-32 u32 of what follows | magic i8 | attributes i8 | [timestamp i64, format 1] |
 *   key length i32 (-1 null), key | value length i32 (-1 null), value
 *
 * Attributes: bits 0-2 codec (0 none, 1 gzip, 2 snappy, 3 lz4), bit 3 timestamp type (format 1: 1 = log append time).
 * With a codec the value is a set of messages, compressed, and the message around it a wrapper.
 */
import { PagelogError } from '../../base/index.ts'
import { readInt32, readInt64 } from '../int64.ts'

/** Offset and size, which the size does not count. */
export const ENTRY_OVERHEAD_BYTES = 12
/** Up to where every format has the same fields: the magic is the last of them. */
export const MAGIC_END = 17
export const MAGIC_V1 = 1

const CRC_AT = 12
const MAGIC_AT = 16
const ATTRIBUTES_AT = 17
const TIMESTAMP_AT = 18
const CODEC_BITS = 0x07
const TIMESTAMP_TYPE_BIT = 0x08

/** A view that moves from message to message; positions refer to `bytes`. */
export class LegacyMessage {
  bytes: Uint8Array
  offset = -1
  magic = 0
  codec = 0
  isLogAppendTime = false
  /** -1: format 0 has none. */
  timestamp = -1
  keyStart = 0
  /** -1: null. */
  keyLength = -1
  valueStart = 0
  /** -1: null. */
  valueLength = -1
  /** Position after the message. */
  end = 0
  #crc32: ((bytes: Uint8Array) => number) | undefined

  /** Without `crc32` checksums are not checked. */
  constructor(bytes: Uint8Array, crc32?: (bytes: Uint8Array) => number) {
    this.bytes = bytes
    this.#crc32 = crc32
  }

  /** Stands on the message at `position`. Throws PAGELOG_CORRUPT unless it is whole and legal. */
  read(position: number): void {
    const { bytes } = this
    if (position + MAGIC_END > bytes.length) throw corrupt('message is cut off', position)
    const size = readInt32(bytes, position + 8)
    const end = position + ENTRY_OVERHEAD_BYTES + size
    const magic = bytes[position + MAGIC_AT]!
    if (magic > MAGIC_V1) throw corrupt('not a message of format 0 or 1', position)
    const keyLengthAt = position + TIMESTAMP_AT + (magic === MAGIC_V1 ? 8 : 0)
    if (size < 0 || end > bytes.length || keyLengthAt + 8 > end) throw corrupt('message is cut off', position)
    this.#checkCrc(position, end)

    const attributes = bytes[position + ATTRIBUTES_AT]!
    this.offset = readInt64(bytes, position)
    this.magic = magic
    this.codec = attributes & CODEC_BITS
    this.isLogAppendTime = magic === MAGIC_V1 && (attributes & TIMESTAMP_TYPE_BIT) !== 0
    this.timestamp = magic === MAGIC_V1 ? readInt64(bytes, position + TIMESTAMP_AT) : -1
    this.keyLength = readInt32(bytes, keyLengthAt)
    this.keyStart = keyLengthAt + 4
    const valueLengthAt = this.keyStart + Math.max(this.keyLength, 0)
    if (this.keyLength < -1 || valueLengthAt + 4 > end) throw corrupt('key runs past its message', position)
    this.valueLength = readInt32(bytes, valueLengthAt)
    this.valueStart = valueLengthAt + 4
    if (this.valueLength < -1 || this.valueStart + Math.max(this.valueLength, 0) !== end) {
      throw corrupt('value does not end with its message', position)
    }
    this.end = end
  }

  key(): Uint8Array | null {
    return this.keyLength < 0 ? null : this.bytes.subarray(this.keyStart, this.keyStart + this.keyLength)
  }
  value(): Uint8Array | null {
    return this.valueLength < 0 ? null : this.bytes.subarray(this.valueStart, this.valueStart + this.valueLength)
  }

  #checkCrc(position: number, end: number): void {
    if (this.#crc32 === undefined) return
    const stored = readInt32(this.bytes, position + CRC_AT) >>> 0
    if (this.#crc32(this.bytes.subarray(position + MAGIC_AT, end)) !== stored) throw corrupt('wrong CRC', position)
  }
}

/** Whether a message of format 0 or 1 begins at `position`; false too when its magic is not yet there. */
export function isLegacy(bytes: Uint8Array, position: number): boolean {
  return position + MAGIC_END <= bytes.length && bytes[position + MAGIC_AT]! <= MAGIC_V1
}

export function corrupt(reason: string, position?: number): PagelogError {
  return new PagelogError(
    'PAGELOG_CORRUPT',
    `damaged message set: ${reason}`,
    position === undefined ? {} : { position },
  )
}
