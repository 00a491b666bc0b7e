/**
 * `Log.append` for programs that embed a log: records in, offsets out. Records are encoded at once, into the final bytes
 * of a batch. Appends that find a write in flight gather in one batch until the appender takes it, so that many writers
 * of single records cost little more than one writer of many: one header, one CRC, one buffer for all of them.
 *
 *   append ─► check ─► open batch (encoded) ─► handed in: offset, header, CRC ─► Appender's queue ─► write ─► answers
 *
 * All records of one call lie in one batch: they are appended together or not at all.
 */
import { PagelogError } from '../base/index.ts'
import { BATCH_HEADER_BYTES, BatchFault, BatchWriter, checkBatch, isControl } from '../record/index.ts'
import { abortError, unlessAborted } from './abort.ts'
import { type AppendResult, PendingAppend, type PendingFields } from './append-queue.ts'
import { AppendTurns } from './append-turns.ts'
import type { Appender } from './appender.ts'
import { type EncodeSpace, encodeBuffers } from './encode-buffers.ts'
import { assertBatchKeyed, assertCompressedKeyed, assertKeyed, mustOpen } from './key-check.ts'
import type { LogState } from './log-state.ts'
import { type AppendOptions, checkRecord, checkRecords, copyOf, type RecordInput } from './record-input.ts'

/** Room of a batch that several appends may share: small enough to be cut from chunks, large enough to fill a write. */
const SHARED_BATCH_BYTES = 65_536
/** Bytes of one log that may wait to be written: who appends without awaiting must stop somewhere. */
const WAITING_BYTES_MAX = 268_435_456
const faultNames: Readonly<Record<number, string>> = {
  [BatchFault.INCOMPLETE]: 'it is cut off',
  [BatchFault.SIZE]: 'its length cannot be',
  [BatchFault.MAGIC]: 'it is not of version 2',
  [BatchFault.CRC]: 'its CRC is wrong',
  [BatchFault.COUNT]: 'its record count is wrong',
  [BatchFault.RECORDS]: 'its records are damaged',
}
const NO_OPTIONS: AppendOptions = {}
const STILL_APPENDED = 'append was aborted; the records were on their way and may still be appended'

/** One call of `append` in a batch of records. */
class Answer {
  readonly firstSlot: number
  readonly count: number
  readonly timestamp: number
  readonly isDurable: boolean
  readonly promise: Promise<AppendResult>
  resolve!: (result: AppendResult) => void
  reject!: (error: Error) => void

  constructor(firstSlot: number, count: number, timestamp: number, isDurable: boolean) {
    this.firstSlot = firstSlot
    this.count = count
    this.timestamp = timestamp
    this.isDurable = isDurable
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
  }
}

/** A batch of records that several appends may share, and their answers. */
class RecordsAppend extends PendingAppend {
  readonly #answers: readonly Answer[]
  readonly #onSettled: (size: number) => void
  readonly #space: EncodeSpace

  constructor(fields: PendingFields, batch: OpenBatch, onSettled: (size: number) => void) {
    super(fields)
    this.#answers = batch.answers
    this.#space = batch.space
    this.#onSettled = onSettled
  }

  override get isDurable(): boolean {
    return this.#answers.some((answer) => answer.isDurable)
  }

  override get isUrgent(): boolean {
    return this.#answers.some((answer) => !answer.isDurable)
  }

  override landed(flushed: Promise<void> | undefined): void {
    this.#release()
    let waiting: Answer[] | undefined
    for (const answer of this.#answers) {
      if (!answer.isDurable || flushed === undefined) this.#resolve(answer)
      else if (waiting === undefined) waiting = [answer]
      else waiting.push(answer)
    }
    if (waiting === undefined) return
    const durable = waiting
    flushed!.then(
      () => {
        for (const answer of durable) this.#resolve(answer)
      },
      (error: Error) => {
        for (const answer of durable) answer.reject(error)
      },
    )
  }

  override reject(error: Error): void {
    this.#release()
    for (const answer of this.#answers) answer.reject(error)
  }

  #resolve(answer: Answer): void {
    const { logAppendTimeMs } = this
    const baseOffset = this.baseOffset + answer.firstSlot
    answer.resolve({
      baseOffset,
      lastOffset: baseOffset + answer.count - 1,
      timestamp: logAppendTimeMs < 0 ? answer.timestamp : logAppendTimeMs,
      duplicate: false,
      logAppendTimeMs,
    })
  }

  #release(): void {
    encodeBuffers.release(this.#space)
    this.#onSettled(this.size)
  }
}

class OpenBatch {
  readonly space: EncodeSpace
  readonly answers: Answer[] = []

  constructor(byteLength: number) {
    this.space = encodeBuffers.take(byteLength)
  }
}

export class RecordAppender {
  readonly #state: LogState
  readonly #appender: Appender
  readonly #writer = new BatchWriter(new Uint8Array(BATCH_HEADER_BYTES))
  readonly #onSettled: (size: number) => void
  #open: OpenBatch | undefined
  readonly #turns = new AppendTurns()
  #waitingBytes = 0

  constructor(state: LogState, appender: Appender) {
    this.#state = state
    this.#appender = appender
    this.#onSettled = (size) => {
      this.#waitingBytes -= size
    }
    appender.gatherFrom(() => this.#handIn())
  }

  append(
    what: RecordInput | readonly RecordInput[] | Uint8Array,
    options: AppendOptions = NO_OPTIONS,
  ): Promise<AppendResult> {
    const { signal, durability = 'os' } = options
    try {
      if (durability !== 'os' && durability !== 'fsync') throw invalidDurability(durability)
      if (signal?.aborted) throw abortError(signal, 'append was aborted before it began: nothing is appended')
      this.#state.assertOpen()
      const appended =
        what instanceof Uint8Array ? this.#appendBytes(what, options) : this.#appendRecords(what, options)
      return signal === undefined ? appended : unlessAborted(appended, signal, STILL_APPENDED)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** A finished batch: checked as one from a client, never written to by anyone but the log from now on. */
  #appendBytes(bytes: Uint8Array, options: AppendOptions): Promise<AppendResult> {
    const size = checkBatch(bytes, 0, bytes.length)
    if (size !== bytes.length || isControl(bytes, 0)) {
      const reason =
        size < 0 ? faultNames[size] : size < bytes.length ? 'something follows it' : 'it is a control batch'
      throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `append takes the bytes of one record batch: ${reason}`)
    }
    if (size > this.#batchBytesMax()) throw tooLarge(this.#batchBytesMax())
    const { settings } = this.#state.context
    const isOpened = mustOpen(bytes, settings)
    if (!isOpened) assertBatchKeyed(bytes, settings)
    if (!isOpened && this.#turns.isFree) return this.#place(bytes, options)
    const look = async (): Promise<void> => {
      if (isOpened) await assertCompressedKeyed(bytes, this.#state)
    }
    return this.#turns.take(look, () => this.#place(bytes, options))
  }

  #place(bytes: Uint8Array, options: AppendOptions): Promise<AppendResult> {
    const isDurable = options.durability === 'fsync'
    const appended = this.#appender.append(bytes, this.#appender.newestEpoch, isDurable)
    return isDurable ? this.#durable(appended) : appended
  }

  async #durable(appended: Promise<AppendResult>): Promise<AppendResult> {
    const result = await appended
    await this.#appender.flush(result.lastOffset + 1)
    return result
  }

  #appendRecords(what: RecordInput | readonly RecordInput[], options: AppendOptions): Promise<AppendResult> {
    return this.#turns.isFree ? this.#encodeAll(what, options) : this.#encodeLater(what, options)
  }

  /** Behind a compressed batch that is looked into; the records are copied all the same. */
  #encodeLater(what: RecordInput | readonly RecordInput[], options: AppendOptions): Promise<AppendResult> {
    const size = isArray(what) ? checkRecords(what) : checkRecord(what)
    this.#assertRoom(size)
    const copies = isArray(what) ? what.map(copyOf) : copyOf(what)
    this.#waitingBytes += size
    const look = async (): Promise<void> => this.#onSettled(size)
    return this.#turns.take(look, () => {
      this.#state.assertOpen()
      return this.#encodeAll(copies, options)
    })
  }

  #encodeAll(what: RecordInput | readonly RecordInput[], options: AppendOptions): Promise<AppendResult> {
    const isDurable = options.durability === 'fsync'
    if (!isArray(what)) {
      const size = checkRecord(what)
      assertKeyed([what], this.#state.context.settings)
      const writer = this.#writerFor(size)
      return this.#answer(this.#encode(writer, what, this.#nowMs()), 1, isDurable)
    }
    const size = checkRecords(what)
    assertKeyed(what, this.#state.context.settings)
    const writer = this.#writerFor(size)
    const nowMs = this.#nowMs()
    let timestamp = -1
    for (let index = 0; index < what.length; index++) {
      timestamp = Math.max(timestamp, this.#encode(writer, what[index]!, nowMs))
    }
    return this.#answer(timestamp, what.length, isDurable)
  }

  /** A writer that has room for so many bytes of records: of the open batch, or of a new one. */
  #writerFor(size: number): BatchWriter {
    const needed = BATCH_HEADER_BYTES + size
    if (this.#open !== undefined) {
      if (this.#writer.size + size <= this.#open.space.bytes.length) return this.#writer
      this.#handIn()
    }
    const bytesMax = this.#batchBytesMax()
    if (bytesMax <= BATCH_HEADER_BYTES) throw tooLarge(bytesMax)
    const room = Math.min(Math.max(needed, SHARED_BATCH_BYTES), bytesMax)
    this.#assertRoom(room)
    this.#open = new OpenBatch(room)
    this.#writer.reset(this.#open.space.bytes)
    return this.#writer
  }

  #assertRoom(size: number): void {
    if (this.#waitingBytes === 0 || this.#waitingBytes + size <= WAITING_BYTES_MAX) return
    const message = `${this.#waitingBytes} bytes wait to be appended: await some of the appends first`
    throw new PagelogError('PAGELOG_BUFFER_FULL', message, { retriable: true, path: this.#state.context.directory })
  }

  /** Returns the record's timestamp. A record that does not fit is alone in a batch that could not be larger. */
  #encode(writer: BatchWriter, { key, value, headers, timestamp }: RecordInput, nowMs: number): number {
    const timestampMs = timestamp ?? nowMs
    if (!writer.append(timestampMs, key ?? null, value ?? null, headers)) throw this.#tooLarge()
    return timestampMs
  }

  #nowMs(): number {
    return this.#state.context.clock.nowMs()
  }

  #answer(timestamp: number, count: number, isDurable: boolean): Promise<AppendResult> {
    const answer = new Answer(this.#writer.count - count, count, timestamp, isDurable)
    this.#open!.answers.push(answer)
    this.#appender.wake(isDurable)
    return answer.promise
  }

  #handIn(): void {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    const bytes = this.#writer.finish()
    encodeBuffers.shrink(open.space, bytes.length)
    this.#waitingBytes += bytes.length
    this.#appender.place(bytes, (fields) => new RecordsAppend(fields, open, this.#onSettled))
  }

  /** What a batch may have: also the room of one whose upper bound is above it. */
  #batchBytesMax(): number {
    const { maxMessageBytes, segmentBytes } = this.#state.context.settings
    return Math.min(maxMessageBytes, segmentBytes)
  }

  /** Gives up the open batch, which holds nothing but the records of this call. */
  #tooLarge(): PagelogError {
    encodeBuffers.release(this.#open!.space)
    this.#open = undefined
    return tooLarge(this.#batchBytesMax())
  }
}

function tooLarge(bytesMax: number): PagelogError {
  const message = `the records of one append do not fit a batch of ${bytesMax} bytes (max.message.bytes, segment.bytes)`
  return new PagelogError('PAGELOG_TOO_LARGE', message)
}

function isArray(what: RecordInput | readonly RecordInput[]): what is readonly RecordInput[] {
  return Array.isArray(what)
}

function invalidDurability(durability: never): PagelogError {
  return new PagelogError('PAGELOG_INVALID_ARGUMENT', `durability is 'os' or 'fsync', not ${String(durability)}`)
}
