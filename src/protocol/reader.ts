/**
 * What compiled decoders call: the few things that are not worth writing out at every place. All positions were checked
 * against the end of the message by the caller, except in {@link longVarint}.
 */
import { PagelogError } from '../base/index.ts'

/**
 * Array elements and tagged fields that the message in hand may still have. Counts are also checked against the bytes
 * that are left, but an element of two bytes can cost forty in memory: without this bound, a request of 100 MB could
 * take gigabytes, and seconds of the event loop.
 */
export const budget = { elements: 0 }

/** Where {@link longVarint} stopped. */
export const after = { position: 0 }

/** An unsigned varint of more than one byte; `first` was read just before `position`. Sets {@link after}. -1: malformed. */
export function longVarint(bytes: Uint8Array, position: number, end: number, first: number): number {
  let value = first & 0x7f
  for (let shift = 7; shift < 35; shift += 7) {
    if (position >= end) return -1
    const byte = bytes[position++]!
    value |= (byte & 0x7f) << shift
    if (byte < 0x80) {
      after.position = position
      // The fifth byte has room for four bits only; a value with the sign bit is a length that cannot be.
      return shift === 28 && byte > 7 ? -1 : value
    }
  }
  return -1
}

/** int64 as a number, saturating: without BigInt, which would allocate. */
export function int64(bytes: Uint8Array, position: number): number {
  const high =
    (bytes[position]! << 24) | (bytes[position + 1]! << 16) | (bytes[position + 2]! << 8) | bytes[position + 3]!
  const low =
    ((bytes[position + 4]! << 24) |
      (bytes[position + 5]! << 16) |
      (bytes[position + 6]! << 8) |
      bytes[position + 7]!) >>>
    0
  if (high > 0x1fffff) return Number.MAX_SAFE_INTEGER
  if (high < -0x200000 || (high === -0x200000 && low === 0)) return Number.MIN_SAFE_INTEGER
  return high * 0x100000000 + low
}

/** A view: nothing is copied. Always a plain Uint8Array, whatever the frame is, so that those who read it see one kind. */
export function view(bytes: Uint8Array, position: number, length: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + position, length)
}

const SLOTS = 1024
const INTERNED_BYTES_MAX = 64

/**
 * Texts seen lately, found by their bytes: topic names, ids and client ids come with every request, and comparing some
 * twenty bytes is five times as fast as making a new string (which would also be hashed anew by every Map it is looked
 * up in). Direct-mapped and bounded: a stranger's bytes at most cost the next one a miss.
 */
class Interned {
  readonly #make: (bytes: Uint8Array) => string
  readonly #bytes: (Uint8Array | undefined)[] = new Array(SLOTS).fill(undefined)
  readonly #texts: string[] = new Array(SLOTS).fill('')

  constructor(make: (bytes: Uint8Array) => string) {
    this.#make = make
  }

  get(bytes: Uint8Array, position: number, length: number): string {
    let hash = length
    const end = position + length
    for (let i = position; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0
    const slot = (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (SLOTS - 1)
    const known = this.#bytes[slot]
    if (known !== undefined && equal(known, bytes, position, length)) return this.#texts[slot]!
    const copy = bytes.slice(position, end)
    const text = this.#make(copy)
    this.#bytes[slot] = copy
    this.#texts[slot] = text
    return text
  }
}

function equal(known: Uint8Array, bytes: Uint8Array, position: number, length: number): boolean {
  if (known.length !== length) return false
  for (let i = 0; i < length; i++) if (known[i] !== bytes[position + i]) return false
  return true
}

// A byte order mark is a character like any other here, and what is not UTF-8 becomes U+FFFD, as in Java.
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
const strings = new Interned((bytes) => utf8.decode(bytes))
const uuids = new Interned(formatUuid)

export function text(bytes: Uint8Array, position: number, length: number): string {
  if (length === 0) return ''
  if (length <= INTERNED_BYTES_MAX) return strings.get(bytes, position, length)
  return utf8.decode(view(bytes, position, length))
}

export function uuid(bytes: Uint8Array, position: number): string {
  return uuids.get(bytes, position, 16)
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** Base64url of 16 bytes, without padding. */
function formatUuid(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < 15; i += 3) {
    const three = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!
    text +=
      ALPHABET[three >> 18]! + ALPHABET[(three >> 12) & 63]! + ALPHABET[(three >> 6) & 63]! + ALPHABET[three & 63]!
  }
  return text + ALPHABET[bytes[15]! >> 2]! + ALPHABET[(bytes[15]! & 3) << 4]!
}

/** PAGELOG_PROTOCOL: `what` cannot be decoded, found out at `position` of the frame. */
export function malformed(what: string, reason: string, position: number): never {
  throw new PagelogError('PAGELOG_PROTOCOL', `${what}: ${reason} at byte ${position}`, { position })
}
