/** What clients are told of a cluster and may ask of it, whichever broker they ask. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import {
  CreatePartitions,
  CreateTopics,
  DeleteTopics,
  DescribeCluster,
  ElectLeaders,
  Metadata,
} from '../../src/protocol/index.ts'
import { TestCluster, until } from '../replication/brokers.ts'
import { batchOf, produce } from './fixtures.ts'
import { RawClient } from './raw-client.ts'

const ids = [1, 2, 3]
let cluster: TestCluster
beforeAll(async () => {
  cluster = await TestCluster.start({ settings: { brokerRack: 'r', defaultReplicationFactor: 3 } })
}, 60_000)
afterAll(() => cluster?.close())

const known = async (id: number, name: string) => {
  const client = await cluster.client(id)
  return (await client.ask(Metadata, 12, { topics: [{ name }], allowAutoTopicCreation: false })).topics[0]!
}

const controllerId = () => cluster.broker(1).membership.image.controller?.id ?? -1

describe('the cluster', () => {
  test('is described the same by every broker', async () => {
    await until(() => ids.every((id) => cluster.broker(id).membership.image.brokers.size === 3 && controllerId() > 0))
    for (const id of ids) {
      const client = await cluster.client(id)
      const { brokers, controllerId: controller, clusterId } = await client.ask(Metadata, 9, { topics: [] })
      expect(brokers).toEqual(
        ids.map((nodeId) => {
          const { host, port } = cluster.broker(nodeId)
          return { nodeId, host, port, rack: 'r' }
        }),
      )
      expect(clusterId).toBe(cluster.broker(1).clusterId)
      expect(controller).toBe(controllerId())
      const described = await client.ask(DescribeCluster, 2, { endpointType: 1 })
      expect(described).toMatchObject({ errorCode: 0, clusterId, controllerId: controller, endpointType: 1 })
      expect(described.brokers.map(({ brokerId, isFenced }) => [brokerId, isFenced])).toEqual(
        ids.map((one) => [one, false]),
      )
    }
  })

  test.each([
    [2, ErrorCode.MISMATCHED_ENDPOINT_TYPE],
    [7, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE],
  ])('has no endpoint of type %d here', async (endpointType, errorCode) => {
    const client = await cluster.client(1)
    expect(await client.ask(DescribeCluster, 1, { endpointType })).toMatchObject({ errorCode, brokers: [] })
  })
})

describe('a topic', () => {
  test('created at any broker is on all of them, with a leader each', async () => {
    const client = await cluster.client(2)
    const { topics } = await client.ask(CreateTopics, 7, {
      topics: [{ name: 'spread', numPartitions: 6, replicationFactor: -1 }],
    })
    expect(topics[0]).toMatchObject({ errorCode: 0, numPartitions: 6, replicationFactor: 3 })
    for (const id of ids) {
      await until(
        async () => (await known(id, 'spread')).partitions.filter(({ leaderId }) => leaderId > 0).length === 6,
      )
      const { partitions } = await known(id, 'spread')
      for (const leader of ids) expect(partitions.filter(({ leaderId }) => leaderId === leader)).toHaveLength(2)
      for (const { replicaNodes, isrNodes, offlineReplicas } of partitions) {
        expect([[...replicaNodes].sort(), [...isrNodes].sort(), offlineReplicas]).toEqual([ids, ids, []])
      }
    }
  })

  test('is refused where replicas cannot be placed', async () => {
    const client = await cluster.client(1)
    const { topics } = await client.ask(CreateTopics, 7, {
      topics: [
        { name: 'a', numPartitions: 1, replicationFactor: 4 },
        {
          name: 'b',
          numPartitions: -1,
          replicationFactor: -1,
          assignments: [
            { partitionIndex: 0, brokerIds: [1, 2] },
            { partitionIndex: 1, brokerIds: [1] },
          ],
        },
        {
          name: 'c',
          numPartitions: -1,
          replicationFactor: -1,
          assignments: [{ partitionIndex: 0, brokerIds: [1, 9] }],
        },
      ],
    })
    expect(topics.map(({ errorCode, errorMessage }) => [errorCode, errorMessage])).toEqual([
      [ErrorCode.INVALID_REPLICATION_FACTOR, 'Replication factor 4 cannot be reached: 3 brokers are registered.'],
      [ErrorCode.INVALID_REPLICA_ASSIGNMENT, 'Partition 1 has 1 replicas, others have 2.'],
      [ErrorCode.INVALID_REPLICA_ASSIGNMENT, 'Partition 0 names broker 9, which is not registered.'],
    ])
  })

  test('that one broker created collides with a name on another', async () => {
    await cluster.createTopic('with.dot', [[1]])
    await until(() => cluster.broker(3).membership.image.topic('with.dot') !== undefined)
    const client = await cluster.client(3)
    const { topics } = await client.ask(CreateTopics, 7, {
      topics: [{ name: 'with_dot', numPartitions: 1, replicationFactor: 1 }],
    })
    expect(topics[0]!.errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
  })

  test('deleted at one broker is gone from all, and a new one of that name takes nothing over', async () => {
    const old = await cluster.createTopic('again', [[1, 2, 3]])
    expect((await produce(await cluster.client(1), 'again', batchOf(['old']))).errorCode).toBe(0)
    const client = await cluster.client(3)
    const { responses } = await client.ask(DeleteTopics, 6, { topics: [{ name: 'again' }] })
    expect(responses[0]).toMatchObject({ errorCode: 0 })
    const id = await cluster.createTopic('again', [[2, 3, 1]])
    expect(id).not.toBe(old)
    await until(() => ids.every((one) => cluster.replica(one, 'again')?.topicId === id))
    for (const one of ids) expect(cluster.replica(one, 'again').log.logEndOffset).toBe(0)
    // The last of the three took the trace away.
    await until(async () => (await cluster.store.range('deleted/')).pairs.length === 0)
  })
})

describe('more partitions', () => {
  const grow = async (topic: object, validateOnly = false) => {
    const client = await cluster.client(2)
    const wish = { name: 'grown', count: 0, assignments: null, ...topic }
    return (await client.ask(CreatePartitions, 3, { topics: [wish], validateOnly })).results[0]!
  }

  test('are there at every broker and take records', async () => {
    await cluster.createTopic('grown', [[1, 2, 3]])
    expect(await grow({ count: 3 }, true)).toMatchObject({ errorCode: 0 })
    expect((await known(2, 'grown')).partitions).toHaveLength(1)
    expect(await grow({ count: 3 })).toMatchObject({ errorCode: 0, errorMessage: null })
    const assigned = { count: 4, assignments: [{ brokerIds: [3, 1, 2] }] }
    expect(await grow(assigned)).toMatchObject({ errorCode: 0 })
    await until(async () => (await known(1, 'grown')).partitions.length === 4)
    await cluster.inRoles('grown', ids, 3)
    const answer = await produce(await cluster.client(3), 'grown', batchOf(['x']), { partition: 3 })
    expect(answer.errorCode).toBe(0)
  })

  test.each([
    [{ count: 4 }, ErrorCode.INVALID_PARTITIONS],
    [{ count: 0 }, ErrorCode.INVALID_PARTITIONS],
    [{ count: 20_000 }, ErrorCode.POLICY_VIOLATION],
    [{ count: 6, assignments: [{ brokerIds: [1, 2, 3] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    [{ count: 5, assignments: [{ brokerIds: [1, 2] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    [{ count: 5, assignments: [{ brokerIds: [1, 1, 2] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    [{ name: 'missing', count: 5 }, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
  ])('%j are refused', async (wish, errorCode) => {
    expect(await grow(wish)).toMatchObject({ errorCode })
  })

  test('asked for twice in one request are refused both times', async () => {
    const client = await cluster.client(1)
    const wish = { name: 'grown', count: 9, assignments: null }
    const { results } = await client.ask(CreatePartitions, 1, { topics: [wish, wish] })
    expect(results).toMatchObject([{ name: 'grown', errorCode: ErrorCode.INVALID_REQUEST }])
  })
})

test('more partitions of several topics: too many in all are refused, every one of them', async () => {
  for (const name of ['wide-1', 'wide-2']) await cluster.createTopic(name, [[1, 2, 3]])
  const client = await cluster.client(1)
  await until(() => cluster.broker(1).membership.image.topic('wide-2') !== undefined)
  const topics = ['wide-1', 'wide-2', 'missing'].map((name) => ({ name, count: 6001, assignments: null }))
  const { results } = await client.ask(CreatePartitions, 3, { topics })
  expect(results.map(({ name, errorCode }) => [name, errorCode])).toEqual([
    ['wide-1', ErrorCode.POLICY_VIOLATION],
    ['wide-2', ErrorCode.POLICY_VIOLATION],
    ['missing', ErrorCode.POLICY_VIOLATION],
  ])
  expect((await known(1, 'wide-1')).partitions).toHaveLength(1)
})

describe('elections on request', () => {
  test('are the controller’s, by every version', async () => {
    const id = await cluster.createTopic('elected', [[2, 1, 3]])
    await cluster.elect(id, 1)
    await cluster.inRoles('elected', ids)
    const wish = { electionType: 0, topicPartitions: [{ topic: 'elected', partitions: [0, 5] }] }
    const other = await cluster.client(ids.find((one) => one !== controllerId())!)
    expect(await other.ask(ElectLeaders, 2, wish)).toMatchObject({ errorCode: ErrorCode.NOT_CONTROLLER })
    const old = await other.ask(ElectLeaders, 0, wish)
    expect(old.replicaElectionResults[0]!.partitionResult[0]!.errorCode).toBe(ErrorCode.NOT_CONTROLLER)
    const controller = await cluster.client(controllerId())
    const { errorCode, replicaElectionResults } = await controller.ask(ElectLeaders, 2, wish)
    expect(errorCode).toBe(0)
    expect(replicaElectionResults[0]!.partitionResult.map((result) => result.errorCode)).toEqual([
      0,
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ])
    await until(async () => (await known(3, 'elected')).partitions[0]!.leaderId === 2)
    const again = await controller.ask(ElectLeaders, 1, wish)
    expect(again.replicaElectionResults[0]!.partitionResult[0]!.errorCode).toBe(ErrorCode.ELECTION_NOT_NEEDED)
  })

  test('of a topic that is named twice are answered once for each partition', async () => {
    const controller = await cluster.client(controllerId())
    const topicPartitions = [
      { topic: 'elected', partitions: [0, 7] },
      { topic: 'elected', partitions: [8, 0] },
    ]
    const { replicaElectionResults } = await controller.ask(ElectLeaders, 2, { electionType: 0, topicPartitions })
    expect(replicaElectionResults).toHaveLength(1)
    expect(replicaElectionResults[0]!.partitionResult.map(({ partitionId }) => partitionId)).toEqual([0, 7, 8])
  })

  test('of all partitions tell only of those that needed one', async () => {
    const controller = await cluster.client(controllerId())
    const all = await controller.ask(ElectLeaders, 2, { electionType: 0, topicPartitions: null })
    expect(all).toMatchObject({ errorCode: 0, replicaElectionResults: [] })
    const wrong = await controller.ask(ElectLeaders, 2, { electionType: 5, topicPartitions: null })
    expect(wrong.errorCode).toBe(ErrorCode.INVALID_REQUEST)
  })
})

describe('a broker that closes', () => {
  test('is not missed: others lead before it is gone, and it leads again nothing when it is back', async () => {
    const own = await TestCluster.start({ settings: { controlledShutdownEnable: true } })
    try {
      const topicId = await own.createTopic('events', [[1, 2, 3]])
      await own.createTopic('single', [[1]])
      const client = await own.client(2)
      const seen: number[] = []
      const { image } = own.broker(2).membership
      image.onChange(({ brokers }) => {
        if (brokers.has(1) && !image.brokers.has(1)) seen.push(image.topic('events')!.partitions[0]!.leader)
      })
      await own.stopBroker(1)
      await until(() => seen.length > 0)
      expect(seen).toEqual([2])
      expect(await own.state(topicId)).toMatchObject({ leader: 2, isr: [2, 3], leaderEpoch: 1 })
      await own.inRoles('events', [2, 3])
      expect((await produce(client, 'events', batchOf(['x']))).errorCode).toBe(0)
      const { topics } = await client.ask(Metadata, 12, { topics: [{ name: 'events' }, { name: 'single' }] })
      expect(topics[0]!.partitions[0]).toMatchObject({ leaderId: 2, offlineReplicas: [1] })
      expect(topics[1]!.partitions[0]).toMatchObject({ leaderId: -1, errorCode: ErrorCode.LEADER_NOT_AVAILABLE })
      await own.startBroker(1)
      await until(async () => (await own.state(topicId)).isr.length === 3)
      expect((await own.state(topicId)).leader).toBe(2)
      const back = await RawClient.connect(`127.0.0.1:${own.broker(1).port}`)
      expect((await produce(back, 'single', batchOf(['y']))).errorCode).toBe(0)
      await back.close()
    } finally {
      await own.close()
    }
  }, 60_000)
})
