/**
 * The write side of a log. `append` works synchronously up to the queue: producer state, offsets and epoch, in the
 * order of the calls. Gathered writes follow one another; what is queued meanwhile goes into the next. A write of which
 * all or some is to be on the device brings its sync along, where nothing else has to be synced with it.
 *
 *   admitted → offset assigned → queued → write → (fsync, when flush.messages says so) → visible → answered
 *
 * When a write fails, everything in flight and queued is refused with it, since its offsets are void, and the end
 * offset and the producer state go back to what is visible. A full disk leaves it at that; any other failure takes the
 * log offline.
 *
 * `exclusive` stops all that for a change of the end of the log: what was appended before is written first, what is
 * appended meanwhile gets its offsets afterwards, in the order of the calls.
 */
import { hasCode, type PagelogError, surfaceInvariant } from '../base/index.ts'
import {
  ATTRIBUTES_AT,
  crc32c,
  lastOffsetDelta,
  leaderEpoch,
  maxTimestamp,
  producerId,
  setBaseOffset,
  setCrc,
  setLeaderEpoch,
  setLogAppendTime,
} from '../record/index.ts'
import {
  AppendQueue,
  type AppendResult,
  type PendingAppend,
  PendingBatch,
  type PendingFields,
  partsOf,
} from './append-queue.ts'
import { epochRefusal, gapRefusal, sizeRefusal } from './append-refusal.ts'
import { channels, publish } from './diagnostics.ts'
import type { Flusher } from './flusher.ts'
import { type Group, GroupWrites } from './group-writes.ts'
import type { LogState } from './log-state.ts'
import { type ProducerBatch, readProducerBatch } from './producer-batch.ts'
import { producerRefusal } from './producer-refusal.ts'
import { Roller } from './roller.ts'
import type { Segment } from './segment.ts'

/** The kernel takes no more parts in one gathered write (IOV_MAX). */
const WRITE_PARTS_MAX = 1024
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
  readonly #inFlight = new GroupWrites()
  /** A write that lands is all that the pump waits for. */
  #isLanding = false
  /** Written and visible, but not answered yet: that is done while the next write is under way. */
  #landed: Group | undefined
  readonly #roller: Roller
  #handIn: () => void = () => {}
  /** Appends that came during `exclusive`. */
  #held: (() => void)[] | undefined

  constructor(state: LogState, flusher: Flusher) {
    this.#state = state
    this.#flusher = flusher
    this.#roller = new Roller(state, flusher)
    this.#nextOffset = state.logEndOffset
    this.#newestEpoch = state.epochs.latest
  }

  /** `isDurable`: whoever appends calls `flush` when it is answered. */
  append(batch: Uint8Array, leaderEpoch: number, isDurable = false): Promise<AppendResult> {
    this.#handIn()
    const refusal = this.#state.refusal()
    if (refusal !== undefined) return Promise.reject(refusal)
    const held = this.#held
    if (held === undefined) return this.#appendNow(batch, leaderEpoch, isDurable)
    return new Promise((resolve) => {
      // A log that was closed meanwhile still takes what came before.
      held.push(() => resolve(this.#appendNow(batch, leaderEpoch, isDurable)))
    })
  }

  #appendNow(batch: Uint8Array, leaderEpoch: number, isDurable: boolean): Promise<AppendResult> {
    const offline = this.#state.failure === undefined ? undefined : this.#state.refusal()
    const refusal = offline ?? this.#unfit(batch, leaderEpoch)
    if (refusal !== undefined) return Promise.reject(refusal)

    const nowMs = this.#appendTime()
    const timestampMs = nowMs >= 0 ? nowMs : maxTimestamp(batch, 0)
    const producerBatch =
      producerId(batch, 0) < 0 ? undefined : readProducerBatch(batch, 0, this.#nextOffset, timestampMs)
    if (producerBatch !== undefined) {
      const settled = this.#admit(producerBatch)
      if (settled !== undefined) return settled
    }
    const makePending = (fields: PendingFields) => new PendingBatch(fields, isDurable)
    const pending = this.#enqueue(batch, { leaderEpoch, nowMs, producerBatch }, makePending)
    this.wake(isDurable)
    return pending.promise
  }

  /** Queues the checked batches of another replica in `bytes` up to `end` as they are; settles with the last of them. */
  appendReplicated(bytes: Uint8Array, end: number): Promise<AppendResult> {
    this.#handIn()
    const held = this.#held
    if (held === undefined) return this.#appendReplicatedNow(bytes, end)
    return new Promise((resolve) => {
      held.push(() => resolve(this.#appendReplicatedNow(bytes, end)))
    })
  }

  #appendReplicatedNow(bytes: Uint8Array, end: number): Promise<AppendResult> {
    const { context, producers } = this.#state
    const refusal =
      this.#state.refusal() ??
      epochRefusal(leaderEpoch(bytes, 0), this.#newestEpoch) ??
      gapRefusal(bytes, this.#nextOffset, context.settings)
    if (refusal !== undefined) return Promise.reject(refusal)
    const last = this.#queue.pushReplicated(bytes, end, producers)
    this.#nextOffset = last.lastOffset + 1
    this.#newestEpoch = last.leaderEpoch
    this.wake()
    return last.promise
  }

  /**
   * `handIn` is called before a group is taken and before another batch gets its offsets: what gathers records gives its
   * batch in then, by `place`.
   */
  gatherFrom(handIn: () => void): void {
    this.#handIn = handIn
  }

  /** Queues a batch of our own making, whatever its owner makes of its place; `wake` was called when it was begun. */
  place(batch: Uint8Array, makePending: (fields: PendingFields) => PendingAppend): void {
    if (this.#held !== undefined) {
      this.#held.push(() => this.place(batch, makePending))
      return
    }
    const leaderEpoch = this.newestEpoch
    this.#enqueue(batch, { leaderEpoch, nowMs: this.#appendTime(), producerBatch: undefined }, makePending)
  }

  /**
   * Something is queued or gathered: it is written as soon as nothing else is. `isDurable`: it waits for a sync anyway,
   * and may wait for the one under way.
   */
  wake(isDurable = false): void {
    if (this.#held !== undefined) return
    if (this.#pumping !== undefined) {
      if (!this.#isLanding) return
      if (this.#mayWriteAhead()) this.#begin(this.#state.segments.active)
      else if (!isDurable) this.#inFlight.hurry()
      return
    }
    // With nothing to do the pump would be done before it could be noted as running, and be noted for ever.
    if (this.#gather()) this.#pumping = this.#pump()
  }

  /** The least leader epoch that an append may have. */
  get newestEpoch(): number {
    return Math.max(0, this.#newestEpoch)
  }

  /** Resolves when everything before `offset` is on the device. */
  flush(offset: number): Promise<void> {
    return this.#flusher.flush(offset)
  }

  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when nothing is queued or in flight and no segment is being sealed. */
  async drain(): Promise<void> {
    while (this.#pumping !== undefined) await this.#pumping
    await this.#roller.drain()
  }

  /**
   * Runs `work` while nothing is queued, in flight or being sealed, and then goes on from where the log ends. One at a
   * time: the caller holds `state.structure`.
   */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    this.#handIn()
    const held: (() => void)[] = []
    this.#held = held
    try {
      await this.drain()
      return await work()
    } finally {
      this.#held = undefined
      this.#nextOffset = this.#state.logEndOffset
      this.#newestEpoch = this.#state.epochs.latest
      for (const append of held) append()
      this.wake()
    }
  }

  /** Seals the active segment, unless it is empty, and begins the next one. Within `exclusive`. Error: PAGELOG_DISK_FULL. */
  async roll(): Promise<void> {
    const { segments, logEndOffset } = this.#state
    if (segments.active.baseOffset === logEndOffset) return
    try {
      await this.#roller.roll(logEndOffset)
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_DISK_FULL')) this.#state.fail(error as Error)
      throw error
    }
  }

  #unfit(batch: Uint8Array, leaderEpoch: number): PagelogError | undefined {
    return sizeRefusal(batch, this.#state.context.settings) ?? epochRefusal(leaderEpoch, this.#newestEpoch)
  }

  /** The answer of a duplicate or of a batch out of sequence; undefined when the batch was reserved and may go on. */
  #admit(batch: ProducerBatch): Promise<AppendResult> | undefined {
    const { producers } = this.#state
    const { producerId: id, producerEpoch: epoch, firstSequence, lastSequence } = batch
    const earlier = producers.duplicateOf(id, epoch, firstSequence, lastSequence)
    if (earlier !== undefined) return this.#answerDuplicate(earlier)
    const refusal = producerRefusal(producers, batch)
    if (refusal !== undefined) return Promise.reject(refusal)
    producers.reserve(batch)
    return undefined
  }

  /** A duplicate of a batch in flight is answered when that is, and as that is. */
  #answerDuplicate(earlier: ProducerBatch): Promise<AppendResult> {
    const pending = this.#queue.find(earlier)
    if (pending !== undefined) return pending.promise.then((result) => ({ ...result, duplicate: true }))
    const isAppendTime = this.#state.context.settings.messageTimestampType === 'LogAppendTime'
    return Promise.resolve({
      baseOffset: earlier.baseOffset,
      lastOffset: earlier.lastOffset,
      timestamp: earlier.timestampMs,
      duplicate: true,
      logAppendTimeMs: isAppendTime ? earlier.timestampMs : -1,
    })
  }

  /** -1: records keep the times of their producers. */
  #appendTime(): number {
    const { settings, clock } = this.#state.context
    return settings.messageTimestampType === 'LogAppendTime' ? clock.nowMs() : -1
  }

  /** Gives a batch its offsets, epoch and, with LogAppendTime, `nowMs`. */
  #enqueue<P extends PendingAppend>(
    bytes: Uint8Array,
    given: { leaderEpoch: number; nowMs: number; producerBatch: ProducerBatch | undefined },
    makePending: (fields: PendingFields) => P,
  ): P {
    const { leaderEpoch, nowMs, producerBatch } = given
    const baseOffset = this.#nextOffset
    const lastOffset = baseOffset + lastOffsetDelta(bytes, 0)
    setBaseOffset(bytes, 0, baseOffset)
    setLeaderEpoch(bytes, 0, leaderEpoch)
    if (nowMs >= 0) {
      setLogAppendTime(bytes, 0, nowMs)
      setCrc(bytes, 0, crc32c(bytes, ATTRIBUTES_AT, bytes.length))
    }
    const times = { maxTimestamp: maxTimestamp(bytes, 0), logAppendTimeMs: nowMs }
    const pending = makePending({ bytes, baseOffset, lastOffset, ...times, leaderEpoch, producerBatch })
    this.#nextOffset = lastOffset + 1
    this.#newestEpoch = leaderEpoch
    this.#queue.push(pending)
    return pending
  }

  /** Takes in what was gathered meanwhile. */
  #gather(): boolean {
    if (this.#held === undefined) this.#handIn()
    return !this.#queue.isEmpty
  }

  async #pump(): Promise<void> {
    try {
      await null // whatever is appended in the same go shares the write, and records the batch
      for (;;) {
        while (this.#mayWriteAhead()) this.#begin(this.#state.segments.active)
        if (this.#inFlight.first !== undefined) {
          this.#answer()
          await this.#landFirst()
        } else if (this.#hasMore()) await this.#writeGroup()
        else break
      }
    } catch (error) {
      await this.#fail(error)
      // In one go with the end of the pump: whoever is refused may append again at once, and has to wake another.
      this.#voidQueue(error as Error)
    } finally {
      this.#pumping = undefined
    }
  }

  /** With nothing to write, what landed is answered first: whoever waits for it may append again. */
  #hasMore(): boolean {
    if (this.#gather()) return true
    this.#answer()
    return this.#gather()
  }

  /** Another write may follow those in flight without waiting for anything. */
  #mayWriteAhead(): boolean {
    const { segments, epochs, failure } = this.#state
    const { segment, byteLength } = this.#inFlight
    if (segment === undefined || segment !== segments.active || failure !== undefined) return false
    if (this.#queue.isEmpty) return false
    const { first } = this.#queue
    if (!this.#inFlight.takesMore(this.#queue.waitingBytes, first)) return false
    return !epochs.lacks(first.leaderEpoch) && !segment.mustRoll(first, byteLength)
  }

  /** The first write with none in flight. */
  async #writeGroup(): Promise<void> {
    const segment = await this.#pinActive(this.#queue.first)
    try {
      const { epochs } = this.#state
      const { first } = this.#queue
      if (epochs.lacks(first.leaderEpoch)) {
        this.#answer()
        await epochs.assign(first.leaderEpoch, first.baseOffset)
      }
      if (this.#state.failure !== undefined) throw this.#state.failure
      this.#gather()
      this.#begin(segment)
    } finally {
      segment.unpin()
    }
  }

  /** The active segment, loaded and pinned, a new one where the batch needs that. */
  async #pinActive(batch: PendingAppend): Promise<Segment> {
    const { segments } = this.#state
    for (;;) {
      const segment = segments.active
      segment.pins++
      try {
        await this.#state.load(segment)
        if (!segment.mustRoll(batch, 0)) {
          segment.wasUsed = true
          return segment
        }
      } catch (error) {
        segment.unpin()
        throw error
      }
      segment.unpin()
      this.#answer()
      await this.#roller.roll(batch.baseOffset)
    }
  }

  /** Hands a group to the kernel, behind those in flight; what landed before is answered meanwhile. */
  #begin(segment: Segment): void {
    const { epochs, context, recoveryPoint } = this.#state
    const before = this.#inFlight.byteLength
    const bytesMax = this.#inFlight.nextBytes(this.#queue.waitingBytes, this.#queue.first)
    const appends = this.#queue.take(
      (append, count, bytes) =>
        count < WRITE_PARTS_MAX &&
        bytes + append.size <= bytesMax &&
        !epochs.lacks(append.leaderEpoch) &&
        !segment.mustRoll(append, before + bytes),
    )
    const parts = partsOf(appends)
    const endOffset = appends[appends.length - 1]!.lastOffset + 1
    const position = segment.size + before
    const mustFlush = endOffset - recoveryPoint >= context.settings.flushMessages
    const isDurable = mustFlush || appends.some((append) => append.isDurable)
    const synced = isDurable ? this.#flusher.write(segment, parts, { position, endOffset }) : undefined
    if (synced !== undefined && !mustFlush && appends.some((append) => append.isUrgent)) synced.hurry()
    const written = synced?.written ?? segment.file.write(parts, position)
    written.catch(() => {}) // heard of in its turn
    let byteLength = 0
    for (const append of appends) byteLength += append.size
    this.#inFlight.add({ appends, segment, byteLength, written, flushed: synced?.synced, hurry: synced?.hurry })
    this.#answer()
  }

  async #landFirst(): Promise<void> {
    const state = this.#state
    const group = this.#inFlight.first!
    const { segment, written, appends } = group
    this.#isLanding = true
    if (!this.#queue.isEmpty) this.#inFlight.hurry()
    try {
      await written.finally(() => {
        this.#isLanding = false
      })
    } catch (error) {
      await this.#refuse(segment, error)
    }
    state.writtenEndOffset = appends[appends.length - 1]!.lastOffset + 1
    if (state.writtenEndOffset - state.recoveryPoint >= state.context.settings.flushMessages) {
      await (group.flushed ?? this.#flusher.flush(state.writtenEndOffset))
    }
    // What another part of the directory met meanwhile makes these bytes as untrustworthy as a failure of our own.
    if (state.failure !== undefined) throw state.failure
    this.#inFlight.landed(this.#land)
  }

  /** Nothing of what is in flight is appended; `#voidQueue` follows. */
  async #fail(error: unknown): Promise<void> {
    this.#answer()
    surfaceInvariant(error)
    await this.#inFlight.settle()
    this.#inFlight.clear()
    const { directory } = this.#state.context
    if (!hasCode(error, 'PAGELOG_DISK_FULL')) this.#state.fail(error as Error)
    else publish(channels.diskFull, () => ({ directory, error: error as Error }))
  }

  /** What the kernel took of a write before the disk was full is cut off again: no power loss must bring it back. */
  async #refuse(segment: Segment, error: unknown): Promise<never> {
    if (!hasCode(error, 'PAGELOG_DISK_FULL')) this.#state.fail(error as Error)
    await this.#inFlight.settle()
    if (hasCode(error, 'PAGELOG_DISK_FULL')) {
      await this.#flusher.exclusive(async () => {
        const { failure } = this.#state // of a sync, which is never repeated
        if (failure !== undefined) throw failure
        await segment.file.dataSync()
      })
    }
    throw error
  }

  /** The group becomes visible; its appends are answered by `#answer`. */
  readonly #land = (group: Group): void => {
    const state = this.#state
    const { appends, segment } = group
    for (const append of appends) {
      segment.accept(append.bytes, 0, append.size)
      state.counters.appends++
      state.counters.appendedBytes += append.size
      const completed = append.producerBatch && state.producers.commit(append.producerBatch)
      if (completed?.isAborted) segment.acceptAborted(completed)
    }
    state.counters.writes++
    state.logEndOffset = state.writtenEndOffset
    this.#queue.landed(appends.length)
    this.#flusher.scheduleFlush()
    if (group.flushed === undefined && appends.some((append) => append.isDurable)) {
      group.flushed = this.#flusher.flush(state.logEndOffset)
      group.flushed.catch(() => {}) // whoever waits for it hears of it
    }
    this.#landed = group
  }

  #answer(): void {
    const landed = this.#landed
    if (landed === undefined) return
    this.#landed = undefined
    for (const listener of this.#listeners) {
      try {
        listener()
      } catch (error) {
        const { logger, context } = this.#state
        logger.error({ err: error, directory: context.directory }, 'append listener failed')
      }
    }
    const { failure } = this.#state
    for (const append of landed.appends) {
      if (failure === undefined) append.landed(landed.flushed)
      else append.reject(failure) // nothing is acknowledged after a failure (reliability L5)
    }
  }

  #voidQueue(error: Error): void {
    const state = this.#state
    this.#handIn()
    const failed = this.#queue.clear()
    state.producers.rollback()
    state.writtenEndOffset = state.logEndOffset
    this.#nextOffset = state.logEndOffset
    this.#newestEpoch = state.epochs.latest
    for (const append of failed) append.reject(error)
  }
}
