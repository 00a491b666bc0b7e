/**
 * What a stored or appended batch says of its producer: id, epoch, sequences, and whether it belongs to a transaction or
 * ends one. A transaction ends with a *marker*: a control batch of one record (KIP-98).
 *
 *   key    int16 version = 0 | int16 type: 0 ABORT, 1 COMMIT, others do not concern producers
 *   value  int16 version = 0 | int32 coordinator epoch
 */
import {
  baseOffset,
  baseSequence,
  isControl,
  isTransactional,
  lastOffsetDelta,
  maxTimestamp,
  producerEpoch,
  producerId,
  RecordCursor,
} from '../record/index.ts'

const SEQUENCE_MAX = 0x7fffffff
const ABORT = 0
const COMMIT = 1
const KEY_BYTES = 4
const VALUE_BYTES = 6

export interface EndMarker {
  readonly isCommit: boolean
  readonly coordinatorEpoch: number
}

export interface ProducerBatch {
  readonly producerId: number
  readonly producerEpoch: number
  /** -1: a marker, or a batch without sequences. */
  readonly firstSequence: number
  /** Inclusive; smaller than the first when the sequence wrapped. */
  readonly lastSequence: number
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  readonly timestampMs: number
  readonly isTransactional: boolean
  /** Ends the transaction of its producer. */
  readonly marker: EndMarker | undefined
}

/**
 * Of the batch at `at` in `bytes`, whole there when it is a control batch. Undefined when it has no producer id or is a
 * control batch that ends no transaction.
 */
export function readProducerBatch(
  bytes: Uint8Array,
  at: number,
  first: number = baseOffset(bytes, at),
  timestampMs: number = maxTimestamp(bytes, at),
): ProducerBatch | undefined {
  const id = producerId(bytes, at)
  if (id < 0) return undefined
  const marker = isControl(bytes, at) ? readMarker(bytes, at) : undefined
  if (marker === undefined && isControl(bytes, at)) return undefined
  const delta = lastOffsetDelta(bytes, at)
  const firstSequence = marker === undefined ? baseSequence(bytes, at) : -1
  return {
    producerId: id,
    producerEpoch: producerEpoch(bytes, at),
    firstSequence,
    lastSequence: firstSequence < 0 ? -1 : lastSequenceOf(firstSequence, delta),
    baseOffset: first,
    lastOffset: first + delta,
    timestampMs,
    isTransactional: isTransactional(bytes, at),
    marker,
  }
}

/** Last sequence of a batch: sequences wrap from 2^31-1 to 0. */
export function lastSequenceOf(firstSequence: number, lastOffsetDelta: number): number {
  const last = firstSequence + lastOffsetDelta
  return last > SEQUENCE_MAX ? last - SEQUENCE_MAX - 1 : last
}

export function nextSequence(lastSequence: number): number {
  return lastSequence === SEQUENCE_MAX ? 0 : lastSequence + 1
}

function readMarker(bytes: Uint8Array, at: number): EndMarker | undefined {
  const cursor = new RecordCursor()
  cursor.reset(bytes, at)
  if (!cursor.next() || cursor.keyLength < KEY_BYTES) return undefined
  const type = int16At(cursor.bytes, cursor.keyStart + 2)
  if (type !== ABORT && type !== COMMIT) return undefined
  // A marker without its value still ends the transaction: that of any coordinator.
  const coordinatorEpoch = cursor.valueLength < VALUE_BYTES ? -1 : int32At(cursor.bytes, cursor.valueStart + 2)
  return { isCommit: type === COMMIT, coordinatorEpoch }
}

function int16At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}
function int32At(bytes: Uint8Array, at: number): number {
  return (int16At(bytes, at) << 16) | int16At(bytes, at + 2)
}
