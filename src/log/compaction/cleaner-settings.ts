/** The settings of a log directory's cleaner, with Kafka's names, defaults and bounds. */
import { defaultsOf, type SettingsOf } from '../../base/index.ts'
import { DECOMPRESSED_BATCH_BYTES_MAX } from '../../record/index.ts'

export const cleanerSettings = {
  cleanerEnable: {
    name: 'log.cleaner.enable',
    type: 'boolean',
    default: true,
    doc: 'Whether logs with cleanup.policy=compact are compacted by themselves.',
  },
  cleanerThreads: {
    name: 'log.cleaner.threads',
    type: 'int',
    default: 1,
    min: 0,
    doc: 'Logs that are compacted at the same time; each takes a worker thread. log.cleaner.io.max.bytes.per.second and the memory below are divided between them.',
  },
  cleanerBackoffMs: {
    name: 'log.cleaner.backoff.ms',
    type: 'long',
    default: 15000,
    min: 1,
    doc: 'How often the cleaner looks for logs to compact when there were none.',
  },
  cleanerDedupeBufferSize: {
    name: 'log.cleaner.dedupe.buffer.size',
    type: 'long',
    default: 134217728,
    min: 1048576,
    doc: 'Most memory for the keys of one pass over a log; a log with more of them needs several passes. It is taken only while a log is compacted, and no more than its records can need.',
  },
  cleanerIoBufferSize: {
    name: 'log.cleaner.io.buffer.size',
    type: 'int',
    default: 524288,
    min: 8192,
    doc: 'Memory for reading and writing; a larger batch takes more.',
  },
  cleanerIoBufferLoadFactor: {
    name: 'log.cleaner.io.buffer.load.factor',
    type: 'double',
    default: 0.9,
    min: 0.1,
    max: 0.95,
    doc: 'How full the memory for keys may become: fuller holds more keys and finds them more slowly.',
  },
  cleanerIoMaxBytesPerSecond: {
    name: 'log.cleaner.io.max.bytes.per.second',
    type: 'double',
    default: Number.MAX_VALUE,
    defaultText: '1.7976931348623157E308',
    min: 1,
    max: Number.MAX_VALUE,
    doc: 'Most bytes a second that compaction reads and writes together.',
  },
  decompressedBatchMaxBytes: {
    name: 'pagelog.decompressed.batch.max.bytes',
    type: 'int',
    default: DECOMPRESSED_BATCH_BYTES_MAX,
    min: 1048576,
    doc: 'A batch whose records decompress to more is refused with MESSAGE_TOO_LARGE by a broker, and all that are checked at the same time take no more together. For who reads a log in the process it is PAGELOG_TOO_LARGE, and compaction leaves it as it is.',
  },
} as const

export type CleanerSettings = SettingsOf<typeof cleanerSettings>

/** What one of the compactions that may run at the same time may take of a directory's. */
export interface CompactionLimits {
  readonly dedupeBufferBytes: number
  readonly ioBufferBytes: number
  readonly loadFactor: number
  /** Infinity: no limit. */
  readonly bytesPerSecond: number
  /** Of one batch: pagelog.decompressed.batch.max.bytes. */
  readonly decompressedBytesMax: number
}

export function compactionLimitsOf(settings: CleanerSettings = defaultsOf(cleanerSettings)): CompactionLimits {
  const threads = Math.max(1, settings.cleanerThreads)
  const rate = settings.cleanerIoMaxBytesPerSecond
  return {
    dedupeBufferBytes: Math.max(1048576, Math.floor(settings.cleanerDedupeBufferSize / threads)),
    ioBufferBytes: Math.max(8192, Math.floor(settings.cleanerIoBufferSize / threads / 2)),
    loadFactor: settings.cleanerIoBufferLoadFactor,
    decompressedBytesMax: settings.decompressedBatchMaxBytes,
    bytesPerSecond: rate === Number.MAX_VALUE ? Number.POSITIVE_INFINITY : rate / threads,
  }
}
