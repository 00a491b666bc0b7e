import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Consumer, Producer } from '../../src/client/index.ts'
import { lyingDisk, memoryDisk, startBroker } from '../../src/testing/index.ts'

test('a test broker listens on the loopback address and leaves nothing behind', async () => {
  const { bootstrap, broker, directory, close } = await startBroker()
  expect(bootstrap).toBe(`127.0.0.1:${broker.port}`)
  expect(broker.port).toBeGreaterThan(0)
  expect(existsSync(directory)).toBe(true)
  await close()
  expect(existsSync(directory)).toBe(false)
})

test('a folder that was given is kept', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'pagelog-kept-'))
  await (await startBroker({ directory })).close()
  expect(await readdir(directory)).toContain('pagelog-metadata.journal')
  await rm(directory, { recursive: true })
})

test('brokers live side by side', async () => {
  const [a, b] = await Promise.all([startBroker(), startBroker()])
  expect(a.bootstrap).not.toBe(b.bootstrap)
  expect(a.broker.clusterId).not.toBe(b.broker.clusterId)
  await Promise.all([a.close(), b.close()])
})

test('a start that fails says why and removes its folder', async () => {
  const before = new Set(await readdir(tmpdir()))
  await expect(startBroker({ settings: { numPartitions: 0 } })).rejects.toMatchObject({
    code: 'PAGELOG_INVALID_SETTING',
  })
  const left = (await readdir(tmpdir())).filter((name) => /^pagelog-[A-Za-z0-9]{6}$/.test(name) && !before.has(name))
  expect(left.filter((name) => !before.has(name))).toEqual([])
})

const VALUE = 'x'.repeat(100_000)

/** Appends records of 100 kB one after the other; gives how many were answered. */
async function produce(bootstrap: string, count: number): Promise<number> {
  await using producer = new Producer({
    bootstrap,
    lingerMs: 0,
    acks: 'all',
    deliveryTimeoutMs: 500,
    requestTimeoutMs: 400,
  })
  for (let index = 0; index < count; index++) {
    const sent = await producer.send({ topic: 't', value: `${index}${VALUE}` }).catch(() => undefined)
    if (sent === undefined) return index
  }
  return count
}

/** The number that each value begins with, in one fetch as large as they are: it is sent as a region. */
async function consume(bootstrap: string, count: number): Promise<number[]> {
  await using consumer = new Consumer({ bootstrap, fetchMaxBytes: 64 << 20, maxPartitionFetchBytes: 64 << 20 })
  consumer.assign([{ topic: 't', partition: 0, offset: 'beginning' }])
  const seen: number[] = []
  for await (const batch of consumer) {
    for (const { value } of batch) {
      const text = new TextDecoder().decode(value!)
      expect(text.endsWith(VALUE)).toBe(true)
      seen.push(Number(text.slice(0, -VALUE.length)))
    }
    if (seen.length >= count) return seen
  }
  return seen
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

test('a broker in memory serves records and leaves no file', async () => {
  const { bootstrap, directory, close } = await startBroker({ disk: 'memory' })
  expect(await produce(bootstrap, 30)).toBe(30)
  expect(await consume(bootstrap, 30)).toEqual(upTo(30))
  await close()
  expect(existsSync(directory)).toBe(false)
})

test('a broker on a disk in memory finds what the one before it had stored', async () => {
  const disk = memoryDisk()
  const first = await startBroker({ disk })
  await produce(first.bootstrap, 5)
  await first.close()
  const second = await startBroker({ disk })
  expect(await consume(second.bootstrap, 5)).toEqual(upTo(5))
  await second.close()
  expect(await disk.list(second.directory)).toContain('t-0')
})

test('a disk in memory that is full refuses records, and takes them again when there is room', async () => {
  const disk = memoryDisk({ capacityBytes: 1 << 20 })
  const { bootstrap, close } = await startBroker({ disk })
  const stored = await produce(bootstrap, 100)
  expect(stored).toBeGreaterThan(5)
  expect(stored).toBeLessThan(11)
  expect(disk.usedBytes).toBeLessThanOrEqual(1 << 20)
  disk.capacityBytes = 8 << 20
  expect(await produce(bootstrap, 3)).toBe(3)
  const seen = await consume(bootstrap, stored + 3)
  expect(seen).toEqual([...upTo(stored), ...upTo(3)])
  await close()
})

test('a broker comes back from a power loss with all that it had synced', async () => {
  const machine = lyingDisk({ seed: 5 })
  const first = await startBroker({ disk: machine.disk, settings: { logFlushIntervalMessages: 1 } })
  expect(await produce(first.bootstrap, 5)).toBe(5)
  machine.crash()
  await first.close().catch(() => {})
  const second = await startBroker({ disk: machine.disk })
  expect(await consume(second.bootstrap, 5)).toEqual(upTo(5))
  await second.close()
})
