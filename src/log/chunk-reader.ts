/**
 * Copies slices of a log into memory: from the page cache at once, else by way of the pool. A region is held while its
 * bytes are copied and released whatever happens; nothing else of the log is held between two calls.
 */
import { PagelogError } from '../base/index.ts'
import type { FileRegion } from '../env/index.ts'
import type { Slice, SliceOptions } from './slice-reader.ts'

/** Batches back to back, the last one perhaps cut off: the first `end` of `bytes`. */
export interface Chunk {
  readonly bytes: Uint8Array
  readonly end: number
  /** Where the bytes lie on disk, for errors. */
  readonly path: string
  readonly position: number
}

export type SliceSource = (offset: number, maxBytes: number, options: SliceOptions) => Slice | Promise<Slice>

const NO_BYTES = new Uint8Array(0)
const ONE_BATCH: SliceOptions = { minOneBatch: true }

/** The last buffer that was given back, for the next one who needs a buffer. */
export class ReadBuffer {
  readonly #bytesMax: number
  #spare: Uint8Array = NO_BYTES

  /** Larger ones are not kept. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  take(byteLength: number): Uint8Array {
    const spare = this.#spare
    if (spare.length < byteLength) return uninitialized(byteLength)
    this.#spare = NO_BYTES
    return spare
  }

  give(bytes: Uint8Array): void {
    if (bytes.length > this.#spare.length && bytes.length <= this.#bytesMax) this.#spare = bytes
  }
}

export class ChunkReader {
  readonly #slice: SliceSource
  readonly #buffer: ReadBuffer | undefined

  /** Without `buffer` every chunk has memory of its own. */
  constructor(slice: SliceSource, buffer: ReadBuffer | undefined) {
    this.#slice = slice
    this.#buffer = buffer
  }

  /**
   * About `maxBytes` from the batch that holds `offset` on, at least one whole batch; undefined at the end of the log.
   * At once when the page cache has them. Throws or rejects as `Log.slice`.
   */
  read(offset: number, maxBytes: number): Chunk | undefined | Promise<Chunk | undefined> {
    const slice = this.#slice(offset, maxBytes, ONE_BATCH)
    return slice instanceof Promise ? slice.then((found) => this.#copy(found, maxBytes)) : this.#copy(slice, maxBytes)
  }

  /** Nobody uses the chunk any more: its memory may hold a later one. */
  recycle(chunk: Chunk): void {
    this.#buffer?.give(chunk.bytes)
  }

  #copy({ regions, byteLength }: Slice, maxBytes: number): Chunk | undefined | Promise<Chunk> {
    const first = regions[0]
    if (first === undefined) return undefined
    const bytes = this.#buffer?.take(Math.max(byteLength, maxBytes)) ?? uninitialized(byteLength)
    const chunk = { bytes, end: byteLength, path: first.file.path, position: first.position }
    let at = 0
    for (let index = 0; index < regions.length; index++) {
      const region = regions[index]!
      if (!tryCopy(region, bytes.subarray(at, at + region.length))) return copySlowly(regions.slice(index), chunk, at)
      at += region.length
    }
    return chunk
  }
}

/** True when the bytes were at hand; then the region is released. */
function tryCopy(region: FileRegion, into: Uint8Array): boolean {
  let count = -1
  try {
    count = region.file.tryRead(into, region.position)
  } catch (error) {
    region.release()
    throw error
  }
  if (count !== into.length) return false
  region.release()
  return true
}

async function copySlowly(regions: readonly FileRegion[], chunk: Chunk, from: number): Promise<Chunk> {
  let at = from
  let copied = 0
  try {
    for (const { file, position, length } of regions) {
      const count = await file.read(chunk.bytes.subarray(at, at + length), position)
      if (count < length) {
        const fields = { path: file.path, position: position + count }
        throw new PagelogError('PAGELOG_CORRUPT', 'segment file is shorter than its log', fields)
      }
      at += length
      regions[copied++]!.release()
    }
    return chunk
  } finally {
    for (const region of regions.slice(copied)) region.release()
  }
}

/** Memory that is written to before it is read: not worth zeroing. A plain Uint8Array, which cursors are fastest on. */
function uninitialized(byteLength: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(byteLength).buffer)
}
