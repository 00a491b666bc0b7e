/**
 * Which partition a record goes to, as Kafka's default: the key's murmur2 hash, so that equal keys meet; without a key
 * one partition at a time (KIP-480), another one after a batch is full or `batch.size` bytes have gone (KIP-794).
 */
import type { Random } from '../env/index.ts'
import { murmur2 } from './murmur2.ts'
import type { PartitionQueue } from './partition-queue.ts'

/** Chooses a partition, 0 ≤ partition < `partitionCount`, for a record that names none. */
export type Partitioner = (
  topic: string,
  key: Uint8Array | null,
  value: Uint8Array | null,
  partitionCount: number,
) => number

/** The partition of a key, the same as the Java client's. */
export function partitionOfKey(key: Uint8Array, partitionCount: number): number {
  return (murmur2(key) & 0x7fff_ffff) % partitionCount
}

/** The partitions of a topic that a producer knows, and which of them takes the records without a key. */
export class TopicQueues {
  readonly name: string
  /** By partition index. Empty until the metadata is there. */
  readonly queues: PartitionQueue[] = []
  readonly #switchBytes: number
  readonly #random: Random
  #stickyIndex = 0
  #stickyBytes = 0

  /** Records without a key stay for `switchBytes` with one partition. */
  constructor(name: string, switchBytes: number, random: Random) {
    this.name = name
    this.#switchBytes = switchBytes
    this.#random = random
  }

  /** The metadata is there: records can be given a partition. */
  get known(): boolean {
    return this.queues.length > 0
  }

  /** Takes records without a key now. Requires `known`. */
  get sticky(): PartitionQueue {
    return this.queues[this.#stickyIndex]!
  }

  /** Partitions never go away while the topic lives; there may be more than last time. */
  grow(partitionCount: number, make: (partition: number) => PartitionQueue): void {
    const first = this.queues.length === 0
    for (let partition = this.queues.length; partition < partitionCount; partition++) this.queues.push(make(partition))
    if (first) this.#stickyIndex = Math.floor(this.#random.fraction() * this.queues.length)
  }

  /** A batch of `queue` with `bytes` was closed: on to the next partition when this one has had its share. */
  closed(queue: PartitionQueue, bytes: number, full: boolean): void {
    if (queue !== this.sticky) return
    this.#stickyBytes += bytes
    if (full || this.#stickyBytes >= this.#switchBytes) this.#rotate()
  }

  /** Goes round, so that all get the same; partitions without a leader are passed over while others have one. */
  #rotate(): void {
    this.#stickyBytes = 0
    const count = this.queues.length
    for (let step = 1; step <= count; step++) {
      const index = (this.#stickyIndex + step) % count
      if (this.queues[index]!.leaderId === -1) continue
      this.#stickyIndex = index
      return
    }
    this.#stickyIndex = (this.#stickyIndex + 1) % count
  }
}
