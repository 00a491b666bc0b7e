/**
 * The time index of a segment, in memory as the bytes of Kafka's `.timeindex` file (12 bytes an entry, added together
 * with offset index entries when the largest timestamp has grown):
 *
 *   int64 largest timestamp so far | int32 last offset of the batch that has it, less the base offset
 *
 * Timestamps increase strictly.
 */
import { assert } from '../base/index.ts'
import { readInt32, readInt64, writeInt32, writeInt64 } from '../record/index.ts'
import { grown } from './offset-index.ts'

export const TIME_ENTRY_BYTES = 12
/** Of a batch without timestamps; never in the index. */
const NO_TIMESTAMP = -1

export class TimeIndex {
  readonly baseOffset: number
  readonly #bytesMax: number
  #bytes: Uint8Array
  #count: number

  private constructor(baseOffset: number, indexBytesMax: number, bytes: Uint8Array, count: number) {
    this.baseOffset = baseOffset
    this.#bytesMax = indexBytesMax - (indexBytesMax % TIME_ENTRY_BYTES)
    this.#bytes = bytes
    this.#count = count
  }

  static empty(baseOffset: number, indexBytesMax: number): TimeIndex {
    return new TimeIndex(baseOffset, indexBytesMax, new Uint8Array(0), 0)
  }

  /** The content of a file; undefined when it cannot be a time index: build it anew. */
  static load(baseOffset: number, indexBytesMax: number, content: Uint8Array): TimeIndex | undefined {
    if (content.length % TIME_ENTRY_BYTES !== 0) return undefined
    const index = new TimeIndex(baseOffset, indexBytesMax, content, content.length / TIME_ENTRY_BYTES)
    if (index.count === 0) return index
    const last = index.count - 1
    const isZeroTail = index.timestampAt(last) === 0 && index.offsetAt(last) <= baseOffset
    if (isZeroTail || index.offsetAt(last) < baseOffset || index.timestampAt(last) < index.timestampAt(0))
      return undefined
    return index
  }

  /** Held, used or not. */
  get memoryBytes(): number {
    return this.#bytes.length
  }
  get count(): number {
    return this.#count
  }
  /** One slot stays free for the entry that closes the segment, as Kafka does it. */
  get isFull(): boolean {
    return (this.#count + 2) * TIME_ENTRY_BYTES > this.#bytesMax
  }
  get content(): Uint8Array {
    return this.#bytes.subarray(0, this.#count * TIME_ENTRY_BYTES)
  }

  timestampAt(slot: number): number {
    return readInt64(this.#bytes, slot * TIME_ENTRY_BYTES)
  }
  offsetAt(slot: number): number {
    return this.baseOffset + readInt32(this.#bytes, slot * TIME_ENTRY_BYTES + 8)
  }

  /** Adds an entry unless the largest timestamp is already there. */
  append(timestampMs: number, offset: number): void {
    const last = this.#count === 0 ? NO_TIMESTAMP : this.timestampAt(this.#count - 1)
    if (timestampMs <= last) return
    const end = this.#count * TIME_ENTRY_BYTES
    assert(end + TIME_ENTRY_BYTES <= this.#bytesMax, 'time index is full')
    if (end + TIME_ENTRY_BYTES > this.#bytes.length) this.#bytes = grown(this.#bytes, this.#bytesMax)
    writeInt64(this.#bytes, end, timestampMs)
    writeInt32(this.#bytes, end + 8, offset - this.baseOffset)
    this.#count++
  }

  /** Forgets the entries of batches from `endOffset` on. */
  truncate(endOffset: number): void {
    while (this.#count > 0 && this.offsetAt(this.#count - 1) >= endOffset) this.#count--
  }

  /** Offset of the last entry whose timestamp is less than `timestampMs`: every earlier batch is older; else the base offset. */
  offsetBefore(timestampMs: number): number {
    let low = -1
    let high = this.#count - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.timestampAt(middle) < timestampMs) low = middle
      else high = middle - 1
    }
    return low === -1 ? this.baseOffset : this.offsetAt(low)
  }
}
