/**
 * DeleteTopics, versions 1 - 6; by name, and from version 6 on by name or id. The answer comes when the logs are out of
 * the way, so that a topic of the same name can be created at once. A topic asked for twice is refused (42); with
 * `delete.topic.enable=false` all are (73, before version 3: 42).
 */
import { ErrorCode } from '../../base/index.ts'
import type { TopicState } from '../../metadata/index.ts'
import {
  DeleteTopics,
  type DeleteTopicsRequest,
  type DeleteTopicsResponse,
  type Input,
  ZERO_UUID,
} from '../../protocol/index.ts'
import type { BrokerFacade } from '../facade.ts'
import { handler } from '../handler.ts'

type TopicAnswer = Input<DeleteTopicsResponse['responses'][number]>
type Asked = DeleteTopicsRequest['topics'][number]

export const deleteTopics = handler({
  api: DeleteTopics,
  async handle({ body, version }, _session, broker) {
    const asked: readonly Asked[] =
      version >= 6 ? body.topics : body.topicNames.map((name) => ({ name, topicId: ZERO_UUID }))
    const disabled = broker.settings.deleteTopicEnable
      ? undefined
      : version < 3
        ? ErrorCode.INVALID_REQUEST
        : ErrorCode.TOPIC_DELETION_DISABLED
    const times = new Map<string, number>()
    for (const topic of asked) {
      // One that gives both is refused for itself, and says nothing about the others.
      if (topic.name !== null && topic.topicId !== ZERO_UUID) continue
      const name = resolve(broker, topic)?.name ?? topic.name
      if (name !== null) times.set(name, (times.get(name) ?? 0) + 1)
    }
    const responses = await Promise.all(
      asked.map((topic): TopicAnswer | Promise<TopicAnswer> => {
        if (disabled !== undefined)
          return { ...topic, errorCode: disabled, errorMessage: 'Topic deletion is disabled.' }
        const found = resolve(broker, topic)
        const twice = (times.get(found?.name ?? topic.name ?? '') ?? 0) > 1
        return refusalOf(topic, found, twice) ?? remove(broker, found!)
      }),
    )
    return { responses }
  },
})

function resolve(broker: BrokerFacade, { name, topicId }: Asked): TopicState | undefined {
  if (name !== null) return topicId === ZERO_UUID ? broker.image.topic(name) : undefined
  return topicId === ZERO_UUID ? undefined : broker.image.topicById(topicId)
}

function refusalOf({ name, topicId }: Asked, found: TopicState | undefined, twice: boolean): TopicAnswer | undefined {
  const refuse = (errorCode: number, errorMessage: string | null): TopicAnswer => ({
    name,
    topicId,
    errorCode,
    errorMessage,
  })
  if (name === null && topicId === ZERO_UUID)
    return refuse(ErrorCode.INVALID_REQUEST, 'Neither topic name nor id was given.')
  if (name !== null && topicId !== ZERO_UUID)
    return refuse(ErrorCode.INVALID_REQUEST, 'Both topic name and id were given.')
  if (twice) return refuse(ErrorCode.INVALID_REQUEST, 'The topic is named more than once.')
  if (found) return undefined
  return refuse(name === null ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, null)
}

async function remove(broker: BrokerFacade, topic: TopicState): Promise<TopicAnswer> {
  const { name, id: topicId } = topic
  try {
    if (!(await broker.topics.delete(topic))) return { name, topicId, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
    broker.counters.topicsDeleted++
    broker.logger.info({ topic: name, topicId }, 'deleted a topic')
    return { name, topicId, errorCode: ErrorCode.NONE }
  } catch (error) {
    broker.logger.error({ topic: name, error }, 'a topic could not be deleted')
    return {
      name,
      topicId,
      errorCode: ErrorCode.KAFKA_STORAGE_ERROR,
      errorMessage: 'The metadata could not be written.',
    }
  }
}
