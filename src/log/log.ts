/**
 * The log of one partition: batches of records with rising offsets in Kafka's files. It knows no sockets and no topics.
 *
 *   log start offset ≤ … visible … < high watermark ≤ log end offset (the same without replication)
 *   recovery point: everything before it is on the device
 *
 * Appends are answered when the kernel has their bytes (with flush.messages, when the device has). A crash of the
 * process loses nothing that was answered; a crash of the machine what lies above the recovery point.
 */
import { defaultsOf, type Logger, PagelogError, silentLogger } from '../base/index.ts'
import type { Env, NodeReadable, NodeWritable } from '../env/index.ts'
import type { LogRecord } from '../record/index.ts'
import type { AppendResult } from './append-queue.ts'
import { Appender } from './appender.ts'
import { type CompactionLimits, compactionLimitsOf } from './compaction/cleaner-settings.ts'
import type { CompactionReport } from './compaction/compaction-report.ts'
import { type CompactOptions, Compactor } from './compaction/compactor.ts'
import { channels, publish } from './diagnostics.ts'
import { Flusher } from './flusher.ts'
import { unloadIdle } from './idle-segment.ts'
import type { EpochEnd } from './leader-epoch-checkpoint.ts'
import { loadLog } from './log-loader.ts'
import type { RecoveryReport } from './log-opening.ts'
import { LogReader, type ReadableLog, type ReadOptions } from './log-reader.ts'
import { LogReplica } from './log-replica.ts'
import { LogScrub } from './log-scrub.ts'
import { type LogSettings, logDirectorySettings } from './log-settings.ts'
import { LogState, type OffsetPersistence } from './log-state.ts'
import { type LogStats, statsOf } from './log-stats.ts'
import { repairOpen, verifyOpen } from './on-demand.ts'
import type { PartitionFiles } from './partition-files.ts'
import { encodeSnapshot } from './producer-snapshots.ts'
import { readableOf } from './readable-log.ts'
import { RecordAppender } from './record-appender.ts'
import type { AppendOptions, RecordInput } from './record-input.ts'
import { RecordLookup } from './record-lookup.ts'
import {
  readStream,
  recordsOf,
  type StreamOptions,
  type WriteStreamOptions,
  webReadable,
  webWritable,
  writeStream,
} from './record-streams.ts'
import type { RepairReport } from './repair.ts'
import { applyRetention } from './retention.ts'
import type { SegmentContext } from './segment.ts'
import { CacheShare, SegmentCache } from './segment-cache.ts'
import { releaseSlice, type Slice, type SliceOptions, SliceReader } from './slice-reader.ts'
import { firstNotOlder, newest, type TimestampOffset } from './time-lookup.ts'
import type { AbortedTransaction } from './transaction-index.ts'
import { abortedTransactions, lastStableOffset } from './transactions.ts'
import { type EndOptions, type Trimmed, trimBefore, type Writers } from './trimming.ts'
import { truncateTo } from './truncation.ts'
import { unlessCut } from './unless-cut.ts'
import type { VerifyOptions } from './verify.ts'
import type { VerifyReport } from './verify-report.ts'

export interface LogOptions {
  /** Without `workers` compaction runs on this thread, a buffer at a time. */
  readonly env: Pick<Env, 'disk' | 'clock'> & Partial<Pick<Env, 'workers' | 'random'>>
  /** Exists already. One log a directory, one process a directory: the caller (LogDirectory) sees to it. */
  readonly directory: string
  readonly settings: LogSettings
  /** Exclusive; everything before it is known to be on the device. 0 when unknown. */
  readonly recoveryPoint: number
  /** The last process closed the log; false checks every batch above the recovery point. */
  readonly cleanShutdown: boolean
  /** What lies in `directory`, for a caller that has looked already. */
  readonly files?: PartitionFiles
  /** Awaited before recovery cuts off batches that had been written whole, and not only the end of a write under way. */
  readonly beforeCut?: () => Promise<void>
  /** Where an empty directory begins; records before it are not served. 0 by default. */
  readonly logStartOffset?: number
  readonly logger?: Logger
  /** What its directory's logs share of descriptors and memory; one of its own without it. */
  readonly cache?: SegmentCache
  /** Of the directory's checkpoint files; without it the caller keeps the offsets itself. */
  readonly persist?: OffsetPersistence
  /** What compaction may take, and where it goes on: at the start of the log when that is unknown. */
  readonly compaction?: { readonly limits?: CompactionLimits; readonly firstDirtyOffset?: number | undefined }
  /** Called once, when a failed write, fsync or rename takes the log offline. */
  readonly onFailure?: (error: Error) => void
}

const NO_CHECKPOINTS: OffsetPersistence = {
  logStart: async (_, take) => take(),
  recoveryPoint: async () => {},
  firstDirty: async () => {},
}

export class Log {
  readonly directory: string
  /** What opening found and did. */
  readonly recovery: RecoveryReport
  readonly #state: LogState
  readonly #flusher: Flusher
  readonly #appender: Appender
  readonly #records: RecordAppender
  readonly #reader: SliceReader
  readonly #readable: ReadableLog
  readonly #lookup: RecordLookup
  /** For who keeps replicas of the log equal. */
  readonly replica: LogReplica
  /** For LogDirectory's cleaner. */
  readonly compactor: Compactor
  /** For LogDirectory's scrubber. */
  readonly scrub: LogScrub
  #closing: Promise<void> | undefined
  #stopping: Promise<void> | undefined

  private constructor(state: LogState, recovery: RecoveryReport, options: LogOptions) {
    this.#state = state
    this.#flusher = new Flusher(state)
    this.#appender = new Appender(state, this.#flusher)
    this.replica = new LogReplica(state, this.#appender)
    this.#records = new RecordAppender(state, this.#appender)
    this.#reader = new SliceReader(state)
    this.scrub = new LogScrub(state)
    this.compactor = new Compactor({
      state,
      appender: this.#appender,
      flusher: this.#flusher,
      limits: options.compaction?.limits ?? compactionLimitsOf(),
      env: options.env,
    })
    this.#readable = readableOf(this, state)
    this.#lookup = new RecordLookup(this.#readable.slice, state)
    this.directory = state.context.directory
    this.recovery = recovery
  }

  /** Opens or begins the log in `directory`, recovering unless `cleanShutdown`. Errors: PAGELOG_CORRUPT, PAGELOG_STORAGE. */
  static async open(options: LogOptions): Promise<Log> {
    const { disk, clock } = options.env
    const logger = options.logger ?? silentLogger
    const { directory, settings, recoveryPoint, cleanShutdown, logStartOffset = 0 } = options
    const share = new CacheShare(options.cache ?? new SegmentCache(defaultsOf(logDirectorySettings)))
    const context: SegmentContext = { disk, clock, directory, settings, share }
    const { files, beforeCut } = options
    const given = { ...(files ? { files } : {}), ...(beforeCut ? { beforeCut } : {}) }
    const compactedEnd = options.compaction?.firstDirtyOffset
    const loaded = await share.cache.within(() =>
      loadLog({ context, logger, logStartOffset, recoveryPoint, cleanShutdown, compactedEnd, ...given }),
    )
    const { segments, report } = loaded
    const end = segments.active.nextOffset
    const offsets = {
      logStartOffset: loaded.logStartOffset,
      recoveryPoint: cleanShutdown ? end : Math.min(recoveryPoint, end),
      firstDirtyOffset: Math.min(compactedEnd ?? 0, end),
    }
    const persist = options.persist ?? NO_CHECKPOINTS
    const { decompressedBytesMax } = options.compaction?.limits ?? compactionLimitsOf()
    const parts = { ...loaded, context, logger, persist, workers: options.env.workers, decompressedBytesMax }
    const state = new LogState(parts, offsets, options.onFailure ?? (() => {}))
    state.hasUnsyncedNames = !loaded.isUntouched
    const log = new Log(state, report, options)
    share.unload = (segment) => unloadIdle(log.#state, log.#flusher, segment)
    publish(channels.recovery, () => {
      const { logStartOffset, logEndOffset } = log
      return { directory, cleanShutdown, logStartOffset, logEndOffset, reason: report.reason, ...report }
    })
    return log
  }

  get settings(): LogSettings {
    return this.#state.context.settings
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
    return this.#state.highWatermark
  }
  /** Exclusive; before it no two records have the same key: what compaction has seen to. */
  get firstDirtyOffset(): number {
    return this.#state.firstDirtyOffset
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
   * Appends one record, an array of them as one batch, or the bytes of one finished batch, which belong to the log until
   * the promise settles; records are copied at once. Appends are in the order of the calls; each wholly or not at all. A
   * compressed batch for a compacted log is opened to see its keys: what is appended meanwhile waits for it.
   * Rejects with PAGELOG_ABORTED, PAGELOG_TOO_LARGE (above max.message.bytes), PAGELOG_INVALID_ARGUMENT (no such record,
   * a damaged batch), PAGELOG_REFUSED (a batch of an idempotent producer out of sequence), PAGELOG_BUFFER_FULL (256 MiB wait already: await some), PAGELOG_DISK_FULL (nothing kept; try again
   * when there is room), PAGELOG_STORAGE (offline from then on), PAGELOG_CLOSED.
   */
  append(records: RecordInput | readonly RecordInput[] | Uint8Array, options?: AppendOptions): Promise<AppendResult> {
    return this.#records.append(records, options)
  }

  /** Batches from `from` on; see LogReader. Nothing is read before its first `next`. */
  read(options?: ReadOptions): LogReader {
    return new LogReader(this.#readable, options)
  }

  /** The same record by record: convenient, and several times slower than a loop over the records of each batch. */
  records(options?: ReadOptions): AsyncGenerator<LogRecord, void, undefined> {
    return recordsOf(this.read({ ...options, reuseBuffers: false }))
  }

  /**
   * The record at `offset`, its batch checked; undefined at the end of the log and where compaction has removed it. It
   * is a copy. Does not wait when the page cache has the batch. Rejects as `LogReader.next`.
   */
  readAt(offset: number): Promise<LogRecord | undefined> {
    const look = (): Promise<LogRecord | undefined> => this.#lookup.recordAt(offset)
    return unlessCut(this.#state, look(), look)
  }

  /** Node's stream of LogRecords. */
  createReadStream(options: ReadOptions & StreamOptions = {}): NodeReadable {
    return readStream(this.read({ ...options, reuseBuffers: false }), options)
  }

  /** Node's stream that appends RecordInputs; `finish` comes when all are on the device. */
  createWriteStream(options: WriteStreamOptions = {}): NodeWritable {
    return writeStream(this, options)
  }

  /** The web's stream of LogRecords. */
  readable(options: ReadOptions & StreamOptions = {}): ReadableStream<LogRecord> {
    return webReadable(this.read({ ...options, reuseBuffers: false }), options)
  }

  /** The web's stream that appends RecordInputs: `write` resolves when one is taken in, `close` when all are on the device. */
  writable(options: WriteStreamOptions = {}): WritableStream<RecordInput> {
    return webWritable(this, options)
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
   * Batches from the one that holds `offset` on, about `maxBytes` of them, never past the log end offset or the
   * `endOffset` of `options`; empty there.
   * Ends with a whole batch where the index knows one, else anywhere (as Kafka's; readers drop the torn tail). Throws or
   * rejects with PAGELOG_OFFSET_OUT_OF_RANGE, PAGELOG_STORAGE, PAGELOG_CLOSED, PAGELOG_CORRUPT.
   */
  slice(offset: number, maxBytes: number, options: SliceOptions = {}): Slice | Promise<Slice> {
    this.#state.assertOpen()
    const { logStartOffset, logEndOffset } = this.#state
    if (!(offset >= logStartOffset && offset <= logEndOffset)) {
      const message = `offset ${offset} is outside of ${logStartOffset} to ${logEndOffset}`
      throw new PagelogError('PAGELOG_OFFSET_OUT_OF_RANGE', message, { offset, path: this.directory })
    }
    const isEmpty = offset >= (options.endOffset ?? logEndOffset) || (maxBytes <= 0 && options.minOneBatch !== true)
    if (isEmpty) return { regions: [], byteLength: 0, startOffset: offset }
    const found = this.#reader.read(offset, Math.max(0, maxBytes), options)
    if (!(found instanceof Promise)) return found
    return unlessCut(this.#state, found, () => this.slice(offset, maxBytes, options), releaseSlice)
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
    this.#state.assertOpen()
    const look = (): Promise<TimestampOffset | undefined> => firstNotOlder(this.#state, timestampMs)
    return await unlessCut(this.#state, look(), look)
  }

  /** The record with the largest timestamp; undefined in an empty log. */
  async latestTimestampOffset(): Promise<TimestampOffset | undefined> {
    this.#state.assertOpen()
    return await unlessCut(this.#state, newest(this.#state), () => newest(this.#state))
  }

  /** Exclusive: before it every transaction is committed or aborted; readers with read_committed see no further. */
  get lastStableOffset(): number {
    return lastStableOffset(this.#state)
  }

  /**
   * The aborted transactions with batches in `from` ≤ offset < `to`: read_committed leaves their records out. Errors:
   * PAGELOG_OFFSET_OUT_OF_RANGE (`from` was trimmed), PAGELOG_CORRUPT, PAGELOG_STORAGE, PAGELOG_CLOSED.
   */
  async abortedTransactions(from: number, to: number): Promise<AbortedTransaction[]> {
    this.#state.assertOpen()
    return await abortedTransactions(this.#state, from, to)
  }

  /** Where a leader epoch ended, as OffsetForLeaderEpoch answers it (KIP-101, KIP-279): -1 and -1 when it is unknown. */
  endOffsetFor(leaderEpoch: number): EpochEnd {
    return this.#state.epochs.endOffsetFor(leaderEpoch, this.#state.logEndOffset)
  }

  /**
   * Looks at every byte of the log and of the files beside it, and changes nothing; appends and reads go on. Errors:
   * PAGELOG_ABORTED, PAGELOG_STORAGE, PAGELOG_CLOSED.
   */
  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    this.#state.assertOpen()
    return await verifyOpen(this.#state, options)
  }

  /**
   * Builds anew what `verify` finds wrong beside the `.log` files. Damaged batches stay and are in `remaining`:
   * `LogDirectory.repair` and `repairLog` cut them out of a log that is closed. Errors: as `verify`, PAGELOG_DISK_FULL.
   */
  async repair(options: VerifyOptions = {}): Promise<RepairReport> {
    this.#state.assertOpen()
    return await repairOpen(this.#state, this.#appender, options)
  }

  /** Resolves when everything visible now is on the device; then that is the recovery point. */
  async flush(): Promise<void> {
    this.#state.assertOpen()
    await this.#flusher.flush(this.#state.logEndOffset)
  }

  /**
   * Raises the log start offset: records before `offset` are not served any more, and segments that hold nothing else
   * are deleted, after the checkpoint on disk says so. At the end of the log nothing is left but an empty segment. An
   * offset at or below the start changes nothing. It costs a synced checkpoint each time: trim in large steps. Errors:
   * PAGELOG_OFFSET_OUT_OF_RANGE (beyond the end), PAGELOG_DISK_FULL (only whole segments went, if any), PAGELOG_ABORTED,
   * PAGELOG_STORAGE, PAGELOG_CLOSED.
   */
  trimBefore(offset: number, options: EndOptions = {}): Promise<Trimmed> {
    return trimBefore(this.#state, this.#writers, offset, options)
  }

  /**
   * Lowers the log end offset to `offset`, or to the base offset of the batch that holds it, and returns it; durable
   * then. Appends called before are written first, those called meanwhile follow the new end, in their order. Reads
   * under way may still give what was cut, or end early. Errors: PAGELOG_OFFSET_OUT_OF_RANGE, PAGELOG_DISK_FULL (nothing
   * has changed), PAGELOG_ABORTED, PAGELOG_CORRUPT, PAGELOG_STORAGE, PAGELOG_CLOSED.
   */
  truncateTo(offset: number, options: EndOptions = {}): Promise<number> {
    const forget = (): void => {
      this.#reader.forget()
      this.#state.stopped() // who waits at the former end must not take what comes there for what comes next
    }
    const cut = (): Promise<number> => truncateTo(this.#state, this.#writers, offset, { ...options, forget })
    return this.compactor.exclusive(cut)
  }

  /**
   * Compacts the log now, in a worker thread where there is one: of records with the same key only the newest stays,
   * with its offset; a tombstone (null value) goes `delete.retention.ms` after the compaction that met it first. Appends
   * and reads go on. One that is aborted, or that meets a crash, leaves a part done. A LogDirectory does it by itself
   * (log.cleaner.enable). Errors: PAGELOG_INVALID_ARGUMENT (`compact` is not in cleanup.policy), PAGELOG_CORRUPT (a
   * damaged batch: nothing changed), PAGELOG_DISK_FULL (nothing changed), PAGELOG_ABORTED, PAGELOG_STORAGE, PAGELOG_CLOSED.
   */
  compact(options: CompactOptions = {}): Promise<CompactionReport> {
    return this.compactor.compact(options)
  }

  /**
   * Deletes the segments that retention.ms, retention.bytes and the log start offset give up now; a LogDirectory does it
   * every log.retention.check.interval.ms. Errors: as `trimBefore`.
   */
  applyRetention(options: EndOptions = {}): Promise<Trimmed> {
    return applyRetention(this.#state, this.#writers, options)
  }

  /** What the log is and has done; cheap. */
  stats(): LogStats {
    return statsOf(this.#state)
  }

  /** Goes by other settings from now on; what is there already stays as it is. Requires checked ones (`resolveSettings`). */
  configure(settings: LogSettings): void {
    this.#state.context.settings = settings
  }

  /** Forgets idempotent producers that appended nothing since `timestampMs`. */
  expireProducers(timestampMs: number): void {
    this.#state.producers.expireBefore(timestampMs)
  }

  /** The same in steps, for LogDirectory: see `ProducerState`. */
  expiringProducers(timestampMs: number): Iterable<number> {
    return this.#state.producers.expiringBefore(timestampMs)
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(clean: boolean): Promise<void> {
    this.#stopping = this.#stop(clean)
    try {
      await this.#stopping
    } finally {
      await Promise.all(this.#state.segments.all.map((segment) => segment.close()))
    }
  }

  async #stop(clean: boolean): Promise<void> {
    const state = this.#state
    state.isClosed = true
    state.stopped()
    await this.compactor.exclusive(async () => {}) // it stops at once, or finishes the segment it is putting in place
    await this.#appender.drain()
    await state.context.share?.settle()
    await state.structure.run(async () => {}) // what removes segments finishes first
    await this.#appender.drain() // and what was held for it meanwhile
    await state.discarded.stop({ unlink: clean && state.failure === undefined })
    await this.#flusher.stop()
    if (!clean || state.failure !== undefined) return
    const { segments, snapshots, logEndOffset } = state
    if (segments.active.hasUnsavedIndexes) await segments.active.saveIndexes()
    if (segments.active.hasUnsyncedIndexes) state.hasUnsyncedNames = true
    await this.#flusher.flush(logEndOffset)
    // With it the next open replays nothing, and believes the index files of the last segment: it comes after them.
    if (!snapshots.offsets.includes(logEndOffset)) await snapshots.take(logEndOffset, encodeSnapshot(state.producers))
    await snapshots.removeStray((offset) => segments.all.some((segment) => segment.baseOffset === offset))
    // A log that is as it was opened is on the device.
    const hasChanged = state.discarded.hasDiscarded || snapshots.hasRemoved
    if (hasChanged || segments.all.some((segment) => segment.hasUnsyncedIndexes)) state.hasUnsyncedNames = true
    await this.#flusher.flush(logEndOffset)
  }

  get #writers(): Writers {
    return { appender: this.#appender, flusher: this.#flusher }
  }
}
