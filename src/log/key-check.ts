/** A compacted log is a table: a record without a key has no place in it, and nothing could ever replace it. */
import { ErrorCode, hasCode, PagelogError } from '../base/index.ts'
import { Compression, compression } from '../record/index.ts'
import { byWorker, type Opening, tryInPlace } from './codec-work.ts'
import { type FindKeylessJob, findKeyless, findKeylessIn, findKeylessJob } from './key-jobs.ts'
import type { LogSettings } from './log-settings.ts'
import type { RecordInput } from './record-input.ts'

/** Throws PAGELOG_REFUSED with kafkaCode 87. */
export function assertKeyed(records: readonly RecordInput[], settings: LogSettings): void {
  if (!settings.cleanupPolicy.includes('compact')) return
  for (let index = 0; index < records.length; index++) {
    const { key } = records[index]!
    if (key === undefined || key === null) throw keyless(index)
  }
}

/** Whether the keys of a whole batch can only be seen by opening it, which takes a while. */
export function mustOpen(batch: Uint8Array, settings: LogSettings): boolean {
  return settings.cleanupPolicy.includes('compact') && compression(batch, 0) !== Compression.NONE
}

/** The same as `assertKeyed` of a whole batch that is not compressed. */
export function assertBatchKeyed(batch: Uint8Array, settings: LogSettings): void {
  if (settings.cleanupPolicy.includes('compact')) assertNone(findKeyless(batch))
}

/** The same of one that is. Also rejects with PAGELOG_INVALID_ARGUMENT, PAGELOG_TOO_LARGE, PAGELOG_UNSUPPORTED. */
export async function assertCompressedKeyed(batch: Uint8Array, opening: Opening): Promise<void> {
  try {
    const { workers, decompressedBytesMax: maxBytes } = opening
    const plain = await tryInPlace(batch, opening)
    const index =
      plain === undefined
        ? await byWorker(workers!, findKeylessJob, batch, (bytes): FindKeylessJob => ({ batch: bytes, maxBytes }))
        : findKeylessIn(plain)
    assertNone(index)
  } catch (error) {
    if (!hasCode(error, 'PAGELOG_CORRUPT')) throw error
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `append takes the bytes of one record batch: ${error.message}`)
  }
}

function assertNone(index: number): void {
  if (index >= 0) throw keyless(index)
}

function keyless(index: number): PagelogError {
  const message = `record ${index} of the append has no key, which cleanup.policy=compact asks for`
  return new PagelogError('PAGELOG_REFUSED', message, { kafkaCode: ErrorCode.INVALID_RECORD })
}
