/**
 * Metadata, versions 0 - 13. All topics are asked for by null, in version 0 by an empty list. A topic that is unknown is
 * created where the client and `auto.create.topics.enable` allow it, and is answered complete: unlike Kafka we need no
 * second request. Ids look topics up from version 12 on; in 10 and 11 they (and null names) are refused with
 * INVALID_REQUEST. Without an authorizer everything is allowed, and said so when asked for.
 */
import { ErrorCode } from '../../base/index.ts'
import type { TopicState } from '../../metadata/index.ts'
import { type Input, Metadata, type MetadataRequest, type MetadataResponse, ZERO_UUID } from '../../protocol/index.ts'
import { CLUSTER_OPERATIONS, controllerOf, describedBrokers, NOT_ASKED } from '../described-brokers.ts'
import type { BrokerFacade } from '../facade.ts'
import { handler } from '../handler.ts'
import { isInternalTopic, topicNameFault } from '../topic-name.ts'
import { planTopic, TopicRefusal } from '../topic-plan.ts'

type TopicAnswer = Input<MetadataResponse['topics'][number]>
type TopicRequest = NonNullable<MetadataRequest['topics']>[number]

/** Bits of Kafka's AclOperation: what may be asked of a topic. */
const TOPIC_OPERATIONS = 0b1101_1111_1000

export const metadata = handler({
  api: Metadata,
  async handle(request, _session, broker) {
    const { body, version } = request
    const operations = body.includeTopicAuthorizedOperations ? TOPIC_OPERATIONS : NOT_ASKED
    // Looked at after a topic may have been created, so that all of the answer is of one time.
    const topics = await answers(broker, body, version)
    return {
      brokers: describedBrokers(broker).map(({ id: nodeId, host, port, rack }) => ({ nodeId, host, port, rack })),
      clusterId: broker.clusterId,
      controllerId: controllerOf(broker),
      topics: topics.map((topic) => ({ ...topic, topicAuthorizedOperations: operations })),
      clusterAuthorizedOperations: body.includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : NOT_ASKED,
    }
  },
})

async function answers(broker: BrokerFacade, body: MetadataRequest, version: number): Promise<TopicAnswer[]> {
  const { topics } = body
  if (topics === null || (version === 0 && topics.length === 0))
    return broker.image.topics().map((topic) => known(broker, topic))
  const idsUsed = topics.some(({ name, topicId }) => name === null || topicId !== ZERO_UUID)
  if (version < 12 && idsUsed) {
    return topics.map(({ name, topicId }) => ({ errorCode: ErrorCode.INVALID_REQUEST, name: name ?? '', topicId }))
  }
  const mayCreate = broker.settings.autoCreateTopicsEnable && body.allowAutoTopicCreation
  return await Promise.all(topics.map((topic) => answer(broker, topic, mayCreate)))
}

async function answer(broker: BrokerFacade, { name, topicId }: TopicRequest, mayCreate: boolean): Promise<TopicAnswer> {
  if (topicId !== ZERO_UUID) {
    const topic = broker.image.topicById(topicId)
    return topic ? known(broker, topic) : { errorCode: ErrorCode.UNKNOWN_TOPIC_ID, name: null, topicId }
  }
  if (name === null) return { errorCode: ErrorCode.INVALID_REQUEST, name }
  const topic = broker.image.topic(name)
  if (topic) return known(broker, topic)
  if (topicNameFault(name) !== undefined) return { errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION, name }
  if (!mayCreate) return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name }
  return await create(broker, name)
}

async function create(broker: BrokerFacade, name: string): Promise<TopicAnswer> {
  try {
    const plan = planTopic(broker, { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] })
    const created = await broker.topics.create(plan)
    if (created) {
      broker.counters.topicsCreated++
      broker.logger.info({ topic: name, topicId: created.id, partitions: created.partitions.length }, 'created a topic')
    }
  } catch (error) {
    if (error instanceof TopicRefusal) return { errorCode: error.errorCode, name }
    broker.logger.error({ topic: name, error }, 'a topic could not be created')
    return { errorCode: ErrorCode.LEADER_NOT_AVAILABLE, name }
  }
  const topic = broker.image.topic(name)
  return topic ? known(broker, topic) : { errorCode: ErrorCode.LEADER_NOT_AVAILABLE, name }
}

function known(broker: BrokerFacade, topic: TopicState): TopicAnswer {
  return {
    errorCode: ErrorCode.NONE,
    name: topic.name,
    topicId: topic.id,
    isInternal: isInternalTopic(topic.name),
    partitions: topic.partitions.map((state) => {
      const isOnline = (id: number): boolean =>
        broker.image.brokers.has(id) &&
        // Our own log may have failed; those of others we only hear of when they leave the ISR.
        (id !== broker.nodeId || broker.partitions.find(topic.name, state.index) !== undefined)
      const led = isOnline(state.leader)
      return {
        errorCode: led ? ErrorCode.NONE : ErrorCode.LEADER_NOT_AVAILABLE,
        partitionIndex: state.index,
        leaderId: led ? state.leader : -1,
        leaderEpoch: state.leaderEpoch,
        replicaNodes: state.replicas,
        isrNodes: state.isr,
        offlineReplicas: state.replicas.filter((id) => !isOnline(id)),
      }
    }),
  }
}
