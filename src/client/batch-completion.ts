/**
 * What a batch came to, shared by all its records: one object and at most one promise a batch, however many records.
 * A record's offset is `baseOffset + index`, its index being its slot in the batch.
 */
import type { PagelogError } from '../base/index.ts'

/** What the broker said of a delivered batch. */
export interface BatchReceipt {
  readonly topic: string
  readonly partition: number
  /** Offset of the first record; -1 with acks=0, and for a duplicate whose offset the broker no longer knows. */
  readonly baseOffset: number
  readonly recordCount: number
  /** The broker's time of the append in milliseconds, -1 unless the topic is set to LogAppendTime. */
  readonly logAppendTimeMs: number
}

type Rider = { readonly completion: BatchCompletion; readonly index: number }

const ignore = (): void => {}

export class BatchCompletion {
  readonly topic: string
  /** Timestamp of the first record, which the records' own timestamps are kept relative to. Milliseconds. */
  readonly baseTimestamp: number
  #receipt: BatchReceipt | undefined
  #error: PagelogError | undefined
  #done: Promise<BatchReceipt> | undefined
  #resolve: ((receipt: BatchReceipt) => void) | undefined
  #reject: ((error: PagelogError) => void) | undefined
  #riders: Rider[] | undefined

  constructor(topic: string, baseTimestamp: number) {
    this.topic = topic
    this.baseTimestamp = baseTimestamp
  }

  get settled(): boolean {
    return this.#receipt !== undefined || this.#error !== undefined
  }
  /** Set once delivered. */
  get receipt(): BatchReceipt | undefined {
    return this.#receipt
  }
  /** Set once failed. */
  get error(): PagelogError | undefined {
    return this.#error
  }

  /**
   * Resolves when the batch is delivered, rejects when it failed for good. Nobody need look at it: a failure that
   * nobody awaits is no unhandled rejection, the producer counts it.
   */
  get done(): Promise<BatchReceipt> {
    if (this.#done !== undefined) return this.#done
    if (this.#receipt !== undefined) this.#done = Promise.resolve(this.#receipt)
    else if (this.#error !== undefined) this.#done = Promise.reject(this.#error)
    else {
      this.#done = new Promise((resolve, reject) => {
        this.#resolve = resolve
        this.#reject = reject
      })
    }
    this.#done.catch(ignore)
    return this.#done
  }

  /** For the producer: settles `completion`, which stands for the one record at `index` of this batch, together with this. */
  carry(completion: BatchCompletion, index: number): void {
    this.#riders ??= []
    this.#riders.push({ completion, index })
  }

  /** For the producer. The first of `succeed` and `fail` counts. */
  succeed(receipt: BatchReceipt): void {
    if (this.settled) return
    this.#receipt = receipt
    this.#resolve?.(receipt)
    if (this.#riders === undefined) return
    for (const { completion, index } of this.#riders) {
      const baseOffset = receipt.baseOffset < 0 ? receipt.baseOffset : receipt.baseOffset + index
      completion.succeed({ ...receipt, baseOffset, recordCount: 1 })
    }
  }

  /** For the producer. */
  fail(error: PagelogError): void {
    if (this.settled) return
    this.#error = error
    this.#reject?.(error)
    if (this.#riders === undefined) return
    for (const { completion } of this.#riders) completion.fail(error)
  }
}
