/**
 * The transactions that change topics. Checking what a client asked for is the broker's work; here is what it becomes.
 * Each says at which revision it is done: wait for the image to reach that before looking there.
 */
import { PagelogError } from '../base/index.ts'
import {
  creatingKey,
  creatingPrefix,
  type DeletedTopicValue,
  deletedKey,
  nameKey,
  type PartitionValue,
  parseDeleted,
  parsePartition,
  partitionKey,
  partitionsOfTopic,
  type TopicValue,
  topicKey,
} from './keys.ts'
import { settled } from './settled.ts'
import { type Compare, type MetadataStore, type Operation, TRANSACTION_OPERATIONS_MAX } from './store.ts'

export interface NewTopic {
  readonly name: string
  /** base64url of 16 bytes; fresh for every attempt, because it tells whose attempt succeeded. */
  readonly id: string
  /** Node ids per partition, the preferred leader first; never empty. */
  readonly assignments: readonly (readonly number[])[]
  /** Only what differs from the broker's defaults, by Kafka's name. */
  readonly configs: Readonly<Record<string, string>>
  /** The creator's, so that what it leaves behind when it dies is known to be nobody's. */
  readonly lease?: string
}

/** The revision at which the topic is there; undefined when one of that name, or of one that collides, was there. */
export async function createTopic(store: MetadataStore, topic: NewTopic): Promise<number | undefined> {
  const absent = [topicKey(topic.name), nameKey(topic.name)].map(
    (key): Compare => ({ key, field: 'createRevision', equals: 0 }),
  )
  const puts = topic.assignments.map((replicas, index) => putNewPartition(topic.id, index, replicas))
  const last: Operation[] = [putNewTopic(topic), { type: 'put', key: nameKey(topic.name), value: topic.name }]
  if (puts.length + last.length <= TRANSACTION_OPERATIONS_MAX)
    return await finish(store, topic, absent, [...last, ...puts])
  // Too many for one transaction: partitions first, the topic's own key makes them visible. Should the creator die in
  // between, the mark goes with its lease, and partitions without mark and topic are nobody's.
  const mark: Operation = {
    type: 'put',
    key: creatingKey(topic.id),
    value: topic.name,
    ...(topic.lease === undefined ? {} : { lease: topic.lease }),
  }
  const marked = await store.transact(absent, [mark])
  if (!marked.succeeded) return undefined
  const unbroken: Compare = { key: creatingKey(topic.id), field: 'createRevision', equals: marked.revision }
  try {
    if ((await putPartitions(store, puts, [...absent, unbroken])) === undefined) await refuseUnlessTaken(store, topic)
    else {
      last.push({ type: 'delete', key: creatingKey(topic.id) })
      const revision = await finish(store, topic, [...absent, unbroken], last)
      if (revision !== undefined) return revision
    }
  } catch (error) {
    await abandon(store, topic.id, [unbroken]).catch(() => {})
    throw error
  }
  await abandon(store, topic.id, [unbroken])
  return undefined
}

async function putPartitions(
  store: MetadataStore,
  puts: readonly Operation[],
  compare: readonly Compare[],
): Promise<number | undefined> {
  let revision: number | undefined
  for (let at = 0; at < puts.length; at += TRANSACTION_OPERATIONS_MAX) {
    const result = await store.transact(compare, puts.slice(at, at + TRANSACTION_OPERATIONS_MAX))
    if (!result.succeeded) return undefined
    revision = result.revision
  }
  return revision
}

/** The transaction that makes the topic visible. Its id tells, after an unknown outcome, whether it happened. */
async function finish(
  store: MetadataStore,
  topic: NewTopic,
  compare: readonly Compare[],
  operations: readonly Operation[],
): Promise<number | undefined> {
  const result = await settled(
    () => store.transact(compare, operations),
    async () => {
      const { pair, revision } = await store.get(topicKey(topic.name))
      return { succeeded: pair !== undefined && parseTopic(pair.value).id === topic.id, revision }
    },
  )
  if (result.succeeded) return result.revision
  await refuseUnlessTaken(store, topic)
  return undefined
}

/** A comparison failed: by another topic that has the name, or because somebody took this one for abandoned. */
async function refuseUnlessTaken(store: MetadataStore, topic: NewTopic): Promise<void> {
  for (const key of [topicKey(topic.name), nameKey(topic.name)]) {
    const { pair } = await store.get(key)
    if (pair !== undefined) return
  }
  throw new PagelogError('PAGELOG_METADATA_UNREACHABLE', 'the creation of a topic was interrupted', { retriable: true })
}

function putNewTopic(topic: NewTopic): Operation {
  const value: TopicValue = {
    id: topic.id,
    partitions: topic.assignments.length,
    replicationFactor: topic.assignments[0]!.length,
    configs: topic.configs,
  }
  return { type: 'put', key: topicKey(topic.name), value: JSON.stringify(value) }
}

function putNewPartition(id: string, index: number, replicas: readonly number[]): Operation {
  const value: PartitionValue = {
    leader: replicas[0]!,
    leaderEpoch: 0,
    replicas,
    isr: replicas,
    elr: [],
    partitionEpoch: 0,
  }
  return { type: 'put', key: partitionKey(id, index), value: JSON.stringify(value) }
}

function parseTopic(value: string): TopicValue {
  return JSON.parse(value) as TopicValue
}

/** Topics whose creation was begun and not finished; whoever holds the store alone may abandon them all. */
export async function unfinishedTopics(
  store: MetadataStore,
): Promise<{ readonly id: string; readonly name: string }[]> {
  const { pairs } = await store.range(creatingPrefix)
  return pairs.map(({ key, value }) => ({ id: key.slice(creatingPrefix.length), name: value }))
}

/** Removes what an interrupted creation left behind; the creator, if it lives, fails. */
export async function abandonTopic(store: MetadataStore, id: string): Promise<void> {
  await abandon(store, id, [])
}

/** The creator itself gives up only what is marked still: without the mark its topic may be there after all. */
async function abandon(store: MetadataStore, id: string, compare: readonly Compare[]): Promise<void> {
  await store.transact(compare, [
    { type: 'delete', key: creatingKey(id) },
    { type: 'deletePrefix', prefix: partitionsOfTopic(id) },
  ])
}

/**
 * The revision at which the topic with that name and id is gone; undefined when it was gone already. Its id is
 * remembered until every broker that had replicas has said by `acknowledgeDeletion` that its logs are gone.
 */
export async function deleteTopic(store: MetadataStore, name: string, id: string): Promise<number | undefined> {
  for (;;) {
    const { pair } = await store.get(topicKey(name))
    if (pair === undefined || parseTopic(pair.value).id !== id) return undefined
    const { pairs } = await store.range(partitionsOfTopic(id))
    const replicas = [...new Set(pairs.flatMap(({ value }) => parsePartition(value).replicas))]
    const result = await settled(
      () =>
        store.transact(
          [{ key: topicKey(name), field: 'modRevision', equals: pair.modRevision }],
          [
            { type: 'delete', key: topicKey(name) },
            { type: 'delete', key: nameKey(name) },
            { type: 'deletePrefix', prefix: partitionsOfTopic(id) },
            { type: 'put', key: deletedKey(id), value: JSON.stringify({ name, replicas } satisfies DeletedTopicValue) },
          ],
        ),
      async () => {
        const { pair: mark, revision } = await store.get(deletedKey(id))
        return { succeeded: mark !== undefined, revision }
      },
    )
    // A change of its settings in between is no reason to keep it.
    if (result.succeeded) return result.revision
  }
}

/** Replaces the topic's own settings. Undefined when the topic is gone or changed meanwhile. */
export async function setTopicConfigs(
  store: MetadataStore,
  name: string,
  configs: Readonly<Record<string, string>>,
): Promise<number | undefined> {
  const { pair } = await store.get(topicKey(name))
  if (pair === undefined) return undefined
  const value: TopicValue = { ...parseTopic(pair.value), configs }
  const result = await store.transact(
    [{ key: topicKey(name), field: 'modRevision', equals: pair.modRevision }],
    [{ type: 'put', key: topicKey(name), value: JSON.stringify(value) }],
  )
  return result.succeeded ? result.revision : undefined
}

/**
 * The logs of a deleted topic are gone from this broker; the last one to say so takes the last trace of it away. A broker
 * that never comes back keeps the trace: a few bytes.
 */
export async function acknowledgeDeletion(store: MetadataStore, id: string, nodeId: number): Promise<void> {
  for (;;) {
    const { pair } = await store.get(deletedKey(id))
    if (pair === undefined) return
    const { name, replicas } = parseDeleted(pair.value)
    const left = replicas.filter((replica) => replica !== nodeId)
    const operation: Operation =
      left.length === 0
        ? { type: 'delete', key: deletedKey(id) }
        : { type: 'put', key: deletedKey(id), value: JSON.stringify({ name, replicas: left }) }
    const unchanged: Compare = { key: deletedKey(id), field: 'modRevision', equals: pair.modRevision }
    if ((await store.transact([unchanged], [operation])).succeeded) return
  }
}

/**
 * More partitions for a topic; `assignments` are those of the new ones, `from` how many there were. The revision at which
 * they are there; undefined when the topic is gone or changed meanwhile.
 */
export async function addPartitions(
  store: MetadataStore,
  topic: { readonly name: string; readonly id: string },
  from: number,
  assignments: readonly (readonly number[])[],
): Promise<number | undefined> {
  const { pair } = await store.get(topicKey(topic.name))
  if (pair === undefined) return undefined
  const value = parseTopic(pair.value)
  if (value.id !== topic.id || value.partitions !== from) return undefined
  const unchanged: Compare = { key: topicKey(topic.name), field: 'modRevision', equals: pair.modRevision }
  // Invisible until the topic says that they are there; what an interrupted attempt leaves the next one replaces.
  const puts = assignments.map((replicas, i) => putNewPartition(topic.id, from + i, replicas))
  if ((await putPartitions(store, puts, [unchanged])) === undefined) return undefined
  const grown = JSON.stringify({ ...value, partitions: from + assignments.length })
  const result = await settled(
    () => store.transact([unchanged], [{ type: 'put', key: topicKey(topic.name), value: grown }]),
    async () => {
      const { pair: now, revision } = await store.get(topicKey(topic.name))
      return { succeeded: now?.value === grown, revision }
    },
  )
  return result.succeeded ? result.revision : undefined
}
