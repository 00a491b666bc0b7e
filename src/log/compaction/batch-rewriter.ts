/**
 * Decides, batch by batch, what of a log stays (Kafka's rules, KIP-98 and KIP-534):
 *
 *   records        the newest of each key in what the map has seen; those behind it all. Without a key: none
 *   tombstones     until the delete horizon of their batch, which the first compaction that meets them sets
 *   aborted        transactions' records go
 *   markers        stay while a batch of their transaction does, then until a horizon of their own
 *   batch headers  without records, where they tell the last sequence or epoch of a producer that is still known
 *
 * Compressed batches are opened, and closed again in the same codec where something of them went. One that cannot be
 * opened stays whole, and since what it holds is not known, no tombstone behind it is dropped: it may be what hides an
 * older value in there.
 */
import {
  BatchFilter,
  Compression,
  compression,
  deleteHorizonMs,
  FilterResult,
  isControl,
  lastOffset,
  producerEpoch,
  producerId,
  type RecordCursor,
  type RecordJudge,
  recordCount,
} from '../../record/index.ts'
import type { CompressedBatches } from './compressed-batches.ts'
import type { OffsetMap } from './offset-map.ts'
import type { Transactions } from './transactions.ts'

export interface RewriteRules {
  /** Records before it are clean: no two have the same key. */
  readonly firstDirtyOffset: number
  /** Exclusive: the map has seen everything from the first dirty offset up to here. */
  readonly mapEndOffset: number
  readonly nowMs: number
  readonly deleteRetentionMs: number
  /** Three numbers a producer that is still known: id, last offset of its last batch (-1 without one), epoch. */
  readonly producers: Float64Array
  /** A batch that could not be opened was met by an earlier job of this compaction. */
  readonly hasOpaque: boolean
}

export interface RewriteCounts {
  readonly recordsRead: number
  readonly recordsKept: number
  readonly tombstonesDropped: number
  /** Of old data, from before the log was compacted: dropped, as Kafka does. */
  readonly keylessDropped: number
  /** Of aborted transactions. */
  readonly abortedDropped: number
  /** Kept whole, since they could not be opened. */
  readonly compressedBatches: number
  readonly hasOpaque: boolean
}

const PRODUCER_FIELDS = 3

export class BatchRewriter implements RecordJudge {
  /** What stays of the last batch: in the bytes that were given, or in bytes of its own. */
  bytes: Uint8Array = new Uint8Array(0)
  at = 0
  size = 0
  /** Something did not stay as it was. */
  hasChanges = false
  readonly #map: OffsetMap
  readonly #transactions: Transactions
  readonly #rules: RewriteRules
  readonly #compressed: CompressedBatches
  readonly #filter = new BatchFilter()
  /** Producer id to its slot in `rules.producers`. */
  readonly #producers = new Map<number, number>()
  /** Whether tombstones of the current batch may go. */
  #isPastHorizon = false
  #recordsRead = 0
  #recordsKept = 0
  #tombstonesDropped = 0
  #keylessDropped = 0
  #abortedDropped = 0
  #compressedBatches = 0
  #hasOpaque: boolean

  constructor(map: OffsetMap, transactions: Transactions, rules: RewriteRules, compressed: CompressedBatches) {
    this.#map = map
    this.#transactions = transactions
    this.#rules = rules
    this.#compressed = compressed
    this.#hasOpaque = rules.hasOpaque
    const { producers } = rules
    for (let slot = 0; slot < producers.length; slot += PRODUCER_FIELDS) this.#producers.set(producers[slot]!, slot)
  }

  get counts(): RewriteCounts {
    return {
      recordsRead: this.#recordsRead,
      recordsKept: this.#recordsKept,
      tombstonesDropped: this.#tombstonesDropped,
      keylessDropped: this.#keylessDropped,
      abortedDropped: this.#abortedDropped,
      compressedBatches: this.#compressedBatches,
      hasOpaque: this.#hasOpaque,
    }
  }

  /** True: `bytes`, `at` and `size` say what to write. False: nothing stays. */
  rewrite(bytes: Uint8Array, at: number, size: number): boolean {
    const count = recordCount(bytes, at)
    this.#recordsRead += count
    if (isControl(bytes, at)) return this.#control(bytes, at, size)
    if (this.#transactions.isAborted(bytes, at)) {
      this.#abortedDropped += count
      return this.#withoutRecords(bytes, at, size)
    }
    // A header that stayed alone keeps no codec, and those of others have nothing to open.
    const isPlain = compression(bytes, at) === Compression.NONE || count === 0
    const plain = isPlain ? bytes : this.#compressed.open(bytes, at, size)
    if (plain === undefined) return this.#opaque(bytes, at, size)
    const horizonMs = deleteHorizonMs(bytes, at)
    this.#isPastHorizon = horizonMs >= 0 && this.#rules.nowMs >= horizonMs && !this.#hasOpaque
    const result = count === 0 ? FilterResult.EMPTY : this.#filterRecords(plain, isPlain ? at : 0)
    if (result !== FilterResult.REWRITTEN || isPlain) return this.#take(result, bytes, at, size)
    this.#isRewritten(this.#compressed.close(this.#filter.bytes, compression(bytes, at)))
    return true
  }

  #filterRecords(bytes: Uint8Array, at: number): FilterResult {
    const result = this.#filter.filter(bytes, at, this, { horizonMs: this.#newHorizon() })
    this.#recordsKept += this.#filter.recordsKept
    return result
  }

  keeps(cursor: RecordCursor): boolean {
    const { offset } = cursor
    const { firstDirtyOffset, mapEndOffset } = this.#rules
    if (offset >= mapEndOffset) return true
    if (cursor.keyLength < 0) {
      this.#keylessDropped++
      return false
    }
    if (offset >= firstDirtyOffset) {
      if (this.#map.isSuperseded(offset)) return false
    } else if (this.#map.has(cursor.bytes, cursor.keyStart, cursor.keyLength)) return false
    if (cursor.valueLength >= 0 || !this.#isPastHorizon) return true
    this.#tombstonesDropped++
    return false
  }

  /** Its keys are not known, so it stays whole. */
  #opaque(bytes: Uint8Array, at: number, size: number): boolean {
    this.#compressedBatches++
    this.#hasOpaque = true
    this.#recordsKept += recordCount(bytes, at)
    return this.#stays(bytes, at, size)
  }

  #control(bytes: Uint8Array, at: number, size: number): boolean {
    const count = recordCount(bytes, at)
    if (!this.#transactions.isNeedless(bytes, at)) {
      this.#recordsKept += count
      return this.#stays(bytes, at, size)
    }
    const horizonMs = deleteHorizonMs(bytes, at)
    if (count === 0 || (horizonMs >= 0 && this.#rules.nowMs >= horizonMs)) return this.#withoutRecords(bytes, at, size)
    this.#recordsKept += count
    if (horizonMs >= 0) return this.#stays(bytes, at, size)
    return this.#take(this.#filter.setMarkerHorizon(bytes, at, this.#newHorizon()), bytes, at, size)
  }

  #newHorizon(): number {
    return this.#rules.nowMs + this.#rules.deleteRetentionMs
  }

  #take(result: FilterResult, bytes: Uint8Array, at: number, size: number): boolean {
    if (result === FilterResult.EMPTY) return this.#withoutRecords(bytes, at, size)
    if (result === FilterResult.UNCHANGED) return this.#stays(bytes, at, size)
    this.#isRewritten(this.#filter.bytes)
    return true
  }

  #stays(bytes: Uint8Array, at: number, size: number): boolean {
    this.bytes = bytes
    this.at = at
    this.size = size
    return true
  }

  #isRewritten(bytes: Uint8Array): void {
    this.hasChanges = true
    this.bytes = bytes
    this.at = 0
    this.size = bytes.length
  }

  /** None of the records stay: the header does when it is the last that the log has of its producer. */
  #withoutRecords(bytes: Uint8Array, at: number, size: number): boolean {
    if (!this.#isLastOfProducer(bytes, at)) {
      this.hasChanges = true
      return false
    }
    if (recordCount(bytes, at) === 0) return this.#stays(bytes, at, size)
    this.#filter.emptyBatch(bytes, at)
    this.#isRewritten(this.#filter.bytes)
    return true
  }

  #isLastOfProducer(bytes: Uint8Array, at: number): boolean {
    const id = producerId(bytes, at)
    if (id < 0) return false
    const slot = this.#producers.get(id)
    if (slot === undefined) return false
    const { producers } = this.#rules
    const lastDataOffset = producers[slot + 1]!
    if (lastDataOffset >= 0) return lastOffset(bytes, at) === lastDataOffset
    return isControl(bytes, at) && producerEpoch(bytes, at) === producers[slot + 2]
  }
}
