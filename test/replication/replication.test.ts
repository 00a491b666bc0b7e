/** Three brokers: what is appended at a leader reaches its followers, what is answered when, and who takes over. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { Fetch, ListOffsets, OffsetForLeaderEpoch, Produce } from '../../src/protocol/index.ts'
import { batchOf, fetch, produce, recordsIn } from '../broker/fixtures.ts'
import { bytesOf, TestCluster, until } from './brokers.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await TestCluster.start({ settings: { replicaFetchWaitMaxMs: 50, replicaLagTimeMaxMs: 60_000 } })
}, 60_000)
afterAll(() => cluster?.close())

/** Every replica has all of the leader's log, as the same bytes, and knows it to be committed. */
async function expectEqual(topic: string, ids = [1, 2, 3], index = 0): Promise<void> {
  const replicas = ids.map((id) => cluster.replica(id, topic, index))
  const leader = replicas.find(({ isLeader }) => isLeader)!
  const { logEndOffset } = leader.log
  await until(() =>
    replicas.every(({ highWatermark, log }) => highWatermark === logEndOffset && log.logEndOffset === logEndOffset),
  )
  const bytes = await bytesOf(leader)
  for (const replica of replicas) expect((await bytesOf(replica)).equals(bytes)).toBe(true)
}

describe('produce', () => {
  test.each([
    { acks: 0, name: 'none' },
    { acks: 1, name: 'one' },
    { acks: -1, name: 'all' },
  ])('with acks=$acks reaches every replica, byte for byte', async ({ acks, name }) => {
    await cluster.createTopic(name, [[1, 2, 3]])
    const client = await cluster.client(1)
    for (let i = 0; i < 20; i++) {
      const sent = produce(client, name, batchOf([`a${i}`, `b${i}`]), { acks })
      if (acks === 0)
        sent.catch(() => {}) // nothing answers
      else expect(await sent).toMatchObject({ errorCode: 0, baseOffset: 2 * i })
    }
    await until(() => cluster.replica(1, name).log.logEndOffset === 40)
    await expectEqual(name)
  })

  test('with acks=all is committed when it is answered, on every member of the ISR', async () => {
    await cluster.createTopic('committed', [[1, 2, 3]])
    const client = await cluster.client(1)
    for (let i = 1; i <= 10; i++) {
      expect((await produce(client, 'committed', batchOf(['x']))).errorCode).toBe(0)
      expect(cluster.replica(1, 'committed').highWatermark).toBe(i)
      for (const id of [2, 3]) expect(cluster.replica(id, 'committed').log.logEndOffset).toBe(i)
    }
  })

  test('of large batches in many partitions at once is pipelined, and arrives whole', async () => {
    const partitions = 4
    await cluster.createTopic(
      'large',
      Array.from({ length: partitions }, (_, i) => [(i % 3) + 1, ((i + 1) % 3) + 1, ((i + 2) % 3) + 1]),
    )
    const value = 'v'.repeat(2000)
    const batch = (round: number) => batchOf(Array.from({ length: 200 }, (_, i) => `${round}-${i}-${value}`))
    const sent: Promise<unknown>[] = []
    for (let round = 0; round < 12; round++) {
      for (let partition = 0; partition < partitions; partition++) {
        const client = await cluster.client((partition % 3) + 1)
        sent.push(
          produce(client, 'large', batch(round), { acks: -1, partition }).then((a) => expect(a.errorCode).toBe(0)),
        )
      }
    }
    await Promise.all(sent)
    for (let partition = 0; partition < partitions; partition++) await expectEqual('large', [1, 2, 3], partition)
  })

  test('at a follower says who leads, and where (KIP-951)', async () => {
    await cluster.createTopic('hints', [[2, 1]])
    const request = {
      acks: 1,
      timeoutMs: 1000,
      topicData: [{ name: 'hints', partitionData: [{ index: 0, records: batchOf(['x']) }] }],
    }
    for (const id of [1, 3]) {
      const { responses, nodeEndpoints } = await (await cluster.client(id)).ask(Produce, 10, request)
      expect(responses[0]!.partitionResponses[0]).toMatchObject({
        errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER,
        currentLeader: { leaderId: 2, leaderEpoch: cluster.replica(2, 'hints').leaderEpoch },
      })
      const { host, port } = cluster.broker(2)
      expect(nodeEndpoints).toEqual([{ nodeId: 2, host, port, rack: null }])
    }
  })

  test('is refused while fewer than min.insync.replicas are in sync, and taken with acks=1', async () => {
    const id = await cluster.createTopic('few', [[1, 2]], { 'min.insync.replicas': '2' })
    await cluster.change(id, () => ({ isr: [1] }))
    await until(() => cluster.replica(1, 'few').leader?.isr.length === 1)
    const client = await cluster.client(1)
    // The follower is there, so it is back soon; until then nothing is taken that must be on two replicas.
    const answer = await produce(client, 'few', batchOf(['x']))
    expect([0, ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND]).toContain(answer.errorCode)
    expect((await produce(client, 'few', batchOf(['x']), { acks: 1 })).errorCode).toBe(0)
    await until(async () => (await cluster.state(id)).isr.length === 2)
    expect((await produce(client, 'few', batchOf(['x']))).errorCode).toBe(0)
  })
})

describe('another leader', () => {
  test('has all that was answered, goes on in its epoch, and the former one follows it', async () => {
    const id = await cluster.createTopic('moved', [[1, 2, 3]])
    for (let i = 0; i < 5; i++) await produce(await cluster.client(1), 'moved', batchOf([`a${i}`]))
    await cluster.elect(id, 2)
    await until(() => cluster.replica(2, 'moved').isLeader)
    const answer = await produce(await cluster.client(2), 'moved', batchOf(['b']))
    expect(answer).toMatchObject({ errorCode: 0, baseOffset: 5 })
    await expectEqual('moved')
    const { epoch, endOffset } = cluster
      .replica(1, 'moved')
      .log.endOffsetFor(cluster.replica(2, 'moved').leaderEpoch - 1)
    expect({ epoch, endOffset }).toEqual({ epoch: cluster.replica(2, 'moved').leaderEpoch - 1, endOffset: 5 })
  })

  test('ends what waits at the former one with an error that is tried again', async () => {
    const id = await cluster.createTopic('waiting', [[1, 2]])
    const release = cluster.hold(2, 'waiting')
    const client = await cluster.client(1)
    const sent = produce(client, 'waiting', batchOf(['x']))
    const fetched = fetch(client, 'waiting', { offset: 0, maxWaitMs: 20_000 })
    await until(
      () => cluster.replica(1, 'waiting').waitingAppends === 1 && cluster.replica(1, 'waiting').waitingFetches > 0,
    )
    await cluster.elect(id, 2)
    expect((await sent).errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    expect((await fetched).errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    release()
    await expectEqual('waiting', [1, 2])
  })

  test('knows the batches of idempotent producers: a repeated one is not appended again, a gap is refused', async () => {
    const id = await cluster.createTopic('idempotent', [[1, 2, 3]])
    const batch = (baseSequence: number) => batchOf(['a', 'b'], { producerId: 77, producerEpoch: 0, baseSequence })
    for (const sequence of [0, 2, 4]) {
      expect((await produce(await cluster.client(1), 'idempotent', batch(sequence))).errorCode).toBe(0)
    }
    await cluster.elect(id, 3)
    await until(() => cluster.replica(3, 'idempotent').isLeader)
    const client = await cluster.client(3)
    expect(await produce(client, 'idempotent', batch(2))).toMatchObject({ errorCode: 0, baseOffset: 2 })
    expect((await produce(client, 'idempotent', batch(9))).errorCode).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    expect(await produce(client, 'idempotent', batch(6))).toMatchObject({ errorCode: 0, baseOffset: 6 })
    expect(cluster.replica(3, 'idempotent').log.logEndOffset).toBe(8)
    await expectEqual('idempotent')
  })

  test('fences requests of other epochs, and tells where epochs ended', async () => {
    const id = await cluster.createTopic('epochs', [[1, 2]])
    await produce(await cluster.client(1), 'epochs', batchOf(['x', 'y']))
    await cluster.elect(id, 2)
    await until(() => cluster.replica(2, 'epochs').isLeader)
    const client = await cluster.client(2)
    const { leaderEpoch } = cluster.replica(2, 'epochs')
    const ask = async (currentLeaderEpoch: number, asked: number) => {
      const partitions = [{ partition: 0, currentLeaderEpoch, leaderEpoch: asked }]
      const { topics } = await client.ask(OffsetForLeaderEpoch, 4, { topics: [{ topic: 'epochs', partitions }] })
      return topics[0]!.partitions[0]!
    }
    expect(await ask(leaderEpoch, leaderEpoch - 1)).toMatchObject({
      errorCode: 0,
      leaderEpoch: leaderEpoch - 1,
      endOffset: 2,
    })
    expect(await ask(-1, leaderEpoch)).toMatchObject({ errorCode: 0, leaderEpoch, endOffset: 2 })
    expect(await ask(-1, leaderEpoch + 5)).toMatchObject({ errorCode: 0, leaderEpoch: -1, endOffset: -1 })
    expect((await ask(leaderEpoch - 1, 0)).errorCode).toBe(ErrorCode.FENCED_LEADER_EPOCH)
    expect((await ask(leaderEpoch + 1, 0)).errorCode).toBe(ErrorCode.UNKNOWN_LEADER_EPOCH)
    const fenced = await fetch(client, 'epochs', { currentLeaderEpoch: leaderEpoch - 1 })
    expect(fenced).toMatchObject({
      errorCode: ErrorCode.FENCED_LEADER_EPOCH,
      currentLeader: { leaderId: 2, leaderEpoch },
    })
    expect((await fetch(await cluster.client(1), 'epochs')).errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  })

  test('does not tell the end of the log before its high watermark has reached its epoch', async () => {
    const id = await cluster.createTopic('unknown-end', [[1, 2]])
    await produce(await cluster.client(1), 'unknown-end', batchOf(['x']), { acks: 1 })
    await expectEqual('unknown-end', [1, 2])
    // The former leader does not follow: the new one cannot learn that what it has is committed.
    Object.defineProperty(cluster.replica(1, 'unknown-end'), 'isFollower', { configurable: true, value: false })
    cluster.replica(2, 'unknown-end').log.replica.uncommit(0)
    await cluster.elect(id, 2)
    await until(() => cluster.replica(2, 'unknown-end').isLeader)
    const client = await cluster.client(2)
    const latest = async (version: number) => {
      const partitions = [{ partitionIndex: 0, timestamp: -1 }]
      const { topics } = await client.ask(ListOffsets, version, {
        replicaId: -1,
        topics: [{ name: 'unknown-end', partitions }],
      })
      return topics[0]!.partitions[0]!.errorCode
    }
    expect(await latest(7)).toBe(ErrorCode.OFFSET_NOT_AVAILABLE)
    expect(await latest(4)).toBe(ErrorCode.LEADER_NOT_AVAILABLE)
    expect(await fetch(client, 'unknown-end', { offset: 1 })).toMatchObject({ errorCode: 0, highWatermark: 0 })
    Reflect.deleteProperty(cluster.replica(1, 'unknown-end'), 'isFollower')
    await cluster.elect(id, 2)
    await until(async () => (await latest(7)) === 0)
  })
})

describe('consumers', () => {
  test('see nothing that is not committed, and wait for it', async () => {
    await cluster.createTopic('hidden', [[1, 2]])
    const client = await cluster.client(1)
    for (const value of ['a', 'b', 'c']) await produce(client, 'hidden', batchOf([value]))
    const release = cluster.hold(2, 'hidden')
    await produce(client, 'hidden', batchOf(['d']), { acks: 1 })
    const seen = await fetch(client, 'hidden', { offset: 0 })
    expect(seen.highWatermark).toBe(3)
    expect(recordsIn(seen.records)).toEqual(['0:a', '1:b', '2:c'])
    expect(recordsIn((await fetch(client, 'hidden', { offset: 1 })).records)).toEqual(['1:b', '2:c'])
    const more = fetch(client, 'hidden', { offset: 3, maxWaitMs: 20_000 })
    await until(() => cluster.replica(1, 'hidden').waitingFetches > 0)
    release()
    expect(recordsIn((await more).records)).toEqual(['3:d'])
  })

  test('have sessions: what is asked for is remembered, and only news is answered', async () => {
    await cluster.createTopic('sessions', [[1], [1]])
    const client = await cluster.client(1)
    const wish = (partition: number, fetchOffset = 0) => ({ partition, fetchOffset, partitionMaxBytes: 1000 })
    const ask = (
      body: Partial<{ sessionId: number; sessionEpoch: number; topics: object[]; forgottenTopicsData: object[] }>,
    ) => client.ask(Fetch, 12, { maxWaitMs: 0, minBytes: 1, topics: [], ...body } as never)
    const begun = await ask({ sessionEpoch: 0, topics: [{ topic: 'sessions', partitions: [wish(0), wish(1)] }] })
    const { sessionId } = begun
    expect(sessionId).toBeGreaterThan(0)
    expect(begun.responses[0]!.partitions).toHaveLength(2)
    expect(await ask({ sessionId, sessionEpoch: 1 })).toMatchObject({ errorCode: 0, sessionId, responses: [] })
    await produce(client, 'sessions', batchOf(['x']), { partition: 1 })
    const news = await ask({ sessionId, sessionEpoch: 2 })
    expect(news.responses[0]!.partitions.map(({ partitionIndex }) => partitionIndex)).toEqual([1])
    const forgotten = [{ topic: 'sessions', partitions: [1] }]
    expect((await ask({ sessionId, sessionEpoch: 3, forgottenTopicsData: forgotten })).responses).toEqual([])
    expect((await ask({ sessionId, sessionEpoch: 3 })).errorCode).toBe(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
    expect(
      (await ask({ sessionId, sessionEpoch: -1, topics: [{ topic: 'sessions', partitions: [wish(0)] }] })).sessionId,
    ).toBe(0)
    expect((await ask({ sessionId, sessionEpoch: 4 })).errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
  })
})

test('an only replica answers for epochs of which its log has nothing', async () => {
  await cluster.createTopic('single', [[1]])
  const client = await cluster.client(1)
  const topics = (leaderEpoch: number) => [{ topic: 'single', partitions: [{ partition: 0, leaderEpoch }] }]
  const empty = await client.ask(OffsetForLeaderEpoch, 4, { topics: topics(0) })
  expect(empty.topics[0]!.partitions[0]).toMatchObject({ errorCode: 0, leaderEpoch: 0, endOffset: 0 })
  const partitions = [{ partition: 0, fetchOffset: 0, lastFetchedEpoch: 0, partitionMaxBytes: 100 }]
  const fetched = await client.ask(Fetch, 12, { topics: [{ topic: 'single', partitions }] })
  expect(fetched.responses[0]!.partitions[0]!.errorCode).toBe(0)
})

test('a topic that is deleted goes from every broker, and comes again with other records', async () => {
  const { DeleteTopics } = await import('../../src/protocol/index.ts')
  await cluster.createTopic('again', [[1, 2, 3]])
  await produce(await cluster.client(1), 'again', batchOf(['old', 'old']))
  await (await cluster.client(1)).ask(DeleteTopics, 5, { topicNames: ['again'], timeoutMs: 10_000 })
  await until(() => [1, 2, 3].every((id) => cluster.broker(id).partitions.find('again', 0) === undefined))
  await cluster.createTopic('again', [[2, 3, 1]])
  expect(await produce(await cluster.client(2), 'again', batchOf(['new']))).toMatchObject({
    errorCode: 0,
    baseOffset: 0,
  })
  await expectEqual('again')
})
