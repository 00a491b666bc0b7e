/**
 * What a client may append, in the order in which Kafka 4.1 looks at it, so that a batch with several faults gets the
 * same error: one batch per partition, its format, then base offset, size, CRC, counts, control bit, producer fields,
 * timestamps, keys. Of a compressed batch only header and CRC are looked at here; its records are inspected afterwards
 * (record-inspector.ts), where the settings ask for it.
 */
import { ErrorCode } from '../base/index.ts'
import type { Clock } from '../env/index.ts'
import { BatchFault, checkBatch } from '../native/index.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  baseSequence,
  baseTimestamp,
  batchSize,
  Compression,
  compression,
  isControl,
  LOG_OVERHEAD_BYTES,
  MAGIC_V2,
  magic,
  maxTimestamp,
  producerId,
  RecordCursor,
} from '../record/index.ts'
import { type BatchVerdict, invalid, keyless } from './record-inspection.ts'
import type { TopicSettings } from './topic-settings.ts'

/** The smallest length that any of Kafka's message formats can announce. */
const SMALLEST_LENGTH = 14
const MAGIC_AT = 16
const NO_TIMESTAMP = -1

/** undefined when the first batch in `records` may be appended, or inspected (`isInspected`, if it is compressed). */
export function checkProducedRecords(
  records: Uint8Array | null,
  settings: TopicSettings,
  version: number,
  clock: Clock,
  isInspected: (codec: number) => boolean,
): BatchVerdict | undefined {
  if (records === null) return invalid('no record batch')
  const verdict = checkFraming(records)
  if (verdict) return verdict
  const codec = compression(records, 0)
  if (codec === Compression.ZSTD && version < 7) {
    return { errorCode: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, message: 'zstd needs Produce version 7 or later' }
  }
  if (baseOffset(records, 0) !== 0) return invalid('the base offset of a produced batch must be 0')
  const size = batchSize(records, 0)
  if (size > settings.maxMessageBytes) {
    return tooLarge(ErrorCode.MESSAGE_TOO_LARGE, size, 'max.message.bytes', settings.maxMessageBytes)
  }
  const checked = checkBatch(records, 0, size)
  if (checked < 0) return faultOf(checked)
  if (codec > Compression.ZSTD) {
    return { errorCode: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, message: `unknown compression codec ${codec}` }
  }
  if (isControl(records, 0)) return invalid('clients may not write control batches')
  if (producerId(records, 0) >= 0 && baseSequence(records, 0) < 0) return invalid('a producer id without a sequence')
  if (size > settings.segmentBytes) {
    return tooLarge(ErrorCode.RECORD_LIST_TOO_LARGE, size, 'segment.bytes', settings.segmentBytes)
  }
  if (codec !== Compression.NONE && isInspected(codec)) return undefined
  return checkTimestamps(records, settings, clock) ?? checkKeys(records, settings)
}

/** Exactly one batch of format 2; a remainder too short to be a batch does not count, as in Kafka. */
function checkFraming(records: Uint8Array): BatchVerdict | undefined {
  const first = framedSize(records, 0)
  if (first === -2) return corrupt('the batch has an impossible length or format')
  if (first === -1) return invalid('no whole record batch')
  if (magic(records, 0) !== MAGIC_V2) return invalid('only message format v2 is taken')
  if (first < BATCH_HEADER_BYTES) return corrupt('the batch is shorter than its header')
  const second = framedSize(records, first)
  if (second === -2) return corrupt('a second batch has an impossible length or format')
  if (second >= 0) return invalid('more than one record batch for a partition')
  return undefined
}

/** Size of the batch at `position`; -1: not wholly there; -2: can be no batch. */
function framedSize(records: Uint8Array, position: number): number {
  const left = records.length - position
  if (left < LOG_OVERHEAD_BYTES) return -1
  const size = batchSize(records, position)
  if (size - LOG_OVERHEAD_BYTES < SMALLEST_LENGTH) return -2
  if (left <= MAGIC_AT) return -1
  const format = records[position + MAGIC_AT]!
  if (format > MAGIC_V2) return -2
  return size > left ? -1 : size
}

/** By the header's timestamps; only a limit on old records, which is not the default, costs a walk. */
function checkTimestamps(records: Uint8Array, settings: TopicSettings, clock: Clock): BatchVerdict | undefined {
  if (settings.messageTimestampType !== 'CreateTime') return undefined
  const nowMs = clock.nowMs()
  const newest = Math.max(maxTimestamp(records, 0), baseTimestamp(records, 0))
  if (newest !== NO_TIMESTAMP && newest - nowMs > settings.messageTimestampAfterMaxMs) {
    return invalidTimestamp(newest, 'message.timestamp.after.max.ms', settings.messageTimestampAfterMaxMs)
  }
  if (settings.messageTimestampBeforeMaxMs >= Number.MAX_SAFE_INTEGER) return undefined
  const oldest = oldestTimestamp(records)
  if (oldest !== NO_TIMESTAMP && nowMs - oldest > settings.messageTimestampBeforeMaxMs) {
    return invalidTimestamp(oldest, 'message.timestamp.before.max.ms', settings.messageTimestampBeforeMaxMs)
  }
  return undefined
}

function oldestTimestamp(records: Uint8Array): number {
  if (compression(records, 0) !== Compression.NONE) return baseTimestamp(records, 0)
  const cursor = new RecordCursor()
  cursor.reset(records, 0)
  let oldest = Number.MAX_SAFE_INTEGER
  while (cursor.next()) oldest = Math.min(oldest, cursor.timestamp)
  return oldest
}

/** A compacted topic is a table: a record without a key has no place in it. */
function checkKeys(records: Uint8Array, settings: TopicSettings): BatchVerdict | undefined {
  if (!settings.cleanupPolicy.includes('compact') || compression(records, 0) !== Compression.NONE) return undefined
  const cursor = new RecordCursor()
  cursor.reset(records, 0)
  for (let index = 0; cursor.next(); index++) {
    if (cursor.keyLength < 0) return keyless(index)
  }
  return undefined
}

function faultOf(fault: number): BatchVerdict {
  switch (fault) {
    case BatchFault.COUNT:
      return invalid('record count and last offset delta contradict each other')
    case BatchFault.RECORDS:
      return invalid('the records do not fill the batch exactly')
    case BatchFault.CRC:
      return corrupt('the CRC does not match')
    default:
      return corrupt('the batch is damaged')
  }
}

function corrupt(message: string): BatchVerdict {
  return { errorCode: ErrorCode.CORRUPT_MESSAGE, message }
}

function tooLarge(errorCode: number, size: number, setting: string, limit: number): BatchVerdict {
  return { errorCode, message: `a batch of ${size} bytes, ${setting} is ${limit}` }
}

function invalidTimestamp(timestamp: number, setting: string, limit: number): BatchVerdict {
  return { errorCode: ErrorCode.INVALID_TIMESTAMP, message: `timestamp ${timestamp} is outside ${setting}=${limit}` }
}
