/** Why a batch of an idempotent or transactional producer, or the marker of a coordinator, is not appended (KIP-98). */
import { ErrorCode, PagelogError } from '../base/index.ts'
import type { ProducerBatch } from './producer-batch.ts'
import { Admission, type ProducerState } from './producer-state.ts'

/** Undefined when it may be. Requires that it is no duplicate. */
export function producerRefusal(producers: ProducerState, batch: ProducerBatch): PagelogError | undefined {
  const { producerId: id, producerEpoch: epoch, firstSequence, marker } = batch
  const admission =
    marker === undefined
      ? producers.admit(id, epoch, firstSequence)
      : producers.admitMarker(id, epoch, marker.coordinatorEpoch)
  switch (admission) {
    case Admission.ACCEPTED:
      return undefined
    case Admission.OLD_EPOCH:
      return refused(ErrorCode.INVALID_PRODUCER_EPOCH, `epoch ${epoch} of producer ${id} is not the newest`)
    case Admission.OUT_OF_ORDER:
      return refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, `sequence ${firstSequence} of producer ${id} leaves a gap`)
    case Admission.OLD_COORDINATOR:
      return refused(
        ErrorCode.TRANSACTION_COORDINATOR_FENCED,
        `coordinator epoch ${marker?.coordinatorEpoch} of a marker of producer ${id} is not the newest`,
      )
  }
}

function refused(kafkaCode: number, message: string): PagelogError {
  return new PagelogError('PAGELOG_REFUSED', message, { kafkaCode })
}
