/**
 * The newest offset of each key in the dirty part of a log, in shared memory, so that the jobs of a compaction can run
 * in any thread. Bounded: when it is full, the compaction works on what it has seen and goes on from there next time.
 *
 *   slots: open addressing, four int32s each: 96 bits of the key's hash | offset less `baseOffset`, plus 1; 0 is free
 *   superseded: one bit an offset of the dirty part: a newer record with its key was seen, or it has no key
 *
 * The bits spare the second pass the look-up (and its cache miss) for every dirty record; only the clean part asks the
 * slots. The other 32 bits of the hash say where the search for a slot begins. A slot is never in two cache lines, and
 * nearly every look-up is a miss of the caches: keys are put by the dozen, so that the processor waits for their slots
 * together. One writer at a time; others read after its job has ended.
 */
import { type HashSecret, hashed, hashKey } from './key-hash.ts'

const SLOT_WORDS = 4
const SLOT_BYTES = SLOT_WORDS * 4
const TWO_32 = 0x1_0000_0000
/** Of the memory of the slots: what the bits may take beside it. */
const BITS_SHARE = 1 / 8
const CAPACITY_MIN = 64
/** More misses at a time than processors have under way do not help. */
export const STAGED_MAX = 32

/** What a job is given of a map. */
export interface OffsetMapMemory {
  readonly slots: SharedArrayBuffer
  readonly superseded: SharedArrayBuffer
  readonly baseOffset: number
  readonly countMax: number
  readonly secret: HashSecret
}

export interface OffsetMapOptions {
  /** First dirty offset. */
  readonly baseOffset: number
  /** Exclusive; nothing at or behind it can become dirty in this compaction. */
  readonly endOffset: number
  /** log.cleaner.dedupe.buffer.size. */
  readonly bytesMax: number
  /** log.cleaner.io.buffer.load.factor. */
  readonly loadFactor: number
  readonly secret: HashSecret
}

/** Memory for an empty map, no more than the offsets in question can need. */
export function allocateOffsetMap(options: OffsetMapOptions): OffsetMapMemory {
  const { baseOffset, endOffset, bytesMax, loadFactor, secret } = options
  const span = endOffset - baseOffset
  const bits = Math.min(span, Math.floor(bytesMax * BITS_SHARE * 8))
  const slotsMax = Math.floor((bytesMax * (1 - BITS_SHARE)) / SLOT_BYTES)
  const capacity = Math.max(CAPACITY_MIN, Math.min(slotsMax, Math.ceil(span / loadFactor)))
  return {
    slots: new SharedArrayBuffer(capacity * SLOT_BYTES),
    superseded: new SharedArrayBuffer(Math.ceil(bits / 32) * 4),
    baseOffset,
    countMax: Math.max(1, Math.min(capacity - 1, Math.floor(capacity * loadFactor))),
    secret,
  }
}

export class OffsetMap {
  readonly #slots: Int32Array
  readonly #superseded: Int32Array
  readonly #capacity: number
  #baseOffset: number
  /** Exclusive: offsets behind it have no bit, and the map takes none of them. */
  #offsetMax: number
  readonly #countMax: number
  readonly #secret: HashSecret
  #count = 0
  /**
   * Of each staged record its hash (the last int32: the slot where its search begins) and its offset. One int32 more, since
   * loads whose value goes nowhere are left out by the compiler.
   */
  readonly #staged = new Int32Array(4 * STAGED_MAX + 1)
  readonly #stagedOffsets = new Float64Array(STAGED_MAX)
  #stagedCount = 0

  constructor(memory: OffsetMapMemory) {
    this.#slots = new Int32Array(memory.slots)
    this.#superseded = new Int32Array(memory.superseded)
    this.#capacity = Math.floor(this.#slots.length / SLOT_WORDS)
    this.#baseOffset = memory.baseOffset
    this.#offsetMax = this.#offsetMaxOf(memory.baseOffset)
    this.#countMax = memory.countMax
    this.#secret = memory.secret
  }

  /** Keys that this one put. */
  get count(): number {
    return this.#count
  }
  get baseOffset(): number {
    return this.#baseOffset
  }

  /** Of an empty map: no offset below this one comes. What is missing there, after an earlier compaction, takes no room. */
  beginAt(offset: number): void {
    this.#baseOffset = offset
    this.#offsetMax = this.#offsetMaxOf(offset)
  }

  get stagedCount(): number {
    return this.#stagedCount
  }
  stagedOffset(index: number): number {
    return this.#stagedOffsets[index]!
  }

  /** The key has a record at `offset`, newer than all before: `putStaged` takes it in. Not more than `STAGED_MAX`. */
  stage(bytes: Uint8Array, keyStart: number, keyLength: number, offset: number): void {
    hashKey(bytes, keyStart, keyLength, this.#secret)
    const index = this.#stagedCount++
    const staged = this.#staged
    staged[4 * index] = hashed[0]!
    staged[4 * index + 1] = hashed[1]!
    staged[4 * index + 2] = hashed[2]!
    staged[4 * index + 3] = this.#home(hashed[3]!)
    this.#stagedOffsets[index] = offset
  }

  /** Returns how many of the staged records were put; the first one behind them found the map full. */
  putStaged(): number {
    const count = this.#stagedCount
    const staged = this.#staged
    const slots = this.#slots
    this.#stagedCount = 0
    let touched = 0
    for (let index = 0; index < count; index++) touched ^= slots[staged[4 * index + 3]! * SLOT_WORDS]!
    staged[4 * STAGED_MAX] = touched
    for (let index = 0; index < count; index++) if (!this.#put(index)) return index
    return count
  }

  #put(index: number): boolean {
    const offset = this.#stagedOffsets[index]!
    if (offset >= this.#offsetMax) return false
    const staged = this.#staged
    const h0 = staged[4 * index]!
    const h1 = staged[4 * index + 1]!
    const h2 = staged[4 * index + 2]!
    const at = this.#find(h0, h1, h2, staged[4 * index + 3]!)
    const slots = this.#slots
    const before = slots[at + 3]! >>> 0
    if (before === 0) {
      if (this.#count >= this.#countMax) return false
      this.#count++
      slots[at] = h0
      slots[at + 1] = h1
      slots[at + 2] = h2
    } else this.#supersede(before - 1)
    slots[at + 3] = offset - this.#baseOffset + 1
    return true
  }

  /** The dirty record at `offset` has no key, so nothing can ask for it. False: the map is full. */
  putKeyless(offset: number): boolean {
    if (offset >= this.#offsetMax) return false
    this.#supersede(offset - this.#baseOffset)
    return true
  }

  /** Of a record before the dirty part: whether that has its key. */
  has(bytes: Uint8Array, keyStart: number, keyLength: number): boolean {
    hashKey(bytes, keyStart, keyLength, this.#secret)
    return this.#slots[this.#find(hashed[0]!, hashed[1]!, hashed[2]!, this.#home(hashed[3]!)) + 3] !== 0
  }

  /** Of a record of the dirty part that was seen: whether a newer one was seen too. */
  isSuperseded(offset: number): boolean {
    const bit = offset - this.#baseOffset
    return ((this.#superseded[Math.floor(bit / 32)]! >>> (bit & 31)) & 1) === 1
  }

  #offsetMaxOf(baseOffset: number): number {
    return baseOffset + Math.min(this.#superseded.length * 32, TWO_32 - 2)
  }

  #supersede(bit: number): void {
    const word = Math.floor(bit / 32)
    this.#superseded[word] = this.#superseded[word]! | (1 << (bit & 31))
  }

  #home(bits: number): number {
    return Math.floor(((bits >>> 0) * this.#capacity) / TWO_32)
  }

  /** Where the slot of the key with this hash, or the free one for it, begins. */
  #find(h0: number, h1: number, h2: number, home: number): number {
    const slots = this.#slots
    const end = this.#capacity * SLOT_WORDS
    let at = home * SLOT_WORDS
    while (slots[at + 3] !== 0) {
      if (slots[at] === h0 && slots[at + 1] === h1 && slots[at + 2] === h2) return at
      at += SLOT_WORDS
      if (at === end) at = 0
    }
    return at
  }
}
