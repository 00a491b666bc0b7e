/**
 * Follows one leader broker in all partitions that it leads and this broker has replicas of: one connection, one session.
 *
 * One fetch is under way. Large answers are pipelined: the next fetch is sent before the records of this one are written,
 * with what is written told beside what is asked for, since a leader must count nothing that a follower might lose. What
 * is written while that fetch waits is told by a *report*, and so is what is to be fetched besides: a report ends the
 * fetch that waits, so nothing queues behind it. At most two answers are in memory. Small answers are written first: then
 * the next fetch says all.
 *
 * A partition with an error is left out for a while, alone; one that parts from its leader is cut first. A connection that
 * fails is made anew, with a new session.
 */
import { ErrorCode, errorOf, hasCode, type Logger, PagelogError, surfaceInvariant } from '../base/index.ts'
import type { Clock, Env, Timer } from '../env/index.ts'
import { AskingConnection, type SlabPool } from '../net/index.ts'
import { Fetch, type FetchResponse } from '../protocol/index.ts'
import { FollowedPartition, followedKey } from './followed-partition.ts'
import { FollowerSession } from './follower-session.ts'
import { OutOfRange } from './out-of-range.ts'
import type { Partition } from './partition.ts'
import type { ReplicationSettings } from './replication-settings.ts'

export interface FetcherContext {
  readonly env: Pick<Env, 'network' | 'clock'>
  readonly logger: Logger
  readonly settings: ReplicationSettings
  readonly pool: SlabPool
  readonly nodeId: number
  /** This broker's own; -1 while it is not registered. */
  brokerEpoch(): number
  /** Where a broker is; undefined while it is not registered. */
  endpointOf(id: number): LeaderEndpoint | undefined
  /** Gives the partition an empty log that begins at `offset`. */
  restartLog(partition: Partition, epoch: number, offset: number): Promise<void>
}

/** Where a broker is, in one of its lives. */
export interface LeaderEndpoint {
  readonly host: string
  readonly port: number
  readonly epoch: number
}

type PartitionAnswer = FetchResponse['responses'][number]['partitions'][number]

/** Answers of at least so many bytes are pipelined. */
const PIPELINED_BYTES = 256 * 1024
const REPORTS_MAX = 4
const RECONNECT_MS_MIN = 20
const CONNECT_TIMEOUT_MS = 5000

export class FollowerFetcher {
  readonly leaderId: number
  readonly #context: FetcherContext
  readonly #clock: Clock
  readonly #followed = new Map<string, FollowedPartition>()
  /** Left alone until their time has come. */
  readonly #paused = new Set<FollowedPartition>()
  #resume: { readonly atMs: number; readonly timer: Timer } | undefined
  readonly #session: FollowerSession
  readonly #outOfRange: OutOfRange
  #connection: AskingConnection | undefined
  #endpoint: LeaderEndpoint | undefined
  #failures = 0
  #wake: (() => void) | undefined
  #isFetching = false
  /** Requests so far. */
  #asked = 0
  #reports = 0
  #mustReport = false
  /** Settles when the records of the answer before this one are written. */
  #writing: Promise<unknown> = Promise.resolve()
  #closed = false
  readonly #running: Promise<void>

  constructor(leaderId: number, context: FetcherContext) {
    this.leaderId = leaderId
    this.#context = context
    this.#clock = context.env.clock
    this.#session = new FollowerSession(context.settings)
    this.#outOfRange = new OutOfRange(context)
    this.#running = this.#run()
  }

  get count(): number {
    return this.#followed.size
  }

  /** From the end of its log on; what is under way for others need not be waited for. */
  follow(partition: Partition): void {
    const followed = new FollowedPartition(partition)
    followed.since = this.#asked
    this.#followed.set(followed.key, followed)
    this.#join(followed)
  }

  #join(followed: FollowedPartition): void {
    this.#session.join(followed)
    this.#wake?.()
    this.#report()
  }

  /** What is being written of it is still written. */
  unfollow(partition: Partition): void {
    const followed = this.#followed.get(followedKey(partition.topicId, partition.index))
    if (followed?.partition !== partition) return
    followed.isStopped = true
    this.#session.leave(followed)
    this.#paused.delete(followed)
    this.#followed.delete(followed.key)
  }

  /** The leader came, went or moved. One that went is kept as long as it answers: others say who leads instead. */
  leaderChanged(): void {
    const { endpointOf } = this.#context
    const endpoint = endpointOf(this.leaderId)
    const known = this.#endpoint
    const isSame = endpoint?.host === known?.host && endpoint?.port === known?.port && endpoint?.epoch === known?.epoch
    if (endpoint !== undefined && !isSame) void this.#connection?.close()
    this.#failures = 0
    this.#wake?.()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#resume?.timer.cancel()
    this.#wake?.()
    await this.#connection?.close()
    await this.#running
    await this.#writing
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      if (this.#followed.size === 0) {
        await this.#sleep()
        continue
      }
      try {
        const connection = await this.#connect()
        if (!this.#closed) await this.#fetch(connection)
      } catch (error) {
        await this.#connectionFailed(error)
      }
    }
  }

  async #connect(): Promise<AskingConnection> {
    if (this.#connection?.closed === false) return this.#connection
    const endpoint = this.#context.endpointOf(this.leaderId)
    if (endpoint === undefined) {
      throw new PagelogError('PAGELOG_DISCONNECTED', `broker ${this.leaderId} is not registered`, { retriable: true })
    }
    const { env, pool, nodeId, settings } = this.#context
    const connection = await AskingConnection.connect(env, {
      host: endpoint.host,
      port: endpoint.port,
      clientId: `broker-${nodeId}-follower`,
      requestTimeoutMs: settings.replicaSocketTimeoutMs,
      connectTimeoutMs: Math.min(CONNECT_TIMEOUT_MS, settings.replicaSocketTimeoutMs),
      pool,
    })
    this.#connection = connection
    this.#endpoint = endpoint
    this.#session.reset()
    this.#failures = 0
    if (this.#closed) await connection.close()
    return connection
  }

  async #connectionFailed(error: unknown): Promise<void> {
    if (this.#closed) return
    const connection = this.#connection
    this.#connection = undefined
    await connection?.close()
    this.#session.reset()
    if (this.#closed) return
    this.#failures++
    if (this.#failures === 1) {
      this.#context.logger.info({ leader: this.leaderId, error }, 'the connection to a leader was lost')
    }
    const pauseMs = RECONNECT_MS_MIN * 2 ** Math.min(20, this.#failures - 1)
    await this.#sleep(Math.min(this.#context.settings.replicaFetchBackoffMs, pauseMs))
  }

  async #fetch(connection: AskingConnection): Promise<void> {
    const request = this.#request(false)
    if (request === undefined) return await this.#sleep()
    this.#isFetching = true
    const asked = ++this.#asked
    let answer: { body: FetchResponse; release(): void }
    try {
      answer = await connection.ask(Fetch, request)
    } finally {
      this.#isFetching = false
    }
    const { bytes, written } = this.#take(answer.body, asked)
    const done = written.length === 0 ? Promise.resolve() : Promise.all(written)
    if (written.length === 0) answer.release()
    else done.then(answer.release)
    if (bytes < PIPELINED_BYTES || !this.#session.isOpen) {
      await done
    } else {
      const before = this.#writing
      this.#writing = done
      await before
    }
  }

  /** Says what was written while a fetch waits, and what is to be fetched besides. */
  #report(): void {
    const connection = this.#connection
    if (!this.#isFetching || !this.#session.isOpen || connection?.closed !== false || this.#mustReport) return
    this.#mustReport = true
    if (this.#reports < REPORTS_MAX) this.#clock.soon(() => this.#reportNow(connection))
  }

  #reportNow(connection: AskingConnection): void {
    if (!this.#mustReport) return
    this.#mustReport = false
    const isStill = this.#connection === connection && !connection.closed && this.#session.isOpen && this.#isFetching
    const request = isStill ? this.#request(true) : undefined
    if (request === undefined) return
    this.#reports++
    const asked = ++this.#asked
    const answered = connection.ask(Fetch, request).then(({ body, release }) => {
      this.#take(body, asked)
      release()
    })
    answered
      .catch(() => connection.close())
      .finally(() => {
        this.#reports--
        if (this.#mustReport) this.#reportNow(connection)
      })
  }

  #request(isReport: boolean) {
    const { nodeId } = this.#context
    const identity = { replicaId: nodeId, replicaEpoch: this.#context.brokerEpoch() }
    return this.#session.request(identity, isReport)
  }

  /** Begins to write the records of an answer to the request of that number. */
  #take(
    { errorCode, sessionId, responses }: FetchResponse,
    asked: number,
  ): { bytes: number; written: Promise<unknown>[] } {
    if (errorCode !== ErrorCode.NONE) {
      const { name } = errorOf(errorCode)
      throw new PagelogError('PAGELOG_BROKER', `the leader answers ${name}`, { kafkaCode: errorCode, retriable: true })
    }
    this.#session.opened(sessionId)
    const written: Promise<unknown>[] = []
    let bytes = 0
    for (const { topicId, partitions } of responses) {
      for (const answer of partitions) {
        const followed = this.#followed.get(followedKey(topicId, answer.partitionIndex))
        if (followed === undefined || followed.isBusy) continue
        // It had another leader epoch then, or another log, of which this speaks. It is told again.
        if (asked <= followed.since) continue
        const writing = this.#takeOne(followed, answer)
        if (writing === undefined) continue
        bytes += answer.records?.length ?? 0
        written.push(writing)
      }
    }
    return { bytes, written }
  }

  /** Never rejects. */
  #takeOne(followed: FollowedPartition, answer: PartitionAnswer): Promise<void> | undefined {
    const { errorCode, divergingEpoch, records, highWatermark, logStartOffset } = answer
    if (errorCode !== ErrorCode.NONE) return this.#refused(followed, errorCode)
    if (divergingEpoch.epoch >= 0) {
      void this.#exclusively(followed, () => followed.partition.truncate(followed.epoch, divergingEpoch))
      return undefined
    }
    const hasRecords = records !== null && records.length > 0 && followed.askedOffset === followed.nextOffset
    try {
      const append = hasRecords ? followed.partition.appendAsFollower(followed.epoch, records) : undefined
      if (append === undefined) {
        if (followed.askedOffset === followed.nextOffset) followed.succeeded()
        this.#told(followed, highWatermark, logStartOffset)
        return undefined
      }
      followed.received(append.endOffset, append.lastEpoch)
      this.#session.changed(followed)
      return append.written.then(
        () => {
          followed.succeeded()
          this.#told(followed, highWatermark, logStartOffset)
          this.#session.changed(followed)
          this.#report()
        },
        (error) => this.#failed(followed, error),
      )
    } catch (error) {
      this.#failed(followed, error)
      return undefined
    }
  }

  #told(followed: FollowedPartition, highWatermark: number, logStartOffset: number): void {
    const { partition, epoch } = followed
    if (followed.isStopped) return
    partition.leaderTold(epoch, highWatermark)
    const { log } = partition
    const start = Math.min(logStartOffset, log.logEndOffset)
    if (start <= log.logStartOffset || followed.isTrimming) return
    followed.isTrimming = true
    log
      .trimBefore(start)
      .catch((error: unknown) =>
        this.#context.logger.warn({ topic: partition.topic, error }, 'a log could not be trimmed'),
      )
      .finally(() => {
        followed.isTrimming = false
        this.#session.changed(followed)
      })
  }

  #refused(followed: FollowedPartition, errorCode: number): undefined {
    const { partition, epoch } = followed
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE && this.#connection !== undefined) {
      const connection = this.#connection
      void this.#exclusively(followed, () => this.#outOfRange.resolve(connection, partition, epoch))
      return
    }
    const { name: error } = errorOf(errorCode)
    this.#pause(followed, error)
  }

  #failed(followed: FollowedPartition, error: unknown): void {
    surfaceInvariant(error)
    if (followed.isStopped) return
    followed.restart()
    this.#pause(followed, error)
  }

  #pause(followed: FollowedPartition, error: unknown): void {
    const { settings, logger } = this.#context
    followed.failed(this.#clock.monotonicMs(), settings.replicaFetchBackoffMs)
    this.#session.leave(followed)
    this.#paused.add(followed)
    this.#resumeAt(followed.notBeforeMs)
    const { topic, index: partition } = followed.partition
    // Around an election a broker may know of it before the other does.
    if (followed.isFirstFailure)
      logger.info({ topic, partition, leader: this.leaderId, error }, 'a partition cannot be followed')
  }

  /** One timer for all: at the earliest of their times. */
  #resumeAt(atMs: number): void {
    if (this.#closed || (this.#resume !== undefined && this.#resume.atMs <= atMs)) return
    this.#resume?.timer.cancel()
    const delayMs = Math.max(1, atMs - this.#clock.monotonicMs())
    this.#resume = { atMs, timer: this.#clock.after(delayMs, () => this.#resumeDue()) }
  }

  #resumeDue(): void {
    this.#resume = undefined
    const nowMs = this.#clock.monotonicMs()
    let next = Number.POSITIVE_INFINITY
    for (const followed of this.#paused) {
      if (followed.notBeforeMs <= nowMs) {
        this.#paused.delete(followed)
        if (!followed.isBusy) this.#join(followed)
      } else {
        next = Math.min(next, followed.notBeforeMs)
      }
    }
    if (next !== Number.POSITIVE_INFINITY) this.#resumeAt(next)
  }

  /** Changes the log of a partition; what was received is written first, and asked for again where it is void. */
  async #exclusively(followed: FollowedPartition, work: () => Promise<void>): Promise<void> {
    followed.isBusy = true
    this.#session.leave(followed)
    const { logStartOffset, logEndOffset } = followed.partition.log
    try {
      await work()
      followed.restart()
      followed.since = this.#asked
      const { log } = followed.partition
      const isSame = log.logStartOffset === logStartOffset && log.logEndOffset === logEndOffset
      // Asked at once, the leader would say the same again.
      if (isSame && !followed.isStopped) this.#pause(followed, 'it parts from its leader, and nothing was to be cut')
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_REFUSED')) this.#failed(followed, error)
    } finally {
      followed.isBusy = false
      if (!followed.isStopped && !this.#paused.has(followed)) this.#join(followed)
    }
  }

  /** Until woken, or for so long. */
  #sleep(delayMs?: number): Promise<void> {
    return new Promise((resolve) => {
      let timer: Timer | undefined
      const done = (): void => {
        timer?.cancel()
        this.#wake = undefined
        resolve()
      }
      if (delayMs !== undefined) timer = this.#clock.after(delayMs, done)
      this.#wake = done
      if (this.#closed) done()
    })
  }
}
