/**
 * Thins out a stored batch: some of its records stay, with their offsets. Base offset, last offset, producer fields and
 * leader epoch stay as they are, so do first and last sequence; count, largest timestamp, length and CRC are made anew.
 * A batch whose records all stay is left alone, byte for byte.
 *
 * The bytes of the records that stay are copied run by run, since their deltas refer to a base that does not change.
 * Only where a delete horizon is set (KIP-534) is that base another one: then each record's timestamp delta is written
 * again.
 */
import { crc32c } from '../native/index.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  batchSize,
  deleteHorizonMs,
  maxTimestamp,
  setCrc,
  setDeleteHorizon,
  setEmpty,
  setRemaining,
  TimestampType,
  timestampType,
} from './batch-header.ts'
import { RecordCursor } from './record-cursor.ts'
import { readVarint, readVarlong, sizeOfVarlong, varintEnd, writeLength, writeVarlong } from './varint.ts'

export interface RecordJudge {
  /** Whether the record the cursor stands on stays. */
  keeps(cursor: RecordCursor): boolean
}

export const FilterResult = {
  /** All records stay: the batch is to be copied. */
  UNCHANGED: 0,
  /** What stays is in `bytes`. */
  REWRITTEN: 1,
  /** No record stays (or there was none): drop the batch, or keep `emptyBatch` of it. */
  EMPTY: 2,
} as const
export type FilterResult = (typeof FilterResult)[keyof typeof FilterResult]

export interface FilterOptions {
  /** The delete horizon for a batch that keeps a tombstone and has no horizon yet; -1 sets none. */
  readonly horizonMs: number
  /** Sets the horizon without a tombstone: of a transaction marker that nothing needs any more. */
  readonly isMarker?: boolean
}

const RUNS_FIRST = 64
const ALL_STAY: RecordJudge = { keeps: () => true }

export class BatchFilter {
  /** The rewritten batch, a view valid until the next call. */
  bytes: Uint8Array = new Uint8Array(0)
  /** Of the last batch. */
  recordsRead = 0
  recordsKept = 0
  #buffer: Uint8Array = new Uint8Array(64 * 1024)
  readonly #cursor = new RecordCursor()
  /** Start and end of each run of bytes that stays. */
  #runs = new Int32Array(2 * RUNS_FIRST)
  #runCount = 0
  #tombstones = 0
  #maxTimestamp = -1
  #minTimestamp = 0

  /** Requires the whole uncompressed batch at `position`. Error: PAGELOG_CORRUPT, when its records are not what its header says. */
  filter(source: Uint8Array, position: number, judge: RecordJudge, options: FilterOptions): FilterResult {
    this.#judge(source, position, judge)
    if (this.recordsKept === 0) return FilterResult.EMPTY
    const wantsHorizon = options.horizonMs >= 0 && (this.#tombstones > 0 || options.isMarker === true)
    const setsHorizon = wantsHorizon && deleteHorizonMs(source, position) < 0 && this.#canMoveBase()
    if (this.recordsKept === this.recordsRead && !setsHorizon) return FilterResult.UNCHANGED
    const size = setsHorizon
      ? this.#copyRelativeTo(source, position, options.horizonMs)
      : this.#copyRuns(source, position)
    const buffer = this.#buffer
    const isAppendTime = timestampType(source, position) === TimestampType.LOG_APPEND_TIME
    setRemaining(buffer, 0, size, this.recordsKept, isAppendTime ? maxTimestamp(source, position) : this.#maxTimestamp)
    if (setsHorizon) setDeleteHorizon(buffer, 0, options.horizonMs)
    setCrc(buffer, 0, crc32c(buffer, ATTRIBUTES_AT, size))
    this.bytes = buffer.subarray(0, size)
    return FilterResult.REWRITTEN
  }

  /** The marker of a transaction, with its horizon: REWRITTEN, or UNCHANGED when it has one. */
  setMarkerHorizon(source: Uint8Array, position: number, horizonMs: number): FilterResult {
    return this.filter(source, position, ALL_STAY, { horizonMs, isMarker: true })
  }

  /** The header alone, in `bytes`: it keeps the offsets and the producer's sequences that nothing else in the log tells. */
  emptyBatch(source: Uint8Array, position: number): void {
    const buffer = this.#room(BATCH_HEADER_BYTES)
    buffer.set(source.subarray(position, position + BATCH_HEADER_BYTES))
    setEmpty(buffer, 0)
    setCrc(buffer, 0, crc32c(buffer, ATTRIBUTES_AT, BATCH_HEADER_BYTES))
    this.bytes = buffer.subarray(0, BATCH_HEADER_BYTES)
  }

  /** Asks for each record; neighbours that stay become one run. */
  #judge(source: Uint8Array, position: number, judge: RecordJudge): void {
    const cursor = this.#cursor
    cursor.reset(source, position)
    this.#runCount = 0
    this.#tombstones = 0
    this.#maxTimestamp = -1
    this.#minTimestamp = Number.MAX_SAFE_INTEGER
    let read = 0
    let kept = 0
    let start = position + BATCH_HEADER_BYTES
    let runEnd = -1
    while (cursor.next()) {
      read++
      const end = cursor.recordEnd
      if (judge.keeps(cursor)) {
        kept++
        if (cursor.valueLength < 0) this.#tombstones++
        if (cursor.timestamp > this.#maxTimestamp) this.#maxTimestamp = cursor.timestamp
        if (cursor.timestamp < this.#minTimestamp) this.#minTimestamp = cursor.timestamp
        if (runEnd === start) this.#runs[2 * this.#runCount - 1] = end
        else this.#addRun(start, end)
        runEnd = end
      }
      start = end
    }
    this.recordsRead = read
    this.recordsKept = kept
  }

  #addRun(start: number, end: number): void {
    if (2 * this.#runCount === this.#runs.length) {
      const larger = new Int32Array(2 * this.#runs.length)
      larger.set(this.#runs)
      this.#runs = larger
    }
    this.#runs[2 * this.#runCount] = start
    this.#runs[2 * this.#runCount + 1] = end
    this.#runCount++
  }

  /** Times beyond what a number holds cannot be written again; such a batch never gets a horizon. */
  #canMoveBase(): boolean {
    return this.#minTimestamp > Number.MIN_SAFE_INTEGER / 2 && this.#maxTimestamp < Number.MAX_SAFE_INTEGER / 2
  }

  #copyRuns(source: Uint8Array, position: number): number {
    const buffer = this.#room(batchSize(source, position))
    let at = this.#copyHeader(source, position)
    for (let run = 0; run < this.#runCount; run++) {
      const start = this.#runs[2 * run]!
      const end = this.#runs[2 * run + 1]!
      buffer.set(source.subarray(start, end), at)
      at += end - start
    }
    return at
  }

  /** Each record with its timestamp relative to `base`. */
  #copyRelativeTo(source: Uint8Array, position: number, base: number): number {
    const cursor = this.#cursor
    cursor.reset(source, position)
    // A delta and the length that counts it grow by 13 bytes at most.
    const buffer = this.#room(batchSize(source, position) + 13 * this.recordsKept)
    let at = this.#copyHeader(source, position)
    let run = 0
    let start = position + BATCH_HEADER_BYTES
    while (run < this.#runCount && cursor.next()) {
      const end = cursor.recordEnd
      if (start >= this.#runs[2 * run]!) {
        at = copyWithDelta(source, start, end, cursor.timestamp - base, buffer, at)
        if (end === this.#runs[2 * run + 1]) run++
      }
      start = end
    }
    return at
  }

  #copyHeader(source: Uint8Array, position: number): number {
    this.#buffer.set(source.subarray(position, position + BATCH_HEADER_BYTES))
    return BATCH_HEADER_BYTES
  }

  #room(bytes: number): Uint8Array {
    if (this.#buffer.length < bytes) this.#buffer = new Uint8Array(Math.max(bytes, 2 * this.#buffer.length))
    return this.#buffer
  }
}

/** Copies the record in [start, end) to `at` with another timestamp delta; returns the position after it. */
function copyWithDelta(
  source: Uint8Array,
  start: number,
  end: number,
  delta: number,
  into: Uint8Array,
  at: number,
): number {
  readVarint(source, start) // its length
  const attributesAt = varintEnd
  readVarlong(source, attributesAt + 1)
  const restAt = varintEnd
  let next = writeLength(into, at, 1 + sizeOfVarlong(delta) + end - restAt)
  into[next++] = source[attributesAt]!
  next = writeVarlong(into, next, delta)
  into.set(source.subarray(restAt, end), next)
  return next + end - restAt
}
