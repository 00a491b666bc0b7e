/**
 * Reads a segment file batch by batch for a job: large reads into one buffer, each batch whole and checked (structure,
 * CRC, rising offsets). A batch that is not one ends it with PAGELOG_CORRUPT: compaction never builds on damage.
 *
 *   while (batches.next() || (await batches.more())) use(batches.bytes, batches.at, batches.size)
 */
import { hasCode, PagelogError } from '../../base/index.ts'
import type { File, JobEnv } from '../../env/index.ts'
import { BATCH_HEADER_BYTES, baseOffset, batchSize, checkBatchStored, lastOffset } from '../../record/index.ts'
import type { Throttle } from './throttle.ts'

export interface StoredRange {
  /** First position, of a batch. */
  readonly from: number
  /** Exclusive. */
  readonly to: number
  /** The first batch may not begin before this offset. */
  readonly firstOffset: number
}

export class StoredBatches {
  bytes: Uint8Array
  /** Of the current batch in `bytes`. */
  at = 0
  size = 0
  bytesRead = 0
  readonly #file: File
  readonly #env: JobEnv
  readonly #throttle: Throttle
  readonly #to: number
  /** Positions in the file of what `bytes` holds. */
  #start: number
  #end: number
  #next: number
  #nextOffset: number

  constructor(file: File, range: StoredRange, buffer: Uint8Array, given: { env: JobEnv; throttle: Throttle }) {
    this.#file = file
    this.#env = given.env
    this.#throttle = given.throttle
    this.bytes = buffer
    this.#to = range.to
    this.#start = range.from
    this.#end = range.from
    this.#next = range.from
    this.#nextOffset = range.firstOffset
  }

  /** Moves to the next batch when all of it is in memory. False: ask `more`. */
  next(): boolean {
    const at = this.#next - this.#start
    const held = this.#end - this.#next
    if (held < BATCH_HEADER_BYTES) return false
    const size = batchSize(this.bytes, at)
    if (size > held && this.#end < this.#to && size <= this.#to - this.#next) return false
    const end = this.#end - this.#start
    if (checkBatchStored(this.bytes, at, end) < 0) throw this.#damaged('CRC or structure do not match')
    const first = baseOffset(this.bytes, at)
    const last = lastOffset(this.bytes, at)
    if (first < this.#nextOffset || last < first) {
      throw this.#damaged(`batch with offsets ${first} to ${last} where ${this.#nextOffset} was expected`)
    }
    this.at = at
    this.size = size
    this.#next += size
    this.#nextOffset = last + 1
    return true
  }

  /** Reads on and moves to the next batch; false at the end. */
  async more(): Promise<boolean> {
    if (this.#next === this.#to) return false
    if (this.#env.isAborted()) throw new PagelogError('PAGELOG_ABORTED', 'compaction was aborted')
    await this.#read()
    if (this.#end - this.#next < BATCH_HEADER_BYTES) throw this.#damaged('batch header is cut off')
    if (this.next()) return true
    // It is larger than the buffer.
    this.#grow(batchSize(this.bytes, this.#next - this.#start))
    await this.#read()
    if (this.next()) return true
    throw this.#damaged('batch is cut off')
  }

  /** Moves what is left to the front and fills the buffer. */
  async #read(): Promise<void> {
    const kept = this.#end - this.#next
    this.bytes.copyWithin(0, this.#next - this.#start, this.#end - this.#start)
    this.#start = this.#next
    const wanted = Math.min(this.bytes.length - kept, this.#to - this.#end)
    if (wanted === 0) return
    await this.#throttle.take(wanted)
    let count: number
    try {
      count = await this.#readInto(this.bytes.subarray(kept, kept + wanted))
    } catch (error) {
      // What cannot be read is as good as damaged; the directory goes on.
      if (hasCode(error, 'PAGELOG_STORAGE')) throw this.#damaged('it cannot be read', error)
      throw error
    }
    this.#end += count
    this.bytesRead += count
    if (count < wanted) throw this.#damaged('file is shorter than its segment')
  }

  /**
   * What the page cache has is taken in place: beside appends that keep the thread pool busy a job would wait for its turn
   * there longer than for its bytes. Then whoever shares this thread has a turn.
   */
  async #readInto(into: Uint8Array): Promise<number> {
    const count = this.#file.tryRead(into, this.#end)
    if (count < into.length) return await this.#file.read(into, this.#end)
    await new Promise<void>((resolve) => this.#env.clock.soon(resolve))
    return count
  }

  #grow(size: number): void {
    const larger = new Uint8Array(Math.max(size, this.bytes.length))
    larger.set(this.bytes.subarray(0, this.#end - this.#start))
    this.bytes = larger
  }

  #damaged(reason: string, cause?: unknown): PagelogError {
    const fields = { path: this.#file.path, position: this.#next, offset: this.#nextOffset }
    return new PagelogError('PAGELOG_CORRUPT', `segment is damaged: ${reason}`, { ...fields, cause })
  }
}
