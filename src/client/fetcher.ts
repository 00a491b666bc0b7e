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
import { Fetch, type FetchRequest, type FetchResponse, type Input } from '../protocol/index.ts'
import { type AssignedPartition, type Assignment, WISH_BEGINNING, WISH_END } from './assignment.ts'
import { backoffMs } from './backoff.ts'
import type { BatchUnpacker } from './batch-unpacker.ts'
import type { ClusterConnections } from './cluster-connections.ts'
import { FetchedPartition } from './fetched-partition.ts'
import { Fifo } from './fifo.ts'
import type { ConsumerSettings } from './settings.ts'

/** The highest that has topics by name. */
const FETCH_VERSION_MAX = 12
/** No fetch session (KIP-227): every request names all its partitions. */
const SESSIONLESS_EPOCH = -1
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

type PartitionAnswer = FetchResponse['responses'][number]['partitions'][number]

interface Asked {
  readonly state: AssignedPartition
  readonly seekEpoch: number
  readonly fetchOffset: number
}

class FetchNode {
  readonly id: number
  inFlight = 0
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
  /** In order of arrival. */
  readonly fetched = new Fifo<FetchedPartition>()
  #closed = false

  constructor(options: FetcherOptions) {
    this.#options = options
  }

  /** Sends what fetches can be sent now. */
  pump(): void {
    if (this.#closed) return
    const { assignment, cluster, env } = this.#options
    const nowMs = env.clock.monotonicMs()
    const byNode = new Map<FetchNode, AssignedPartition[]>()
    for (const state of assignment) {
      if (!state.fetchable(nowMs)) continue
      const leaderId = cluster.metadata.partition(state.topic, state.partition)?.leaderId ?? -1
      if (leaderId === -1) {
        cluster.refresh()
        continue
      }
      const node = this.#nodeOf(leaderId)
      const states = byNode.get(node)
      if (states === undefined) byNode.set(node, [state])
      else states.push(state)
    }
    for (const [node, states] of byNode) {
      if (nowMs >= node.notBeforeMs) this.#fill(node, states)
    }
  }

  /** Sends the fetches that this broker should have in flight; `states`: all of its partitions that can be fetched. */
  #fill(node: FetchNode, states: readonly AssignedPartition[]): void {
    const { prefetchBytes, fetchMinBytes } = this.#options.settings
    const half = Math.ceil(states.length / 2)
    while (node.waitingBytes < prefetchBytes && node.inFlight < CATCH_UP_FETCHES && !node.mayWait) {
      const free = states.filter((state) => !state.asked)
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
    const { cluster, settings, logger } = this.#options
    node.inFlight++
    node.mayWait = mayWait
    for (const state of states) state.asked = true
    try {
      const connection = cluster.open(node.id) ?? (await cluster.connect(node.id))
      const version = connection.versionOf(Fetch, FETCH_VERSION_MAX)
      // The broker may take fetch.max.wait.ms before it begins to answer.
      const timeoutMs = settings.requestTimeoutMs + settings.fetchMaxWaitMs
      const asked = states.map((state) => ({ state, seekEpoch: state.seekEpoch, fetchOffset: state.fetchOffset }))
      const { body, release } = await connection.ask(Fetch, this.#request(asked), { version, timeoutMs })
      node.failures = 0
      if (body.errorCode !== ErrorCode.NONE) {
        release()
        throw new PagelogError('PAGELOG_BROKER', `fetch: ${errorOf(body.errorCode).name}`, {
          kafkaCode: body.errorCode,
        })
      }
      this.#take(node, asked, body, release)
    } catch (error) {
      if (!this.#closed) {
        logger.debug({ node: node.id, error }, 'fetch failed')
        cluster.refresh()
        node.notBeforeMs = this.#pause(++node.failures)
      }
    }
    node.inFlight--
    node.mayWait = false
    for (const state of states) state.asked = false
    if (this.#closed) return
    this.pump()
    this.#options.onChange()
  }

  #request(asked: readonly Asked[]): Input<FetchRequest> {
    const { settings, cluster } = this.#options
    type Topic = { topic: string; partitions: Input<FetchRequest['topics'][number]['partitions'][number]>[] }
    const topics = new Map<string, Topic>()
    for (const { state, fetchOffset } of asked) {
      const { topic, partition } = state
      let entry = topics.get(topic)
      if (entry === undefined) {
        entry = { topic, partitions: [] }
        topics.set(topic, entry)
      }
      const currentLeaderEpoch = cluster.metadata.partition(topic, partition)?.leaderEpoch ?? -1
      const partitionMaxBytes = settings.maxPartitionFetchBytes
      entry.partitions.push({ partition, currentLeaderEpoch, fetchOffset, partitionMaxBytes })
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

  /** Queues the batches of an answer for the application; its bytes are given back when all are through. */
  #take(node: FetchNode, asked: readonly Asked[], body: FetchResponse, release: () => void): void {
    let unfinished = 1
    const finished = (bytes: number): void => {
      node.waitingBytes -= bytes
      // Without reuseBuffers the application may keep views: then nothing is given back, it is collected in time.
      if (--unfinished === 0 && (this.#options.settings.reuseBuffers || taken === 0)) release()
    }
    let taken = 0
    for (const { topic, partitions } of body.responses) {
      for (const answer of partitions) {
        const question = asked.find(({ state }) => state.topic === topic && state.partition === answer.partitionIndex)
        if (question === undefined || !question.state.isCurrent(question.seekEpoch)) continue
        if (answer.errorCode !== ErrorCode.NONE) {
          this.#refused(question.state, answer.errorCode)
          continue
        }
        const { state } = question
        state.failures = 0
        state.highWatermark = answer.highWatermark
        const bytes = answer.records?.length ?? 0
        if (bytes === 0 || !this.#queue(state, answer, () => finished(bytes))) continue
        taken += bytes
        node.waitingBytes += bytes
        unfinished++
      }
    }
    finished(0)
  }

  #queue(state: AssignedPartition, answer: PartitionAnswer, onFinished: () => void): boolean {
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
    this.fetched.push(fetched)
    fetched.unpackAhead()
    assignment.served(state)
    return true
  }

  #refused(state: AssignedPartition, errorCode: number): void {
    const { cluster, settings, logger } = this.#options
    const { name, retriable } = errorOf(errorCode)
    const place = `${state.topic}-${state.partition}`
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
      const offset = state.fetchOffset
      logger.info({ topic: state.topic, partition: state.partition, offset }, 'offset is out of range')
      if (settings.autoOffsetReset === 'none') {
        const text = `${place}: offset ${offset} is out of range and auto.offset.reset is none`
        state.fault = new PagelogError('PAGELOG_OFFSET_OUT_OF_RANGE', text, { offset, kafkaCode: errorCode })
      } else if (state.position === offset) state.moveTo(resetPoint(settings))
      // What was fetched before is still to be handed out: the reset comes when the application gets there.
      else this.#later(state)
      return
    }
    if (retriable || RETRIED_BY_CONSUMERS.has(errorCode)) {
      cluster.refresh()
      this.#later(state)
      return
    }
    state.fault = new PagelogError('PAGELOG_BROKER', `${place}: ${name}`, { kafkaCode: errorCode })
  }

  #later(state: AssignedPartition): void {
    state.notBeforeMs = this.#pause(++state.failures)
  }

  /** Until when to wait; `onChange` is called then. */
  #pause(failures: number): number {
    const { settings, env } = this.#options
    const pauseMs = backoffMs(failures, settings.retryBackoffMs, settings.retryBackoffMaxMs, env.random)
    env.clock.after(pauseMs + 1, () => {
      this.pump()
      this.#options.onChange()
    })
    return env.clock.monotonicMs() + pauseMs
  }
}

/** Where auto.offset.reset goes; not with `none`. */
export function resetPoint(settings: ConsumerSettings): typeof WISH_END {
  return settings.autoOffsetReset === 'earliest' ? WISH_BEGINNING : WISH_END
}

/** Errors that end a produce but only delay a consumer. */
const RETRIED_BY_CONSUMERS: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.UNKNOWN_TOPIC_ID,
  ErrorCode.FENCED_LEADER_EPOCH,
  ErrorCode.UNKNOWN_LEADER_EPOCH,
  ErrorCode.OFFSET_NOT_AVAILABLE,
  ErrorCode.UNKNOWN_SERVER_ERROR,
])
