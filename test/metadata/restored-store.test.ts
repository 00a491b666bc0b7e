/**
 * A store that is put back to an older state while brokers follow it: an etcd restored from a snapshot, a member with an old
 * disk. Once the image is connected again it shows what the store has, no more and no less, and tells what went as deleted.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { nodeEnv } from '../../src/env/index.ts'
import { EtcdMetadata } from '../../src/metadata/etcd.ts'
import { ClusterImage, createTopic, deleteTopic, type EmbeddedMetadata } from '../../src/metadata/index.ts'
import { MetadataServer } from '../../src/metadata/metadata-server.ts'
import { patience } from './conformance.ts'
import { embedded, put, type StoreUnderTest } from './stores.ts'

const { clock, disk } = nodeEnv()
const topic = (name: string) => ({ name, id: `id-of-${name}`, assignments: [[1], [1]], configs: {} })
const partition = { leader: 1, leaderEpoch: 1, replicas: [1, 2], isr: [1], elr: [2], partitionEpoch: 4 }

let directory: string
let socketPath: string
let stores: StoreUnderTest[]
let server: MetadataServer
let client: EtcdMetadata
let image: ClusterImage
let deleted: string[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-restored-'))
  socketPath = join(directory, 's')
  stores = []
  deleted = []
})
afterEach(async () => {
  image.close()
  await client.close()
  await server.close()
  for (const { close } of stores) await close()
  await rm(directory, { recursive: true, force: true })
})

/** What every history of these tests begins with. */
async function newStore(): Promise<EmbeddedMetadata> {
  const made = await embedded()
  stores.push(made)
  const store = made.store as EmbeddedMetadata
  await createTopic(store, topic('kept'))
  return store
}

async function serve(store: EmbeddedMetadata): Promise<void> {
  await server?.close()
  server = await MetadataServer.listen({ store, clock, disk, listen: { socketPath } })
}

/** An image of `store`, over the wire, and up to date. */
async function follow(store: EmbeddedMetadata): Promise<void> {
  await serve(store)
  client = await EtcdMetadata.open({ clock, endpoints: [{ socketPath }], root: '' })
  image = await ClusterImage.open(client, { clock })
  image.onChange(({ topics }) => {
    for (const name of topics) if (image.topic(name) === undefined) deleted.push(name)
  })
}

/** As an image that is opened now, and never saw anything else. */
async function equalsStore(store: EmbeddedMetadata): Promise<void> {
  const fresh = await ClusterImage.open(store, { clock })
  await vi.waitFor(() => {
    expect(image.revision).toBe(fresh.revision)
    expect(image.topics()).toEqual(fresh.topics())
    expect([...image.brokers]).toEqual([...fresh.brokers])
    expect(image.controller).toEqual(fresh.controller)
    expect([...image.deleted]).toEqual([...fresh.deleted])
  }, patience)
  fresh.close()
}

test('a store of fewer revisions: what came since goes, and what had gone is there again', async () => {
  const store = await newStore()
  await createTopic(store, topic('gone'))
  await follow(store)
  await createTopic(store, topic('since'))
  await deleteTopic(store, 'gone', 'id-of-gone')
  await vi.waitFor(() => expect(image.topic('gone')).toBeUndefined(), patience)
  const older = await newStore()
  await createTopic(older, topic('gone'))
  await serve(older)
  await equalsStore(older)
  expect(image.topics().map(({ name }) => name)).toEqual(['gone', 'kept'])
  expect(image.deleted.size).toBe(0)
  expect(deleted).toEqual(['gone', 'since'])
})

test('a store whose revisions have come further meanwhile, over other changes than were seen here', async () => {
  const store = await newStore()
  await follow(store)
  await createTopic(store, topic('since'))
  const changed = await store.transact([], [put('partitions/id-of-kept/0', JSON.stringify(partition))])
  await image.reached(changed.revision)
  await vi.waitFor(() => expect(image.topic('since')).toBeDefined(), patience)
  const older = await newStore()
  await createTopic(older, topic('other'))
  // The same key, changed at the same revision, to something else.
  const other = { ...partition, leader: 2, leaderEpoch: 2 }
  const again = await older.transact([], [put('partitions/id-of-kept/0', JSON.stringify(other))])
  expect(again.revision).toBe(changed.revision)
  for (let index = 0; index < 10; index++) await older.transact([], [put('unknown', String(index))])
  await serve(older)
  await equalsStore(older)
  expect(image.partition('id-of-kept', 0)).toMatchObject(other)
  expect(deleted).toEqual(['since'])
})

test('a store of the same revision and other contents', async () => {
  const store = await newStore()
  await createTopic(store, topic('since'))
  await follow(store)
  const older = await newStore()
  await createTopic(older, topic('other'))
  expect((await older.range('')).revision).toBe(image.revision)
  await serve(older)
  await equalsStore(older)
  expect(deleted).toEqual(['since'])
})

test('a registration of the same revision under another epoch is another life of that broker', async () => {
  const registration = (port: number) =>
    JSON.stringify({ id: 7, host: 'h', port, rack: '', bootId: 'b', incarnation: 'i' })
  const store = await newStore()
  await store.transact([], [put('brokers/7', registration(1))])
  await store.transact([], [put('brokers/7', registration(2))])
  await follow(store)
  const epoch = image.brokers.get(7)!.epoch
  const older = await newStore()
  await older.transact([], [put('unknown', '')])
  await older.transact([], [put('brokers/7', registration(2))])
  await serve(older)
  await equalsStore(older)
  expect(image.brokers.get(7)!.epoch).toBe(epoch + 1)
})

test('an empty store takes everything away, and the image goes on with what comes then', async () => {
  const store = await newStore()
  await follow(store)
  const made = await embedded()
  stores.push(made)
  const empty = made.store as EmbeddedMetadata
  await serve(empty)
  await equalsStore(empty)
  expect(deleted).toEqual(['kept'])
  await createTopic(empty, topic('first'))
  await equalsStore(empty)
  await serve(store)
  await equalsStore(store)
  expect(image.topics().map(({ name }) => name)).toEqual(['kept'])
})
