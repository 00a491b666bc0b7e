/** Other clients as drivers of the benchmarks, on a broker that is there already: what they wrote is read back. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DriverProcess } from '../../bench/drivers/driver-process.ts'
import { Payloads } from '../../bench/drivers/payloads.ts'
import { librdkafkaDriver } from '../../bench/peers/librdkafka.ts'
import { prepareClient } from '../../bench/peers/other-clients.ts'
import { packageRoot } from '../../bench/process/package-root.ts'
import type { BenchResult } from '../../bench/result.ts'
import { Admin } from '../../src/client/index.ts'
import { crc32c } from '../../src/native/index.ts'
import { startBroker } from '../../src/testing/index.ts'

let directory = ''
let broker: Awaited<ReturnType<typeof startBroker>>
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-bench-clients-test-'))
  broker = await startBroker()
  await Promise.all([prepareClient('kafkajs'), prepareClient('platformatic')])
})
afterAll(async () => {
  await broker.close()
  rmSync(directory, { recursive: true, force: true })
})

test('kafkajs and @platformatic/kafka produce; no topic is left on the broker', async () => {
  const hosts = join(directory, 'hosts')
  writeFileSync(hosts, `${broker.bootstrap} # here\n`)
  const small = ['--quick', '--records', '20000', '--warm-up', '0.1', '--seconds', '5', '--out', directory]
  const asked = ['--hosts', hosts, '--clients', 'kafkajs,platformatic', '--tests', 'single-producer', ...small]
  await promisify(execFile)(process.execPath, [join(packageRoot, 'bin/pagelog.cjs'), 'bench', ...asked])
  const result = JSON.parse(readFileSync(join(directory, 'result.json'), 'utf8')) as BenchResult
  expect(result).toMatchObject({ complete: true, failures: [], limits: [] })
  expect(result.results.map(({ target, driver }) => [target, driver])).toEqual([
    ['hosts', 'kafkajs'],
    ['hosts', 'platformatic'],
  ])
  for (const { runs } of result.results) expect(runs[0]).toMatchObject({ verified: true, storedBytesPerRecord: null })
  const admin = new Admin({ bootstrap: broker.bootstrap })
  try {
    expect((await admin.listTopics()).filter((topic) => topic.startsWith('bench-'))).toEqual([])
  } finally {
    await admin.close()
  }
})

test('librdkafka’s driver writes what ours would, reads it once, and follows', async () => {
  const topic = 'librdkafka'
  const payload = { valueBytes: 100, seed: 7, poolBytes: 1 << 20 }
  const records = 50_000
  // The system's library, which kcat needs, too.
  const client = { name: 'librdkafka', directory: '', program: await librdkafkaDriver() } as const
  const common = { client, bootstrap: broker.bootstrap, topic, partitions: 2, warmUpSeconds: 0, records, seconds: 30 }
  const admin = new Admin({ bootstrap: broker.bootstrap })
  await admin.createTopics([{ topic, partitions: 2, replicationFactor: 1 }])
  await admin.close()
  const follower = new DriverProcess({ kind: 'consumer', mode: 'follow', ...common }, () => {})
  const producing = {
    kind: 'producer',
    payload,
    acks: -1,
    batchBytes: 16_384,
    lingerMs: 1,
    bufferBytes: 1 << 24,
  } as const
  const producer = new DriverProcess({ ...producing, ...common }, () => {})
  const drivers = [follower, producer]
  try {
    await Promise.all(drivers.map(({ ready }) => ready))
    for (const driver of drivers) driver.tell({ type: 'start' })
    await producer.measuring
    follower.tell({ type: 'measure' })
    await producer.measured
    follower.tell({ type: 'measured' })
    const produced = await producer.result
    const sums = new Payloads({ ...payload, crc: (bytes) => crc32c(bytes) }).checksumOf(records)
    expect(produced).toMatchObject({ records, errors: 0, checksum: sums, loopDelay: null })
    expect(produced.latency).not.toBe('')
    follower.tell({ type: 'finish', records })
    expect((await follower.result).checksum).toEqual(sums)
    const consumer = new DriverProcess({ kind: 'consumer', mode: 'laps', ...common }, () => {})
    drivers.push(consumer)
    await consumer.ready
    consumer.tell({ type: 'start' })
    await Promise.all([consumer.measuring, consumer.measured])
    expect(await consumer.result).toMatchObject({ isPart: false, checksum: sums })
  } finally {
    await Promise.all(drivers.map((driver) => driver.end()))
  }
})

test('a driver of librdkafka that cannot go on says why', async () => {
  const client = {
    name: 'librdkafka',
    directory: '',
    program: await librdkafkaDriver(),
    library: '/nowhere.so',
  } as const
  const spec = { bootstrap: '127.0.0.1:1', topic: 't', partitions: 1, warmUpSeconds: 0, records: 1, seconds: 1 }
  const driver = new DriverProcess({ kind: 'consumer', mode: 'laps', client, ...spec }, () => {})
  try {
    await expect(driver.ready).rejects.toThrow('librdkafka: /nowhere.so')
  } finally {
    await driver.end()
  }
})
