/**
 * ElectLeaders: elections on request, of preferred leaders (0) or of any live replica (1), for some partitions or (null)
 * for all. 1 election types, an error for the whole answer (KIP-460) · 2 flexible.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf } from '../schema.ts'

export const ElectLeaders = api(
  { key: 43, name: 'ElectLeaders', versions: [0, 2], flexibleFrom: 2 },
  {
    electionType: 'int8 @1+',
    topicPartitions: arrayOf({ topic: 'string', partitions: 'int32[]' }, '?'),
    timeoutMs: 'int32 =60000',
  },
  {
    throttleTimeMs: 'int32',
    errorCode: 'int16 @1+',
    replicaElectionResults: arrayOf({
      topic: 'string',
      partitionResult: arrayOf({ partitionId: 'int32', errorCode: 'int16', errorMessage: 'string?' }),
    }),
  },
)
export type ElectLeadersRequest = RequestOf<typeof ElectLeaders>
export type ElectLeadersResponse = ResponseOf<typeof ElectLeaders>
