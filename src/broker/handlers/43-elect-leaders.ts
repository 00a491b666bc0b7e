/**
 * ElectLeaders, versions 0 - 2: served by the controller, which Metadata names; any other broker answers NOT_CONTROLLER.
 * Type 0 gives leadership to the first replica where it is in sync, type 1 to any live one where there is no leader. For
 * all partitions (null) those that need no election are left out of the answer, as in Kafka.
 */
import { ErrorCode } from '../../base/index.ts'
import { ElectLeaders, type ElectLeadersRequest, type ElectLeadersResponse, type Input } from '../../protocol/index.ts'
import type { ElectionTarget } from '../../replication/index.ts'
import type { BrokerFacade } from '../facade.ts'
import { handler } from '../handler.ts'

const PREFERRED = 0
const UNCLEAN = 1

type Results = Input<ElectLeadersResponse['replicaElectionResults']>

const messages = new Map<number, string>([
  [ErrorCode.ELECTION_NOT_NEEDED, 'The partition has the wanted leader already.'],
  [ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE, 'The first replica is not alive or not in sync.'],
  [ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, 'No replica is alive.'],
  [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 'There is no such partition.'],
  [ErrorCode.NOT_CONTROLLER, 'This broker is not the controller.'],
  [ErrorCode.REQUEST_TIMED_OUT, 'The partition changed meanwhile; ask again.'],
])

export const electLeaders = handler({
  api: ElectLeaders,
  async handle({ body, version }, _session, broker) {
    const { electionType, topicPartitions } = body
    const targets = targetsOf(broker, topicPartitions)
    const kind = electionType === UNCLEAN ? 'unclean' : 'preferred'
    const refusal = refusalOf(broker, electionType)
    // Version 0 has no error for the whole answer.
    if (refusal !== ErrorCode.NONE && version > 0) return { errorCode: refusal, replicaElectionResults: [] }
    const codes = refusal === ErrorCode.NONE ? await elect(broker, kind, targets) : targets.map(() => refusal)
    return { errorCode: ErrorCode.NONE, replicaElectionResults: results(targets, codes, topicPartitions === null) }
  },
})

function refusalOf(broker: BrokerFacade, electionType: number): number {
  if (!broker.membership.controller.isActive) return ErrorCode.NOT_CONTROLLER
  return electionType === PREFERRED || electionType === UNCLEAN ? ErrorCode.NONE : ErrorCode.INVALID_REQUEST
}

function targetsOf(broker: BrokerFacade, asked: ElectLeadersRequest['topicPartitions']): ElectionTarget[] {
  if (asked === null) {
    return broker.image
      .topics()
      .flatMap(({ name, partitions }) => partitions.map(({ index }) => ({ topic: name, index })))
  }
  // Named twice, by itself or with its topic, a partition is asked for once.
  const indexes = new Map<string, Set<number>>()
  for (const { topic, partitions } of asked) {
    const known = indexes.get(topic) ?? new Set()
    indexes.set(topic, known)
    for (const index of partitions) known.add(index)
  }
  return [...indexes].flatMap(([topic, its]) => [...its].map((index) => ({ topic, index })))
}

async function elect(
  broker: BrokerFacade,
  kind: 'preferred' | 'unclean',
  targets: readonly ElectionTarget[],
): Promise<number[]> {
  try {
    return await broker.membership.controller.elect(kind, targets)
  } catch (error) {
    broker.logger.error({ error }, 'an election on request failed')
    return targets.map(() => ErrorCode.REQUEST_TIMED_OUT)
  }
}

function results(targets: readonly ElectionTarget[], codes: readonly number[], all: boolean): Results {
  const byTopic = new Map<string, { partitionId: number; errorCode: number; errorMessage: string | null }[]>()
  targets.forEach(({ topic, index: partitionId }, i) => {
    const errorCode = codes[i]!
    if (all && errorCode === ErrorCode.ELECTION_NOT_NEEDED) return
    const result = { partitionId, errorCode, errorMessage: messages.get(errorCode) ?? null }
    const known = byTopic.get(topic)
    if (known) known.push(result)
    else byTopic.set(topic, [result])
  })
  return [...byTopic].map(([topic, partitionResult]) => ({ topic, partitionResult }))
}
