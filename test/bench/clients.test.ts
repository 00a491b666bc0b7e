/** Who drives which broker, and how clients that take arrays are fed. No broker is started. */
import { describe, expect, test } from 'vitest'
import { variantsOf } from '../../bench/bench.ts'
import { fromRaw, librdkafkaArgs } from '../../bench/drivers/librdkafka.ts'
import { ArrayProducer } from '../../bench/drivers/peers/array-producer.ts'
import type { ProducerSpec } from '../../bench/drivers/protocol.ts'
import { LatencyRecorder } from '../../bench/measure/latency.ts'
import { driving, UsageError } from '../../bench/options.ts'
import { whyNotDriven } from '../../bench/peers/other-clients.ts'
import { variantClass, variantTitles } from '../../bench/report/variants.ts'
import { variantName } from '../../bench/result.ts'

const names = (options: Parameters<typeof variantsOf>[0]) =>
  variantsOf(options).map(({ target, driver }) => variantName(target, driver))

describe('clients and brokers', () => {
  test('without options ours, and Kafka with its tools and ours where it is measured', () => {
    expect(names({ against: null })).toEqual(['pagelog'])
    expect(names({ against: 'kafka' })).toEqual(['pagelog', 'kafka', 'kafka+pagelog-client'])
  })

  test('those asked for drive each broker', () => {
    const { clients } = driving({ clients: 'pagelog, kafkajs,kafka-tools,kafkajs' })
    expect(clients).toEqual(['pagelog-client', 'kafkajs', 'kafka-tools'])
    const against = 'kafka'
    const kafka = ['kafka+pagelog-client', 'kafka+kafkajs', 'kafka']
    expect(names({ clients: clients!, against })).toEqual([
      'pagelog',
      'pagelog+kafkajs',
      'pagelog+kafka-tools',
      ...kafka,
    ])
  })

  test('brokers that are there stand instead of ours', () => {
    expect(names({ hosts: 'a:1', clients: ['pagelog-client', 'kafkajs'], against: null })).toEqual([
      'hosts',
      'hosts+kafkajs',
    ])
  })

  test.each([
    { clients: 'nobody' },
    { clients: '' },
    { hosts: '/nowhere/hosts' },
    { hosts: 'a', netns: '1gbit' },
    { hosts: 'a', against: 'kafka' },
  ])('%o is refused', (values) => {
    expect(() => driving(values)).toThrow(UsageError)
  })

  test('what a client does not do is told before it is tried', () => {
    expect(whyNotDriven('kafkajs', 'kafka', 'end-to-end-1x')).toContain('producers and consumers')
    expect(whyNotDriven('kafkajs', 'pagelog', 'single-consumer')).toContain('group')
    expect(whyNotDriven('node-rdkafka', 'pagelog', 'single-consumer')).toBeUndefined()
    expect(whyNotDriven('kafkajs', 'kafka', 'single-consumer')).toBeUndefined()
    expect(whyNotDriven('pagelog-client', 'hosts', 'throughput-vs-stored')).toContain('cannot be seen')
  })

  test('each pair has a name for people and a class of its own', () => {
    expect(variantTitles['kafka+platformatic']).toBe('Apache Kafka, @platformatic/kafka')
    expect(variantTitles.hosts).toBe('the given hosts')
    expect(new Set(Object.values(variantTitles)).size).toBe(Object.keys(variantTitles).length)
    expect(variantClass('kafka+node-rdkafka')).toBe('key-kafka-node-rdkafka')
  })
})

describe('librdkafka, a program of its own', () => {
  test('is told all on its command line', () => {
    const rest = {
      client: null,
      bootstrap: 'a:1,b:2',
      topic: 't',
      partitions: 3,
      warmUpSeconds: 2.5,
      records: 7,
      seconds: 1,
    }
    expect(librdkafkaArgs({ kind: 'consumer', mode: 'follow', ...rest })).toEqual([
      ...['librdkafka.so.1', 'consumer', 't', '3', '2.5', '7', '1', 'follow'],
      ...['bootstrap.servers=a:1,b:2', 'check.crcs=true', 'queued.min.messages=1000000'],
    ])
    const payload = { valueBytes: 100, seed: 1, poolBytes: 1000 }
    const producer = {
      kind: 'producer',
      payload,
      acks: -1,
      batchBytes: 65_536,
      lingerMs: 5,
      bufferBytes: 1 << 26,
    } as const
    const args = librdkafkaArgs({ ...producer, ...rest })
    expect(args.slice(1, 10)).toEqual(['producer', 't', '3', '2.5', '7', '1', '1', '100', '1000'])
    expect(args.slice(10)).toEqual(expect.arrayContaining(['acks=-1', 'batch.size=65536', 'linger.ms=5']))
  })

  test('its readings and latencies become what every driver tells', () => {
    const checksum = { records: 3, bytes: 300, firstBytes: 6, sampled: 0 }
    const readings = [0, 125, 250].map((atMs) => ({ atMs, count: atMs * 8 }))
    const raw = { records: 3, seconds: 0.25, checksum, errors: 0, retries: 0, readings, latenciesMs: [1, 2] }
    const result = fromRaw(raw)
    expect(result).toMatchObject({ records: 3, checksum, loopDelay: null })
    expect(result.series.map(({ recordsPerSecond }) => recordsPerSecond)).toEqual([8000, 8000])
    expect(fromRaw({ ...raw, latenciesMs: [] }).latency).toBe('')
    const latency = new LatencyRecorder()
    latency.merge(result.latency)
    expect(latency.summary()).toMatchObject({ count: 2, max: 2 })
  })
})

describe('a client that takes arrays', () => {
  const spec: ProducerSpec = {
    kind: 'producer',
    ...{ client: null, bootstrap: '', topic: 't', partitions: 3, acks: 1, batchBytes: 1100 },
    ...{ lingerMs: 0, bufferBytes: 1, warmUpSeconds: 0, records: 1, seconds: 1 },
    payload: { valueBytes: 100, seed: 1, poolBytes: 1 },
  }
  const values = (count: number) => Array.from({ length: count }, () => Buffer.alloc(100))

  test('is given what fills a batch of each partition, five times at once', async () => {
    const ends: (() => void)[] = []
    const send = () => new Promise<void>((resolve) => ends.push(resolve))
    const latencies: number[] = []
    const producer = new ArrayProducer({ send, close: async () => {} }, spec, (one) => latencies.push(one))
    for (let i = 0; i < 5; i++) {
      expect(producer.room).toBe(30)
      producer.send(values(30))
    }
    expect(producer.room).toBe(0)
    const ready = producer.ready()
    ends[0]!()
    await ready
    expect([producer.room, producer.delivered, latencies.length]).toEqual([30, 30, 1])
    for (const end of ends) end()
    await producer.flush()
    expect(producer.delivered).toBe(150)
  })

  test('is given whole arrays of small values, too', () => {
    const small = { ...spec, batchBytes: 65_536, payload: { ...spec.payload, valueBytes: 10 }, partitions: 6 }
    const producer = new ArrayProducer({ send: async () => {}, close: async () => {} }, small, () => {})
    expect(producer.room).toBe(Math.floor(65_536 / 20) * 6)
  })

  test('counts what failed, and says why', async () => {
    const send = () => Promise.reject(new Error('no leader'))
    const producer = new ArrayProducer({ send, close: async () => {} }, spec, () => {})
    producer.send(values(7))
    await producer.flush()
    expect([producer.delivered, producer.failed, producer.lastError]).toEqual([0, 7, 'no leader'])
  })
})
