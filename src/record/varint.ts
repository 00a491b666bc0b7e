/**
 * Zig-zag variable-length integers of a record, 7 bits a byte, lowest first. The hot paths inline the one-byte and
 * two-byte forms and come here for the rest.
 */
const TWO_32 = 0x1_0000_0000
const TWO_31 = 0x8000_0000

/** Position after the last varint that `readVarint` or `readVarlong` read. */
export let varintEnd = 0

/**
 * A zig-zag int32 at `position`. More than five bytes, or bytes that are not there, give a value that no caller's
 * bounds check lets pass: callers compare `varintEnd` with their own end.
 */
export function readVarint(bytes: Uint8Array, position: number): number {
  let raw = 0
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes[position++]
    if (byte === undefined) break
    raw |= (byte & 0x7f) << shift
    if (byte < 0x80) {
      varintEnd = position
      return (raw >>> 1) ^ -(raw & 1)
    }
  }
  varintEnd = Number.MAX_SAFE_INTEGER
  return 0
}

/** A zig-zag int64 at `position`, as a number saturating at ±Number.MAX_SAFE_INTEGER; edges as {@link readVarint}. */
export function readVarlong(bytes: Uint8Array, position: number): number {
  let low = 0 // bits 0 to 27
  let middle = 0 // bits 28 to 55
  let high = 0 // bits 56 to 63
  for (let index = 0; index < 10; index++) {
    const byte = bytes[position++]
    if (byte === undefined) break
    const bits = byte & 0x7f
    if (index < 4) low |= bits << (7 * index)
    else if (index < 8) middle |= bits << (7 * (index - 4))
    else high |= bits << (7 * (index - 8))
    if (byte < 0x80) {
      varintEnd = position
      return unzigzag(low, middle, high & 0xff)
    }
  }
  varintEnd = Number.MAX_SAFE_INTEGER
  return 0
}

function unzigzag(low: number, middle: number, high: number): number {
  const half = (low >>> 1) + middle * 2 ** 27 + high * 2 ** 55
  if (half > Number.MAX_SAFE_INTEGER) return (low & 1) === 1 ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER
  return (low & 1) === 1 ? -half - 1 : half
}

/** Bytes of `value` (an int32, not negative before zig-zag) as varint: lengths, counts and offset deltas. */
export function sizeOfLength(value: number): number {
  return value < 64 ? 1 : value < 8192 ? 2 : value < 1048576 ? 3 : value < 134217728 ? 4 : 5
}

/** Bytes of a safe integer as varlong. */
export function sizeOfVarlong(value: number): number {
  let half = value < 0 ? -value - 1 : value
  let size = 1
  for (half = Math.floor(half / 64); half > 0; half = Math.floor(half / 128)) size++
  return size
}

/** Writes an int32 that is not negative; returns the position after it. */
export function writeLength(bytes: Uint8Array, position: number, value: number): number {
  if (value < 64) {
    bytes[position] = value << 1
    return position + 1
  }
  if (value < 8192) {
    bytes[position] = (value << 1) | 0x80
    bytes[position + 1] = value >> 6
    return position + 2
  }
  return writeLongLength(bytes, position, value)
}

function writeLongLength(bytes: Uint8Array, position: number, value: number): number {
  let at = position
  bytes[at++] = (value << 1) | 0x80
  let rest = value >>> 6
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

/** Writes a safe integer; returns the position after it. */
export function writeVarlong(bytes: Uint8Array, position: number, value: number): number {
  const half = value < 0 ? -value - 1 : value
  let high = Math.floor(half / TWO_31)
  let low = half % TWO_31 // bits 1 to 31 of the zig-zag value; `high` holds those from 32 on
  low = low * 2 + (value < 0 ? 1 : 0)
  while (high > 0 || low >= 0x80) {
    bytes[position++] = (low & 0x7f) | 0x80
    low = Math.floor(low / 128) + (high % 128) * (TWO_32 / 128)
    high = Math.floor(high / 128)
  }
  bytes[position++] = low
  return position
}
