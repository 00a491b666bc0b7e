/** What a client asks of a new topic, checked in Kafka's order and turned into replicas per partition. */
import { ErrorCode, hasCode, hint } from '../base/index.ts'
import type { ClusterImage, TopicState } from '../metadata/index.ts'
import { assignReplicas } from '../replication/index.ts'
import type { BrokerFacade } from './facade.ts'
import { topicNameFault } from './topic-name.ts'
import { parseTopicSetting, pendingTopicSettings, topicSettingKey, topicSettingNames } from './topic-settings.ts'
import type { TopicPlan } from './topics.ts'

/** Kafka's limit for one request. */
export const PARTITIONS_PER_REQUEST_MAX = 10000

/** Why a topic is not created: a wire code with its text. */
export class TopicRefusal extends Error {
  override readonly name = 'TopicRefusal'
  readonly errorCode: number

  constructor(errorCode: number, message: string) {
    super(message)
    this.errorCode = errorCode
  }
}

export interface TopicWish {
  readonly name: string
  /** -1: the broker's default. */
  readonly numPartitions: number
  readonly replicationFactor: number
  readonly assignments: readonly { readonly partitionIndex: number; readonly brokerIds: readonly number[] }[]
  readonly configs: readonly { readonly name: string; readonly value: string | null }[]
}

/** Throws {@link TopicRefusal}. */
export function planTopic(broker: BrokerFacade, wish: TopicWish): TopicPlan {
  checkName(broker, wish.name)
  const configs = checkConfigs(broker, wish)
  const assignments = wish.assignments.length > 0 ? checkAssignments(broker, wish) : assign(broker, wish)
  return { name: wish.name, assignments, configs }
}

function checkName(broker: BrokerFacade, name: string): void {
  const fault = topicNameFault(name)
  if (fault !== undefined) throw new TopicRefusal(ErrorCode.INVALID_TOPIC_EXCEPTION, fault)
  if (broker.image.topic(name) || broker.topics.collidingTopic(name) !== undefined) throw nameRefusal(broker, name)
}

/** Why a name that is taken cannot be had. */
export function nameRefusal(broker: BrokerFacade, name: string): TopicRefusal {
  const other = broker.image.topic(name) ? undefined : broker.topics.collidingTopic(name)
  if (other === undefined) return new TopicRefusal(ErrorCode.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`)
  const message = `Topic '${name}' collides with existing topic: ${other}`
  return new TopicRefusal(ErrorCode.INVALID_TOPIC_EXCEPTION, message)
}

function checkConfigs(broker: BrokerFacade, wish: TopicWish): Record<string, string> {
  const configs: Record<string, string> = {}
  const refuse = (message: string): TopicRefusal => new TopicRefusal(ErrorCode.INVALID_CONFIG, message)
  for (const { name, value } of wish.configs) {
    const key = topicSettingKey(name)
    if (key === undefined) throw refuse(`Unknown topic config name: ${name}${hint(name, topicSettingNames)}`)
    if (value === null) throw refuse(`Null value not supported for topic configs: ${name}`)
    try {
      parseTopicSetting(key, value)
    } catch (error) {
      if (hasCode(error, 'PAGELOG_INVALID_SETTING')) throw refuse(error.message)
      throw error
    }
    if (pendingTopicSettings.has(key)) {
      broker.logger.warn({ topic: wish.name, setting: name, value }, 'a topic setting is not honoured yet')
    }
    configs[name] = value
  }
  return configs
}

function checkAssignments(broker: BrokerFacade, wish: TopicWish): readonly (readonly number[])[] {
  if (wish.replicationFactor !== -1 || wish.numPartitions !== -1) {
    const message = 'With manual assignments the partition count and the replication factor must be -1.'
    throw new TopicRefusal(ErrorCode.INVALID_REQUEST, message)
  }
  const assignments: (readonly number[])[] = []
  for (const { partitionIndex, brokerIds } of wish.assignments) {
    if (assignments[partitionIndex]) throw badAssignment(`Partition ${partitionIndex} is assigned more than once.`)
    checkReplicas(broker, partitionIndex, brokerIds, wish.assignments[0]!.brokerIds.length)
    // Checked before it becomes an array index: a client could ask for a very long array.
    if (partitionIndex < 0 || partitionIndex >= wish.assignments.length) {
      throw badAssignment('The assigned partitions must be numbered from 0 without gaps.')
    }
    assignments[partitionIndex] = brokerIds
  }
  return assignments
}

function checkReplicas(broker: BrokerFacade, index: number, brokerIds: readonly number[], factor: number): void {
  if (brokerIds.length === 0) throw badAssignment(`Partition ${index} has an empty replica list.`)
  if (new Set(brokerIds).size < brokerIds.length) throw badAssignment(`Partition ${index} names a broker twice.`)
  const unknown = brokerIds.find((id) => !broker.image.brokers.has(id))
  if (unknown !== undefined) throw badAssignment(`Partition ${index} names broker ${unknown}, which is not registered.`)
  if (brokerIds.length !== factor) {
    throw badAssignment(`Partition ${index} has ${brokerIds.length} replicas, others have ${factor}.`)
  }
}

function badAssignment(message: string): TopicRefusal {
  return new TopicRefusal(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
}

function assign(broker: BrokerFacade, wish: TopicWish): readonly (readonly number[])[] {
  const { numPartitions, defaultReplicationFactor } = broker.settings
  if (wish.replicationFactor === 0 || wish.replicationFactor < -1) {
    const message = 'The replication factor must be larger than 0, or -1.'
    throw new TopicRefusal(ErrorCode.INVALID_REPLICATION_FACTOR, message)
  }
  if (wish.numPartitions === 0 || wish.numPartitions < -1) {
    throw new TopicRefusal(ErrorCode.INVALID_PARTITIONS, 'The number of partitions must be larger than 0, or -1.')
  }
  const replicas = wish.replicationFactor === -1 ? defaultReplicationFactor : wish.replicationFactor
  const count = wish.numPartitions === -1 ? numPartitions : wish.numPartitions
  return place(broker, count, replicas)
}

function place(broker: BrokerFacade, count: number, replicationFactor: number): readonly (readonly number[])[] {
  const registered = [...broker.image.brokers.values()]
  const staying = registered.filter(({ leaving }) => leaving !== true)
  const usable = staying.length >= replicationFactor ? staying : registered
  if (replicationFactor > usable.length) {
    const brokers = usable.length === 1 ? '1 broker is' : `${usable.length} brokers are`
    const message = `Replication factor ${replicationFactor} cannot be reached: ${brokers} registered.`
    throw new TopicRefusal(ErrorCode.INVALID_REPLICATION_FACTOR, message)
  }
  if (count > PARTITIONS_PER_REQUEST_MAX) throw tooManyPartitions()
  const loads = replicaCounts(broker)
  return assignReplicas({
    brokers: usable.map(({ id, rack }) => ({ id, rack, replicas: loads.get(id) ?? 0 })),
    partitions: count,
    replicationFactor,
    chance: () => broker.random.fraction(),
  })
}

export function tooManyPartitions(): TopicRefusal {
  const message = `More than ${PARTITIONS_PER_REQUEST_MAX} partitions in one request.`
  return new TopicRefusal(ErrorCode.POLICY_VIOLATION, message)
}

/** Counted once for the many topics of a request. */
const counted = new WeakMap<ClusterImage, { readonly revision: number; readonly counts: ReadonlyMap<number, number> }>()

function replicaCounts({ image }: BrokerFacade): ReadonlyMap<number, number> {
  const known = counted.get(image)
  if (known?.revision === image.revision) return known.counts
  const counts = new Map<number, number>()
  for (const { partitions } of image.topics()) {
    for (const { replicas } of partitions) for (const id of replicas) counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  counted.set(image, { revision: image.revision, counts })
  return counts
}

export interface PartitionsWish {
  readonly name: string
  /** How many there are to be in all. */
  readonly count: number
  readonly assignments: readonly { readonly brokerIds: readonly number[] }[] | null
}

export interface PartitionsPlan {
  readonly topic: TopicState
  /** Of the new ones. */
  readonly assignments: readonly (readonly number[])[]
}

/** The replicas of partitions that are added to a topic. Throws {@link TopicRefusal}. */
export function planPartitions(broker: BrokerFacade, wish: PartitionsWish): PartitionsPlan {
  const topic = broker.image.topic(wish.name)
  if (!topic) throw new TopicRefusal(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 'There is no such topic.')
  const there = topic.partitions.length
  const added = wish.count - there
  if (added <= 0) {
    const message = `The topic has ${there} partitions; only more than that can be asked for.`
    throw new TopicRefusal(ErrorCode.INVALID_PARTITIONS, message)
  }
  if (wish.assignments === null) return { topic, assignments: place(broker, added, topic.replicationFactor) }
  if (wish.assignments.length !== added) {
    throw badAssignment(`${added} partitions are added, but ${wish.assignments.length} are assigned.`)
  }
  wish.assignments.forEach(({ brokerIds }, i) => {
    checkReplicas(broker, there + i, brokerIds, topic.replicationFactor)
  })
  return { topic, assignments: wish.assignments.map(({ brokerIds }) => brokerIds) }
}
