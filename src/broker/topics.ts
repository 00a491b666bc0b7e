/**
 * Creating and deleting topics: the metadata transaction first, the directories after it, the answer last. A crash in
 * between is made good at the next start: directories that are missing are created, and topics whose deletion was
 * decided are removed. A directory that the metadata does not know is left alone and said so; deleting data that nobody
 * asked to delete is worse than a stray folder.
 */
import { hasCode, type Logger, PagelogError } from '../base/index.ts'
import type { Random } from '../env/index.ts'
import type { LogDirectory } from '../log/index.ts'
import {
  type ClusterImage,
  createTopic,
  deletedTopics,
  deleteTopic,
  forgetDeletedTopic,
  type MetadataStore,
  type TopicState,
} from '../metadata/index.ts'
import { ZERO_UUID } from '../protocol/index.ts'
import { Partition } from './partition.ts'
import type { Partitions } from './partitions.ts'
import { collisionKey } from './topic-name.ts'
import { effectiveTopicSettings, logSettingsOf, type TopicSettings } from './topic-settings.ts'

/** Directories are created this many at a time: each costs a few calls in the thread pool. */
const CREATIONS_AT_ONCE = 8

export interface TopicsOptions {
  readonly store: MetadataStore
  readonly image: ClusterImage
  readonly directory: LogDirectory
  readonly partitions: Partitions
  readonly topicDefaults: TopicSettings
  readonly random: Random
  readonly logger: Logger
}

export interface TopicPlan {
  readonly name: string
  readonly assignments: readonly (readonly number[])[]
  readonly configs: Readonly<Record<string, string>>
}

export class Topics {
  readonly #options: TopicsOptions
  /** Name with dots made underscores -> the topic that has it. */
  readonly #collisions = new Map<string, string>()
  /** Creations and deletions of one name follow each other. */
  readonly #busy = new Map<string, Promise<unknown>>()

  constructor(options: TopicsOptions) {
    this.#options = options
    for (const topic of options.image.topics()) this.#collisions.set(collisionKey(topic.name), topic.name)
  }

  /** Brings the directories in line with the metadata; called once, before clients are served. */
  async reconcile(): Promise<void> {
    const { store, directory, image, logger } = this.#options
    for (const { id, name } of deletedTopics(store)) {
      await this.#removeDirectories(name, id)
      await forgetDeletedTopic(store, id)
    }
    for (const { topic, partition } of directory.partitions()) {
      const known = image.topic(topic)
      const stored = directory.topicId(topic, partition)
      const sameId = stored === undefined || stored === known?.id
      if (!known || !sameId || partition >= known.partitions.length) {
        logger.warn(
          { topic, partition, topicId: stored },
          'a partition directory that the metadata does not know was left alone',
        )
      }
    }
    for (const topic of image.topics()) await this.#openPartitions(topic)
  }

  /** The other topic that `name` would collide with, if any. */
  collidingTopic(name: string): string | undefined {
    const other = this.#collisions.get(collisionKey(name))
    return other === name ? undefined : other
  }

  /** Creates a topic and its logs; undefined when the name is taken. Rejects as the store and the log directory do. */
  async create(plan: TopicPlan): Promise<TopicState | undefined> {
    return await this.#exclusively(plan.name, async () => {
      const { store, image, random } = this.#options
      if (image.topic(plan.name) || this.collidingTopic(plan.name) !== undefined) return undefined
      this.#collisions.set(collisionKey(plan.name), plan.name)
      try {
        if (!(await createTopic(store, { ...plan, id: newTopicId(random) }))) return undefined
      } catch (error) {
        this.#collisions.delete(collisionKey(plan.name))
        throw error
      }
      const topic = image.topic(plan.name)!
      const failure = await this.#openPartitions(topic)
      if (failure === undefined) return topic
      // A topic that cannot take records (the disk is full) is refused as a whole, and taken back.
      await this.#forget(topic)
      throw failure
    })
  }

  /** False when there is no such topic any more. */
  async delete(topic: TopicState): Promise<boolean> {
    return await this.#exclusively(topic.name, () => this.#forget(topic))
  }

  async #forget(topic: TopicState): Promise<boolean> {
    const { store, partitions } = this.#options
    if (!(await deleteTopic(store, topic.name, topic.id))) return false
    this.#collisions.delete(collisionKey(topic.name))
    partitions.removeTopic(topic.name)
    await this.#removeDirectories(topic.name, topic.id)
    await forgetDeletedTopic(store, topic.id)
    return true
  }

  /** Opens what it can; the first failure, if there was one. */
  async #openPartitions(topic: TopicState): Promise<unknown> {
    const waiting = topic.partitions.map((partition) => partition.index)
    let failure: unknown
    const worker = async (): Promise<void> => {
      for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
        try {
          await this.#openPartition(topic, index)
        } catch (error) {
          failure ??= error
        }
      }
    }
    await Promise.all(Array.from({ length: Math.min(CREATIONS_AT_ONCE, waiting.length) }, worker))
    return failure
  }

  /** A partition whose log cannot be opened at start stays without one: it answers KAFKA_STORAGE_ERROR until the next. */
  async #openPartition(topic: TopicState, index: number): Promise<void> {
    const { directory, partitions, topicDefaults, logger } = this.#options
    const settings = effectiveTopicSettings(topicDefaults, topic.configs)
    try {
      const existing = directory.get(topic.name, index)
      if (existing && (directory.topicId(topic.name, index) ?? topic.id) !== topic.id) {
        throw new PagelogError('PAGELOG_STORAGE', 'the directory belongs to another topic of the same name')
      }
      const log = existing ?? (await directory.create(topic.name, index, topic.id, logSettingsOf(settings)))
      const leaderEpoch = topic.partitions[index]!.leaderEpoch
      partitions.add(new Partition(topic.name, topic.id, index, log, leaderEpoch, settings))
    } catch (error) {
      logger.error({ topic: topic.name, partition: index, error }, 'a partition has no log')
      throw error
    }
  }

  async #removeDirectories(name: string, id: string): Promise<void> {
    const { directory, logger } = this.#options
    for (const { topic, partition } of directory.partitions()) {
      if (topic !== name || (directory.topicId(topic, partition) ?? id) !== id) continue
      await directory.remove(topic, partition).catch((error: unknown) => {
        if (hasCode(error, 'PAGELOG_CLOSED')) throw error
        logger.error({ topic, partition, error }, 'the log of a deleted topic could not be removed')
      })
    }
  }

  async #exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#busy.get(name)
    const mine = (before ?? Promise.resolve()).then(work, work)
    this.#busy.set(name, mine)
    try {
      return await mine
    } finally {
      if (this.#busy.get(name) === mine) this.#busy.delete(name)
    }
  }
}

/** Random as a version 4 UUID. Kafka's tools take ids as arguments, so none begins with a dash. */
export function newTopicId(random: Random): string {
  for (;;) {
    const bytes = random.bytes(16)
    bytes[6] = (bytes[6]! & 0x0f) | 0x40
    bytes[8] = (bytes[8]! & 0x3f) | 0x80
    const id = Buffer.from(bytes).toString('base64url')
    if (!id.startsWith('-') && id !== ZERO_UUID) return id
  }
}
