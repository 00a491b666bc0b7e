/** Looking for keys in a compressed batch: in place, and as a job for `Workers`. */
import { PagelogError } from '../base/index.ts'
import { jobAt } from '../env/index.ts'
import { checkBatch, compression, decompressBatch, loadCodec, RecordCursor } from '../record/index.ts'

export interface FindKeylessJob {
  /** A whole batch, compressed. */
  readonly batch: Uint8Array
  readonly maxBytes: number
}

/** Index of the first record without a key in the plain batch that `bytes` begins with; -1: all have one. */
export function findKeyless(bytes: Uint8Array): number {
  const cursor = new RecordCursor()
  cursor.reset(bytes, 0)
  for (let index = 0; cursor.next(); index++) if (cursor.keyLength < 0) return index
  return -1
}

/** The same of what was compressed, its records checked. Throws PAGELOG_CORRUPT. */
export function findKeylessIn(plain: Uint8Array): number {
  if (checkBatch(plain, 0, plain.length) < 0) {
    throw new PagelogError('PAGELOG_CORRUPT', 'the records are not what the header of their batch says')
  }
  return findKeyless(plain)
}

export async function findCompressedKeyless({ batch, maxBytes }: FindKeylessJob): Promise<number> {
  const codec = await loadCodec(compression(batch, 0))
  return findKeylessIn(decompressBatch(batch, codec, maxBytes))
}

export const findKeylessJob = {
  job: jobAt(import.meta.url, './key-jobs', 'findCompressedKeyless'),
  inPlace: findCompressedKeyless,
} as const
