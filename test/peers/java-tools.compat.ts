/** Kafka's own command line tools, and with them its Java clients, against our broker. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kafkaVersion } from '../../bench/peers/java.ts'
import { Admin, Producer } from '../../src/client/index.ts'
import { Compression } from '../../src/record/index.ts'
import { startBroker, type TestBroker } from '../../src/testing/index.ts'
import { consoleConsume, consoleProduce, nullMarker, tool, topicCommand } from './kafka-tools.ts'
import { endOffsets, type PlainRecord, readTopic, until } from './records.ts'
import { storedBatches } from './stored-batches.ts'

const TOOLS = 'org.apache.kafka.tools'

let broker: TestBroker
let bootstrap: string

beforeAll(async () => {
  broker = await startBroker()
  bootstrap = broker.bootstrap
})

afterAll(async () => {
  await broker?.close()
})

async function createTopic(topic: string, partitions = 1, configs: Record<string, string> = {}): Promise<void> {
  await using admin = new Admin({ bootstrap })
  await admin.createTopics([{ topic, partitions, configs }])
}

async function listTopics(): Promise<string[]> {
  await using admin = new Admin({ bootstrap })
  return await admin.listTopics()
}

describe('topics', () => {
  test('TopicCommand creates, describes, lists and deletes', async () => {
    const settings = ['--config', 'segment.bytes=2097152', '--config', 'retention.ms=1000000']
    const created = await topicCommand(bootstrap, '--create', '--topic', 'by-tool', '--partitions', '3', ...settings)
    expect(created).toBe('Created topic by-tool.')

    const [head, ...partitions] = (await topicCommand(bootstrap, '--describe', '--topic', 'by-tool')).split('\n')
    expect(head).toMatch(/^Topic: by-tool\tTopicId: [\w-]{22}\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: /)
    expect(head!.split('Configs: ')[1]!.split(',').sort()).toEqual(['retention.ms=1000000', 'segment.bytes=2097152'])
    expect(partitions.map((line) => line.trim().split('\t').slice(0, 5).join('|'))).toEqual(
      [0, 1, 2].map((p) => `Topic: by-tool|Partition: ${p}|Leader: 1|Replicas: 1|Isr: 1`),
    )

    expect((await topicCommand(bootstrap, '--list')).split('\n')).toContain('by-tool')
    await topicCommand(bootstrap, '--delete', '--topic', 'by-tool')
    expect(await listTopics()).not.toContain('by-tool')
  })

  test.each([
    ['a name that is taken', 'taken', [], /Topic 'taken' already exists/],
    ['a name with other characters', 'no spaces', [], /illegal|invalid/i],
    ['more replicas than brokers', 'wide', ['--replication-factor', '3'], /[Rr]eplication factor/],
    ['a setting that does not exist', 'odd', ['--config', 'no.such.setting=1'], /no\.such\.setting/],
    ['a value out of range', 'tiny', ['--config', 'segment.bytes=10'], /segment\.bytes/],
  ])('TopicCommand is refused %s', async (_, topic, args, message) => {
    if (topic === 'taken') await createTopic('taken')
    await expect(topicCommand(bootstrap, '--create', '--topic', topic, ...args)).rejects.toThrow(message)
    if (topic !== 'taken') expect(await listTopics()).not.toContain(topic)
  })

  test('ConfigCommand shows the settings of a topic and of the broker, and where they come from', async () => {
    await createTopic('configured', 1, { 'max.message.bytes': '4000000' })
    const describe = (...args: string[]): Promise<string> =>
      tool('kafka.admin.ConfigCommand', ['--bootstrap-server', bootstrap, '--describe', ...args])
    const [changed, all, brokerSettings] = await Promise.all([
      describe('--entity-type', 'topics', '--entity-name', 'configured'),
      describe('--entity-type', 'topics', '--entity-name', 'configured', '--all'),
      describe('--entity-type', 'brokers', '--entity-name', '1', '--all'),
    ])
    const synonyms = 'DYNAMIC_TOPIC_CONFIG:max.message.bytes=4000000, DEFAULT_CONFIG:message.max.bytes=1048588'
    expect(changed).toContain(`max.message.bytes=4000000 sensitive=false synonyms={${synonyms}}`)
    expect(changed.split('\n')).toHaveLength(2)
    expect(all).toMatch(/^ {2}segment\.bytes=1073741824 sensitive=false/m)
    expect(all).toMatch(/^ {2}flush\.messages=9223372036854775807 sensitive=false/m)
    expect(brokerSettings).toMatch(/^ {2}num\.partitions=1 sensitive=false/m)
    expect(brokerSettings).toMatch(/^ {2}log\.dir=.* synonyms=\{STATIC_BROKER_CONFIG:log\.dir=/m)
  })

  test('GetOffsetShell tells the ends of every partition and the offset of a time', async () => {
    await createTopic('measured', 2)
    await using producer = new Producer({ bootstrap })
    for (let i = 0; i < 20; i++) {
      producer.send({ topic: 'measured', partition: 1, value: `${i}`, timestamp: 1_700_000_000_000 + i })
    }
    await producer.flush()
    const offsets = (time: string): Promise<string> =>
      tool(`${TOOLS}.GetOffsetShell`, ['--bootstrap-server', bootstrap, '--topic', 'measured', '--time', time])
    const times = ['latest', 'earliest', 'max-timestamp', '1700000000005']
    const answers = await Promise.all(times.map(offsets))
    expect(answers).toEqual([
      'measured:0:0\nmeasured:1:20',
      'measured:0:0\nmeasured:1:0',
      'measured:1:19',
      'measured:1:5',
    ])
  })
})

describe('cluster', () => {
  test('BrokerApiVersionsCommand finds a version in common for every API that is offered', async () => {
    const output = await tool(`${TOOLS}.BrokerApiVersionsCommand`, ['--bootstrap-server', bootstrap])
    expect(output).toContain(`${bootstrap} (id: 1`)
    const offered = output.split('\n').filter((line) => /: \d+ (to \d+ )?\[/.test(line))
    expect(offered.length).toBeGreaterThanOrEqual(10)
    expect(offered.filter((line) => !line.includes('[usable: '))).toEqual([])
  })

  test('ClusterTool tells the cluster id', async () => {
    await using admin = new Admin({ bootstrap })
    const { clusterId } = await admin.describeCluster()
    const output = await tool(`${TOOLS}.ClusterTool`, ['cluster-id', '--bootstrap-server', bootstrap])
    expect(output).toBe(`Cluster ID: ${clusterId}`)
  })
})

describe('records', () => {
  const properties = ['parse.key=true', 'parse.headers=true', `null.marker=${nullMarker}`]
  const input = [
    'one:1,two:zwei\tkey\tvalue',
    `${nullMarker}\t${nullMarker}\tkeyless`,
    `${nullMarker}\tgone\t${nullMarker}`,
    `${nullMarker}\tkey\tgrüße`,
  ]
  const contents = [
    {
      key: 'key',
      value: 'value',
      headers: [
        ['one', '1'],
        ['two', 'zwei'],
      ],
    },
    { key: null, value: 'keyless', headers: [] },
    { key: 'gone', value: null, headers: [] },
    { key: 'key', value: 'grüße', headers: [] },
  ]

  test('ConsoleProducer writes, our consumer and ConsoleConsumer read the same', async () => {
    await createTopic('java-written')
    await consoleProduce(bootstrap, 'java-written', `${input.join('\n')}\n`, { properties })
    const records = await readTopic(bootstrap, 'java-written')
    expect(records.map(({ key, value, headers }) => ({ key, value, headers }))).toEqual(contents)
    expect(await consoleConsume(bootstrap, 'java-written', { partition: 0, offset: 'earliest', count: 4 })).toEqual(
      records,
    )
    // The Java producer is idempotent unless told otherwise.
    expect(storedBatches(join(broker.directory, 'java-written-0')).every(({ producerId }) => producerId >= 0)).toBe(
      true,
    )
  })

  test.each(['0', '1', 'all'])('ConsoleProducer with acks=%s: every record once and in order', async (acks) => {
    const topic = `java-acks-${acks}`
    await createTopic(topic)
    const count = 5_000
    const text = Array.from({ length: count }, (_, i) => `${i}\n`).join('')
    await consoleProduce(bootstrap, topic, text, { producer: [`acks=${acks}`] })
    // With acks=0 the producer may be gone before the broker has read everything.
    await until(async () => (await endOffsets(bootstrap, topic))[0]! >= count)
    const records = await readTopic(bootstrap, topic)
    expect(records.map(({ value }) => value)).toEqual(Array.from({ length: count }, (_, i) => `${i}`))
  })

  test('our producer writes, ConsoleConsumer reads it, from an offset too', async () => {
    await createTopic('ours', 2)
    const written: PlainRecord[] = []
    {
      await using producer = new Producer({ bootstrap, batchBytes: 1_000 })
      const deliveries = Array.from({ length: 300 }, (_, i) => {
        const key = i % 3 === 0 ? null : `key ${i}`
        const value = i % 10 === 9 ? null : `value ${i}`
        const headers =
          i % 4 === 0
            ? [
                { key: 'h', value: `${i}` },
                { key: 'n', value: null },
              ]
            : []
        const timestamp = 1_700_000_000_000 + i
        return {
          key,
          value,
          headers,
          timestamp,
          delivery: producer.send({ topic: 'ours', partition: 1, key, value, headers, timestamp }),
        }
      })
      for (const { delivery, headers, ...record } of deliveries) {
        const { partition, offset } = await delivery
        written.push({ partition, offset, ...record, headers: headers.map((h) => [h.key, h.value] as const) })
      }
    }
    const [whole, rest] = await Promise.all([
      consoleConsume(bootstrap, 'ours', { partition: 1, offset: 'earliest', count: 300 }),
      consoleConsume(bootstrap, 'ours', { partition: 1, offset: '250', count: 50 }),
    ])
    expect(whole).toEqual(written)
    expect(rest).toEqual(written.slice(250))
  })

  test('a compressed topic is read back by Java', async () => {
    await createTopic('java-packed')
    const text = Array.from({ length: 500 }, (_, i) => `the same again ${i}`)
    await consoleProduce(bootstrap, 'java-packed', `${text.join('\n')}\n`, { codec: 'lz4' })
    const records = await consoleConsume(bootstrap, 'java-packed', { partition: 0, offset: 'earliest', count: 500 })
    expect(records.map(({ value }) => value)).toEqual(text)
    const stored = storedBatches(join(broker.directory, 'java-packed-0'))
    expect(new Set(stored.map(({ compression }) => compression))).toEqual(new Set([Compression.LZ4]))
  })
})

describe('Java perf tools', () => {
  const count = 200_000

  test.each(['1', 'all'])('ProducerPerformance with acks=%s: as many records as it says', async (acks) => {
    const topic = `perf-${acks}`
    await createTopic(topic, 2)
    const props = [`bootstrap.servers=${bootstrap}`, `acks=${acks}`, 'batch.size=65536']
    const args = ['--topic', topic, '--num-records', `${count}`, '--record-size', '100', '--throughput', '-1']
    const output = await tool(`${TOOLS}.ProducerPerformance`, [...args, '--producer-props', ...props])
    expect(output.split('\n').at(-1)).toMatch(new RegExp(`^${count} records sent, `))
    const ends = await endOffsets(bootstrap, topic)
    expect(ends.reduce((sum, end) => sum + end, 0)).toBe(count)
    const stored = [0, 1].flatMap((p) => storedBatches(join(broker.directory, `${topic}-${p}`)))
    expect(stored.every((batch) => batch.isValid())).toBe(true)
    expect(stored.reduce((sum, { recordCount }) => sum + recordCount, 0)).toBe(count)
  })

  test('VerifiableProducer: every record lies at the offset that was acknowledged', async () => {
    await createTopic('verified')
    const args = ['--bootstrap-server', bootstrap, '--topic', 'verified', '--max-messages', '5000', '--acks', '-1']
    const events = (await tool(`${TOOLS}.VerifiableProducer`, args)).split('\n').map((line) => JSON.parse(line))
    const acknowledged = events.filter(({ name }) => name === 'producer_send_success')
    expect(acknowledged).toHaveLength(5_000)
    const records = await readTopic(bootstrap, 'verified')
    expect(records).toHaveLength(5_000)
    for (const { offset, value } of acknowledged) expect(records[offset]!.value).toBe(value)
  })
})

test('the tools are those of the pinned version', async () => {
  expect(await tool(`${TOOLS}.TopicCommand`, ['--version'])).toBe(kafkaVersion())
})
