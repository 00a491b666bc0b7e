/** A batch as it was found in a log: what may be wrong with it, and its records when they are compressed. */
import { PagelogError } from '../base/index.ts'
import {
  BATCH_HEADER_BYTES,
  BatchFault,
  checkBatchStored,
  codecJobs,
  compression,
  type DecompressJob,
  decompressBatch,
  loadCodec,
  MAGIC_V2,
  magic,
  RecordBatch,
} from '../record/index.ts'
import type { Chunk } from './chunk-reader.ts'
import { byWorker, type Opening, tryInPlace } from './codec-work.ts'

/**
 * The batch with its records as they were, in memory of its own; by a worker when it is large and there are any. Rejects
 * with PAGELOG_CORRUPT, PAGELOG_TOO_LARGE, PAGELOG_UNSUPPORTED.
 */
export async function decompressed(batch: RecordBatch, opening: Opening): Promise<RecordBatch> {
  const { bytes, position, sizeInBytes, startOffset, endOffset } = batch
  const maxBytes = opening.decompressedBytesMax
  const stored = bytes.subarray(position, position + sizeInBytes)
  const plain =
    (await tryInPlace(stored, opening)) ??
    (await byWorker(opening.workers!, decompressJob, stored, (input) => ({ batch: input, maxBytes })))
  return new RecordBatch(plain, 0, startOffset, endOffset)
}

const decompressJob = {
  job: codecJobs.decompress,
  inPlace: async ({ batch, maxBytes }: DecompressJob): Promise<Uint8Array> =>
    decompressBatch(batch, await loadCodec(compression(batch, 0)), maxBytes),
} as const

/** What is wrong with a batch that is wholly there; undefined when nothing is. */
export function faultOf(bytes: Uint8Array, at: number, size: number, checkCrc: boolean): string | undefined {
  if (size < BATCH_HEADER_BYTES) return 'its length cannot be'
  if (magic(bytes, at) !== MAGIC_V2) return 'it is not of version 2'
  if (!checkCrc) return undefined
  const checked = checkBatchStored(bytes, at, at + size)
  if (checked >= 0) return undefined
  return checked === BatchFault.CRC ? 'its CRC is wrong' : 'its header cannot be'
}

export function corruptBatch(chunk: Chunk, at: number, offset: number, fault: string): PagelogError {
  const fields = { path: chunk.path, position: chunk.position + at, offset }
  return new PagelogError('PAGELOG_CORRUPT', `record batch is damaged: ${fault}`, fields)
}
