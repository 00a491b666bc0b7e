/**
 * Metadata: brokers, topics, partition leaders. All topics are asked for by null, in version 0 (which has no null) by
 * an empty list; the default of `topics` means all in both.
 * 1 racks, controller, internal topics · 2 cluster id · 3 throttle time · 4 auto-creation by wish · 5 offline replicas ·
 * 7 leader epochs · 8 authorized operations · 9 flexible · 10 topic ids · 11 no cluster operations any more ·
 * 12 look-up by id · 13 an error for the whole answer.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf } from '../schema.ts'

export const Metadata = api(
  { key: 3, name: 'Metadata', versions: [0, 13], flexibleFrom: 9 },
  {
    topics: arrayOf({ topicId: 'uuid @10+', name: 'string?10+' }, '?1+'),
    allowAutoTopicCreation: 'bool @4+ =true',
    includeClusterAuthorizedOperations: 'bool @8-10',
    includeTopicAuthorizedOperations: 'bool @8+',
  },
  {
    throttleTimeMs: 'int32 @3+',
    brokers: arrayOf({ nodeId: 'int32', host: 'string', port: 'int32', rack: 'string? @1+' }),
    clusterId: 'string? @2+',
    controllerId: 'int32 @1+ =-1',
    topics: arrayOf({
      errorCode: 'int16',
      name: 'string?12+',
      topicId: 'uuid @10+',
      isInternal: 'bool @1+',
      partitions: arrayOf({
        errorCode: 'int16',
        partitionIndex: 'int32',
        leaderId: 'int32',
        leaderEpoch: 'int32 @7+ =-1',
        replicaNodes: 'int32[]',
        isrNodes: 'int32[]',
        offlineReplicas: 'int32[] @5+',
      }),
      topicAuthorizedOperations: 'int32 @8+ =-2147483648',
    }),
    clusterAuthorizedOperations: 'int32 @8-10 =-2147483648',
    errorCode: 'int16 @13+',
  },
)
export type MetadataRequest = RequestOf<typeof Metadata>
export type MetadataResponse = ResponseOf<typeof Metadata>
