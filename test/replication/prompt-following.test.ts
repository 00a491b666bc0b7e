/**
 * Followers whose fetches may wait for half a minute at their leader: whatever happens meanwhile, an append with acks=all
 * is answered at once.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { brokerKey } from '../../src/metadata/index.ts'
import { batchOf, produce } from '../broker/fixtures.ts'
import { type ReplicaOf, TestCluster, until } from './brokers.ts'

const WAIT_MS = 30_000
let cluster: TestCluster
beforeAll(async () => {
  const settings = { replicaFetchWaitMaxMs: WAIT_MS, replicaLagTimeMaxMs: 2 * WAIT_MS, replicaFetchBackoffMs: WAIT_MS }
  cluster = await TestCluster.start({ settings })
}, 60_000)
afterAll(() => cluster?.close())

/** Far more than it takes, and far less than a fetch waits. */
async function expectPrompt(id: number, topic: string, partition = 0): Promise<void> {
  const sent = produce(await cluster.client(id), topic, batchOf(['x']), { acks: -1, partition, timeoutMs: WAIT_MS / 3 })
  expect((await sent).errorCode).toBe(0)
}

/** Another function in place of the replica's own, until the returned one is called. */
function replace(replica: ReplicaOf, name: keyof ReplicaOf, value: unknown): () => void {
  Object.defineProperty(replica, name, { configurable: true, value })
  return () => Reflect.deleteProperty(replica, name)
}

test('after a partition is added to those that a waiting fetch asks for', async () => {
  for (let i = 0; i < 5; i++) {
    await cluster.createTopic(`added-${i}`, [[1, 2, 3]])
    await expectPrompt(1, `added-${i}`)
  }
})

test('after leadership moves, to where fetches wait already and back', async () => {
  const id = await cluster.createTopic('moves', [[1, 2, 3]])
  await cluster.createTopic('others', [
    [1, 2, 3],
    [2, 3, 1],
    [3, 1, 2],
  ])
  for (const leader of [2, 3, 1, 3, 2]) {
    await expectPrompt(cluster.replica(1, 'moves').leaderId, 'moves')
    await cluster.elect(id, leader)
    await until(() => cluster.replica(leader, 'moves').isLeader)
    await expectPrompt(leader, 'moves')
  }
})

test('after a replica could not write, as soon as its pause is over', async () => {
  await cluster.createTopic('fails', [[1, 2]])
  await expectPrompt(1, 'fails')
  const replica = cluster.replica(2, 'fails')
  const restore = replace(replica, 'appendAsFollower', () => {
    restore()
    throw new Error('cannot be written now')
  })
  await expectPrompt(1, 'fails')
})

test('after a log was cut back to where it joins its leader', async () => {
  const id = await cluster.createTopic('cut', [[1, 2, 3]])
  await expectPrompt(1, 'cut')
  const releases = [2, 3].map((member) => cluster.hold(member, 'cut'))
  await produce(await cluster.client(1), 'cut', batchOf(['lost']), { acks: 1 })
  await cluster.elect(id, 2)
  for (const release of releases) release()
  await until(() => cluster.replica(2, 'cut').isLeader)
  await expectPrompt(2, 'cut')
  await until(() => cluster.replica(1, 'cut').log.logEndOffset === 2)
})

test('after an election of which the followers heard before the leader did', async () => {
  const id = await cluster.createTopic('ahead', [[1, 2, 3]])
  await expectPrompt(1, 'ahead')
  const leader = cluster.replica(2, 'ahead')
  const { become } = leader
  let go = (): void => {}
  const held = new Promise<void>((resolve) => {
    go = resolve
  })
  const restore = replace(leader, 'become', async (state: Parameters<typeof become>[0]) => {
    await held
    await become.call(leader, state)
  })
  cluster.logger.take()
  await cluster.elect(id, 2)
  for (const member of [1, 3]) await until(() => cluster.replica(member, 'ahead').leaderId === 2)
  await new Promise((resolve) => setTimeout(resolve, 50))
  go()
  await until(() => leader.isLeader)
  restore()
  await expectPrompt(2, 'ahead')
  // They were kept waiting, not sent away.
  expect(cluster.logger.take().filter(({ message }) => message.includes('cannot be followed'))).toEqual([])
})

test('after its leader did not know the broker epoch under which the follower asks', async () => {
  // Not of broker 1: that is the controller, which would take the unknown one out.
  expect(cluster.broker(1).membership.image.controller?.id).toBe(1)
  const id = await cluster.createTopic('unknown', [[2, 3]])
  await expectPrompt(2, 'unknown')
  const { brokers } = cluster.broker(2).membership.image as unknown as { brokers: Map<number, unknown> }
  expect(brokers.delete(3)).toBe(true)
  await cluster.elect(id, 2)
  await until(() => [2, 3].every((member) => cluster.replica(member, 'unknown').leaderEpoch === 1))
  let isAnswered = false
  const sent = expectPrompt(2, 'unknown').then(() => {
    isAnswered = true
  })
  await until(() => cluster.replica(3, 'unknown').log.logEndOffset === 2)
  expect(isAnswered).toBe(false)
  const { pair } = await cluster.store.get(brokerKey(3))
  const { key, value, lease } = pair!
  await cluster.store.transact([], [{ type: 'put', key, value, ...(lease === undefined ? {} : { lease }) }])
  await sent
})

test('where the leader remembers no fetches for lack of slots', async () => {
  const settings = { replicaFetchWaitMaxMs: WAIT_MS, maxIncrementalFetchSessionCacheSlots: 0 }
  const other = await TestCluster.start({ settings })
  try {
    for (const name of ['first', 'second']) {
      await other.createTopic(name, [[1, 2, 3]])
      const answer = await produce(await other.client(1), name, batchOf(['x']), { acks: -1, timeoutMs: WAIT_MS / 3 })
      expect(answer.errorCode).toBe(0)
    }
  } finally {
    await other.close()
  }
})
