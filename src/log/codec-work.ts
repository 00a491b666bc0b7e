/**
 * Where a log's readers decompress: small batches in place, large ones in a worker if there are workers. What a batch
 * holds is known only when it is open, so one that is small but holds much is tried in place as far as that may go.
 */
import { hasCode } from '../base/index.ts'
import type { Job, Workers } from '../env/index.ts'
import { compression, decompressBatch, loadCodec, loadedCodec } from '../record/index.ts'

/** What a log has to open compressed batches with. */
export interface Opening {
  readonly workers: Workers | undefined
  /** Of one batch: pagelog.decompressed.batch.max.bytes. */
  readonly decompressedBytesMax: number
}

/** In place: some 0.3 ms, whatever the codec. */
const IN_PLACE_BYTES_MAX = 128 * 1024
/** A batch above it holds more than that, unless its records are all but random. */
const IN_PLACE_BATCH_BYTES_MAX = 64 * 1024

/** The uncompressed twin of a whole compressed batch, if it is small enough to be made here. Throws as `decompressBatch`. */
export async function tryInPlace(batch: Uint8Array, opening: Opening): Promise<Uint8Array | undefined> {
  const { workers, decompressedBytesMax } = opening
  if (workers !== undefined && batch.length > IN_PLACE_BATCH_BYTES_MAX) return undefined
  const number = compression(batch, 0)
  const codec = loadedCodec(number) ?? (await loadCodec(number))
  if (workers === undefined) return decompressBatch(batch, codec, decompressedBytesMax)
  try {
    return decompressBatch(batch, codec, IN_PLACE_BYTES_MAX)
  } catch (error) {
    if (hasCode(error, 'PAGELOG_TOO_LARGE')) return undefined
    throw error
  }
}

/** Has `job` done with a copy of `batch`, or `inPlace` with the batch itself while the workers have too much to do. */
export async function byWorker<I, O>(
  workers: Workers,
  job: { readonly job: Job; readonly inPlace: (input: I) => Promise<O> },
  batch: Uint8Array,
  inputOf: (bytes: Uint8Array) => I,
): Promise<O> {
  const copy = new Uint8Array(batch) // of its own, to be transferred
  try {
    return await workers.run<I, O>(job.job, inputOf(copy), { transfer: [copy.buffer] })
  } catch (error) {
    if (!hasCode(error, 'PAGELOG_BUFFER_FULL')) throw error
  }
  return await job.inPlace(inputOf(batch))
}
