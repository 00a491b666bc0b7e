/**
 * The offset index of a segment: sparse pairs that say where a batch starts. In memory it is the very bytes of Kafka's
 * `.index` file, so that loading and saving decode nothing (8 bytes an entry, one entry about every
 * `index.interval.bytes`):
 *
 *   int32 last offset of the batch, less the base offset | int32 position where that batch starts
 *
 * Both columns increase strictly. The file has no checksum: a reader checks that the batch it finds is the one named.
 */
import { assert } from '../base/index.ts'
import { readInt32, writeInt32 } from '../record/index.ts'

export const OFFSET_ENTRY_BYTES = 8
const CAPACITY_BYTES_FIRST = 512

export class OffsetIndex {
  readonly baseOffset: number
  readonly #bytesMax: number
  #bytes: Uint8Array
  #count: number

  private constructor(baseOffset: number, indexBytesMax: number, bytes: Uint8Array, count: number) {
    this.baseOffset = baseOffset
    this.#bytesMax = indexBytesMax - (indexBytesMax % OFFSET_ENTRY_BYTES)
    this.#bytes = bytes
    this.#count = count
  }

  static empty(baseOffset: number, indexBytesMax: number): OffsetIndex {
    return new OffsetIndex(baseOffset, indexBytesMax, new Uint8Array(0), 0)
  }

  /** The content of a file; undefined when it cannot be the index of a segment of `segmentBytes`: build it anew. */
  static load(
    baseOffset: number,
    indexBytesMax: number,
    content: Uint8Array,
    segmentBytes: number,
  ): OffsetIndex | undefined {
    if (content.length % OFFSET_ENTRY_BYTES !== 0) return undefined
    const index = new OffsetIndex(baseOffset, indexBytesMax, content, content.length / OFFSET_ENTRY_BYTES)
    if (index.count === 0) return index
    const last = index.count - 1
    const isZeroTail = index.offsetAt(last) <= baseOffset && index.positionAt(last) === 0
    if (isZeroTail || index.offsetAt(last) < baseOffset || index.positionAt(last) >= segmentBytes) return undefined
    return index
  }

  get count(): number {
    return this.#count
  }
  get isFull(): boolean {
    return (this.#count + 1) * OFFSET_ENTRY_BYTES > this.#bytesMax
  }
  /** Held, used or not. */
  get memoryBytes(): number {
    return this.#bytes.length
  }
  /** The content of the file; a view, valid until the next append. */
  get content(): Uint8Array {
    return this.#bytes.subarray(0, this.#count * OFFSET_ENTRY_BYTES)
  }

  offsetAt(slot: number): number {
    return this.baseOffset + readInt32(this.#bytes, slot * OFFSET_ENTRY_BYTES)
  }
  positionAt(slot: number): number {
    return readInt32(this.#bytes, slot * OFFSET_ENTRY_BYTES + 4)
  }

  /** Requires room (`isFull` false) and an offset and a position beyond the last ones. */
  append(lastOffset: number, position: number): void {
    assert(!this.isFull, 'offset index is full')
    const end = this.#count * OFFSET_ENTRY_BYTES
    if (end === this.#bytes.length) this.#bytes = grown(this.#bytes, this.#bytesMax)
    writeInt32(this.#bytes, end, lastOffset - this.baseOffset)
    writeInt32(this.#bytes, end + 4, position)
    this.#count++
  }

  /** Forgets all entries but the first `count`. */
  truncate(count: number): void {
    assert(count <= this.#count, 'an index does not grow by a cut')
    this.#count = count
  }

  /** Slot of the last entry whose offset is at most `offset`; -1 when there is none. */
  floorOfOffset(offset: number): number {
    let low = -1
    let high = this.#count - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.offsetAt(middle) <= offset) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Slot of the last entry whose position is at most `position`; -1 when there is none. */
  floorOfPosition(position: number): number {
    let low = -1
    let high = this.#count - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.positionAt(middle) <= position) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** Twice the room, at most `bytesMax`. */
export function grown(bytes: Uint8Array, bytesMax: number): Uint8Array {
  const larger = new Uint8Array(Math.min(bytesMax, Math.max(CAPACITY_BYTES_FIRST, bytes.length * 2)))
  larger.set(bytes)
  return larger
}
