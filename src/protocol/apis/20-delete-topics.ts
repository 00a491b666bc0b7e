/**
 * DeleteTopics. 3 error 73 · 4 flexible · 5 messages, error 89 · 6 by name or by id (KIP-516): another list in the request.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf } from '../schema.ts'

export const DeleteTopics = api(
  { key: 20, name: 'DeleteTopics', versions: [1, 6], flexibleFrom: 4 },
  {
    topics: arrayOf({ name: 'string?', topicId: 'uuid' }, '@6+'),
    topicNames: 'string[] @0-5',
    timeoutMs: 'int32',
  },
  {
    throttleTimeMs: 'int32',
    responses: arrayOf({
      name: 'string?6+',
      topicId: 'uuid @6+',
      errorCode: 'int16',
      errorMessage: 'string? @5+',
    }),
  },
)
export type DeleteTopicsRequest = RequestOf<typeof DeleteTopics>
export type DeleteTopicsResponse = ResponseOf<typeof DeleteTopics>
