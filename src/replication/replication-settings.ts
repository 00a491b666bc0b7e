/** Kafka's settings of replication, with its defaults. */
import type { SettingsOf, SettingsTable } from '../base/index.ts'

export const replicationSettings = {
  replicaLagTimeMaxMs: {
    name: 'replica.lag.time.max.ms',
    type: 'long',
    default: 30000,
    min: 1,
    doc: 'A follower that has not had all of its leader for so long leaves the in-sync replicas.',
  },
  replicaLagMaxBytes: {
    name: 'pagelog.replica.lag.max.bytes',
    type: 'long',
    default: 8388608,
    min: 0,
    doc: 'So far a partition may be ahead of its followers in sync before acks=1 and acks=0 wait for them; 0: not bounded.',
  },
  replicaFetchMaxBytes: {
    name: 'replica.fetch.max.bytes',
    type: 'int',
    default: 1048576,
    min: 0,
    doc: 'Most bytes of one partition in an answer to a follower; the first batch always goes whole.',
  },
  replicaFetchMinBytes: {
    name: 'replica.fetch.min.bytes',
    type: 'int',
    default: 1,
    min: 0,
    doc: 'A leader waits for so many bytes before it answers a follower.',
  },
  replicaFetchWaitMaxMs: {
    name: 'replica.fetch.wait.max.ms',
    type: 'int',
    default: 500,
    min: 1,
    doc: 'How long it waits at most; below replica.lag.time.max.ms, or quiet partitions lose their followers.',
  },
  replicaFetchResponseMaxBytes: {
    name: 'replica.fetch.response.max.bytes',
    type: 'int',
    default: 10485760,
    min: 0,
    doc: 'Most bytes of all partitions in an answer to a follower; it holds two of them at most for each leader.',
  },
  replicaFetchBackoffMs: {
    name: 'replica.fetch.backoff.ms',
    type: 'int',
    default: 1000,
    min: 0,
    doc: 'Longest pause before a follower tries again after an error; the first ones are shorter.',
  },
  replicaSocketTimeoutMs: {
    name: 'replica.socket.timeout.ms',
    type: 'int',
    default: 30000,
    min: 1,
    doc: 'A leader that does not answer a follower for so long is connected to anew.',
  },
  replicaHighWatermarkCheckpointIntervalMs: {
    name: 'replica.high.watermark.checkpoint.interval.ms',
    type: 'long',
    default: 5000,
    min: 1,
    doc: 'How often high watermarks are written to replication-offset-checkpoint.',
  },
  maxIncrementalFetchSessionCacheSlots: {
    name: 'max.incremental.fetch.session.cache.slots',
    type: 'int',
    default: 1000,
    min: 0,
    doc: 'Fetch sessions that are remembered; followers come first.',
  },
} as const satisfies SettingsTable

export type ReplicationSettings = SettingsOf<typeof replicationSettings>
