/** Our client against Apache Kafka: everything it offers, checked with Kafka's own tools where they see it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startKafka } from '../../bench/targets/kafka.ts'
import type { Target } from '../../bench/targets/target.ts'
import { ErrorCode } from '../../src/base/index.ts'
import { Admin, Consumer, Producer, type ProducerOptions } from '../../src/client/index.ts'
import { createTopics } from './create-topics.ts'
import { consoleConsume, consoleProduce, nullMarker, tool, topicCommand } from './kafka-tools.ts'
import { endOffsets, type PlainRecord, plainRecords, readTopic, until } from './records.ts'
import { storedBatches } from './stored-batches.ts'

let directory: string
let kafka: Target
let bootstrap: string
let admin: Admin

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-peers-'))
  kafka = await startKafka({ directory, partitions: 1 })
  bootstrap = kafka.bootstrap
  admin = new Admin({ bootstrap })
})

afterAll(async () => {
  await admin?.close()
  await kafka?.close()
  if (directory !== undefined) await rm(directory, { recursive: true, force: true })
})

async function writeValues(topic: string, count: number, options: Partial<ProducerOptions> = {}): Promise<void> {
  await using producer = new Producer({ bootstrap, ...options })
  for (let i = 0; i < count; i++) {
    if (!producer.hasRoom) await producer.ready()
    producer.send({ topic, value: `value ${i}`, partition: 0, timestamp: 1_700_000_000_000 + i })
  }
  await producer.flush()
}

function values(records: readonly PlainRecord[]): (string | null)[] {
  return records.map(({ value }) => value)
}

function expectedValues(count: number, from = 0): string[] {
  return Array.from({ length: count - from }, (_, i) => `value ${from + i}`)
}

describe('admin', () => {
  test('topics are created, listed, described and deleted', async () => {
    await createTopics(admin, [
      { topic: 'made', partitions: 3, replicationFactor: 1, configs: { 'segment.bytes': '2097152' } },
    ])
    expect(await admin.listTopics()).toContain('made')
    const [made] = await admin.describeTopics(['made'])
    expect(made!.partitions.map(({ partition, leaderId }) => [partition, leaderId])).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
    ])
    expect(await topicCommand(bootstrap, '--describe', '--topic', 'made')).toMatch(
      /PartitionCount: 3.*segment\.bytes=2097152/,
    )
    await admin.deleteTopics(['made'])
    await expect.poll(() => admin.listTopics()).not.toContain('made')
  })

  test('the defaults of the broker apply to what is left out', async () => {
    await createTopics(admin, [{ topic: 'defaults' }])
    const [topic] = await admin.describeTopics(['defaults'])
    expect(topic!.partitions).toHaveLength(1)
  })

  test('settings of a topic and of a broker', async () => {
    await createTopics(admin, [{ topic: 'configured', configs: { 'max.message.bytes': '4000000' } }])
    const entries = await admin.describeConfigs({ topic: 'configured' })
    expect(entries.find(({ name }) => name === 'max.message.bytes')).toMatchObject({
      value: '4000000',
      isDefault: false,
    })
    expect(entries.find(({ name }) => name === 'cleanup.policy')).toMatchObject({ value: 'delete', isDefault: true })
    const broker = await admin.describeConfigs({ broker: 1 })
    expect(broker.find(({ name }) => name === 'node.id')).toMatchObject({ value: '1', readOnly: true })
  })

  test('the cluster', async () => {
    const { clusterId, controllerId, nodes } = await admin.describeCluster()
    const [host, port] = bootstrap.split(':')
    expect({ clusterId, controllerId }).toEqual({ clusterId: 'cGFnZWxvZy1iZW5jaG1hcg', controllerId: 1 })
    expect(nodes).toEqual([{ id: 1, host, port: Number(port), rack: null }])
  })

  test.each([
    ['a topic that is there', () => admin.createTopics([{ topic: 'defaults' }]), ErrorCode.TOPIC_ALREADY_EXISTS],
    ['no partitions', () => admin.createTopics([{ topic: 'none', partitions: 0 }]), ErrorCode.INVALID_PARTITIONS],
    [
      'more replicas than brokers',
      () => admin.createTopics([{ topic: 'wide', replicationFactor: 3 }]),
      ErrorCode.INVALID_REPLICATION_FACTOR,
    ],
    [
      'an unknown setting',
      () => admin.createTopics([{ topic: 'odd', configs: { 'no.such': '1' } }]),
      ErrorCode.INVALID_CONFIG,
    ],
    ['a bad name', () => admin.createTopics([{ topic: 'no spaces' }]), ErrorCode.INVALID_TOPIC_EXCEPTION],
    ['deleting what is not there', () => admin.deleteTopics(['missing']), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ['describing what is not there', () => admin.describeTopics(['missing']), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
  ])("refused with Kafka's code: %s", async (_, call, kafkaCode) => {
    await expect(call()).rejects.toMatchObject({ code: 'PAGELOG_BROKER', kafkaCode })
  })

  test('offsets of the ends and of a time', async () => {
    await createTopics(admin, [{ topic: 'measured', partitions: 2 }])
    await writeValues('measured', 20)
    const at = ['beginning', 'end', { timestamp: 1_700_000_000_007 }, { timestamp: 1_800_000_000_000 }] as const
    const found = await admin.listOffsets(at.map((where) => ({ topic: 'measured', partition: 0, at: where })))
    expect(found.map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
      [0, -1],
      [20, -1],
      [7, 1_700_000_000_007],
      [-1, -1],
    ])
    expect(await endOffsets(bootstrap, 'measured')).toEqual([20, 0])
  })
})

describe('producer', () => {
  const ways: [string, Partial<ProducerOptions>][] = [
    ['acks=0', { acks: 0, idempotent: false }],
    ['acks=1', { acks: 1, idempotent: false }],
    ['acks=all', { acks: 'all', idempotent: false }],
    ['idempotent', { idempotent: true }],
  ]
  test.each(ways)('%s: every record once and in order', async (name, options) => {
    const topic = `written-${name.replace('=', '-')}`
    await createTopics(admin, [{ topic }])
    const count = 5_000
    await writeValues(topic, count, { batchBytes: 1_000, ...options })
    await until(async () => (await endOffsets(bootstrap, topic))[0]! >= count)
    expect(values(await readTopic(bootstrap, topic))).toEqual(expectedValues(count))
    const stored = storedBatches(join(kafka.dataDirectory, `${topic}-0`))
    expect(stored.length).toBeGreaterThan(50)
    expect(stored.every(({ producerId }) => producerId >= 0 === (name === 'idempotent'))).toBe(true)
  })

  test('keys, headers, nulls and timestamps arrive as they were, read by Java and by us', async () => {
    await createTopics(admin, [{ topic: 'shapes', partitions: 2 }])
    const written: PlainRecord[] = []
    {
      await using producer = new Producer({ bootstrap })
      const deliveries = Array.from({ length: 200 }, (_, i) => {
        const key = i % 3 === 0 ? null : `key ${i}`
        const value = i % 10 === 9 ? null : `value ${i}`
        const headers =
          i % 4 === 0
            ? [
                { key: 'h', value: `${i}` },
                { key: 'n', value: null },
              ]
            : []
        const record = { key, value, timestamp: 1_700_000_000_000 + i }
        return { record, headers, delivery: producer.send({ topic: 'shapes', headers, ...record }) }
      })
      for (const { delivery, headers, record } of deliveries) {
        const { partition, offset, timestamp } = await delivery
        expect(timestamp).toBe(record.timestamp)
        written.push({ partition, offset, ...record, headers: headers.map((h) => [h.key, h.value] as const) })
      }
      written.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
    }
    expect(await readTopic(bootstrap, 'shapes')).toEqual(written)
    const byJava = [0, 1].map((partition) => {
      const count = written.filter((record) => record.partition === partition).length
      return count === 0 ? [] : consoleConsume(bootstrap, 'shapes', { partition, offset: 'earliest', count })
    })
    expect((await Promise.all(byJava)).flat()).toEqual(written)
  })

  test('equal keys meet in the partition that the Java producer takes', async () => {
    await createTopics(admin, [
      { topic: 'ours-keyed', partitions: 7 },
      { topic: 'java-keyed', partitions: 7 },
    ])
    const keys = Array.from({ length: 200 }, (_, i) => `key-${i}-${'x'.repeat(i % 9)}`)
    await consoleProduce(bootstrap, 'java-keyed', keys.map((key) => `${key}\tv\n`).join(''), {
      properties: ['parse.key=true'],
    })
    await using producer = new Producer({ bootstrap })
    for (const key of keys) producer.send({ topic: 'ours-keyed', key, value: 'v' })
    await producer.flush()
    const places = async (topic: string): Promise<Map<string | null, number>> =>
      new Map((await readTopic(bootstrap, topic)).map(({ key, partition }) => [key, partition]))
    expect(await places('ours-keyed')).toEqual(await places('java-keyed'))
  })

  test('a missing topic is created by the first record', async () => {
    await using producer = new Producer({ bootstrap })
    expect(await producer.send({ topic: 'made-by-produce', value: 'first' })).toMatchObject({ partition: 0, offset: 0 })
    expect(values(await readTopic(bootstrap, 'made-by-produce'))).toEqual(['first'])
  })

  test("a batch that the topic does not take fails with Kafka's code", async () => {
    await createTopics(admin, [{ topic: 'narrow', configs: { 'max.message.bytes': '1000' } }])
    await using producer = new Producer({ bootstrap })
    const refused = producer.send({ topic: 'narrow', value: 'x'.repeat(2_000) })
    await expect(Promise.resolve(refused)).rejects.toMatchObject({ kafkaCode: ErrorCode.MESSAGE_TOO_LARGE })
    expect(await producer.send({ topic: 'narrow', value: 'small' })).toMatchObject({ offset: 0 })
  })
})

describe('consumer', () => {
  const count = 3_000

  beforeAll(async () => {
    await createTopics(admin, [{ topic: 'read' }])
    await writeValues('read', count, { batchBytes: 4_000 })
  })

  test('from the beginning, an offset and a time', async () => {
    expect(values(await readTopic(bootstrap, 'read'))).toEqual(expectedValues(count))
    expect(values(await readTopic(bootstrap, 'read', 1_234))).toEqual(expectedValues(count, 1_234))
    expect(values(await readTopic(bootstrap, 'read', { timestamp: 1_700_000_002_345 }))).toEqual(
      expectedValues(count, 2_345),
    )
  })

  test('from the end: only what comes later, as it comes', async () => {
    await createTopics(admin, [{ topic: 'tail' }])
    await writeValues('tail', 10)
    await using consumer = new Consumer({ bootstrap, fetchMaxWaitMs: 25_000 })
    consumer.assign([{ topic: 'tail', partition: 0, offset: 'end' }])
    const batch = consumer.nextBatch()
    await until(() => consumer.position('tail', 0) === 10)
    await using producer = new Producer({ bootstrap })
    await producer.send({ topic: 'tail', value: 'late' })
    expect(plainRecords((await batch)!)).toMatchObject([{ offset: 10, value: 'late' }])
  })

  test('goes back and forth by seek', async () => {
    await using consumer = new Consumer({ bootstrap })
    consumer.assign([{ topic: 'read', partition: 0, offset: 'beginning' }])
    expect(plainRecords((await consumer.nextBatch())!)[0]).toMatchObject({ offset: 0 })
    for (const offset of [2_999, 17, 1_500]) {
      consumer.seek('read', 0, offset)
      expect(plainRecords((await consumer.nextBatch())!)[0]).toMatchObject({ offset, value: `value ${offset}` })
    }
  })

  test('an offset out of range is an error, or goes where auto.offset.reset says', async () => {
    await using strict = new Consumer({ bootstrap, autoOffsetReset: 'none' })
    strict.assign([{ topic: 'read', partition: 0, offset: 1_000_000 }])
    await expect(strict.nextBatch()).rejects.toMatchObject({ code: 'PAGELOG_OFFSET_OUT_OF_RANGE' })
    await using lenient = new Consumer({ bootstrap, autoOffsetReset: 'earliest' })
    lenient.assign([{ topic: 'read', partition: 0, offset: 1_000_000 }])
    expect(plainRecords((await lenient.nextBatch())!)[0]).toMatchObject({ offset: 0 })
  })

  test('reads what the Java console producer wrote', async () => {
    await createTopics(admin, [{ topic: 'by-java' }])
    const input = `one:1,two:\tkey\tvalue\n${nullMarker}\tgone\t${nullMarker}\n${nullMarker}\t${nullMarker}\tgrüße\n`
    await consoleProduce(bootstrap, 'by-java', input, {
      properties: ['parse.key=true', 'parse.headers=true', `null.marker=${nullMarker}`],
    })
    expect(await readTopic(bootstrap, 'by-java')).toMatchObject([
      {
        offset: 0,
        key: 'key',
        value: 'value',
        headers: [
          ['one', '1'],
          ['two', ''],
        ],
      },
      { offset: 1, key: 'gone', value: null, headers: [] },
      { offset: 2, key: null, value: 'grüße', headers: [] },
    ])
  })

  test.each(['gzip', 'snappy', 'lz4'] as const)('batches compressed with %s go both ways', async (codec) => {
    const topic = `packed-${codec}`
    await createTopics(admin, [{ topic }])
    await consoleProduce(bootstrap, topic, 'a\nb\n', { codec })
    await using producer = new Producer({ bootstrap, compressionType: codec })
    for (const value of ['c', 'd']) producer.send({ topic, value })
    await producer.flush()
    const expected = ['a', 'b', 'c', 'd']
    expect((await readTopic(bootstrap, topic)).map(({ value }) => value)).toEqual(expected)
    const byJava = await consoleConsume(bootstrap, topic, { partition: 0, offset: 'earliest', count: 4 })
    expect(byJava.map(({ value }) => value)).toEqual(expected)
  })
})

describe('in bulk', () => {
  const count = 200_000

  test('our producer writes, ConsumerPerformance reads as many', async () => {
    await createTopics(admin, [{ topic: 'bulk', partitions: 2 }])
    const value = new Uint8Array(100).fill(7)
    {
      await using producer = new Producer({ bootstrap, batchBytes: 65_536 })
      for (let i = 0; i < count; i++) {
        if (!producer.hasRoom) await producer.ready()
        producer.send({ topic: 'bulk', value })
      }
      await producer.flush()
      expect(producer.stats).toMatchObject({ recordsDelivered: count, recordsFailed: 0 })
    }
    const ends = await endOffsets(bootstrap, 'bulk')
    expect(ends.reduce((sum, end) => sum + end, 0)).toBe(count)
    const args = ['--bootstrap-server', bootstrap, '--topic', 'bulk', '--messages', `${count}`, '--timeout', '30000']
    const output = await tool('org.apache.kafka.tools.ConsumerPerformance', ['--hide-header', ...args])
    expect(Number(output.split('\n').at(-1)!.split(', ')[4])).toBe(count)
  })

  test('ProducerPerformance writes, our consumer reads as many', async () => {
    await createTopics(admin, [{ topic: 'java-bulk', partitions: 2 }])
    const args = ['--topic', 'java-bulk', '--num-records', `${count}`, '--record-size', '100', '--throughput', '-1']
    const props = [`bootstrap.servers=${bootstrap}`, 'acks=1', 'batch.size=65536']
    await tool('org.apache.kafka.tools.ProducerPerformance', [...args, '--producer-props', ...props])
    await using consumer = new Consumer({ bootstrap })
    consumer.assign([0, 1].map((partition) => ({ topic: 'java-bulk', partition, offset: 'beginning' as const })))
    const next = [0, 0]
    let records = 0
    while (records < count) {
      const batch = (await consumer.nextBatch())!
      expect(batch.firstOffset).toBe(next[batch.partition])
      next[batch.partition] = batch.lastOffset + 1
      const cursor = batch.cursor()
      while (cursor.next()) if (cursor.valueLength === 100) records++
    }
    expect(next).toEqual(await endOffsets(bootstrap, 'java-bulk'))
  })
})
