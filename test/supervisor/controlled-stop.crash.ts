/** Brokers of a real cluster that are stopped in order, one after the other: clients notice nothing. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLogger } from '../../src/base/index.ts'
import { Admin, Producer } from '../../src/client/index.ts'
import { isProcessAlive, nodeEnv } from '../../src/env/index.ts'
import {
  type BrokerValue,
  connectMetadata,
  type MetadataEvent,
  type MetadataStore,
  parsePartition,
} from '../../src/metadata/index.ts'
import { clusterStatus } from '../../src/supervisor/index.ts'

const launcher = fileURLToPath(new URL('../../bin/pagelog.cjs', import.meta.url))
const env = nodeEnv()
const PARTITIONS = 6
let directory: string
let supervisor: ChildProcess
let bootstrap: string
let store: MetadataStore

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-stop-'))
  const args = ['cluster', 'start', '--dir', directory, '--port', '0', '--json']
  supervisor = spawn(process.execPath, [launcher, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  bootstrap = await new Promise((resolve, reject) => {
    supervisor.on('exit', (status) => reject(new Error(`the cluster ended with ${status}: ${output}`)))
    supervisor.stdout!.on('data', (text: Buffer) => {
      output += text.toString()
      const ready = /"bootstrap":"([^"]+)"/.exec(output)
      if (ready) resolve(ready[1]!)
    })
  })
  const endpoints = [{ socketPath: `${directory}/metadata.sock` }]
  store = await connectMetadata({ clock: env.clock, logger: silentLogger, endpoints, root: '' })
}, 60_000)
afterEach(async () => {
  await store.close()
  supervisor.kill('SIGTERM')
  await new Promise((resolve) => supervisor.on('exit', resolve))
  await rm(directory, { recursive: true, force: true })
}, 60_000)

const status = () => clusterStatus({ env, processes: { isAlive: isProcessAlive }, logger: silentLogger, directory })

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`that did not come true: ${JSON.stringify(await status())}`)
}

test('a producer with acks=all sees no error, and who leaves joins no ISR any more', { timeout: 120_000 }, async () => {
  const admin = new Admin({ bootstrap })
  await admin.createTopics([{ topic: 'events', partitions: PARTITIONS, replicationFactor: 3 }])
  await admin.close()
  const events: MetadataEvent[] = []
  const { revision } = await store.range('brokers/')
  store.watch('', revision + 1, {
    changed: (more) => {
      events.push(...more)
    },
    lost: () => {},
  })
  const producer = new Producer({ bootstrap, acks: 'all', lingerMs: 0 })
  const errors: unknown[] = []
  const sent = new Array<number>(PARTITIONS).fill(0)
  let stop = false
  const loops = Array.from({ length: PARTITIONS }, async (_, partition) => {
    while (!stop) {
      await producer.send({ topic: 'events', partition, value: `${sent[partition]}` }).then(
        () => sent[partition]!++,
        (error: unknown) => errors.push(error),
      )
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })
  try {
    for (const id of [1, 2, 3]) {
      await until(async () => (await status()).underReplicated === 0)
      const pid = (await status()).brokers.find((broker) => broker.id === id)!.pid!
      const before = [...sent]
      process.kill(pid, 'SIGTERM')
      await until(async () => {
        const now = (await status()).brokers.find((broker) => broker.id === id)!
        return now.registered && now.pid !== undefined && now.pid !== pid
      })
      await until(async () => sent.every((count, partition) => count > before[partition]!))
    }
    await until(async () => (await status()).underReplicated === 0)
  } finally {
    stop = true
    await Promise.all(loops)
    await producer.close()
  }
  expect(errors).toEqual([])
  expect(joinedWhileLeaving(events)).toEqual([])
})

/** Partitions whose ISR took a broker in between its announcement and its end. */
function joinedWhileLeaving(events: readonly MetadataEvent[]): string[] {
  const leaving = new Set<number>()
  const isrs = new Map<string, readonly number[]>()
  const found: string[] = []
  let announced = 0
  for (const { type, key, value } of events) {
    if (key.startsWith('brokers/')) {
      const id = Number(key.slice('brokers/'.length))
      if (type === 'put' && (JSON.parse(value) as BrokerValue).leaving) {
        leaving.add(id)
        announced++
      } else leaving.delete(id)
    } else if (key.startsWith('partitions/') && type === 'put') {
      const { isr } = parsePartition(value)
      const before = isrs.get(key) ?? isr
      if (isr.some((id) => leaving.has(id) && !before.includes(id))) found.push(`${key} ${value}`)
      isrs.set(key, isr)
    }
  }
  expect(announced).toBe(3)
  return found
}
