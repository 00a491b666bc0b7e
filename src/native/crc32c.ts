/**
 * CRC-32C in plain JavaScript: eight tables, eight bytes a step. The twin of native/crc32c.cc, used where there is no
 * addon.
 */
import { checkRange } from './check-range.ts'

const POLYNOMIAL = 0x82f63b78 // 0x1edc6f41 reflected

// Table k, entry b: the state after byte b and then k zero bytes.
const tables = makeTables()
const [table0, table1, table2, table3, table4, table5, table6, table7] = tables as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
]

/**
 * CRC-32C of `bytes` from `start` to `end`, unsigned; `seed` is the result so far, to go on from. Throws TypeError or
 * RangeError for arguments that are none.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  checkRange(bytes, start, end)
  if (!(seed >= 0 && seed <= 0xffffffff && Number.isInteger(seed))) throw new RangeError('seed is out of range')
  let state = ~seed
  let at = start
  for (const last = end - 8; at <= last; at += 8) {
    state ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    state =
      table7[state & 0xff]! ^
      table6[(state >>> 8) & 0xff]! ^
      table5[(state >>> 16) & 0xff]! ^
      table4[state >>> 24]! ^
      table3[bytes[at + 4]!]! ^
      table2[bytes[at + 5]!]! ^
      table1[bytes[at + 6]!]! ^
      table0[bytes[at + 7]!]!
  }
  for (; at < end; at++) state = (state >>> 8) ^ table0[(state ^ bytes[at]!) & 0xff]!
  return ~state >>> 0
}

function makeTables(): Int32Array[] {
  const made = Array.from({ length: 8 }, () => new Int32Array(256))
  const first = made[0]!
  for (let byte = 0; byte < 256; byte++) {
    let state = byte
    for (let bit = 0; bit < 8; bit++) state = (state >>> 1) ^ (state & 1 ? POLYNOMIAL : 0)
    first[byte] = state
  }
  for (let zeros = 1; zeros < 8; zeros++) {
    for (let byte = 0; byte < 256; byte++) {
      const before = made[zeros - 1]![byte]!
      made[zeros]![byte] = (before >>> 8) ^ first[before & 0xff]!
    }
  }
  return made
}
