/** Brokers that go and come back: what they lack is fetched, what only they have goes, who is late leaves the ISR. */
import { afterEach, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { batchOf, produce } from '../broker/fixtures.ts'
import { bytesOf, TestCluster, until } from './brokers.ts'

let cluster: TestCluster
afterEach(() => cluster?.close())

async function expectEqual(topic: string, ids: readonly number[]): Promise<void> {
  const replicas = ids.map((id) => cluster.replica(id, topic))
  const { logEndOffset } = replicas.find(({ isLeader }) => isLeader)!.log
  await until(() =>
    replicas.every(({ highWatermark, log }) => highWatermark === logEndOffset && log.logEndOffset === logEndOffset),
  )
  const bytes = await bytesOf(replicas[0]!)
  for (const replica of replicas) expect((await bytesOf(replica)).equals(bytes)).toBe(true)
}

test('a follower that was away fetches what it missed and is in sync again', async () => {
  cluster = await TestCluster.start({ settings: { replicaFetchWaitMaxMs: 50 } })
  const id = await cluster.createTopic('events', [[1, 2, 3]])
  await produce(await cluster.client(1), 'events', batchOf(['a', 'b']))
  await cluster.stopBroker(3)
  await until(async () => (await cluster.state(id)).isr.length === 2)
  for (let i = 0; i < 10; i++) await produce(await cluster.client(1), 'events', batchOf([`c${i}`]))
  await cluster.startBroker(3)
  await until(async () => (await cluster.state(id)).isr.length === 3)
  await expectEqual('events', [1, 2, 3])
})

test('a leader that is back gives up the records that only it has', async () => {
  cluster = await TestCluster.start({ settings: { replicaFetchWaitMaxMs: 50 } })
  const id = await cluster.createTopic('events', [[1, 2, 3]])
  await produce(await cluster.client(1), 'events', batchOf(['a', 'b']))
  const { leaderEpoch } = cluster.replica(1, 'events')
  // Written by the leader at its end, and fetched by nobody.
  await cluster.elect(id, 2)
  await until(() => cluster.replica(1, 'events').isFollower)
  await cluster.stopBroker(1)
  await cluster.appendOffline(1, 'events', batchOf(['lost', 'lost']), leaderEpoch)
  await until(async () => (await cluster.state(id)).isr.length === 2)
  await produce(await cluster.client(2), 'events', batchOf(['c']))
  await cluster.startBroker(1)
  await until(async () => (await cluster.state(id)).isr.length === 3)
  await expectEqual('events', [1, 2, 3])
  const text = (await bytesOf(cluster.replica(1, 'events'))).toString('latin1')
  expect(text).not.toContain('lost')
})

test('all brokers at once: high watermarks are remembered, leaders elected anew, nothing is missing', async () => {
  cluster = await TestCluster.start({ settings: { replicaFetchWaitMaxMs: 50 } })
  await cluster.createTopic('events', [[1, 2, 3]])
  for (let i = 0; i < 5; i++) await produce(await cluster.client(1), 'events', batchOf([`a${i}`]))
  await expectEqual('events', [1, 2, 3])
  const before = await bytesOf(cluster.replica(1, 'events'))
  for (const id of [3, 2, 1]) await cluster.stopBroker(id)
  for (const id of [1, 2, 3]) await cluster.startBroker(id)
  await cluster.inRoles('events', [1, 2, 3])
  await expectEqual('events', [1, 2, 3])
  expect((await bytesOf(cluster.replica(2, 'events'))).equals(before)).toBe(true)
})

test('a follower that its leader has trimmed away begins anew where the leader begins', async () => {
  cluster = await TestCluster.start({ brokers: 2, settings: { replicaFetchWaitMaxMs: 50 } })
  const id = await cluster.createTopic('events', [[1, 2]])
  await produce(await cluster.client(1), 'events', batchOf(['a', 'b']))
  await cluster.stopBroker(2)
  await until(async () => (await cluster.state(id)).isr.length === 1)
  for (let i = 0; i < 5; i++) await produce(await cluster.client(1), 'events', batchOf([`c${i}`]))
  await cluster.replica(1, 'events').log.trimBefore(6)
  await cluster.startBroker(2)
  await until(async () => (await cluster.state(id)).isr.length === 2)
  expect(cluster.replica(2, 'events').log.logStartOffset).toBe(6)
  await expectEqual('events', [1, 2])
})

test('a follower whose log begins behind the end of a leader that was elected uncleanly begins anew', async () => {
  cluster = await TestCluster.start({ brokers: 2, settings: { replicaFetchWaitMaxMs: 50 } })
  const id = await cluster.createTopic('events', [[1, 2]])
  await produce(await cluster.client(1), 'events', batchOf(['a', 'b']))
  await cluster.stopBroker(2)
  await until(async () => (await cluster.state(id)).isr.length === 1)
  for (let i = 0; i < 5; i++) await produce(await cluster.client(1), 'events', batchOf([`c${i}`]))
  await cluster.replica(1, 'events').log.trimBefore(6)
  await cluster.stopBroker(1)
  await cluster.startBroker(2)
  await cluster.change(id, ({ leaderEpoch }) => ({ leader: 2, leaderEpoch: leaderEpoch + 1, isr: [2], elr: [] }))
  await until(() => cluster.replica(2, 'events').isLeader)
  await cluster.startBroker(1)
  await until(async () => (await cluster.state(id)).isr.length === 2)
  expect(cluster.replica(1, 'events').log.logStartOffset).toBe(0)
  await produce(await cluster.client(2), 'events', batchOf(['d']))
  await expectEqual('events', [1, 2])
})

test('a follower that cannot fetch leaves the ISR after replica.lag.time.max.ms, and comes back', async () => {
  cluster = await TestCluster.start({ settings: { replicaFetchWaitMaxMs: 20, replicaLagTimeMaxMs: 400 } })
  const id = await cluster.createTopic('events', [[1, 2, 3]], { 'min.insync.replicas': '2' })
  const release = cluster.hold(3, 'events')
  const answer = await produce(await cluster.client(1), 'events', batchOf(['x']), { timeoutMs: 20_000 })
  expect(answer.errorCode).toBe(0)
  expect((await cluster.state(id)).isr).toEqual([1, 2])
  expect(cluster.replica(3, 'events').log.logEndOffset).toBe(0)
  release()
  await until(async () => (await cluster.state(id)).isr.length === 3)
  await expectEqual('events', [1, 2, 3])
})

test('a follower that cannot write for long says so once, as all of it is one failure, and catches up', async () => {
  cluster = await TestCluster.start({ brokers: 2, settings: { replicaFetchWaitMaxMs: 20, replicaFetchBackoffMs: 500 } })
  await cluster.createTopic('events', [[1, 2]], { 'min.insync.replicas': '2' })
  const replica = cluster.replica(2, 'events')
  let tries = 0
  const value = () => {
    tries++
    return { byteLength: 1, endOffset: 1, lastEpoch: 0, written: Promise.reject(new Error('there is no room')) }
  }
  Object.defineProperty(replica, 'appendAsFollower', { configurable: true, value })
  cluster.logger.take()
  const produced = produce(await cluster.client(1), 'events', batchOf(['a']))
  await until(() => tries === 5)
  const told = cluster.logger.take().filter(({ message }) => message === 'a partition cannot be followed')
  expect(told.length).toBe(1)
  Reflect.deleteProperty(replica, 'appendAsFollower')
  expect((await produced).errorCode).toBe(0)
})

test('an append that its followers do not get in time is answered so, and committed later', async () => {
  cluster = await TestCluster.start({ brokers: 2, settings: { replicaFetchWaitMaxMs: 20 } })
  await cluster.createTopic('events', [[1, 2]])
  const release = cluster.hold(2, 'events')
  const answer = await produce(await cluster.client(1), 'events', batchOf(['x']), { timeoutMs: 50 })
  expect(answer).toMatchObject({ errorCode: ErrorCode.REQUEST_TIMED_OUT, baseOffset: -1 })
  expect(cluster.replica(1, 'events').waitingAppends).toBe(0)
  release()
  await expectEqual('events', [1, 2])
})
