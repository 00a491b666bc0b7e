/**
 * What Kafka looks at in the records of a compressed batch: that they decompress, are as many as the header says and
 * numbered without gaps, their timestamps, their keys where the topic is compacted. And the same batch in another codec,
 * where the topic's compression.type wants one. Synchronous, and nothing but data in and out: it runs in a worker thread
 * or in place.
 *
 * A frame that does not decompress though the CRC is right is INVALID_RECORD: the producer made it so, and sending it
 * again cannot help. (Kafka 4.1 has UNKNOWN_SERVER_ERROR for most of it, which helps nobody to find the fault.) Records
 * beyond the bound are MESSAGE_TOO_LARGE, on which Java's producer splits the batch; Kafka has no bound.
 */
import { ErrorCode, PagelogError } from '../base/index.ts'
import {
  BatchFault,
  type Codec,
  Compression,
  checkBatch,
  compressBatch,
  compression,
  decompressBatch,
  maxTimestamp,
  RecordCursor,
  reusedMemory,
  setMaxTimestamp,
} from '../record/index.ts'

export interface BatchVerdict {
  readonly errorCode: number
  readonly message: string | null
  readonly recordErrors?: readonly { readonly batchIndex: number; readonly batchIndexErrorMessage: string | null }[]
}

export interface InspectionRules {
  /** Most bytes that the records may decompress to. */
  readonly maxBytes: number
  /** Most bytes of the batch in its new codec: max.message.bytes. */
  readonly maxBatchBytes: number
  /** Number of the codec that the batch shall have. */
  readonly codec: number
  readonly level: number | undefined
  /** The topic is compacted. */
  readonly needsKeys: boolean
  /** Inclusive bounds; undefined where the broker's time counts. */
  readonly times: { readonly oldestMs: number; readonly newestMs: number } | undefined
}

export interface Inspection {
  /** Undefined: the batch may be appended. */
  readonly verdict: BatchVerdict | undefined
  /** The batch in its new codec, to be appended instead. */
  readonly batch: Uint8Array | undefined
  /** The largest of the records, where their times count: what the header has to say. */
  readonly maxTimestampMs: number | undefined
  /** Decompressed; 0 when it does not decompress within the bound. */
  readonly plainBytes: number
}

/** The codec that the batch has, and the one that it shall have. */
export interface InspectionCodecs {
  readonly from: Codec
  readonly to: Codec
}

const NO_TIMESTAMP = -1
const cursor = new RecordCursor()
/** Of batches as large as Kafka allows by default, and as they usually compress; others get memory of their own. */
const KEPT_BYTES_MAX = 2 * 1024 * 1024
const reused = reusedMemory(KEPT_BYTES_MAX)

/** Requires a whole batch of one of the two codecs' kind, its header and CRC checked. */
export function inspect(batch: Uint8Array, rules: InspectionRules, { from, to }: InspectionCodecs): Inspection {
  let plain = batch
  let maxTimestampMs: number | undefined
  let verdict: BatchVerdict | undefined
  try {
    if (compression(batch, 0) !== Compression.NONE) {
      // What is to be appended must stay; what is only looked at need not.
      const memory = from !== to && to.compression === Compression.NONE ? undefined : reused
      plain = decompressBatch(batch, from, rules.maxBytes, memory)
      verdict = checkRecords(plain, rules)
      if (verdict === undefined && rules.times !== undefined) maxTimestampMs = newest
    }
    if (verdict !== undefined) return refused(verdict, plain.length)
    if (from === to) return { verdict: undefined, batch: undefined, maxTimestampMs, plainBytes: plain.length }
    // Before it is compressed, which makes the CRC; plain and compressed have the same header.
    if (maxTimestampMs !== undefined && maxTimestamp(plain, 0) !== maxTimestampMs)
      setMaxTimestamp(plain, 0, maxTimestampMs)
    const recoded = to.compression === Compression.NONE ? plain : compressBatch(plain, to, rules.level)
    if (recoded.length <= rules.maxBatchBytes) {
      return { verdict: undefined, batch: recoded, maxTimestampMs, plainBytes: plain.length }
    }
    const message = `a batch of ${recoded.length} bytes as ${to.name}, max.message.bytes is ${rules.maxBatchBytes}`
    return refused({ errorCode: ErrorCode.MESSAGE_TOO_LARGE, message }, plain.length)
  } catch (error) {
    return refused(verdictOf(error))
  }
}

/** What an error of a codec is on the wire; errors of another kind are thrown again. */
export function verdictOf(error: unknown): BatchVerdict {
  if (error instanceof PagelogError) {
    const { kafkaCode, message } = error
    if (kafkaCode !== undefined) return { errorCode: kafkaCode, message }
    if (error.code === 'PAGELOG_TOO_LARGE') return { errorCode: ErrorCode.MESSAGE_TOO_LARGE, message }
    if (error.code === 'PAGELOG_CORRUPT' || error.code === 'PAGELOG_UNSUPPORTED') return invalid(message)
  }
  throw error
}

export function refused(verdict: BatchVerdict, plainBytes = 0): Inspection {
  return { verdict, batch: undefined, maxTimestampMs: undefined, plainBytes }
}

let newest = 0

function checkRecords(plain: Uint8Array, { needsKeys, times }: InspectionRules): BatchVerdict | undefined {
  const fault = checkBatch(plain, 0, plain.length)
  if (fault < 0) {
    const reason = fault === BatchFault.RECORDS ? 'do not fill the batch exactly' : 'are not what the header says'
    return invalid(`the decompressed records ${reason}`)
  }
  if (times === undefined && !needsKeys) return undefined
  const { oldestMs, newestMs } = times ?? { oldestMs: Number.NEGATIVE_INFINITY, newestMs: Number.POSITIVE_INFINITY }
  newest = NO_TIMESTAMP
  cursor.reset(plain, 0)
  for (let index = 0; cursor.next(); index++) {
    const { timestamp } = cursor
    if (needsKeys && cursor.keyLength < 0) return keyless(index)
    if (timestamp !== NO_TIMESTAMP && (timestamp < oldestMs || timestamp > newestMs)) return untimely(index, timestamp)
    if (timestamp > newest) newest = timestamp
  }
  return undefined
}

export function keyless(index: number): BatchVerdict {
  return ofRecord(ErrorCode.INVALID_RECORD, index, 'A record of a compacted topic needs a key.')
}

function untimely(index: number, timestamp: number): BatchVerdict {
  const limits = 'message.timestamp.before.max.ms or message.timestamp.after.max.ms'
  return ofRecord(ErrorCode.INVALID_TIMESTAMP, index, `timestamp ${timestamp} is outside ${limits}`)
}

function ofRecord(errorCode: number, index: number, message: string): BatchVerdict {
  return { errorCode, message, recordErrors: [{ batchIndex: index, batchIndexErrorMessage: message }] }
}

export function invalid(message: string): BatchVerdict {
  return { errorCode: ErrorCode.INVALID_RECORD, message }
}
