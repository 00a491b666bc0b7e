/**
 * The batches of one partition in one answer, handed out one by one: checked, control batches and aborted transactions
 * left out, what is compressed or in an old format unpacked, the records before the wanted offset trimmed.
 */
import { type OperatingErrorCode, PagelogError } from '../base/index.ts'
import { BatchFault, checkBatchStored } from '../native/index.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  batchSize,
  isControl,
  isLegacy,
  isTransactional,
  lastOffset,
  leaderEpoch,
  MAGIC_V2,
  magic,
  producerId,
  RecordBatch,
  RecordCursor,
  recordCount,
} from '../record/index.ts'
import type { AssignedPartition } from './assignment.ts'
import type { BatchUnpacker } from './batch-unpacker.ts'
import { ConsumedBatch } from './consumed-batch.ts'
import { PackedParts } from './packed-parts.ts'

/** Offset, length, leader epoch and magic are at the same place in every format. */
const MAGIC_END = 17
/** Key of an abort marker: version int16, type int16 = 0. */
const ABORT_TYPE = 0

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

export interface FetchedOptions {
  readonly checkCrcs: boolean
  /** By first offset; null unless reading committed records only. */
  readonly aborted: readonly AbortedTransaction[] | null
  readonly highWatermark: number
  readonly unpacker: BatchUnpacker
  /** Called once when the bytes are not needed by the consumer any more. */
  onFinished(): void
}

export class FetchedPartition {
  readonly state: AssignedPartition
  readonly bytes: Uint8Array
  readonly #options: FetchedOptions
  readonly #seekEpoch: number
  readonly #abortedLeft: AbortedTransaction[]
  /** Producers whose current transaction ends in an abort. */
  readonly #aborting = new Set<number>()
  /** Undefined when all batches are plain. */
  #packed: PackedParts | undefined
  #isWaiting = false
  #at = 0
  #finished = false
  /** Of the last whole batch, known after `endOffset`; -1 in old formats. */
  lastEpoch = -1

  constructor(state: AssignedPartition, bytes: Uint8Array, options: FetchedOptions) {
    this.state = state
    this.bytes = bytes
    this.#options = options
    this.#seekEpoch = state.seekEpoch
    this.#abortedLeft = [...(options.aborted ?? [])].sort((a, b) => a.firstOffset - b.firstOffset)
  }

  /** The application has sought elsewhere, or does not read the partition any more. */
  get isStale(): boolean {
    return !this.state.isCurrent(this.#seekEpoch)
  }

  /** `next` has found a batch that is still being unpacked. */
  get isWaiting(): boolean {
    return this.#isWaiting
  }

  /**
   * Offset after the last whole batch, -1 when there is none: the next fetch begins there. Call it once, first: what is
   * packed is found on the way.
   */
  endOffset(): number {
    const { bytes } = this
    let end = -1
    let packedAt = -1
    for (let at = 0; at + MAGIC_END <= bytes.length; ) {
      const size = batchSize(bytes, at)
      if (size < MAGIC_END || at + size > bytes.length) break
      // Before version 2 the field is the offset of the entry's last message.
      const v2 = magic(bytes, at) === MAGIC_V2 && size >= BATCH_HEADER_BYTES
      end = (v2 ? lastOffset(bytes, at) : baseOffset(bytes, at)) + 1
      this.lastEpoch = v2 ? leaderEpoch(bytes, at) : -1
      if (packedAt === -1 && PackedParts.isPacked(bytes, at, size)) packedAt = at
      at += size
    }
    if (packedAt >= 0) {
      const doubtful = new Set((this.#options.aborted ?? []).map((aborted) => aborted.producerId))
      this.#packed = new PackedParts(bytes, packedAt, this.#options.unpacker, doubtful)
    }
    return end
  }

  /** Lets large compressed batches be unpacked before `next` gets to them. */
  unpackAhead(): void {
    if (this.#packed !== undefined) this.#options.unpacker.add(this.#packed)
  }

  /**
   * The next batch with records for the application, undefined after the last, and while `isWaiting`. Moves the
   * partition's position behind it. Throws PAGELOG_CORRUPT, PAGELOG_TOO_LARGE, PAGELOG_UNSUPPORTED, PAGELOG_WORKER, with
   * the offset; the position stays then.
   */
  next(): ConsumedBatch | undefined {
    const { bytes, state } = this
    this.#isWaiting = false
    while (this.#at + MAGIC_END <= bytes.length) {
      const at = this.#at
      const size = batchSize(bytes, at)
      if (at + size > bytes.length && size > 0) break
      if (size < MAGIC_END) throw this.#fault('PAGELOG_CORRUPT', 'not a whole record batch', at)
      const isOld = isLegacy(bytes, at)
      if (!isOld) {
        this.#check(at, size)
        if (this.#isPassedOver(at)) {
          this.#packed?.drop(at)
          this.#at = at + size
          continue
        }
      }
      const found = this.#plainAt(at, size)
      if (found === undefined) {
        this.#isWaiting = true
        return undefined
      }
      this.#at = at + found.size
      const from = state.position
      const { batch } = found
      if (batch.lastOffset < from) continue // Old messages before the wanted offset.
      state.position = batch.lastOffset + 1
      return new ConsumedBatch(state.topic, state.partition, this.#options.highWatermark, batch, from)
    }
    return undefined
  }

  /** The batch at `at`, plain, and how many of the bytes it took; undefined while it is being unpacked. */
  #plainAt(at: number, size: number): { readonly batch: RecordBatch; readonly size: number } | undefined {
    const { bytes } = this
    if (!PackedParts.isPacked(bytes, at, size)) return { batch: new RecordBatch(bytes, at), size }
    try {
      const plain = this.#packed!.take(at)
      return plain === undefined ? undefined : { batch: new RecordBatch(plain.batch, 0), size: plain.size }
    } catch (error) {
      if (error instanceof PagelogError) throw this.#fault(error.code, error.message, at, error)
      throw error
    }
  }

  /** The bytes are not needed any more. Idempotent. */
  finish(): void {
    if (this.#finished) return
    this.#finished = true
    this.#packed?.close()
    this.#options.onFinished()
  }

  #check(at: number, size: number): void {
    const { bytes } = this
    if (magic(bytes, at) > MAGIC_V2) {
      throw this.#fault('PAGELOG_UNSUPPORTED', `message format ${magic(bytes, at)} is not supported`, at)
    }
    if (this.#options.checkCrcs) {
      const found = checkBatchStored(bytes, at, bytes.length)
      if (found < 0) {
        const reason = found === BatchFault.CRC ? 'CRC is not that of its bytes' : 'not a whole record batch'
        throw this.#fault('PAGELOG_CORRUPT', reason, at)
      }
    } else if (size < BATCH_HEADER_BYTES) throw this.#fault('PAGELOG_CORRUPT', 'not a whole record batch', at)
  }

  /** Nothing of it is for the application: it lies before the wanted offset, is hidden, or is empty. */
  #isPassedOver(at: number): boolean {
    const { bytes, state } = this
    const last = lastOffset(bytes, at)
    if (last < state.position) return true
    if (!this.#isHidden(at, last) && recordCount(bytes, at) > 0) return false
    state.position = last + 1
    return true
  }

  /** Control batches always, and batches of aborted transactions when only committed records are read. */
  #isHidden(at: number, last: number): boolean {
    const { bytes } = this
    const control = isControl(bytes, at)
    if (this.#options.aborted === null) return control
    while (this.#abortedLeft.length > 0 && this.#abortedLeft[0]!.firstOffset <= last) {
      this.#aborting.add(this.#abortedLeft.shift()!.producerId)
    }
    const producer = producerId(bytes, at)
    if (control) {
      if (isAbortMarker(bytes, at)) this.#aborting.delete(producer)
      return true
    }
    return isTransactional(bytes, at) && this.#aborting.has(producer)
  }

  #fault(code: OperatingErrorCode, reason: string, at: number, cause?: PagelogError): PagelogError {
    const { topic, partition } = this.state
    const offset = baseOffset(this.bytes, at)
    const kafkaCode = cause?.kafkaCode
    return new PagelogError(code, `${topic}-${partition} at offset ${offset}: ${reason}`, {
      offset,
      position: at,
      cause,
      ...(kafkaCode === undefined ? {} : { kafkaCode }),
    })
  }
}

function isAbortMarker(bytes: Uint8Array, at: number): boolean {
  const cursor = new RecordCursor()
  cursor.reset(bytes, at)
  if (!cursor.next() || cursor.keyLength < 4) return false
  return ((bytes[cursor.keyStart + 2]! << 8) | bytes[cursor.keyStart + 3]!) === ABORT_TYPE
}
