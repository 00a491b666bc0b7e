/**
 * One record by its offset: its batch is found, copied and checked, the record copied out of it. Nothing is waited for
 * when the page cache has the batch; then one buffer serves all look-ups.
 */
import { PagelogError } from '../base/index.ts'
import { baseOffset, batchSize, Compression, isControl, LogRecord, RecordBatch, RecordCursor } from '../record/index.ts'
import { type Chunk, ChunkReader, ReadBuffer, type SliceSource } from './chunk-reader.ts'
import type { Opening } from './codec-work.ts'
import { corruptBatch, decompressed, faultOf } from './stored-batch.ts'

/** Of this process; a batch above it has memory of its own. */
const lookupBuffer = new ReadBuffer(1_048_576)

export class RecordLookup {
  readonly #chunks: ChunkReader
  readonly #cursor = new RecordCursor()
  readonly #opening: Opening

  constructor(slice: SliceSource, opening: Opening) {
    this.#opening = opening
    this.#chunks = new ChunkReader(slice, lookupBuffer)
  }

  /** See `Log.readAt`. */
  async recordAt(offset: number): Promise<LogRecord | undefined> {
    if (!Number.isSafeInteger(offset)) {
      throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `an offset is a whole number, ${offset} is not`)
    }
    const found = this.#chunks.read(offset, 1)
    const chunk = found instanceof Promise ? await found : found
    if (chunk === undefined) return undefined
    const batch = this.#batchIn(chunk, offset)
    const isStored = batch === undefined || batch.compression === Compression.NONE
    const record = this.#recordIn(isStored ? batch : await decompressed(batch, this.#opening))
    this.#chunks.recycle(chunk)
    return record
  }

  /** The batch of the offset; undefined when no record of a program's has it. */
  #batchIn(chunk: Chunk, offset: number): RecordBatch | undefined {
    const { bytes, end } = chunk
    const size = end < 12 ? 0 : batchSize(bytes, 0)
    const fault = size > end ? 'its length cannot be' : faultOf(bytes, 0, size, true)
    if (fault !== undefined) throw corruptBatch(chunk, 0, offset, fault)
    if (baseOffset(bytes, 0) > offset || isControl(bytes, 0)) return undefined
    return new RecordBatch(bytes, 0, offset, offset + 1)
  }

  #recordIn(batch: RecordBatch | undefined): LogRecord | undefined {
    const cursor = batch?.cursor(this.#cursor)
    return cursor?.next() ? new LogRecord(cursor, true) : undefined
  }
}
