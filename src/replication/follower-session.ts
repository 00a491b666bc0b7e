/**
 * The follower's end of a fetch session (KIP-227): which partitions are to be asked for, and requests that name those in
 * which something changed since the last. What a request costs is that, not how much is followed.
 */
import type { FetchRequest, Input } from '../protocol/index.ts'
import type { FetchWish } from './fetch-session.ts'
import type { FollowedPartition } from './followed-partition.ts'
import type { ReplicationSettings } from './replication-settings.ts'

const EPOCH_MAX = 0x7fffffff
/** Without a session nothing can be said while a fetch waits, so none waits for long. */
const WAIT_MS_WITHOUT = 20

type Identity = { readonly replicaId: number; readonly replicaEpoch: number }

export class FollowerSession {
  readonly #settings: ReplicationSettings
  /** 0 until the leader has given one. */
  #id = 0
  #epoch = 0
  /** The leader gives none. */
  #isRefused = false
  /** To be asked for. */
  readonly #members = new Set<FollowedPartition>()
  /** Of those, what may have to be told. */
  readonly #news = new Set<FollowedPartition>()
  /** In the leader's session, and not to be there any more: topic id -> indexes. */
  #toForget = new Map<string, Set<number>>()

  constructor(settings: ReplicationSettings) {
    this.#settings = settings
  }

  get isOpen(): boolean {
    return this.#id !== 0
  }

  /** The leader's answer to a full request. */
  opened(id: number): void {
    if (this.#id !== 0) return
    this.#isRefused = id === 0
    this.#id = id
    this.#epoch = id === 0 ? 0 : 1
  }

  /** No session is left; every partition has to be told anew. */
  reset(): void {
    this.#id = 0
    this.#epoch = 0
    this.#isRefused = false
    this.#toForget = new Map()
    for (const followed of this.#members) {
      followed.told = undefined
      followed.askedOffset = -1
      this.#news.add(followed)
    }
  }

  /** It is asked for from now on. */
  join(followed: FollowedPartition): void {
    this.#members.add(followed)
    this.#news.add(followed)
  }

  /** Where it goes on, or how far it is written, is elsewhere now. */
  changed(followed: FollowedPartition): void {
    if (this.#members.has(followed)) this.#news.add(followed)
  }

  /** It is not asked for any more. */
  leave(followed: FollowedPartition): void {
    this.#members.delete(followed)
    this.#news.delete(followed)
    followed.askedOffset = -1
    if (followed.told === undefined) return
    followed.told = undefined
    const { topicId, index } = followed.partition
    const indexes = this.#toForget.get(topicId)
    if (indexes) indexes.add(index)
    else this.#toForget.set(topicId, new Set([index]))
  }

  /**
   * The next request; undefined when there is nothing to ask for. A report only says how far this replica is and is
   * answered at once, without records.
   */
  request(identity: Identity, isReport: boolean): Input<FetchRequest> | undefined {
    if (this.#members.size === 0) return undefined
    const isFull = this.#id === 0
    const topics = new Map<string, FetchWish[]>()
    for (const followed of isFull ? this.#members : this.#news) {
      if (!isReport) followed.askedOffset = followed.nextOffset
      // What only a report has told is asked for by the next fetch.
      if (followed.askedOffset === followed.nextOffset) this.#news.delete(followed)
      const wish = followed.wish(this.#settings.replicaFetchMaxBytes)
      if (!isFull && !followed.isNews(wish)) continue
      followed.told = wish
      const { topicId, index } = followed.partition
      this.#toForget.get(topicId)?.delete(index) // it has not been told yet
      const wishes = topics.get(topicId)
      if (wishes) wishes.push(wish)
      else topics.set(topicId, [wish])
    }
    return this.#requestOf(topics, identity, isReport)
  }

  #requestOf(topics: ReadonlyMap<string, FetchWish[]>, replicaState: Identity, isReport: boolean): Input<FetchRequest> {
    const { replicaFetchMinBytes, replicaFetchResponseMaxBytes } = this.#settings
    const forgottenTopicsData = [...this.#toForget]
      .filter(([, indexes]) => indexes.size > 0 && this.#id !== 0)
      .map(([topicId, indexes]) => ({ topicId, partitions: [...indexes] }))
    this.#toForget = new Map()
    const sessionEpoch = this.#epoch
    if (this.#id !== 0) this.#epoch = sessionEpoch === EPOCH_MAX ? 1 : sessionEpoch + 1
    return {
      replicaState,
      maxWaitMs: isReport ? 0 : this.#waitMs(),
      minBytes: isReport ? 0 : replicaFetchMinBytes,
      maxBytes: isReport ? 0 : replicaFetchResponseMaxBytes,
      sessionId: this.#id,
      sessionEpoch,
      topics: [...topics].map(([topicId, partitions]) => ({ topicId, partitions })),
      forgottenTopicsData,
    }
  }

  /** The request that begins a session is answered at once: nothing can be told before there is one. */
  #waitMs(): number {
    const { replicaFetchWaitMaxMs } = this.#settings
    if (this.#id !== 0) return replicaFetchWaitMaxMs
    return this.#isRefused ? Math.min(WAIT_MS_WITHOUT, replicaFetchWaitMaxMs) : 0
  }
}
