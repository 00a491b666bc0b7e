/** Why a batch is not appended, by what it is. */
import { ErrorCode, PagelogError } from '../base/index.ts'
import { BATCH_HEADER_BYTES, baseOffset, batchSize, lastOffsetDelta } from '../record/index.ts'
import type { LogSettings } from './log-settings.ts'

export function sizeRefusal(batch: Uint8Array, settings: LogSettings): PagelogError | undefined {
  const { maxMessageBytes, segmentBytes } = settings
  if (batch.length < BATCH_HEADER_BYTES || batchSize(batch, 0) !== batch.length || lastOffsetDelta(batch, 0) < 0) {
    return new PagelogError('PAGELOG_INVALID_ARGUMENT', 'append takes the bytes of exactly one record batch')
  }
  if (batch.length > maxMessageBytes) {
    return refused(
      ErrorCode.MESSAGE_TOO_LARGE,
      `batch of ${batch.length} bytes is above max.message.bytes=${maxMessageBytes}`,
    )
  }
  if (batch.length > segmentBytes) {
    return refused(
      ErrorCode.RECORD_LIST_TOO_LARGE,
      `batch of ${batch.length} bytes is above segment.bytes=${segmentBytes}`,
    )
  }
  return undefined
}

/** Epochs never decrease along a log (reliability L2). `newest`: of what is queued as well. */
export function epochRefusal(leaderEpoch: number, newest: number): PagelogError | undefined {
  return leaderEpoch < newest
    ? refused(ErrorCode.FENCED_LEADER_EPOCH, `leader epoch ${leaderEpoch} is older than the log's ${newest}`)
    : undefined
}

/** A replica's batches follow one another; only compaction leaves gaps. `next`: the offset behind what is queued. */
export function gapRefusal(batches: Uint8Array, next: number, settings: LogSettings): PagelogError | undefined {
  const first = baseOffset(batches, 0)
  if (first === next || (settings.cleanupPolicy.includes('compact') && first > next)) return undefined
  return refused(ErrorCode.CORRUPT_MESSAGE, `a batch at offset ${first} where ${next} was expected`)
}

function refused(kafkaCode: number, message: string): PagelogError {
  return new PagelogError('PAGELOG_REFUSED', message, { kafkaCode })
}
