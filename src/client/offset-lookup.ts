/** Finds the offsets of named points and times: ListOffsets to each partition's leader, tried again with back-off. */
import { ErrorCode, errorOf, type Logger, PagelogError } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import { ListOffsets } from '../protocol/index.ts'
import { type AssignedPartition, WISH_END } from './assignment.ts'
import { backoffMs, waitOut } from './backoff.ts'
import type { ClusterConnections } from './cluster-connections.ts'
import { isRetriedByConsumers } from './retried-errors.ts'
import type { ConnectionSettings } from './settings.ts'

/** The highest that needs no time-out in the request. */
const LIST_OFFSETS_VERSION_MAX = 9
/** A consumer, not a replica. */
const CONSUMER = -1

export interface LookupOptions {
  readonly env: Pick<Env, 'clock' | 'random'>
  readonly cluster: ClusterConnections
  readonly settings: ConnectionSettings
  readonly isolationLevel: 0 | 1
  readonly logger: Logger
  /** Something was found, failed for good, or may be tried again: look again. */
  onChange(): void
}

export class OffsetLookup {
  readonly #options: LookupOptions

  constructor(options: LookupOptions) {
    this.#options = options
  }

  /** Starts looking up the wishes of those partitions that have one, a leader, and nothing under way. */
  start(states: Iterable<AssignedPartition>): void {
    const { cluster, env } = this.#options
    const nowMs = env.clock.monotonicMs()
    const byLeader = new Map<number, AssignedPartition[]>()
    for (const state of states) {
      if (state.wish === undefined || state.lookingUp || nowMs < state.notBeforeMs) continue
      const leaderId = cluster.metadata.partition(state.topic, state.partition)?.leaderId ?? -1
      if (leaderId === -1) {
        cluster.refresh()
        continue
      }
      state.lookingUp = true
      const states = byLeader.get(leaderId)
      if (states === undefined) byLeader.set(leaderId, [state])
      else states.push(state)
    }
    for (const [leaderId, wished] of byLeader) void this.#ask(leaderId, wished)
  }

  async #ask(leaderId: number, states: readonly AssignedPartition[]): Promise<void> {
    const { cluster, isolationLevel, logger } = this.#options
    const epochs = states.map(({ seekEpoch }) => seekEpoch)
    const open = new Set(states)
    try {
      const connection = await cluster.connect(leaderId)
      const version = connection.versionOf(ListOffsets, LIST_OFFSETS_VERSION_MAX)
      const topics = states.map(({ topic, partition, wish }) => {
        const currentLeaderEpoch = cluster.metadata.partition(topic, partition)?.leaderEpoch ?? -1
        const timestamp = wish?.timestamp ?? WISH_END.timestamp
        return { name: topic, partitions: [{ partitionIndex: partition, currentLeaderEpoch, timestamp }] }
      })
      const request = { replicaId: CONSUMER, isolationLevel, topics: merged(topics) }
      const { body, release } = await connection.ask(ListOffsets, request, { version })
      release()
      for (const { name, partitions } of body.topics) {
        for (const answer of partitions) {
          const at = states.findIndex((state) => state.topic === name && state.partition === answer.partitionIndex)
          const state = states[at]
          if (state === undefined || !open.delete(state)) continue
          state.lookingUp = false
          if (state.isCurrent(epochs[at]!)) this.#found(state, answer.errorCode, answer.offset)
        }
      }
    } catch (error) {
      logger.debug({ error, node: leaderId }, 'offsets could not be looked up')
      cluster.refresh()
    }
    for (const state of open) {
      state.lookingUp = false
      this.#tryAgain(state)
    }
    this.#options.onChange()
  }

  #found(state: AssignedPartition, errorCode: number, offset: number): void {
    if (errorCode !== ErrorCode.NONE) {
      if (isRetriedByConsumers(errorCode)) {
        this.#options.cluster.refresh()
        this.#tryAgain(state)
        return
      }
      const text = `${state.topic}-${state.partition}: ${errorOf(errorCode).name}`
      state.fault = new PagelogError('PAGELOG_BROKER', text, { kafkaCode: errorCode })
      state.wish = undefined
      return
    }
    // No record is that young: the end is where the next one will be.
    if (offset < 0) state.wish = WISH_END
    else {
      state.wish = undefined
      state.failures = 0
      state.position = offset
      state.fetchOffset = offset
    }
  }

  #tryAgain(state: AssignedPartition): void {
    const { settings, env } = this.#options
    const { retryBackoffMs, retryBackoffMaxMs } = settings
    const pauseMs = backoffMs(++state.failures, retryBackoffMs, retryBackoffMaxMs, env.random)
    state.notBeforeMs = waitOut(env.clock, pauseMs, () => this.#options.onChange())
  }
}

type TopicQuestion = {
  name: string
  partitions: { partitionIndex: number; currentLeaderEpoch: number; timestamp: number }[]
}

/** One entry per topic. */
function merged(questions: readonly TopicQuestion[]): TopicQuestion[] {
  const byName = new Map<string, TopicQuestion>()
  for (const question of questions) {
    const known = byName.get(question.name)
    if (known === undefined) byName.set(question.name, question)
    else known.partitions.push(...question.partitions)
  }
  return [...byName.values()]
}
