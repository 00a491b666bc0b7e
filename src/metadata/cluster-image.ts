/**
 * The cluster as this broker sees it, kept up to date by a watch: topics by name and by id, with their partitions. It
 * changes only between two events of the store, so a handler reads one consistent image as long as it does not await.
 */
import { type PartitionValue, partitionPrefix, type TopicValue, topicPrefix } from './keys.ts'
import type { MetadataEvent, MetadataStore, Unwatch } from './store.ts'

export interface PartitionState extends PartitionValue {
  readonly index: number
}

export interface TopicState {
  readonly name: string
  readonly id: string
  readonly replicationFactor: number
  readonly configs: Readonly<Record<string, string>>
  /** By index, complete. */
  readonly partitions: readonly PartitionState[]
}

export class ClusterImage {
  readonly #byName = new Map<string, TopicState>()
  readonly #nameById = new Map<string, string>()
  readonly #values = new Map<string, TopicValue>()
  readonly #partitions = new Map<string, PartitionState[]>()
  readonly #listeners = new Set<() => void>()
  readonly #unwatch: Unwatch
  #revision: number

  constructor(store: MetadataStore) {
    this.#revision = store.revision
    const pairs = [...store.range(partitionPrefix), ...store.range(topicPrefix)]
    this.#apply(pairs.map(({ key, value, modRevision }) => ({ type: 'put', key, value, revision: modRevision })))
    this.#unwatch = store.watch('', this.#revision + 1, (events, revision) => {
      this.#revision = revision
      this.#apply(events)
      for (const listener of this.#listeners) listener()
    })
  }

  /** The store's revision that this image shows. */
  get revision(): number {
    return this.#revision
  }

  get topicCount(): number {
    return this.#byName.size
  }

  topic(name: string): TopicState | undefined {
    return this.#byName.get(name)
  }

  topicById(id: string): TopicState | undefined {
    const name = this.#nameById.get(id)
    return name === undefined ? undefined : this.#byName.get(name)
  }

  /** All topics, by name. */
  topics(): TopicState[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Calls `listener` after every change. */
  onChange(listener: () => void): Unwatch {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    this.#unwatch()
    this.#listeners.clear()
  }

  /** Events of one revision come together, so partitions are gathered first and topics rebuilt once. */
  #apply(events: readonly MetadataEvent[]): void {
    const touched = new Set<string>()
    for (const event of events) {
      if (event.key.startsWith(partitionPrefix)) this.#applyPartition(event, touched)
      else if (event.key.startsWith(topicPrefix)) this.#applyTopic(event, touched)
    }
    for (const name of touched) this.#rebuild(name)
  }

  #applyTopic(event: MetadataEvent, touched: Set<string>): void {
    const name = event.key.slice(topicPrefix.length)
    const old = this.#values.get(name)
    if (old) this.#nameById.delete(old.id)
    if (event.type === 'delete') {
      this.#values.delete(name)
    } else {
      const value = JSON.parse(event.value) as TopicValue
      this.#values.set(name, value)
      this.#nameById.set(value.id, name)
    }
    touched.add(name)
  }

  #applyPartition(event: MetadataEvent, touched: Set<string>): void {
    const [id, indexText] = event.key.slice(partitionPrefix.length).split('/') as [string, string]
    const index = Number(indexText)
    let partitions = this.#partitions.get(id)
    if (!partitions) {
      partitions = []
      this.#partitions.set(id, partitions)
    }
    if (event.type === 'put') partitions[index] = { ...(JSON.parse(event.value) as PartitionValue), index }
    else delete partitions[index]
    const name = this.#nameById.get(id)
    if (name !== undefined) touched.add(name)
    else if (event.type === 'delete' && partitions.every((partition) => partition === undefined)) {
      this.#partitions.delete(id)
    }
  }

  #rebuild(name: string): void {
    const value = this.#values.get(name)
    if (!value) {
      this.#byName.delete(name)
      return
    }
    const known = this.#partitions.get(value.id) ?? []
    const partitions = known.slice(0, value.partitions)
    this.#byName.set(name, {
      name,
      id: value.id,
      replicationFactor: value.replicationFactor,
      configs: value.configs,
      partitions: partitions.filter((partition) => partition !== undefined),
    })
  }
}
