/**
 * Walks the batches of a segment file from a position on, reading bounded chunks in the thread pool: for recovery
 * (`verify`: structure and CRC of every batch) and for look-ups and replay (headers only, bodies are skipped unread).
 *
 *   while (scanner.next() || (await scanner.more())) use(scanner.bytes, scanner.at, scanner.position, scanner.size)
 *   if (scanner.fault) … the batch at scanner.position is not one
 *
 * `next` works in memory and never waits, so that a walk costs one turn of the event loop per chunk (below a
 * millisecond each), not per batch.
 */
import type { File } from '../env/index.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
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

export interface ScanOptions {
  readonly from: number
  /** Exclusive. */
  readonly to: number
  readonly verify: boolean
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
  readonly #file: File
  readonly #to: number
  readonly #verify: boolean
  /** Positions in the file of the chunk's bytes. */
  #chunkStart: number
  #chunkEnd: number
  #chunkBytes: number
  #nextPosition: number
  #isChecked = false
  #readsAtOnce = 0

  constructor(file: File, options: ScanOptions) {
    this.#file = file
    this.#to = options.to
    this.#verify = options.verify
    this.#chunkBytes = options.verify ? CHUNK_BYTES : CHUNK_BYTES_MIN
    this.bytes = new Uint8Array(Math.min(this.#chunkBytes, Math.max(0, options.to - options.from)))
    this.position = options.from
    this.#chunkStart = options.from
    this.#chunkEnd = options.from
    this.#nextPosition = options.from
  }

  /** Moves to the next batch when that is in memory: true. False: ask `more`. */
  next(): boolean {
    const position = this.#nextPosition
    const at = position - this.#chunkStart
    if (this.fault !== undefined || position + BATCH_HEADER_BYTES > this.#chunkEnd) return false
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
    if (this.fault !== undefined || position >= this.#to) return false
    if (this.#to - position < BATCH_HEADER_BYTES) return this.#stop('batch header is cut off')
    await this.#readChunk(position)
    if (this.#chunkEnd - position < BATCH_HEADER_BYTES) return this.#stop('batch header is cut off')
    const size = batchSize(this.bytes, 0)
    if (size < BATCH_HEADER_BYTES) return this.#stop(`impossible batch size ${size}`)
    if (magic(this.bytes, 0) !== MAGIC_V2) return this.#stop(`unknown batch version ${magic(this.bytes, 0)}`)
    if (position + size > this.#to) return this.#stop('batch is cut off')
    if (this.#verify) {
      const fault = await this.#checkCurrent(position, size)
      if (fault !== undefined) return this.#stop(fault)
      this.#isChecked = true
    }
    return this.next()
  }

  /** The whole current batch, in bytes of its own or in the chunk: view valid until the next `more`. */
  async body(): Promise<Uint8Array> {
    if (this.position + this.size <= this.#chunkEnd) return this.bytes.subarray(this.at, this.at + this.size)
    const body = new Uint8Array(this.size)
    const count = await this.#file.read(body, this.position)
    return body.subarray(0, count)
  }

  /** Inclusive. */
  get lastOffset(): number {
    return lastOffset(this.bytes, this.at)
  }

  async #readChunk(position: number): Promise<void> {
    if (!this.#verify) {
      // Less was skipped than read: small batches, read more at once. Else read no more than the next headers.
      const isDense = this.#chunkEnd > this.#chunkStart && position - this.#chunkEnd < this.#chunkBytes
      this.#chunkBytes = isDense ? Math.min(CHUNK_BYTES, this.#chunkBytes * 4) : CHUNK_BYTES_MIN
    }
    const wanted = Math.min(this.#chunkBytes, this.#to - position)
    if (this.bytes.length < wanted) this.bytes = new Uint8Array(wanted)
    const into = this.bytes.subarray(0, wanted)
    const count = await this.#read(into, position)
    this.#chunkStart = position
    this.#chunkEnd = position + count
  }

  /** Walks of headers take what the page cache has at once, but go through the pool often enough to let others run. */
  async #read(into: Uint8Array, position: number): Promise<number> {
    const isSmall = !this.#verify && into.length <= CHUNK_BYTES_MIN
    if (isSmall && ++this.#readsAtOnce < READS_AT_ONCE_MAX) {
      const count = this.#file.tryRead(into, position)
      if (count >= 0) return count
    }
    this.#readsAtOnce = 0
    return await this.#file.read(into, position)
  }

  /** Structure and CRC of the batch at the start of the chunk; one larger than the chunk is read through piece by piece. */
  async #checkCurrent(position: number, size: number): Promise<string | undefined> {
    const held = this.#chunkEnd - position
    if (size <= held) return checkBatchStored(this.bytes, 0, size) < 0 ? 'CRC or counts do not match' : undefined
    if (lastOffsetDelta(this.bytes, 0) < 0 || recordCount(this.bytes, 0) < 0) return 'negative counts'
    let sum = crc32c(this.bytes, ATTRIBUTES_AT, held)
    const piece = new Uint8Array(CHUNK_BYTES)
    for (let done = held; done < size; ) {
      const wanted = Math.min(piece.length, size - done)
      const count = await this.#file.read(piece.subarray(0, wanted), position + done)
      if (count === 0) return 'batch is cut off'
      sum = crc32c(piece, 0, count, sum)
      done += count
    }
    return sum === crc(this.bytes, 0) ? undefined : 'CRC does not match'
  }

  #stop(reason: string): false {
    this.fault = reason
    return false
  }
}
