import { afterEach, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { Producer, type ProducerOptions } from '../../src/client/index.ts'
import { type Clock, nodeEnv, type Timer } from '../../src/env/index.ts'
import { InitProducerId, Metadata, Produce, type ProduceRequest } from '../../src/protocol/index.ts'
import { baseSequence, producerEpoch, producerId } from '../../src/record/index.ts'
import { waitFor } from '../wait-for.ts'
import { FakeBroker, type Fault } from './fake-broker.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function brokerWith(partitions: number, nodes = 1): Promise<FakeBroker> {
  const broker = await FakeBroker.start(nodes)
  broker.addTopic('t', partitions)
  closers.push(() => broker.close())
  return broker
}

/** Quick to try again, so that tests are quick. */
function producerOf(broker: FakeBroker, options: Partial<ProducerOptions> = {}): Producer {
  const quick = {
    lingerMs: 0,
    retryBackoffMs: 5,
    retryBackoffMaxMs: 20,
    reconnectBackoffMs: 5,
    reconnectBackoffMaxMs: 20,
  }
  const producer = new Producer({ bootstrap: broker.bootstrap, ...quick, ...options })
  closers.push(() => producer.close({ timeoutMs: 0 }))
  return producer
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, at) => String(at))
const fails = (error: number, times = 1): Fault[] => Array.from({ length: times }, () => ({ error }))
const batchesOf = (broker: FakeBroker): Uint8Array[] =>
  broker
    .callsOf(Produce)
    .flatMap(({ body }) => (body as ProduceRequest).topicData.flatMap(({ partitionData }) => partitionData))
    .map(({ records }) => records!)

describe('delivery', () => {
  test('an awaited record tells where it went', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker)
    const first = await producer.send({ topic: 't', value: 'a', timestamp: 1_234 })
    const second = await producer.send({ topic: 't', value: 'b' })
    expect(first).toEqual({ topic: 't', partition: 0, offset: 0, timestamp: 1_234 })
    expect(second.offset).toBe(1)
  })

  test('records of a turn share a batch and its completion', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker)
    await producer.partitionsOf('t')
    const deliveries = numbers(10).map((value) => producer.send({ topic: 't', value }))
    const receipt = await deliveries[0]!.batch.done
    expect(new Set(deliveries.map(({ batch }) => batch)).size).toBe(1)
    expect(deliveries.map(({ index }) => receipt.baseOffset + index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(broker.callsOf(Produce)).toHaveLength(1)
    expect(receipt).toMatchObject({ topic: 't', partition: 0, recordCount: 10 })
  })

  test('records sent before the metadata is there keep their order', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { batchBytes: 200 })
    const sent = numbers(100).map((value) => producer.send({ topic: 't', value }))
    const offsets = (await Promise.all(sent)).map(({ offset }) => offset)
    expect(offsets).toEqual(numbers(100).map(Number))
    expect(broker.partition('t', 0).values()).toEqual(numbers(100))
  })

  test('records that waited for metadata share batches, and the loop goes on after them', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { batchBytes: 10_000, turnBytes: 20_000, bufferBytes: 100_000 })
    for (const value of numbers(3_000)) {
      if (!producer.hasRoom) await producer.ready()
      producer.send({ topic: 't', value })
    }
    await producer.flush()
    expect(broker.partition('t', 0).values()).toEqual(numbers(3_000))
    expect(batchesOf(broker).length).toBeLessThan(20)
  })

  test('equal keys meet in one partition, an explicit partition wins', async () => {
    const broker = await brokerWith(8)
    const producer = producerOf(broker)
    const [a, b, c] = await Promise.all([
      producer.send({ topic: 't', key: 'k', value: null }),
      producer.send({ topic: 't', key: new TextEncoder().encode('k'), value: '' }),
      producer.send({ topic: 't', key: 'k', value: 'x', partition: 5 }),
    ])
    expect(a!.partition).toBe(b!.partition)
    expect(c!.partition).toBe(5)
  })

  test('several ready batches travel in one request', async () => {
    const broker = await brokerWith(4)
    const producer = producerOf(broker)
    await producer.partitionsOf('t')
    for (let partition = 0; partition < 4; partition++) producer.send({ topic: 't', value: 'v', partition })
    await producer.flush()
    expect(broker.callsOf(Produce)).toHaveLength(1)
    expect(batchesOf(broker)).toHaveLength(4)
  })

  test('acks=0 counts as delivered without an offset', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { acks: 0 })
    expect((await producer.send({ topic: 't', value: 'a' })).offset).toBe(-1)
    await waitFor(() => expect(broker.partition('t', 0).values()).toEqual(['a']))
  })

  test('acks=0: a connection that the broker closed is reason enough to ask for the leader', async () => {
    const broker = await brokerWith(1, 2)
    const producer = producerOf(broker, { acks: 0 })
    await producer.send({ topic: 't', value: 'first' })
    await broker.disconnectAll()
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve))
    broker.moveLeader('t', 0, 2)
    const asked = broker.callsOf(Metadata).length
    await producer.send({ topic: 't', value: 'lost, perhaps' })
    await waitFor(() => expect(broker.callsOf(Metadata).length).toBeGreaterThan(asked))
  })

  test('a lingering batch goes when its time has come', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { lingerMs: 20 })
    await producer.partitionsOf('t')
    const deliveries = [producer.send({ topic: 't', value: 'a' }), producer.send({ topic: 't', value: 'b' })]
    await Promise.all(deliveries)
    expect(batchesOf(broker)).toHaveLength(1)
  })
})

describe('failures that pass', () => {
  test.each([
    ['a lost connection', [{ kind: 'disconnect' }]],
    ['a lost answer', [{ kind: 'lose answer' }]],
    ['several lost answers', [{ kind: 'lose answer' }, { kind: 'lose answer' }, { kind: 'disconnect' }]],
    ['NOT_ENOUGH_REPLICAS', fails(ErrorCode.NOT_ENOUGH_REPLICAS, 2)],
    ['NOT_LEADER_OR_FOLLOWER', fails(ErrorCode.NOT_LEADER_OR_FOLLOWER)],
    ['every other one fails', [{ kind: 'none' }, ...fails(7), { kind: 'none' }, { kind: 'lose answer' }, ...fails(7)]],
  ] as [string, Fault[]][])('%s: nothing lost, nothing twice, nothing out of order', async (_, faults) => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { batchBytes: 150 })
    await producer.partitionsOf('t')
    broker.inject(Produce, ...faults)
    for (const value of numbers(200)) producer.send({ topic: 't', value })
    await producer.flush()
    expect(broker.partition('t', 0).values()).toEqual(numbers(200))
    expect(producer.stats).toMatchObject({ recordsDelivered: 200, recordsFailed: 0, bufferBytesUsed: 0 })
    expect(producer.stats.retries).toBeGreaterThan(0)
  })

  test('a request that is never answered is given up, its connection with it', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { requestTimeoutMs: 50 })
    await producer.partitionsOf('t')
    broker.inject(Produce, { kind: 'no answer' })
    await producer.send({ topic: 't', value: 'a' })
    expect(broker.partition('t', 0).values()).toEqual(['a'])
  })

  test('a pause that ends between two looks at the clock is not waited for for ever', async () => {
    const broker = await brokerWith(1)
    const { clock, network } = nodeEnv()
    let looks = 0
    // The pause of 5 ms is not over at the next look, and is at the one after.
    const hasty: Clock = { ...clock, monotonicMs: () => clock.monotonicMs() + 3 * looks++ }
    const random = { fraction: () => 0.5, bytes: (count: number) => new Uint8Array(count) }
    const producer = producerOf(broker, { env: { clock: hasty, network, random } })
    await producer.partitionsOf('t')
    broker.inject(Produce, ...fails(ErrorCode.NOT_ENOUGH_REPLICAS))
    expect((await producer.send({ topic: 't', value: 'a' })).offset).toBe(0)
    expect(producer.stats.retries).toBe(1)
  })

  test('a leader that moved is found by asking for metadata', async () => {
    const broker = await brokerWith(1, 2)
    const producer = producerOf(broker)
    await producer.send({ topic: 't', value: 'a' })
    broker.moveLeader('t', 0, 2)
    await producer.send({ topic: 't', value: 'b' })
    const asked = broker.callsOf(Produce).map(({ nodeId }) => nodeId)
    expect([asked[1], asked.at(-1)]).toEqual([1, 2])
    expect(broker.partition('t', 0).values()).toEqual(['a', 'b'])
  })

  test('a partition without a leader waits until it has one, the others do not', async () => {
    const broker = await brokerWith(2)
    broker.partition('t', 0).leaderId = -1
    const producer = producerOf(broker)
    const waiting = producer.send({ topic: 't', value: 'late', partition: 0 })
    await producer.send({ topic: 't', value: 'at once', partition: 1 })
    expect(broker.partition('t', 0).values()).toEqual([])
    broker.moveLeader('t', 0, 1)
    expect((await waiting).offset).toBe(0)
  })

  test('a topic that is created later gets the records that waited for it', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker)
    const delivery = producer.send({ topic: 'later', value: 'a' })
    await waitFor(() => expect(broker.callsOf(Metadata).length).toBeGreaterThan(1))
    broker.addTopic('later', 3)
    expect(await delivery).toMatchObject({ topic: 'later', offset: 0 })
  })

  test('a producer id is asked for again until it comes', async () => {
    const broker = await brokerWith(1)
    broker.inject(InitProducerId, ...fails(ErrorCode.COORDINATOR_NOT_AVAILABLE, 2), { kind: 'disconnect' })
    await producerOf(broker).send({ topic: 't', value: 'a' })
    expect(broker.callsOf(InitProducerId)).toHaveLength(4)
  })
})

describe('sequences', () => {
  test('go on from batch to batch and stay with a batch that is sent again', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker)
    broker.inject(Produce, { kind: 'lose answer' })
    await producer.send({ topic: 't', value: 'a' })
    await producer.send({ topic: 't', value: 'b' })
    const sequences = batchesOf(broker).map((records) => baseSequence(records, 0))
    expect(sequences).toEqual([0, 0, 1])
  })

  test('the first batch of a producer id travels alone, for a broker takes any first sequence', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { batchBytes: 150 })
    await producer.partitionsOf('t')
    broker.inject(Produce, ...fails(ErrorCode.NOT_ENOUGH_REPLICAS, 3))
    for (const value of numbers(50)) producer.send({ topic: 't', value })
    await producer.flush()
    const firsts = batchesOf(broker).map((records) => baseSequence(records, 0))
    expect(firsts.slice(0, 4)).toEqual([0, 0, 0, 0])
    expect(broker.partition('t', 0).values()).toEqual(numbers(50))
  })

  test('a gap left by a batch that failed for good is closed by a new epoch', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker)
    await producer.send({ topic: 't', value: 'a' })
    broker.inject(Produce, ...fails(ErrorCode.INVALID_RECORD))
    await expect(producer.send({ topic: 't', value: 'bad' })).rejects.toMatchObject({
      code: 'PAGELOG_BROKER',
      kafkaCode: ErrorCode.INVALID_RECORD,
    })
    await producer.send({ topic: 't', value: 'b' })
    await producer.send({ topic: 't', value: 'c' })
    expect(broker.partition('t', 0).values()).toEqual(['a', 'b', 'c'])
    const last = batchesOf(broker).at(-1)!
    expect([producerEpoch(last, 0), baseSequence(last, 0)]).toEqual([1, 1])
    expect(broker.callsOf(InitProducerId)).toHaveLength(1)
  })

  test('what may have arrived is given up, not sent under a new epoch, when the gap before it stays', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker)
    await producer.send({ topic: 't', value: 'a' })
    broker.inject(Produce, { kind: 'disconnect' }, ...fails(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER))
    await expect(producer.send({ topic: 't', value: 'b' })).rejects.toMatchObject({
      code: 'PAGELOG_BROKER',
      kafkaCode: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
      retriable: false,
    })
    await producer.send({ topic: 't', value: 'c' })
    expect(broker.partition('t', 0).values()).toEqual(['a', 'c'])
    const last = batchesOf(broker).at(-1)!
    expect([producerEpoch(last, 0), baseSequence(last, 0)]).toEqual([1, 0])
    expect(producer.stats.bufferBytesUsed).toBe(0)
  })

  test('a producer that the broker has forgotten starts anew', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker)
    await producer.send({ topic: 't', value: 'a' })
    broker.partition('t', 0).producers.clear()
    broker.inject(Produce, ...fails(ErrorCode.UNKNOWN_PRODUCER_ID))
    await producer.send({ topic: 't', value: 'b' })
    expect(broker.partition('t', 0).values()).toEqual(['a', 'b'])
    expect(producerEpoch(batchesOf(broker).at(-1)!, 0)).toBe(1)
  })

  test('a void producer id is replaced', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker)
    await producer.send({ topic: 't', value: 'a' })
    broker.inject(Produce, ...fails(ErrorCode.INVALID_PRODUCER_EPOCH))
    await producer.send({ topic: 't', value: 'b' })
    expect(broker.partition('t', 0).values()).toEqual(['a', 'b'])
    expect(broker.callsOf(InitProducerId)).toHaveLength(2)
  })

  test('a duplicate whose offset the broker has forgotten is delivered without one', async () => {
    const broker = await brokerWith(1)
    broker.inject(Produce, ...fails(ErrorCode.DUPLICATE_SEQUENCE_NUMBER))
    expect((await producerOf(broker).send({ topic: 't', value: 'a' })).offset).toBe(-1)
  })

  test('without idempotence batches have no producer id', async () => {
    const broker = await brokerWith(1)
    await producerOf(broker, { acks: 1 }).send({ topic: 't', value: 'a' })
    expect(producerId(batchesOf(broker)[0]!, 0)).toBe(-1)
    expect(broker.callsOf(InitProducerId)).toEqual([])
  })
})

describe('failures for good', () => {
  test('a failure nobody awaits is counted, told, and thrown by flush once', async () => {
    const broker = await brokerWith(1)
    const failures: string[] = []
    const producer = producerOf(broker, {
      onError: ({ message }, { recordCount }) => failures.push(`${recordCount} ${message}`),
    })
    await producer.partitionsOf('t')
    broker.inject(Produce, ...fails(ErrorCode.MESSAGE_TOO_LARGE))
    producer.send({ topic: 't', value: 'a' })
    producer.send({ topic: 't', value: 'b' })
    await expect(producer.flush()).rejects.toMatchObject({ kafkaCode: ErrorCode.MESSAGE_TOO_LARGE })
    expect(failures).toEqual([expect.stringMatching(/^2 t-0: MESSAGE_TOO_LARGE/)])
    expect(producer.stats).toMatchObject({ recordsFailed: 2, batchesFailed: 1, bufferBytesUsed: 0 })
    await producer.flush()
  })

  test('retries are bounded', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { retries: 2 })
    broker.inject(Produce, ...fails(ErrorCode.NOT_ENOUGH_REPLICAS, 10))
    await expect(producer.send({ topic: 't', value: 'a' })).rejects.toMatchObject({ kafkaCode: 19, retriable: true })
    expect(broker.callsOf(Produce)).toHaveLength(3)
  })

  test('delivery.timeout.ms ends a delivery whose broker does not answer, and its memory comes back', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { deliveryTimeoutMs: 80, requestTimeoutMs: 60 })
    await producer.partitionsOf('t')
    broker.inject(Produce, { kind: 'no answer' }, { kind: 'no answer' }, { kind: 'no answer' })
    await expect(producer.send({ topic: 't', value: 'a' })).rejects.toMatchObject({ code: 'PAGELOG_TIMED_OUT' })
    await waitFor(() => expect(producer.stats.bufferBytesUsed).toBe(0))
    // An answer that was told to stay away may be that of this one.
    await waitFor(() => producer.send({ topic: 't', value: 'b' }))
    expect(broker.partition('t', 0).values().at(-1)).toBe('b')
  })

  test('max.block.ms ends the wait for a topic that does not come', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { maxBlockMs: 40 })
    await expect(producer.send({ topic: 'no', value: 'a' })).rejects.toMatchObject({ code: 'PAGELOG_TIMED_OUT' })
    await expect(producer.partitionsOf('no')).rejects.toMatchObject({ code: 'PAGELOG_TIMED_OUT' })
    expect(producer.stats).toMatchObject({ recordsFailed: 1, bufferBytesUsed: 0 })
  })

  test('a topic that may not be written fails what waited for it', async () => {
    const broker = await brokerWith(1)
    broker.inject(Metadata, ...fails(ErrorCode.TOPIC_AUTHORIZATION_FAILED))
    const producer = producerOf(broker)
    await expect(producer.send({ topic: 't', value: 'a' })).rejects.toMatchObject({ kafkaCode: 29 })
  })

  test('a refused producer id fails what was to be sent', async () => {
    const broker = await brokerWith(1)
    broker.inject(InitProducerId, ...fails(ErrorCode.CLUSTER_AUTHORIZATION_FAILED))
    await expect(producerOf(broker).send({ topic: 't', value: 'a' })).rejects.toMatchObject({ kafkaCode: 31 })
  })

  test('a partition that the topic does not have is refused at once, or when the metadata is there', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker)
    const early = producer.send({ topic: 't', value: 'a', partition: 7 })
    await expect(early).rejects.toMatchObject({ code: 'PAGELOG_INVALID_ARGUMENT' })
    const late = (): unknown => producer.send({ topic: 't', value: 'a', partition: 7 })
    expect(late).toThrow(expect.objectContaining({ code: 'PAGELOG_INVALID_ARGUMENT' }))
  })

  test.each([
    [{ topic: '', value: 'a' }],
    [{ topic: 't', value: 5 }],
    [{ topic: 't', value: undefined }],
    [{ topic: 't', value: 'a', timestamp: 1.5 }],
    [{ topic: 't', value: 'a', headers: [{ key: 1, value: 'x' }] }],
  ])('%j is no record', async (record) => {
    const broker = await brokerWith(1)
    const send = (): unknown => producerOf(broker).send(record as never)
    expect(send).toThrow(expect.objectContaining({ code: 'PAGELOG_INVALID_ARGUMENT' }))
  })
})

describe('back-pressure', () => {
  test('a loop that waits for room never fails, however slow the broker', async () => {
    const broker = await brokerWith(2)
    const producer = producerOf(broker, { bufferBytes: 4_000, batchBytes: 500 })
    let waits = 0
    for (const value of numbers(2_000)) {
      if (!producer.hasRoom) {
        waits++
        await producer.ready()
      }
      producer.send({ topic: 't', value, key: value })
    }
    await producer.flush()
    expect(waits).toBeGreaterThan(5)
    expect(producer.stats).toMatchObject({ recordsDelivered: 2_000, bufferBytesUsed: 0 })
  })

  test('a loop that waits for room never fails with records larger than a batch, late ones and others', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { bufferBytes: 10_000, batchBytes: 500 })
    const value = 'x'.repeat(6_000)
    for (let sent = 0; sent < 50; sent++) {
      if (!producer.hasRoom) await producer.ready()
      producer.send({ topic: 't', value })
      expect(producer.stats.bufferBytesUsed).toBeLessThan(10_000 + 6_200)
    }
    await producer.flush()
    expect(producer.stats).toMatchObject({ recordsDelivered: 50, bufferBytesUsed: 0 })
  })

  test('a loop that does not wait is refused when memory is gone, and may go on later', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { bufferBytes: 2_000, batchBytes: 500 })
    await producer.partitionsOf('t')
    let sent = 0
    const sendAll = (): void => {
      for (;;) {
        producer.send({ topic: 't', value: String(sent) })
        sent++
      }
    }
    expect(sendAll).toThrow(expect.objectContaining({ code: 'PAGELOG_BUFFER_FULL' }))
    await producer.flush()
    await producer.send({ topic: 't', value: String(sent) })
    expect(broker.partition('t', 0).values()).toEqual(numbers(sent + 1))
  })

  test('after a turn full of records the loop is asked to let the sockets work', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { turnBytes: 10_000, batchBytes: 1_000, lingerMs: 1_000 })
    await producer.partitionsOf('t')
    let sent = 0
    while (producer.hasRoom) producer.send({ topic: 't', value: String(sent++) })
    expect(sent).toBeGreaterThan(100)
    await producer.ready()
    expect(producer.hasRoom).toBe(true)
  })

  test.each([2, 100])('as many requests as allowed are in flight, and no more: %d', async (maxInFlight) => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { maxInFlight, batchBytes: 100 })
    const values = numbers(150).map((number) => number.padStart(100))
    await producer.send({ topic: 't', value: 'first' })
    let letGo = (): void => {}
    const until = new Promise<void>((resolve) => {
      letGo = resolve
    })
    broker.inject(Produce, ...Array.from({ length: maxInFlight }, () => ({ kind: 'hold', until }) as const))
    for (const value of values) producer.send({ topic: 't', value })
    await waitFor(() => expect(broker.callsOf(Produce)).toHaveLength(1 + maxInFlight))
    expect(broker.partition('t', 0).values()).toEqual(['first'])
    letGo()
    await producer.flush()
    expect(broker.partition('t', 0).values()).toEqual(['first', ...values])
  })

  test('a wait for room ends by its signal and by close', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { bufferBytes: 600, batchBytes: 500 })
    await producer.partitionsOf('t')
    broker.inject(Produce, { kind: 'no answer' })
    while (producer.hasRoom) producer.send({ topic: 't', value: 'x' })
    await expect(producer.ready({ signal: AbortSignal.abort('enough') })).rejects.toMatchObject({
      code: 'PAGELOG_ABORTED',
      cause: 'enough',
    })
    const waiting = producer.ready()
    void producer.close({ timeoutMs: 0 })
    await expect(waiting).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  })
})

describe('close', () => {
  test('delivers what was sent, then refuses more', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { lingerMs: 1_000 })
    const delivery = producer.send({ topic: 't', value: 'a' })
    await producer.close()
    expect((await delivery).offset).toBe(0)
    expect(() => producer.send({ topic: 't', value: 'b' })).toThrow(expect.objectContaining({ code: 'PAGELOG_CLOSED' }))
    await expect(producer.partitionsOf('t')).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
    await producer.close()
  })

  test('fails what cannot be delivered in time', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker)
    await producer.partitionsOf('t')
    broker.inject(Produce, { kind: 'no answer' })
    const delivery = producer.send({ topic: 't', value: 'a' })
    const late = producer.send({ topic: 'unknown', value: 'a' })
    await producer.close({ timeoutMs: 30 })
    await expect(delivery).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
    await expect(late).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
    await waitFor(() => expect(producer.stats.bufferBytesUsed).toBe(0))
  })

  test('leaves no timer behind that would keep the process alive', async () => {
    const broker = await brokerWith(1)
    const pending = new Map<Timer, number>()
    const { clock, network, random } = nodeEnv()
    const counting: Clock = {
      ...clock,
      after(delayMs, callback) {
        const timer = clock.after(delayMs, () => {
          pending.delete(counted)
          callback()
        })
        const counted: Timer = {
          cancel() {
            pending.delete(counted)
            timer.cancel()
          },
        }
        pending.set(counted, delayMs)
        return counted
      },
    }
    const producer = producerOf(broker, { env: { clock: counting, network, random } })
    const delivery = producer.send({ topic: 't', value: 'a' })
    await producer.close()
    expect((await delivery).offset).toBe(0)
    expect([...pending.values()].filter((delayMs) => delayMs > 1_000)).toEqual([])
  })

  test('and flush do not let linger what waited for metadata', async () => {
    const broker = await brokerWith(1)
    const producer = producerOf(broker, { lingerMs: 60_000, deliveryTimeoutMs: 100_000 })
    producer.send({ topic: 't', value: 'a' })
    await producer.flush()
    producer.send({ topic: 't', value: 'b' })
    await producer.close()
    expect(broker.partition('t', 0).values()).toEqual(['a', 'b'])
  })

  test('a producer that never sent closes at once', async () => {
    await new Producer({ bootstrap: '127.0.0.1:1' }).close()
  })
})

describe('settings', () => {
  test.each([
    [{ bootstrap: '' }],
    [{}],
    [{ bootstrap: 'host' }],
    [{ bootstrap: 'host:0' }],
    [{ bootstrap: 'h:1', acks: 1, idempotent: true }],
    [{ bootstrap: 'h:1', bufferBytes: 16_383 }],
    [{ bootstrap: 'h:1', maxInFlight: 6, idempotent: true }],
    [{ bootstrap: 'h:1', deliveryTimeoutMs: 10 }],
    [{ bootstrap: 'h:1', batchBytes: -1 }],
    [{ bootstrap: 'h:1', lingreMs: 5 }],
  ])('%j is refused', (options) => {
    expect(() => new Producer(options as unknown as ProducerOptions)).toThrow(
      expect.objectContaining({ code: 'PAGELOG_INVALID_SETTING' }),
    )
  })

  test('idempotence gives way to settings that exclude it, unless it was asked for', () => {
    expect(new Producer({ bootstrap: 'h:1' }).settings).toMatchObject({ idempotent: true, acks: 'all', lingerMs: 5 })
    expect(new Producer({ bootstrap: 'h:1', acks: 1 }).settings.idempotent).toBe(false)
    expect(new Producer({ bootstrap: ['h:1', '[::1]:2'], maxInFlight: 6 }).settings.idempotent).toBe(false)
  })
})
