/**
 * Keeps batches coming: the next fetch is sent as soon as the last is answered, while fewer than
 * `pagelog.prefetch.bytes` of that broker's answers wait for the application. Partitions that brought data go to the end
 * of the next request, so that all get their turn.
 *
 * Brokers answer a connection in order, so behind a fetch that waits for new data nothing else is answered: there is
 * one such fetch per broker at most, for all partitions. Catching up is another matter: a fetch with a partition that is
 * known to have more is answered at once, so two of them, of half the partitions each, keep the broker sending while the
 * first answer is on its way.
 */
import { ErrorCode, errorOf, type Logger, PagelogError } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import type { AskingConnection } from '../net/index.ts'
import { Fetch, type FetchResponse } from '../protocol/index.ts'
import { type AssignedPartition, type Assignment, WISH_BEGINNING, WISH_END } from './assignment.ts'
import { backoffMs, waitOut } from './backoff.ts'
import type { BatchUnpacker } from './batch-unpacker.ts'
import type { ClusterConnections } from './cluster-connections.ts'
import type { LeaderHint } from './cluster-metadata.ts'
import { type Asked, FetchQuestions } from './fetch-request.ts'
import { FetchedPartition } from './fetched-partition.ts'
import { Fifo } from './fifo.ts'
import { PositionCheck } from './position-check.ts'
import { isRetriedByConsumers } from './retried-errors.ts'
import type { ConsumerSettings } from './settings.ts'

/** In flight per broker while catching up. */
const CATCH_UP_FETCHES = 2

export interface FetcherOptions {
  readonly env: Pick<Env, 'clock' | 'random'>
  readonly cluster: ClusterConnections
  readonly settings: ConsumerSettings
  readonly logger: Logger
  readonly assignment: Assignment
  readonly unpacker: BatchUnpacker
  /** Something came, or may be tried again. */
  onChange(): void
}

type TopicAnswer = FetchResponse['responses'][number]
type PartitionAnswer = TopicAnswer['partitions'][number]
type QuestionOf = (answer: TopicAnswer, partition: number) => Asked | undefined

interface Refused {
  readonly asked: Asked
  readonly answer: PartitionAnswer
}

/** First pause before a leader that does not know yet that it is one is asked again. */
const UNAWARE_PAUSE_MS = 5
const UNKNOWN_LEADER = { leaderId: -1, leaderEpoch: -1 }

class FetchNode {
  readonly id: number
  inFlight = 0
  /** One token for each. */
  readonly asking = new Set<object>()
  /** What is in flight may wait for new data. */
  mayWait = false
  /** Of answers, not yet handed out. */
  waitingBytes = 0
  failures = 0
  notBeforeMs = 0

  constructor(id: number) {
    this.id = id
  }
}

export class Fetcher {
  readonly #options: FetcherOptions
  readonly #nodes = new Map<number, FetchNode>()
  readonly #check: PositionCheck
  /** In order of arrival. */
  readonly fetched = new Fifo<FetchedPartition>()
  #closed = false

  constructor(options: FetcherOptions) {
    this.#options = options
    this.#check = new PositionCheck({ ...options, onOutOfRange: (state) => this.#reset(state) })
  }

  /** Sends what fetches can be sent now. */
  pump(): void {
    if (this.#closed) return
    const { assignment, cluster, env } = this.#options
    const nowMs = env.clock.monotonicMs()
    const byNode = new Map<FetchNode, AssignedPartition[]>()
    const toCheck = new Map<number, { state: AssignedPartition; leaderEpoch: number }[]>()
    for (const state of assignment) {
      if (!state.fetchable(nowMs)) continue
      const { leaderId, leaderEpoch } = cluster.metadata.partition(state.topic, state.partition) ?? UNKNOWN_LEADER
      if (leaderId === -1) {
        cluster.refresh()
        continue
      }
      const node = this.#nodeOf(leaderId)
      // Another one leads now: whoever was asked before may never answer.
      if (state.asked !== undefined && !node.asking.has(state.asked)) state.asked = undefined
      if (state.needsCheck(leaderEpoch)) put(toCheck, leaderId, { state, leaderEpoch })
      else put(byNode, node, state)
    }
    for (const [leaderId, states] of toCheck) this.#check.start(leaderId, states)
    for (const [node, states] of byNode) {
      if (nowMs >= node.notBeforeMs) this.#fill(node, states)
    }
  }

  /** Sends the fetches that this broker should have in flight; `states`: all of its partitions that can be fetched. */
  #fill(node: FetchNode, states: readonly AssignedPartition[]): void {
    const { prefetchBytes, fetchMinBytes } = this.#options.settings
    const half = Math.ceil(states.length / 2)
    while (node.waitingBytes < prefetchBytes && node.inFlight < CATCH_UP_FETCHES && !node.mayWait) {
      const free = states.filter((state) => state.asked === undefined)
      const behind = fetchMinBytes <= 1 ? free.find((state) => state.isBehind) : undefined
      if (behind === undefined) {
        if (node.inFlight === 0 && free.length > 0) void this.#fetch(node, free, true)
        return
      }
      const some = free.slice(0, half)
      if (!some.some((state) => state.isBehind)) some.push(behind)
      void this.#fetch(node, some, false)
    }
  }

  close(): void {
    this.#closed = true
    for (const fetched of this.fetched.drain()) fetched.finish()
  }

  #nodeOf(id: number): FetchNode {
    let node = this.#nodes.get(id)
    if (node === undefined) {
      node = new FetchNode(id)
      this.#nodes.set(id, node)
    }
    return node
  }

  async #fetch(node: FetchNode, states: readonly AssignedPartition[], mayWait: boolean): Promise<void> {
    const { cluster, logger } = this.#options
    const token = {}
    node.inFlight++
    node.asking.add(token)
    node.mayWait = mayWait
    for (const state of states) state.asked = token
    try {
      const connection = cluster.open(node.id) ?? (await cluster.connect(node.id))
      // Meanwhile the application may have sought elsewhere, or another broker may lead.
      const still = states.filter((state) => state.asked === token && state.fetchOffset >= 0)
      if (still.length > 0) await this.#ask(node, token, connection, still)
    } catch (error) {
      if (!this.#closed) {
        logger.debug({ node: node.id, error }, 'fetch failed')
        cluster.refresh()
        node.notBeforeMs = this.#pause(++node.failures)
      }
    }
    node.inFlight--
    node.asking.delete(token)
    node.mayWait = false
    for (const state of states) if (state.asked === token) state.asked = undefined
    if (this.#closed) return
    this.pump()
    this.#options.onChange()
  }

  async #ask(
    node: FetchNode,
    token: object,
    connection: AskingConnection,
    states: readonly AssignedPartition[],
  ): Promise<void> {
    const { cluster, settings } = this.#options
    const questions = new FetchQuestions(states, cluster.metadata)
    const version = connection.versionOf(Fetch, questions.maxVersion)
    // The broker may take fetch.max.wait.ms before it begins to answer.
    const timeoutMs = settings.requestTimeoutMs + settings.fetchMaxWaitMs
    const { body, release } = await connection.ask(Fetch, questions.body(settings), { version, timeoutMs })
    node.failures = 0
    if (body.errorCode !== ErrorCode.NONE) {
      release()
      const text = `fetch: ${errorOf(body.errorCode).name}`
      throw new PagelogError('PAGELOG_BROKER', text, { kafkaCode: body.errorCode })
    }
    this.#take(node, token, body, release, (answer, partition) => questions.of(answer, partition, version))
  }

  /** Queues the batches of an answer for the application; its bytes are given back when all are through. */
  #take(node: FetchNode, token: object, body: FetchResponse, release: () => void, questionOf: QuestionOf): void {
    let unfinished = 1
    const finished = (bytes: number): void => {
      node.waitingBytes -= bytes
      // Without reuseBuffers the application may keep views: then nothing is given back, it is collected in time.
      if (--unfinished === 0 && (this.#options.settings.reuseBuffers || taken === 0)) release()
    }
    let taken = 0
    const refused: Refused[] = []
    for (const topicAnswer of body.responses) {
      for (const answer of topicAnswer.partitions) {
        const asked = questionOf(topicAnswer, answer.partitionIndex)
        if (asked === undefined || asked.state.asked !== token || !asked.state.isCurrent(asked.seekEpoch)) continue
        if (answer.errorCode !== ErrorCode.NONE) {
          refused.push({ asked, answer })
          continue
        }
        const { state } = asked
        state.failures = 0
        state.highWatermark = answer.highWatermark
        const bytes = answer.records?.length ?? 0
        if (bytes === 0 || !this.#queue(asked, answer, () => finished(bytes))) continue
        taken += bytes
        node.waitingBytes += bytes
        unfinished++
      }
    }
    finished(0)
    if (refused.length > 0) this.#refuseAll(refused, body.nodeEndpoints)
  }

  /** Brokers that lead no more may say who does (KIP-951): then it is asked at once. */
  #refuseAll(refused: readonly Refused[], endpoints: FetchResponse['nodeEndpoints']): void {
    const { cluster } = this.#options
    const hints: LeaderHint[] = []
    for (const { asked, answer } of refused) {
      const { topic, partition } = asked.state
      if (answer.currentLeader.leaderId >= 0) hints.push({ topic, partition, ...answer.currentLeader })
    }
    if (hints.length > 0) cluster.learnLeaders(hints, endpoints)
    for (const { asked, answer } of refused) {
      const { state } = asked
      const leaderEpoch = cluster.metadata.partition(state.topic, state.partition)?.leaderEpoch ?? -1
      const isMoved = leaderEpoch > asked.leaderEpoch && MEANS_OLD_LEADER.has(answer.errorCode)
      if (isMoved) cluster.refresh()
      else if (state.isCurrent(asked.seekEpoch)) this.#refused(state, answer.errorCode)
    }
  }

  #queue({ state, leaderEpoch }: Asked, answer: PartitionAnswer, onFinished: () => void): boolean {
    const { settings, assignment, unpacker } = this.#options
    const committed = settings.isolation === 'read_committed'
    const fetched = new FetchedPartition(state, answer.records!, {
      checkCrcs: settings.checkCrcs,
      aborted: committed ? (answer.abortedTransactions ?? []) : null,
      highWatermark: committed ? answer.lastStableOffset : answer.highWatermark,
      unpacker,
      onFinished,
    })
    const endOffset = fetched.endOffset()
    if (endOffset <= state.fetchOffset) {
      const text = `${state.topic}-${state.partition} at offset ${state.fetchOffset}: the answer brings no whole batch`
      state.fault = new PagelogError('PAGELOG_PROTOCOL', text, { offset: state.fetchOffset })
      return false
    }
    state.fetchOffset = endOffset
    state.fetchEpoch = fetched.lastEpoch
    state.checkedEpoch = Math.max(leaderEpoch, fetched.lastEpoch)
    this.fetched.push(fetched)
    fetched.unpackAhead()
    assignment.served(state)
    return true
  }

  #refused(state: AssignedPartition, errorCode: number): void {
    const { cluster } = this.#options
    const { name } = errorOf(errorCode)
    const place = `${state.topic}-${state.partition}`
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
      // The log may begin later by now, or it was truncated: what was read tells which, if it can.
      if (state.fetchEpoch >= 0 && !state.outOfRange) {
        state.outOfRange = true
        cluster.refresh()
      } else this.#reset(state)
      return
    }
    if (isRetriedByConsumers(errorCode)) {
      cluster.refresh()
      // The leader hears of its election later than others.
      const isUnaware = errorCode === ErrorCode.UNKNOWN_LEADER_EPOCH
      this.#later(state, isUnaware ? UNAWARE_PAUSE_MS : undefined)
      return
    }
    state.fault = new PagelogError('PAGELOG_BROKER', `${place}: ${name}`, { kafkaCode: errorCode })
  }

  /** The log has nothing at the offset: auto.offset.reset says what is done then. */
  #reset(state: AssignedPartition): void {
    const { settings, logger } = this.#options
    const { topic, partition, fetchOffset: offset } = state
    logger.info({ topic, partition, offset }, 'offset is out of range')
    if (settings.autoOffsetReset === 'none') {
      const text = `${topic}-${partition}: offset ${offset} is out of range and auto.offset.reset is none`
      const kafkaCode = ErrorCode.OFFSET_OUT_OF_RANGE
      state.fault = new PagelogError('PAGELOG_OFFSET_OUT_OF_RANGE', text, { offset, kafkaCode })
    } else if (state.position === offset) state.moveTo(resetPoint(settings))
    // What was fetched before is still to be handed out: the reset comes when the application gets there.
    else this.#later(state)
  }

  #later(state: AssignedPartition, firstMs?: number): void {
    state.notBeforeMs = this.#pause(++state.failures, firstMs)
  }

  /** Until when to wait; `onChange` is called then. */
  #pause(failures: number, firstMs = this.#options.settings.retryBackoffMs): number {
    const { settings, env } = this.#options
    const pauseMs = backoffMs(failures, firstMs, settings.retryBackoffMaxMs, env.random)
    return waitOut(env.clock, pauseMs, () => {
      this.pump()
      this.#options.onChange()
    })
  }
}

/** Where auto.offset.reset goes; not with `none`. */
export function resetPoint(settings: ConsumerSettings): typeof WISH_END {
  return settings.autoOffsetReset === 'earliest' ? WISH_BEGINNING : WISH_END
}

function put<Key, Value>(groups: Map<Key, Value[]>, key: Key, value: Value): void {
  const group = groups.get(key)
  if (group === undefined) groups.set(key, [value])
  else group.push(value)
}

/** The broker that was asked leads no more, or not in that epoch. */
const MEANS_OLD_LEADER: ReadonlySet<number> = new Set([
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.FENCED_LEADER_EPOCH,
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.UNKNOWN_TOPIC_ID,
])
