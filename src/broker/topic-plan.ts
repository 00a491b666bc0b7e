/** What a client asks of a new topic, checked in Kafka's order and turned into replicas per partition. */
import { ErrorCode, hasCode, hint } from '../base/index.ts'
import type { BrokerFacade } from './facade.ts'
import { topicNameFault } from './topic-name.ts'
import { parseTopicSetting, pendingTopicSettings, topicSettingKey, topicSettingNames } from './topic-settings.ts'
import type { TopicPlan } from './topics.ts'

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
  if (broker.image.topic(name)) {
    throw new TopicRefusal(ErrorCode.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`)
  }
  const other = broker.topics.collidingTopic(name)
  if (other !== undefined) {
    const message = `Topic '${name}' collides with existing topic: ${other}`
    throw new TopicRefusal(ErrorCode.INVALID_TOPIC_EXCEPTION, message)
  }
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
  const assignments: (readonly number[])[] = []
  const refuse = (message: string, code: number = ErrorCode.INVALID_REPLICA_ASSIGNMENT): TopicRefusal =>
    new TopicRefusal(code, message)
  if (wish.replicationFactor !== -1 || wish.numPartitions !== -1) {
    const message = 'With manual assignments the partition count and the replication factor must be -1.'
    throw refuse(message, ErrorCode.INVALID_REQUEST)
  }
  for (const { partitionIndex, brokerIds } of wish.assignments) {
    if (assignments[partitionIndex]) throw refuse(`Partition ${partitionIndex} is assigned more than once.`)
    if (brokerIds.length === 0) throw refuse(`Partition ${partitionIndex} has an empty replica list.`)
    if (new Set(brokerIds).size < brokerIds.length) throw refuse(`Partition ${partitionIndex} names a broker twice.`)
    const unknown = brokerIds.find((id) => id !== broker.nodeId)
    if (unknown !== undefined)
      throw refuse(`Partition ${partitionIndex} names broker ${unknown}, which is not registered.`)
    // Checked before it becomes an array index: a client could ask for a very long array.
    if (partitionIndex < 0 || partitionIndex >= wish.assignments.length) {
      throw refuse('The assigned partitions must be numbered from 0 without gaps.')
    }
    assignments[partitionIndex] = brokerIds
  }
  return assignments
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
  if (replicas > 1) {
    const message = `Replication factor ${replicas} cannot be reached: 1 broker is registered.`
    throw new TopicRefusal(ErrorCode.INVALID_REPLICATION_FACTOR, message)
  }
  const count = wish.numPartitions === -1 ? numPartitions : wish.numPartitions
  if (count > 10000) {
    throw new TopicRefusal(ErrorCode.POLICY_VIOLATION, 'More than 10000 partitions in one request.')
  }
  return Array.from({ length: count }, () => [broker.nodeId])
}
