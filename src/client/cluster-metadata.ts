/**
 * What the client knows of the cluster: nodes, and of each topic it was asked for the partitions with their leaders.
 * Filled by Metadata answers, and by brokers that say who leads instead of them (KIP-951). The newest leader epoch wins: an
 * answer of a broker that lags behind does not take a leader back.
 */
import { ErrorCode, errorOf, PagelogError } from '../base/index.ts'
import { type MetadataResponse, ZERO_UUID } from '../protocol/index.ts'

export interface NodeInfo {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

export interface PartitionInfo {
  readonly partition: number
  /** -1: none at present. */
  readonly leaderId: number
  /** -1: the broker is too old to say. */
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
}

export interface TopicInfo {
  readonly name: string
  /** base64url UUID, all zero when the broker is too old to say. */
  readonly id: string
  readonly isInternal: boolean
  /** By partition index. */
  readonly partitions: readonly PartitionInfo[]
}

type TopicAnswer = MetadataResponse['topics'][number]

/** Who leads a partition, as the broker says that was taken for its leader. */
export interface LeaderHint {
  readonly topic: string
  readonly partition: number
  readonly leaderId: number
  readonly leaderEpoch: number
}

/** Where leaders are that were named. */
export interface NodeEndpoint {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** The partitions of one Metadata answer, by index; one that is missing in it has no leader. */
export function topicInfoOf(answer: TopicAnswer): TopicInfo {
  const count = answer.partitions.reduce((most, { partitionIndex }) => Math.max(most, partitionIndex + 1), 0)
  if (count > answer.partitions.length * 2 + 1) {
    throw new PagelogError('PAGELOG_PROTOCOL', `metadata of topic ${answer.name}: partition index ${count - 1}`)
  }
  const partitions: PartitionInfo[] = Array.from({ length: count }, (_, partition) => ({
    partition,
    leaderId: -1,
    leaderEpoch: -1,
    replicas: [],
    isr: [],
  }))
  for (const { partitionIndex, errorCode, leaderId, leaderEpoch, replicaNodes, isrNodes } of answer.partitions) {
    if (partitionIndex < 0) continue
    partitions[partitionIndex] = {
      partition: partitionIndex,
      leaderId: errorCode === ErrorCode.LEADER_NOT_AVAILABLE ? -1 : leaderId,
      leaderEpoch,
      replicas: replicaNodes,
      isr: isrNodes,
    }
  }
  return { name: answer.name ?? '', id: answer.topicId, isInternal: answer.isInternal, partitions }
}

export class ClusterMetadata {
  readonly #nodes = new Map<number, NodeInfo>()
  readonly #topics = new Map<string, TopicInfo>()
  readonly #names = new Map<string, string>()
  readonly #errors = new Map<string, PagelogError>()
  clusterId: string | null = null
  controllerId = -1

  get nodes(): ReadonlyMap<number, NodeInfo> {
    return this.#nodes
  }
  topic(name: string): TopicInfo | undefined {
    return this.#topics.get(name)
  }
  /** Name of a topic by its id. */
  nameOf(topicId: string): string | undefined {
    return this.#names.get(topicId)
  }
  /** Why the topic cannot be had, from the last answer that named it. */
  errorOf(name: string): PagelogError | undefined {
    return this.#errors.get(name)
  }
  /** The leader and its epoch; undefined when not known. */
  partition(topic: string, partition: number): PartitionInfo | undefined {
    return this.#topics.get(topic)?.partitions[partition]
  }

  /** Takes an answer in. Returns whether each topic in it has an existing leader for every partition. */
  update(answer: MetadataResponse): boolean {
    if (answer.brokers.length > 0) {
      this.#nodes.clear()
      for (const { nodeId, host, port, rack } of answer.brokers)
        this.#nodes.set(nodeId, { id: nodeId, host, port, rack })
    }
    this.clusterId = answer.clusterId
    this.controllerId = answer.controllerId
    let complete = true
    for (const topic of answer.topics) {
      if (topic.name !== null && !this.#updateTopic(topic.name, topic)) complete = false
    }
    return complete
  }

  /**
   * Takes over who leads, if that is news and the leader's address is known, here or in `endpoints`. Returns whether it
   * was.
   */
  learnLeader(hint: LeaderHint, endpoints: readonly NodeEndpoint[]): boolean {
    const { leaderId, leaderEpoch, partition } = hint
    const topic = this.#topics.get(hint.topic)
    const known = topic?.partitions[partition]
    if (topic === undefined || known === undefined || leaderId < 0 || leaderEpoch <= known.leaderEpoch) return false
    const endpoint = endpoints.find(({ nodeId }) => nodeId === leaderId)
    if (endpoint !== undefined) {
      const { host, port, rack } = endpoint
      this.#nodes.set(leaderId, { id: leaderId, host, port, rack })
    } else if (!this.#nodes.has(leaderId)) return false
    const partitions = topic.partitions.with(partition, { ...known, leaderId, leaderEpoch })
    this.#topics.set(hint.topic, { ...topic, partitions })
    return true
  }

  /** Nothing is known any more. */
  forget(): void {
    this.#nodes.clear()
    this.#topics.clear()
    this.#names.clear()
    this.#errors.clear()
    this.controllerId = -1
  }

  #updateTopic(name: string, answer: TopicAnswer): boolean {
    if (answer.errorCode !== ErrorCode.NONE) {
      const { name: errorName, retriable } = errorOf(answer.errorCode)
      const text = `topic ${name}: ${errorName}`
      this.#errors.set(name, new PagelogError('PAGELOG_BROKER', text, { kafkaCode: answer.errorCode, retriable }))
      // Partitions known so far stay: a broker that lags behind may not know the topic yet.
      return !retriable
    }
    this.#errors.delete(name)
    const info = topicInfoOf(answer)
    const known = this.#topics.get(name)
    const partitions = info.partitions.map((fresh) => {
      const old = known !== undefined && known.id === info.id ? known.partitions[fresh.partition] : undefined
      return old !== undefined && old.leaderEpoch > fresh.leaderEpoch && fresh.leaderEpoch !== -1 ? old : fresh
    })
    this.#topics.set(name, { ...info, partitions })
    if (known !== undefined && known.id !== info.id) this.#names.delete(known.id)
    if (info.id !== ZERO_UUID) this.#names.set(info.id, name)
    return partitions.length > 0 && partitions.every(({ leaderId }) => this.#nodes.has(leaderId))
  }
}
