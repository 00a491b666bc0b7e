/**
 * The aborted transactions whose ABORT marker lies in a segment, in memory as the bytes of Kafka's `.txnindex` file (34
 * bytes an entry, in the order of the markers):
 *
 *   int16 version = 0 | int64 producer id | int64 first offset | int64 last offset: the marker's | int64 last stable
 *   offset: where the oldest transaction that was open behind the marker began, else the offset behind the marker
 *
 * With `isolation.level=read_committed` a reader of a range gets those that overlap it and leaves their records out.
 * A segment without any has no file. Like the other indexes it has no checksum; `verify` compares it with the log.
 */
import { assert } from '../base/index.ts'
import { readInt64, writeInt64 } from '../record/index.ts'
import { grown } from './offset-index.ts'

export const TRANSACTION_ENTRY_BYTES = 34
const PRODUCER_ID_AT = 2
const FIRST_OFFSET_AT = 10
const LAST_OFFSET_AT = 18
const LAST_STABLE_OFFSET_AT = 26

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** That of the ABORT marker. */
  readonly lastOffset: number
}

/** One entry of the file. */
export interface TransactionEntry extends AbortedTransaction {
  readonly lastStableOffset: number
}

export class TransactionIndex {
  readonly #bytesMax: number
  #bytes: Uint8Array
  #count: number

  private constructor(indexBytesMax: number, bytes: Uint8Array) {
    this.#bytesMax = indexBytesMax - (indexBytesMax % TRANSACTION_ENTRY_BYTES)
    this.#bytes = bytes
    this.#count = bytes.length / TRANSACTION_ENTRY_BYTES
  }

  static empty(indexBytesMax: number): TransactionIndex {
    return new TransactionIndex(indexBytesMax, new Uint8Array(0))
  }

  /** The content of a file; undefined when it cannot be that of a segment with offsets from `from` to `to` (exclusive). */
  static load(indexBytesMax: number, content: Uint8Array, from: number, to: number): TransactionIndex | undefined {
    if (content.length % TRANSACTION_ENTRY_BYTES !== 0) return undefined
    const index = new TransactionIndex(indexBytesMax, content)
    let before = from - 1
    for (let slot = 0; slot < index.count; slot++) {
      const { producerId, firstOffset, lastOffset, lastStableOffset } = index.entryAt(slot)
      const isEntry = content[slot * TRANSACTION_ENTRY_BYTES] === 0 && content[slot * TRANSACTION_ENTRY_BYTES + 1] === 0
      const isInOrder = lastOffset > before && lastOffset < to && firstOffset >= 0 && firstOffset <= lastOffset
      if (!isEntry || !isInOrder || producerId < 0 || lastStableOffset < 0 || lastStableOffset > lastOffset + 1) {
        return undefined
      }
      before = lastOffset
    }
    return index
  }

  /** Held, used or not. */
  get memoryBytes(): number {
    return this.#bytes.length
  }
  get count(): number {
    return this.#count
  }
  get isFull(): boolean {
    return (this.#count + 1) * TRANSACTION_ENTRY_BYTES > this.#bytesMax
  }
  /** The content of the file; a view, valid until the next append. */
  get content(): Uint8Array {
    return this.#bytes.subarray(0, this.#count * TRANSACTION_ENTRY_BYTES)
  }

  entryAt(slot: number): TransactionEntry {
    const at = slot * TRANSACTION_ENTRY_BYTES
    return {
      producerId: readInt64(this.#bytes, at + PRODUCER_ID_AT),
      firstOffset: readInt64(this.#bytes, at + FIRST_OFFSET_AT),
      lastOffset: readInt64(this.#bytes, at + LAST_OFFSET_AT),
      lastStableOffset: readInt64(this.#bytes, at + LAST_STABLE_OFFSET_AT),
    }
  }

  /**
   * Adds the entry of an ABORT marker. It may go beyond the limit, since a marker that is in the log must be found; a
   * full index makes the log roll.
   */
  append(entry: TransactionEntry): void {
    const at = this.#count * TRANSACTION_ENTRY_BYTES
    assert(entry.lastOffset >= entry.firstOffset, 'a transaction ends behind its begin')
    const roomMax = Math.max(this.#bytesMax, at + TRANSACTION_ENTRY_BYTES)
    if (at + TRANSACTION_ENTRY_BYTES > this.#bytes.length) this.#bytes = grown(this.#bytes, roomMax)
    this.#bytes[at] = 0
    this.#bytes[at + 1] = 0
    writeInt64(this.#bytes, at + PRODUCER_ID_AT, entry.producerId)
    writeInt64(this.#bytes, at + FIRST_OFFSET_AT, entry.firstOffset)
    writeInt64(this.#bytes, at + LAST_OFFSET_AT, entry.lastOffset)
    writeInt64(this.#bytes, at + LAST_STABLE_OFFSET_AT, entry.lastStableOffset)
    this.#count++
  }

  /** Forgets the entries of markers at or beyond `endOffset`. */
  truncate(endOffset: number): void {
    while (this.#count > 0 && this.entryAt(this.#count - 1).lastOffset >= endOffset) this.#count--
  }

  /**
   * Adds to `into` the transactions with batches in `from` ≤ offset < `to`. True: no later segment can have another,
   * since nothing before `to` was undecided behind the last entry looked at.
   */
  collect(from: number, to: number, into: AbortedTransaction[]): boolean {
    for (let slot = 0; slot < this.#count; slot++) {
      const { producerId, firstOffset, lastOffset, lastStableOffset } = this.entryAt(slot)
      if (lastOffset >= from && firstOffset < to) into.push({ producerId, firstOffset, lastOffset })
      if (lastStableOffset >= to) return true
    }
    return false
  }
}
