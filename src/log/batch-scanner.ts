/**
 * Walks the batches of a segment file from a position on, reading bounded chunks in the thread pool: for recovery
 * (`verify`: structure and CRC of every batch) and for look-ups and replay (headers only, bodies are skipped unread).
 *
 *   while (scanner.next() || (await scanner.more())) use(scanner.bytes, scanner.at, scanner.position, scanner.size)
 *   if (scanner.fault) … the batch at scanner.position is not one
 *
 * `next` works in memory and never waits, so that a walk costs one turn of the event loop per chunk (below a
 * millisecond each), not per batch. With `verify` the chunk behind the current one is read meanwhile.
 */
import type { File } from '../env/index.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  baseOffset,
  batchSize,
  checkBatchStored,
  crc,
  crc32c,
  lastOffset,
  lastOffsetDelta,
  MAGIC_V2,
  magic,
  recordCount,
} from '../record/index.ts'

/** One chunk of CRC costs about 0.02 ms with the addon and below 1 ms without. */
const CHUNK_BYTES = 256 * 1024
/** For header walks over large batches: more would be read for nothing. */
const CHUNK_BYTES_MIN = 4096
/** Of two microseconds each, between two turns of the event loop. */
const READS_AT_ONCE_MAX = 128
const BAD_CRC = 'CRC does not match'

export interface ScanOptions {
  readonly from: number
  /** Exclusive. */
  readonly to: number
  readonly verify: boolean
}

/** What a walk needs of a file. */
export type BatchSource = Pick<File, 'read' | 'tryRead'>

export type BatchFaultKind = 'batch-cut-off' | 'batch-structure' | 'batch-crc'

/** A chunk on its way from the device. */
interface ReadAhead {
  readonly position: number
  readonly bytes: Uint8Array
  readonly count: Promise<number>
}

export class BatchScanner {
  /** Chunk that holds the header of the current batch (with `verify`, not always all of its body). */
  bytes: Uint8Array
  /** Of the current batch in `bytes`. */
  at = 0
  /** Of the current batch in the file; after the end, of the first byte that was not accepted. */
  position: number
  /** Of the current batch. */
  size = 0
  /** Why the walk ended before `to`. */
  fault: string | undefined
  faultKind: BatchFaultKind = 'batch-structure'
  readonly #file: BatchSource
  readonly #to: number
  readonly #verify: boolean
  /** Positions in the file of the chunk's bytes, which begin at `#chunkAt` in `bytes`. */
  #chunkStart: number
  #chunkEnd: number
  #chunkAt = 0
  #chunkBytes: number
  #nextPosition: number
  #isChecked = false
  #readsAtOnce = 0
  #ahead: ReadAhead | undefined
  /** The buffer that the next chunk is read into, after room for the begin of a batch that the last chunk had. */
  #spare: Uint8Array | undefined

  constructor(file: BatchSource, options: ScanOptions) {
    this.#file = file
    this.#to = options.to
    this.#verify = options.verify
    const length = Math.max(0, options.to - options.from)
    this.#chunkBytes = options.verify ? Math.min(CHUNK_BYTES, length) : CHUNK_BYTES_MIN
    this.bytes = new Uint8Array(options.verify ? 0 : Math.min(this.#chunkBytes, length))
    this.position = options.from
    this.#chunkStart = options.from
    this.#chunkEnd = options.from
    this.#nextPosition = options.from
  }

  /** Moves to the next batch when that is in memory: true. False: ask `more`. */
  next(): boolean {
    const position = this.#nextPosition
    if (this.fault !== undefined || position + BATCH_HEADER_BYTES > this.#chunkEnd) return false
    const at = position - this.#chunkStart + this.#chunkAt
    const size = batchSize(this.bytes, at)
    if (size < BATCH_HEADER_BYTES || position + size > this.#to || magic(this.bytes, at) !== MAGIC_V2) return false
    if (this.#verify && !this.#isChecked) {
      if (position + size > this.#chunkEnd) return false
      if (checkBatchStored(this.bytes, at, at + size) < 0) return false
    }
    this.#isChecked = false
    this.at = at
    this.position = position
    this.size = size
    this.#nextPosition = position + size
    return true
  }

  /** Reads on and moves to the next batch: true. False: the walk is over, at `to` or with a fault. */
  async more(): Promise<boolean> {
    const position = this.#nextPosition
    this.position = position
    if (this.fault !== undefined) return false
    if (position >= this.#to) return this.#stop(undefined)
    if (this.#to - position < BATCH_HEADER_BYTES) return this.#stop('batch header is cut off', 'batch-cut-off')
    await this.#readChunk(position)
    if (this.#chunkEnd - position < BATCH_HEADER_BYTES) return this.#stop('batch header is cut off', 'batch-cut-off')
    const at = position - this.#chunkStart + this.#chunkAt
    const size = batchSize(this.bytes, at)
    if (size < BATCH_HEADER_BYTES) return this.#stop(`impossible batch size ${size}`)
    if (magic(this.bytes, at) !== MAGIC_V2) return this.#stop(`unknown batch version ${magic(this.bytes, at)}`)
    if (position + size > this.#to) return this.#stop('batch is cut off', 'batch-cut-off')
    if (this.#verify) {
      const fault = await this.#checkCurrent(position, at, size)
      if (fault !== undefined) return this.#stop(fault, fault === BAD_CRC ? 'batch-crc' : 'batch-structure')
      this.#isChecked = true
    }
    return this.next()
  }

  /** Ends a walk that is not gone through with: what is being read ahead is waited for. */
  async abandon(): Promise<void> {
    await this.#ahead?.count.catch(() => {})
    this.#ahead = undefined
  }

  /** The whole current batch, in bytes of its own or in the chunk: view valid until the next `more`. */
  async body(): Promise<Uint8Array> {
    if (this.position + this.size <= this.#chunkEnd) return this.bytes.subarray(this.at, this.at + this.size)
    const body = new Uint8Array(this.size)
    const count = await this.#file.read(body, this.position)
    return body.subarray(0, count)
  }

  /** Base offset of the batch behind the current one; undefined where the walk ends there. */
  async followingOffset(): Promise<number | undefined> {
    const position = this.#nextPosition
    if (this.#to - position < BATCH_HEADER_BYTES) return undefined
    if (position + BATCH_HEADER_BYTES <= this.#chunkEnd) {
      return baseOffset(this.bytes, position - this.#chunkStart + this.#chunkAt)
    }
    const header = new Uint8Array(BATCH_HEADER_BYTES)
    return (await this.#file.read(header, position)) < header.length ? undefined : baseOffset(header, 0)
  }

  /** Every batch is checked, not only walked over. */
  get verifies(): boolean {
    return this.#verify
  }
  /** Inclusive. */
  get lastOffset(): number {
    return lastOffset(this.bytes, this.at)
  }

  async #readChunk(position: number): Promise<void> {
    if (this.#verify) return await this.#takeAhead(position)
    // Less was skipped than read: small batches, read more at once. Else read no more than the next headers.
    const isDense = this.#chunkEnd > this.#chunkStart && position - this.#chunkEnd < this.#chunkBytes
    this.#chunkBytes = isDense ? Math.min(CHUNK_BYTES, this.#chunkBytes * 4) : CHUNK_BYTES_MIN
    const wanted = Math.min(this.#chunkBytes, this.#to - position)
    if (this.bytes.length < wanted) this.bytes = new Uint8Array(wanted)
    const into = this.bytes.subarray(0, wanted)
    const count = await this.#read(into, position)
    this.#chunkStart = position
    this.#chunkEnd = position + count
  }

  /**
   * Goes over to the chunk that was read ahead, the begin of a batch at the end of the last one put in front of it, and
   * starts to read the next: a large file is read while what was read is checked. Every byte is read once.
   */
  async #takeAhead(position: number): Promise<void> {
    const room = this.#chunkBytes
    const kept = this.#chunkEnd - position
    const fits = kept >= 0 && kept <= room && this.#ahead?.position === this.#chunkEnd
    if (!fits) {
      await this.abandon()
      this.#ahead = this.#startRead(position)
    }
    const ahead = this.#ahead!
    const head = fits ? kept : 0
    if (head > 0) {
      const at = position - this.#chunkStart + this.#chunkAt
      ahead.bytes.set(this.bytes.subarray(at, at + head), room - head)
    }
    this.#ahead = undefined
    const count = await ahead.count
    this.#spare = this.bytes.length === 0 ? undefined : this.bytes
    this.bytes = ahead.bytes
    this.#chunkAt = room - head
    this.#chunkStart = position
    this.#chunkEnd = ahead.position + count
    if (this.#chunkEnd < this.#to && count > 0) this.#ahead = this.#startRead(this.#chunkEnd)
  }

  #startRead(position: number): ReadAhead {
    const room = this.#chunkBytes
    const bytes = this.#spare ?? new Uint8Array(2 * room)
    this.#spare = undefined
    const count = this.#file.read(bytes.subarray(room, room + Math.min(room, this.#to - position)), position)
    count.catch(() => {}) // met where it is awaited
    return { position, bytes, count }
  }

  /** Walks of headers take what the page cache has at once, but go through the pool often enough to let others run. */
  async #read(into: Uint8Array, position: number): Promise<number> {
    const isSmall = into.length <= CHUNK_BYTES_MIN
    if (isSmall && ++this.#readsAtOnce < READS_AT_ONCE_MAX) {
      const count = this.#file.tryRead(into, position)
      if (count >= 0) return count
    }
    this.#readsAtOnce = 0
    return await this.#file.read(into, position)
  }

  /** Structure and CRC of the current batch; one larger than what the chunk holds is read through piece by piece. */
  async #checkCurrent(position: number, at: number, size: number): Promise<string | undefined> {
    const held = this.#chunkEnd - position
    const hasCounts = lastOffsetDelta(this.bytes, at) >= 0 && recordCount(this.bytes, at) >= 0
    if (size <= held) {
      if (checkBatchStored(this.bytes, at, at + size) >= 0) return undefined
      return hasCounts ? BAD_CRC : 'negative counts'
    }
    if (!hasCounts) return 'negative counts'
    let sum = crc32c(this.bytes, at + ATTRIBUTES_AT, at + held)
    const piece = new Uint8Array(CHUNK_BYTES)
    for (let done = held; done < size; ) {
      const wanted = Math.min(piece.length, size - done)
      const count = await this.#file.read(piece.subarray(0, wanted), position + done)
      if (count === 0) return 'batch is cut off'
      sum = crc32c(piece, 0, count, sum)
      done += count
    }
    return sum === crc(this.bytes, at) ? undefined : BAD_CRC
  }

  async #stop(reason: string | undefined, kind: BatchFaultKind = 'batch-structure'): Promise<false> {
    this.fault = reason
    this.faultKind = kind
    await this.abandon()
    return false
  }
}
