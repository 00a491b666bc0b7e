/**
 * The write side of a log. `append` works synchronously up to the queue: producer state, offsets and epoch, in the
 * order of the calls. One gathered write is in flight at a time; all that was queued meanwhile goes into the next.
 *
 *   admitted → offset assigned → queued → write → (fsync, when flush.messages says so) → visible → answered
 *
 * When a write fails, everything in flight and queued is refused with it, since its offsets are void, and the end
 * offset and the producer state go back to what is visible. A full disk leaves it at that; any other failure takes the
 * log offline.
 */
import { ErrorCode, hasCode, PagelogError, surfaceInvariant } from '../base/index.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  baseSequence,
  batchSize,
  crc32c,
  lastOffsetDelta,
  maxTimestamp,
  producerEpoch,
  producerId,
  setBaseOffset,
  setCrc,
  setLeaderEpoch,
  setLogAppendTime,
} from '../record/index.ts'
import { AppendQueue, type AppendResult, PendingAppend } from './append-queue.ts'
import type { Flusher } from './flusher.ts'
import type { LogState } from './log-state.ts'
import { Admission, lastSequenceOf, type ProducerBatch } from './producer-state.ts'
import { Segment } from './segment.ts'

/** The kernel takes no more parts in one gathered write (IOV_MAX). */
const WRITE_PARTS_MAX = 1024
/** A longer write would keep the first of its appends waiting without being any faster. */
const WRITE_BYTES_MAX = 4 * 1024 * 1024

export class Appender {
  readonly #state: LogState
  readonly #flusher: Flusher
  readonly #queue = new AppendQueue()
  readonly #listeners = new Set<() => void>()
  /** Exclusive; the offset of the next batch, ahead of the log end offset by what is queued. */
  #nextOffset: number
  /** The newest leader epoch, of what is queued as well. */
  #newestEpoch: number
  #pumping: Promise<void> | undefined
  readonly #sealing = new Set<Promise<void>>()

  constructor(state: LogState, flusher: Flusher) {
    this.#state = state
    this.#flusher = flusher
    this.#nextOffset = state.logEndOffset
    this.#newestEpoch = state.epochs.latest
  }

  append(batch: Uint8Array, leaderEpoch: number): Promise<AppendResult> {
    const state = this.#state
    const refusal = state.refusal() ?? this.#sizeRefusal(batch) ?? this.#epochRefusal(leaderEpoch)
    if (refusal !== undefined) return Promise.reject(refusal)

    const baseOffset = this.#nextOffset
    const lastOffset = baseOffset + lastOffsetDelta(batch, 0)
    const isAppendTime = state.context.settings.messageTimestampType === 'LogAppendTime'
    const nowMs = isAppendTime ? state.context.clock.nowMs() : -1
    let producerBatch: ProducerBatch | undefined
    if (producerId(batch, 0) >= 0) {
      producerBatch = producerBatchOf(batch, baseOffset, isAppendTime ? nowMs : maxTimestamp(batch, 0))
      const settled = this.#admit(producerBatch)
      if (settled !== undefined) return settled
    }
    setBaseOffset(batch, 0, baseOffset)
    setLeaderEpoch(batch, 0, leaderEpoch)
    if (isAppendTime) {
      setLogAppendTime(batch, 0, nowMs)
      setCrc(batch, 0, crc32c(batch, ATTRIBUTES_AT, batch.length))
    }
    const pending = new PendingAppend({
      bytes: batch,
      baseOffset,
      lastOffset,
      maxTimestamp: maxTimestamp(batch, 0),
      leaderEpoch,
      logAppendTimeMs: nowMs,
      producerBatch,
    })
    this.#nextOffset = lastOffset + 1
    this.#newestEpoch = leaderEpoch
    this.#queue.push(pending)
    this.#pumping ??= this.#pump()
    return pending.promise
  }

  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when nothing is queued or in flight and no segment is being sealed. */
  async drain(): Promise<void> {
    while (this.#pumping !== undefined) await this.#pumping
    await Promise.all(this.#sealing)
  }

  #sizeRefusal(batch: Uint8Array): PagelogError | undefined {
    const { maxMessageBytes, segmentBytes } = this.#state.context.settings
    if (batch.length < BATCH_HEADER_BYTES || batchSize(batch, 0) !== batch.length || lastOffsetDelta(batch, 0) < 0) {
      return new PagelogError('PAGELOG_INVALID_ARGUMENT', 'append takes the bytes of exactly one record batch')
    }
    if (batch.length > maxMessageBytes) {
      return refused(
        ErrorCode.MESSAGE_TOO_LARGE,
        `batch of ${batch.length} bytes is above max.message.bytes=${maxMessageBytes}`,
      )
    }
    if (batch.length > segmentBytes) {
      return refused(
        ErrorCode.RECORD_LIST_TOO_LARGE,
        `batch of ${batch.length} bytes is above segment.bytes=${segmentBytes}`,
      )
    }
    return undefined
  }

  /** Epochs never decrease along a log (reliability L2). */
  #epochRefusal(leaderEpoch: number): PagelogError | undefined {
    const newest = this.#newestEpoch
    return leaderEpoch < newest
      ? refused(ErrorCode.FENCED_LEADER_EPOCH, `leader epoch ${leaderEpoch} is older than the log's ${newest}`)
      : undefined
  }

  /** The answer of a duplicate or of a batch out of sequence; undefined when the batch was reserved and may go on. */
  #admit(batch: ProducerBatch): Promise<AppendResult> | undefined {
    const { producers } = this.#state
    const { producerId: id, producerEpoch: epoch, firstSequence, lastSequence } = batch
    const earlier = producers.duplicateOf(id, epoch, firstSequence, lastSequence)
    if (earlier !== undefined) return this.#answerDuplicate(earlier)
    switch (producers.admit(id, epoch, firstSequence)) {
      case Admission.OLD_EPOCH:
        return Promise.reject(
          refused(ErrorCode.INVALID_PRODUCER_EPOCH, `epoch ${epoch} of producer ${id} is not the newest`),
        )
      case Admission.OUT_OF_ORDER:
        return Promise.reject(
          refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, `sequence ${firstSequence} of producer ${id} leaves a gap`),
        )
      case Admission.ACCEPTED:
        producers.reserve(batch)
        return undefined
    }
  }

  /** A duplicate of a batch in flight is answered when that is, and as that is. */
  #answerDuplicate(earlier: ProducerBatch): Promise<AppendResult> {
    const pending = this.#queue.find(earlier)
    if (pending !== undefined) return pending.promise.then((result) => ({ ...result, duplicate: true }))
    const isAppendTime = this.#state.context.settings.messageTimestampType === 'LogAppendTime'
    return Promise.resolve({
      baseOffset: earlier.baseOffset,
      lastOffset: earlier.lastOffset,
      duplicate: true,
      logAppendTimeMs: isAppendTime ? earlier.timestampMs : -1,
    })
  }

  async #pump(): Promise<void> {
    try {
      while (!this.#queue.isEmpty) await this.#writeGroup()
    } catch (error) {
      surfaceInvariant(error)
      if (!hasCode(error, 'PAGELOG_DISK_FULL')) this.#state.fail(error as Error)
      this.#voidQueue(error as Error)
    } finally {
      this.#pumping = undefined
    }
  }

  async #writeGroup(): Promise<void> {
    const state = this.#state
    const { segments, epochs } = state
    const first = this.#queue.first
    if (segments.active.mustRoll(first, 0)) await this.#roll(first.baseOffset)
    if (first.leaderEpoch > epochs.latest) await epochs.assign(first.leaderEpoch, first.baseOffset)
    if (state.failure !== undefined) throw state.failure

    const segment = segments.active
    const group = this.#queue.take(
      (append, count, bytes) =>
        count < WRITE_PARTS_MAX &&
        bytes + append.size <= WRITE_BYTES_MAX &&
        append.leaderEpoch <= epochs.latest &&
        !segment.mustRoll(append, bytes),
    )
    await segment.file.write(
      group.map((append) => append.bytes),
      segment.size,
    )
    state.writtenEndOffset = group[group.length - 1]!.lastOffset + 1
    if (state.writtenEndOffset - state.recoveryPoint >= state.context.settings.flushMessages) {
      await this.#flusher.flush(state.writtenEndOffset)
    }
    // What another part of the directory met meanwhile makes these bytes as untrustworthy as a failure of our own.
    if (state.failure !== undefined) throw state.failure
    this.#complete(segment, group)
  }

  /** The group becomes visible, then its appends are answered. */
  #complete(segment: Segment, group: readonly PendingAppend[]): void {
    const state = this.#state
    for (const append of group) {
      segment.accept(append.bytes, 0, append.size)
      if (append.producerBatch !== undefined) state.producers.commit(append.producerBatch)
    }
    state.logEndOffset = state.writtenEndOffset
    this.#queue.landed()
    this.#flusher.scheduleFlush()
    for (const listener of this.#listeners) {
      try {
        listener()
      } catch (error) {
        state.logger.error({ err: error, directory: state.context.directory }, 'append listener failed')
      }
    }
    for (const append of group) append.settle(false)
  }

  /**
   * Begins a new segment. Its directory entry and the old segment are synced behind the appends; until then the
   * recovery point stays before them, so that a crash costs a scan but is never taken for damage.
   */
  async #roll(baseOffset: number): Promise<void> {
    const state = this.#state
    const sealed = state.segments.active
    const segment = await Segment.create(state.context, baseOffset).finally(() => {
      state.hasUnsyncedNames = true // a file that was removed again counts as well
    })
    state.segments.add(segment)
    const sealing = this.#seal(sealed, baseOffset)
      .catch((error: Error) => state.fail(error))
      .finally(() => this.#sealing.delete(sealing))
    this.#sealing.add(sealing)
  }

  async #seal(sealed: Segment, endOffset: number): Promise<void> {
    const state = this.#state
    await sealed.saveIndexes()
    state.hasUnsyncedNames = true // of the index files, also when the records are synced already
    await this.#flusher.flush(endOffset)
    if (!state.isClosed) state.segments.noteLoaded(sealed, (one) => one.nextOffset <= state.recoveryPoint)
  }

  #voidQueue(error: Error): void {
    const state = this.#state
    const failed = this.#queue.clear()
    state.producers.rollback()
    state.writtenEndOffset = state.logEndOffset
    this.#nextOffset = state.logEndOffset
    this.#newestEpoch = state.epochs.latest
    for (const append of failed) append.reject(error)
  }
}

function producerBatchOf(batch: Uint8Array, baseOffset: number, timestampMs: number): ProducerBatch {
  const firstSequence = baseSequence(batch, 0)
  const delta = lastOffsetDelta(batch, 0)
  return {
    producerId: producerId(batch, 0),
    producerEpoch: producerEpoch(batch, 0),
    firstSequence,
    lastSequence: lastSequenceOf(firstSequence, delta),
    baseOffset,
    lastOffset: baseOffset + delta,
    timestampMs,
  }
}

function refused(kafkaCode: number, message: string): PagelogError {
  return new PagelogError('PAGELOG_REFUSED', message, { kafkaCode })
}
