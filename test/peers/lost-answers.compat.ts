/**
 * Idempotent producers that lose answers and have to send batches again: every broker of Kafka's protocol must take
 * each record once. The proxy stands in front of our broker, for the Java producer, librdkafka's and ours, and in front of
 * Apache Kafka for ours.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startKafka } from '../../bench/targets/kafka.ts'
import { Admin, Producer } from '../../src/client/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import { createTopics } from './create-topics.ts'
import { DroppingProxy } from './dropping-proxy.ts'
import { tool } from './kafka-tools.ts'
import { kcat } from './kcat.ts'
import { readTopic } from './records.ts'

const COUNT = 4_000

interface Served {
  /** Past the proxy. */
  readonly direct: string
  close(): Promise<void>
}

const brokers: Record<string, (proxy: DroppingProxy) => Promise<Served>> = {
  async pagelog(proxy) {
    const settings = { advertisedListeners: [`PLAINTEXT://127.0.0.1:${proxy.port}`] }
    const { bootstrap, close } = await startBroker({ settings })
    return { direct: bootstrap, close }
  },
  async 'Apache Kafka'(proxy) {
    const directory = await mkdtemp(join(tmpdir(), 'pagelog-peers-'))
    const overrides = { 'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port}` }
    const target = await startKafka({ directory, partitions: 1, overrides })
    return {
      direct: target.bootstrap,
      close: async () => {
        await target.close()
        await rm(directory, { recursive: true, force: true })
      },
    }
  },
}

const producers: Record<string, (bootstrap: string, topic: string) => Promise<unknown>> = {
  async java(bootstrap, topic) {
    // The tool turns retries off, and with them idempotence, unless its file says otherwise.
    const settings = ['enable.idempotence=true', 'retries=2147483647', 'batch.size=500', 'linger.ms=0']
    const directory = await mkdtemp(join(tmpdir(), 'pagelog-peers-'))
    try {
      const file = join(directory, 'producer.properties')
      await writeFile(file, `${[...settings, 'retry.backoff.ms=10', 'reconnect.backoff.ms=10'].join('\n')}\n`)
      const args = ['--bootstrap-server', bootstrap, '--topic', topic, '--max-messages', `${COUNT}`, '--acks', '-1']
      await tool('org.apache.kafka.tools.VerifiableProducer', [...args, '--producer.config', file])
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  },
  async librdkafka(bootstrap, topic) {
    const settings = [
      'enable.idempotence=true',
      'batch.num.messages=200',
      'reconnect.backoff.ms=10',
      'retry.backoff.ms=10',
    ]
    const input = Array.from({ length: COUNT }, (_, i) => `${i}\n`).join('')
    // -E: a broken connection is no reason to give up.
    await kcat(bootstrap, ['-P', '-E', '-t', topic, ...settings.flatMap((setting) => ['-X', setting])], input)
  },
  async ours(bootstrap, topic) {
    await using producer = new Producer({ bootstrap, batchBytes: 500, retryBackoffMs: 10, reconnectBackoffMs: 10 })
    for (let i = 0; i < COUNT; i++) {
      if (!producer.hasRoom) await producer.ready()
      producer.send({ topic, value: `${i}` })
    }
    await producer.flush()
  },
}

describe.each(Object.keys(brokers))('%s', (name) => {
  let proxy: DroppingProxy
  let served: Served
  let bootstrap: string

  beforeAll(async () => {
    proxy = await DroppingProxy.listen()
    served = await brokers[name]!(proxy)
    proxy.forwardTo(Number(served.direct.split(':')[1]))
    bootstrap = `127.0.0.1:${proxy.port}`
  })

  afterAll(async () => {
    await served?.close()
    await proxy?.close()
  })

  test.each(name === 'pagelog' ? Object.keys(producers) : ['ours'])(
    'takes every record of the %s producer once and in order',
    async (producer) => {
      const topic = `from-${producer}`
      // Its readers go through the proxy as well: the broker tells them its address.
      {
        await using admin = new Admin({ bootstrap })
        await createTopics(admin, [{ topic }])
      }
      const lostBefore = proxy.lost
      proxy.loses = (answer) => answer % 7 === 3
      await producers[producer]!(bootstrap, topic)
      proxy.loses = () => false
      expect(proxy.lost - lostBefore).toBeGreaterThanOrEqual(3)
      const records = await readTopic(bootstrap, topic)
      expect(records.map(({ value }) => value)).toEqual(Array.from({ length: COUNT }, (_, i) => `${i}`))
    },
  )
})
