/**
 * What happens to logs, told on node:diagnostics_channel: `subscribe('pagelog:log.roll', (event) => …)`. All channels are
 * listed here. Events are published after the fact, synchronously; without a subscriber none is made.
 */
import { type Channel, openChannel } from '../env/index.ts'

/** `directory` is the path of the log's own directory in all of them. */
export interface RollEvent {
  readonly directory: string
  /** The new active segment. */
  readonly baseOffset: number
  /** Bytes of the one that was sealed. */
  readonly sealedBytes: number
}

export interface RecoveryEvent {
  readonly directory: string
  readonly cleanShutdown: boolean
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly batchesScanned: number
  readonly bytesDropped: number
  /** Why the log was cut; undefined when it was not. */
  readonly reason: string | undefined
}

export interface TrimEvent {
  readonly directory: string
  readonly logStartOffset: number
  readonly segments: number
  readonly bytes: number
}

export interface TruncateEvent {
  readonly directory: string
  readonly logEndOffset: number
  /** How far the log went before. */
  readonly formerEndOffset: number
  readonly bytes: number
}

export interface CompactionEvent {
  readonly directory: string
  /** Base offsets of the segments that went. */
  readonly segments: readonly number[]
  readonly bytesBefore: number
  readonly bytesAfter: number
  readonly recordsBefore: number
  readonly recordsAfter: number
  readonly durationMs: number
}

export interface FailureEvent {
  readonly directory: string
  readonly error: Error
}

export const channels = {
  /** A segment was sealed and the next one begun. */
  roll: openChannel<RollEvent>('pagelog:log.roll'),
  /** A log was opened. */
  recovery: openChannel<RecoveryEvent>('pagelog:log.recovery'),
  /** Segments went by retention.ms or retention.bytes. */
  retention: openChannel<TrimEvent>('pagelog:log.retention'),
  /** `trimBefore` raised the start of a log. */
  trim: openChannel<TrimEvent>('pagelog:log.trim'),
  /** `truncateTo` lowered the end of a log. */
  truncate: openChannel<TruncateEvent>('pagelog:log.truncate'),
  /** A run of segments was replaced by what compaction kept of it. */
  compaction: openChannel<CompactionEvent>('pagelog:log.compaction'),
  /** A failed write, fsync or rename took a log offline until restart, and its directory with it. */
  offline: openChannel<FailureEvent>('pagelog:log.offline'),
  /** Appends were refused, since the disk is full; the log goes on when there is room. */
  diskFull: openChannel<FailureEvent>('pagelog:log.disk-full'),
} as const

/** Makes and publishes an event, if anybody listens. */
export function publish<T>(channel: Channel<T>, event: () => T): void {
  if (channel.hasSubscribers) channel.publish(event())
}
