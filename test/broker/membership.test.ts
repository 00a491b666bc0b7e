/** Brokers that do not belong where they are started: refused with one clear line, and nothing is overwritten. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Broker, type BrokerSettings } from '../../src/broker/index.ts'
import { parseMetadataLocation } from '../../src/broker/metadata-location.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { lyingDisk } from '../../src/env/simulated/index.ts'
import { EmbeddedMetadata } from '../../src/metadata/index.ts'
import { CreateTopics, DescribeConfigs } from '../../src/protocol/index.ts'
import { until } from '../replication/brokers.ts'
import { batchOf, produce } from './fixtures.ts'
import { RawClient } from './raw-client.ts'

let directory: string
let store: EmbeddedMetadata
let brokers: Broker[]
const openStore = () => EmbeddedMetadata.open({ ...nodeEnv(), disk: memoryDisk(), path: '/journal' })
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-member-'))
  store = await openStore()
  brokers = []
})
afterEach(async () => {
  for (const broker of brokers) await broker.close()
  await store.close()
  await rm(directory, { recursive: true, force: true })
})

async function start(folder: string, settings: Partial<BrokerSettings> = {}, metadata = store): Promise<Broker> {
  const broker = await Broker.start({
    metadata,
    bootId: 'boot',
    settings: { listeners: ['PLAINTEXT://127.0.0.1:0'], ...settings, logDir: join(directory, folder) },
  })
  brokers.push(broker)
  return broker
}

const properties = (folder: string) => readFile(join(directory, folder, 'meta.properties'), 'utf8')

describe('a broker is refused', () => {
  test('with a node id that is in use', async () => {
    const { port } = await start('one', { nodeId: 7 })
    await expect(start('two', { nodeId: 7 })).rejects.toMatchObject({
      code: 'PAGELOG_INVALID_ARGUMENT',
      message: expect.stringContaining(`node.id=7 is in use by the broker at 127.0.0.1:${port}`) as string,
    })
    expect(brokers[0]!.membership.image.brokers.get(7)?.port).toBe(port)
  })

  test("with another cluster's folder", async () => {
    await (await start('one')).close()
    const before = await properties('one')
    const other = await openStore()
    await start('two', { nodeId: 2 }, other)
    await expect(start('one', {}, other)).rejects.toMatchObject({
      code: 'PAGELOG_INVALID_ARGUMENT',
      message: expect.stringContaining('log directory belongs to cluster.id=') as string,
    })
    expect(await properties('one')).toBe(before)
    expect((await other.range('brokers/')).pairs.map(({ key }) => key)).toEqual(['brokers/2'])
    await brokers[1]!.close()
    await other.close()
  })

  test('with a folder of a cluster whose metadata is not there, unless that is meant', async () => {
    const { clusterId } = await start('one')
    await brokers[0]!.close()
    const empty = await openStore()
    await expect(start('one', {}, empty)).rejects.toMatchObject({
      code: 'PAGELOG_INVALID_ARGUMENT',
      message: expect.stringContaining(`give pagelog.cluster.id=${clusterId}`) as string,
    })
    expect((await empty.range('')).pairs).toEqual([])
    expect((await start('one', { clusterId }, empty)).clusterId).toBe(clusterId)
    await brokers[1]!.close()
    await empty.close()
  })

  test('with another cluster id than the metadata', async () => {
    const { clusterId } = await start('one')
    await expect(start('two', { nodeId: 2, clusterId: 'another' })).rejects.toThrow(clusterId)
  })

  test("as another node than its folder's", async () => {
    await (await start('one', { nodeId: 1 })).close()
    await expect(start('one', { nodeId: 2 })).rejects.toThrow('log directory belongs to node.id=1, not to 2')
    expect((await store.range('brokers/')).pairs).toEqual([])
  })

  test('when nobody answers for the metadata', async () => {
    const starting = Broker.start({
      settings: {
        listeners: ['PLAINTEXT://127.0.0.1:0'],
        logDir: join(directory, 'one'),
        metadata: `socket:${directory}/nobody.sock`,
      },
    })
    await expect(starting).rejects.toMatchObject({ code: 'PAGELOG_METADATA_UNREACHABLE' })
  })

  test('when a file for etcd is not there', async () => {
    const starting = Broker.start({
      settings: {
        logDir: join(directory, 'one'),
        metadata: 'etcd://127.0.0.1:1',
        metadataCa: join(directory, 'no.pem'),
      },
    })
    await expect(starting).rejects.toMatchObject({
      code: 'PAGELOG_INVALID_SETTING',
      message: expect.stringContaining('no.pem') as string,
    })
  })
})

test('several that begin a cluster at the same time agree on its id', async () => {
  const started = await Promise.all([1, 2, 3].map((nodeId) => start(String(nodeId), { nodeId })))
  expect(new Set(started.map(({ clusterId }) => clusterId)).size).toBe(1)
})

test('a broker is back at once on its folder, whatever became of its registration', async () => {
  const first = await start('one')
  const { pair } = await store.get('brokers/1')
  await first.close()
  // As a process leaves it that is killed.
  const { id: lease } = await store.grantLease(600_000)
  await store.transact([], [{ type: 'put', key: 'brokers/1', value: pair!.value, lease }])
  const second = await start('one')
  expect(second.membership.registration.brokerEpoch).toBeGreaterThan(pair!.createRevision)
})

test('a broker whose registration somebody deleted, while its lease lives, is back under another epoch', async () => {
  const { registration, image } = (await start('one')).membership
  const epoch = registration.brokerEpoch
  await until(() => image.controller?.epoch !== undefined)
  const office = image.controller!.epoch
  await store.transact([], [{ type: 'delete', key: 'brokers/1' }])
  await until(() => registration.brokerEpoch > epoch)
  await until(() => image.brokers.get(1)?.epoch === registration.brokerEpoch)
  await until(() => (image.controller?.epoch ?? 0) > office)
})

test('a broker whose disk fails leaves every ISR, and others lead', { timeout: 60_000 }, async () => {
  const machine = lyingDisk({ seed: 1 })
  const sick = await Broker.start({
    metadata: store,
    bootId: 'boot',
    env: { ...nodeEnv(), disk: machine.disk },
    settings: { listeners: ['PLAINTEXT://127.0.0.1:0'], nodeId: 1, logDir: '/pagelog' },
  })
  brokers.push(sick)
  await start('two', { nodeId: 2 })
  const client = await RawClient.connect(`127.0.0.1:${sick.port}`)
  const assignments = [{ partitionIndex: 0, brokerIds: [1, 2] }]
  const wish = { name: 'events', numPartitions: -1, replicationFactor: -1, assignments }
  const { topics } = await client.ask(CreateTopics, 7, { topics: [wish], timeoutMs: 10_000 })
  expect(topics[0]!.errorCode).toBe(0)
  machine.inject({ operation: 'write', path: 'events-0', error: 'EIO' })
  const state = () => brokers[1]!.membership.image.topic('events')!.partitions[0]!
  await until(() => brokers[1]!.membership.image.topic('events') !== undefined && state().leader === 1)
  await produce(client, 'events', batchOf(['lost']))
  await until(() => state().leader === 2 && !state().isr.includes(1) && !state().elr.includes(1))
  expect(brokers[1]!.membership.image.brokers.has(1)).toBe(false)
  expect(sick.membership.registration.brokerEpoch).toBe(0)
  await client.close()
})

test('the password of etcd is told to nobody', async () => {
  const broker = await start('one', { metadataPassword: 'secret' })
  const client = await RawClient.connect(`127.0.0.1:${broker.port}`)
  const { results } = await client.ask(DescribeConfigs, 4, {
    resources: [{ resourceType: 4, resourceName: '1', configurationKeys: null }],
    includeSynonyms: true,
  })
  const found = results[0]!.configs.find(({ name }) => name === 'pagelog.metadata.password')
  expect(found).toMatchObject({ value: null, isSensitive: true })
  expect(JSON.stringify(results)).not.toContain('secret')
  await client.close()
})

describe('where the metadata is', () => {
  test.each([
    ['embedded', { kind: 'embedded' }],
    ['socket:/run/m.sock', { kind: 'remote', endpoints: [{ socketPath: '/run/m.sock' }] }],
    ['etcd://one', { kind: 'remote', endpoints: [{ host: 'one', port: 2379 }] }],
    [
      'etcd://one:1,[::1]:2/',
      {
        kind: 'remote',
        endpoints: [
          { host: 'one', port: 1 },
          { host: '::1', port: 2 },
        ],
      },
    ],
  ])('%s', (text, location) => {
    expect(parseMetadataLocation(text)).toEqual(location)
  })

  test.each([
    '',
    'etcd://',
    'etcd://a:0',
    'etcd://a:99999',
    'etcd://a,,b',
    'etcd://a b',
    'socket:',
    'http://a',
    'Embedded',
  ])('%j is refused by name', (text) => {
    expect(() => parseMetadataLocation(text)).toThrow(`pagelog.metadata=${text}`)
  })
})
