/**
 * log: the append-only log of a partition in Kafka's files, and the directory that holds many of them. With what is
 * needed to make and read batches this is the package's main entry, `pagelog`.
 *
 *   const directory = await openLogDirectory('data')
 *   const log = await directory.create('events', 0)
 *   const { baseOffset } = await log.appendBatch(batch, log.leaderEpoch)  // bytes of a record batch, made by a BatchWriter
 *   for (const batch of batchesOf(await readBatches(log, baseOffset, 1 << 20))) for (const record of batch) …
 *   await directory.close()
 */
export { BatchWriter, batchesOf, LogRecord, RecordBatch, RecordCursor, type RecordHeader } from '../record/index.ts'
export type { AppendResult } from './append-queue.ts'
export type { PartitionName } from './file-names.ts'
export { Log, type LogOptions } from './log.ts'
export { LogDirectory, type LogDirectoryOptions } from './log-directory.ts'
export type { RecoveryReport } from './log-loader.ts'
export { type LogSettings, logSettings } from './log-settings.ts'
export { type OpenLogDirectoryOptions, openLogDirectory, readBatches } from './open-log-directory.ts'
export type { Slice, SliceOptions } from './slice-reader.ts'
export type { TimestampOffset } from './time-lookup.ts'
