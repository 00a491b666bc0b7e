/**
 * The 128 bits that stand for a key in the offset map (96 are kept, 32 say where the search for them begins): HalfSipHash-1-3 under two secret keys, 64 bits of each. Two keys
 * with the same bits would cost one of them its record, so nobody may be able to make such a pair: the secrets are
 * drawn anew for every map. Two calls of xxhash-wasm took 240 - 400 ns for 16-byte keys: it copies the key and makes two
 * bigints (and has no secret of its own).
 */

/** Four secret int32s for the two halves. */
export type HashSecret = readonly [number, number, number, number]

/** The last hash, four int32s: kept here instead of in an object, which a call per record would have to make. */
export const hashed = new Int32Array(4)

export function secretOf(random: { bytes(count: number): Uint8Array }): HashSecret {
  const words = new Int32Array(random.bytes(16).slice().buffer)
  return [words[0]!, words[1]!, words[2]!, words[3]!]
}

/**
 * Hashes `length` bytes at `position` into {@link hashed}. The two halves go side by side: each is one chain of steps that
 * wait for each other, and a processor has room for both (13-byte keys: 70 - 80 ns, one after the other 130 - 160). Each
 * turn of the loop is a round: one for every word of the key, one for the last word, three and three more to finish.
 */
export function hashKey(b: Uint8Array, position: number, length: number, secret: HashSecret): void {
  let a = secret[0]
  let c = secret[1] ^ 0xee
  let d = 0x6c796765 ^ secret[0]
  let e = 0x74656462 ^ secret[1]
  let s = secret[2]
  let t = secret[3] ^ 0xee
  let u = 0x6c796765 ^ secret[2]
  let v = 0x74656462 ^ secret[3]
  let at = position
  for (let round = -(length >> 2); round <= 6; round++) {
    let word = 0
    if (round < 0) {
      word = b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)
      at += 4
    } else if (round === 0) word = lastWord(b, at, length)
    e ^= word
    v ^= word
    a = (a + c) | 0
    s = (s + t) | 0
    c = ((c << 5) | (c >>> 27)) ^ a
    t = ((t << 5) | (t >>> 27)) ^ s
    a = (a << 16) | (a >>> 16)
    s = (s << 16) | (s >>> 16)
    d = (d + e) | 0
    u = (u + v) | 0
    e = ((e << 8) | (e >>> 24)) ^ d
    v = ((v << 8) | (v >>> 24)) ^ u
    a = (a + e) | 0
    s = (s + v) | 0
    e = ((e << 7) | (e >>> 25)) ^ a
    v = ((v << 7) | (v >>> 25)) ^ s
    d = (d + c) | 0
    u = (u + t) | 0
    c = ((c << 13) | (c >>> 19)) ^ d
    t = ((t << 13) | (t >>> 19)) ^ u
    d = (d << 16) | (d >>> 16)
    u = (u << 16) | (u >>> 16)
    a ^= word
    s ^= word
    if (round === 0) {
      d ^= 0xee
      u ^= 0xee
    } else if (round === 3) {
      hashed[0] = c ^ e
      hashed[2] = t ^ v
      c ^= 0xdd
      t ^= 0xdd
    }
  }
  hashed[1] = c ^ e
  hashed[3] = t ^ v
}

/** The length, and the bytes that fill no word. */
function lastWord(b: Uint8Array, at: number, length: number): number {
  let last = length << 24
  const rest = length & 3
  if (rest > 2) last |= b[at + 2]! << 16
  if (rest > 1) last |= b[at + 1]! << 8
  if (rest > 0) last |= b[at]!
  return last
}
