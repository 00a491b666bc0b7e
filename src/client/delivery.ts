/**
 * What `producer.send` returns: one record's slot in its batch. It is small on purpose (one is made per record) and
 * becomes a promise only when it is awaited.
 */
import type { BatchCompletion, BatchReceipt } from './batch-completion.ts'

/** Where a record went. */
export interface RecordMetadata {
  readonly topic: string
  readonly partition: number
  /** -1 when the broker did not say: with acks=0. */
  readonly offset: number
  /** Milliseconds since 1970: the record's, or the broker's with LogAppendTime. */
  readonly timestamp: number
}

export class Delivery implements PromiseLike<RecordMetadata> {
  /** Shared by all records of the batch: `delivery.batch.done` is one promise for all of them. */
  readonly batch: BatchCompletion
  /** Slot in the batch: the record's offset is the batch's base offset + this. */
  readonly index: number
  readonly #timestampDelta: number

  /** For the producer: `timestampDelta` is relative to the batch's first record. */
  constructor(batch: BatchCompletion, index: number, timestampDelta: number) {
    this.batch = batch
    this.index = index
    this.#timestampDelta = timestampDelta
  }

  /** Makes `await delivery` work: where the record went, or the error that ended its delivery. */
  // biome-ignore lint/suspicious/noThenProperty: being awaitable without a promise per record is its purpose
  then<Result = RecordMetadata, Failure = never>(
    onDelivered?: ((metadata: RecordMetadata) => Result | PromiseLike<Result>) | null,
    onFailed?: ((error: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Result | Failure> {
    return this.batch.done.then((receipt) => this.#metadata(receipt)).then(onDelivered, onFailed)
  }

  /** As a promise's: what becomes of a delivery that failed. */
  catch<Failure = never>(
    onFailed?: ((error: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<RecordMetadata | Failure> {
    return this.then(undefined, onFailed)
  }

  #metadata(receipt: BatchReceipt): RecordMetadata {
    return {
      topic: receipt.topic,
      partition: receipt.partition,
      offset: receipt.baseOffset < 0 ? -1 : receipt.baseOffset + this.index,
      timestamp:
        receipt.logAppendTimeMs >= 0 ? receipt.logAppendTimeMs : this.batch.baseTimestamp + this.#timestampDelta,
    }
  }
}
