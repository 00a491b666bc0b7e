/**
 * A fetch session (KIP-227): what a client or a follower asks for again and again is remembered, so that a request names
 * only what changed since the last, and an answer only what has news.
 *
 * A request costs what changed, not what is remembered: the session watches its partitions, and has those *ready* in which
 * something happened since they were answered. A few of the others are looked at with each request, in turn, for what
 * nobody tells (a log that was trimmed).
 */
import { ErrorCode } from '../base/index.ts'
import type { Partition, PartitionWatch } from './partition.ts'

/** One partition as it is asked for. */
export interface FetchWish {
  readonly partition: number
  readonly currentLeaderEpoch: number
  readonly fetchOffset: number
  readonly lastFetchedEpoch: number
  readonly logStartOffset: number
  readonly partitionMaxBytes: number
  /** What a follower has written, where that is less than `fetchOffset`; else -1. */
  readonly appendedOffset: number
}

/** What of a request concerns its session. */
export interface SessionRequest {
  readonly sessionId: number
  readonly sessionEpoch: number
  readonly topics: readonly {
    readonly topic: string
    readonly topicId: string
    readonly partitions: readonly FetchWish[]
  }[]
  readonly forgottenTopicsData: readonly {
    readonly topic: string
    readonly topicId: string
    readonly partitions: readonly number[]
  }[]
}

/** Who asks. */
export interface SessionClient {
  /** Of a follower, whether it is one or only says so; else -1. */
  readonly replicaId: number
  readonly brokerEpoch: number
  /** A broker that is registered under that epoch: it comes before consumers. */
  readonly isFollower: boolean
  /** Topics by id, not by name. */
  readonly usesIds: boolean
}

/** Looked at with each request, though nothing is known to have happened there. */
const LOOKED_AT = 16
const EPOCH_MAX = 0x7fffffff

export class SessionPartition implements PartitionWatch {
  readonly topic: string
  readonly topicId: string
  wish: FetchWish
  /** Of the last answer; -1 before any. */
  toldHighWatermark = -1
  toldLogStart = -1
  /** Number of the request that named it last. */
  askedIn = 0
  /** A follower that its leader does not count as in sync yet: what it says has to be told again. */
  isUnsettled = false
  /** Monotonic: since when the follower is ahead of this broker, which does not know yet that it leads. */
  aheadSinceMs: number | undefined
  readonly #session: FetchSession
  #partition: Partition | undefined

  constructor(session: FetchSession, topic: { readonly topic: string; readonly topicId: string }, wish: FetchWish) {
    this.#session = session
    this.topic = topic.topic
    this.topicId = topic.topicId
    this.wish = wish
  }

  /** From now on it is told of that one; of none: of nothing. */
  follow(partition: Partition | undefined): void {
    if (partition === this.#partition) return
    this.#partition?.unwatch(this)
    this.#partition = partition
    partition?.watch(this)
  }

  grew(): void {
    const { client, usedMs, ready } = this.#session
    if (client.replicaId >= 0 && !ready.has(this)) this.#partition?.followerStayed(client.replicaId, usedMs)
    this.#session.happened(this)
  }

  moved(): void {
    this.#session.happened(this)
  }
}

export class FetchSession {
  readonly id: number
  client: SessionClient
  readonly createdMs: number
  usedMs: number
  /** That of the next request. */
  epoch = 1
  /** Requests so far. */
  requests = 0
  /** Ends the wait of the request that is being answered: another one came, whose answer must not wait behind it. */
  endWait: (() => void) | undefined
  /** Told of what becomes ready while a request waits. */
  onReady: ((partition: SessionPartition) => void) | undefined
  /** In the order in which they were first asked for. */
  readonly #partitions = new Map<string, SessionPartition>()
  /** In the order in which it happened. */
  readonly #ready = new Set<SessionPartition>()
  #turn: Iterator<SessionPartition> | undefined

  constructor(id: number, client: SessionClient, nowMs: number) {
    this.id = id
    this.client = client
    this.createdMs = nowMs
    this.usedMs = nowMs
  }

  get size(): number {
    return this.#partitions.size
  }
  get partitions(): IterableIterator<SessionPartition> {
    return this.#partitions.values()
  }
  /** Those in which something may have happened. */
  get ready(): ReadonlySet<SessionPartition> {
    return this.#ready
  }

  /** The next request, whose changes are taken in. */
  take(request: SessionRequest, client: SessionClient, nowMs: number): void {
    const isSameLife = client.brokerEpoch === this.client.brokerEpoch
    this.client = client
    if (!isSameLife) {
      // Another life of the follower: what it said in the last one counts no more.
      for (const partition of this.#partitions.values()) this.#ready.add(partition)
    }
    this.usedMs = nowMs
    this.requests++
    this.#update(request)
    this.endWait?.()
  }

  advance(): void {
    this.epoch = this.epoch === EPOCH_MAX ? 1 : this.epoch + 1
  }

  #update({ topics, forgottenTopicsData }: SessionRequest): void {
    for (const topic of topics) {
      for (const wish of topic.partitions) {
        const key = this.#keyOf(topic.topic, topic.topicId, wish.partition)
        let known = this.#partitions.get(key)
        if (known === undefined) {
          known = new SessionPartition(this, topic, wish)
          this.#partitions.set(key, known)
        }
        known.wish = wish
        known.askedIn = this.requests
        this.#ready.add(known)
      }
    }
    for (const { topic, topicId, partitions } of forgottenTopicsData) {
      for (const index of partitions) {
        const key = this.#keyOf(topic, topicId, index)
        const known = this.#partitions.get(key)
        if (known === undefined) continue
        known.follow(undefined)
        this.#partitions.delete(key)
        this.#ready.delete(known)
      }
    }
  }

  /** Partitions that a request names and that are not in it yet. */
  newIn({ topics }: SessionRequest): number {
    let count = 0
    for (const { topic, topicId, partitions } of topics) {
      for (const { partition } of partitions) if (!this.#partitions.has(this.#keyOf(topic, topicId, partition))) count++
    }
    return count
  }

  /** What the request under way has to look at. A report (it wants no records) asks only for what it names. */
  wanted(isReport: boolean): SessionPartition[] {
    const wanted = [...this.#ready]
    if (isReport) return wanted.filter(({ askedIn }) => askedIn === this.requests)
    for (let i = 0; i < LOOKED_AT && wanted.length < this.size; i++) {
      this.#turn ??= this.#partitions.values()
      const { value, done } = this.#turn.next()
      if (done === true) this.#turn = undefined
      else if (!this.#ready.has(value)) wanted.push(value)
      if (done === true) break
    }
    return wanted
  }

  /** Something did, in one of its partitions. */
  happened(partition: SessionPartition): void {
    this.#ready.add(partition)
    this.onReady?.(partition)
  }

  /** It was answered, and has nothing more. */
  answered(partition: SessionPartition): void {
    this.#ready.delete(partition)
  }

  /** What may be known of its broker only now is told again. */
  recheck(): void {
    for (const partition of [...this.#ready]) if (partition.isUnsettled) this.onReady?.(partition)
  }

  close(): void {
    for (const partition of this.#partitions.values()) partition.follow(undefined)
    this.#partitions.clear()
    this.#ready.clear()
  }

  #keyOf(topic: string, topicId: string, index: number): string {
    return `${this.client.usesIds ? topicId : topic} ${index}`
  }
}

/** Either a session, or what the request itself asks for, without one. */
export type OpenedSession = {
  readonly errorCode: number
  readonly session: FetchSession | undefined
  readonly isFull: boolean
}

export function failedSession(errorCode: number): OpenedSession {
  return { errorCode, session: undefined, isFull: true }
}

export const withoutSession: OpenedSession = failedSession(ErrorCode.NONE)
