/**
 * Values to send: seeded random bytes (no codec or file system can shrink them), every value distinct, in a pool of at
 * least 64 MiB so that no cache level holds it. The views are made before the clock starts, as an application that
 * already holds its values would have them.
 *
 * Checksums without cost on the sending side: a record's first byte is summed over all records, and a sample of about
 * one in 4,096, chosen by its first two bytes, is summed by CRC. Both sums are independent of order and partition, and
 * what they must be after n sends follows from prefix sums of the pool.
 */
export const POOL_BYTES = 64 * 1024 * 1024

/** What a stream of records adds up to. */
export interface Checksum {
  readonly records: number
  readonly bytes: number
  readonly firstBytes: number
  readonly sampled: number
}

/** True for the values whose CRC is summed. */
export function isSampled(bytes: Uint8Array, start: number, length: number): boolean {
  return length >= 2 ? bytes[start] === 0x5a && bytes[start + 1]! < 16 : bytes[start] === 0x5a
}

/** xorshift32 over words: about 1 GB/s, and every seed gives other bytes. */
export function randomBytes(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  let x = seed >>> 0 || 1
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  return new Uint8Array(words.buffer, 0, length)
}

export class Payloads {
  readonly values: readonly Uint8Array[]
  readonly #valueBytes: number
  readonly #firstBytes: Float64Array
  readonly #sampled: Float64Array

  constructor(options: { valueBytes: number; seed: number; poolBytes: number; crc: (bytes: Uint8Array) => number }) {
    const { valueBytes, seed, poolBytes, crc } = options
    const count = Math.max(1, Math.ceil(poolBytes / valueBytes))
    const bytes = randomBytes(count * valueBytes, seed)
    const values: Uint8Array[] = new Array(count)
    this.#valueBytes = valueBytes
    this.#firstBytes = new Float64Array(count + 1)
    this.#sampled = new Float64Array(count + 1)
    for (let i = 0; i < count; i++) {
      const start = i * valueBytes
      const value = bytes.subarray(start, start + valueBytes)
      values[i] = value
      this.#firstBytes[i + 1] = this.#firstBytes[i]! + value[0]!
      this.#sampled[i + 1] = this.#sampled[i]! + (isSampled(bytes, start, valueBytes) ? crc(value) : 0)
    }
    this.values = values
  }

  /** What the first `sent` values, taken in turn round the pool, add up to. */
  checksumOf(sent: number): Checksum {
    const count = this.values.length
    const rounds = Math.floor(sent / count)
    const rest = sent % count
    const sum = (prefix: Float64Array) => rounds * prefix[count]! + prefix[rest]!
    return {
      records: sent,
      bytes: sent * this.#valueBytes,
      firstBytes: sum(this.#firstBytes),
      sampled: sum(this.#sampled),
    }
  }
}

export function addChecksums(parts: readonly Checksum[]): Checksum {
  const sum = (pick: (part: Checksum) => number) => parts.reduce((total, part) => total + pick(part), 0)
  return {
    records: sum((part) => part.records),
    bytes: sum((part) => part.bytes),
    firstBytes: sum((part) => part.firstBytes),
    sampled: sum((part) => part.sampled),
  }
}

/** What is wrong with what was received; undefined when it is what was acknowledged. */
export function difference(acknowledged: Checksum, received: Checksum): string | undefined {
  for (const key of ['records', 'bytes', 'firstBytes', 'sampled'] as const) {
    if (acknowledged[key] !== received[key]) {
      return `${key}: acknowledged ${acknowledged[key]}, received ${received[key]}`
    }
  }
  return undefined
}
