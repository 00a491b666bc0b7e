/** Batches that have their offsets and wait for the kernel, in the order of the offsets. */
import type { ProducerBatch } from './producer-state.ts'

export interface AppendResult {
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  /** The batch was there already (idempotent producer): these are its offsets, nothing was appended. */
  readonly duplicate: boolean
  /** -1 with message.timestamp.type=CreateTime. */
  readonly logAppendTimeMs: number
}

export class PendingAppend {
  readonly bytes: Uint8Array
  readonly size: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly maxTimestamp: number
  readonly leaderEpoch: number
  readonly logAppendTimeMs: number
  readonly producerBatch: ProducerBatch | undefined
  readonly promise: Promise<AppendResult>
  resolve!: (result: AppendResult) => void
  reject!: (error: Error) => void

  constructor(fields: Omit<PendingAppend, 'promise' | 'resolve' | 'reject' | 'size' | 'settle'>) {
    this.bytes = fields.bytes
    this.size = fields.bytes.length
    this.baseOffset = fields.baseOffset
    this.lastOffset = fields.lastOffset
    this.maxTimestamp = fields.maxTimestamp
    this.leaderEpoch = fields.leaderEpoch
    this.logAppendTimeMs = fields.logAppendTimeMs
    this.producerBatch = fields.producerBatch
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
  }

  settle(duplicate: boolean): void {
    const { baseOffset, lastOffset, logAppendTimeMs } = this
    this.resolve({ baseOffset, lastOffset, duplicate, logAppendTimeMs })
  }
}

export class AppendQueue {
  #waiting: PendingAppend[] = []
  /** Index of the first that waits; those before it are in flight. */
  #head = 0

  get isEmpty(): boolean {
    return this.#head === this.#waiting.length
  }
  /** The first that waits; requires that the queue is not empty. */
  get first(): PendingAppend {
    return this.#waiting[this.#head]!
  }

  push(append: PendingAppend): void {
    this.#waiting.push(append)
  }

  /** Takes appends from the front while `fits`; they are in flight until `landed`. The first is taken always. */
  take(fits: (append: PendingAppend, count: number, bytes: number) => boolean): PendingAppend[] {
    const start = this.#head
    let bytes = 0
    do {
      bytes += this.first.size
      this.#head++
    } while (!this.isEmpty && fits(this.first, this.#head - start, bytes))
    return this.#waiting.slice(start, this.#head)
  }

  /** What was taken is done with. */
  landed(): void {
    this.#waiting = this.isEmpty ? [] : this.#waiting.slice(this.#head)
    this.#head = 0
  }

  /** Everything that waits or is in flight; the queue is empty afterwards. */
  clear(): PendingAppend[] {
    const all = this.#waiting
    this.#waiting = []
    this.#head = 0
    return all
  }

  /** The append, waiting or in flight, that carries this batch. */
  find(batch: ProducerBatch): PendingAppend | undefined {
    return this.#waiting.find((append) => append.producerBatch === batch)
  }
}
