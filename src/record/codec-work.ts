/** The codecs' jobs as `Workers.run` wants them; inputs and outputs are those of codec-jobs.ts. */
import { type Job, jobAt } from '../env/index.ts'

export type { CompressedAndReturned, CompressJob, ConvertJob, DecompressJob } from './codec-jobs.ts'

const job = (name: string): Job => jobAt(import.meta.url, './codec-jobs', name)

export const codecJobs = {
  /** `CompressJob` to the compressed batch. */
  compress: job('compress'),
  /** `CompressJob` to `CompressedAndReturned`. */
  compressAndReturn: job('compressAndReturn'),
  /** `DecompressJob` to the uncompressed batch. */
  decompress: job('decompress'),
  /** `ConvertJob` to a `LegacyConversion`. */
  convert: job('convert'),
} as const satisfies Record<string, Job>
