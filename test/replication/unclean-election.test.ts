/** `unclean.leader.election.enable` of a topic, when only a replica lives that has not all that was acknowledged. */
import { afterEach, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { batchOf, fetch, produce, recordsIn } from '../broker/fixtures.ts'
import { TestCluster, until } from './brokers.ts'

const TOPIC = 'events'
let cluster: TestCluster
afterEach(() => cluster?.close())

/** Two replicas, of which 2 lacks the last record; 1, which led alone, is gone. Broker 3 has none of it. */
async function onlyOneBehindLives(unclean: boolean): Promise<string> {
  cluster = await TestCluster.start({ settings: { replicaFetchWaitMaxMs: 50 } })
  const configs = { 'unclean.leader.election.enable': String(unclean), 'min.insync.replicas': '1' }
  const id = await cluster.createTopic(TOPIC, [[1, 2]], configs)
  expect((await produce(await cluster.client(1), TOPIC, batchOf(['a']), { acks: -1 })).errorCode).toBe(0)
  await until(() => cluster.replica(2, TOPIC).highWatermark === 1)
  const release = cluster.hold(2, TOPIC)
  await cluster.change(id, () => ({ isr: [1] }))
  await until(() => cluster.replica(1, TOPIC).state.isr.length === 1)
  expect((await produce(await cluster.client(1), TOPIC, batchOf(['lost']), { acks: -1 })).errorCode).toBe(0)
  expect(cluster.replica(1, TOPIC).highWatermark).toBe(2)
  await cluster.stopBroker(1)
  release()
  return id
}

const said = (message: string) => cluster.logger.lines.filter((line) => line.message.startsWith(message))

test('true: it leads, and both losses are said, the likely one and the one that came', async () => {
  const id = await onlyOneBehindLives(true)
  await until(async () => (await cluster.state(id)).leader === 2 && cluster.replica(2, TOPIC).isLeader)
  expect((await cluster.state(id)).isr).toEqual([2])
  const { level, fields } = said('elected a leader that was not in sync')[0]!
  expect({ level, fields }).toEqual({ level: 'warn', fields: { topic: TOPIC, partition: 0, leader: 2 } })
  expect((await produce(await cluster.client(2), TOPIC, batchOf(['b']), { acks: -1 })).errorCode).toBe(0)
  expect(said('committed records were cut')).toEqual([])
  await cluster.startBroker(1)
  await until(async () => (await cluster.state(id)).isr.length === 2)
  expect(said('committed records were cut').map(({ fields }) => fields)).toEqual([
    { topic: TOPIC, partition: 0, former: 2, end: 1 },
  ])
  const { records } = await fetch(await cluster.client(2), TOPIC)
  expect(recordsIn(records)).toEqual(['0:a', '1:b'])
})

test('false: nobody leads until the one that was in sync is back, and nothing is lost', async () => {
  const id = await onlyOneBehindLives(false)
  await until(async () => (await cluster.state(id)).leader === -1)
  // The controller has looked at everything once more when it has dealt with what came later.
  await cluster.createTopic('later', [[3, 2]])
  await cluster.stopBroker(3)
  await until(() => cluster.replica(2, 'later').isLeader)
  expect(await cluster.state(id)).toMatchObject({ leader: -1, isr: [], elr: [1] })
  const refused = await produce(await cluster.client(2), TOPIC, batchOf(['b']), { acks: -1 })
  expect(refused.errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  await cluster.startBroker(1)
  await until(async () => (await cluster.state(id)).isr.length === 2)
  expect((await cluster.state(id)).leader).toBe(1)
  const { records } = await fetch(await cluster.client(1), TOPIC)
  expect(recordsIn(records)).toEqual(['0:a', '1:lost'])
  expect(said('elected a leader that was not in sync')).toEqual([])
  expect(said('committed records were cut')).toEqual([])
})
