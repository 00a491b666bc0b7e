/**
 * A batch from its first record until its delivery has succeeded or failed: its bytes, its place in the order of its
 * partition, its attempts. The bytes do not change once it is closed and compressed, except for a new producer id's header.
 */
import { ATTRIBUTES_AT, type BatchWriter, crc32c, setCrc, setProducer } from '../record/index.ts'
import type { BatchCompletion } from './batch-completion.ts'
import type { BatchMemory } from './batch-memory.ts'
import type { PartitionQueue } from './partition-queue.ts'

export class BatchInProgress {
  readonly queue: PartitionQueue
  readonly completion: BatchCompletion
  readonly writer: BatchWriter
  /** What it has of buffer.memory: the room of the writer's buffer, later the compressed bytes. */
  roomBytes: number
  /** Monotonic time of the first record. */
  readonly createdMs: number
  /** Place in the partition's order: retries go out in this order. */
  readonly order: number
  /** Times sent. */
  attempts = 0
  /** An earlier try may be in the log, or come into it yet: under another sequence it could be there twice. */
  isDoubtful = false
  /** -1 until the batch was given its sequence, and again when it needs a new one. */
  baseSequence = -1
  producerId = -1
  producerEpoch = -1
  /** The header has been written for the fields above. */
  finished: Uint8Array | undefined
  /** A request that holds its bytes is unanswered: the buffer must not be used again before. */
  inFlight = false
  /** Of the leader that it was last sent to. */
  leaderEpoch = -1
  /** Not compressed yet: it keeps its place but cannot leave. */
  compressing = false
  /** False when the writer's buffer has gone elsewhere. */
  holdsWriter = true
  /** The compressed twin, which takes the place of what the writer holds. */
  #packed: Uint8Array | undefined
  #packedCount = 0

  constructor(queue: PartitionQueue, completion: BatchCompletion, room: BatchRoom, createdMs: number, order: number) {
    this.queue = queue
    this.completion = completion
    this.writer = room.writer
    this.roomBytes = room.bytes
    this.createdMs = createdMs
    this.order = order
  }

  get sizeBytes(): number {
    return this.#packed === undefined ? this.writer.size : this.#packed.length
  }
  get recordCount(): number {
    return this.#packed === undefined ? this.writer.count : this.#packedCount
  }

  /** Header and CRC for the producer fields it has now; made once until they change. */
  bytes(): Uint8Array {
    this.finished ??= this.#finish()
    return this.finished
  }

  #finish(): Uint8Array {
    const { producerId, producerEpoch, baseSequence } = this
    const packed = this.#packed
    if (packed === undefined) return this.writer.finish({ producerId, producerEpoch, baseSequence })
    setProducer(packed, 0, { producerId, producerEpoch, baseSequence })
    setCrc(packed, 0, crc32c(packed, ATTRIBUTES_AT, packed.length))
    return packed
  }

  /**
   * `packed` is what leaves; in memory it takes the place of the writer, which is free again. `buffer`: the writer's, which
   * had gone elsewhere and has come back.
   */
  pack(packed: Uint8Array, memory: BatchMemory, buffer?: Uint8Array): void {
    this.#packedCount = this.writer.count
    if (buffer !== undefined) {
      this.writer.reset(buffer)
      this.holdsWriter = true
    }
    this.leaveMemory(memory)
    this.#packed = packed
    this.holdsWriter = false
    this.roomBytes = packed.buffer.byteLength
    // Made of a header with these producer fields: it is as it must be until they change.
    this.finished = packed
    memory.charge(this.roomBytes)
  }

  /** Its bytes are not needed any more. */
  leaveMemory(memory: BatchMemory): void {
    if (this.holdsWriter) memory.give(this.writer, this.roomBytes)
    else memory.release(this.roomBytes)
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
