/**
 * Reads a log from an offset on, batch by batch: `for await (const batch of log.read({ from })) for (const record of batch)`.
 * Bytes come in chunks of about `maxBytes`, from the page cache in place, else through the pool, then the next chunk is
 * read ahead while the last one is worked on. A chunk from the page cache costs a turn of the event loop, so that others
 * get theirs. Between two chunks the reader holds nothing of the log: trimming it, or closing it, needs not wait for readers.
 *
 *   slice ─► chunk (copied) ─► length and CRC of each batch ─► RecordBatch, whose cursor begins at `from` and ends at `to`
 *
 * Control batches (markers of transactions) and batches that compaction has emptied are left out; offsets may have gaps.
 */
import { hasCode, PagelogError } from '../base/index.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  batchesOf,
  batchSize,
  Compression,
  compression,
  isControl,
  lastOffset,
  RecordBatch,
  recordCount,
} from '../record/index.ts'
import { abortError } from './abort.ts'
import { type Chunk, ChunkReader, ReadBuffer, type SliceSource } from './chunk-reader.ts'
import type { Opening } from './codec-work.ts'
import { corruptBatch, decompressed, faultOf } from './stored-batch.ts'

export interface ReadOptions {
  /**
   * Where to begin: an offset, the oldest record (default), the end (with `tail`: only what comes from now on), or the
   * first record whose timestamp is at least this.
   */
  readonly from?: number | 'start' | 'end' | { readonly timestamp: number }
  /** Exclusive. Without it the reader ends where the log ended when reading began; with `tail` it does not end. */
  readonly to?: number
  /** Bytes read at a time, 512 KiB by default, 1 MiB at most; a larger batch is read whole. */
  readonly maxBytes?: number
  /** Wait for appends at the end of the log instead of ending there. */
  readonly tail?: boolean
  /** False: the CRC of a batch is not looked at. */
  readonly checkCrcs?: boolean
  /** False: compressed batches come as they are stored, and their records cannot be walked. */
  readonly decompress?: boolean
  /**
   * True: a batch, its records and their bytes are valid only until the next one is asked for. Faster, since the same
   * memory is used again and again. By default they stay valid for as long as they are held.
   */
  readonly reuseBuffers?: boolean
  readonly signal?: AbortSignal
}

/** What a reader needs of its log. */
export interface ReadableLog {
  readonly path: string
  readonly slice: SliceSource
  readonly logStartOffset: () => number
  readonly logEndOffset: () => number
  /** Changes when the end of the log is lowered. */
  readonly cuts: () => number
  /** Throws PAGELOG_CLOSED or PAGELOG_STORAGE. */
  readonly assertOpen: () => void
  readonly offsetForTime: (timestampMs: number) => Promise<{ readonly offset: number } | undefined>
  /** Calls back after every append, and when the log closes or goes offline. Returns the unsubscribe. */
  readonly onChange: (listener: () => void) => () => void
  /** Calls back in a later phase of the event loop. */
  readonly soon: (callback: () => void) => void
  /** For large compressed batches. */
  readonly opening: Opening
}

const READ_BYTES_DEFAULT = 524_288
/** A chunk is copied and checked in one turn of the event loop. */
const READ_BYTES_MAX = 1_048_576

type Result = IteratorResult<RecordBatch, undefined>
type Loaded = Chunk | undefined
const DONE: Result = { done: true, value: undefined }

export class LogReader implements AsyncIterableIterator<RecordBatch, undefined> {
  readonly #log: ReadableLog
  readonly #options: ReadOptions
  readonly #maxBytes: number
  readonly #checkCrcs: boolean
  readonly #decompresses: boolean
  readonly #chunks: ChunkReader
  #chunk: Loaded
  /** Of the next batch in the chunk. */
  #at = 0
  #from = 0
  /** Exclusive. */
  #to = Number.POSITIVE_INFINITY
  /** The offset to go on from; -1 before the first read. */
  #next = -1
  /** The chunk behind this one, asked for while the device was slower than the reader. */
  #ahead: { readonly loaded: Loaded | Promise<Loaded>; readonly cuts: number } | undefined
  /** A chunk came without waiting for anything: the next one waits for another turn. */
  #hadTurn = false
  #isOver = false
  #abortion: PagelogError | undefined
  /** The calls of `next` that are not settled, in a row. */
  #running: Promise<Result> | undefined
  /** Where the last chunk was asked for: that must not happen twice. */
  #asked = -1
  /** Ends a wait: the reader was ended or aborted. */
  #interrupt: (() => void) | undefined

  constructor(log: ReadableLog, options: ReadOptions = {}) {
    checkOptions(options)
    this.#log = log
    this.#options = options
    this.#maxBytes = Math.min(options.maxBytes ?? READ_BYTES_DEFAULT, READ_BYTES_MAX)
    this.#checkCrcs = options.checkCrcs ?? true
    this.#decompresses = options.decompress ?? true
    this.#chunks = new ChunkReader(
      log.slice,
      options.reuseBuffers ? new ReadBuffer(Number.POSITIVE_INFINITY) : undefined,
    )
  }

  /** Where the next batch begins, or a lower offset where records are missing; -1 before the first `next`. */
  get nextOffset(): number {
    return this.#next
  }

  /**
   * The next batch. When it rejects the reader is over: PAGELOG_CORRUPT (with path, position and offset),
   * PAGELOG_OFFSET_OUT_OF_RANGE (`from` is not in the log, or the log was trimmed or truncated under the reader),
   * PAGELOG_CLOSED, PAGELOG_STORAGE, PAGELOG_ABORTED.
   */
  next(): Promise<Result> {
    if (this.#running === undefined) {
      try {
        const value = this.tryNext()
        if (value !== undefined) return Promise.resolve({ done: false, value })
      } catch (error) {
        return Promise.reject(error)
      }
    }
    const running = this.#running === undefined ? this.#advance() : this.#running.then(() => this.#advance())
    this.#running = running
    const settled = (): void => {
      if (this.#running === running) this.#running = undefined
    }
    running.then(settled, settled)
    return running
  }

  /** The next batch if it is in memory already; if not, ask `next`. Saves a promise a batch. Throws as `next` rejects. */
  tryNext(): RecordBatch | undefined {
    if (this.#isOver || this.#running !== undefined) return undefined
    try {
      if (this.#abortion !== undefined) throw this.#abortion
      return this.#nextIsCompressed() ? undefined : this.#take()
    } catch (error) {
      this.#finish()
      throw error
    }
  }

  /** Ends the reader, a `next` that waits as well. Resolves when it uses nothing of the log any more. */
  async return(): Promise<Result> {
    const ahead = this.#ahead?.loaded
    this.#finish()
    await Promise.allSettled([ahead, this.#running])
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  /** Loads chunks until there is a batch. */
  async #advance(): Promise<Result> {
    try {
      if (this.#next < 0 && !this.#isOver) await this.#begin()
      while (!this.#isOver) {
        if (this.#abortion !== undefined) throw this.#abortion
        if (this.#nextIsCompressed()) await this.#turn()
        const value = this.#take()
        if (value !== undefined) return { done: false, value: await this.#readableBatch(value) }
        if (this.#next >= this.#to) break
        this.#log.assertOpen()
        if (this.#next !== this.#log.logEndOffset()) await this.#load()
        else if (this.#options.tail) await this.#change()
        else break
      }
    } catch (error) {
      this.#finish()
      throw error
    }
    this.#finish()
    return DONE
  }

  async #begin(): Promise<void> {
    const { from = 'start', to = Number.POSITIVE_INFINITY, tail, signal } = this.#options
    if (signal?.aborted) throw abortError(signal, ABORTED)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    const log = this.#log
    log.assertOpen()
    const end = log.logEndOffset()
    this.#to = tail ? to : Math.min(to, end)
    let next: number
    if (from === 'start') next = log.logStartOffset()
    else if (from === 'end') next = end
    else if (typeof from === 'number') next = from
    else next = (await this.#unlessInterrupted(log.offsetForTime(from.timestamp)))?.offset ?? end
    if (next < log.logStartOffset() || next > log.logEndOffset()) {
      const message = `offset ${next} is outside of ${log.logStartOffset()} to ${log.logEndOffset()}`
      throw new PagelogError('PAGELOG_OFFSET_OUT_OF_RANGE', message, { offset: next, path: log.path })
    }
    this.#from = next
    this.#next = next
  }

  /** The next batch in memory; undefined when another chunk is needed or `to` was reached. */
  #take(): RecordBatch | undefined {
    const chunk = this.#chunk
    if (chunk === undefined) return undefined
    const { bytes, end } = chunk
    while (end - this.#at >= BATCH_HEADER_BYTES) {
      const at = this.#at
      const size = batchSize(bytes, at)
      if (size > end - at && at > 0) return undefined // cut off: the next chunk begins with it
      if (size > end - at) throw this.#corrupt(chunk, 'its length cannot be')
      const fault = faultOf(bytes, at, size, this.#checkCrcs)
      if (fault !== undefined) throw this.#corrupt(chunk, fault)
      if (baseOffset(bytes, at) >= this.#to) {
        this.#next = this.#to
        return undefined
      }
      const last = lastOffset(bytes, at)
      this.#at = at + size
      if (last < this.#next) continue
      this.#next = last + 1
      if (recordCount(bytes, at) > 0 && !isControl(bytes, at)) return new RecordBatch(bytes, at, this.#from, this.#to)
    }
    return undefined
  }

  /** Whether the next batch has to be decompressed: by `next`, one in a turn. */
  #nextIsCompressed(): boolean {
    if (!this.#decompresses || this.#chunk === undefined) return false
    const { bytes, end } = this.#chunk
    return end - this.#at >= BATCH_HEADER_BYTES && compression(bytes, this.#at) !== Compression.NONE
  }

  async #readableBatch(batch: RecordBatch): Promise<RecordBatch> {
    if (!this.#decompresses || batch.compression === Compression.NONE) return batch
    this.#hadTurn = true
    return await decompressed(batch, this.#log.opening)
  }

  /** What comes without waiting comes once in a turn of the event loop. */
  async #turn(): Promise<void> {
    if (this.#hadTurn) await this.#unlessInterrupted(new Promise<void>((resolve) => this.#log.soon(resolve)))
    this.#hadTurn = false
  }

  /** The next chunk. One that the device had to be asked for is followed by another, asked for at once. */
  async #load(): Promise<void> {
    if (this.#chunk !== undefined) this.#chunks.recycle(this.#chunk)
    this.#chunk = undefined
    await this.#turn()
    if (this.#isOver) return
    const end = this.#log.logEndOffset()
    const ahead = this.#ahead
    this.#ahead = undefined
    if (ahead === undefined && this.#asked === this.#next) {
      throw new PagelogError('PAGELOG_CORRUPT', 'no batch where one begins', {
        path: this.#log.path,
        offset: this.#next,
      })
    }
    if (ahead === undefined) this.#asked = this.#next
    const cuts = ahead?.cuts ?? this.#log.cuts()
    const loading = ahead === undefined ? this.#chunks.read(this.#next, this.#maxBytes) : ahead.loaded
    let chunk: Loaded
    try {
      chunk = loading instanceof Promise ? await this.#unlessInterrupted(loading) : loading
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_CORRUPT') || this.#log.cuts() === cuts) throw error
    }
    if (this.#isOver) return
    if (this.#log.cuts() !== cuts) {
      this.#asked = -1 // what came is of before the cut, or of neither: asked for once more
      return
    }
    this.#hadTurn = !(loading instanceof Promise)
    this.#chunk = chunk
    this.#at = 0
    if (chunk === undefined && ahead === undefined) this.#next = end // nothing but a gap is left
    if (chunk !== undefined && loading instanceof Promise) this.#readAhead(chunk)
  }

  #readAhead({ bytes, end }: Chunk): void {
    let next = this.#next
    for (const batch of batchesOf(bytes.subarray(0, end))) next = batch.lastOffset + 1
    if (next >= Math.min(this.#to, this.#log.logEndOffset())) return
    const cuts = this.#log.cuts()
    let loaded: Loaded | Promise<Loaded>
    try {
      loaded = this.#chunks.read(next, this.#maxBytes)
    } catch (error) {
      loaded = Promise.reject(error)
    }
    if (loaded instanceof Promise) loaded.catch(() => {}) // it fails when its turn comes
    this.#ahead = { loaded, cuts }
  }

  /** Resolves when there may be more to read, or no more than an error. */
  async #change(): Promise<void> {
    let unsubscribe = (): void => {}
    try {
      await this.#unlessInterrupted(
        new Promise<void>((resolve) => {
          unsubscribe = this.#log.onChange(resolve)
        }),
      )
    } finally {
      unsubscribe()
    }
    this.#hadTurn = false
  }

  /** What `promise` gives; undefined as soon as the reader is ended, PAGELOG_ABORTED as soon as it is aborted. */
  #unlessInterrupted<T>(promise: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.#interrupt = () => {
        if (this.#abortion !== undefined) reject(this.#abortion)
        else resolve(undefined)
      }
      promise.then(resolve, reject)
    })
  }

  readonly #onAbort = (): void => {
    this.#abortion = abortError(this.#options.signal!, ABORTED)
    this.#interrupt?.()
  }

  #finish(): void {
    this.#isOver = true
    this.#chunk = undefined
    this.#ahead = undefined
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#interrupt?.()
  }

  #corrupt(chunk: Chunk, fault: string): PagelogError {
    return corruptBatch(chunk, this.#at, this.#next, fault)
  }
}

const ABORTED = 'reading was aborted'

function checkOptions({ from = 'start', to, maxBytes }: ReadOptions): void {
  if (!isPlace(from)) {
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', "from is an offset, 'start', 'end' or { timestamp }")
  }
  if (to !== undefined && !isOffset(to)) throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'to is an offset')
  if (maxBytes !== undefined && !(Number.isSafeInteger(maxBytes) && maxBytes > 0)) {
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'maxBytes is a whole number above 0')
  }
}

function isPlace(from: unknown): boolean {
  if (typeof from === 'number') return Number.isSafeInteger(from)
  if (typeof from === 'string') return from === 'start' || from === 'end'
  return typeof from === 'object' && from !== null && 'timestamp' in from && isOffset(from.timestamp)
}

function isOffset(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
