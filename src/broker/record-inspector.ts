/**
 * Has records inspected: small batches in place, the others by workers, so that no batch costs the event loop more than
 * about a millisecond (measured: 128 KiB decompressed and checked 0.25 - 0.35 ms, recompressed by gzip 5 ms, hence the
 * smaller bound of that).
 *
 * Memory: what all inspections decompress is within `maxBytes` together. Each begins with sixteen times its size, and has
 * all of it to itself when that was too little. Batches that wait take nothing but their frames, which
 * queued.max.request.bytes bounds; new batches that wait to be appended hold up the next inspections.
 */
import { ErrorCode, hasCode } from '../base/index.ts'
import type { Clock, Workers } from '../env/index.ts'
import { compression, loadCodec, loadedCodec } from '../record/index.ts'
import { type InspectJob, inspectJob } from './inspection-jobs.ts'
import { type Inspection, type InspectionCodecs, type InspectionRules, inspect, refused } from './record-inspection.ts'

/** Decompressed bytes for each byte of a batch, at first. Log lines at their best reach 20. */
const USUAL_RATIO = 16
const FIRST_BYTES_MIN = 256 * 1024
/** The workers are there for others, too. */
const JOBS_MAX = 4
/** A batch that is compressed in place is smaller than one that is only checked: compressing is that much slower. */
const RECODE_SHARE = 8

interface Waiting {
  readonly batch: Uint8Array
  readonly rules: InspectionRules
  readonly bytes: number
  readonly resolve: (inspection: Inspection) => void
  readonly reject: (error: unknown) => void
}

export interface RecordInspectorOptions {
  readonly workers: Workers
  readonly clock: Clock
  /** Of all batches that are decompressed at the same time. */
  readonly maxBytes: number
  /** Decompressed bytes from which a batch goes to a worker, and all batches of one turn of the event loop. */
  readonly workerMinBytes: number
}

export class RecordInspector {
  readonly #options: RecordInspectorOptions
  #freeBytes: number
  #running = 0
  /** Of batches in a new codec that are not appended yet. */
  #recodedBytes = 0
  #turnBytes = 0
  readonly #waiting: Waiting[] = []
  /** They need all the memory there is, and go first: those behind them may be waiting for their turn to be appended. */
  readonly #large: Waiting[] = []

  constructor(options: RecordInspectorOptions) {
    this.#options = options
    this.#freeBytes = options.maxBytes
  }

  get maxBytes(): number {
    return this.#options.maxBytes
  }

  /** Batches that are inspected, or wait for it. */
  get pending(): number {
    return this.#running + this.#waiting.length + this.#large.length
  }

  /**
   * `batch` must stay as it is until the promise settles; its `recoded` is to be called with a new batch's length once
   * that is appended. Rejects when an inspection fails, not when a batch does.
   */
  inspect(batch: Uint8Array, rules: InspectionRules): Inspection | Promise<Inspection> {
    const inPlace = this.#inPlaceBytes(batch, rules)
    const codecs = codecsOf(batch, rules)
    if (inPlace > 0 && codecs !== undefined) {
      const inspection = this.#inspectInPlace(batch, rules, codecs, inPlace)
      if (inspection !== undefined) return inspection
    }
    if (inPlace > 0 && codecs === undefined) return this.#inspectOnceLoaded(batch, rules)
    return this.#inspectLater(batch, rules)
  }

  /** A new batch was appended, or was not. */
  recoded(bytes: number): void {
    this.#recodedBytes -= bytes
    this.#start()
  }

  /** How much may come out of `batch` here and now; 0: it is not to be opened in place. */
  #inPlaceBytes(batch: Uint8Array, rules: InspectionRules): number {
    const inPlaceMaxBytes = this.#options.workerMinBytes - 1
    const isRecoded = compression(batch, 0) !== rules.codec
    // It would wait to be appended behind what waits here, and hold that up in turn.
    const isHeldUp = this.#waiting.length > 0 || this.#recodedBytes > this.#options.maxBytes
    if (isRecoded && isHeldUp) return 0
    const most = Math.min(isRecoded ? Math.floor(inPlaceMaxBytes / RECODE_SHARE) : inPlaceMaxBytes, rules.maxBytes)
    return batch.length > most || this.#turnBytes + batch.length > inPlaceMaxBytes ? 0 : most
  }

  #inspectInPlace(
    batch: Uint8Array,
    rules: InspectionRules,
    codecs: InspectionCodecs,
    maxBytes: number,
  ): Inspection | undefined {
    const inspection = inspect(batch, { ...rules, maxBytes }, codecs)
    this.#wasInPlace(Math.max(batch.length, inspection.plainBytes))
    if (isTooLarge(inspection) && maxBytes < rules.maxBytes) return undefined
    return this.#counted(inspection)
  }

  #wasInPlace(bytes: number): void {
    if (this.#turnBytes === 0) {
      this.#options.clock.soon(() => {
        this.#turnBytes = 0
      })
    }
    this.#turnBytes += bytes
  }

  /** The first batch of a codec. Without the codec a job says so. */
  async #inspectOnceLoaded(batch: Uint8Array, rules: InspectionRules): Promise<Inspection> {
    const numbers = [compression(batch, 0), rules.codec]
    const loaded = await Promise.all(numbers.map(loadCodec)).catch(() => undefined)
    return await (loaded === undefined ? this.#inspectLater(batch, rules) : this.inspect(batch, rules))
  }

  async #inspectLater(batch: Uint8Array, rules: InspectionRules): Promise<Inspection> {
    const bytes = Math.min(rules.maxBytes, Math.max(FIRST_BYTES_MIN, batch.length * USUAL_RATIO))
    const inspection = await this.#run(this.#waiting, batch, rules, bytes)
    if (!isTooLarge(inspection) || bytes === rules.maxBytes) return this.#counted(inspection)
    return this.#counted(await this.#run(this.#large, batch, rules, rules.maxBytes))
  }

  #counted(inspection: Inspection): Inspection {
    this.#recodedBytes += inspection.batch?.length ?? 0
    return inspection
  }

  #run(queue: Waiting[], batch: Uint8Array, rules: InspectionRules, bytes: number): Promise<Inspection> {
    return new Promise((resolve, reject) => {
      queue.push({ batch, rules, bytes, resolve, reject })
      this.#start()
    })
  }

  #start(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) void this.#inspectByWorker(next)
  }

  #next(): Waiting | undefined {
    if (this.#running >= JOBS_MAX) return undefined
    const isLarge = this.#large.length > 0
    // Batches that wait to be appended may wait for a large one, so nothing but memory holds that up.
    if (!isLarge && this.#recodedBytes > this.#options.maxBytes) return undefined
    const queue = isLarge ? this.#large : this.#waiting
    return queue.length > 0 && queue[0]!.bytes <= this.#freeBytes ? queue.shift() : undefined
  }

  async #inspectByWorker({ batch, rules, bytes, resolve, reject }: Waiting): Promise<void> {
    this.#running++
    this.#freeBytes -= bytes
    try {
      const copy = new Uint8Array(batch) // of its own, to be transferred
      const job: InspectJob = { batch: copy, rules: { ...rules, maxBytes: bytes } }
      const inspection: Inspection = await this.#options.workers.run(inspectJob, job, { transfer: [copy.buffer] })
      resolve(inspection)
    } catch (error) {
      if (hasCode(error, 'PAGELOG_BUFFER_FULL')) resolve(refused(BUSY))
      else reject(error)
    } finally {
      this.#running--
      this.#freeBytes += bytes
      this.#start()
    }
  }
}

/** What the process's other work leaves no room for is to be sent again. */
const BUSY = { errorCode: ErrorCode.REQUEST_TIMED_OUT, message: 'the workers have too much to do' }

function codecsOf(batch: Uint8Array, rules: InspectionRules): InspectionCodecs | undefined {
  const from = loadedCodec(compression(batch, 0))
  const to = loadedCodec(rules.codec)
  return from === undefined || to === undefined ? undefined : { from, to }
}

function isTooLarge({ verdict, plainBytes }: Inspection): boolean {
  return verdict?.errorCode === ErrorCode.MESSAGE_TOO_LARGE && plainBytes === 0
}
