/** The slots of fetch sessions: who gets one, who loses it, and what a request changes. */
import { beforeEach, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { SeededRandom } from '../../src/env/simulated/index.ts'
import { type FetchSession, FetchSessions, type FetchWish, type SessionClient } from '../../src/replication/index.ts'

const consumer: SessionClient = { replicaId: -1, brokerEpoch: -1, isFollower: false, usesIds: true }
const follower: SessionClient = { replicaId: 2, brokerEpoch: 7, isFollower: true, usesIds: true }
/** Of one session. */
const PARTITIONS_MAX = 1200
let sessions: FetchSessions
let nowMs: number
beforeEach(() => {
  sessions = new FetchSessions(2, new SeededRandom(7), PARTITIONS_MAX)
  nowMs = 1000
})

function wish(partition: number, fetchOffset = 0): FetchWish {
  const nowhere = { currentLeaderEpoch: -1, lastFetchedEpoch: -1, logStartOffset: -1, appendedOffset: -1 }
  return { partition, fetchOffset, partitionMaxBytes: 100, ...nowhere }
}

function request(sessionId: number, sessionEpoch: number, wishes: readonly FetchWish[] = [], forgotten: number[] = []) {
  const topic = { topic: '', topicId: 'id' }
  return {
    sessionId,
    sessionEpoch,
    topics: wishes.length === 0 ? [] : [{ ...topic, partitions: wishes }],
    forgottenTopicsData: forgotten.length === 0 ? [] : [{ ...topic, partitions: forgotten }],
  }
}

const begin = (client = consumer, partitions = 1) =>
  sessions.open(
    request(
      0,
      0,
      Array.from({ length: partitions }, (_, i) => wish(i)),
    ),
    client,
    nowMs,
  )

describe('slots', () => {
  test('a full one is given to nobody while the others are in use', () => {
    expect(begin().session).toBeDefined()
    expect(begin().session).toBeDefined()
    expect(begin()).toEqual({ errorCode: ErrorCode.NONE, session: undefined, isFull: true })
    expect(sessions.size).toBe(2)
  })

  test('a session that was not used for two minutes gives way to anyone', () => {
    const old = begin().session!
    const kept = begin().session!
    nowMs += 120_001
    expect(sessions.open(request(kept.id, 1), consumer, nowMs).session).toBe(kept)
    expect(begin().session).toBeDefined()
    expect(sessions.open(request(old.id, 1), consumer, nowMs).errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
  })

  test("a follower takes the smallest consumer's, and none of another follower", () => {
    const large = begin(consumer, 5).session!
    const small = begin(consumer, 2).session!
    expect(begin(follower).session).toBeDefined()
    expect(sessions.open(request(small.id, 1), consumer, nowMs).errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    expect(begin(follower).session).toBeDefined()
    expect(sessions.open(request(large.id, 1), consumer, nowMs).errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    expect(begin().session).toBeUndefined()
  })

  test('a follower that finds none free has one besides, in place of its former one', () => {
    for (let i = 0; i < 2; i++) begin({ ...follower, replicaId: 5 })
    const besides = begin(follower).session!
    const other = begin({ ...follower, replicaId: 3 }).session!
    const again = begin(follower).session!
    expect(sessions.size).toBe(4)
    const found = (id: number, client: SessionClient) => sessions.open(request(id, 1), client, nowMs).errorCode
    expect(found(besides.id, follower)).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    expect(found(again.id, follower)).toBe(ErrorCode.NONE)
    expect(found(other.id, { ...follower, replicaId: 3 })).toBe(ErrorCode.NONE)
    expect(begin().session).toBeUndefined()
  })

  test('who only says to be a follower is treated as a consumer', () => {
    const impostor = { ...follower, isFollower: false }
    begin(consumer)
    begin(consumer)
    expect(begin(impostor).session).toBeUndefined()
  })

  test('a consumer takes a smaller one that is older than two minutes', () => {
    const small = begin(consumer, 1).session!
    const other = begin(consumer, 9).session!
    nowMs += 100_000
    for (const { id } of [small, other]) sessions.open(request(id, 1), consumer, nowMs)
    expect(begin(consumer, 5).session).toBeUndefined()
    nowMs += 30_000
    expect(begin(consumer, 5).session).toBeDefined()
    expect(sessions.open(request(small.id, 2), consumer, nowMs).errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
  })

  test('a request for nothing gets none', () => {
    expect(sessions.open(request(0, 0), consumer, nowMs).session).toBeUndefined()
  })
})

describe('a session', () => {
  test('remembers in order, takes changes in, and forgets', () => {
    const session = begin(consumer, 3).session!
    sessions.open(request(session.id, 1, [wish(1, 50)], [0]), consumer, nowMs)
    expect([...session.partitions].map(({ wish: { partition, fetchOffset } }) => [partition, fetchOffset])).toEqual([
      [1, 50],
      [2, 0],
    ])
  })

  test('has one epoch for each request', () => {
    const session = begin().session!
    expect(sessions.open(request(session.id, 1), consumer, nowMs).isFull).toBe(false)
    const again = sessions.open(request(session.id, 1), consumer, nowMs)
    expect(again.errorCode).toBe(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
    session.epoch = 0x7fffffff
    expect(sessions.open(request(session.id, 0x7fffffff), consumer, nowMs).errorCode).toBe(ErrorCode.NONE)
    expect(session.epoch).toBe(1)
  })

  test('cannot change between names and ids', () => {
    const { id } = begin().session!
    const other = sessions.open(request(id, 1), { ...consumer, usesIds: false }, nowMs)
    expect(other.errorCode).toBe(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
  })

  test('ends with the epoch that says so, or that begins another', () => {
    const first = begin().session!
    sessions.open(request(first.id, -1), consumer, nowMs)
    expect(sessions.size).toBe(0)
    const second = begin().session!
    const third = sessions.open(request(second.id, 0, [wish(0)]), consumer, nowMs).session!
    expect(third.id).not.toBe(second.id)
    expect(sessions.size).toBe(1)
  })

  test('ends the wait of a request when another comes, which must not queue behind it', () => {
    const session = begin().session!
    let ended = 0
    session.endWait = () => ended++
    sessions.open(request(session.id, 1), consumer, nowMs)
    expect(ended).toBe(1)
  })

  test('belongs to who began it', () => {
    const { id } = begin(follower).session!
    const other = sessions.open(request(id, 1), { ...follower, replicaId: 3 }, nowMs)
    expect(other.errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    expect(sessions.open(request(id, 1), follower, nowMs).errorCode).toBe(ErrorCode.NONE)
  })

  test('does not grow without bound: one that is asked for too much is forgotten, and none is given for it', () => {
    const session = begin().session!
    const step = PARTITIONS_MAX / 4
    const more = (from: number) => Array.from({ length: step }, (_, i) => wish(from + i))
    for (let i = 0; i < 4; i++) {
      const wishes = i === 0 ? more(0) : more(i * step)
      expect(sessions.open(request(session.id, i + 1, wishes), consumer, nowMs).errorCode).toBe(ErrorCode.NONE)
    }
    expect(sessions.partitions).toBe(PARTITIONS_MAX)
    // What is known already is no growth.
    expect(sessions.open(request(session.id, 5, more(0)), consumer, nowMs).errorCode).toBe(ErrorCode.NONE)
    const beyond = sessions.open(request(session.id, 6, [wish(PARTITIONS_MAX)]), consumer, nowMs)
    expect(beyond.errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    expect([sessions.size, sessions.partitions]).toEqual([0, 0])
    expect(begin(consumer, PARTITIONS_MAX + 1).session).toBeUndefined()
  })
})

describe('a request of a session', () => {
  const indexes = (session: FetchSession, isReport = false) =>
    session.wanted(isReport).map(({ wish: { partition } }) => partition)

  test('looks at what it names, at where something happened, and at a few of the others in turn', () => {
    const session = begin(consumer, 1000).session!
    const all = [...session.partitions]
    for (const partition of all) session.answered(partition)
    const seen = new Set<number>()
    for (let epoch = 1; epoch <= 70; epoch++) {
      sessions.open(request(session.id, epoch), consumer, nowMs)
      const looked = indexes(session)
      expect(looked.length).toBeLessThanOrEqual(16)
      for (const index of looked) seen.add(index)
    }
    expect(seen.size).toBe(1000)
    all[500]!.grew()
    sessions.open(request(session.id, 71, [wish(7)]), consumer, nowMs)
    expect(indexes(session).slice(0, 2)).toEqual([500, 7])
    expect(indexes(session, true)).toEqual([7])
    session.answered(all[500]!)
    expect(indexes(session)[0]).toBe(7)
  })

  test('in another life of its follower looks at everything again', () => {
    const session = begin(follower, 100).session!
    for (const partition of session.partitions) session.answered(partition)
    sessions.open(request(session.id, 1), follower, nowMs)
    expect(indexes(session).length).toBeLessThan(100)
    sessions.open(request(session.id, 2), { ...follower, brokerEpoch: 8 }, nowMs)
    expect(indexes(session)).toHaveLength(100)
  })
})
