/**
 * Produce: record batches to the leaders of their partitions. acks=0 has no response at all.
 * 3 transactional id, message format v2 · 5 log start offset · 7 zstd allowed · 8 faults per record · 9 flexible ·
 * 10 the leader to go to instead, as tags (KIP-951) · 11 error 120 · 12 adds partitions to a transaction by itself
 * (KIP-890) · 13 topics by id (KIP-516). 0 - 2 are advertised and refused: old librdkafka compresses only where it sees them.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf, struct } from '../schema.ts'

export const Produce = api(
  { key: 0, name: 'Produce', versions: [3, 13], flexibleFrom: 9, advertisedMin: 0 },
  {
    transactionalId: 'string?',
    acks: 'int16',
    timeoutMs: 'int32',
    topicData: arrayOf({
      name: 'string @0-12',
      topicId: 'uuid @13+',
      partitionData: arrayOf({
        index: 'int32',
        records: 'records?',
      }),
    }),
  },
  {
    responses: arrayOf({
      name: 'string @0-12',
      topicId: 'uuid @13+',
      partitionResponses: arrayOf({
        index: 'int32',
        errorCode: 'int16',
        baseOffset: 'int64',
        logAppendTimeMs: 'int64 =-1',
        logStartOffset: 'int64 @5+ =-1',
        recordErrors: arrayOf({ batchIndex: 'int32', batchIndexErrorMessage: 'string?' }, '@8+'),
        errorMessage: 'string? @8+',
        currentLeader: struct({ leaderId: 'int32 =-1', leaderEpoch: 'int32 =-1' }, '@10+ #0'),
      }),
    }),
    throttleTimeMs: 'int32',
    nodeEndpoints: arrayOf({ nodeId: 'int32', host: 'string', port: 'int32', rack: 'string?' }, '@10+ #0'),
  },
)
export type ProduceRequest = RequestOf<typeof Produce>
export type ProduceResponse = ResponseOf<typeof Produce>
