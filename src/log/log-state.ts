/** What the parts of one log share: where it stands. Only the log's own files touch it. */
import { hasCode, type Logger, Mutex, PagelogError } from '../base/index.ts'
import type { Workers } from '../env/index.ts'
import { channels, publish } from './diagnostics.ts'
import { DiscardedSegments } from './discarded-segments.ts'
import type { LeaderEpochCheckpoint } from './leader-epoch-checkpoint.ts'
import type { ProducerSnapshots } from './producer-snapshots.ts'
import type { ProducerState } from './producer-state.ts'
import type { Segment, SegmentContext } from './segment.ts'
import type { Segments } from './segments.ts'

/**
 * Puts an offset into the checkpoint file of the directory; resolves when the file on disk says it. A log lowers its
 * end or raises its start only behind that, so that no crash finds less in the files than the checkpoint claims.
 */
export interface OffsetPersistence {
  /** Raised: before segments below it are removed. Calls `take` as soon as the file says so: from then on it is the log's. */
  logStart(offset: number, take: () => void): Promise<void>
  /** Lowered: before segments above it are removed. */
  recoveryPoint(offset: number): Promise<void>
  /** Where compaction goes on: raised after it, lowered before segments above it are removed. */
  firstDirty(offset: number): Promise<void>
}

export interface LogCounters {
  /** Batches. */
  appends: number
  appendedBytes: number
  /** Gathered writes, of one batch or more each. */
  writes: number
  /** fdatasync of a segment file. */
  syncs: number
}

export class LogState {
  readonly context: SegmentContext
  readonly logger: Logger
  readonly segments: Segments
  readonly producers: ProducerState
  readonly snapshots: ProducerSnapshots
  readonly epochs: LeaderEpochCheckpoint
  readonly persist: OffsetPersistence
  /** For work that would keep the event loop too long. */
  readonly workers: Workers | undefined
  /** Of one batch: pagelog.decompressed.batch.max.bytes. */
  readonly decompressedBytesMax: number
  /** Held, one at a time, by whatever removes or replaces segments: trimming, truncation, retention, compaction's swap. */
  readonly structure = new Mutex()
  readonly discarded: DiscardedSegments
  /** Since the log was opened. */
  readonly counters: LogCounters = { appends: 0, appendedBytes: 0, writes: 0, syncs: 0 }
  logStartOffset: number
  /** Exclusive; what readers see. Behind it only bytes that the kernel has taken (reliability L1). */
  logEndOffset: number
  /** Exclusive; what the log's owner says is on enough replicas: without bound where there is one replica. */
  committedOffset = Number.POSITIVE_INFINITY
  /** Exclusive; what the kernel has taken: ahead of `logEndOffset` while an append waits for its fsync. */
  writtenEndOffset: number
  /** Exclusive; everything before it was synced to the device. Only grows after fsync. */
  recoveryPoint: number
  /** How often the end of the log was lowered, counted before and after: what was read between the two may be neither. */
  cuts = 0
  /** Compaction has made sure that before it no two records have the same key. */
  firstDirtyOffset: number
  /** Files were created in the directory that fsync of the directory has not covered yet (reliability L6). */
  hasUnsyncedNames = true
  isClosed = false
  /** The reason why the log is offline until restart (reliability L5). */
  failure: Error | undefined
  readonly #onFailure: (error: Error) => void
  readonly #stopListeners = new Set<() => void>()

  constructor(
    parts: Pick<
      LogState,
      | 'context'
      | 'logger'
      | 'segments'
      | 'producers'
      | 'snapshots'
      | 'epochs'
      | 'persist'
      | 'workers'
      | 'decompressedBytesMax'
    >,
    offsets: Pick<LogState, 'logStartOffset' | 'recoveryPoint' | 'firstDirtyOffset'>,
    onFailure: (error: Error) => void,
  ) {
    this.context = parts.context
    this.logger = parts.logger
    this.segments = parts.segments
    this.producers = parts.producers
    this.snapshots = parts.snapshots
    this.epochs = parts.epochs
    this.persist = parts.persist
    this.workers = parts.workers
    this.decompressedBytesMax = parts.decompressedBytesMax
    this.discarded = new DiscardedSegments(parts.context, (error) => this.fail(error))
    this.logStartOffset = offsets.logStartOffset
    this.recoveryPoint = offsets.recoveryPoint
    this.firstDirtyOffset = offsets.firstDirtyOffset
    this.logEndOffset = parts.segments.active.nextOffset
    this.writtenEndOffset = this.logEndOffset
    this.#onFailure = onFailure
  }

  /**
   * Loads a sealed segment for a use that may wait; pinned, it stays loaded until the caller says `unpin`. Others that
   * have long not been used are unloaded for it. Error: the `refusal`, when there is one by then.
   */
  async pin(segment: Segment): Promise<void> {
    segment.pins++
    try {
      await this.load(segment)
      const refusal = this.refusal()
      if (refusal !== undefined) {
        if (segment.pins === 1) await segment.unload() // others may be syncing it
        throw refusal
      }
    } catch (error) {
      segment.unpin()
      throw error
    }
  }

  /** Loads one that the caller has pinned already, as soon as the directory's limits have room for it. */
  async load(segment: Segment): Promise<void> {
    if (segment.isLoaded) return
    const { share } = this.context
    if (segment.isOpen || share === undefined) await segment.load()
    else await share.cache.within(() => segment.load())
  }

  unpin(segment: Segment): void {
    segment.unpin()
  }

  /** Makes the largest timestamp of a segment known. One that the log gave up meanwhile has the last one known, or none. */
  async loadTimes(segment: Segment): Promise<void> {
    if (segment.hasTimes || segment.isRetired) return
    try {
      if (await segment.readTimes()) return
      await this.pin(segment)
      this.unpin(segment)
    } catch (error) {
      if (!segment.isRetired) throw error
    }
  }

  /** Exclusive; what consumers may see. */
  get highWatermark(): number {
    return Math.min(this.committedOffset, this.logEndOffset)
  }

  /** Takes the log offline; the first failure is kept. */
  fail(error: Error): void {
    if (this.failure !== undefined) return
    const path = this.context.directory
    // Where even a full disk is final nobody must take it for a refusal, after which nothing is kept and all goes on.
    this.failure = hasCode(error, 'PAGELOG_DISK_FULL')
      ? new PagelogError('PAGELOG_STORAGE', 'no room for what has to be done', { cause: error, path })
      : error
    const { directory } = this.context
    this.logger.error({ err: this.failure, directory }, 'log is offline after a failed write')
    publish(channels.offline, () => ({ directory, error }))
    this.stopped()
    this.#onFailure(this.failure)
  }

  /** `listener` runs when the log closes or goes offline, and when its end is lowered. Returns the unsubscribe. */
  onStop(listener: () => void): () => void {
    this.#stopListeners.add(listener)
    return () => this.#stopListeners.delete(listener)
  }

  /** Nothing more comes, or not there: whoever waits at the end of the log must know. */
  stopped(): void {
    for (const listener of this.#stopListeners) listener()
  }

  /** Why nothing can be done with the log any more; undefined when all is well. */
  refusal(): PagelogError | undefined {
    const path = this.context.directory
    if (this.failure !== undefined) {
      return new PagelogError('PAGELOG_STORAGE', 'log directory is offline', { cause: this.failure, path })
    }
    return this.isClosed ? new PagelogError('PAGELOG_CLOSED', 'log is closed', { path }) : undefined
  }

  /** Throws the `refusal`, if there is one. */
  assertOpen(): void {
    const refusal = this.refusal()
    if (refusal !== undefined) throw refusal
  }
}
