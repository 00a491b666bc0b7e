/** Finds the next good batch behind bytes that are damaged, so that a look at a segment can go on. */
import type { File } from '../env/index.ts'
import { BATCH_HEADER_BYTES, baseOffset, batchSize, checkBatchStored, MAGIC_V2, magic } from '../record/index.ts'
import { RELATIVE_OFFSET_MAX } from './segment.ts'

const CHUNK_BYTES = 256 * 1024
const MAGIC_AT = 16

export interface BatchSearch {
  readonly file: File
  readonly from: number
  /** Exclusive. */
  readonly to: number
  /** A batch with lower offsets is none of those looked for. */
  readonly expectedOffset: number
}

/** Position of the first whole batch with a right CRC from `from` on; undefined when there is none. */
export async function findBatch(search: BatchSearch): Promise<number | undefined> {
  const { file, from, to } = search
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(0, to - from)))
  for (let start = from; start + BATCH_HEADER_BYTES <= to; ) {
    const count = await file.read(chunk.subarray(0, Math.min(chunk.length, to - start)), start)
    if (count < BATCH_HEADER_BYTES) return undefined
    const end = count - BATCH_HEADER_BYTES
    for (let at = 0; at <= end; at++) {
      // The version is at the same place in every batch, and few other bytes are a 2.
      const magicAt = chunk.indexOf(MAGIC_V2, at + MAGIC_AT)
      if (magicAt < 0 || magicAt - MAGIC_AT > end) break
      at = magicAt - MAGIC_AT
      if (isPlausible(search, chunk, at, start + at) && (await isWhole(file, start + at, batchSize(chunk, at)))) {
        return start + at
      }
    }
    start += end + 1
  }
  return undefined
}

function isPlausible(search: BatchSearch, bytes: Uint8Array, at: number, position: number): boolean {
  const size = batchSize(bytes, at)
  const first = baseOffset(bytes, at)
  const isInFile = size >= BATCH_HEADER_BYTES && position + size <= search.to
  return isInFile && first >= search.expectedOffset && first - search.expectedOffset <= RELATIVE_OFFSET_MAX
}

async function isWhole(file: File, position: number, size: number): Promise<boolean> {
  const bytes = new Uint8Array(size)
  const count = await file.read(bytes, position)
  return count === size && magic(bytes, 0) === MAGIC_V2 && checkBatchStored(bytes, 0, size) === size
}
