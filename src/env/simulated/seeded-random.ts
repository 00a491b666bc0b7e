/**
 * Chance from a seed: the same seed gives the same numbers, on every machine. Small and quick (a 128-bit state of three
 * words and a counter, in the manner of sfc32); not for secrets.
 */
import { assert } from '../../base/index.ts'
import type { Random } from '../clock.ts'

/** Numbers drawn before the first one is used, so that near seeds part. */
const WARM_UP = 16

export class SeededRandom implements Random {
  #a = 0x9e3779b9
  #b: number
  #c: number
  #counter = 1

  /** `seed`: any whole number. */
  constructor(seed: number) {
    assert(Number.isSafeInteger(seed), 'a seed is a whole number')
    this.#b = seed | 0
    this.#c = Math.floor(seed / 2 ** 32) | 0
    for (let draw = 0; draw < WARM_UP; draw++) this.#word()
  }

  fraction(): number {
    return this.#word() / 2 ** 32
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.#word() & 0xff)
  }

  /** A whole number, 0 ≤ x < `end`. */
  below(end: number): number {
    return Math.floor(this.fraction() * end)
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  /** Another source, which depends on this one's seed and state only. */
  fork(): SeededRandom {
    return new SeededRandom(this.#word() * 2 ** 20 + (this.#word() >>> 12))
  }

  /** 0 ≤ x < 2^32. */
  #word(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }
}
