/** Logs that go and come again while roles change, and what a leader tells of offsets that it may be wrong about. */
import { afterEach, expect, test } from 'vitest'
import { ErrorCode, PagelogError } from '../../src/base/index.ts'
import { deletedKey, partitionKey, partitionsOfTopic, topicKey } from '../../src/metadata/index.ts'
import { ListOffsets } from '../../src/protocol/index.ts'
import { batchOf, produce } from '../broker/fixtures.ts'
import { TestCluster, until } from './brokers.ts'

let cluster: TestCluster
afterEach(() => cluster?.close())

const start = async (brokers: number): Promise<void> => {
  cluster = await TestCluster.start({ brokers, settings: { replicaFetchWaitMaxMs: 50 } })
}

test('a topic that is deleted and created again is seen so at once: the old logs go before the new ones come', async () => {
  await start(2)
  const id = await cluster.createTopic('again', [[1, 2]])
  for (const value of ['a', 'b', 'c']) await produce(await cluster.client(1), 'again', batchOf([value]))
  await until(() => cluster.replica(2, 'again').highWatermark === 3)
  // One revision, as one reading of everything would show it.
  const other = 'AAAAAAAAAAAAAAAAAAAAAQ'
  const topic = { id: other, partitions: 1, replicationFactor: 2, configs: {} }
  const state = { leader: 1, leaderEpoch: 0, replicas: [1, 2], isr: [1, 2], elr: [], partitionEpoch: 0 }
  await cluster.store.transact(
    [],
    [
      { type: 'deletePrefix', prefix: partitionsOfTopic(id) },
      { type: 'put', key: deletedKey(id), value: JSON.stringify({ name: 'again', replicas: [1, 2] }) },
      { type: 'put', key: partitionKey(other, 0), value: JSON.stringify(state) },
      { type: 'put', key: topicKey('again'), value: JSON.stringify(topic) },
    ],
  )
  await until(() => [1, 2].every((broker) => cluster.broker(broker).partitions.find('again', 0)?.topicId === other))
  await cluster.inRoles('again', [1, 2])
  expect(await produce(await cluster.client(1), 'again', batchOf(['new']))).toMatchObject({
    errorCode: 0,
    baseOffset: 0,
  })
  await until(() => cluster.replica(2, 'again').highWatermark === 1)
  expect(cluster.replica(2, 'again').log.logEndOffset).toBe(1)
  await until(async () => (await cluster.store.get(deletedKey(id))).pair === undefined)
})

test('a log that is begun anew while the leader changes is the one that the next role finds', async () => {
  await start(2)
  const id = await cluster.createTopic('events', [[1, 2]])
  await produce(await cluster.client(1), 'events', batchOf(['a', 'b']))
  await cluster.stopBroker(2)
  await until(async () => (await cluster.state(id)).isr.length === 1)
  for (let i = 0; i < 5; i++) await produce(await cluster.client(1), 'events', batchOf([`c${i}`]))
  await cluster.replica(1, 'events').log.trimBefore(6)
  const disk = cluster.disk(2)
  const { makeDirectory } = disk
  let release = (): void => {}
  let isHeld = false
  const value = async (path: string): Promise<void> => {
    if (path.endsWith('/events-0')) {
      isHeld = true
      await new Promise<void>((resolve) => (release = resolve))
    }
    await makeDirectory.call(disk, path)
  }
  Object.defineProperty(disk, 'makeDirectory', { configurable: true, value })
  await cluster.startBroker(2)
  await until(() => isHeld)
  await cluster.elect(id, 1)
  const { leaderEpoch } = await cluster.state(id)
  await until(() => cluster.replica(1, 'events').leaderEpoch === leaderEpoch)
  cluster.logger.take()
  release()
  Reflect.deleteProperty(disk, 'makeDirectory')
  await until(async () => (await cluster.state(id)).isr.length === 2)
  const { log } = cluster.replica(2, 'events')
  expect([log.logStartOffset, log.logEndOffset]).toEqual([6, 7])
  expect(cluster.logger.take().filter(({ level }) => level === 'error')).toEqual([])
})

test('a log that there was no room to begin anew is begun when there is, though another leads by then', async () => {
  await start(2)
  const id = await cluster.createTopic('events', [[1, 2]])
  await produce(await cluster.client(1), 'events', batchOf(['a', 'b']))
  await cluster.stopBroker(2)
  await until(async () => (await cluster.state(id)).isr.length === 1)
  for (let i = 0; i < 5; i++) await produce(await cluster.client(1), 'events', batchOf([`c${i}`]))
  await cluster.replica(1, 'events').log.trimBefore(6)
  const disk = cluster.disk(2)
  const { makeDirectory } = disk
  let refused = 0
  const value = async (path: string): Promise<void> => {
    if (path.endsWith('/events-0')) {
      refused++
      throw new PagelogError('PAGELOG_DISK_FULL', 'there is no room', { path })
    }
    await makeDirectory.call(disk, path)
  }
  Object.defineProperty(disk, 'makeDirectory', { configurable: true, value })
  await cluster.startBroker(2)
  await until(() => refused > 0)
  await cluster.elect(id, 1)
  const { leaderEpoch } = await cluster.state(id)
  await until(() => cluster.replica(1, 'events').leaderEpoch === leaderEpoch)
  const before = refused
  await until(() => refused > before + 1)
  Reflect.deleteProperty(disk, 'makeDirectory')
  await until(async () => (await cluster.state(id)).isr.length === 2)
  const { log } = cluster.replica(2, 'events')
  expect([log.logStartOffset, log.logEndOffset]).toEqual([6, 7])
})

test('a leader whose registration is gone leads nothing until it is elected in its next life', async () => {
  await start(2)
  const id = await cluster.createTopic('events', [[1, 2]])
  await produce(await cluster.client(1), 'events', batchOf(['a']))
  const { membership } = cluster.broker(1)
  const { registration } = membership
  const { brokerEpoch } = registration
  const { leaderEpoch } = cluster.replica(1, 'events')
  const seen: boolean[] = []
  registration.onFenced(() => seen.push(cluster.replica(1, 'events').isLeader))
  await cluster.store.revokeLease(membership.lease!)
  await until(() => registration.brokerEpoch > brokerEpoch)
  expect(seen).toEqual([false])
  await until(async () => (await cluster.state(id)).isr.length === 2)
  const state = await cluster.state(id)
  expect(state.leaderEpoch).toBeGreaterThan(leaderEpoch)
  await until(() => cluster.replica(state.leader, 'events').isLeader)
  const answer = await produce(await cluster.client(state.leader), 'events', batchOf(['b']))
  expect(answer).toMatchObject({ errorCode: 0, baseOffset: 1 })
})

const listed = async (timestamp: number) => {
  const client = await cluster.client(1)
  const topics = [{ name: 'events', partitions: [{ partitionIndex: 0, timestamp }] }]
  const answer = await client.ask(ListOffsets, 7, { replicaId: -1, topics })
  const { errorCode, offset } = answer.topics[0]!.partitions[0]!
  return { errorCode, offset }
}

test('ListOffsets tells of no record that is not committed, the first one included', async () => {
  await start(2)
  await cluster.createTopic('events', [[1, 2]])
  const client = await cluster.client(1)
  await produce(client, 'events', batchOf(['a', 'b'], { timestamp: 1000 }))
  const release = cluster.hold(2, 'events')
  await produce(client, 'events', batchOf(['c'], { timestamp: 2000 }), { acks: 1 })
  const isNone = { errorCode: ErrorCode.NONE, offset: -1 }
  expect([await listed(1000), await listed(1500), await listed(-3)]).toEqual([
    { errorCode: ErrorCode.NONE, offset: 0 },
    isNone,
    isNone,
  ])
  expect([(await listed(-1)).offset, (await listed(-2)).offset]).toEqual([2, 0])
  release()
  await until(async () => (await listed(1500)).offset === 2)
  expect((await listed(-3)).offset).toBe(2)
})

test('ListOffsets of the end asks the store first where the lease may be over', async () => {
  await start(2)
  await cluster.createTopic('events', [[1, 2]])
  await produce(await cluster.client(1), 'events', batchOf(['a']))
  const { registration } = cluster.broker(1).membership
  let checks = 0
  const during = (check: () => Promise<void>): void => {
    Object.defineProperty(registration, 'leaseValid', { configurable: true, value: () => false })
    const value = (): Promise<void> => {
      checks++
      return check()
    }
    Object.defineProperty(registration, 'check', { configurable: true, value })
  }
  during(() => Promise.resolve())
  expect(await listed(-1)).toEqual({ errorCode: ErrorCode.NONE, offset: 1 })
  expect(checks).toBeGreaterThan(0)
  // A store that does not answer fences nobody.
  during(() => new Promise(() => {}))
  expect(await listed(-1)).toEqual({ errorCode: ErrorCode.NONE, offset: 1 })
  // What the store says then is what is answered by.
  during(async () => cluster.replica(1, 'events').suspend())
  expect((await listed(-1)).errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  for (const name of ['leaseValid', 'check']) Reflect.deleteProperty(registration, name)
})
