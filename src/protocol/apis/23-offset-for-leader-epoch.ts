/**
 * OffsetForLeaderEpoch: where a leader epoch ended, by which followers and consumers find where their log parts from the
 * leader's (KIP-101, KIP-320). 2 fences by the current leader epoch · 3 replica id · 4 flexible.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf } from '../schema.ts'

export const OffsetForLeaderEpoch = api(
  { key: 23, name: 'OffsetForLeaderEpoch', versions: [2, 4], flexibleFrom: 4 },
  {
    replicaId: 'int32 @3+ =-2',
    topics: arrayOf({
      topic: 'string',
      partitions: arrayOf({
        partition: 'int32',
        currentLeaderEpoch: 'int32 =-1',
        leaderEpoch: 'int32',
      }),
    }),
  },
  {
    throttleTimeMs: 'int32',
    topics: arrayOf({
      topic: 'string',
      partitions: arrayOf({
        errorCode: 'int16',
        partition: 'int32',
        leaderEpoch: 'int32 =-1',
        endOffset: 'int64 =-1',
      }),
    }),
  },
)
export type OffsetForLeaderEpochRequest = RequestOf<typeof OffsetForLeaderEpoch>
export type OffsetForLeaderEpochResponse = ResponseOf<typeof OffsetForLeaderEpoch>
