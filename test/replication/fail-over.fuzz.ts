/**
 * An idempotent producer writes while leaders change at random and brokers go and come back: what was acknowledged is there
 * once, in order, on every replica. The seed is in the name of the test.
 */
import { afterEach, expect, test } from 'vitest'
import { Producer } from '../../src/client/index.ts'
import { SeededRandom } from '../../src/env/simulated/index.ts'
import { bytesOf, TestCluster, until } from './brokers.ts'

const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)
const ROUNDS = 12
let cluster: TestCluster
afterEach(() => cluster?.close())

test(`leaders change and brokers restart under a producer with acks=all, seed ${seed}`, async () => {
  const random = new SeededRandom(seed)
  const below = (limit: number): number => Math.floor(random.fraction() * limit)
  cluster = await TestCluster.start({ settings: { replicaFetchWaitMaxMs: 50, autoLeaderRebalanceEnable: false } })
  const id = await cluster.createTopic('events', [[1, 2, 3]], { 'min.insync.replicas': '2' })
  const producer = new Producer({
    bootstrap: cluster.bootstrap,
    acks: 'all',
    idempotent: true,
    lingerMs: 1,
    deliveryTimeoutMs: 120_000,
    retryBackoffMs: 20,
    retryBackoffMaxMs: 200,
    reconnectBackoffMs: 20,
    reconnectBackoffMaxMs: 200,
  })
  const acknowledged = new Map<number, number>()
  const failures: unknown[] = []
  let sent = 0
  let stopped = false
  const writing = (async () => {
    while (!stopped) {
      for (let i = 0; i < 5; i++) {
        const value = sent++
        producer.send({ topic: 'events', value: Buffer.from(`value-${value}`) }).then(
          ({ offset }) => acknowledged.set(value, offset),
          (error) => failures.push(error),
        )
      }
      await producer.ready()
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    await producer.flush()
  })()
  for (let round = 0; round < ROUNDS; round++) {
    const { isr, leader } = await cluster.state(id)
    const { size } = acknowledged
    if (below(3) > 0 || isr.length < 3) {
      const next = isr[below(isr.length)]!
      await cluster.elect(id, next)
    } else {
      const gone = below(2) === 0 && leader > 0 ? leader : 1 + below(3)
      await cluster.stopBroker(gone)
      await until(() => acknowledged.size > size, 'progress without a broker')
      await cluster.startBroker(gone)
    }
    await until(() => acknowledged.size > size + 20, 'progress')
    await until(async () => (await cluster.state(id)).isr.length === 3, 'everybody in sync')
  }
  stopped = true
  await writing
  await producer.close()
  expect(failures).toEqual([])
  const replicas = [1, 2, 3].map((broker) => cluster.replica(broker, 'events'))
  const end = Math.max(...replicas.map(({ log }) => log.logEndOffset))
  await until(() => replicas.every(({ highWatermark }) => highWatermark === end), 'equal replicas')
  const bytes = await bytesOf(replicas[0]!)
  for (const replica of replicas) expect((await bytesOf(replica)).equals(bytes)).toBe(true)
  const values: number[] = []
  for await (const batch of replicas[0]!.log.read({ from: 0, to: end })) {
    for (const record of batch) {
      const value = Number(Buffer.from(record.value!).toString().slice('value-'.length))
      expect(acknowledged.get(value)).toBe(record.offset)
      values.push(value)
    }
  }
  expect(values).toEqual(Array.from({ length: sent }, (_, value) => value))
}, 120_000)
