/**
 * Structural check of one record batch in plain JavaScript: the twin of native/batch_check.cc, whose header draws the
 * layout. Answers the same for every input; used where there is no addon.
 */
import { BatchFault } from './batch-fault.ts'
import { checkRange } from './check-range.ts'
import { crc32c } from './crc32c.ts'

const LOG_OVERHEAD = 12
const MAGIC_END = 17
const HEADER = 61
const CRC_FROM = 21
const OLDEST_MESSAGE_MIN = 14 // the shortest entry of any format: nothing below is a length at all
const INT32_MAX = 0x7fffffff

/** Size of the batch at `position`, or a {@link BatchFault}: all that a client's append must satisfy. */
export function checkBatch(bytes: Uint8Array, position: number, end: number): number {
  const size = checkFrame(bytes, position, end)
  if (size < 0) return size
  const count = int32At(bytes, position + 57)
  if (count < 1 || int32At(bytes, position + 23) !== count - 1) return BatchFault.COUNT
  const compressed = (bytes[position + 22]! & 0x07) !== 0
  const control = (bytes[position + 22]! & 0x20) !== 0
  if (!compressed && !control && !recordsFill(bytes, position + HEADER, position + size, count)) {
    return BatchFault.RECORDS
  }
  return size
}

/** The same for a batch as it may lie in a log: compaction leaves gaps and empty batches, so records are not walked. */
export function checkBatchStored(bytes: Uint8Array, position: number, end: number): number {
  const size = checkFrame(bytes, position, end)
  if (size < 0) return size
  if (int32At(bytes, position + 57) < 0 || int32At(bytes, position + 23) < 0) return BatchFault.COUNT
  return size
}

function checkFrame(bytes: Uint8Array, position: number, end: number): number {
  checkRange(bytes, position, end)
  const available = end - position
  if (available < LOG_OVERHEAD) return BatchFault.INCOMPLETE
  const length = int32At(bytes, position + 8)
  if (length < OLDEST_MESSAGE_MIN || length > INT32_MAX - LOG_OVERHEAD) return BatchFault.SIZE
  if (available < MAGIC_END) return BatchFault.INCOMPLETE
  if (bytes[position + 16] !== 2) return BatchFault.MAGIC
  const size = LOG_OVERHEAD + length
  if (size < HEADER) return BatchFault.SIZE
  if (size > available) return BatchFault.INCOMPLETE
  const crc = crc32c(bytes, position + CRC_FROM, position + size)
  return crc === int32At(bytes, position + 17) >>> 0 ? size : BatchFault.CRC
}

function int32At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}

// The walk keeps its place here rather than in objects: it never runs re-entrantly.
let cursor = 0
let failed = false

function recordsFill(bytes: Uint8Array, from: number, end: number, count: number): boolean {
  cursor = from
  failed = false
  for (let index = 0; index < count; index++) {
    const raw = varint(bytes, end)
    if (failed || (raw & 1) !== 0) return false
    const next = cursor + (raw >>> 1)
    if (next > end || !recordIsWhole(bytes, next, index)) return false
  }
  return cursor === end
}

function recordIsWhole(bytes: Uint8Array, end: number, offsetDelta: number): boolean {
  if (cursor >= end) return false
  cursor++ // attributes
  skipVarlong(bytes, end)
  if (failed || varint(bytes, end) !== (offsetDelta << 1) >>> 0 || failed) return false
  skipField(bytes, end, true)
  skipField(bytes, end, true)
  const headers = varint(bytes, end)
  if (failed || (headers & 1) !== 0) return false
  for (let left = headers >>> 1; left > 0 && !failed; left--) {
    skipField(bytes, end, false)
    skipField(bytes, end, true)
  }
  return !failed && cursor === end
}

/** A length-prefixed field; `noneAllowed`: whether -1 may stand for none. */
function skipField(bytes: Uint8Array, end: number, noneAllowed: boolean): void {
  const raw = varint(bytes, end)
  if ((raw & 1) !== 0) {
    if (raw !== 1 || !noneAllowed) failed = true
    return
  }
  cursor += raw >>> 1
  if (cursor > end) failed = true
}

/** The raw varint, before zig-zag, as an unsigned number; bits beyond 32 are dropped. */
function varint(bytes: Uint8Array, end: number): number {
  let value = 0
  for (let shift = 0; shift < 35 && cursor < end; shift += 7) {
    const byte = bytes[cursor++]!
    value |= (byte & 0x7f) << shift
    if (byte < 0x80) return value >>> 0
  }
  failed = true
  return 0
}

function skipVarlong(bytes: Uint8Array, end: number): void {
  for (let i = 0; i < 10 && cursor < end; i++) {
    if (bytes[cursor++]! < 0x80) return
  }
  failed = true
}
