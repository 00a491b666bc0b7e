/**
 * A run of uncompressed legacy messages that become one batch: measured first, so that the batch is written into one
 * buffer without an object per record.
 */
import { crc32c } from '../../native/index.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  NO_PRODUCER,
  setBaseOffset,
  setCrc,
  setLastOffsetDelta,
  setLogAppendTime,
  writeHeader,
} from '../batch-header.ts'
import { fitted } from '../compression/codec.ts'
import { sizeOfLength, sizeOfVarlong, writeLength, writeVarlong } from '../varint.ts'
import type { LegacyMessage } from './legacy-message.ts'

/** A record of version 2 without headers takes this beside its key and value at most. */
const RECORD_OVERHEAD_MAX = 32
const INT32_MAX = 0x7fffffff
const ZIGZAG_MINUS_ONE = 1

export class MessageRun {
  readonly start: number
  /** Position after the last message. */
  end: number
  firstOffset = -1
  /** Of the last message, before {@link MessageRun.toBatch} adds its shift. */
  lastOffset = -1
  #count = 0
  #bytes = 0
  #firstTimestamp = -1
  #maxTimestamp = -1

  constructor(start: number) {
    this.start = start
    this.end = start
  }

  get count(): number {
    return this.#count
  }

  /** Takes the message that the view stands on; false, and nothing changed, when its offset cannot follow. */
  add(message: LegacyMessage): boolean {
    const { offset, timestamp } = message
    if (this.#count === 0) {
      if (offset < 0) return false
      this.firstOffset = offset
      this.#firstTimestamp = timestamp
    } else if (offset <= this.lastOffset || offset - this.firstOffset > INT32_MAX) return false
    this.#bytes += RECORD_OVERHEAD_MAX + Math.max(message.keyLength, 0) + Math.max(message.valueLength, 0)
    this.#maxTimestamp = Math.max(this.#maxTimestamp, timestamp)
    this.lastOffset = offset
    this.end = message.end
    this.#count++
    return true
  }

  /**
   * The batch: no producer, leader epoch -1. `shift` is added to every offset; `appendTime` other than -1 is the log
   * append time of all. `message` is a view of the same bytes, without checks: they were made when measuring.
   */
  toBatch(message: LegacyMessage, shift: number, appendTime: number): Uint8Array {
    const output = new Uint8Array(BATCH_HEADER_BYTES + this.#bytes)
    const isAppendTime = appendTime !== -1
    let at = BATCH_HEADER_BYTES
    for (let position = this.start; position < this.end; position = message.end) {
      message.read(position)
      const delta = isAppendTime ? 0 : message.timestamp - this.#firstTimestamp
      at = writeRecord(output, at, message, delta, message.offset - this.firstOffset)
    }
    const batch = fitted(output, at)
    const times = isAppendTime
      ? { baseTimestamp: appendTime, maxTimestamp: appendTime }
      : { baseTimestamp: this.#firstTimestamp, maxTimestamp: this.#maxTimestamp }
    writeHeader(batch, at, this.#count, times, NO_PRODUCER)
    setBaseOffset(batch, 0, this.firstOffset + shift)
    setLastOffsetDelta(batch, 0, this.lastOffset - this.firstOffset)
    if (isAppendTime) setLogAppendTime(batch, 0, appendTime)
    setCrc(batch, 0, crc32c(batch, ATTRIBUTES_AT, at))
    return batch
  }
}

function writeRecord(output: Uint8Array, start: number, message: LegacyMessage, time: number, offset: number): number {
  const { keyLength, valueLength } = message
  const size = 1 + sizeOfVarlong(time) + sizeOfLength(offset) + sizeOfField(keyLength) + sizeOfField(valueLength) + 1
  let at = writeLength(output, start, size)
  output[at++] = 0
  at = writeVarlong(output, at, time)
  at = writeLength(output, at, offset)
  at = writeField(output, at, message.key())
  at = writeField(output, at, message.value())
  output[at++] = 0 // no headers
  return at
}

function sizeOfField(length: number): number {
  return length < 0 ? 1 : sizeOfLength(length) + length
}

function writeField(output: Uint8Array, start: number, bytes: Uint8Array | null): number {
  if (bytes === null) {
    output[start] = ZIGZAG_MINUS_ONE
    return start + 1
  }
  const at = writeLength(output, start, bytes.length)
  output.set(bytes, at)
  return at + bytes.length
}
