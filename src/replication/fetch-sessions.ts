/**
 * The fetch sessions of a broker. Slots are few. A session that was not used for two minutes gives its slot to any new one.
 * Otherwise a follower takes that of the smallest session of a consumer, and a consumer that of a smaller one older than two
 * minutes; a consumer that gets none is told session 0 and goes on with full requests. A follower without a slot gets one
 * session besides, in place of any other that it has besides: acknowledgements wait for followers.
 *
 * Who says to be a follower is one when it is registered under the epoch that it says; else it has no privileges.
 */
import { ErrorCode } from '../base/index.ts'
import type { Random } from '../env/index.ts'
import {
  FetchSession,
  failedSession,
  type OpenedSession,
  type SessionClient,
  type SessionRequest,
  withoutSession,
} from './fetch-session.ts'

export const SESSION_EPOCH_FULL = 0
export const SESSION_EPOCH_NONE = -1
const STALE_MS = 120_000
/** Partitions remembered in all sessions together: beyond, consumers get no session. */
const PARTITIONS_MAX = 500_000
/** Partitions of one session: one that outgrows it is forgotten, and who goes on with full requests gets none. */
const SESSION_PARTITIONS_MAX = 100_000

export class FetchSessions {
  readonly #slots: number
  readonly #random: Random
  readonly #partitionsMax: number
  readonly #sessions = new Map<number, FetchSession>()
  /** Beyond the slots, by replica id. */
  readonly #besides = new Map<number, FetchSession>()
  /** Partitions in all of them. */
  #partitions = 0

  constructor(slots: number, random: Random, partitionsMax = SESSION_PARTITIONS_MAX) {
    this.#slots = slots
    this.#random = random
    this.#partitionsMax = partitionsMax
  }

  get size(): number {
    return this.#sessions.size
  }
  /** Partitions remembered. */
  get partitions(): number {
    return this.#partitions
  }

  /** The session that a request belongs to, its changes taken in; one that is begun has all that the request names. */
  open(request: SessionRequest, client: SessionClient, nowMs: number): OpenedSession {
    const { sessionId, sessionEpoch } = request
    if (sessionEpoch === SESSION_EPOCH_NONE || sessionEpoch === SESSION_EPOCH_FULL) {
      if (sessionId !== 0) this.end(sessionId)
      return sessionEpoch === SESSION_EPOCH_NONE ? withoutSession : this.#begin(request, client, nowMs)
    }
    const session = this.#sessions.get(sessionId)
    if (session?.client.replicaId !== client.replicaId) return failedSession(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    if (session.epoch !== sessionEpoch) return failedSession(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
    if (session.client.usesIds !== client.usesIds) return failedSession(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
    if (!this.#mayGrow(session, request)) {
      this.end(sessionId)
      return failedSession(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    }
    session.advance()
    this.#take(session, request, client, nowMs)
    return { errorCode: ErrorCode.NONE, session, isFull: false }
  }

  /** Nothing of it is remembered any more. */
  end(sessionId: number): void {
    const session = this.#sessions.get(sessionId)
    if (session === undefined) return
    this.#sessions.delete(sessionId)
    const { replicaId } = session.client
    if (this.#besides.get(replicaId) === session) this.#besides.delete(replicaId)
    this.#partitions -= session.size
    session.close()
    session.endWait?.()
  }

  /** A broker came or went: what was told under an epoch that was not known is told again. */
  brokerChanged(id: number): void {
    for (const session of this.#sessions.values()) if (session.client.replicaId === id) session.recheck()
  }

  #take(session: FetchSession, request: SessionRequest, client: SessionClient, nowMs: number): void {
    const before = session.size
    session.take(request, client, nowMs)
    this.#partitions += session.size - before
  }

  #mayGrow(session: FetchSession, request: SessionRequest): boolean {
    const named = countOf(request)
    if (session.size + named <= this.#partitionsMax && this.#partitions + named <= PARTITIONS_MAX) return true
    const more = session.newIn(request)
    if (more === 0) return true
    if (session.size + more > this.#partitionsMax) return false
    return session.client.isFollower || this.#partitions + more <= PARTITIONS_MAX
  }

  #begin(request: SessionRequest, client: SessionClient, nowMs: number): OpenedSession {
    const size = countOf(request)
    if (size === 0 || size > this.#partitionsMax) return withoutSession
    if (!client.isFollower && this.#partitions + size > PARTITIONS_MAX) return withoutSession
    const isInSlot = this.#makeRoom(size, client, nowMs)
    if (!isInSlot && !client.isFollower) return withoutSession
    const session = new FetchSession(this.#newId(), client, nowMs)
    this.#sessions.set(session.id, session)
    if (!isInSlot) {
      const former = this.#besides.get(client.replicaId)
      if (former !== undefined) this.end(former.id)
      this.#besides.set(client.replicaId, session)
    }
    this.#take(session, request, client, nowMs)
    return { errorCode: ErrorCode.NONE, session, isFull: true }
  }

  #makeRoom(size: number, client: SessionClient, nowMs: number): boolean {
    if (this.#sessions.size - this.#besides.size < this.#slots) return true
    let victim: FetchSession | undefined
    for (const session of this.#sessions.values()) {
      if (this.#besides.get(session.client.replicaId) === session) continue
      if (nowMs - session.usedMs > STALE_MS) {
        victim = session
        break
      }
      if (session.client.isFollower || (victim !== undefined && victim.size <= session.size)) continue
      const isOlder = nowMs - session.createdMs > STALE_MS && session.size < size
      if (client.isFollower || isOlder) victim = session
    }
    if (victim === undefined) return false
    this.end(victim.id)
    return true
  }

  /** Not to be guessed by others: from 1 on, unused. */
  #newId(): number {
    for (;;) {
      const [a, b, c, d] = this.#random.bytes(4) as unknown as [number, number, number, number]
      const id = ((a & 0x7f) << 24) | (b << 16) | (c << 8) | d
      if (id !== 0 && !this.#sessions.has(id)) return id
    }
  }
}

function countOf({ topics }: SessionRequest): number {
  let count = 0
  for (const { partitions } of topics) count += partitions.length
  return count
}
