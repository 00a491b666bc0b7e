/**
 * A batch from its first record until its delivery has succeeded or failed: its bytes, its place in the order of its
 * partition, its attempts. The bytes do not change once it is closed, except for a new producer id's header.
 */
import type { BatchWriter } from '../record/index.ts'
import type { BatchCompletion } from './batch-completion.ts'
import type { PartitionQueue } from './partition-queue.ts'

export class BatchInProgress {
  readonly queue: PartitionQueue
  readonly completion: BatchCompletion
  readonly writer: BatchWriter
  /** Room of the writer's buffer, as taken from memory. */
  readonly roomBytes: number
  /** Monotonic time of the first record. */
  readonly createdMs: number
  /** Place in the partition's order: retries go out in this order. */
  readonly order: number
  /** Times sent. */
  attempts = 0
  /** -1 until the batch was given its sequence, and again when it needs a new one. */
  baseSequence = -1
  producerId = -1
  producerEpoch = -1
  /** The header has been written for the fields above. */
  finished: Uint8Array | undefined
  /** A request that holds its bytes is unanswered: the buffer must not be used again before. */
  inFlight = false

  constructor(queue: PartitionQueue, completion: BatchCompletion, room: BatchRoom, createdMs: number, order: number) {
    this.queue = queue
    this.completion = completion
    this.writer = room.writer
    this.roomBytes = room.bytes
    this.createdMs = createdMs
    this.order = order
  }

  get sizeBytes(): number {
    return this.writer.size
  }
  get recordCount(): number {
    return this.writer.count
  }

  /** Header and CRC for the producer fields it has now; made once until they change. */
  bytes(): Uint8Array {
    this.finished ??= this.writer.finish({
      producerId: this.producerId,
      producerEpoch: this.producerEpoch,
      baseSequence: this.baseSequence,
    })
    return this.finished
  }

  /** Gives it a place in a producer's sequence. */
  sequence(producerId: number, producerEpoch: number, baseSequence: number): void {
    this.producerId = producerId
    this.producerEpoch = producerEpoch
    this.baseSequence = baseSequence
    this.finished = undefined
  }
}

export interface BatchRoom {
  readonly writer: BatchWriter
  readonly bytes: number
}
