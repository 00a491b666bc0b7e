/** A metadata store that is put back to an older state (an etcd restored from a snapshot): brokers start, and serve what they have. */
import { afterEach, expect, test } from 'vitest'
import { batchOf, produce } from '../broker/fixtures.ts'
import { bytesOf, TestCluster, until } from './brokers.ts'

let cluster: TestCluster
afterEach(() => cluster?.close())

test('brokers whose logs have later epochs than the store go on in epochs behind those', async () => {
  cluster = await TestCluster.start({ settings: { replicaFetchWaitMaxMs: 20 } })
  const topicId = await cluster.createTopic('events', [[1, 2, 3]], { 'min.insync.replicas': '2' })
  const older = await cluster.state(topicId)
  for (const leader of [2, 1, 2, 3]) {
    await cluster.elect(topicId, leader)
    await cluster.inRoles('events', [1, 2, 3])
    expect((await produce(await cluster.client(leader), 'events', batchOf([`by ${leader}`]))).errorCode).toBe(0)
  }
  const { leaderEpoch } = await cluster.state(topicId)
  for (const id of [1, 2, 3]) await cluster.stopBroker(id)
  await cluster.change(topicId, () => older)
  for (const id of [1, 2, 3]) await cluster.startBroker(id)
  await until(async () => {
    const { isr, leader } = await cluster.state(topicId)
    return leader > 0 && isr.length === 3
  }, 'all in sync')
  await cluster.inRoles('events', [1, 2, 3])
  const state = await cluster.state(topicId)
  expect(state.leaderEpoch).toBeGreaterThan(leaderEpoch)
  const answer = await produce(await cluster.client(state.leader), 'events', batchOf(['after']))
  expect(answer).toMatchObject({ errorCode: 0, baseOffset: 4 })
  const replicas = [1, 2, 3].map((id) => cluster.replica(id, 'events'))
  await until(() => replicas.every(({ highWatermark }) => highWatermark === 5))
  const bytes = await bytesOf(replicas[0]!)
  for (const replica of replicas) expect((await bytesOf(replica)).equals(bytes)).toBe(true)
  expect(cluster.logger.lines.filter(({ level }) => level === 'error')).toEqual([])
})
