/** `broker.rack`, from the settings to where the replicas of a new topic are. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CreatePartitions, CreateTopics, Metadata } from '../../src/protocol/index.ts'
import { TestCluster, until } from '../replication/brokers.ts'

const racks = ['a', 'a', 'b']
let cluster: TestCluster
beforeAll(async () => {
  cluster = await TestCluster.start({ racks })
  await until(() => [1, 2, 3].every((id) => cluster.broker(id).membership.image.brokers.size === 3))
}, 60_000)
afterAll(() => cluster?.close())

const racksOf = (replicas: readonly number[]): string[] => replicas.map((id) => racks[id - 1]!).sort()

test('clients are told of the racks', async () => {
  const { brokers } = await (await cluster.client(2)).ask(Metadata, 9, { topics: [] })
  expect(brokers.map(({ rack }) => rack)).toEqual(racks)
})

test('each partition of a new topic, and each that is added to it, has a replica in both racks', async () => {
  const client = await cluster.client(1)
  const name = 'spread'
  const { topics } = await client.ask(CreateTopics, 7, { topics: [{ name, numPartitions: 6, replicationFactor: 2 }] })
  expect(topics[0]).toMatchObject({ errorCode: 0 })
  const { results } = await client.ask(CreatePartitions, 3, { topics: [{ name, count: 9, assignments: null }] })
  expect(results[0]).toMatchObject({ errorCode: 0 })
  await until(() => cluster.broker(1).membership.image.topic(name)?.partitions.length === 9)
  const { partitions } = cluster.broker(1).membership.image.topic(name)!
  for (const { replicas } of partitions) expect(racksOf(replicas)).toEqual(['a', 'b'])
  // Of the two in one rack each has some.
  for (const id of [1, 2]) expect(partitions.filter(({ replicas }) => replicas.includes(id)).length).toBeGreaterThan(2)
})
