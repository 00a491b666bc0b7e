/**
 * What a log knows of idempotent producers: the last five batches per producer id (KIP-98, reliability P1). It is a
 * pure function of the log: rebuilt by replay at open; a batch that is still on its way to the kernel is *pending* and
 * is forgotten again when its write fails.
 *
 *   reserve (in append order) → commit (in the same order) | rollback (all pending ones)
 */
import { assert } from '../base/index.ts'

/** As Kafka keeps them; a producer may have so many requests in flight. */
export const BATCHES_KEPT = 5
const SEQUENCE_MAX = 0x7fffffff
const NO_EPOCH = -1

export interface ProducerBatch {
  readonly producerId: number
  readonly producerEpoch: number
  readonly firstSequence: number
  /** Inclusive; smaller than the first when the sequence wrapped. */
  readonly lastSequence: number
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  readonly timestampMs: number
}

class Producer {
  /** Newest epoch of the stored batches and of markers. */
  epoch = NO_EPOCH
  lastTimestampMs = -1
  /** Oldest first, at most five, all of `epoch`. */
  stored: ProducerBatch[] = []
  /** Oldest first; in the queue or in flight. */
  readonly pending: ProducerBatch[] = []
}

export const Admission = { ACCEPTED: 0, OUT_OF_ORDER: 1, OLD_EPOCH: 2 } as const
export type Admission = (typeof Admission)[keyof typeof Admission]

export class ProducerState {
  readonly #producers = new Map<number, Producer>()
  readonly #touched = new Set<Producer>()

  /** Producer ids known. */
  get size(): number {
    return this.#producers.size
  }

  /** The batch, stored or pending, that these sequences repeat; undefined when they are new. */
  duplicateOf(
    producerId: number,
    epoch: number,
    firstSequence: number,
    lastSequence: number,
  ): ProducerBatch | undefined {
    const producer = this.#producers.get(producerId)
    if (producer === undefined) return undefined
    const { pending, stored } = producer
    let left = BATCHES_KEPT
    for (let index = pending.length - 1; index >= 0 && left > 0; index--, left--) {
      if (repeats(pending[index]!, epoch, firstSequence, lastSequence)) return pending[index]
    }
    for (let index = stored.length - 1; index >= 0 && left > 0; index--, left--) {
      if (repeats(stored[index]!, epoch, firstSequence, lastSequence)) return stored[index]
    }
    return undefined
  }

  /** Whether a batch that is no duplicate may follow. An unknown producer id may start anywhere, a new epoch only at 0. */
  admit(producerId: number, epoch: number, firstSequence: number): Admission {
    const producer = this.#producers.get(producerId)
    if (producer === undefined) return Admission.ACCEPTED
    const latest = producer.pending.at(-1) ?? producer.stored.at(-1)
    const currentEpoch = Math.max(producer.epoch, latest?.producerEpoch ?? NO_EPOCH)
    if (epoch < currentEpoch) return Admission.OLD_EPOCH
    const lastSequence = latest !== undefined && latest.producerEpoch === epoch ? latest.lastSequence : -1
    return firstSequence === nextSequence(lastSequence) ? Admission.ACCEPTED : Admission.OUT_OF_ORDER
  }

  /** Takes a batch that was admitted and is on its way to the kernel. */
  reserve(batch: ProducerBatch): void {
    const producer = this.#producerOf(batch.producerId)
    producer.pending.push(batch)
    this.#touched.add(producer)
  }

  /** The kernel has this batch: the oldest pending one of its producer. */
  commit(batch: ProducerBatch): void {
    const producer = this.#producers.get(batch.producerId)
    assert(producer !== undefined && producer.pending[0] === batch, 'producer batches are committed in append order')
    producer.pending.shift()
    if (producer.pending.length === 0) this.#touched.delete(producer)
    store(producer, batch)
  }

  /** A write failed: every pending batch is void. */
  rollback(): void {
    for (const producer of this.#touched) {
      const id = producer.pending[0]?.producerId
      producer.pending.length = 0
      if (producer.epoch === NO_EPOCH && id !== undefined) this.#producers.delete(id)
    }
    this.#touched.clear()
  }

  /** A stored batch met at open, in log order. `firstSequence` -1: a marker, which only carries the epoch. */
  replay(batch: ProducerBatch): void {
    const producer = this.#producerOf(batch.producerId)
    if (batch.firstSequence >= 0) store(producer, batch)
    else if (batch.producerEpoch > producer.epoch) {
      producer.epoch = batch.producerEpoch
      producer.stored = []
    }
  }

  /** Forgets producers whose newest batch is older than `timestampMs` and that have none pending. */
  expireBefore(timestampMs: number): void {
    for (const [id, producer] of this.#producers) {
      if (producer.pending.length === 0 && producer.lastTimestampMs < timestampMs) this.#producers.delete(id)
    }
  }

  #producerOf(id: number): Producer {
    let producer = this.#producers.get(id)
    if (producer === undefined) {
      producer = new Producer()
      this.#producers.set(id, producer)
    }
    return producer
  }
}

/** Last sequence of a batch: sequences wrap from 2^31-1 to 0. */
export function lastSequenceOf(firstSequence: number, lastOffsetDelta: number): number {
  const last = firstSequence + lastOffsetDelta
  return last > SEQUENCE_MAX ? last - SEQUENCE_MAX - 1 : last
}

function nextSequence(lastSequence: number): number {
  return lastSequence === SEQUENCE_MAX ? 0 : lastSequence + 1
}

function repeats(batch: ProducerBatch, epoch: number, firstSequence: number, lastSequence: number): boolean {
  return batch.producerEpoch === epoch && batch.firstSequence === firstSequence && batch.lastSequence === lastSequence
}

function store(producer: Producer, batch: ProducerBatch): void {
  if (batch.producerEpoch !== producer.epoch) {
    producer.epoch = batch.producerEpoch
    producer.stored = []
  }
  producer.stored.push(batch)
  if (producer.stored.length > BATCHES_KEPT) producer.stored.shift()
  producer.lastTimestampMs = batch.timestampMs
}
