/**
 * The batches of one partition in one answer, handed out one by one: checked, control batches and aborted transactions
 * left out, the records before the wanted offset trimmed.
 */
import { PagelogError } from '../base/index.ts'
import { BatchFault, checkBatchStored } from '../native/index.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  batchSize,
  compression,
  isControl,
  isTransactional,
  lastOffset,
  MAGIC_V2,
  magic,
  producerId,
  RecordBatch,
  RecordCursor,
  recordCount,
} from '../record/index.ts'
import type { AssignedPartition } from './assignment.ts'
import { ConsumedBatch } from './consumed-batch.ts'

/** Offset, length, leader epoch and magic are at the same place in every format. */
const MAGIC_END = 17
const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
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
  #at = 0
  #finished = false

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

  /** Offset after the last whole batch, -1 when there is none: the next fetch begins there. */
  endOffset(): number {
    const { bytes } = this
    let end = -1
    for (let at = 0; at + MAGIC_END <= bytes.length; ) {
      const size = batchSize(bytes, at)
      if (size < MAGIC_END || at + size > bytes.length) break
      // Before version 2 the field is the offset of the entry's last message.
      const v2 = magic(bytes, at) === MAGIC_V2 && size >= BATCH_HEADER_BYTES
      end = (v2 ? lastOffset(bytes, at) : baseOffset(bytes, at)) + 1
      at += size
    }
    return end
  }

  /**
   * The next batch with records for the application, undefined after the last. Moves the partition's position behind
   * it. Throws PAGELOG_CORRUPT, PAGELOG_UNSUPPORTED, with the offset; the position stays then.
   */
  next(): ConsumedBatch | undefined {
    const { bytes, state } = this
    while (this.#at + MAGIC_END <= bytes.length) {
      const at = this.#at
      const size = batchSize(bytes, at)
      if (at + size > bytes.length && size > 0) break
      this.#check(at, size)
      this.#at = at + size
      const last = lastOffset(bytes, at)
      const from = state.position
      if (last < from) continue
      if (this.#isHidden(at, last) || recordCount(bytes, at) === 0) {
        state.position = last + 1
        continue
      }
      if (compression(bytes, at) !== 0) {
        this.#at = at
        const codec = CODECS[compression(bytes, at)] ?? `number ${compression(bytes, at)}`
        throw this.#fault('PAGELOG_UNSUPPORTED', `records are compressed with ${codec}`, at)
      }
      state.position = last + 1
      const { topic, partition } = state
      return new ConsumedBatch(topic, partition, this.#options.highWatermark, new RecordBatch(bytes, at), from)
    }
    return undefined
  }

  /** The bytes are not needed any more. Idempotent. */
  finish(): void {
    if (this.#finished) return
    this.#finished = true
    this.#options.onFinished()
  }

  #check(at: number, size: number): void {
    const { bytes } = this
    if (magic(bytes, at) !== MAGIC_V2) {
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

  #fault(code: 'PAGELOG_CORRUPT' | 'PAGELOG_UNSUPPORTED', reason: string, at: number): PagelogError {
    const { topic, partition } = this.state
    const offset = baseOffset(this.bytes, at)
    return new PagelogError(code, `${topic}-${partition} at offset ${offset}: ${reason}`, { offset, position: at })
  }
}

function isAbortMarker(bytes: Uint8Array, at: number): boolean {
  const cursor = new RecordCursor()
  cursor.reset(bytes, at)
  if (!cursor.next() || cursor.keyLength < 4) return false
  return ((bytes[cursor.keyStart + 2]! << 8) | bytes[cursor.keyStart + 3]!) === ABORT_TYPE
}
