/**
 * InitProducerId: a producer id and epoch, for idempotence (no transactional id) and transactions.
 * 2 flexible · 3 the id and epoch held so far (KIP-360) · 4 error 90 · 5 error 120. Version 6 is not stable in Kafka 4.1.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'

export const InitProducerId = api(
  { key: 22, name: 'InitProducerId', versions: [0, 5], flexibleFrom: 2 },
  {
    transactionalId: 'string?',
    transactionTimeoutMs: 'int32',
    producerId: 'int64 @3+ =-1',
    producerEpoch: 'int16 @3+ =-1',
  },
  {
    throttleTimeMs: 'int32',
    errorCode: 'int16',
    producerId: 'int64 =-1',
    producerEpoch: 'int16',
  },
)
export type InitProducerIdRequest = RequestOf<typeof InitProducerId>
export type InitProducerIdResponse = ResponseOf<typeof InitProducerId>
