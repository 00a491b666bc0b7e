/**
 * The parts of one fetched answer that are not plain batches, and the jobs that make plain batches of them: those started
 * ahead by headers alone, the others when the application has got there.
 */
import { hasCode } from '../base/index.ts'
import { attributes, BATCH_HEADER_BYTES, batchSize, compression, isLegacy, producerId } from '../record/index.ts'
import type { BatchUnpacker, PackedPart, PlainBatch, UnpackJob, UnpackSource } from './batch-unpacker.ts'

/** Offset, length, leader epoch and magic are at the same place in every format. */
const MAGIC_END = 17
/** In the attributes of an old message, which are one byte after its magic. */
const OLD_CODEC_BITS = 0x07
/** So many bytes of old messages are looked at together. */
const OLD_RUN_BYTES = 262_144
const CODEC_AND_CONTROL_BITS = 0x27
const CONTROL_BIT = 0x20

export class PackedParts implements UnpackSource {
  readonly #bytes: Uint8Array
  readonly #unpacker: BatchUnpacker
  /** Producers with aborted transactions in this answer: theirs are unpacked when it is known that they count. */
  readonly #doubtful: ReadonlySet<number>
  readonly #jobs = new Map<number, UnpackJob>()
  /** Where to look for the next large batch. */
  #aheadAt: number
  #isClosed = false

  /** `at`: position of the first part. */
  constructor(bytes: Uint8Array, at: number, unpacker: BatchUnpacker, doubtful: ReadonlySet<number>) {
    this.#bytes = bytes
    this.#aheadAt = at
    this.#unpacker = unpacker
    this.#doubtful = doubtful
  }

  /** Whether the entry at `at`, of `size` bytes, is no plain batch. */
  static isPacked(bytes: Uint8Array, at: number, size: number): boolean {
    return isLegacy(bytes, at) || (size >= BATCH_HEADER_BYTES && compression(bytes, at) !== 0)
  }

  nextAhead(): number {
    const bytes = this.#bytes
    while (!this.#isClosed && this.#aheadAt + BATCH_HEADER_BYTES <= bytes.length) {
      const at = this.#aheadAt
      const size = batchSize(bytes, at)
      if (size < MAGIC_END || at + size > bytes.length) break
      if (this.#isForAhead(at, size)) return size
      this.#aheadAt = at + size
    }
    this.#aheadAt = bytes.length
    return -1
  }

  startAhead(): void {
    const at = this.#aheadAt
    const part = this.#part(at)
    this.#aheadAt = at + part.size
    this.#jobs.set(at, this.#unpacker.unpackAhead(part))
  }

  #isForAhead(at: number, size: number): boolean {
    const bytes = this.#bytes
    if (isLegacy(bytes, at) || size < BATCH_HEADER_BYTES || this.#jobs.has(at)) return false
    const bits = attributes(bytes, at) & CODEC_AND_CONTROL_BITS
    if (bits === 0 || (bits & CONTROL_BIT) !== 0 || !this.#unpacker.isLarge(bits, size)) return false
    return this.#doubtful.size === 0 || !this.#doubtful.has(producerId(bytes, at))
  }

  /**
   * The plain batch of the part at `at`, for the application; undefined while a job is under way. Throws as
   * `BatchUnpacker.unpackNow`, and PAGELOG_WORKER; asked again, errors of the bytes come again.
   */
  take(at: number): PlainBatch | undefined {
    // What lies before the application is no business of the work ahead any more.
    if (this.#aheadAt <= at) this.#aheadAt = at + batchSize(this.#bytes, at)
    const job = this.#jobs.get(at) ?? this.#begin(at)
    if (!('error' in job)) return job
    const { plain, error } = job
    if (plain !== undefined) {
      this.#forget(at, job)
      return plain
    }
    if (error === undefined) return undefined
    if (job.isVoid) {
      this.#forget(at, job)
      return this.take(at)
    }
    if (hasCode(error, 'PAGELOG_WORKER')) this.#forget(at, job)
    throw error
  }

  /** The application does without the part at `at`. */
  drop(at: number): void {
    const job = this.#jobs.get(at)
    if (job !== undefined) this.#forget(at, job)
  }

  /** Nothing of it is wanted any more. */
  close(): void {
    this.#isClosed = true
    for (const [at, job] of this.#jobs) this.#forget(at, job)
  }

  #begin(at: number): PlainBatch | UnpackJob {
    const part = this.#part(at)
    const plain = this.#unpacker.unpackNow(part)
    if (plain !== undefined) return plain
    const job = this.#unpacker.unpackWanted(part)
    this.#jobs.set(at, job)
    return job
  }

  #forget(at: number, job: UnpackJob): void {
    this.#jobs.delete(at)
    this.#unpacker.release(job)
    this.#unpacker.pump()
  }

  #part(at: number): PackedPart {
    const bytes = this.#bytes
    const size = batchSize(bytes, at)
    if (!isLegacy(bytes, at)) return { bytes, at, size, codec: compression(bytes, at), isOld: false }
    const codec = (bytes[at + MAGIC_END] ?? 0) & OLD_CODEC_BITS
    const runSize = codec === 0 ? Math.min(bytes.length - at, Math.max(size, OLD_RUN_BYTES)) : size
    return { bytes, at, size: runSize, codec, isOld: true }
  }
}
