/**
 * ListOffsets: the offset of a point in time, or of a named one: -1 end, -2 start, -3 highest timestamp (7), -4 earliest
 * kept locally (8), -5 latest tiered (9).
 * 1 one offset and its timestamp · 2 isolation level · 4 leader epochs · 6 flexible · 10 time-out.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf } from '../schema.ts'

export const ListOffsets = api(
  { key: 2, name: 'ListOffsets', versions: [1, 10], flexibleFrom: 6 },
  {
    // No default in Kafka either: a consumer must say -1.
    replicaId: 'int32',
    isolationLevel: 'int8 @2+',
    topics: arrayOf({
      name: 'string',
      partitions: arrayOf({
        partitionIndex: 'int32',
        currentLeaderEpoch: 'int32 @4+ =-1',
        timestamp: 'int64',
      }),
    }),
    timeoutMs: 'int32 @10+',
  },
  {
    throttleTimeMs: 'int32 @2+',
    topics: arrayOf({
      name: 'string',
      partitions: arrayOf({
        partitionIndex: 'int32',
        errorCode: 'int16',
        timestamp: 'int64 =-1',
        offset: 'int64 =-1',
        leaderEpoch: 'int32 @4+ =-1',
      }),
    }),
  },
)
export type ListOffsetsRequest = RequestOf<typeof ListOffsets>
export type ListOffsetsResponse = ResponseOf<typeof ListOffsets>
