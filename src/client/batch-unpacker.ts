/**
 * Makes what is compressed, or in an old format, into plain batches for the application. Small batches when they are
 * handed out, on this thread; large ones by the workers, ahead of the application and in the order of arrival.
 *
 * Memory: what is unpacked ahead, and the most that jobs under way may still give, stays below the prefetch bytes. Ahead,
 * a batch is trusted with 16 times its size only; one that holds more waits until the application has got to it and is
 * then unpacked alone, up to `pagelog.decompressed.batch.max.bytes`. So a bomb costs that much once.
 */
import { hasCode, PagelogError } from '../base/index.ts'
import {
  type ConvertJob,
  codecJobs,
  convertLegacy,
  type DecompressJob,
  decompressBatch,
  type LegacyConversion,
  loadCodec,
  loadedCodec,
  type Memory,
  reusedMemory,
} from '../record/index.ts'
import type { CodecRunner } from './codec-runner.ts'
import { Fifo } from './fifo.ts'

/** A batch that holds more than so many times its size is not unpacked ahead. */
const USUAL_RATIO_MAX = 16
const USUAL_BYTES_MIN = 65_536
/** What is compressed small may hold much: beyond so many bytes it is for the workers all the same. */
const HERE_BYTES_MAX = 1_048_576

/** A part of an answer, as it lies there. */
export interface PackedPart {
  readonly bytes: Uint8Array
  readonly at: number
  readonly size: number
  /** Codec number: of a batch, or of the first of old messages. */
  readonly codec: number
  readonly isOld: boolean
}

/** A plain batch, alone in its buffer. */
export interface PlainBatch {
  readonly batch: Uint8Array
  /** How many of the packed bytes went into it. */
  readonly size: number
}

/** Parts that can be unpacked ahead, in order. */
export interface UnpackSource {
  /** Bytes of the next large part that may be unpacked; -1 when there is none, or never will be. */
  nextAhead(): number
  startAhead(): void
}

export interface UnpackerOptions {
  readonly runner: CodecRunner
  readonly bytesMax: number
  readonly aheadBytesMax: number
  readonly checkCrcs: boolean
  /** What `unpackNow` has given is done with when it is called again. */
  readonly reusesMemory: boolean
  /** A job has ended. */
  onReady(): void
}

export class BatchUnpacker {
  readonly #options: UnpackerOptions
  readonly #sources = new Fifo<UnpackSource>()
  /** Of jobs under way, the most that they may give; of results not handed out, their buffers. */
  #aheadBytes = 0
  readonly #memory: Memory | undefined

  constructor(options: UnpackerOptions) {
    this.#options = options
    this.#memory = options.reusesMemory ? reusedMemory(HERE_BYTES_MAX) : undefined
  }

  get aheadBytes(): number {
    return this.#aheadBytes
  }

  isLarge(codec: number, size: number): boolean {
    return this.#options.runner.isLong(codec, size)
  }

  /** Its large parts are unpacked when those before it are. */
  add(source: UnpackSource): void {
    if (source.nextAhead() < 0) return
    this.#sources.push(source)
    this.pump()
  }

  /** Starts as much as memory allows; at least one job. */
  pump(): void {
    for (let source = this.#sources.peek(); source !== undefined; source = this.#sources.peek()) {
      const size = source.nextAhead()
      if (size < 0) {
        this.#sources.shift()
        continue
      }
      if (this.#aheadBytes > 0 && this.#aheadBytes + this.#usualBytes(size) > this.#options.aheadBytesMax) return
      source.startAhead()
    }
  }

  /**
   * Unpacks a small part here and now. Undefined when that cannot be: it is large, or holds much, or its codec has not
   * been loaded. Throws PAGELOG_CORRUPT, PAGELOG_TOO_LARGE, PAGELOG_UNSUPPORTED.
   */
  unpackNow(part: PackedPart): PlainBatch | undefined {
    return this.#unpackHere(part, this.#memory)
  }

  #unpackHere(part: PackedPart, memory: Memory | undefined): PlainBatch | undefined {
    const codec = loadedCodec(part.codec)
    if (part.isOld || codec === undefined || this.isLarge(part.codec, part.size)) return undefined
    const { bytesMax, runner } = this.#options
    const hereMax = runner.hasWorkers ? Math.min(bytesMax, HERE_BYTES_MAX) : bytesMax
    try {
      const packed = part.bytes.subarray(part.at, part.at + part.size)
      return { batch: decompressBatch(packed, codec, hereMax, memory), size: part.size }
    } catch (error) {
      if (hereMax < bytesMax && hasCode(error, 'PAGELOG_TOO_LARGE')) return undefined
      throw error
    }
  }

  /** Starts a job whose result may wait for the application. */
  unpackAhead(part: PackedPart): UnpackJob {
    return this.#start(part, this.#usualBytes(part.size))
  }

  /** Starts a job whose result the application waits for. */
  unpackWanted(part: PackedPart): UnpackJob {
    return this.#start(part, this.#options.bytesMax)
  }

  /** The job's result has been taken, or is not wanted any more. */
  release(job: UnpackJob): void {
    this.#account(job, 0)
    job.isDropped = true
  }

  #usualBytes(size: number): number {
    return Math.min(this.#options.bytesMax, Math.max(USUAL_BYTES_MIN, size * USUAL_RATIO_MAX))
  }

  #start(part: PackedPart, bytesMax: number, reserved = bytesMax): UnpackJob {
    const job = new UnpackJob(bytesMax < this.#options.bytesMax)
    this.#account(job, reserved)
    void this.#run(job, part, bytesMax)
    return job
  }

  async #run(job: UnpackJob, part: PackedPart, bytesMax: number): Promise<void> {
    try {
      // A copy that is alone in its buffer: the answer's memory may be used again meanwhile.
      const packed = part.bytes.slice(part.at, part.at + part.size)
      job.plain = await (part.isOld ? this.#convert(part, packed, bytesMax) : this.#decompress(part, packed, bytesMax))
      this.#account(job, job.isDropped ? 0 : job.plain.batch.buffer.byteLength)
    } catch (error) {
      job.error =
        error instanceof PagelogError ? error : new PagelogError('PAGELOG_CORRUPT', String(error), { cause: error })
      this.#account(job, 0)
    }
    this.pump()
    this.#options.onReady()
  }

  /** The part is unpacked here only when nothing says that it is large: its codec was not there, or there are no workers. */
  async #decompress(part: PackedPart, packed: Uint8Array, maxBytes: number): Promise<PlainBatch> {
    const { runner } = this.#options
    const { size } = part
    const codec = await loadCodec(part.codec)
    if (!runner.hasWorkers) return { batch: decompressBatch(packed, codec, maxBytes), size }
    if (!this.isLarge(part.codec, size)) {
      // It waits for the application while others are unpacked.
      const plain = this.#unpackHere({ ...part, bytes: packed, at: 0 }, undefined)
      if (plain !== undefined) return plain
    }
    const input: DecompressJob = { batch: packed, maxBytes }
    return { batch: await runner.run<DecompressJob, Uint8Array>(codecJobs.decompress, input, packed), size }
  }

  async #convert(part: PackedPart, packed: Uint8Array, maxBytes: number): Promise<PlainBatch> {
    const { runner, checkCrcs } = this.#options
    const { batch, end } = this.isLarge(part.codec, part.size)
      ? await runner.run<ConvertJob, LegacyConversion>(
          codecJobs.convert,
          { bytes: packed, position: 0, maxBytes, checkCrcs },
          packed,
        )
      : await convertLegacy(packed, 0, { maxBytes, checkCrcs })
    return { batch, size: end }
  }

  #account(job: UnpackJob, bytes: number): void {
    this.#aheadBytes += bytes - job.bytes
    job.bytes = bytes
  }
}

export class UnpackJob {
  /** It was given less room than a batch may take: when that is too little, it is no error yet. */
  readonly isAhead: boolean
  plain: PlainBatch | undefined
  error: PagelogError | undefined
  isDropped = false
  /** Counted for it. */
  bytes = 0

  constructor(isAhead: boolean) {
    this.isAhead = isAhead
  }

  /** Nothing came of it that would count: the part has to be unpacked anew. */
  get isVoid(): boolean {
    return this.isAhead && hasCode(this.error, 'PAGELOG_TOO_LARGE')
  }
}
