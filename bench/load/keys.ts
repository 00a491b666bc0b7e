/** Which key a record gets: none, in turn, evenly by chance, by Zipf's law, or some hot ones among many. Seeded. */
import { UsageError } from '../options.ts'

export type KeySpec =
  | { readonly kind: 'none' }
  | { readonly kind: 'sequential' | 'uniform'; readonly keys: number }
  /** The n-th key comes in proportion to 1 / n ^ exponent. */
  | { readonly kind: 'zipf'; readonly keys: number; readonly exponent: number }
  /** The first `hot` keys get this share of the records, evenly. */
  | { readonly kind: 'hot'; readonly keys: number; readonly hot: number; readonly share: number }

const KEYS_MAX = 1_000_000

/** `none`, `sequential:N`, `uniform:N`, `zipf:N[:EXPONENT]`, `hot:N:HOT:SHARE`. Throws UsageError. */
export function parseKeys(text: string): KeySpec {
  const [kind, ...rest] = text.split(':')
  const [keys = Number.NaN, a, b] = rest.map(Number)
  const refused = new UsageError(
    `--keys ${text}: none, sequential:N, uniform:N, zipf:N[:EXPONENT] or hot:N:HOT:SHARE, N up to ${KEYS_MAX}`,
  )
  if (kind === 'none' && rest.length === 0) return { kind }
  if (!Number.isInteger(keys) || keys < 1 || keys > KEYS_MAX) throw refused
  if ((kind === 'sequential' || kind === 'uniform') && rest.length === 1) return { kind, keys }
  if (kind === 'zipf' && rest.length <= 2) {
    const exponent = a ?? 1
    if (exponent > 0 && exponent <= 10) return { kind, keys, exponent }
  }
  if (kind === 'hot' && a !== undefined && b !== undefined && rest.length === 3) {
    if (Number.isInteger(a) && a >= 1 && a < keys && b > 0 && b < 1) return { kind, keys, hot: a, share: b }
  }
  throw refused
}

export class Keys {
  readonly #spec: KeySpec
  readonly #keys: readonly Uint8Array[]
  /** Zipf: the share of the first n keys. */
  readonly #cumulative: Float64Array
  #x: number
  #next = 0

  constructor(spec: KeySpec, seed: number) {
    this.#spec = spec
    this.#x = Math.imul(seed, 0x85ebca6b) >>> 0 || 1
    const count = spec.kind === 'none' ? 0 : spec.keys
    this.#keys = Array.from({ length: count }, (_, index) => Buffer.from(`key-${String(index).padStart(7, '0')}`))
    this.#cumulative = new Float64Array(spec.kind === 'zipf' ? count : 0)
    if (spec.kind !== 'zipf') return
    let sum = 0
    for (let n = 1; n <= count; n++) this.#cumulative[n - 1] = sum += n ** -spec.exponent
    for (let n = 0; n < count; n++) this.#cumulative[n]! /= sum
  }

  next(): Uint8Array | null {
    const index = this.nextIndex()
    return index < 0 ? null : this.#keys[index]!
  }

  /** -1: no key. */
  nextIndex(): number {
    const spec = this.#spec
    switch (spec.kind) {
      case 'none':
        return -1
      case 'sequential':
        return this.#next++ % spec.keys
      case 'uniform':
        return Math.floor(this.#fraction() * spec.keys)
      case 'zipf':
        return this.#rank(this.#fraction())
      case 'hot':
        return this.#fraction() < spec.share
          ? Math.floor(this.#fraction() * spec.hot)
          : spec.hot + Math.floor(this.#fraction() * (spec.keys - spec.hot))
    }
  }

  /** The first key whose cumulative share is above `fraction`. */
  #rank(fraction: number): number {
    let low = 0
    let high = this.#cumulative.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#cumulative[middle]! > fraction) high = middle
      else low = middle + 1
    }
    return low
  }

  #fraction(): number {
    let x = this.#x
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#x = x >>> 0
    return this.#x / 0x1_0000_0000
  }
}
