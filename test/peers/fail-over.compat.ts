/**
 * Apache Kafka's Java client and librdkafka write and read at a paced rate while leaders are killed, stopped and closed:
 * neither surfaces an error, and what they were told is stored is there once, in order.
 */
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { javaCommand } from '../../bench/peers/java.ts'
import { Child } from '../../bench/process/children.ts'
import { FaultCluster, SESSION_MS } from '../faults/cluster/fault-cluster.ts'
import { consoleReader } from './kafka-tools.ts'
import { kcatReader } from './kcat.ts'
import { readTopic } from './records.ts'

const TOPIC = 'through-fail-overs'
const RATE = 200
/** Enough for all the faults on a slow machine; whoever writes is ended when they are over. */
const RECORDS_MAX = 60_000

let cluster: FaultCluster | undefined
const children: Child[] = []
afterEach(async () => {
  for (const child of children.splice(0)) await child.end()
  await cluster?.[Symbol.asyncDispose]()
  cluster = undefined
})

function epochs(id: number): Map<number, number> {
  return new Map([[id, cluster!.epochOf(id)]])
}

/** Whoever leads is killed, stopped past its session, closed in order. */
async function failOver(): Promise<void> {
  const ways = [
    async (id: number) => {
      await cluster!.broker(id).kill()
      await cluster!.until('another one leads', () => ![id, -1].includes(leader()))
      await cluster!.broker(id).start()
    },
    async (id: number) => {
      cluster!.broker(id).pause()
      await cluster!.until('another one leads', () => ![id, -1].includes(leader()))
      await sleep(SESSION_MS / 2)
      cluster!.broker(id).resume()
    },
    async (id: number) => {
      expect(await cluster!.broker(id).stop()).toBe(0)
      await cluster!.broker(id).start()
    },
  ]
  for (const way of [...ways, ...ways]) {
    const id = leader()
    const since = epochs(id)
    await way(id)
    await cluster!.whole(since)
  }
}

function leader(): number {
  return cluster!.partition(TOPIC, 0).leader
}

/** Values in the order in which they are stored; each is there once. */
async function storedValues(): Promise<string[]> {
  const records = await readTopic(cluster!.bootstrap.join(','), TOPIC)
  return records.map(({ value }) => value!)
}

test('the Java client: its producer and a console consumer go through fail-overs', { timeout: 300_000 }, async () => {
  cluster = await FaultCluster.start()
  await cluster.createTopic(TOPIC, 1)
  const bootstrap = cluster.bootstrap.join(',')
  const acknowledged: string[] = []
  const errors: string[] = []
  // The tool itself forbids retries; these are the client's defaults.
  const configFile = `${cluster.broker(1).directory}.properties`
  writeFileSync(configFile, 'retries=2147483647\nenable.idempotence=true\n')
  const java = await javaCommand({
    className: 'org.apache.kafka.tools.VerifiableProducer',
    args: [
      ...['--bootstrap-server', bootstrap, '--topic', TOPIC, '--acks', '-1'],
      ...['--producer.config', configFile],
      ...['--throughput', String(RATE), '--max-messages', String(RECORDS_MAX)],
    ],
  })
  const producer = new Child('VerifiableProducer', {
    ...java,
    onLine: (line) => {
      const event = line.startsWith('{') ? (JSON.parse(line) as { name: string; value?: string }) : undefined
      if (event?.name === 'producer_send_success') acknowledged.push(event.value!)
      if (event?.name === 'producer_send_error') errors.push(line)
    },
  })
  children.push(producer)
  const read: string[] = []
  const reader = await consoleReader(bootstrap, TOPIC, (line) => read.push(line))
  children.push(reader)
  await cluster.until('it writes and reads', () => Math.min(acknowledged.length, read.length) > RATE / 2)
  await failOver()
  const before = { acknowledged: acknowledged.length, read: read.length }
  await cluster.until('it writes on', () => acknowledged.length > before.acknowledged + RATE / 2)
  await cluster.until('it reads on', () => read.length > before.read + RATE / 2)
  await producer.end()
  expect(errors.slice(0, 3)).toEqual([])
  const values = await storedValues()
  expect(new Set(values).size).toBe(values.length)
  // Acknowledgements come in order too; what was under way at its end may be stored or not.
  expect(values.slice(0, acknowledged.length)).toEqual(acknowledged)
  await cluster.until('all is read', () => read.length >= values.length)
  expect(read).toEqual(values)
  expect(reader.exit).toBeUndefined()
  expect(reader.tail).not.toMatch(/\] (ERROR|FATAL) /)
})

test('librdkafka: its producer and its consumer go through fail-overs', { timeout: 300_000 }, async () => {
  cluster = await FaultCluster.start()
  await cluster.createTopic(TOPIC, 1)
  const bootstrap = cluster.bootstrap.join(',')
  const read: string[] = []
  const reader = kcatReader(bootstrap, ['-t', TOPIC, '-p', '0', '-o', 'beginning', '-q'], ({ value }) => {
    read.push(value!)
  })
  children.push(reader)
  // Lines at a pace; kcat ends when there are no more, and fails when a delivery failed.
  const pace = `i=0; while [ ! -e "$0" ] && [ $i -lt ${RECORDS_MAX} ]; do echo v$i; i=$((i+1)); sleep ${1 / RATE}; done`
  const stopFile = `${cluster.broker(1).directory}.stop`
  const command = `(${pace}) | kcat -P -b ${bootstrap} -t ${TOPIC} -p 0 -X enable.idempotence=true -X acks=all`
  const producer = new Child('kcat', { command: 'sh', args: ['-c', command, stopFile] })
  children.push(producer)
  await cluster.until('it writes and reads', () => read.length > RATE / 4)
  await failOver()
  const before = read.length
  await cluster.until('it goes on', () => read.length > before + RATE / 4)
  writeFileSync(stopFile, '')
  const { code } = await producer.exited
  expect(code, producer.tail).toBe(0)
  const values = await storedValues()
  // All that was handed to it, once, in order.
  expect(values).toEqual(values.map((_, i) => `v${i}`))
  await cluster.until('all is read', () => read.length >= values.length)
  expect(read).toEqual(values)
  expect(reader.exit).toBeUndefined()
  expect(reader.tail).not.toMatch(/ERROR: Topic|Fatal|Consume error/)
})
