/**
 * Where a client's codecs work: short jobs on this thread, at once; long ones in the workers. What is long is a matter of
 * the codec's speed: below its threshold the way to a worker and back costs this thread more than the work itself.
 */
import { hasCode } from '../base/index.ts'
import type { Clock, Env, Job, Workers } from '../env/index.ts'
import { Compression } from '../record/index.ts'
import { delay } from './waiting.ts'

/**
 * Bytes from which a batch goes to the workers, by codec. Measured on JSON events, CPU time of the event loop for a batch:
 * the way to a thread and back costs it some 0.06 to 0.1 ms (0.2 to 0.4 ms with 1 MiB, whose memory changes hands), the
 * work in place with gzip 0.11 ms for 8 KiB, 0.19 for 16; with snappy 0.16 for 64 KiB, 0.29 for 128; with lz4 0.16 and
 * 0.32. For all cores together a job costs more than the work alone, so a batch goes only where the loop gains clearly.
 */
const WORKER_BYTES_MIN: Readonly<Record<number, number>> = {
  [Compression.GZIP]: 8_192,
  [Compression.SNAPPY]: 131_072,
  [Compression.LZ4]: 131_072,
  [Compression.ZSTD]: 65_536,
}
/** Between two attempts to get a place among the jobs of the whole process. */
const RETRY_MS = 5

export class CodecRunner {
  readonly #clock: Clock
  readonly #workers: Workers | undefined
  readonly #bytesMin: number

  /** `bytesMin` overrides the thresholds unless it is -1. Without workers everything is done here. */
  constructor(env: Pick<Env, 'clock'> & Partial<Pick<Env, 'workers'>>, bytesMin: number) {
    this.#clock = env.clock
    this.#workers = env.workers
    this.#bytesMin = bytesMin
  }

  get hasWorkers(): boolean {
    return this.#workers !== undefined
  }

  /** Whether so many bytes, to be compressed or to be decompressed, are for the workers. */
  isLong(codec: number, bytes: number): boolean {
    if (this.#workers === undefined || codec === Compression.NONE) return false
    return bytes >= (this.#bytesMin >= 0 ? this.#bytesMin : (WORKER_BYTES_MIN[codec] ?? Number.POSITIVE_INFINITY))
  }

  /**
   * Runs a job in the workers; `bytes`, alone in its buffer, moves there. Waits while the process has too many jobs, so
   * callers see to it that they ask for few at a time. Errors: the job's, PAGELOG_WORKER, PAGELOG_CLOSED.
   */
  async run<I, O>(job: Job, input: I, bytes: Uint8Array): Promise<O> {
    const transfer = [bytes.buffer as ArrayBuffer]
    for (;;) {
      try {
        return await this.#workers!.run<I, O>(job, input, { transfer })
      } catch (error) {
        if (!hasCode(error, 'PAGELOG_BUFFER_FULL')) throw error
      }
      await delay(this.#clock, RETRY_MS)
    }
  }
}
