/** CreatePartitions: more partitions for a topic. 2 flexible · 3 may answer THROTTLING_QUOTA_EXCEEDED. */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf } from '../schema.ts'

export const CreatePartitions = api(
  { key: 37, name: 'CreatePartitions', versions: [0, 3], flexibleFrom: 2 },
  {
    topics: arrayOf({
      name: 'string',
      count: 'int32',
      assignments: arrayOf({ brokerIds: 'int32[]' }, '?'),
    }),
    timeoutMs: 'int32',
    validateOnly: 'bool',
  },
  {
    throttleTimeMs: 'int32',
    results: arrayOf({ name: 'string', errorCode: 'int16', errorMessage: 'string?' }),
  },
)
export type CreatePartitionsRequest = RequestOf<typeof CreatePartitions>
export type CreatePartitionsResponse = ResponseOf<typeof CreatePartitions>
