/**
 * The log of one partition: batches of records with rising offsets in Kafka's files. It knows no sockets and no topics.
 *
 *   log start offset ≤ … visible … < log end offset (= high watermark until replication)
 *   recovery point: everything before it is on the device
 *
 * Appends are answered when the kernel has their bytes (with flush.messages, when the device has). A crash of the
 * process loses nothing that was answered; a crash of the machine what lies above the recovery point.
 */
import { type Logger, PagelogError, silentLogger } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import type { AppendResult } from './append-queue.ts'
import { Appender } from './appender.ts'
import { Flusher } from './flusher.ts'
import { loadLog, type RecoveryReport } from './log-loader.ts'
import type { LogSettings } from './log-settings.ts'
import { LogState } from './log-state.ts'
import type { SegmentContext } from './segment.ts'
import { type Slice, type SliceOptions, SliceReader } from './slice-reader.ts'
import { firstNotOlder, newest, type TimestampOffset } from './time-lookup.ts'

export interface LogOptions {
  readonly env: Pick<Env, 'disk' | 'clock'>
  /** Exists already. One log a directory, one process a directory: the caller (LogDirectory) sees to it. */
  readonly directory: string
  readonly settings: LogSettings
  /** Exclusive; everything before it is known to be on the device. 0 when unknown. */
  readonly recoveryPoint: number
  /** The last process closed the log; false checks every batch above the recovery point. */
  readonly cleanShutdown: boolean
  /** Where an empty directory begins; records before it are not served. 0 by default. */
  readonly logStartOffset?: number
  readonly logger?: Logger
  /** Called once, when a failed write, fsync or rename takes the log offline. */
  readonly onFailure?: (error: Error) => void
}

export class Log {
  readonly directory: string
  /** What opening found and did. */
  readonly recovery: RecoveryReport
  readonly settings: LogSettings
  readonly #state: LogState
  readonly #flusher: Flusher
  readonly #appender: Appender
  readonly #reader: SliceReader
  #closing: Promise<void> | undefined
  #stopping: Promise<void> | undefined

  private constructor(state: LogState, recovery: RecoveryReport) {
    this.#state = state
    this.#flusher = new Flusher(state)
    this.#appender = new Appender(state, this.#flusher)
    this.#reader = new SliceReader(state)
    this.directory = state.context.directory
    this.settings = state.context.settings
    this.recovery = recovery
  }

  /** Opens or begins the log in `directory`, recovering unless `cleanShutdown`. Errors: PAGELOG_CORRUPT, PAGELOG_STORAGE. */
  static async open(options: LogOptions): Promise<Log> {
    const { disk, clock } = options.env
    const logger = options.logger ?? silentLogger
    const { directory, settings, recoveryPoint, cleanShutdown, logStartOffset = 0 } = options
    const context: SegmentContext = { disk, clock, directory, settings }
    const loaded = await loadLog({ context, logger, logStartOffset, recoveryPoint, cleanShutdown })
    const { segments, report } = loaded
    const end = segments.active.nextOffset
    const offsets = {
      logStartOffset: Math.min(Math.max(logStartOffset, segments.first.baseOffset), end),
      recoveryPoint: cleanShutdown ? end : Math.min(recoveryPoint, end),
    }
    return new Log(new LogState({ ...loaded, context, logger }, offsets, options.onFailure ?? (() => {})), report)
  }

  get logStartOffset(): number {
    return this.#state.logStartOffset
  }
  /** Exclusive; only what the kernel has taken. */
  get logEndOffset(): number {
    return this.#state.logEndOffset
  }
  /** Exclusive; what consumers may see. */
  get highWatermark(): number {
    return this.#state.logEndOffset
  }
  /** Exclusive; everything before it was synced to the device. */
  get recoveryPoint(): number {
    return Math.min(this.#state.recoveryPoint, this.#state.logEndOffset)
  }
  /** The newest leader epoch of the log, at least 0: the least that `append` takes. */
  get leaderEpoch(): number {
    return Math.max(0, this.#state.epochs.latest)
  }
  /** Bytes of all batches. */
  get size(): number {
    return this.#state.segments.size
  }
  get segmentCount(): number {
    return this.#state.segments.count
  }
  /** Producer ids known to the log. */
  get producerCount(): number {
    return this.#state.producers.size
  }

  /**
   * Appends the bytes of one record batch, which passed `checkBatch`. Works synchronously up to the queue, in the order
   * of the calls: offset and epoch are written into `batch`, which belongs to the log until the promise settles.
   * Rejects with PAGELOG_REFUSED and a kafkaCode (10, 18, 45, 47, 74), PAGELOG_DISK_FULL (nothing kept; try again
   * when there is room), PAGELOG_STORAGE (offline from then on), PAGELOG_CLOSED, PAGELOG_INVALID_ARGUMENT.
   */
  appendBatch(batch: Uint8Array, leaderEpoch: number): Promise<AppendResult> {
    return this.#appender.append(batch, leaderEpoch)
  }

  /**
   * Batches from the one that holds `offset` on, about `maxBytes` of them, never past the log end offset; empty there.
   * Ends with a whole batch where the index knows one, else anywhere (as Kafka's; readers drop the torn tail). Throws or
   * rejects with PAGELOG_OFFSET_OUT_OF_RANGE, PAGELOG_STORAGE, PAGELOG_CLOSED, PAGELOG_CORRUPT.
   */
  slice(offset: number, maxBytes: number, options: SliceOptions = {}): Slice | Promise<Slice> {
    const refusal = this.#state.refusal()
    if (refusal !== undefined) throw refusal
    const { logStartOffset, logEndOffset } = this.#state
    if (!(offset >= logStartOffset && offset <= logEndOffset)) {
      const message = `offset ${offset} is outside of ${logStartOffset} to ${logEndOffset}`
      throw new PagelogError('PAGELOG_OFFSET_OUT_OF_RANGE', message, { offset, path: this.directory })
    }
    const isEmpty = offset === logEndOffset || (maxBytes <= 0 && options.minOneBatch !== true)
    if (isEmpty) return { regions: [], byteLength: 0, startOffset: offset }
    return this.#reader.read(offset, Math.max(0, maxBytes), options)
  }

  /** Bytes between `offset` and the end: exact for a reader that goes on where it stopped, else a lower bound. Cheap. */
  availableBytes(offset: number): number {
    const { logStartOffset, logEndOffset } = this.#state
    return offset >= logStartOffset && offset < logEndOffset ? this.#reader.availableBytes(offset) : 0
  }

  /** `listener` runs after the end of the log moved, once per completed write; it must not throw. Returns the unsubscribe. */
  onAppend(listener: () => void): () => void {
    return this.#appender.onAppend(listener)
  }

  /** The first record whose timestamp is at least `timestampMs`; undefined when there is none. */
  async offsetForTime(timestampMs: number): Promise<TimestampOffset | undefined> {
    this.#assertOpen()
    return await firstNotOlder(this.#state, timestampMs)
  }

  /** The record with the largest timestamp; undefined in an empty log. */
  async latestTimestampOffset(): Promise<TimestampOffset | undefined> {
    this.#assertOpen()
    return await newest(this.#state)
  }

  /** Resolves when everything visible now is on the device; then that is the recovery point. */
  async flush(): Promise<void> {
    this.#assertOpen()
    await this.#flusher.flush(this.#state.logEndOffset)
  }

  /** Forgets idempotent producers that appended nothing since `timestampMs`. */
  expireProducers(timestampMs: number): void {
    this.#state.producers.expireBefore(timestampMs)
  }

  /** Takes the log offline: another log of its directory met a failed write. */
  fail(error: Error): void {
    this.#state.fail(error)
  }

  /**
   * Idempotent. Queued appends are still written. `clean` (default): everything is synced, index files included;
   * otherwise the files are left as a crash of the process would leave them.
   */
  close(options: { clean?: boolean } = {}): Promise<void> {
    this.#closing ??= this.#close(options.clean ?? true)
    return this.#closing
  }

  /**
   * As an unclean `close`, but resolves when nothing is written to the files any more: regions that are still held keep
   * theirs open, whatever becomes of the names.
   */
  async abandon(): Promise<void> {
    this.close({ clean: false }).catch(() => {})
    await this.#stopping
  }

  /** Closes the log and removes its directory. */
  async delete(): Promise<void> {
    await this.close({ clean: false })
    await this.#state.context.disk.removeDirectory(this.directory)
  }

  async #close(clean: boolean): Promise<void> {
    this.#stopping = this.#stop(clean)
    try {
      await this.#stopping
    } finally {
      await Promise.all(this.#state.segments.all.map((segment) => segment.unload()))
    }
  }

  async #stop(clean: boolean): Promise<void> {
    const state = this.#state
    state.isClosed = true
    await this.#appender.drain()
    await this.#flusher.stop()
    if (!clean || state.failure !== undefined) return
    await state.segments.active.saveIndexes()
    state.hasUnsyncedNames = true
    await this.#flusher.flush(state.logEndOffset)
  }

  #assertOpen(): void {
    const refusal = this.#state.refusal()
    if (refusal !== undefined) throw refusal
  }
}
