/**
 * A producer and a consumer of three real brokers of which each goes and comes back: neither hears of it, nothing is lost,
 * doubled or out of order. (test/client/fail-over.test.ts has the single cases, in virtual time.)
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { Consumer, Producer } from '../../src/client/index.ts'
import { TestCluster, until } from '../replication/brokers.ts'

const PARTITIONS = 3
const decoder = new TextDecoder()

// Each broker takes a moment to go and to come back, more on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let cluster: TestCluster
beforeAll(async () => {
  cluster = await TestCluster.start({ settings: { minInsyncReplicas: 2 } })
  const replicas = [
    [1, 2, 3],
    [2, 3, 1],
    [3, 1, 2],
  ]
  await cluster.createTopic('t', replicas)
})
afterAll(() => cluster?.close())

test('each of three leaders goes under load and comes back', async () => {
  const { bootstrap } = cluster
  await using producer = new Producer({ bootstrap, lingerMs: 0 })
  await using consumer = new Consumer({ bootstrap, autoOffsetReset: 'earliest' })
  const errors: unknown[] = []
  const values = Array.from({ length: PARTITIONS }, (): number[] => [])
  consumer.assign(values.map((_, partition) => ({ topic: 't', partition, offset: 'beginning' })))
  const read = async (): Promise<void> => {
    for await (const batch of consumer) {
      for (const { value } of batch) values[batch.partition]!.push(Number(decoder.decode(value!)))
    }
  }
  read().catch((error: unknown) => errors.push(error))

  let isOver = false
  const sent = values.map(() => 0)
  const write = async (partition: number): Promise<void> => {
    while (!isOver) {
      await producer.send({ topic: 't', partition, value: String(sent[partition]) })
      sent[partition]!++
    }
  }
  const writing = values.map((_, partition) => write(partition).catch((error: unknown) => errors.push(error)))
  const goOn = async (): Promise<void> => {
    const aims = sent.map((count) => count + 20)
    await until(() => errors.length > 0 || sent.every((count, partition) => count >= aims[partition]!))
  }

  await goOn()
  for (const id of [1, 2, 3]) {
    await cluster.stopBroker(id)
    await goOn()
    await cluster.startBroker(id)
    await goOn()
  }
  isOver = true
  await Promise.all(writing)
  expect(errors).toEqual([])
  await until(() => values.every(({ length }, partition) => length >= sent[partition]!))
  for (const [partition, seen] of values.entries()) {
    expect(seen).toEqual(Array.from({ length: sent[partition]! }, (_, i) => i))
  }
})
