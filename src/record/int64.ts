/**
 * Big-endian integers in batch headers. An int64 is a JavaScript number that saturates at ±Number.MAX_SAFE_INTEGER on
 * reading; no BigInt and no DataView, which would allocate on the hot path. Positions are not checked here: callers
 * have checked the size of the batch.
 */
const TWO_32 = 0x1_0000_0000

export function readInt16(bytes: Uint8Array, position: number): number {
  return ((bytes[position]! << 24) >> 16) | bytes[position + 1]!
}

export function readInt32(bytes: Uint8Array, position: number): number {
  return (bytes[position]! << 24) | (bytes[position + 1]! << 16) | (bytes[position + 2]! << 8) | bytes[position + 3]!
}

export function readInt64(bytes: Uint8Array, position: number): number {
  const high = readInt32(bytes, position)
  if (high >= 0x20_0000) return Number.MAX_SAFE_INTEGER
  if (high < -0x20_0000) return Number.MIN_SAFE_INTEGER
  const value = high * TWO_32 + (readInt32(bytes, position + 4) >>> 0)
  return Math.max(value, Number.MIN_SAFE_INTEGER)
}

export function writeInt16(bytes: Uint8Array, position: number, value: number): void {
  bytes[position] = value >> 8
  bytes[position + 1] = value
}

export function writeInt32(bytes: Uint8Array, position: number, value: number): void {
  bytes[position] = value >> 24
  bytes[position + 1] = value >> 16
  bytes[position + 2] = value >> 8
  bytes[position + 3] = value
}

/** `value` is a safe integer. */
export function writeInt64(bytes: Uint8Array, position: number, value: number): void {
  const high = Math.floor(value / TWO_32)
  writeInt32(bytes, position, high)
  writeInt32(bytes, position + 4, value - high * TWO_32)
}
