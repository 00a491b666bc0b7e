/**
 * CreateTopics. 4 partitions and replication factor -1 mean the broker's defaults (KIP-464) · 5 flexible, settings of
 * the new topic in the answer (KIP-525) · 6 error 89 · 7 topic id in the answer.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf } from '../schema.ts'

export const CreateTopics = api(
  { key: 19, name: 'CreateTopics', versions: [2, 7], flexibleFrom: 5 },
  {
    topics: arrayOf({
      name: 'string',
      numPartitions: 'int32',
      replicationFactor: 'int16',
      assignments: arrayOf({ partitionIndex: 'int32', brokerIds: 'int32[]' }),
      configs: arrayOf({ name: 'string', value: 'string?' }),
    }),
    timeoutMs: 'int32 =60000',
    validateOnly: 'bool',
  },
  {
    throttleTimeMs: 'int32',
    topics: arrayOf({
      name: 'string',
      topicId: 'uuid @7+',
      errorCode: 'int16',
      errorMessage: 'string?',
      topicConfigErrorCode: 'int16 @5+ #0',
      numPartitions: 'int32 @5+ =-1',
      replicationFactor: 'int16 @5+ =-1',
      configs: arrayOf(
        {
          name: 'string',
          value: 'string?',
          readOnly: 'bool',
          configSource: 'int8 =-1',
          isSensitive: 'bool',
        },
        '? @5+',
      ),
    }),
  },
)
export type CreateTopicsRequest = RequestOf<typeof CreateTopics>
export type CreateTopicsResponse = ResponseOf<typeof CreateTopics>
