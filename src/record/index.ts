/**
 * record: the record batch (version 2), whose bytes are the same in the producer, on the wire, on disk and at the
 * consumer. `BatchWriter` encodes records into a batch, `batchesOf` finds the batches in received bytes, `RecordCursor`
 * walks records without making objects, the accessors read one header field each.
 */

// The log checks what it stores by these; the room below is the codecs' business.
export { checkBatchStored, crc32c } from '../native/index.ts'
export {
  ATTRIBUTES_AT,
  attributes,
  BATCH_HEADER_BYTES,
  baseOffset,
  baseSequence,
  baseTimestamp,
  batchSize,
  Compression,
  compression,
  crc,
  isControl,
  isTransactional,
  LOG_OVERHEAD_BYTES,
  lastOffset,
  lastOffsetDelta,
  leaderEpoch,
  MAGIC_V2,
  magic,
  maxTimestamp,
  type ProducerFields,
  producerEpoch,
  producerId,
  recordCount,
  setBaseOffset,
  setCrc,
  setLeaderEpoch,
  setLogAppendTime,
  TimestampType,
  timestampType,
} from './batch-header.ts'
export { BatchWriter, type FinishOptions, type RecordHeader } from './batch-writer.ts'
export { readInt32, readInt64, writeInt32, writeInt64 } from './int64.ts'
export { batchesOf, LogRecord, RecordBatch } from './record-batch.ts'
export { RecordCursor } from './record-cursor.ts'
