/**
 * What compaction knows of transactions while it walks a log from its start on. Records of aborted ones go; a marker is
 * needed as long as a batch of its transaction is still there.
 *
 * A state goes from job to job as plain data. The aborted transactions come from the transaction indexes: whether a
 * batch belongs to one is known long before its marker is met.
 */
import { baseOffset, isTransactional, lastOffset, producerId, RecordCursor } from '../../record/index.ts'
import type { TransactionEntry } from '../transaction-index.ts'

export interface TransactionsState {
  /** Not met yet, by rising first offset. */
  readonly coming: readonly TransactionEntry[]
  /** Aborted, their marker not met yet; one a producer. `hasBatches`: some of its batches were met. */
  readonly aborted: readonly { readonly entry: TransactionEntry; readonly hasBatches: boolean }[]
  /** Producers with batches of a transaction whose marker was not met yet. */
  readonly committed: readonly number[]
}

/** `int16 version | int16 type`: the key of a control record. */
const MARKER_KEY_BYTES = 4
export const MarkerType = { ABORT: 0, COMMIT: 1 } as const

export class Transactions {
  #coming: TransactionEntry[]
  readonly #aborted: Map<number, { readonly entry: TransactionEntry; hasBatches: boolean }>
  readonly #committed: Set<number>
  readonly #cursor = new RecordCursor()
  #nextComing = 0
  /** Aborted transactions whose marker is still needed, in the order of the markers: for the new transaction index. */
  readonly kept: TransactionEntry[] = []

  constructor(state: TransactionsState) {
    this.#coming = [...state.coming]
    this.#aborted = new Map(state.aborted.map((one) => [one.entry.producerId, { ...one }]))
    this.#committed = new Set(state.committed)
  }

  /** Where the next job goes on. */
  get state(): TransactionsState {
    const coming = this.#coming.slice(this.#nextComing)
    return { coming, aborted: [...this.#aborted.values()], committed: [...this.#committed] }
  }

  /** A batch of records: whether its transaction was aborted. */
  isAborted(bytes: Uint8Array, at: number): boolean {
    this.#advance(lastOffset(bytes, at))
    if (!isTransactional(bytes, at)) return false
    const id = producerId(bytes, at)
    const first = baseOffset(bytes, at)
    const aborted = this.#aborted.get(id)
    // One whose marker was not met, in a segment that is gone or was not read, ended all the same.
    if (aborted !== undefined && first >= aborted.entry.firstOffset && first <= aborted.entry.lastOffset) {
      aborted.hasBatches = true
      return true
    }
    this.#committed.add(id)
    return false
  }

  /** A control batch: whether nothing in the log needs it any more. */
  isNeedless(bytes: Uint8Array, at: number): boolean {
    this.#advance(lastOffset(bytes, at))
    const id = producerId(bytes, at)
    const type = this.#markerType(bytes, at)
    if (type === undefined) return true // its header stayed for the producer's sake alone
    if (type === MarkerType.COMMIT) return !this.#committed.delete(id)
    if (type !== MarkerType.ABORT) return false
    const aborted = this.#aborted.get(id)
    this.#aborted.delete(id)
    if (aborted?.entry.lastOffset !== lastOffset(bytes, at) || !aborted.hasBatches) return true
    this.kept.push(aborted.entry)
    return false
  }

  /** Transactions that began up to `offset` are under way. */
  #advance(offset: number): void {
    while (this.#nextComing < this.#coming.length) {
      const entry = this.#coming[this.#nextComing]!
      if (entry.firstOffset > offset) return
      this.#nextComing++
      this.#aborted.set(entry.producerId, { entry, hasBatches: false })
    }
  }

  /** Undefined: the batch has no record. */
  #markerType(bytes: Uint8Array, at: number): number | undefined {
    const cursor = this.#cursor
    cursor.reset(bytes, at)
    if (!cursor.next()) return undefined
    if (cursor.keyLength < MARKER_KEY_BYTES) return -1
    return (bytes[cursor.keyStart + 2]! << 8) | bytes[cursor.keyStart + 3]!
  }
}
