/**
 * CreateTopics, versions 2 - 7. Partitions and replication factor -1 mean the broker's defaults, in every version.
 * Checked in Kafka's order: name (17), existing topic (36), settings (40), then either assignments (39, 42) or numbers
 * (37, 38). `validateOnly` stops there. A topic named twice is refused both times (42); more than 10,000 partitions in
 * one request are refused (44). The answer comes when every log is there; from version 5 on it lists the settings in force.
 */
import { ErrorCode } from '../../base/index.ts'
import {
  CreateTopics,
  type CreateTopicsRequest,
  type CreateTopicsResponse,
  type Input,
  ZERO_UUID,
} from '../../protocol/index.ts'
import { describeTopicSettings } from '../described-settings.ts'
import type { BrokerFacade } from '../facade.ts'
import { handler } from '../handler.ts'
import { CLUSTER_METADATA_TOPIC } from '../topic-name.ts'
import { nameRefusal, PARTITIONS_PER_REQUEST_MAX, planTopic, TopicRefusal, tooManyPartitions } from '../topic-plan.ts'
import type { TopicPlan } from '../topics.ts'

type TopicRequest = CreateTopicsRequest['topics'][number]
type TopicAnswer = Input<CreateTopicsResponse['topics'][number]>

export const createTopics = handler({
  api: CreateTopics,
  async handle({ body }, _session, broker) {
    const counts = new Map<string, number>()
    for (const { name } of body.topics) counts.set(name, (counts.get(name) ?? 0) + 1)
    const planned = new Map<string, TopicPlan | TopicRefusal>()
    const excess = tooManyPartitions()
    let partitions = 0
    for (const topic of body.topics) {
      // Once there are too many the rest is not looked at: each plan takes time in which nothing else is served.
      const isExcess = partitions > PARTITIONS_PER_REQUEST_MAX
      const plan = isExcess ? excess : plannedOrRefused(broker, topic, counts.get(topic.name)!)
      if (!(plan instanceof TopicRefusal)) partitions += plan.assignments.length
      planned.set(topic.name, plan)
    }
    const topics = await Promise.all(
      [...planned].map(([name, plan]) => {
        if (plan instanceof TopicRefusal) return refusal(name, plan)
        if (partitions > PARTITIONS_PER_REQUEST_MAX) return refusal(name, excess)
        return body.validateOnly ? accepted(broker, plan, ZERO_UUID) : create(broker, plan)
      }),
    )
    return { topics }
  },
})

function plannedOrRefused(broker: BrokerFacade, topic: TopicRequest, count: number): TopicPlan | TopicRefusal {
  if (count > 1) return new TopicRefusal(ErrorCode.INVALID_REQUEST, 'Duplicate topic name.')
  if (topic.name === CLUSTER_METADATA_TOPIC) {
    return new TopicRefusal(ErrorCode.INVALID_REQUEST, `Creation of internal topic ${topic.name} is prohibited.`)
  }
  try {
    return planTopic(broker, topic)
  } catch (error) {
    if (error instanceof TopicRefusal) return error
    throw error
  }
}

async function create(broker: BrokerFacade, plan: TopicPlan): Promise<TopicAnswer> {
  try {
    const topic = await broker.topics.create(plan)
    if (!topic) return refusal(plan.name, nameRefusal(broker, plan.name))
    broker.counters.topicsCreated++
    broker.logger.info({ topic: topic.name, topicId: topic.id, partitions: topic.partitions.length }, 'created a topic')
    return accepted(broker, plan, topic.id)
  } catch (error) {
    broker.logger.error({ topic: plan.name, error }, 'a topic could not be created')
    return refusal(plan.name, new TopicRefusal(ErrorCode.KAFKA_STORAGE_ERROR, 'The metadata could not be written.'))
  }
}

function accepted(broker: BrokerFacade, plan: TopicPlan, topicId: string): TopicAnswer {
  return {
    name: plan.name,
    topicId,
    errorCode: ErrorCode.NONE,
    numPartitions: plan.assignments.length,
    replicationFactor: plan.assignments[0]!.length,
    configs: describeTopicSettings(broker, plan.configs).map(({ name, value, readOnly, source, isSensitive }) => ({
      name,
      value,
      readOnly,
      configSource: source,
      isSensitive,
    })),
  }
}

function refusal(name: string, { errorCode, message }: TopicRefusal): TopicAnswer {
  return { name, errorCode, errorMessage: message }
}
