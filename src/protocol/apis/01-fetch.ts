/**
 * Fetch: record batches from an offset on, for consumers and followers.
 * 4 isolation level · 5 log start offset · 7 sessions (KIP-227) · 9 leader epoch · 10 zstd · 11 rack, preferred read
 * replica (KIP-392) · 12 flexible, epoch of the last batch held (KIP-595) · 13 topics by id · 14 error 109 · 15 replica
 * state as a tag (KIP-903) · 16 endpoints of new leaders · 17 directory id of the follower · 18 its high watermark (KIP-1166).
 * appendedOffset is our own, between our brokers: what a follower has written of what it has fetched. Others skip the tag.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf, struct } from '../schema.ts'

export const Fetch = api(
  { key: 1, name: 'Fetch', versions: [4, 18], flexibleFrom: 12 },
  {
    clusterId: 'string? @12+ #0',
    replicaId: 'int32 @0-14 =-1',
    replicaState: struct({ replicaId: 'int32 =-1', replicaEpoch: 'int64 =-1' }, '@15+ #1'),
    maxWaitMs: 'int32',
    minBytes: 'int32',
    maxBytes: 'int32 =2147483647',
    isolationLevel: 'int8',
    sessionId: 'int32 @7+',
    sessionEpoch: 'int32 @7+ =-1',
    topics: arrayOf({
      topic: 'string @0-12',
      topicId: 'uuid @13+',
      partitions: arrayOf({
        partition: 'int32',
        currentLeaderEpoch: 'int32 @9+ =-1',
        fetchOffset: 'int64',
        lastFetchedEpoch: 'int32 @12+ =-1',
        logStartOffset: 'int64 @5+ =-1',
        partitionMaxBytes: 'int32',
        replicaDirectoryId: 'uuid @17+ #0',
        highWatermark: 'int64 @18+ #1 =9223372036854775807',
        appendedOffset: 'int64 @18+ #10000 =-1',
      }),
    }),
    forgottenTopicsData: arrayOf({ topic: 'string @0-12', topicId: 'uuid @13+', partitions: 'int32[]' }, '@7+'),
    rackId: 'string @11+',
  },
  {
    throttleTimeMs: 'int32',
    errorCode: 'int16 @7+',
    sessionId: 'int32 @7+',
    responses: arrayOf({
      topic: 'string @0-12',
      topicId: 'uuid @13+',
      partitions: arrayOf({
        partitionIndex: 'int32',
        errorCode: 'int16',
        highWatermark: 'int64',
        lastStableOffset: 'int64 =-1',
        logStartOffset: 'int64 @5+ =-1',
        divergingEpoch: struct({ epoch: 'int32 =-1', endOffset: 'int64 =-1' }, '@12+ #0'),
        currentLeader: struct({ leaderId: 'int32 =-1', leaderEpoch: 'int32 =-1' }, '@12+ #1'),
        snapshotId: struct({ endOffset: 'int64 =-1', epoch: 'int32 =-1' }, '@12+ #2'),
        abortedTransactions: arrayOf({ producerId: 'int64', firstOffset: 'int64' }, '?'),
        preferredReadReplica: 'int32 @11+ =-1',
        records: 'records?',
      }),
    }),
    nodeEndpoints: arrayOf({ nodeId: 'int32', host: 'string', port: 'int32', rack: 'string?' }, '@16+ #0'),
  },
)
export type FetchRequest = RequestOf<typeof Fetch>
export type FetchResponse = ResponseOf<typeof Fetch>
