/** Our clients against our broker, over real sockets. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { Admin, type ConsumedBatch, Consumer, Producer, type StartingPoint } from '../../src/client/index.ts'
import { startBroker, type TestBroker } from '../../src/testing/index.ts'

let broker: TestBroker
let admin: Admin
beforeAll(async () => {
  broker = await startBroker()
  admin = new Admin({ bootstrap: broker.bootstrap })
})
afterAll(async () => {
  await admin.close()
  await broker.close()
})

let topics = 0
async function newTopic(partitions: number, configs: Record<string, string> = {}): Promise<string> {
  const topic = `topic-${topics++}`
  await admin.createTopics([{ topic, partitions, replicationFactor: 1, configs }])
  return topic
}

async function readAll(topic: string, partitions: number, count: number, offset: StartingPoint = 'beginning') {
  await using consumer = new Consumer({ bootstrap: broker.bootstrap })
  consumer.assign(Array.from({ length: partitions }, (_, partition) => ({ topic, partition, offset })))
  const seen: { partition: number; offset: number; key: string | null; value: string | null; batch: ConsumedBatch }[] =
    []
  const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : new TextDecoder().decode(bytes))
  for await (const batch of consumer) {
    for (const { offset: at, key, value } of batch) {
      seen.push({ partition: batch.partition, offset: at, key: text(key), value: text(value), batch })
    }
    if (seen.length >= count) break
  }
  return seen
}

describe.each([['all' as const], [1 as const]])('with acks=%s', (acks) => {
  test('records come back as they were sent', async () => {
    const topic = await newTopic(1)
    await using producer = new Producer({ bootstrap: broker.bootstrap, acks, lingerMs: 0 })
    const sent = [
      {
        key: 'k',
        value: 'v',
        timestamp: 1_000,
        headers: [
          { key: 'h', value: 'x' },
          { key: 'none', value: null },
        ],
      },
      { key: null, value: null, timestamp: 2_000, headers: [] },
      { key: '', value: '', timestamp: 3_000, headers: [] },
      { key: 'ключ', value: '値😀', timestamp: 500, headers: [{ key: 'ш', value: new Uint8Array([0, 255]) }] },
    ]
    const metadata = await Promise.all(sent.map((record) => producer.send({ topic, ...record })))
    expect(metadata).toEqual(sent.map(({ timestamp }, offset) => ({ topic, partition: 0, offset, timestamp })))
    const seen = await readAll(topic, 1, 4)
    expect(seen.map(({ key, value }) => [key, value])).toEqual(sent.map(({ key, value }) => [key, value]))
    const records = [...new Set(seen.map(({ batch }) => batch))].flatMap((batch) => [...batch])
    expect(records.map(({ timestamp }) => timestamp)).toEqual([1_000, 2_000, 3_000, 500])
    const headers = records.map((record) => record.headers.map(({ key, value }) => [key, value && [...value]]))
    expect(headers).toEqual([
      [
        ['h', [120]],
        ['none', null],
      ],
      [],
      [],
      [['ш', [0, 255]]],
    ])
  })

  test('100,000 records: none lost, none twice, in order per partition', async () => {
    const topic = await newTopic(6)
    await using producer = new Producer({
      bootstrap: broker.bootstrap,
      acks,
      batchBytes: 65_536,
      bufferBytes: 4_194_304,
    })
    const count = 100_000
    for (let record = 0; record < count; record++) {
      if (!producer.hasRoom) await producer.ready()
      producer.send({ topic, value: String(record) })
    }
    await producer.flush()
    expect(producer.stats).toMatchObject({ recordsDelivered: count, retries: 0, bufferBytesUsed: 0 })
    const seen = await readAll(topic, 6, count)
    const last = new Array<number>(6).fill(-1)
    const next = new Array<number>(6).fill(0)
    for (const { partition, offset, value } of seen) {
      if (offset !== next[partition]!++ || Number(value) <= last[partition]!) throw new Error(`out of order: ${value}`)
      last[partition] = Number(value)
    }
    expect(new Set(seen.map(({ value }) => value)).size).toBe(count)
    expect(next.every((records) => records > 0)).toBe(true)
  })
})

test('a record of nearly a mebibyte', async () => {
  const topic = await newTopic(1)
  await using producer = new Producer({ bootstrap: broker.bootstrap })
  const value = 'x'.repeat(1_048_000)
  await producer.send({ topic, value })
  expect((await readAll(topic, 1, 1))[0]?.value).toBe(value)
  expect(() => producer.send({ topic, value: 'x'.repeat(1_100_000) })).toThrow(
    expect.objectContaining({ code: 'PAGELOG_TOO_LARGE' }),
  )
})

test('a batch above max.message.bytes of the topic is refused, later ones are not', async () => {
  const topic = await newTopic(1, { 'max.message.bytes': '2000' })
  await using producer = new Producer({ bootstrap: broker.bootstrap, lingerMs: 0 })
  await producer.send({ topic, value: 'a' })
  await expect(producer.send({ topic, value: 'x'.repeat(3_000) })).rejects.toMatchObject({
    kafkaCode: ErrorCode.MESSAGE_TOO_LARGE,
  })
  expect((await producer.send({ topic, value: 'b' })).offset).toBe(1)
})

test('reading begins at an offset, at a time, at the end', async () => {
  const topic = await newTopic(1)
  await using producer = new Producer({ bootstrap: broker.bootstrap, lingerMs: 0 })
  for (let at = 0; at < 10; at++) await producer.send({ topic, value: `${at}`, timestamp: 1_000 * at })
  expect((await readAll(topic, 1, 3, 7)).map(({ value }) => value)).toEqual(['7', '8', '9'])
  expect((await readAll(topic, 1, 5, { timestamp: 4_500 })).map(({ value }) => value)).toEqual([
    '5',
    '6',
    '7',
    '8',
    '9',
  ])
  const offsets = await admin.listOffsets([
    { topic, partition: 0, at: 'beginning' },
    { topic, partition: 0, at: 'end' },
    { topic, partition: 0, at: { timestamp: 4_500 } },
    { topic, partition: 0, at: { timestamp: 99_000 } },
  ])
  expect(offsets.map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
    [0, -1],
    [10, -1],
    [5, 5_000],
    [-1, -1],
  ])
})

test('a topic is made by sending to it, where the broker does that', async () => {
  await using producer = new Producer({ bootstrap: broker.bootstrap, lingerMs: 0 })
  expect(await producer.send({ topic: 'made-by-sending', value: 'a' })).toMatchObject({ offset: 0 })
})

describe('admin', () => {
  test('creates, lists, describes and deletes topics', async () => {
    const topic = await newTopic(3)
    expect(await admin.listTopics()).toContain(topic)
    const [info] = await admin.describeTopics([topic])
    expect(info).toMatchObject({ name: topic, isInternal: false })
    expect(info?.partitions.map(({ partition }) => partition)).toEqual([0, 1, 2])
    await admin.deleteTopics([topic])
    expect(await admin.listTopics()).not.toContain(topic)
    await expect(admin.describeTopics([topic])).rejects.toMatchObject({
      kafkaCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    })
  })

  test('says why a topic was refused', async () => {
    const topic = await newTopic(1)
    await expect(admin.createTopics([{ topic }])).rejects.toMatchObject({ kafkaCode: ErrorCode.TOPIC_ALREADY_EXISTS })
    await expect(admin.deleteTopics(['no-such'])).rejects.toMatchObject({ code: 'PAGELOG_BROKER', kafkaCode: 3 })
  })

  test('describes the cluster and the settings of a topic', async () => {
    const { nodes, controllerId } = await admin.describeCluster()
    expect(nodes.map(({ id }) => id)).toContain(controllerId)
    const topic = await newTopic(1, { 'segment.bytes': '2000000' })
    const configs = await admin.describeConfigs({ topic })
    expect(configs.find(({ name }) => name === 'segment.bytes')).toMatchObject({ value: '2000000', isDefault: false })
    expect((await admin.describeConfigs({ broker: nodes[0]!.id })).length).toBeGreaterThan(10)
  })

  test('a broker that is not there is an error in its time, and close ends calls', async () => {
    const quick = { bootstrap: '127.0.0.1:1', reconnectBackoffMs: 1, retryBackoffMs: 1, retryBackoffMaxMs: 5 }
    await using absent = new Admin({ ...quick, defaultApiTimeoutMs: 50 })
    await expect(absent.listTopics()).rejects.toMatchObject({ code: expect.stringMatching(/DISCONNECTED|TIMED_OUT/) })
    await expect(absent.listTopics({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'PAGELOG_ABORTED' })
    await absent.close()
    await expect(absent.listTopics()).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  })
})
