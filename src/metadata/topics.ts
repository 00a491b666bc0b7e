/** The transactions that change topics. Checking what a client asked for is the broker's work; here is what it becomes. */
import {
  deletedKey,
  deletedPrefix,
  type PartitionValue,
  partitionKey,
  partitionsOfTopic,
  type TopicValue,
  topicKey,
} from './keys.ts'
import type { MetadataStore, Operation } from './store.ts'

export interface NewTopic {
  readonly name: string
  /** base64url of 16 bytes. */
  readonly id: string
  /** Node ids per partition, the preferred leader first; never empty. */
  readonly assignments: readonly (readonly number[])[]
  /** Only what differs from the broker's defaults, by Kafka's name. */
  readonly configs: Readonly<Record<string, string>>
}

/** False when a topic of that name is there already. */
export async function createTopic(store: MetadataStore, topic: NewTopic): Promise<boolean> {
  const value: TopicValue = {
    id: topic.id,
    partitions: topic.assignments.length,
    replicationFactor: topic.assignments[0]!.length,
    configs: topic.configs,
  }
  const operations: Operation[] = [{ type: 'put', key: topicKey(topic.name), value: JSON.stringify(value) }]
  for (const [index, replicas] of topic.assignments.entries()) {
    const partition: PartitionValue = {
      leader: replicas[0]!,
      leaderEpoch: 0,
      replicas,
      isr: replicas,
      partitionEpoch: 0,
    }
    operations.push({ type: 'put', key: partitionKey(topic.id, index), value: JSON.stringify(partition) })
  }
  const result = await store.transact([{ key: topicKey(topic.name), field: 'createRevision', equals: 0 }], operations)
  return result.succeeded
}

/** False when the topic with that name and id is gone already. Its id is remembered until `forgetDeletedTopic`. */
export async function deleteTopic(store: MetadataStore, name: string, id: string): Promise<boolean> {
  const current = store.get(topicKey(name))
  if (!current || (JSON.parse(current.value) as TopicValue).id !== id) return false
  const result = await store.transact(
    [{ key: topicKey(name), field: 'modRevision', equals: current.modRevision }],
    [
      { type: 'delete', key: topicKey(name) },
      { type: 'deletePrefix', prefix: partitionsOfTopic(id) },
      { type: 'put', key: deletedKey(id), value: name },
    ],
  )
  // A change of its settings in between is no reason to keep it.
  return result.succeeded || (await deleteTopic(store, name, id))
}

/** Replaces the topic's own settings. False when the topic is gone or changed meanwhile. */
export async function setTopicConfigs(
  store: MetadataStore,
  name: string,
  configs: Readonly<Record<string, string>>,
): Promise<boolean> {
  const current = store.get(topicKey(name))
  if (!current) return false
  const value: TopicValue = { ...(JSON.parse(current.value) as TopicValue), configs }
  const result = await store.transact(
    [{ key: topicKey(name), field: 'modRevision', equals: current.modRevision }],
    [{ type: 'put', key: topicKey(name), value: JSON.stringify(value) }],
  )
  return result.succeeded
}

/** Topics whose deletion is decided and whose logs may still be on disk. */
export function deletedTopics(store: MetadataStore): { readonly id: string; readonly name: string }[] {
  return store.range(deletedPrefix).map(({ key, value }) => ({ id: key.slice(deletedPrefix.length), name: value }))
}

/** The last trace of a topic, once its logs are gone. */
export async function forgetDeletedTopic(store: MetadataStore, id: string): Promise<void> {
  await store.transact([], [{ type: 'delete', key: deletedKey(id) }])
}
