/**
 * The producer's `buffer.memory`: hands out batch writers with their buffers and takes them back. Buffers of the usual
 * size are kept for the next batch, the last one returned first, while it is warm; larger ones are dropped.
 */
import { BatchWriter } from '../record/index.ts'

export class BatchMemory {
  readonly #capacityBytes: number
  readonly #batchBytes: number
  readonly #free: BatchWriter[] = []
  #usedBytes = 0

  constructor(capacityBytes: number, batchBytes: number) {
    this.#capacityBytes = capacityBytes
    this.#batchBytes = batchBytes
  }

  /** Bytes of all buffers handed out. */
  get usedBytes(): number {
    return this.#usedBytes
  }
  get capacityBytes(): number {
    return this.#capacityBytes
  }

  /** Whether one more batch of the usual size can be had. */
  get hasRoom(): boolean {
    return this.#usedBytes + this.#batchBytes <= this.#capacityBytes
  }

  /** Counts bytes that lie elsewhere; false, and nothing counted, when memory does not allow. */
  reserve(bytes: number): boolean {
    if (!this.#admits(bytes)) return false
    this.#usedBytes += bytes
    return true
  }
  /** The same whatever the capacity: of bytes that take the place of others. */
  charge(bytes: number): void {
    this.#usedBytes += bytes
  }
  release(bytes: number): void {
    this.#usedBytes -= bytes
  }

  /**
   * An empty writer with `bytes` of room; undefined when memory does not allow, unless by `force`. Give it back with
   * the same `bytes`.
   */
  take(bytes: number, force = false): BatchWriter | undefined {
    if (!force && !this.#admits(bytes)) return undefined
    this.#usedBytes += bytes
    if (bytes !== this.#batchBytes) return new BatchWriter(new Uint8Array(bytes))
    const kept = this.#free.pop()
    if (kept === undefined) return new BatchWriter(new Uint8Array(bytes))
    kept.reset()
    return kept
  }

  /** Nothing may use the writer's bytes any more. */
  give(writer: BatchWriter, bytes: number): void {
    this.#usedBytes -= bytes
    if (bytes === this.#batchBytes) this.#free.push(writer)
  }

  /** What is larger than usual may exceed the capacity: where there is room for a batch, a record is never refused. */
  #admits(bytes: number): boolean {
    return this.#usedBytes + Math.min(bytes, this.#batchBytes) <= this.#capacityBytes
  }

  /** Lets the kept buffers go, all but `count`. */
  trim(count: number): void {
    if (this.#free.length > count) this.#free.length = count
  }
}
