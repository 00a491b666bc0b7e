/** The partitions of which this broker has replicas, by topic name or id and index: one look per batch of a produce. */
import { assert } from '../base/index.ts'
import type { Partition, ReplicatedSettings } from './partition.ts'

export class Partitions<S extends ReplicatedSettings = ReplicatedSettings> {
  readonly #byName = new Map<string, Partition<S>[]>()
  readonly #byId = new Map<string, Partition<S>[]>()
  /** Replicas whose log could not be opened: `topicId index`. */
  readonly #failed = new Set<string>()
  #count = 0

  get count(): number {
    return this.#count
  }

  find(topic: string, index: number): Partition<S> | undefined {
    return this.#byName.get(topic)?.[index]
  }

  findById(topicId: string, index: number): Partition<S> | undefined {
    return this.#byId.get(topicId)?.[index]
  }

  ofTopic(topic: string): readonly Partition<S>[] {
    return (this.#byName.get(topic) ?? []).filter((partition) => partition !== undefined)
  }

  /** Of the topic that has partitions here under that name. */
  topicIdOf(topic: string): string | undefined {
    return this.#byName.get(topic)?.find((partition) => partition !== undefined)?.topicId
  }

  *all(): IterableIterator<Partition<S>> {
    for (const partitions of this.#byName.values()) {
      for (const partition of partitions) if (partition !== undefined) yield partition
    }
  }

  /** Its log could not be opened; one that is only on its way has not failed. */
  hasFailed(topicId: string, index: number): boolean {
    return this.#failed.has(`${topicId} ${index}`)
  }

  failed(topicId: string, index: number): void {
    this.#failed.add(`${topicId} ${index}`)
  }

  add(partition: Partition<S>): void {
    this.#failed.delete(`${partition.topicId} ${partition.index}`)
    let partitions = this.#byName.get(partition.topic)
    assert(partitions === this.#byId.get(partition.topicId), 'two topics of one name')
    if (!partitions) {
      partitions = []
      this.#byName.set(partition.topic, partitions)
      this.#byId.set(partition.topicId, partitions)
    }
    partitions[partition.index] = partition
    this.#count++
  }

  /** Takes a topic's partitions out; fetches that wait for them are answered. */
  removeTopic(topic: string): readonly Partition<S>[] {
    const partitions = this.ofTopic(topic)
    this.#byName.delete(topic)
    for (const partition of partitions) {
      this.#byId.delete(partition.topicId)
      this.#count--
      partition.markDeleted()
    }
    return partitions
  }
}
