/**
 * InitProducerId, versions 0 - 5. Without a transactional id every call gets a new producer id with epoch 0, whatever id
 * it had before. With one, COORDINATOR_NOT_AVAILABLE: there is no transaction coordinator yet. An id without its epoch,
 * the other way round, or an empty transactional id: INVALID_REQUEST.
 */
import { ErrorCode } from '../../base/index.ts'
import { InitProducerId } from '../../protocol/index.ts'
import { handler } from '../handler.ts'

const refusal = (errorCode: number) => ({ errorCode, producerId: -1, producerEpoch: -1 })

export const initProducerId = handler({
  api: InitProducerId,
  async handle({ body }, session, broker) {
    const { transactionalId, producerId, producerEpoch } = body
    if ((producerId === -1) !== (producerEpoch === -1) || transactionalId === '')
      return refusal(ErrorCode.INVALID_REQUEST)
    if (transactionalId !== null) return refusal(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    try {
      return { producerId: await broker.producerIds.next(), producerEpoch: 0 }
    } catch (error) {
      // Kafka answers the same while its controller hands out no new block; clients try again.
      broker.logger.error({ remote: session.remote, error }, 'no producer id could be allocated')
      return refusal(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    }
  },
})
