/**
 * Takes the producer's records into batches: one open batch a partition, encoded in place. A batch is closed when the
 * next record does not fit, when it has lingered long enough, or by a flush; `onClosed` hears of it at once.
 */
import { PagelogError } from '../base/index.ts'
import type { Clock } from '../env/index.ts'
import { BATCH_HEADER_BYTES, BatchWriter, type RecordHeader } from '../record/index.ts'
import { BatchCompletion } from './batch-completion.ts'
import { BatchInProgress } from './batch-in-progress.ts'
import type { BatchMemory } from './batch-memory.ts'
import { Delivery } from './delivery.ts'
import type { PartitionQueue } from './partition-queue.ts'
import type { TopicQueues } from './partitioner.ts'

export interface AccumulatorOptions {
  readonly clock: Clock
  readonly memory: BatchMemory
  /** Room of a usual batch. */
  readonly batchBytes: number
  readonly lingerMs: number
  /** Of a record, as a request of its own. */
  readonly recordBytesMax: number
  onClosed(batch: BatchInProgress): void
}

/** A record as the batches take it: bytes only. */
export interface EncodableRecord {
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[] | undefined
}

export class RecordAccumulator {
  readonly #options: AccumulatorOptions
  /** All batches not settled yet, oldest first. */
  readonly #incomplete = new Set<BatchInProgress>()
  /** Queues that may have an open batch. */
  readonly #openQueues = new Set<PartitionQueue>()
  /** Bytes of full batches since it was last reset. */
  takenThisTurn = 0

  constructor(options: AccumulatorOptions) {
    this.#options = options
  }

  get incomplete(): ReadonlySet<BatchInProgress> {
    return this.#incomplete
  }

  /**
   * The path of nearly every record: into the open batch of `queue`. Undefined when there is none or it is full; then
   * `appendSlow`. The views are copied.
   */
  append(
    queue: PartitionQueue,
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
  ): Delivery | undefined {
    const batch = queue.open
    if (batch === null || !batch.writer.append(timestamp, key, value, headers)) return undefined
    const completion = batch.completion
    return new Delivery(completion, batch.writer.count - 1, timestamp - completion.baseTimestamp)
  }

  /**
   * After `append` took nothing: opens a batch and puts the record into it; a full one is closed first. `explicit` is the record's partition,
   * undefined for the sticky one. `force` goes beyond buffer memory (records that were counted while they waited for
   * metadata). Throws PAGELOG_BUFFER_FULL, PAGELOG_TOO_LARGE; then the record was not taken.
   */
  appendSlow(
    topic: TopicQueues,
    explicit: PartitionQueue | undefined,
    record: EncodableRecord,
    force = false,
  ): Delivery {
    const { timestamp, key, value, headers } = record
    const recordBytes = this.#sizeChecked(record)
    let queue = explicit ?? topic.sticky
    if (queue.open !== null) {
      this.#close(topic, queue, true)
      if (explicit === undefined) queue = topic.sticky
      const delivery = this.append(queue, timestamp, key, value, headers)
      if (delivery !== undefined) return delivery
      if (queue.open !== null) this.#close(topic, queue, true)
    }
    this.#open(topic, queue, timestamp, Math.max(this.#options.batchBytes, BATCH_HEADER_BYTES + recordBytes), force)
    const delivery = this.append(queue, timestamp, key, value, headers)
    if (delivery === undefined) throw new PagelogError('PAGELOG_TOO_LARGE', 'record does not fit the batch made for it')
    return delivery
  }

  /**
   * Closes the open batches that have lingered long enough, or all. Returns the monotonic time at which the next one
   * will have, undefined when none is open.
   */
  closeDue(nowMs: number, all: boolean, topicOf: (name: string) => TopicQueues): number | undefined {
    let nextMs: number | undefined
    for (const queue of this.#openQueues) {
      const batch = queue.open
      if (batch !== null && !all) {
        const dueMs = batch.createdMs + this.#options.lingerMs
        if (dueMs > nowMs) {
          if (nextMs === undefined || dueMs < nextMs) nextMs = dueMs
          continue
        }
      }
      this.#openQueues.delete(queue)
      if (batch !== null) this.#close(topicOf(queue.topic), queue, false)
    }
    return nextMs
  }

  /** The batch's delivery has succeeded or failed: it no longer counts as incomplete. */
  settled(batch: BatchInProgress): void {
    this.#incomplete.delete(batch)
  }

  #close(topic: TopicQueues, queue: PartitionQueue, full: boolean): void {
    const batch = queue.open!
    const bytes = batch.sizeBytes
    if (full) this.takenThisTurn += bytes
    queue.closeOpen()
    topic.closed(queue, bytes, full)
    this.#options.onClosed(batch)
  }

  #open(topic: TopicQueues, queue: PartitionQueue, timestamp: number, bytes: number, force: boolean): void {
    const writer = this.#options.memory.take(bytes, force)
    if (writer === undefined) {
      throw new PagelogError('PAGELOG_BUFFER_FULL', 'buffer.memory is used up: await ready() while hasRoom is false', {
        retriable: true,
      })
    }
    const completion = new BatchCompletion(topic.name, timestamp)
    const createdMs = this.#options.clock.monotonicMs()
    const batch = new BatchInProgress(queue, completion, { writer, bytes }, createdMs, queue.takeOrder())
    queue.open = batch
    this.#incomplete.add(batch)
    this.#openQueues.add(queue)
  }

  /** Upper bound of the record's bytes in a batch. */
  #sizeChecked(record: EncodableRecord): number {
    const bytes = BatchWriter.recordSizeMax(record.key, record.value, record.headers)
    const limit = Math.min(this.#options.recordBytesMax, this.#options.memory.capacityBytes)
    if (BATCH_HEADER_BYTES + bytes > limit) {
      throw new PagelogError(
        'PAGELOG_TOO_LARGE',
        `record of up to ${bytes} bytes is above max.request.size or buffer.memory (${limit})`,
      )
    }
    return bytes
  }
}
