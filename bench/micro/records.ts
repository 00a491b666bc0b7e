/**
 * The records of all micro-benchmarks: values of seeded random bytes, all distinct, made before the clock starts, as a
 * program that holds its records has them. Taken in turn, round and round.
 */
import { BatchWriter } from '../../src/record/index.ts'
import { randomBytes } from '../drivers/payloads.ts'

export const VALUE_BYTES = 100
/** Of a batch in the benchmarks of whole batches. */
export const BATCH_BYTES = 65_536
const SEED = 1
/** 2026-01-01: a fixed time, so that the same bytes come out. */
const TIMESTAMP_MS = 1_767_225_600_000

export class Values {
  readonly #values: readonly Uint8Array[]
  #next = 0

  constructor(poolBytes: number) {
    const count = Math.max(1, Math.floor(poolBytes / VALUE_BYTES))
    const bytes = randomBytes(count * VALUE_BYTES, SEED)
    this.#values = Array.from({ length: count }, (_, i) => bytes.subarray(i * VALUE_BYTES, (i + 1) * VALUE_BYTES))
  }

  get length(): number {
    return this.#values.length
  }

  next(): Uint8Array {
    if (this.#next === this.#values.length) this.#next = 0
    return this.#values[this.#next++]!
  }

  /** The next `count`, in a new array. */
  take(count: number): Uint8Array[] {
    const taken = new Array<Uint8Array>(count)
    for (let i = 0; i < count; i++) taken[i] = this.next()
    return taken
  }
}

/** Records that a batch of `bytes` holds. */
export function recordsPerBatch(bytes = BATCH_BYTES): number {
  const writer = new BatchWriter(new Uint8Array(bytes))
  const value = new Uint8Array(VALUE_BYTES)
  while (writer.append(TIMESTAMP_MS, null, value));
  return writer.count
}

export interface BatchesOptions {
  readonly poolBytes: number
  readonly recordsPerBatch: number
  /** Key of record `n`; null keys without it. */
  readonly keyOf?: (n: number) => Uint8Array | null
}

/** Finished batches of distinct records, each in memory of its own: the log writes their offsets into them. */
export class Batches {
  readonly #batches: Uint8Array[] = []
  readonly recordsPerBatch: number
  #next = 0

  constructor(options: BatchesOptions) {
    this.recordsPerBatch = options.recordsPerBatch
    const values = new Values(options.poolBytes)
    const sizeMax = 61 + options.recordsPerBatch * BatchWriter.recordSizeMax(new Uint8Array(16), values.next())
    let written = 0
    do {
      const writer = new BatchWriter(new Uint8Array(sizeMax))
      for (let i = 0; i < options.recordsPerBatch; i++) {
        writer.append(TIMESTAMP_MS + written, options.keyOf?.(written) ?? null, values.next())
        written++
      }
      this.#batches.push(writer.finish().slice())
    } while (written < values.length)
  }

  get length(): number {
    return this.#batches.length
  }

  /** Bytes of one batch on average. */
  get bytesPerBatch(): number {
    return this.#batches.reduce((sum, batch) => sum + batch.length, 0) / this.#batches.length
  }

  next(): Uint8Array {
    if (this.#next === this.#batches.length) this.#next = 0
    return this.#batches[this.#next++]!
  }
}
