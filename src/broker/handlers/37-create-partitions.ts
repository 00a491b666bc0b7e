/**
 * CreatePartitions, versions 0 - 3. The new partitions get replicas as a new topic's would, or those that the request
 * names. A topic named twice is refused (42); fewer partitions than there are, or as many, is error 37; when a request adds
 * more than 10,000 in all, everything that it adds is refused (44).
 */
import { ErrorCode } from '../../base/index.ts'
import {
  CreatePartitions,
  type CreatePartitionsRequest,
  type CreatePartitionsResponse,
  type Input,
} from '../../protocol/index.ts'
import type { BrokerFacade } from '../facade.ts'
import { handler } from '../handler.ts'
import {
  PARTITIONS_PER_REQUEST_MAX,
  type PartitionsPlan,
  planPartitions,
  TopicRefusal,
  tooManyPartitions,
} from '../topic-plan.ts'

type Wish = CreatePartitionsRequest['topics'][number]
type Result = Input<CreatePartitionsResponse['results'][number]>

export const createPartitions = handler({
  api: CreatePartitions,
  async handle({ body }, _session, broker) {
    const counts = new Map<string, number>()
    for (const { name } of body.topics) counts.set(name, (counts.get(name) ?? 0) + 1)
    const planned = new Map<string, PartitionsPlan | TopicRefusal>()
    let added = 0
    for (const wish of body.topics) {
      // Once there are too many the rest is not looked at: each plan takes time in which nothing else is served.
      const isExcess = added > PARTITIONS_PER_REQUEST_MAX
      const plan = isExcess ? tooManyPartitions() : plannedOrRefused(broker, wish, counts.get(wish.name)!)
      if (!(plan instanceof TopicRefusal)) added += plan.assignments.length
      planned.set(wish.name, plan)
    }
    const results = [...planned].map(([name, plan]): Promise<Result> | Result => {
      if (plan instanceof TopicRefusal) return refusal(name, plan)
      if (added > PARTITIONS_PER_REQUEST_MAX) return refusal(name, tooManyPartitions())
      return body.validateOnly ? { name, errorCode: ErrorCode.NONE, errorMessage: null } : create(broker, name, plan)
    })
    return { results: await Promise.all(results) }
  },
})

function plannedOrRefused(broker: BrokerFacade, wish: Wish, count: number): PartitionsPlan | TopicRefusal {
  if (count > 1) return new TopicRefusal(ErrorCode.INVALID_REQUEST, 'Duplicate topic name.')
  try {
    return planPartitions(broker, wish)
  } catch (error) {
    if (error instanceof TopicRefusal) return error
    throw error
  }
}

async function create(broker: BrokerFacade, name: string, { topic, assignments }: PartitionsPlan): Promise<Result> {
  try {
    if (!(await broker.topics.addPartitions(topic, assignments))) {
      const errorMessage = 'The topic was changed meanwhile; ask again.'
      return { name, errorCode: ErrorCode.REQUEST_TIMED_OUT, errorMessage }
    }
    return { name, errorCode: ErrorCode.NONE, errorMessage: null }
  } catch (error) {
    broker.logger.error({ topic: name, error }, 'partitions could not be added')
    return { name, errorCode: ErrorCode.KAFKA_STORAGE_ERROR, errorMessage: 'The partitions could not be created.' }
  }
}

function refusal(name: string, { errorCode, message }: TopicRefusal): Result {
  return { name, errorCode, errorMessage: message }
}
