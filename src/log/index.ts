/**
 * log: the append-only log of a partition in Kafka's files, and the directory that holds many of them. With what is
 * needed to make and read batches this is the package's main entry, `pagelog`.
 *
 *   await using directory = await openLogDirectory('data')             // or close it yourself
 *   const log = await directory.open('events')
 *   const { baseOffset } = await log.append([{ value }, { key, value }], { durability: 'fsync' })
 *   for await (const batch of log.read({ from: baseOffset })) for (const record of batch) …
 */

export { hasCode, type Logger, type OperatingErrorCode, PagelogError } from '../base/index.ts'
export type { NodeReadable, NodeWritable } from '../env/index.ts'
export { BatchWriter, batchesOf, LogRecord, RecordBatch, RecordCursor, type RecordHeader } from '../record/index.ts'
export type { AppendResult } from './append-queue.ts'
export type { CleanerStats } from './compaction/cleaner.ts'
export type { CompactionReport } from './compaction/compaction-report.ts'
export type { CompactOptions } from './compaction/compactor.ts'
export type {
  CompactionEvent,
  FailureEvent,
  RecoveryEvent,
  RollEvent,
  TrimEvent,
  TruncateEvent,
} from './diagnostics.ts'
export type { PartitionName } from './file-names.ts'
export type { EpochEnd } from './leader-epoch-checkpoint.ts'
export { Log, type LogOptions } from './log.ts'
export { LogDirectory } from './log-directory.ts'
export type { LogDirectoryOptions, OpenLogOptions } from './log-directory-options.ts'
export type { RecoveryReport } from './log-opening.ts'
export { LogReader, type ReadOptions } from './log-reader.ts'
export type { LogReplica, ReplicatedAppend } from './log-replica.ts'
export { type LogDirectorySettings, type LogSettings, logDirectorySettings, logSettings } from './log-settings.ts'
export type { LogDirectoryStats, LogStats } from './log-stats.ts'
export { randomId, storedClusterId } from './meta-properties.ts'
export { type PartitionOffset, type PartitionOffsets, readOffsetCheckpoint } from './offset-checkpoint.ts'
export { OffsetCheckpointWriter } from './offset-checkpoint-writer.ts'
export { repairLog, verifyLog } from './on-demand.ts'
export { type OpenLogDirectoryOptions, openLogDirectory } from './open-log-directory.ts'
export type { AppendOptions, Durability, RecordInput } from './record-input.ts'
export type { StreamOptions, WriteStreamOptions } from './record-streams.ts'
export type { RemovedBytes, RepairedLog, RepairOptions, RepairReport } from './repair.ts'
export type { ScrubStats } from './scrubber.ts'
export type { Slice, SliceOptions } from './slice-reader.ts'
export type { TimestampOffset } from './time-lookup.ts'
export type { AbortedTransaction } from './transaction-index.ts'
export type { EndOptions, Trimmed } from './trimming.ts'
export type { VerifyOptions } from './verify.ts'
export type { LogProblem, LogProblemKind, VerifyProgress, VerifyReport } from './verify-report.ts'
