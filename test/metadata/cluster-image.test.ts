import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeEnv } from '../../src/env/index.ts'
import {
  ClusterImage,
  createTopic,
  deletedTopics,
  deleteTopic,
  EmbeddedMetadata,
  forgetDeletedTopic,
  setTopicConfigs,
} from '../../src/metadata/index.ts'

let directory: string
let store: EmbeddedMetadata
const open = () => EmbeddedMetadata.open({ disk: nodeEnv().disk, path: join(directory, 'metadata.journal') })

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-image-'))
  store = await open()
})
afterEach(async () => {
  await store.close()
  await rm(directory, { recursive: true, force: true })
})

const events = {
  name: 'events',
  id: 'idOfEvents',
  assignments: [[1], [1], [1]],
  configs: { 'segment.bytes': '2000000' },
}

test('a created topic is there by name and id, with its partitions', async () => {
  const image = new ClusterImage(store)
  let changes = 0
  image.onChange(() => changes++)
  expect(await createTopic(store, events)).toBe(true)
  expect(changes).toBe(1)
  expect(image.topic('events')).toMatchObject({ id: 'idOfEvents', replicationFactor: 1, configs: events.configs })
  expect(image.topicById('idOfEvents')?.partitions.map((partition) => partition.index)).toEqual([0, 1, 2])
  expect(image.topic('events')?.partitions[2]).toMatchObject({ leader: 1, leaderEpoch: 0, replicas: [1], isr: [1] })
})

test('a name can be taken once', async () => {
  const [first, second] = await Promise.all([
    createTopic(store, events),
    createTopic(store, { ...events, id: 'another' }),
  ])
  expect([first, second]).toEqual([true, false])
  expect(new ClusterImage(store).topic('events')?.id).toBe('idOfEvents')
})

test('a deleted topic is gone, but remembered until its logs are', async () => {
  const image = new ClusterImage(store)
  await createTopic(store, events)
  expect(await deleteTopic(store, 'events', 'another id')).toBe(false)
  expect(await deleteTopic(store, 'events', 'idOfEvents')).toBe(true)
  expect(image.topic('events')).toBeUndefined()
  expect(image.topicById('idOfEvents')).toBeUndefined()
  expect(image.topicCount).toBe(0)
  expect(deletedTopics(store)).toEqual([{ id: 'idOfEvents', name: 'events' }])
  await forgetDeletedTopic(store, 'idOfEvents')
  expect(store.range('')).toEqual([])
})

test('a topic created again under the same name shares nothing with its past', async () => {
  const image = new ClusterImage(store)
  await createTopic(store, events)
  await deleteTopic(store, 'events', 'idOfEvents')
  await createTopic(store, { ...events, id: 'second', assignments: [[1]], configs: {} })
  expect(image.topic('events')).toMatchObject({ id: 'second', configs: {} })
  expect(image.topic('events')?.partitions).toHaveLength(1)
  expect(image.topicById('idOfEvents')).toBeUndefined()
})

test('an image of a reopened store equals the one that followed it', async () => {
  const image = new ClusterImage(store)
  await createTopic(store, events)
  await createTopic(store, { ...events, name: 'a', id: 'a', assignments: Array.from({ length: 12 }, () => [1]) })
  await setTopicConfigs(store, 'events', { 'segment.ms': '1' })
  await store.close()
  store = await open()
  const reopened = new ClusterImage(store)
  expect(reopened.topics()).toEqual(image.topics())
  expect(reopened.revision).toBe(image.revision)
  expect(reopened.topic('events')?.configs).toEqual({ 'segment.ms': '1' })
})
