/** The partitions that this broker leads, found by topic name or id and index: one look per batch of a produce. */
import type { Partition } from './partition.ts'

export class Partitions {
  readonly #byName = new Map<string, Partition[]>()
  readonly #byId = new Map<string, Partition[]>()
  #count = 0

  get count(): number {
    return this.#count
  }

  find(topic: string, index: number): Partition | undefined {
    return this.#byName.get(topic)?.[index]
  }

  findById(topicId: string, index: number): Partition | undefined {
    return this.#byId.get(topicId)?.[index]
  }

  ofTopic(topic: string): readonly Partition[] {
    return this.#byName.get(topic) ?? []
  }

  add(partition: Partition): void {
    let partitions = this.#byName.get(partition.topic)
    if (!partitions) {
      partitions = []
      this.#byName.set(partition.topic, partitions)
      this.#byId.set(partition.topicId, partitions)
    }
    partitions[partition.index] = partition
    this.#count++
  }

  /** Takes a topic's partitions out; fetches that wait for them are answered. */
  removeTopic(topic: string): readonly Partition[] {
    const partitions = (this.#byName.get(topic) ?? []).filter((partition) => partition !== undefined)
    this.#byName.delete(topic)
    for (const partition of partitions) {
      this.#byId.delete(partition.topicId)
      this.#count--
      partition.markDeleted()
    }
    return partitions
  }
}
