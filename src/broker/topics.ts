/**
 * Creating and deleting topics: the metadata transaction first, the directories after it, the answer last. Any broker of
 * a cluster may do that; the logs of a deleted topic are removed by each broker that has some, when the image tells. A
 * crash in between is made good at the next start: directories that are missing are created, and topics whose deletion
 * was decided are removed. A directory that the metadata does not know is left alone and said so; deleting data that nobody
 * asked to delete is worse than a stray folder.
 */
import { hasCode, type Logger, PagelogError } from '../base/index.ts'
import type { Random } from '../env/index.ts'
import type { LogDirectory } from '../log/index.ts'
import {
  abandonTopic,
  acknowledgeDeletion,
  addPartitions,
  type ClusterImage,
  createTopic,
  deleteTopic,
  type MetadataStore,
  type TopicState,
  topicKey,
  unfinishedTopics,
} from '../metadata/index.ts'
import { ZERO_UUID } from '../protocol/index.ts'
import type { Replicas } from '../replication/index.ts'
import { collisionKey } from './topic-name.ts'
import type { TopicSettings } from './topic-settings.ts'

export interface TopicsOptions {
  readonly nodeId: number
  readonly store: MetadataStore
  /** Nobody else uses the store. */
  readonly alone: boolean
  /** Of this broker's registration: what it is creating ends with it. */
  readonly lease: () => string | undefined
  readonly image: ClusterImage
  readonly directory: LogDirectory
  readonly replicas: Replicas<TopicSettings>
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

  /** Topic id -> the removal of its logs that is under way. */
  readonly #removals = new Map<string, { readonly name: string; readonly done: Promise<void> }>()

  constructor(options: TopicsOptions) {
    this.#options = options
    const { image } = options
    for (const topic of image.topics()) this.#collisions.set(collisionKey(topic.name), topic.name)
    image.onChange(({ topics, deleted }) => {
      for (const name of topics) this.#noteName(name)
      for (const id of deleted) if (image.deleted.has(id)) void this.#removeLogs(id)
    })
  }

  /** Brings the directories in line with the metadata; called once, before clients are served. */
  async reconcile(): Promise<void> {
    const { store, alone, directory, replicas, image, logger } = this.#options
    // In a cluster the controller does, when their creators are gone.
    if (alone) for (const { id } of await unfinishedTopics(store)) await abandonTopic(store, id)
    for (const id of [...image.deleted.keys()]) await this.#removeLogs(id)
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
    await Promise.all(image.topics().map((topic) => replicas.openTopic(topic)))
  }

  /** The other topic that `name` would collide with, if any. */
  collidingTopic(name: string): string | undefined {
    const other = this.#collisions.get(collisionKey(name))
    return other === name ? undefined : other
  }

  /** Creates a topic and its logs; undefined when the name is taken. Rejects as the store and the log directory do. */
  async create(plan: TopicPlan): Promise<TopicState | undefined> {
    return await this.#exclusively(plan.name, async () => {
      const { store, image, random, lease } = this.#options
      const id = newTopicId(random)
      if (image.topic(plan.name) || this.collidingTopic(plan.name) !== undefined) return undefined
      this.#collisions.set(collisionKey(plan.name), plan.name)
      try {
        const mark = lease()
        const revision = await createTopic(store, { ...plan, id, ...(mark === undefined ? {} : { lease: mark }) })
        if (revision === undefined) {
          // The answer says which topic has the name: wait until it is seen here.
          await image.reached((await store.get(topicKey(plan.name))).revision)
          this.#noteName(plan.name)
          return undefined
        }
        await image.reached(revision)
        await this.removed(plan.name)
      } catch (error) {
        this.#noteName(plan.name)
        throw error
      }
      const topic = image.topicById(id)
      if (!topic) throw new PagelogError('PAGELOG_ABORTED', 'another broker deleted the topic at once')
      const failure = await this.#options.replicas.openTopic(topic)
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

  /** False when the topic is gone or changed meanwhile. `assignments` are those of the new partitions. */
  async addPartitions(topic: TopicState, assignments: readonly (readonly number[])[]): Promise<boolean> {
    return await this.#exclusively(topic.name, async () => {
      const { store, image } = this.#options
      const revision = await addPartitions(store, topic, topic.partitions.length, assignments)
      if (revision === undefined) return false
      await image.reached(revision)
      const grown = image.topic(topic.name)
      const failure = grown && (await this.#options.replicas.openTopic(grown))
      if (failure !== undefined) throw failure
      return true
    })
  }

  /** Resolves when no log of a deleted topic of that name is left here, or is not to be removed now. */
  async removed(name: string): Promise<void> {
    // Of a topic that was deleted and created again at once nobody may have looked at the deletion yet.
    for (const [id, deleted] of this.#options.image.deleted) if (deleted.name === name) void this.#removeLogs(id)
    await Promise.all([...this.#removals.values()].filter((one) => one.name === name).map((one) => one.done))
  }

  async #forget(topic: TopicState): Promise<boolean> {
    const { store, image } = this.#options
    const revision = await deleteTopic(store, topic.name, topic.id)
    if (revision === undefined) return false
    await image.reached(revision)
    await this.removed(topic.name)
    return true
  }

  #noteName(name: string): void {
    const key = collisionKey(name)
    if (this.#options.image.topic(name)) this.#collisions.set(key, name)
    else if (this.#collisions.get(key) === name) this.#collisions.delete(key)
  }

  /** Never rejects: what could not be done is done at the next start. */
  #removeLogs(id: string): Promise<void> {
    const running = this.#removals.get(id)
    if (running) return running.done
    const { image, logger } = this.#options
    const { name } = image.deleted.get(id)!
    const done = this.#removeLogsOf(name, id)
      .catch((error: unknown) => {
        if (!hasCode(error, 'PAGELOG_CLOSED'))
          logger.error({ topic: name, error }, 'a deleted topic could not be removed')
      })
      .finally(() => this.#removals.delete(id))
    this.#removals.set(id, { name, done })
    return done
  }

  async #removeLogsOf(name: string, id: string): Promise<void> {
    const { store, image, nodeId, replicas: own } = this.#options
    const { replicas } = image.deleted.get(id)!
    // None are named by a store that had one broker only.
    if (replicas.length > 0 && !replicas.includes(nodeId)) return
    if (own.partitions.ofTopic(name)[0]?.topicId === id) await own.removeTopic(name)
    await this.#removeDirectories(name, id)
    await acknowledgeDeletion(store, id, nodeId)
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
