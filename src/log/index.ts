/**
 * log: the append-only log of a partition in Kafka's files, and the directory that holds many of them.
 *
 *   const directory = await LogDirectory.open({ env: nodeEnv(), path, defaults: defaultsOf(logSettings) })
 *   const log = await directory.create('events', 0, topicId)
 *   const { baseOffset } = await log.append(batch, log.leaderEpoch)  // bytes of a record batch that passed checkBatch
 *   const slice = await log.read(baseOffset, 1 << 20)                // file regions, to be sent or released
 *   await directory.close()
 */
export type { AppendResult } from './append-queue.ts'
export type { PartitionName } from './file-names.ts'
export { Log, type LogOptions } from './log.ts'
export { LogDirectory, type LogDirectoryOptions } from './log-directory.ts'
export type { RecoveryReport } from './log-loader.ts'
export { type LogSettings, logSettings } from './log-settings.ts'
export type { ReadOptions, Slice } from './slice-reader.ts'
export type { TimestampOffset } from './time-lookup.ts'
