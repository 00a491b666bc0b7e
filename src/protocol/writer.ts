/**
 * Where compiled encoders write: chunks of memory that many messages share, each message being a view that belongs to
 * whoever asked for it. A chunk is never written again where it was given out. Byte fields of some size are not copied
 * but cut in: the message becomes a list of parts.
 */
import { assert, PagelogError } from '../base/index.ts'
import type { Part, Spliced } from './part.ts'

const CHUNK_BYTES = 32 * 1024
/** Room that every message starts with, so that small ones never move. */
const ROOM_BYTES = 512
/** Memory up to this size is copied: cheaper than one more part to send, and all in one is one packet. */
const COPIED_BYTES_MAX = 1024
export const FRAME_BYTES_MAX = 0x7fffffff

class Writer {
  bytes: Uint8Array = new Uint8Array(CHUNK_BYTES)
  position = 0
  #start = 0
  #chunk = this.bytes
  /** Splices of the message in hand, and the positions where they go in. */
  readonly #splices: (Uint8Array | Spliced)[] = []
  readonly #cuts: number[] = []
  #splicedBytes = 0

  /** Begins a message with room for its length. What an encoder that threw has left behind is dropped. */
  begin(): void {
    this.bytes = this.#chunk
    if (CHUNK_BYTES - this.#start < ROOM_BYTES) {
      this.bytes = this.#chunk = new Uint8Array(CHUNK_BYTES)
      this.#start = 0
    }
    this.position = this.#start + 4
    this.#splices.length = 0
    this.#cuts.length = 0
    this.#splicedBytes = 0
  }

  /** Makes room for `need` bytes at `position`; positions stay as they are. The message leaves the shared chunk. */
  grow(position: number, need: number): Uint8Array {
    const grown = new Uint8Array(Math.max(2 * this.bytes.length, position + need))
    grown.set(this.bytes.subarray(this.#start, position), this.#start)
    this.bytes = grown
    return grown
  }

  splice(position: number, value: Uint8Array | Spliced): void {
    this.#splices.push(value)
    this.#cuts.push(position)
    this.#splicedBytes += value.byteLength
  }

  /** Ends the message: writes its length in front, and gives it away in parts. */
  finish(): Part[] {
    const { bytes, position } = this
    const start = this.#start
    const length = position - start - 4 + this.#splicedBytes
    if (length > FRAME_BYTES_MAX) throw new PagelogError('PAGELOG_TOO_LARGE', `a message of ${length} bytes`)
    putInt32(bytes, start, length)
    if (bytes === this.#chunk) this.#start = position
    const parts: Part[] = []
    let from = start
    for (let i = 0; i < this.#cuts.length; i++) {
      const cut = this.#cuts[i]!
      const splice = this.#splices[i]!
      if (cut > from) parts.push(new Uint8Array(bytes.buffer, from, cut - from))
      from = cut
      if ('parts' in splice) parts.push(...splice.parts)
      else parts.push(splice)
    }
    if (position > from) parts.push(new Uint8Array(bytes.buffer, from, position - from))
    this.#splices.length = 0
    this.bytes = this.#chunk
    return parts
  }
}

/** The only one: an encoder runs from begin to finish in one go. */
export const writer = new Writer()
export type { Writer }

/** Whether a byte field's value is written in place rather than cut in. */
export function isCopied(value: Uint8Array | Spliced): value is Uint8Array {
  return value.byteLength <= COPIED_BYTES_MAX && value instanceof Uint8Array
}

export function putInt32(bytes: Uint8Array, position: number, value: number): void {
  bytes[position] = value >> 24
  bytes[position + 1] = value >> 16
  bytes[position + 2] = value >> 8
  bytes[position + 3] = value
}

export function putInt64(bytes: Uint8Array, position: number, value: number): void {
  putInt32(bytes, position, Math.floor(value / 0x100000000))
  putInt32(bytes, position + 4, value | 0)
}

/** An unsigned varint; needs room for five bytes. Returns the position after it. */
export function putVarint(bytes: Uint8Array, position: number, value: number): number {
  while (value > 127) {
    bytes[position++] = value | 0x80
    value >>>= 7
  }
  bytes[position++] = value
  return position
}

/** Bytes to reserve for {@link putString} and {@link putCompactString}: every UTF-16 unit takes three at most. */
export function stringRoom(value: string): number {
  return 5 + 3 * value.length
}

const utf8 = new TextEncoder()
const STRING_BYTES_MAX = 0x7fff

/** Writes ASCII; -1 when there is anything else in `value`. A loop beats the native call up to some hundred characters. */
function putAscii(bytes: Uint8Array, position: number, value: string): number {
  const { length } = value
  if (length > 256) return -1
  for (let i = 0; i < length; i++) {
    const unit = value.charCodeAt(i)
    if (unit > 127) return -1
    bytes[position + i] = unit
  }
  return position + length
}

/** A string with an int16 length. Returns the position after it, or -1 when it is longer than Kafka's strings may be. */
export function putString(bytes: Uint8Array, position: number, value: string): number {
  let end = putAscii(bytes, position + 2, value)
  if (end < 0) end = position + 2 + utf8.encodeInto(value, bytes.subarray(position + 2)).written
  const length = end - position - 2
  if (length > STRING_BYTES_MAX) return -1
  bytes[position] = length >> 8
  bytes[position + 1] = length
  return end
}

/** A string whose length is a varint of one more; otherwise as {@link putString}. */
export function putCompactString(bytes: Uint8Array, position: number, value: string): number {
  const from = putVarint(bytes, position, value.length + 1)
  const end = putAscii(bytes, from, value)
  if (end >= 0) return end
  const { written } = utf8.encodeInto(value, bytes.subarray(position + 3))
  if (written > STRING_BYTES_MAX) return -1
  const begin = putVarint(bytes, position, written + 1)
  bytes.copyWithin(begin, position + 3, position + 3 + written)
  return begin + written
}

const DIGITS = new Int8Array(128).fill(-1)
for (let i = 0; i < 64; i++) {
  DIGITS['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.charCodeAt(i)] = i
}

/** The 16 bytes of a uuid; PAGELOG_INVALID_ARGUMENT when it is none. */
export function putUuid(bytes: Uint8Array, position: number, value: string): void {
  // Negative digits and undefined ones (no ASCII) leave `faults` below zero or not a number.
  let faults = value.length === 22 ? 0 : -1
  for (let i = 0, p = position; i < 20; i += 4, p += 3) {
    const a = DIGITS[value.charCodeAt(i)]!
    const b = DIGITS[value.charCodeAt(i + 1)]!
    const c = DIGITS[value.charCodeAt(i + 2)]!
    const d = DIGITS[value.charCodeAt(i + 3)]!
    faults = Math.min(faults, a, b, c, d)
    bytes[p] = (a << 2) | (b >> 4)
    bytes[p + 1] = (b << 4) | (c >> 2)
    bytes[p + 2] = (c << 6) | d
  }
  const a = DIGITS[value.charCodeAt(20)]!
  const b = DIGITS[value.charCodeAt(21)]!
  faults = Math.min(faults, a, b)
  if (!(faults >= 0)) throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `not a uuid: '${value.slice(0, 64)}'`)
  bytes[position + 15] = (a << 2) | (b >> 4)
}

/** Ends a tagged field whose one byte of length is at `position`: writes the length, making place when it needs more bytes. */
export function closeTag(bytes: Uint8Array, position: number, end: number): number {
  const length = end - position - 1
  if (length < 128) {
    bytes[position] = length
    return end
  }
  const begin = putVarint(SCRATCH, 0, length)
  assert(bytes.length - end >= begin, 'room for the length of a tagged field')
  bytes.copyWithin(position + begin, position + 1, end)
  putVarint(bytes, position, length)
  return position + begin + length
}
const SCRATCH = new Uint8Array(5)
