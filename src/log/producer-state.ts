/**
 * What a log knows of its producers: the last five batches per id (KIP-98, reliability P1), and the transactions that are
 * open. It is a pure function of the log: a snapshot and a replay of what follows it at open. A batch that is still on
 * its way to the kernel is *pending* and is forgotten again when its write fails.
 *
 *   reserve (in append order) → commit (in the same order) | rollback (all pending ones)
 *
 * A transaction is open from its first batch until a marker of its producer; all of that by what is committed, so that
 * a batch that readers cannot see opens none.
 */
import { assert } from '../base/index.ts'
import { nextSequence, type ProducerBatch } from './producer-batch.ts'

/** As Kafka keeps them; a producer may have so many requests in flight. */
export const BATCHES_KEPT = 5
const NO_EPOCH = -1
const LOOKS_AT_ONCE = 500
export const NO_OFFSET = -1

/** The state of one producer after one of its batches, as a snapshot has it. */
export interface ProducerEntry {
  readonly producerId: number
  readonly producerEpoch: number
  /** Of the batch; -1, -1 and 0 when only markers are known. */
  readonly lastSequence: number
  readonly lastOffset: number
  readonly offsetDelta: number
  readonly timestampMs: number
  /** Of the newest marker, -1 without any. */
  readonly coordinatorEpoch: number
  /** First offset of the open transaction, -1 without one. */
  readonly transactionFirstOffset: number
}

/** A transaction that a marker ended. */
export interface CompletedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** That of the marker. */
  readonly lastOffset: number
  readonly isAborted: boolean
  /** First offset of the oldest transaction that is still open, else the one behind the marker. */
  readonly lastStableOffset: number
}

class Producer {
  /** Newest epoch of the stored batches and of markers. */
  epoch = NO_EPOCH
  lastTimestampMs = -1
  coordinatorEpoch = NO_EPOCH
  transactionFirstOffset = NO_OFFSET
  /** Oldest first, at most five, all of `epoch`. */
  stored: ProducerBatch[] = []
  /** Oldest first; in the queue or in flight; markers too. */
  readonly pending: ProducerBatch[] = []
}

export const Admission = { ACCEPTED: 0, OUT_OF_ORDER: 1, OLD_EPOCH: 2, OLD_COORDINATOR: 3 } as const
export type Admission = (typeof Admission)[keyof typeof Admission]

export class ProducerState {
  #producers = new Map<number, Producer>()
  readonly #touched = new Set<Producer>()
  /** First offset by producer id; a transaction begun later is further behind. */
  #open = new Map<number, number>()

  /** Producer ids known. */
  get size(): number {
    return this.#producers.size
  }
  /** First offset of the oldest open transaction; undefined when none is open. */
  get firstUnstableOffset(): number | undefined {
    return this.#open.values().next().value
  }
  get openTransactions(): number {
    return this.#open.size
  }

  /** The batch, stored or pending, that these sequences repeat; undefined when they are new. */
  duplicateOf(
    producerId: number,
    epoch: number,
    firstSequence: number,
    lastSequence: number,
  ): ProducerBatch | undefined {
    const producer = this.#producers.get(producerId)
    if (producer === undefined || firstSequence < 0) return undefined
    const { pending, stored } = producer
    let left = BATCHES_KEPT
    for (let index = pending.length - 1; index >= 0 && left > 0; index--) {
      if (pending[index]!.marker !== undefined) continue
      if (repeats(pending[index]!, epoch, firstSequence, lastSequence)) return pending[index]
      left--
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
    if (epoch < currentEpoch(producer)) return Admission.OLD_EPOCH
    const expected = nextSequence(lastSequenceOf(producer, epoch))
    return firstSequence === expected ? Admission.ACCEPTED : Admission.OUT_OF_ORDER
  }

  /** Whether a marker may follow: it comes from the newest coordinator and not for an epoch that is over. */
  admitMarker(producerId: number, epoch: number, coordinatorEpoch: number): Admission {
    const producer = this.#producers.get(producerId)
    if (producer === undefined) return Admission.ACCEPTED
    if (epoch < currentEpoch(producer)) return Admission.OLD_EPOCH
    let newest = producer.coordinatorEpoch
    for (const { marker } of producer.pending) newest = Math.max(newest, marker?.coordinatorEpoch ?? NO_EPOCH)
    return coordinatorEpoch < newest ? Admission.OLD_COORDINATOR : Admission.ACCEPTED
  }

  /** Takes a batch or marker that was admitted and is on its way to the kernel. */
  reserve(batch: ProducerBatch): void {
    const producer = this.#producerOf(batch.producerId)
    producer.pending.push(batch)
    this.#touched.add(producer)
  }

  /** The kernel has this batch: the oldest pending one of its producer. The transaction that it ended, if any. */
  commit(batch: ProducerBatch): CompletedTransaction | undefined {
    const producer = this.#producers.get(batch.producerId)
    assert(producer !== undefined && producer.pending[0] === batch, 'producer batches are committed in append order')
    producer.pending.shift()
    if (producer.pending.length === 0) this.#touched.delete(producer)
    return this.#store(producer, batch)
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

  /** A stored batch or marker met at open, in log order. The transaction that it ended, if any. */
  replay(batch: ProducerBatch): CompletedTransaction | undefined {
    return this.#store(this.#producerOf(batch.producerId), batch)
  }

  /**
   * Forgets producers whose newest batch is older than `timestampMs`, that have none pending and no transaction open:
   * without its producer a transaction could never end.
   */
  expireBefore(timestampMs: number): void {
    for (const _ of this.expiringBefore(timestampMs));
  }

  /** The same in steps of a few hundred: gives how many each has looked at. The state may change in between. */
  *expiringBefore(timestampMs: number): Generator<number, void> {
    const producers = this.#producers
    let looks = 0
    for (const [id, producer] of producers) {
      const isIdle = producer.pending.length === 0 && producer.transactionFirstOffset === NO_OFFSET
      if (isIdle && producer.lastTimestampMs < timestampMs) producers.delete(id)
      if (++looks < LOOKS_AT_ONCE) continue
      yield looks
      looks = 0
    }
    yield looks
  }

  /**
   * What a snapshot holds: the committed state, one entry for each batch that is remembered, the newest of a producer last.
   * One who repeats several batches after a restart is told of each where it lies.
   */
  *entries(): IterableIterator<ProducerEntry> {
    for (const [producerId, producer] of this.#producers) {
      const { epoch, stored, coordinatorEpoch, transactionFirstOffset } = producer
      if (epoch === NO_EPOCH) continue // all of it is pending
      const common = { producerId, producerEpoch: epoch, coordinatorEpoch, transactionFirstOffset }
      for (let index = 0; index < Math.max(1, stored.length); index++) {
        const batch = stored[index]
        const isNewest = index >= stored.length - 1
        yield {
          ...common,
          lastSequence: batch?.lastSequence ?? -1,
          lastOffset: batch?.lastOffset ?? NO_OFFSET,
          offsetDelta: batch === undefined ? 0 : batch.lastOffset - batch.baseOffset,
          timestampMs: batch === undefined || isNewest ? producer.lastTimestampMs : batch.timestampMs,
        }
      }
    }
  }

  /** Of a snapshot; Kafka's know the last batch of each producer. */
  static of(entries: Iterable<ProducerEntry>): ProducerState {
    const state = new ProducerState()
    const open: ProducerEntry[] = []
    for (const entry of entries) {
      const producer = state.#producerOf(entry.producerId)
      producer.epoch = entry.producerEpoch
      producer.lastTimestampMs = entry.timestampMs
      producer.coordinatorEpoch = entry.coordinatorEpoch
      producer.transactionFirstOffset = entry.transactionFirstOffset
      if (entry.lastOffset >= 0) producer.stored.push(batchOf(entry))
      if (producer.stored.length > BATCHES_KEPT) producer.stored.shift()
      if (entry.transactionFirstOffset !== NO_OFFSET) open.push(entry)
    }
    open.sort((a, b) => a.transactionFirstOffset - b.transactionFirstOffset)
    for (const { producerId, transactionFirstOffset } of open) state.#open.set(producerId, transactionFirstOffset)
    return state
  }

  /** Becomes what `other` is, which is used up: the log was cut. Requires that nothing is pending. */
  become(other: ProducerState): void {
    assert(this.#touched.size === 0, 'a log is cut when no append is under way')
    this.#producers = other.#producers
    this.#open = other.#open
  }

  #store(producer: Producer, batch: ProducerBatch): CompletedTransaction | undefined {
    if (
      batch.producerEpoch > producer.epoch ||
      (batch.producerEpoch !== producer.epoch && batch.marker === undefined)
    ) {
      producer.epoch = batch.producerEpoch
      producer.stored = []
    }
    producer.lastTimestampMs = batch.timestampMs
    if (batch.marker !== undefined) return this.#complete(producer, batch)
    if (batch.firstSequence >= 0) {
      producer.stored.push(batch)
      if (producer.stored.length > BATCHES_KEPT) producer.stored.shift()
    }
    if (batch.isTransactional && producer.transactionFirstOffset === NO_OFFSET) {
      producer.transactionFirstOffset = batch.baseOffset
      this.#open.set(batch.producerId, batch.baseOffset)
    }
    return undefined
  }

  #complete(producer: Producer, batch: ProducerBatch): CompletedTransaction | undefined {
    const { producerId, marker, lastOffset } = batch
    const firstOffset = producer.transactionFirstOffset
    producer.coordinatorEpoch = Math.max(producer.coordinatorEpoch, marker!.coordinatorEpoch)
    producer.transactionFirstOffset = NO_OFFSET
    this.#open.delete(producerId)
    if (firstOffset === NO_OFFSET) return undefined // nothing was written in it
    const lastStableOffset = this.firstUnstableOffset ?? lastOffset + 1
    return { producerId, firstOffset, lastOffset, isAborted: !marker!.isCommit, lastStableOffset }
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

/** The newest epoch, of what is pending as well. */
function currentEpoch(producer: Producer): number {
  return Math.max(producer.epoch, producer.pending.at(-1)?.producerEpoch ?? NO_EPOCH)
}

/** Of the newest batch of `epoch`, pending or stored; -1 when there is none. */
function lastSequenceOf(producer: Producer, epoch: number): number {
  const { pending, stored } = producer
  for (let index = pending.length - 1; index >= 0; index--) {
    const batch = pending[index]!
    if (batch.marker === undefined && batch.producerEpoch === epoch) return batch.lastSequence
    if (batch.producerEpoch !== epoch) return -1
  }
  const latest = stored.at(-1)
  return latest !== undefined && latest.producerEpoch === epoch ? latest.lastSequence : -1
}

function repeats(batch: ProducerBatch, epoch: number, firstSequence: number, lastSequence: number): boolean {
  return batch.producerEpoch === epoch && batch.firstSequence === firstSequence && batch.lastSequence === lastSequence
}

function batchOf(entry: ProducerEntry): ProducerBatch {
  const { producerId, producerEpoch, lastSequence, lastOffset, offsetDelta, timestampMs } = entry
  return {
    producerId,
    producerEpoch,
    // Sequences wrap from 2^31-1 to 0.
    firstSequence: lastSequence - offsetDelta < 0 ? lastSequence - offsetDelta + 2 ** 31 : lastSequence - offsetDelta,
    lastSequence,
    baseOffset: lastOffset - offsetDelta,
    lastOffset,
    timestampMs,
    isTransactional: entry.transactionFirstOffset !== NO_OFFSET,
    marker: undefined,
  }
}
