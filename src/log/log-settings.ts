/**
 * The topic settings that a log honours now, with Kafka's names, defaults and bounds. Retention, compaction and the
 * other settings of a topic join the table with the code that obeys them.
 */
import type { SettingsOf } from '../base/index.ts'

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
    doc: 'Reserve the blocks of a segment file when it is begun.',
  },
} as const

export type LogSettings = SettingsOf<typeof logSettings>
