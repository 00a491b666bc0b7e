/**
 * The header of a record batch, version 2 (61 bytes, big endian). The same bytes lie in the producer's buffer, on the
 * wire, in the page cache and on disk; only base offset and leader epoch are rewritten by a broker.
 *
 *   at  size  field                     at  size  field
 *    0     8  base offset               27     8  base timestamp (or delete horizon, attribute bit 6)
 *    8     4  batch length (size - 12)  35     8  max timestamp
 *   12     4  leader epoch              43     8  producer id, -1 none
 *   16     1  magic = 2                 51     2  producer epoch
 *   17     4  CRC-32C of bytes 21…end   53     4  base sequence
 *   21     2  attributes                57     4  record count
 *   23     4  last offset delta         61        records
 *
 * Attributes: bits 0-2 compression, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon.
 * Every accessor takes the bytes and the position of the batch in them and checks nothing: the whole header must be
 * there, which `batchSize` cannot know.
 */
import { readInt16, readInt32, readInt64, writeInt16, writeInt32, writeInt64 } from './int64.ts'

export const BATCH_HEADER_BYTES = 61
/** Bytes of a batch before what its length field counts: base offset and the length itself. */
export const LOG_OVERHEAD_BYTES = 12
export const MAGIC_V2 = 2

const LENGTH_AT = 8
const LEADER_EPOCH_AT = 12
const MAGIC_AT = 16
const CRC_AT = 17
export const ATTRIBUTES_AT = 21
const LAST_OFFSET_DELTA_AT = 23
const BASE_TIMESTAMP_AT = 27
const MAX_TIMESTAMP_AT = 35
const PRODUCER_ID_AT = 43
const PRODUCER_EPOCH_AT = 51
const BASE_SEQUENCE_AT = 53
const RECORD_COUNT_AT = 57

const COMPRESSION_BITS = 0x07
const TIMESTAMP_TYPE_BIT = 0x08
const TRANSACTIONAL_BIT = 0x10
const CONTROL_BIT = 0x20
const DELETE_HORIZON_BIT = 0x40
const NO_TIMESTAMP = -1

export const Compression = { NONE: 0, GZIP: 1, SNAPPY: 2, LZ4: 3, ZSTD: 4 } as const
export type Compression = (typeof Compression)[keyof typeof Compression]
export const TimestampType = { CREATE_TIME: 0, LOG_APPEND_TIME: 1 } as const

/** Bytes of the whole batch, header included. */
export function batchSize(bytes: Uint8Array, position: number): number {
  return readInt32(bytes, position + LENGTH_AT) + LOG_OVERHEAD_BYTES
}
/** The CRC does not cover it. */
export function setBatchSize(bytes: Uint8Array, position: number, size: number): void {
  writeInt32(bytes, position + LENGTH_AT, size - LOG_OVERHEAD_BYTES)
}
export function baseOffset(bytes: Uint8Array, position: number): number {
  return readInt64(bytes, position)
}
export function setBaseOffset(bytes: Uint8Array, position: number, offset: number): void {
  writeInt64(bytes, position, offset)
}
export function leaderEpoch(bytes: Uint8Array, position: number): number {
  return readInt32(bytes, position + LEADER_EPOCH_AT)
}
export function setLeaderEpoch(bytes: Uint8Array, position: number, epoch: number): void {
  writeInt32(bytes, position + LEADER_EPOCH_AT, epoch)
}
export function magic(bytes: Uint8Array, position: number): number {
  return bytes[position + MAGIC_AT]!
}
/** As stored, unsigned. */
export function crc(bytes: Uint8Array, position: number): number {
  return readInt32(bytes, position + CRC_AT) >>> 0
}
export function setCrc(bytes: Uint8Array, position: number, value: number): void {
  writeInt32(bytes, position + CRC_AT, value)
}
export function attributes(bytes: Uint8Array, position: number): number {
  return readInt16(bytes, position + ATTRIBUTES_AT)
}
export function isControl(bytes: Uint8Array, position: number): boolean {
  return (bytes[position + ATTRIBUTES_AT + 1]! & CONTROL_BIT) !== 0
}
export function isTransactional(bytes: Uint8Array, position: number): boolean {
  return (bytes[position + ATTRIBUTES_AT + 1]! & TRANSACTIONAL_BIT) !== 0
}
/** {@link TimestampType}: 0 create time, 1 log append time. */
export function timestampType(bytes: Uint8Array, position: number): 0 | 1 {
  return (bytes[position + ATTRIBUTES_AT + 1]! & TIMESTAMP_TYPE_BIT) !== 0 ? 1 : 0
}
/** The codec's number, see {@link Compression}; 5 to 7 are unassigned but can be stored. */
export function compression(bytes: Uint8Array, position: number): number {
  return bytes[position + ATTRIBUTES_AT + 1]! & COMPRESSION_BITS
}
/** The CRC is wrong afterwards, as after every change from the attributes on. */
export function setCompression(bytes: Uint8Array, position: number, codec: Compression): void {
  const at = position + ATTRIBUTES_AT + 1
  bytes[at] = (bytes[at]! & ~COMPRESSION_BITS) | codec
}
/**
 * When compaction may drop the tombstones or the transaction marker of this batch (KIP-534); -1 before it has been set.
 * It stands in place of the base timestamp, which the records' timestamps are then relative to.
 */
export function deleteHorizonMs(bytes: Uint8Array, position: number): number {
  const isSet = (bytes[position + ATTRIBUTES_AT + 1]! & DELETE_HORIZON_BIT) !== 0
  return isSet ? readInt64(bytes, position + BASE_TIMESTAMP_AT) : -1
}
export function setDeleteHorizon(bytes: Uint8Array, position: number, horizonMs: number): void {
  bytes[position + ATTRIBUTES_AT + 1] = bytes[position + ATTRIBUTES_AT + 1]! | DELETE_HORIZON_BIT
  writeInt64(bytes, position + BASE_TIMESTAMP_AT, horizonMs)
}
export function lastOffsetDelta(bytes: Uint8Array, position: number): number {
  return readInt32(bytes, position + LAST_OFFSET_DELTA_AT)
}
export function setLastOffsetDelta(bytes: Uint8Array, position: number, delta: number): void {
  writeInt32(bytes, position + LAST_OFFSET_DELTA_AT, delta)
}
export function lastOffset(bytes: Uint8Array, position: number): number {
  return readInt64(bytes, position) + readInt32(bytes, position + LAST_OFFSET_DELTA_AT)
}
export function baseTimestamp(bytes: Uint8Array, position: number): number {
  return readInt64(bytes, position + BASE_TIMESTAMP_AT)
}
export function maxTimestamp(bytes: Uint8Array, position: number): number {
  return readInt64(bytes, position + MAX_TIMESTAMP_AT)
}
/** The CRC is wrong afterwards. */
export function setMaxTimestamp(bytes: Uint8Array, position: number, timestampMs: number): void {
  writeInt64(bytes, position + MAX_TIMESTAMP_AT, timestampMs)
}
export function producerId(bytes: Uint8Array, position: number): number {
  return readInt64(bytes, position + PRODUCER_ID_AT)
}
export function producerEpoch(bytes: Uint8Array, position: number): number {
  return readInt16(bytes, position + PRODUCER_EPOCH_AT)
}
export function baseSequence(bytes: Uint8Array, position: number): number {
  return readInt32(bytes, position + BASE_SEQUENCE_AT)
}
export function recordCount(bytes: Uint8Array, position: number): number {
  return readInt32(bytes, position + RECORD_COUNT_AT)
}

/**
 * Turns a batch of the producer's times into one of the broker's: all its records count as written at `timestampMs`.
 * The CRC is wrong afterwards; the caller computes it anew with `setCrc`.
 */
export function setLogAppendTime(bytes: Uint8Array, position: number, timestampMs: number): void {
  bytes[position + ATTRIBUTES_AT + 1] = bytes[position + ATTRIBUTES_AT + 1]! | TIMESTAMP_TYPE_BIT
  writeInt64(bytes, position + MAX_TIMESTAMP_AT, timestampMs)
}

/** Of a batch whose records were thinned out: size, record count, largest timestamp. The caller computes the CRC anew. */
export function setRemaining(
  bytes: Uint8Array,
  position: number,
  size: number,
  count: number,
  timestampMs: number,
): void {
  writeInt32(bytes, position + LENGTH_AT, size - LOG_OVERHEAD_BYTES)
  writeInt64(bytes, position + MAX_TIMESTAMP_AT, timestampMs)
  writeInt32(bytes, position + RECORD_COUNT_AT, count)
}

/** Turns the header of a batch into that of one without records: no compression, no horizon, no base timestamp. */
export function setEmpty(bytes: Uint8Array, position: number): void {
  bytes[position + ATTRIBUTES_AT + 1] = bytes[position + ATTRIBUTES_AT + 1]! & ~(COMPRESSION_BITS | DELETE_HORIZON_BIT)
  writeInt64(bytes, position + BASE_TIMESTAMP_AT, NO_TIMESTAMP)
  setRemaining(bytes, position, BATCH_HEADER_BYTES, 0, maxTimestamp(bytes, position))
}

/** What a batch without idempotence has for a producer. */
export const NO_PRODUCER: ProducerFields = { producerId: -1, producerEpoch: -1, baseSequence: -1 }

export interface ProducerFields {
  /** -1 without idempotence. */
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly transactional?: boolean
}

/** Puts a batch into a producer's sequence; `transactional` stays. The CRC is wrong afterwards. */
export function setProducer(bytes: Uint8Array, position: number, producer: ProducerFields): void {
  writeInt64(bytes, position + PRODUCER_ID_AT, producer.producerId)
  writeInt16(bytes, position + PRODUCER_EPOCH_AT, producer.producerEpoch)
  writeInt32(bytes, position + BASE_SEQUENCE_AT, producer.baseSequence)
}

/** Writes everything but the CRC of an uncompressed batch at position 0: base offset 0, leader epoch -1. */
export function writeHeader(
  bytes: Uint8Array,
  size: number,
  count: number,
  times: { readonly baseTimestamp: number; readonly maxTimestamp: number },
  producer: ProducerFields,
): void {
  writeInt64(bytes, 0, 0)
  writeInt32(bytes, LENGTH_AT, size - LOG_OVERHEAD_BYTES)
  writeInt32(bytes, LEADER_EPOCH_AT, -1)
  bytes[MAGIC_AT] = MAGIC_V2
  writeInt16(bytes, ATTRIBUTES_AT, producer.transactional ? TRANSACTIONAL_BIT : 0)
  writeInt32(bytes, LAST_OFFSET_DELTA_AT, count - 1)
  writeInt64(bytes, BASE_TIMESTAMP_AT, times.baseTimestamp)
  writeInt64(bytes, MAX_TIMESTAMP_AT, times.maxTimestamp)
  writeInt64(bytes, PRODUCER_ID_AT, producer.producerId)
  writeInt16(bytes, PRODUCER_EPOCH_AT, producer.producerEpoch)
  writeInt32(bytes, BASE_SEQUENCE_AT, producer.baseSequence)
  writeInt32(bytes, RECORD_COUNT_AT, count)
}
