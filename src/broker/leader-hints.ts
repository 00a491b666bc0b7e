/** Where else to go: what an answer says of the leader when this broker is not it (KIP-951). */
import { ErrorCode } from '../base/index.ts'
import type { BrokerFacade } from './facade.ts'

export interface NodeEndpoint {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

export interface LeaderHint {
  readonly leaderId: number
  readonly leaderEpoch: number
}

export class LeaderHints {
  readonly #broker: BrokerFacade
  readonly #nodes = new Map<number, NodeEndpoint>()

  constructor(broker: BrokerFacade) {
    this.#broker = broker
  }

  /** Of the leaders that were named, for the end of the answer. */
  get nodeEndpoints(): NodeEndpoint[] {
    return [...this.#nodes.values()]
  }

  /** Of the topic by name, else by id. Undefined for errors that are not about leadership, and where no leader is known. */
  hint(errorCode: number, topic: string, topicId: string, index: number): LeaderHint | undefined {
    if (errorCode !== ErrorCode.NOT_LEADER_OR_FOLLOWER && errorCode !== ErrorCode.FENCED_LEADER_EPOCH) return undefined
    const { image } = this.#broker
    const state = image.partition(image.topic(topic)?.id ?? topicId, index)
    if (state === undefined || state.leader < 0) return undefined
    const { leader: leaderId, leaderEpoch } = state
    const broker = image.brokers.get(leaderId)
    if (broker !== undefined) {
      const { host, port, rack } = broker
      this.#nodes.set(leaderId, { nodeId: leaderId, host, port, rack: rack || null })
    }
    return { leaderId, leaderEpoch }
  }
}

/** Why this broker has no such partition. */
export function missingPartition(broker: BrokerFacade, topic: string, topicId: string, index: number): number {
  const { image, nodeId } = broker
  const byId = topic === ''
  const state = byId ? image.topicById(topicId) : image.topic(topic)
  if (!state) return byId ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  const partition = image.partition(state.id, index)
  if (!partition) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  const isBroken = partition.leader === nodeId && broker.partitions.hasFailed(state.id, index)
  return isBroken ? ErrorCode.KAFKA_STORAGE_ERROR : ErrorCode.NOT_LEADER_OR_FOLLOWER
}
