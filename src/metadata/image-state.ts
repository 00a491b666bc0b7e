/**
 * What the keys of the store amount to: topics with their partitions, brokers, controller. Every object that is handed
 * out is immutable; a change makes new ones, only of what it touched. A topic's list of partitions alone is kept up to
 * date as long as its length stays: a copy for each change would make many changes of a large topic quadratic.
 */
import { PagelogError } from '../base/index.ts'
import {
  type BrokerValue,
  brokerPrefix,
  type ControllerValue,
  controllerKey,
  creatingPrefix,
  type DeletedTopicValue,
  deletedPrefix,
  type PartitionValue,
  parseDeleted,
  parsePartition,
  partitionPrefix,
  type TopicValue,
  topicPrefix,
} from './keys.ts'
import type { MetadataEvent } from './store.ts'

export interface PartitionState extends PartitionValue {
  readonly index: number
  /** To compare when the partition is changed. */
  readonly modRevision: number
}

export interface TopicState {
  readonly name: string
  readonly id: string
  readonly replicationFactor: number
  readonly configs: Readonly<Record<string, string>>
  /** By index, complete; where a value is missing that never could be read, it ends before that. */
  readonly partitions: readonly PartitionState[]
}

export interface BrokerState extends BrokerValue {
  /** Create revision of its registration. */
  readonly epoch: number
  /** Changes when it says that it is leaving. */
  readonly modRevision: number
}

export interface ControllerState {
  readonly id: number
  /** Create revision of its election: what it writes is conditional on that. */
  readonly epoch: number
}

/** What a change touched; look into the image for what it is now. */
export interface ImageChange {
  /** The store's revision that the image shows now. */
  readonly revision: number
  /** The store's keys. */
  readonly keys: ReadonlySet<string>
  /** Names of topics that came, went, were replaced or have other settings or partitions. */
  readonly topics: ReadonlySet<string>
  /** Topic id -> indexes of partitions that came, went or changed; all of a topic's when it comes or goes. */
  readonly partitions: ReadonlyMap<string, ReadonlySet<number>>
  readonly brokers: ReadonlySet<number>
  readonly controller: boolean
  /** Ids of topics whose deletion was decided or is done. */
  readonly deleted: ReadonlySet<string>
}

interface PartitionsOfId {
  /** With holes while a topic is being created. */
  readonly states: (PartitionState | undefined)[]
  count: number
}

class Touched implements ImageChange {
  readonly revision: number
  readonly keys = new Set<string>()
  readonly topics = new Set<string>()
  readonly partitions = new Map<string, Set<number>>()
  readonly brokers = new Set<number>()
  controller = false
  readonly deleted = new Set<string>()

  constructor(revision: number) {
    this.revision = revision
  }

  addPartition(id: string, index: number): void {
    const indexes = this.partitions.get(id)
    if (indexes) indexes.add(index)
    else this.partitions.set(id, new Set([index]))
  }
}

export class ImageState {
  readonly topicsByName = new Map<string, TopicState>()
  readonly topicNames = new Map<string, string>()
  readonly brokers = new Map<number, BrokerState>()
  /** By topic id. */
  readonly deleted = new Map<string, DeletedTopicValue>()
  controller: ControllerState | undefined
  readonly #values = new Map<string, TopicValue>()
  readonly #partitions = new Map<string, PartitionsOfId>()
  readonly #creating = new Set<string>()

  /** Ids that have partitions and are neither a topic's nor being created. */
  orphans(): string[] {
    return [...this.#partitions.keys()].filter((id) => !this.topicNames.has(id) && !this.#creating.has(id))
  }

  /**
   * Events of one revision come together, so partitions are gathered first and topics rebuilt once. A value that is not
   * ours throws PAGELOG_CORRUPT, unless `ignore` takes it.
   */
  apply(events: readonly MetadataEvent[], revision: number, ignore?: (error: PagelogError) => void): ImageChange {
    const touched = new Touched(revision)
    for (const event of events) {
      touched.keys.add(event.key)
      try {
        this.#applyOne(event, touched)
      } catch (cause) {
        const message = `the value of the metadata key "${event.key}" was not written by pagelog`
        const error = new PagelogError('PAGELOG_CORRUPT', message, { cause })
        if (!ignore) throw error
        ignore(error)
      }
    }
    for (const name of touched.topics) this.#rebuild(name, touched.partitions)
    return touched
  }

  #applyOne(event: MetadataEvent, touched: Touched): void {
    const { key } = event
    if (key.startsWith(partitionPrefix)) this.#applyPartition(event, touched)
    else if (key.startsWith(topicPrefix)) this.#applyTopic(event, touched)
    else if (key.startsWith(brokerPrefix)) this.#applyBroker(event, touched)
    else if (key === controllerKey) this.#applyController(event, touched)
    else if (key.startsWith(deletedPrefix)) {
      const id = key.slice(deletedPrefix.length)
      touched.deleted.add(id)
      if (event.type === 'put') this.deleted.set(id, parseDeleted(event.value))
      else this.deleted.delete(id)
    } else if (key.startsWith(creatingPrefix)) {
      if (event.type === 'put') this.#creating.add(key.slice(creatingPrefix.length))
      else this.#creating.delete(key.slice(creatingPrefix.length))
    }
  }

  #applyBroker(event: MetadataEvent, touched: Touched): void {
    const id = Number(event.key.slice(brokerPrefix.length))
    if (event.type === 'delete') this.brokers.delete(id)
    else {
      const { createRevision: epoch, revision: modRevision } = event
      this.brokers.set(id, { ...objectOf<BrokerValue>(event), epoch, modRevision })
    }
    touched.brokers.add(id)
  }

  #applyController(event: MetadataEvent, touched: Touched): void {
    this.controller =
      event.type === 'delete' ? undefined : { id: objectOf<ControllerValue>(event).id, epoch: event.createRevision }
    touched.controller = true
  }

  #applyTopic(event: MetadataEvent, touched: Touched): void {
    const name = event.key.slice(topicPrefix.length)
    const value = event.type === 'delete' ? undefined : objectOf<TopicValue>(event)
    const old = this.#values.get(name)
    if (old?.id !== value?.id) {
      for (const id of [old?.id, value?.id]) if (id !== undefined) this.#touchAll(id, touched)
      if (old) this.topicNames.delete(old.id)
    } else if (old && value) {
      // They were there before the topic said so.
      for (let index = old.partitions; index < value.partitions; index++) touched.addPartition(value.id, index)
    }
    if (value) {
      this.#values.set(name, value)
      this.topicNames.set(value.id, name)
    } else {
      this.#values.delete(name)
    }
    touched.topics.add(name)
  }

  #touchAll(id: string, touched: Touched): void {
    this.#partitions.get(id)?.states.forEach((state, index) => {
      if (state) touched.addPartition(id, index)
    })
  }

  #applyPartition(event: MetadataEvent, touched: Touched): void {
    const [id, indexText] = event.key.slice(partitionPrefix.length).split('/') as [string, string]
    const index = Number(indexText)
    const value = event.type === 'put' ? parsePartition(event.value) : undefined
    let partitions = this.#partitions.get(id)
    if (!partitions) {
      partitions = { states: [], count: 0 }
      this.#partitions.set(id, partitions)
    }
    const old = partitions.states[index]
    if (value) {
      partitions.states[index] = { ...value, index, modRevision: event.revision }
      if (!old) partitions.count++
    } else if (old) {
      partitions.states[index] = undefined
      partitions.count--
    }
    if (partitions.count === 0) this.#partitions.delete(id)
    touched.addPartition(id, index)
    const name = this.topicNames.get(id)
    if (name !== undefined) touched.topics.add(name)
  }

  #rebuild(name: string, touched: Touched['partitions']): void {
    const value = this.#values.get(name)
    if (!value) {
      this.topicsByName.delete(name)
      return
    }
    const { id, replicationFactor, configs } = value
    const states = this.#partitions.get(id)?.states ?? []
    const old = this.topicsByName.get(name)
    const known = old?.id === id ? (old.partitions as PartitionState[]) : []
    const isSame = old?.id === id && old.configs === configs && old.replicationFactor === replicationFactor
    if (isSame && known.length === value.partitions) {
      // Of a partition that was taken away while its topic stays, the last that was known counts.
      for (const index of touched.get(id) ?? []) if (index < known.length) known[index] = states[index] ?? known[index]!
      return
    }
    const partitions: PartitionState[] = []
    for (let index = 0; index < value.partitions; index++) {
      const state = states[index] ?? known[index]
      // Without a gap: what follows one would be taken for another partition.
      if (!state) break
      partitions.push(state)
    }
    this.topicsByName.set(name, { name, id, replicationFactor, configs, partitions })
  }
}

function objectOf<T>({ value }: MetadataEvent): T {
  const parsed: unknown = JSON.parse(value)
  if (typeof parsed !== 'object' || parsed === null) throw new SyntaxError('not an object')
  return parsed as T
}
