import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import {
  CreateTopics,
  type CreateTopicsRequest,
  DeleteTopics,
  FindCoordinator,
  type Input,
  Metadata,
  ZERO_UUID,
} from '../../src/protocol/index.ts'
import { batchOf, createTopic, endOffset, type Fixture, produce, startFixture } from './fixtures.ts'
import type { RawClient } from './raw-client.ts'

let fixture: Fixture
let client: RawClient
beforeAll(async () => {
  fixture = await startFixture({ settings: { numPartitions: 2 } })
  client = fixture.client
})
afterAll(() => fixture.close())

describe('creating', () => {
  type Wish = Input<CreateTopicsRequest['topics'][number]>
  const create = async (topics: Wish[], more: { validateOnly?: boolean; version?: number } = {}) => {
    const { version = 7, validateOnly = false } = more
    return (await client.ask(CreateTopics, version, { topics, validateOnly })).topics
  }
  const one = async (wish: Wish, more = {}) => (await create([wish], more))[0]!

  test.each([2, 3, 4, 5, 6, 7])('version %i, with the default number of partitions', async (version) => {
    const answer = await one({ name: `v${version}`, numPartitions: -1, replicationFactor: -1 }, { version })
    expect(answer.errorCode).toBe(0)
    if (version >= 5) expect(answer).toMatchObject({ numPartitions: 2, replicationFactor: 1 })
    if (version >= 7) expect(answer.topicId).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/)
  })

  test('answers with the settings in force and their sources', async () => {
    const { configs } = await one({
      name: 'set',
      numPartitions: 1,
      replicationFactor: 1,
      configs: [{ name: 'segment.bytes', value: '2000000' }],
    })
    const byName = new Map(configs!.map((config) => [config.name, config]))
    expect(byName.get('segment.bytes')).toMatchObject({ value: '2000000', configSource: 1 })
    expect(byName.get('flush.messages')).toMatchObject({ value: '9223372036854775807', configSource: 5 })
    expect(configs).toHaveLength(33)
  })

  test('only validating creates nothing', async () => {
    const answer = await one({ name: 'not-made', numPartitions: 5, replicationFactor: 1 }, { validateOnly: true })
    expect(answer).toMatchObject({ errorCode: 0, topicId: ZERO_UUID, numPartitions: 5 })
    expect(
      (await client.ask(Metadata, 9, { topics: [{ name: 'not-made' }], allowAutoTopicCreation: false })).topics[0]!
        .errorCode,
    ).toBe(3)
  })

  test('assignments', async () => {
    const assignments = [0, 1].map((partitionIndex) => ({ partitionIndex, brokerIds: [1] }))
    const answer = await one({ name: 'assigned', numPartitions: -1, replicationFactor: -1, assignments })
    expect(answer).toMatchObject({ errorCode: 0, numPartitions: 2 })
  })

  test('more partitions than one request may have is refused, without a look at what comes after', async () => {
    const wish = (topic: string) => ({ name: topic, numPartitions: 10_000, replicationFactor: 1 })
    const answers = await create([wish('a-lot'), wish('too-many'), wish('not/looked/at')])
    expect(answers.map(({ errorCode }) => errorCode)).toEqual([1, 2, 3].map(() => ErrorCode.POLICY_VIOLATION))
  })

  const name = 'refused'
  const refused: [string, Wish, number][] = [
    ['no name', { name: '', numPartitions: 1, replicationFactor: 1 }, ErrorCode.INVALID_TOPIC_EXCEPTION],
    ['a dot', { name: '.', numPartitions: 1, replicationFactor: 1 }, ErrorCode.INVALID_TOPIC_EXCEPTION],
    ['a slash', { name: '../etc', numPartitions: 1, replicationFactor: 1 }, ErrorCode.INVALID_TOPIC_EXCEPTION],
    [
      '250 characters',
      { name: 'x'.repeat(250), numPartitions: 1, replicationFactor: 1 },
      ErrorCode.INVALID_TOPIC_EXCEPTION,
    ],
    ['a name that is taken', { name: 'taken', numPartitions: 1, replicationFactor: 1 }, ErrorCode.TOPIC_ALREADY_EXISTS],
    [
      'a colliding name',
      { name: 'with_dot', numPartitions: 1, replicationFactor: 1 },
      ErrorCode.INVALID_TOPIC_EXCEPTION,
    ],
    [
      "the cluster's own log",
      { name: '__cluster_metadata', numPartitions: 1, replicationFactor: 1 },
      ErrorCode.INVALID_REQUEST,
    ],
    ['no partitions', { name, numPartitions: 0, replicationFactor: 1 }, ErrorCode.INVALID_PARTITIONS],
    ['-2 partitions', { name, numPartitions: -2, replicationFactor: 1 }, ErrorCode.INVALID_PARTITIONS],
    ['too many partitions', { name, numPartitions: 2147483647, replicationFactor: 1 }, ErrorCode.POLICY_VIOLATION],
    ['no replicas', { name, numPartitions: 1, replicationFactor: 0 }, ErrorCode.INVALID_REPLICATION_FACTOR],
    [
      'more replicas than brokers',
      { name, numPartitions: 1, replicationFactor: 2 },
      ErrorCode.INVALID_REPLICATION_FACTOR,
    ],
    [
      'an unknown setting',
      { name, numPartitions: 1, replicationFactor: 1, configs: [{ name: 'segment.byte', value: '1' }] },
      ErrorCode.INVALID_CONFIG,
    ],
    [
      'a setting out of bounds',
      { name, numPartitions: 1, replicationFactor: 1, configs: [{ name: 'segment.bytes', value: '1' }] },
      ErrorCode.INVALID_CONFIG,
    ],
    [
      'a setting of null',
      { name, numPartitions: 1, replicationFactor: 1, configs: [{ name: 'segment.bytes', value: null }] },
      ErrorCode.INVALID_CONFIG,
    ],
    [
      'a list with a wrong item',
      { name, numPartitions: 1, replicationFactor: 1, configs: [{ name: 'cleanup.policy', value: 'compact,burn' }] },
      ErrorCode.INVALID_CONFIG,
    ],
    [
      'assignments and numbers',
      { name, numPartitions: 1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [1] }] },
      ErrorCode.INVALID_REQUEST,
    ],
    [
      'an unknown broker',
      { name, numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [2] }] },
      ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    ],
    [
      'no broker',
      { name, numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [] }] },
      ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    ],
    [
      'a gap',
      { name, numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 2147483647, brokerIds: [1] }] },
      ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    ],
  ]
  beforeAll(async () => {
    await createTopic(client, 'taken')
    await createTopic(client, 'with.dot')
  })
  test.each(refused)('refuses %s', async (_what, wish, errorCode) => {
    const before = (await readdir(fixture.directory)).length
    const answer = await one(wish)
    expect(answer.errorCode).toBe(errorCode)
    expect(answer.errorMessage).toBeTruthy()
    expect((await readdir(fixture.directory)).length).toBe(before)
  })

  test('a hint for a misspelt setting', async () => {
    const { errorMessage } = await one({
      name,
      numPartitions: 1,
      replicationFactor: 1,
      configs: [{ name: 'segment.byte', value: '1' }],
    })
    expect(errorMessage).toContain('did you mean segment.bytes?')
  })

  test('refuses a topic named twice, and creates the others', async () => {
    const wish = (name: string) => ({ name, numPartitions: 1, replicationFactor: 1 })
    const answers = await create([wish('twice'), wish('once'), wish('twice')])
    expect(answers.map((answer) => [answer.name, answer.errorCode])).toEqual([
      ['twice', 42],
      ['once', 0],
    ])
  })

  test('of two at the same time one wins', async () => {
    const wish = { name: 'contested', numPartitions: 3, replicationFactor: 1 }
    const answers = await Promise.all([one(wish), one(wish), one(wish)])
    expect(answers.map((answer) => answer.errorCode).sort()).toEqual([0, 36, 36])
  })
})

describe('deleting', () => {
  test.each([1, 3, 4, 5])('version %i by name: logs and data are gone, the name is free', async (version) => {
    const name = `gone${version}`
    await createTopic(client, name)
    await produce(client, name, batchOf(['x']))
    const { responses } = await client.ask(DeleteTopics, version, { topicNames: [name], timeoutMs: 1000 })
    expect(responses).toMatchObject([{ name, errorCode: 0 }])
    expect((await readdir(fixture.directory)).filter((entry) => entry === `${name}-0`)).toEqual([])
    await createTopic(client, name)
    expect(await endOffset(client, name)).toBe(0)
  })

  test('version 6 by name or id', async () => {
    const first = await createTopic(client, 'gone6a')
    const second = await createTopic(client, 'gone6b')
    const ask = (topics: object[]) => client.ask(DeleteTopics, 6, { topics, timeoutMs: 1000 })
    expect((await ask([{ name: 'gone6a' }, { name: null, topicId: second }])).responses).toMatchObject([
      { name: 'gone6a', topicId: first, errorCode: 0 },
      { name: 'gone6b', topicId: second, errorCode: 0 },
    ])
    const { responses } = await ask([
      { name: null, topicId: second },
      { name: 'gone6a' },
      { name: null },
      { name: 'gone6a', topicId: first },
    ])
    expect(responses.map((answer) => answer.errorCode)).toEqual([100, 3, 42, 42])
  })

  test('refuses a topic named twice', async () => {
    await createTopic(client, 'kept')
    const { responses } = await client.ask(DeleteTopics, 4, { topicNames: ['kept', 'kept'], timeoutMs: 1000 })
    expect(responses.map((answer) => answer.errorCode)).toEqual([42, 42])
    expect(await endOffset(client, 'kept')).toBe(0)
  })

  test('is refused where it is disabled', async () => {
    const strict = await startFixture({ settings: { deleteTopicEnable: false } })
    await createTopic(strict.client, 'kept')
    for (const [version, code] of [
      [2, 42],
      [4, 73],
    ] as const) {
      const { responses } = await strict.client.ask(DeleteTopics, version, { topicNames: ['kept'], timeoutMs: 1000 })
      expect(responses[0]!.errorCode).toBe(code)
    }
    await strict.close()
  })
})

describe('metadata', () => {
  test.each(Array.from({ length: 14 }, (_, i) => i))(
    'version %i shows broker, topic and partitions',
    async (version) => {
      const topicId = await createTopic(client, `shown${version}`, { numPartitions: 2 })
      const answer = await client.ask(Metadata, version, { topics: [{ name: `shown${version}` }] })
      const port = Number(fixture.bootstrap.split(':')[1])
      expect(answer.brokers).toMatchObject([{ nodeId: 1, host: '127.0.0.1', port }])
      if (version >= 1) expect(answer.controllerId).toBe(1)
      if (version >= 2) expect(answer.clusterId).toBe(fixture.broker.clusterId)
      expect(answer.topics).toMatchObject([{ errorCode: 0, name: `shown${version}`, isInternal: false }])
      if (version >= 10) expect(answer.topics[0]!.topicId).toBe(topicId)
      expect(answer.topics[0]!.partitions).toMatchObject(
        [0, 1].map((partitionIndex) => ({
          errorCode: 0,
          partitionIndex,
          leaderId: 1,
          replicaNodes: [1],
          isrNodes: [1],
        })),
      )
    },
  )

  test('all topics: null, in version 0 an empty list; none: an empty list', async () => {
    const all = await client.ask(Metadata, 9, { topics: null })
    expect(all.topics.length).toBeGreaterThan(5)
    expect((await client.ask(Metadata, 0, { topics: [] })).topics).toHaveLength(all.topics.length)
    expect((await client.ask(Metadata, 1, { topics: [] })).topics).toEqual([])
  })

  test('an unknown topic is created where both sides allow it', async () => {
    const ask = (name: string, version: number, allowAutoTopicCreation: boolean) =>
      client.ask(Metadata, version, { topics: [{ name }], ...(version >= 4 ? { allowAutoTopicCreation } : {}) })
    expect((await ask('asked', 9, false)).topics).toMatchObject([{ errorCode: 3, name: 'asked', partitions: [] }])
    expect((await ask('asked', 9, true)).topics[0]).toMatchObject({ errorCode: 0, name: 'asked' })
    expect((await ask('asked', 9, true)).topics[0]!.partitions).toHaveLength(2)
    expect((await ask('asked-old', 3, true)).topics[0]!.partitions).toHaveLength(2)
    expect((await ask('bad name', 9, true)).topics[0]!.errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
    const strict = await startFixture({ settings: { autoCreateTopicsEnable: false } })
    const { topics } = await strict.client.ask(Metadata, 9, { topics: [{ name: 'x' }], allowAutoTopicCreation: true })
    expect(topics[0]!.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    await strict.close()
  })

  test('many clients that ask for the same new topic get the same one', async () => {
    const ask = () => client.ask(Metadata, 12, { topics: [{ name: 'rushed' }], allowAutoTopicCreation: true })
    const answers = await Promise.all(Array.from({ length: 10 }, ask))
    expect(new Set(answers.map((answer) => answer.topics[0]!.topicId)).size).toBe(1)
    expect(answers.every((answer) => answer.topics[0]!.errorCode === 0)).toBe(true)
  })

  test('ids look topics up from version 12 on', async () => {
    const topicId = await createTopic(client, 'found')
    const ask = (version: number, id: string) =>
      client.ask(Metadata, version, { topics: [{ name: null, topicId: id }] })
    expect((await ask(12, topicId)).topics).toMatchObject([{ errorCode: 0, name: 'found', topicId }])
    expect((await ask(12, 'MTIzNDU2Nzg5MDEyMzQ1Ng')).topics[0]).toMatchObject({ errorCode: 100, name: null })
    expect((await ask(11, topicId)).topics[0]!.errorCode).toBe(ErrorCode.INVALID_REQUEST)
  })

  test('authorized operations only when asked for', async () => {
    const topics = [{ name: 'taken' }]
    const plain = await client.ask(Metadata, 8, { topics })
    expect([plain.clusterAuthorizedOperations, plain.topics[0]!.topicAuthorizedOperations]).toEqual([
      -2147483648, -2147483648,
    ])
    const asked = await client.ask(Metadata, 8, {
      topics,
      includeClusterAuthorizedOperations: true,
      includeTopicAuthorizedOperations: true,
    })
    expect([asked.clusterAuthorizedOperations, asked.topics[0]!.topicAuthorizedOperations]).toEqual([8096, 3576])
  })
})

describe('find coordinator', () => {
  test.each([0, 1, 2, 3])('version %i: none for groups', async (version) => {
    const answer = await client.ask(FindCoordinator, version, { key: 'group' })
    expect(answer).toMatchObject({ errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, nodeId: -1 })
  })

  test.each([4, 5, 6])('version %i: none for any of several', async (version) => {
    const { coordinators } = await client.ask(FindCoordinator, version, { keyType: 1, coordinatorKeys: ['a', 'b'] })
    expect(coordinators.map(({ key, errorCode }) => [key, errorCode])).toEqual([
      ['a', 15],
      ['b', 15],
    ])
  })

  test('share groups exist from version 6 on, other kinds never', async () => {
    const code = async (version: number, keyType: number) =>
      (await client.ask(FindCoordinator, version, { keyType, coordinatorKeys: ['a'] })).coordinators[0]!.errorCode
    expect([await code(5, 2), await code(6, 2), await code(6, 3)]).toEqual([42, 15, 42])
  })
})
