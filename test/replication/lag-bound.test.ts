/** How far acks=1 may run ahead of followers: at a leader alone, and through the sockets of a cluster. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { defaultsOf, ErrorCode, silentLogger } from '../../src/base/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { Log, logSettings } from '../../src/log/index.ts'
import type { PartitionValue } from '../../src/metadata/index.ts'
import { ApiVersions } from '../../src/protocol/index.ts'
import { type IsrChange, Partition, soundRules, withIsr } from '../../src/replication/index.ts'
import { batchOf, produce } from '../broker/fixtures.ts'
import { RawClient } from '../broker/raw-client.ts'
import { TestCluster, until } from './brokers.ts'

/** Large enough for an entry of its own in the index, which tells the leader how far a follower is in bytes. */
const VALUE = 'v'.repeat(5000)
const BATCH_BYTES = batchOf([VALUE]).length
const LAG_MS = 10_000
const WAIT_MS = 500

describe('a leader', () => {
  let clock: VirtualClock
  let partition: Partition

  /** Of batches. */
  async function lead(bound: number, { isr = [1, 2, 3], replicas = [1, 2, 3] } = {}): Promise<void> {
    const disk = memoryDisk()
    await disk.makeDirectory('/log')
    clock = new VirtualClock()
    const settings = defaultsOf(logSettings)
    const log = await Log.open({
      env: { disk, clock },
      directory: '/log',
      settings,
      recoveryPoint: 0,
      cleanShutdown: true,
    })
    let state: PartitionValue = { leader: 1, leaderEpoch: 1, replicas, isr, elr: [], partitionEpoch: 1 }
    const change = async (wanted: IsrChange) => {
      state = withIsr(state, wanted.isr, wanted.minIsr)
      return { changed: true, state }
    }
    const context = {
      nodeId: 1,
      clock,
      logger: silentLogger,
      isrStore: { change },
      replicaLagTimeMaxMs: LAG_MS,
      replicaLagMaxBytes: bound * BATCH_BYTES,
      replicaFetchWaitMaxMs: WAIT_MS,
      rules: soundRules,
      broker: (id: number) => ({ epoch: 100 + id, modRevision: 1 }),
      ownEpoch: () => 101,
      leaseValid: () => true,
    }
    partition = new Partition({ topic: 't', topicId: 'id', index: 0 }, log, { minInsyncReplicas: 1 }, context)
    if (replicas.length > 1) partition.restore(0)
    await partition.become(state)
  }

  /** Codes of those that were answered, in the order of the answers; each says which append it was. */
  async function append(count: number): Promise<[number, number][]> {
    const answers: [number, number][] = []
    for (let i = 0; i < count; i++) {
      const { baseOffset } = await partition.append(batchOf([VALUE]))
      const end = partition.placeTooFarAhead
      const settled = (code: number): void => void answers.push([baseOffset, code])
      if (end === undefined) settled(ErrorCode.NONE)
      else partition.awaitFollowers({ end, settled }, partition.leaderEpoch)
    }
    return answers
  }
  const fetched = (replicaId: number, logEndOffset: number): void => {
    partition.followerFetched({ replicaId, brokerEpoch: 100 + replicaId, logEndOffset, logStartOffset: 0 })
  }
  const offsetsOf = (answers: readonly [number, number][]): number[] => answers.map(([offset]) => offset)

  test('answers at once up to the bound, then only as the slowest in sync comes nearer, in order', async () => {
    await lead(3)
    const answers = await append(6)
    expect(offsetsOf(answers)).toEqual([0, 1, 2])
    expect(partition.waitingAppends).toBe(3)
    fetched(2, 6)
    expect(offsetsOf(answers)).toEqual([0, 1, 2])
    fetched(3, 2)
    expect(offsetsOf(answers)).toEqual([0, 1, 2, 3, 4])
    fetched(3, 6)
    expect(answers).toEqual([0, 1, 2, 3, 4, 5].map((offset) => [offset, ErrorCode.NONE]))
    expect(offsetsOf(await append(3))).toEqual([6, 7, 8])
  })

  test('waits for nobody that is not in sync', async () => {
    await lead(2, { isr: [1, 2] })
    fetched(2, 0)
    const answers = await append(4)
    expect(offsetsOf(answers)).toEqual([0, 1])
    fetched(2, 4)
    expect(offsetsOf(answers)).toEqual([0, 1, 2, 3])
  })

  test('waits no longer for a follower that leaves the ISR', async () => {
    await lead(2)
    const answers = await append(4)
    fetched(2, 4)
    // It asks, but has not caught up for too long.
    for (let ms = 0; ms <= LAG_MS; ms += WAIT_MS) {
      await clock.advance(WAIT_MS)
      fetched(2, 4)
      fetched(3, 0)
    }
    expect(offsetsOf(answers)).toEqual([0, 1])
    partition.check()
    await until(() => partition.leader!.isr.length === 2)
    expect(offsetsOf(answers)).toEqual([0, 1, 2, 3])
    expect(offsetsOf(await append(2))).toEqual([4, 5])
  })

  test('waits no longer for a follower that asks for nothing, until it does again', async () => {
    await lead(2)
    fetched(2, 0)
    fetched(3, 0)
    const answers = await append(4)
    for (let i = 0; i < 3; i++) {
      await clock.advance(WAIT_MS)
      fetched(2, 4)
      expect(offsetsOf(answers)).toEqual(i < 2 ? [0, 1] : [0, 1, 2, 3])
    }
    expect(partition.leader!.isr).toEqual([1, 2, 3])
    expect(offsetsOf(await append(5))).toHaveLength(2)
    fetched(2, 9)
    fetched(3, 4)
    const later = await append(1)
    expect(offsetsOf(later)).toEqual([])
    fetched(3, 9)
    expect(offsetsOf(later)).toEqual([9])
  })

  test('waits for one that comes into the ISR, from where it is', async () => {
    await lead(2, { isr: [1, 2] })
    await append(2)
    fetched(2, 2)
    fetched(3, 2)
    await until(() => partition.leader!.isr.length === 3)
    const answers = await append(3)
    fetched(2, 5)
    expect(offsetsOf(answers)).toEqual([2, 3])
    fetched(3, 5)
    expect(offsetsOf(answers)).toEqual([2, 3, 4])
  })

  test.each([
    ['the bound is 0', 0, [1, 2, 3]],
    ['there are no followers', 1, [1]],
  ])('never waits when %s', async (_, bound, replicas) => {
    await lead(bound, { isr: replicas, replicas })
    expect(await append(9)).toHaveLength(9)
    expect(partition.waitingAppends).toBe(0)
  })

  test('that leads no more has answered what it had', async () => {
    await lead(1)
    const answers = await append(3)
    const { state } = partition
    await partition.become({ ...state, leader: 2, leaderEpoch: 2, partitionEpoch: 9 })
    expect(answers).toEqual([0, 1, 2].map((offset) => [offset, ErrorCode.NONE]))
    const codes: number[] = []
    partition.awaitFollowers({ end: 1e9, settled: (code) => codes.push(code) }, 1)
    expect(codes).toEqual([ErrorCode.NONE])
  })

  test('acknowledges nothing any more when its disk failed', async () => {
    await lead(1)
    const answers = await append(2)
    partition.markFailed()
    expect(answers).toEqual([
      [0, ErrorCode.NONE],
      [1, ErrorCode.KAFKA_STORAGE_ERROR],
    ])
  })
})

describe('connections with acks=1', () => {
  let cluster: TestCluster
  beforeAll(async () => {
    // Long waits: who stands still here is not to be taken for one that is away.
    const settings = { replicaFetchWaitMaxMs: 30_000, replicaLagTimeMaxMs: 60_000, replicaLagMaxBytes: 3 * BATCH_BYTES }
    cluster = await TestCluster.start({ settings })
  }, 60_000)
  afterAll(() => cluster?.close())

  /** A topic with a follower that stands still, and what has been answered of six appends. */
  async function standstill(topic: string, timeoutMs = 60_000) {
    const topicId = await cluster.createTopic(topic, [[1, 2, 3]])
    const release = cluster.hold(2, topic)
    const client = await cluster.client(1)
    const answers: { errorCode: number; baseOffset: bigint | number }[] = []
    const sent = async () => answers.push(await produce(client, topic, batchOf([VALUE]), { acks: 1, timeoutMs }))
    // One by one: what is written together is as far ahead as its last.
    for (let i = 0; i < 3; i++) await sent()
    const all = [sent(), sent(), sent()]
    await until(() => cluster.replica(1, topic).log.logEndOffset === 6)
    return { topicId, release, client, answers, all: Promise.all(all) }
  }

  test('wait for a follower that stands still, and are answered when it goes on, in order with other requests', async () => {
    const { release, client, answers, all } = await standstill('still')
    let isTold = false
    const asked = client.ask(ApiVersions, 3, { clientSoftwareName: 'x', clientSoftwareVersion: '1' }).then(() => {
      isTold = true
    })
    await until(() => cluster.replica(1, 'still').waitingAppends === 3)
    expect([answers.length, isTold]).toEqual([3, false])
    release()
    await all
    await asked
    expect(client.answered).toEqual(client.answered.toSorted((a, b) => a - b))
    expect(answers.map(({ errorCode, baseOffset }) => [errorCode, Number(baseOffset)])).toEqual(
      [0, 1, 2, 3, 4, 5].map((offset) => [0, offset]),
    )
  })

  test('have succeeded before their time is over', async () => {
    const { release, answers, all } = await standstill('late', 400)
    await all
    expect(answers.map(({ errorCode }) => errorCode)).toEqual([0, 0, 0, 0, 0, 0])
    expect(cluster.replica(1, 'late').waitingAppends).toBe(0)
    expect(cluster.replica(2, 'late').log.logEndOffset).toBe(0)
    release()
  })

  test('have succeeded when another broker leads', async () => {
    const { topicId, release, answers, all } = await standstill('elected')
    await cluster.elect(topicId, 3)
    await all
    expect(answers.map(({ errorCode }) => errorCode)).toEqual([0, 0, 0, 0, 0, 0])
    release()
  })

  test('hold up nobody on another connection', async () => {
    await cluster.createTopic('other', [[1, 2, 3]])
    const { release, all } = await standstill('one')
    const client = await RawClient.connect(cluster.bootstrap[0]!)
    expect((await produce(client, 'other', batchOf(['x']))).errorCode).toBe(0)
    await client.close()
    release()
    await all
  })

  test('or acks=0 are not read from while 64 of their requests wait for a follower', async () => {
    await cluster.createTopic('unheard', [[1, 2, 3]])
    const release = cluster.hold(2, 'unheard')
    const client = await RawClient.connect(cluster.bootstrap[0]!)
    for (let i = 0; i < 300; i++) produce(client, 'unheard', batchOf([VALUE]), { acks: 0 }).catch(() => {})
    const { log } = cluster.replica(1, 'unheard')
    await until(() => cluster.replica(1, 'unheard').waitingAppends > 0)
    for (let i = 0; i < 20; i++)
      expect((await produce(await cluster.client(1), 'still', batchOf([VALUE]))).errorCode).toBe(0)
    expect(log.logEndOffset).toBeLessThan(100)
    release()
    await until(() => log.logEndOffset === 300)
    await client.close()
  })
})
