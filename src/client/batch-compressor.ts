/**
 * Compresses the producer's batches when they are closed. Small ones on the spot; large ones in the workers, several at a
 * time, while their partition's queue keeps their place. Those that wait for a worker keep their bytes in buffer.memory,
 * which bounds the queue and, in the end, `send`.
 *
 * A batch has no place in the producer's sequence yet: that is written into the compressed batch when it leaves.
 */
import { PagelogError } from '../base/index.ts'
import {
  type CodecName,
  type CompressedAndReturned,
  Compression,
  type CompressJob,
  codecJobs,
  codecNumber,
  compressBatch,
  loadCodec,
  loadedCodec,
} from '../record/index.ts'
import type { BatchInProgress } from './batch-in-progress.ts'
import type { BatchMemory } from './batch-memory.ts'
import { CodecRunner } from './codec-runner.ts'
import { Fifo } from './fifo.ts'
import type { ProducerEnv } from './producer-options.ts'
import { compressionLevel, type ProducerSettings } from './settings.ts'

/** Of one producer in the workers: enough to keep all threads busy. */
const JOBS_MAX = 16

/** How much more of a turn a byte takes that is compressed in place, by codec. */
const TURN_WEIGHT: Readonly<Record<number, number>> = { [Compression.GZIP]: 16, [Compression.ZSTD]: 4 }

export interface CompressorOptions {
  readonly runner: CodecRunner
  readonly codec: CodecName
  readonly level: number | undefined
  readonly memory: BatchMemory
}

export interface CompressorListener {
  /** The batch may leave: it has been compressed, or settled meanwhile. Called for what `compress` left pending. */
  onReady(batch: BatchInProgress): void
  /** The batch cannot be compressed. */
  onFailed(batch: BatchInProgress, error: PagelogError): void
}

/** The producer's compressor; undefined when its batches travel as they are. */
export function compressorFor(
  settings: ProducerSettings,
  env: ProducerEnv,
  memory: BatchMemory,
  listener: CompressorListener,
): BatchCompressor | undefined {
  const { compressionType, compressionWorkerMinBytes } = settings
  if (compressionType === 'none') return undefined
  return new BatchCompressor(
    {
      runner: new CodecRunner(env, compressionWorkerMinBytes),
      memory,
      codec: compressionType as CodecName,
      level: compressionLevel(settings),
    },
    listener,
  )
}

export class BatchCompressor {
  readonly #options: CompressorOptions
  readonly #listener: CompressorListener
  readonly #codec: number
  readonly #waiting = new Fifo<BatchInProgress>()
  #jobs = 0

  constructor(options: CompressorOptions, listener: CompressorListener) {
    this.#options = options
    this.#listener = listener
    this.#codec = codecNumber(options.codec)
  }

  /** Of a turn of the event loop, in bytes of plain batches, what it costs to compress `bytes` in place. */
  turnBytes(bytes: number): number {
    return this.#options.runner.isLong(this.#codec, bytes) ? 0 : bytes * (TURN_WEIGHT[this.#codec] ?? 1)
  }

  /**
   * Takes a closed batch. True when it may leave at once; otherwise it is `compressing`, and `onReady` or `onFailed` will
   * be called.
   */
  compress(batch: BatchInProgress): boolean {
    const codec = loadedCodec(this.#codec)
    if (codec !== undefined && !this.#options.runner.isLong(this.#codec, batch.sizeBytes)) {
      try {
        batch.pack(compressBatch(batch.bytes(), codec, this.#options.level), this.#options.memory)
        return true
      } catch (error) {
        this.#listener.onFailed(batch, failureOf(batch, error))
        return false
      }
    }
    batch.compressing = true
    this.#waiting.push(batch)
    this.#next()
    return false
  }

  /** Starts what may be started, oldest first. */
  #next(): void {
    while (this.#jobs < JOBS_MAX) {
      const batch = this.#waiting.shift()
      if (batch === undefined) return
      this.#jobs++
      void this.#run(batch)
    }
  }

  async #run(batch: BatchInProgress): Promise<void> {
    let failure: PagelogError | undefined
    try {
      // Given up while it waited: nobody wants it any more.
      if (!batch.completion.settled) {
        const { twin, buffer } = await this.#packed(batch)
        if (!batch.completion.settled) batch.pack(twin, this.#options.memory, buffer)
      }
    } catch (error) {
      failure = failureOf(batch, error)
    }
    this.#jobs--
    batch.compressing = false
    if (failure === undefined || batch.completion.settled) this.#listener.onReady(batch)
    else this.#listener.onFailed(batch, failure)
    this.#next()
  }

  async #packed(batch: BatchInProgress): Promise<{ readonly twin: Uint8Array; readonly buffer?: Uint8Array }> {
    const { runner, level } = this.#options
    const codec = await loadCodec(this.#codec)
    const bytes = batch.bytes()
    if (!runner.isLong(this.#codec, bytes.length)) return { twin: compressBatch(bytes, codec, level) }
    // The whole buffer moves, and back: to reuse it costs this thread far less than new memory would.
    batch.holdsWriter = false
    const input: CompressJob = { batch: bytes, codec: this.#codec, ...(level === undefined ? {} : { level }) }
    return await runner.run<CompressJob, CompressedAndReturned>(codecJobs.compressAndReturn, input, bytes)
  }
}

function failureOf(batch: BatchInProgress, error: unknown): PagelogError {
  const { topic, partition } = batch.queue
  const reason = error instanceof Error ? error.message : String(error)
  const text = `${topic}-${partition}: the batch cannot be compressed: ${reason}`
  if (!(error instanceof PagelogError)) return new PagelogError('PAGELOG_WORKER', text, { cause: error })
  const { code, kafkaCode } = error
  return new PagelogError(code, text, { cause: error, ...(kafkaCode === undefined ? {} : { kafkaCode }) })
}
