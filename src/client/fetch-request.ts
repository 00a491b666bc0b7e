/** The partitions of one Fetch request, and which of them an answer speaks of. */
import { type FetchRequest, type FetchResponse, type Input, ZERO_UUID } from '../protocol/index.ts'
import type { AssignedPartition } from './assignment.ts'
import type { ClusterMetadata } from './cluster-metadata.ts'
import type { ConsumerSettings } from './settings.ts'

/** The last without a high watermark of the asker, and the last that has topics by name. */
const VERSION_MAX = 17
const NAMES_VERSION_MAX = 12
/** No fetch session (KIP-227): every request names all its partitions. */
const SESSIONLESS_EPOCH = -1

/** One partition, as it was when it was asked for. */
export interface Asked {
  readonly state: AssignedPartition
  readonly topicId: string
  readonly leaderEpoch: number
  readonly seekEpoch: number
  readonly fetchOffset: number
}

type TopicAnswer = FetchResponse['responses'][number]
type Question = Input<FetchRequest['topics'][number]['partitions'][number]>

export class FetchQuestions {
  readonly asked: readonly Asked[]
  #guess = 0

  constructor(states: readonly AssignedPartition[], metadata: ClusterMetadata) {
    this.asked = states.map((state) => ({
      state,
      topicId: metadata.topic(state.topic)?.id ?? ZERO_UUID,
      leaderEpoch: metadata.partition(state.topic, state.partition)?.leaderEpoch ?? -1,
      seekEpoch: state.seekEpoch,
      fetchOffset: state.fetchOffset,
    }))
  }

  /** The highest version to ask in: topics go by name when one of them has no id. */
  get maxVersion(): number {
    return this.asked.some(({ topicId }) => topicId === ZERO_UUID) ? NAMES_VERSION_MAX : VERSION_MAX
  }

  body(settings: ConsumerSettings): Input<FetchRequest> {
    const topics = new Map<string, { topic: string; topicId: string; partitions: Question[] }>()
    for (const { state, topicId, leaderEpoch, fetchOffset } of this.asked) {
      const { topic, partition } = state
      let entry = topics.get(topic)
      if (entry === undefined) {
        entry = { topic, topicId, partitions: [] }
        topics.set(topic, entry)
      }
      const partitionMaxBytes = settings.maxPartitionFetchBytes
      entry.partitions.push({ partition, currentLeaderEpoch: leaderEpoch, fetchOffset, partitionMaxBytes })
    }
    return {
      maxWaitMs: settings.fetchMaxWaitMs,
      minBytes: settings.fetchMinBytes,
      maxBytes: settings.fetchMaxBytes,
      isolationLevel: settings.isolation === 'read_committed' ? 1 : 0,
      sessionId: 0,
      sessionEpoch: SESSIONLESS_EPOCH,
      topics: [...topics.values()],
      forgottenTopicsData: [],
      rackId: '',
    }
  }

  /** What was asked for that the answer's partition belongs to. */
  of({ topic, topicId }: TopicAnswer, partition: number, version: number): Asked | undefined {
    const isMeant = (asked: Asked): boolean =>
      asked.state.partition === partition &&
      (version > NAMES_VERSION_MAX ? asked.topicId === topicId : asked.state.topic === topic)
    // Brokers answer in the order of the request, so the guess is nearly always right.
    const guessed = this.asked[this.#guess++]
    return guessed !== undefined && isMeant(guessed) ? guessed : this.asked.find(isMeant)
  }
}
