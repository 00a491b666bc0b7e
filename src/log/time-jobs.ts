/** Looking into a batch for a time: in place, and as a job for `Workers`. */
import { jobAt } from '../env/index.ts'
import { compression, decompressBatch, loadCodec, RecordBatch } from '../record/index.ts'

/** Timestamps from `least` to `most`, both inclusive, at offsets from `startOffset` on. */
export interface TimeRange {
  readonly least: number
  readonly most: number
  readonly startOffset: number
}

export interface FoundRecord {
  readonly offset: number
  readonly timestamp: number
}

export interface FindRecordJob {
  /** A whole batch, compressed. */
  readonly batch: Uint8Array
  readonly maxBytes: number
  readonly range: TimeRange
}

/** The first record in the range of the uncompressed batch that `bytes` begins with. */
export function findRecord(bytes: Uint8Array, { least, most, startOffset }: TimeRange): FoundRecord | undefined {
  const cursor = new RecordBatch(bytes, 0).cursor()
  while (cursor.next()) {
    const { offset, timestamp } = cursor
    if (offset >= startOffset && timestamp >= least && timestamp <= most) return { offset, timestamp }
  }
  return undefined
}

export async function findCompressedRecord({
  batch,
  maxBytes,
  range,
}: FindRecordJob): Promise<FoundRecord | undefined> {
  const codec = await loadCodec(compression(batch, 0))
  return findRecord(decompressBatch(batch, codec, maxBytes), range)
}

export const findRecordJob = {
  job: jobAt(import.meta.url, './time-jobs', 'findCompressedRecord'),
  inPlace: findCompressedRecord,
} as const
