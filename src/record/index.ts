/**
 * record: the record batch (version 2), whose bytes are the same in the producer, on the wire, on disk and at the
 * consumer. `BatchWriter` encodes records into a batch, `batchesOf` finds the batches in received bytes, `RecordCursor`
 * walks records without making objects, the accessors read one header field each. Codecs and the older message formats
 * are imported on first use: `loadCodec` with `compressBatch` and `decompressBatch`, `convertLegacy`.
 */

// The log checks what it stores by these; the room below is the codecs' business.
export { BatchFault, checkBatch, checkBatchStored, crc32c } from '../native/index.ts'
export { BatchFilter, FilterResult, type RecordJudge } from './batch-filter.ts'
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
  deleteHorizonMs,
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
  setMaxTimestamp,
  setProducer,
  TimestampType,
  timestampType,
} from './batch-header.ts'
export { BatchWriter, type FinishOptions, type RecordHeader } from './batch-writer.ts'
export {
  type CompressedAndReturned,
  type CompressJob,
  type ConvertJob,
  codecJobs,
  type DecompressJob,
} from './codec-work.ts'
export { compressBatch, DECOMPRESSED_BATCH_BYTES_MAX, decompressBatch } from './compression/batch-compression.ts'
export { type Codec, type CodecLevels, type CodecName, type Memory, reusedMemory } from './compression/codec.ts'
export {
  checkLevel,
  codecLevels,
  codecName,
  codecNumber,
  loadCodec,
  loadedCodec,
} from './compression/codecs.ts'
export { readInt32, readInt64, writeInt32, writeInt64 } from './int64.ts'
export { convertLegacy } from './legacy/convert-legacy.ts'
export type { ConvertOptions, LegacyConversion } from './legacy/legacy-converter.ts'
export { isLegacy } from './legacy/legacy-message.ts'
export { batchesOf, LogRecord, RecordBatch } from './record-batch.ts'
export { RecordCursor } from './record-cursor.ts'
