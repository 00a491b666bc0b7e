/**
 * How much an LZ4 block holds, by its tokens alone: nothing is decompressed. For frames that may hold more than they are
 * allowed to, so that one which does takes no memory.
 *
 *   token u8 { bits 7-4 literals, 3-0 match length - 4; 15 goes on in bytes until one below 255 } | literals | distance u16
 */
const GOES_ON = 15
const MATCH_MIN = 4
const DISTANCE_BYTES = 2

/** Bytes that the block in [start, end) holds; of a damaged one what its whole tokens say. */
export function lz4BlockSize(bytes: Uint8Array, start: number, end: number): number {
  let size = 0
  for (let at = start; at < end; ) {
    const token = bytes[at++]!
    let literals = token >> 4
    if (literals === GOES_ON) {
      const from = at
      while (at < end && bytes[at] === 255) at++
      literals += (at - from) * 255 + (bytes[at++] ?? 0)
    }
    size += literals
    at += literals + DISTANCE_BYTES
    if (at >= end) return size
    let match = token & GOES_ON
    if (match === GOES_ON) {
      const from = at
      while (at < end && bytes[at] === 255) at++
      match += (at - from) * 255 + (bytes[at++] ?? 0)
    }
    size += match + MATCH_MIN
  }
  return size
}
