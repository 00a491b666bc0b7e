/** The topic settings that a log honours, with Kafka's names, defaults and bounds. */
import type { SettingsOf } from '../base/index.ts'
import { codecLevels } from '../record/index.ts'
import { cleanerSettings } from './compaction/cleaner-settings.ts'

/** Long.MAX_VALUE in Kafka; here the largest safe integer, which no count of messages or milliseconds reaches. */
const NEVER = Number.MAX_SAFE_INTEGER
const NEVER_TEXT = '9223372036854775807'

export const logSettings = {
  segmentBytes: {
    name: 'segment.bytes',
    type: 'int',
    default: 1073741824,
    min: 1048576,
    doc: 'A segment file is closed and a new one begun before it would grow beyond this many bytes.',
  },
  segmentMs: {
    name: 'segment.ms',
    type: 'long',
    default: 604800000,
    min: 1,
    doc: 'A new segment is begun when a batch is this much younger than the first batch of the active segment, even when that is not full.',
  },
  segmentIndexBytes: {
    name: 'segment.index.bytes',
    type: 'int',
    default: 10485760,
    min: 24,
    doc: 'Largest size of the index files of a segment; a new segment is begun when one of them is full.',
  },
  indexIntervalBytes: {
    name: 'index.interval.bytes',
    type: 'int',
    default: 4096,
    min: 0,
    doc: 'An index entry is added about every so many bytes of batches: more entries, shorter scans, larger indexes.',
  },
  maxMessageBytes: {
    name: 'max.message.bytes',
    type: 'int',
    default: 1048588,
    min: 0,
    doc: 'The largest record batch that the log takes.',
  },
  messageTimestampType: {
    name: 'message.timestamp.type',
    type: 'string',
    default: 'CreateTime',
    oneOf: ['CreateTime', 'LogAppendTime'],
    doc: 'Whether records keep the time that their producer gave them or get the time of the append.',
  },
  flushMessages: {
    name: 'flush.messages',
    type: 'long',
    default: NEVER,
    defaultText: NEVER_TEXT,
    min: 1,
    doc: 'An append is answered only after fsync when so many records are not synced yet; 1 syncs before every answer (concurrent appends share one fsync).',
  },
  flushMs: {
    name: 'flush.ms',
    type: 'long',
    default: NEVER,
    defaultText: NEVER_TEXT,
    min: 0,
    doc: 'A record is synced to the device at the latest this long after it was appended.',
  },
  preallocate: {
    name: 'preallocate',
    type: 'boolean',
    default: false,
    doc: 'Reserve the blocks of a segment file when it is begun; what is left of them is given back when it is sealed.',
  },
  segmentJitterMs: {
    name: 'segment.jitter.ms',
    type: 'long',
    default: 0,
    min: 0,
    doc: 'Largest part taken off segment.ms, another for each segment, so that not all logs roll together.',
  },
  cleanupPolicy: {
    name: 'cleanup.policy',
    type: 'list',
    default: ['delete'] as readonly string[],
    oneOf: ['compact', 'delete'],
    doc: 'How old data goes: whole segments by age and size (delete), all but the newest record of each key (compact), or both.',
  },
  retentionMs: {
    name: 'retention.ms',
    type: 'long',
    default: 604800000,
    min: -1,
    doc: 'A partition drops segments whose records all are older than this; -1 never does.',
  },
  retentionBytes: {
    name: 'retention.bytes',
    type: 'long',
    default: -1,
    doc: 'A partition drops its oldest segments while the others have at least so many bytes; -1 never does.',
  },
  fileDeleteDelayMs: {
    name: 'file.delete.delay.ms',
    type: 'long',
    default: 60000,
    min: 0,
    doc: 'How long the files of a removed segment stay on disk.',
  },
  minCleanableDirtyRatio: {
    name: 'min.cleanable.dirty.ratio',
    type: 'double',
    default: 0.5,
    min: 0,
    max: 1,
    doc: 'Share of a compacted log that must be new before it is cleaned again.',
  },
  minCompactionLagMs: {
    name: 'min.compaction.lag.ms',
    type: 'long',
    default: 0,
    min: 0,
    doc: 'A record stays uncompacted at least so long.',
  },
  maxCompactionLagMs: {
    name: 'max.compaction.lag.ms',
    type: 'long',
    default: NEVER,
    defaultText: NEVER_TEXT,
    min: 1,
    doc: 'A record is compacted at the latest so long after it was written.',
  },
  deleteRetentionMs: {
    name: 'delete.retention.ms',
    type: 'long',
    default: 86400000,
    min: 0,
    doc: 'How long a deletion marker stays in a compacted log.',
  },
  compressionGzipLevel: {
    name: 'compression.gzip.level',
    type: 'int',
    ...codecLevels.gzip,
    noneOf: [0],
    doc: 'Level for batches that a broker or a compaction compresses with gzip: 1 (fast) to 9 (small), -1 what zlib takes for the best of both.',
  },
  compressionLz4Level: {
    name: 'compression.lz4.level',
    type: 'int',
    ...codecLevels.lz4,
    doc: 'Without effect: the library has the fast level of lz4 only.',
  },
  compressionZstdLevel: {
    name: 'compression.zstd.level',
    type: 'int',
    ...codecLevels.zstd,
    doc: 'Level for batches that a broker or a compaction compresses with zstd: higher is smaller and slower.',
  },
} as const

export type LogSettings = SettingsOf<typeof logSettings>

/** What holds for all logs of a directory together. */
export const logDirectorySettings = {
  logRetentionCheckIntervalMs: {
    name: 'log.retention.check.interval.ms',
    type: 'long',
    default: 300000,
    min: 1,
    doc: 'How often logs are looked at for segments that retention.ms or retention.bytes give up.',
  },
  flushOffsetCheckpointIntervalMs: {
    name: 'log.flush.offset.checkpoint.interval.ms',
    type: 'int',
    default: 60000,
    min: 1,
    doc: 'How often the recovery points of all logs are written: what was synced behind the last one is checked again after a crash. They are also written at close, and before a log is cut or compacted.',
  },
  producerIdExpirationMs: {
    name: 'producer.id.expiration.ms',
    type: 'int',
    default: 86400000,
    min: 1,
    doc: 'A log forgets an idempotent producer that has appended nothing to it for so long.',
  },
  openSegmentsMax: {
    name: 'pagelog.open.segments.max',
    type: 'int',
    default: 4096,
    min: 8,
    doc: 'Segments of a log directory whose file is open at the same time; the least recently used are closed first. One that is being read, sent or written stays open.',
  },
  indexMemoryMaxBytes: {
    name: 'pagelog.index.memory.max.bytes',
    type: 'long',
    default: 134217728,
    min: 65536,
    doc: 'Memory for the indexes of all open segments of a log directory; above it the least recently used are dropped and read again when needed.',
  },
  scrubBytesPerSecond: {
    name: 'pagelog.scrub.bytes.per.second',
    type: 'long',
    default: 33554432,
    min: 0,
    doc: 'How fast the logs are read through in the background for damaged batches, from a second after start on; a batch counts 512 bytes more than it has. 0: never.',
  },
  scrubIntervalMs: {
    name: 'pagelog.scrub.interval.ms',
    type: 'long',
    default: 604800000,
    min: 1,
    doc: 'How long after all logs have been read through for damage it is begun again.',
  },
  ...cleanerSettings,
} as const

export type LogDirectorySettings = SettingsOf<typeof logDirectorySettings>
