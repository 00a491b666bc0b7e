/**
 * Takes closed batches to their leaders: one request per broker with what is ready there, several in flight, batches as
 * they lie in memory. A batch that failed and may be sent again goes back into its partition's queue in its old place;
 * the partition waits out a back-off, the others go on.
 */
import { ErrorCode, errorOf, type Logger, PagelogError } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import type { AskingConnection } from '../net/index.ts'
import { Produce, type ProduceResponse } from '../protocol/index.ts'
import { backoffMs } from './backoff.ts'
import type { BatchInProgress } from './batch-in-progress.ts'
import type { ClusterConnections } from './cluster-connections.ts'
import type { LeaderHint } from './cluster-metadata.ts'
import { Fifo } from './fifo.ts'
import type { PartitionQueue } from './partition-queue.ts'
import { produceBody } from './produce-request.ts'
import type { ProducerIdentity } from './producer-identity.ts'
import type { ProducerSettings } from './settings.ts'

/** The highest before transactions changed their ways (KIP-890) and topics their names (13). */
const PRODUCE_VERSION_MAX = 11

export interface SenderOptions {
  readonly env: Pick<Env, 'clock' | 'random'>
  readonly cluster: ClusterConnections
  readonly settings: ProducerSettings
  readonly logger: Logger
  /** Undefined without idempotence. */
  readonly identity: ProducerIdentity | undefined
  /** The batch is delivered or has failed for good. Called once. */
  onSettled(batch: BatchInProgress, answer: PartitionAnswer | PagelogError): void
  /** The batch's bytes are in no request any more, and it is settled. */
  onReleased(batch: BatchInProgress): void
  queueOf(topic: string, partition: number): PartitionQueue | undefined
}

export type PartitionAnswer = Pick<
  ProduceResponse['responses'][number]['partitionResponses'][number],
  'errorCode' | 'errorMessage' | 'baseOffset' | 'logAppendTimeMs'
>

/** One broker as the sender sees it. */
class NodeQueue {
  readonly id: number
  /** Partitions led here with something to send. */
  readonly ready = new Fifo<PartitionQueue>()
  /** Partitions led here. */
  partitionCount = 0
  /** Closed since the last request. */
  closedBytes = 0
  inFlight = 0
  connecting = false
  failures = 0

  constructor(id: number) {
    this.id = id
  }
}

const NO_ANSWER: PartitionAnswer = { errorCode: 0, errorMessage: null, baseOffset: -1, logAppendTimeMs: -1 }

export class Sender {
  readonly #options: SenderOptions
  readonly #acks: -1 | 0 | 1
  readonly #nodes = new Map<number, NodeQueue>()
  readonly #leaderless = new Set<PartitionQueue>()
  #closed = false
  /** Batches sent again. */
  retries = 0
  requests = 0

  constructor(options: SenderOptions) {
    this.#options = options
    this.#acks = options.settings.acks === 'all' ? -1 : options.settings.acks === '1' ? 1 : 0
  }

  /** A batch of `queue` was closed. Sends at once when its broker has a request's worth; else `drain` will. */
  closed(queue: PartitionQueue, bytes: number): void {
    this.#list(queue)
    const node = this.#nodes.get(queue.leaderId)
    if (node === undefined) return
    node.closedBytes += bytes
    if (node.closedBytes >= this.#options.settings.requestBytesMax || node.ready.length >= node.partitionCount) {
      this.#drain(node)
    }
  }

  /** Sends all that is ready, as far as brokers have room in flight. */
  drain(): void {
    for (const node of this.#nodes.values()) if (node.ready.length > 0) this.#drain(node)
  }

  /** A partition was learnt of, or the metadata changed: finds the leader. */
  home(queue: PartitionQueue): void {
    if (this.#home(queue)) this.#list(queue)
  }

  /** True when there is a new leader, for which nothing has to be waited out. */
  #home(queue: PartitionQueue): boolean {
    const known = this.#options.cluster.metadata.partition(queue.topic, queue.partition)
    const leaderId = known?.leaderId ?? -1
    const leaderEpoch = known?.leaderEpoch ?? -1
    const isNew = leaderId !== -1 && (leaderId !== queue.leaderId || leaderEpoch > queue.leaderEpoch)
    if (leaderId !== queue.leaderId) {
      const old = this.#nodes.get(queue.leaderId)
      if (old !== undefined) old.partitionCount--
      queue.leaderId = leaderId
      if (leaderId !== -1) this.#nodeOf(leaderId).partitionCount++
    }
    queue.leaderEpoch = leaderEpoch
    if (isNew) {
      queue.notBeforeMs = 0
      queue.leaderSinceMs = this.#options.env.clock.monotonicMs()
    }
    return isNew
  }

  /** The metadata changed. */
  metadataChanged(): void {
    const waiting = [...this.#leaderless]
    this.#leaderless.clear()
    for (const node of this.#nodes.values()) {
      for (const queue of node.ready.drain()) {
        queue.listed = false
        waiting.push(queue)
      }
    }
    for (const queue of waiting) this.#list(queue)
    this.drain()
  }

  /** Gives a batch up that waits, or whose request is unanswered: it counts as failed, its bytes stay until the answer, or until they are compressed. */
  giveUp(batch: BatchInProgress, error: PagelogError): void {
    if (batch.completion.settled) return
    this.#options.onSettled(batch, error)
    if (batch.inFlight) return
    batch.queue.remove(batch)
    if (!batch.compressing) this.#options.onReleased(batch)
  }

  /** A closed batch that was being compressed may leave now, or its buffer may when it was given up meanwhile. */
  compressed(batch: BatchInProgress): void {
    if (batch.completion.settled) this.#options.onReleased(batch)
    this.closed(batch.queue, batch.sizeBytes)
  }

  close(): void {
    this.#closed = true
  }

  #nodeOf(id: number): NodeQueue {
    let node = this.#nodes.get(id)
    if (node === undefined) {
      node = new NodeQueue(id)
      this.#nodes.set(id, node)
    }
    return node
  }

  /** Puts the queue where the next drain looks, if it has something that may go. */
  #list(queue: PartitionQueue): void {
    if (queue.listed || this.#closed || !queue.sendable(this.#options.env.clock.monotonicMs())) return
    this.#home(queue)
    if (queue.leaderId === -1) {
      this.#leaderless.add(queue)
      this.#options.cluster.refresh()
      return
    }
    queue.listed = true
    this.#nodeOf(queue.leaderId).ready.push(queue)
  }

  #drain(node: NodeQueue): void {
    const { identity, settings } = this.#options
    node.closedBytes = 0
    if (this.#closed || node.inFlight >= settings.maxInFlight || node.ready.length === 0) return
    const connection = this.#options.cluster.open(node.id)
    if (connection === undefined) {
      this.#connect(node)
      return
    }
    if (identity !== undefined && !identity.ready()) {
      if (identity.error !== undefined) this.#failReady(node, identity.error)
      return
    }
    while (node.inFlight < settings.maxInFlight) {
      const batches = this.#collect(node)
      if (batches.length === 0) return
      void this.#send(node, connection, batches)
    }
  }

  /** Takes at most one batch per partition, as the protocol has it, up to max.request.size; the first one whatever its size. */
  #collect(node: NodeQueue): BatchInProgress[] {
    const batches: BatchInProgress[] = []
    const { identity, settings, env } = this.#options
    const nowMs = env.clock.monotonicMs()
    let bytes = 0
    for (let left = node.ready.length; left > 0; left--) {
      const queue = node.ready.peek()!
      if (queue.leaderId === node.id && queue.sendable(nowMs) && this.#mayBegin(queue, nowMs)) {
        const size = queue.next()!.sizeBytes
        if (batches.length > 0 && bytes + size > settings.requestBytesMax) break
        if (identity !== undefined && !identity.equip(queue)) break
        const batch = queue.takeNext()!
        if (identity !== undefined) queue.assignSequence(batch)
        batches.push(batch)
        bytes += size
      }
      node.ready.shift()
      queue.listed = false
      this.#list(queue)
    }
    return batches
  }

  /**
   * Before a new sequence begins. What had no clear answer is given up there, as Kafka's producer does when the gap before
   * it will never be closed: a leader that stood still may yet append an earlier try.
   */
  #mayBegin(queue: PartitionQueue, nowMs: number): boolean {
    if (!queue.needsNewEpoch && !queue.needsNewId) return true
    const { topic, partition } = queue
    const kafkaCode = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    for (const batch of queue.doubtful()) {
      const text = `${topic}-${partition}: ${errorOf(kafkaCode).name}: its sequence ended, and it may have been stored or not`
      this.giveUp(batch, new PagelogError('PAGELOG_BROKER', text, { kafkaCode, retriable: false }))
    }
    return queue.sendable(nowMs)
  }

  async #send(node: NodeQueue, connection: AskingConnection, batches: readonly BatchInProgress[]): Promise<void> {
    const { settings } = this.#options
    node.inFlight++
    this.requests++
    for (const batch of batches) {
      batch.inFlight = true
      batch.leaderEpoch = batch.queue.leaderEpoch
      if (batch.attempts++ > 0) this.retries++
    }
    let failure: unknown
    let moved: ProduceResponse | undefined
    try {
      const version = connection.versionOf(Produce, PRODUCE_VERSION_MAX)
      const body = produceBody(batches, this.#acks, settings.requestTimeoutMs)
      const answer = await connection.ask(Produce, body, { version, noAnswer: this.#acks === 0 })
      node.failures = 0
      if (this.#acks === 0) for (const batch of batches) this.#answered(batch, NO_ANSWER)
      else {
        this.#match(batches, answer.body)
        moved = answer.body
      }
      answer.release()
    } catch (error) {
      failure = error
    }
    node.inFlight--
    this.#settleRest(batches, failure)
    // Last: what is sent again because of it is in flight again.
    if (moved !== undefined && !this.#closed) this.#learnLeaders(moved)
    if (this.#closed) return
    // What is sent again may have another leader by now.
    if (batches.some(({ queue }) => queue.recovering)) this.drain()
    this.#drain(node)
  }

  /** Gives each batch its part of the answer. */
  #match(batches: readonly BatchInProgress[], answer: ProduceResponse): void {
    // Brokers answer in the order of the request, so the guess is nearly always right.
    let guess = 0
    for (const { name, partitionResponses } of answer.responses) {
      for (const partitionAnswer of partitionResponses) {
        const queue = this.#options.queueOf(name, partitionAnswer.index)
        let batch = batches[guess++]
        if (batch === undefined || batch.queue !== queue) batch = batches.find((other) => other.queue === queue)
        if (batch?.inFlight === true) this.#answered(batch, partitionAnswer)
      }
    }
  }

  /** Brokers that lead no more may say who does (KIP-951): what they refused goes there at once. */
  #learnLeaders({ responses, nodeEndpoints }: ProduceResponse): void {
    let hints: LeaderHint[] | undefined
    for (const { name, partitionResponses } of responses) {
      for (const { index, errorCode, currentLeader } of partitionResponses) {
        if (errorCode === ErrorCode.NONE || currentLeader.leaderId < 0) continue
        hints ??= []
        hints.push({ topic: name, partition: index, ...currentLeader })
      }
    }
    if (hints !== undefined) this.#options.cluster.learnLeaders(hints, nodeEndpoints)
  }

  /** After the answer, or instead of it: what is still in flight failed with `failure`, and queues that may go on are listed. */
  #settleRest(batches: readonly BatchInProgress[], failure: unknown): void {
    if (failure !== undefined) this.#options.cluster.refresh()
    let longestMs = 0
    for (const batch of batches) {
      if (batch.inFlight) this.#failed(batch, unansweredError(failure))
      if (batch.queue.recovering) longestMs = Math.max(longestMs, batch.queue.notBeforeMs)
      this.#list(batch.queue)
    }
    const { clock } = this.#options.env
    // Also when it is over by now: the listing above may have come just before.
    if (longestMs === 0 || this.#closed) return
    clock.after(Math.max(0, longestMs - clock.monotonicMs()) + 1, () => {
      for (const batch of batches) this.#list(batch.queue)
      this.drain()
    })
  }

  #answered(batch: BatchInProgress, answer: PartitionAnswer): void {
    const { errorCode } = answer
    // A duplicate whose offset the broker no longer knows is in the log all the same.
    if (errorCode === ErrorCode.NONE || errorCode === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) {
      const { queue } = batch
      queue.failures = 0
      if (batch.producerEpoch === queue.producerEpoch) queue.prove()
      this.#returned(batch)
      if (!batch.completion.settled) this.#options.onSettled(batch, errorCode === ErrorCode.NONE ? answer : NO_ANSWER)
      this.#options.onReleased(batch)
      return
    }
    const { name, retriable } = errorOf(errorCode)
    const text = `${batch.queue.topic}-${batch.queue.partition}: ${name}${answer.errorMessage ? `: ${answer.errorMessage}` : ''}`
    const broken = this.#noteBrokenSequence(batch, errorCode)
    if (MEANS_STALE_METADATA.has(errorCode)) this.#options.cluster.refresh()
    const error = new PagelogError('PAGELOG_BROKER', text, { kafkaCode: errorCode, retriable: retriable || broken })
    this.#failed(batch, error)
  }

  /** Whether the error is of the sequence or the producer id, which can be mended by trying again. */
  #noteBrokenSequence(batch: BatchInProgress, errorCode: number): boolean {
    if (this.#options.identity === undefined) return false
    const { queue } = batch
    // Anything before it that is still under way explains the error; without it there is a gap for good.
    const first = queue.isFirst(batch)
    switch (errorCode) {
      case ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER:
      case ErrorCode.UNKNOWN_PRODUCER_ID:
        if (first && batch.producerEpoch === queue.producerEpoch) queue.needsNewEpoch = true
        return true
      case ErrorCode.INVALID_PRODUCER_EPOCH:
      case ErrorCode.INVALID_PRODUCER_ID_MAPPING:
        if (first && batch.producerId === queue.producerId) queue.needsNewId = true
        return true
      default:
        return false
    }
  }

  #failed(batch: BatchInProgress, error: PagelogError): void {
    const { settings, env, logger } = this.#options
    const { queue } = batch
    this.#returned(batch)
    if (batch.completion.settled) {
      this.#options.onReleased(batch)
      return
    }
    const late = env.clock.monotonicMs() >= batch.createdMs + settings.deliveryTimeoutMs
    if (!error.retriable || batch.attempts > settings.retries || late || this.#closed) {
      this.#options.onSettled(batch, error)
      this.#options.onReleased(batch)
      return
    }
    logger.debug({ topic: queue.topic, partition: queue.partition, error: error.message }, 'batch will be sent again')
    queue.failures++
    // Only what was refused for its sequence is surely not there.
    batch.isDoubtful ||= error.kafkaCode === undefined || !REFUSES_SEQUENCE.has(error.kafkaCode)
    // Its leader has been replaced meanwhile: the new one has given no reason to wait.
    if (queue.leaderId !== -1 && queue.leaderEpoch > batch.leaderEpoch) {
      queue.notBeforeMs = 0
      queue.retry(batch)
      return
    }
    const nowMs = env.clock.monotonicMs()
    const pauseMs = backoffMs(queue.failures, settings.retryBackoffMs, settings.retryBackoffMaxMs, env.random)
    const ageMs = nowMs - queue.leaderSinceMs
    const isUnaware = error.kafkaCode === ErrorCode.NOT_LEADER_OR_FOLLOWER && ageMs < UNAWARE_MS
    queue.notBeforeMs = nowMs + (isUnaware ? Math.min(pauseMs, Math.max(UNAWARE_PAUSE_MS, ageMs)) : pauseMs)
    queue.retry(batch)
  }

  #returned(batch: BatchInProgress): void {
    batch.inFlight = false
    batch.queue.returned(batch)
  }

  #connect(node: NodeQueue): void {
    if (node.connecting) return
    node.connecting = true
    // A closed connection is all that a broker says when it refuses what wants no answer.
    if (this.#acks === 0) this.#options.cluster.refresh()
    this.#options.cluster.connect(node.id).then(
      () => {
        node.connecting = false
        this.#drain(node)
      },
      (error: unknown) => {
        node.connecting = false
        this.#options.logger.debug({ node: node.id, error }, 'broker cannot be reached')
        if (this.#closed) return
        this.#options.cluster.refresh()
        const { settings, env } = this.#options
        const pauseMs = backoffMs(++node.failures, settings.retryBackoffMs, settings.retryBackoffMaxMs, env.random)
        env.clock.after(pauseMs, () => this.#drain(node))
      },
    )
  }

  /** No producer id will come: nothing that is ready can be sent, ever. */
  #failReady(node: NodeQueue, error: PagelogError): void {
    for (const queue of node.ready.drain()) {
      queue.listed = false
      for (let batch = queue.next(); batch !== undefined; batch = queue.next()) this.giveUp(batch, error)
    }
  }
}

/**
 * A leader of which others have told may hear of its election some milliseconds later than they. So long after it became
 * known it is asked again sooner: each pause is as long as it is known.
 */
const UNAWARE_MS = 1000
const UNAWARE_PAUSE_MS = 5

/** This try was refused for its place in the sequence: nothing of it was stored. */
const REFUSES_SEQUENCE: ReadonlySet<number> = new Set([
  ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
  ErrorCode.UNKNOWN_PRODUCER_ID,
  ErrorCode.INVALID_PRODUCER_EPOCH,
  ErrorCode.INVALID_PRODUCER_ID_MAPPING,
])

const MEANS_STALE_METADATA: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.FENCED_LEADER_EPOCH,
  ErrorCode.UNKNOWN_LEADER_EPOCH,
  ErrorCode.KAFKA_STORAGE_ERROR,
  ErrorCode.UNKNOWN_TOPIC_ID,
])

/** The request failed as a whole, or its answer does not speak of the partition: sent again, the sequence sorts out what arrived. */
function unansweredError(failure: unknown): PagelogError {
  if (failure instanceof PagelogError) {
    const final = failure.code === 'PAGELOG_UNSUPPORTED' || failure.code === 'PAGELOG_CLOSED'
    return new PagelogError(failure.code, failure.message, { cause: failure, retriable: !final })
  }
  if (failure !== undefined)
    return new PagelogError('PAGELOG_DISCONNECTED', String(failure), { cause: failure, retriable: true })
  return new PagelogError('PAGELOG_PROTOCOL', 'the answer leaves the partition out', { retriable: true })
}
