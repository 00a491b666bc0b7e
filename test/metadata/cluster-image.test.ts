import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { nodeEnv } from '../../src/env/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import {
  abandonTopic,
  acknowledgeDeletion,
  addPartitions,
  ClusterImage,
  createTopic,
  deleteTopic,
  EmbeddedMetadata,
  type ImageChange,
  joinCluster,
  setTopicConfigs,
  unfinishedTopics,
  type WatchListener,
} from '../../src/metadata/index.ts'

let directory: string
let store: EmbeddedMetadata
const open = () => EmbeddedMetadata.open({ ...nodeEnv(), path: join(directory, 'metadata.journal') })

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-image-'))
  store = await open()
})
afterEach(async () => {
  await store.close()
  await rm(directory, { recursive: true, force: true })
})

const put = (key: string, value: object) => ({ type: 'put', key, value: JSON.stringify(value) }) as const

const events = {
  name: 'events',
  id: 'idOfEvents',
  assignments: [[1], [1], [1]],
  configs: { 'segment.bytes': '2000000' },
}

test('a created topic is there by name and id, with its partitions', async () => {
  const image = await ClusterImage.open(store, nodeEnv())
  let changes = 0
  image.onChange(() => changes++)
  expect(await createTopic(store, events)).toBe(1)
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
  expect([first, second]).toEqual([1, undefined])
  expect((await ClusterImage.open(store, nodeEnv())).topic('events')?.id).toBe('idOfEvents')
})

test('a deleted topic is gone, but remembered until its logs are', async () => {
  const image = await ClusterImage.open(store, nodeEnv())
  await createTopic(store, events)
  expect(await deleteTopic(store, 'events', 'another id')).toBeUndefined()
  expect(await deleteTopic(store, 'events', 'idOfEvents')).toBe(2)
  expect(image.topic('events')).toBeUndefined()
  expect(image.topicById('idOfEvents')).toBeUndefined()
  expect(image.topicCount).toBe(0)
  expect(image.deleted.get('idOfEvents')).toEqual({ name: 'events', replicas: [1] })
  await acknowledgeDeletion(store, 'idOfEvents', 1)
  expect(image.deleted.size).toBe(0)
  expect((await store.range('')).pairs).toEqual([])
})

test('a topic created again under the same name shares nothing with its past', async () => {
  const image = await ClusterImage.open(store, nodeEnv())
  await createTopic(store, events)
  await deleteTopic(store, 'events', 'idOfEvents')
  await createTopic(store, { ...events, id: 'second', assignments: [[1]], configs: {} })
  expect(image.topic('events')).toMatchObject({ id: 'second', configs: {} })
  expect(image.topic('events')?.partitions).toHaveLength(1)
  expect(image.topicById('idOfEvents')).toBeUndefined()
})

test('an image of a reopened store equals the one that followed it', async () => {
  const image = await ClusterImage.open(store, nodeEnv())
  await createTopic(store, events)
  await createTopic(store, { ...events, name: 'a', id: 'a', assignments: Array.from({ length: 12 }, () => [1]) })
  await setTopicConfigs(store, 'events', { 'segment.ms': '1' })
  await store.close()
  store = await open()
  const reopened = await ClusterImage.open(store, nodeEnv())
  expect(reopened.topics()).toEqual(image.topics())
  expect(reopened.revision).toBe(image.revision)
  expect(reopened.topic('events')?.configs).toEqual({ 'segment.ms': '1' })
})

test('the trace of a deleted topic goes with the last of its logs', async () => {
  const image = await ClusterImage.open(store, nodeEnv())
  await createTopic(store, {
    ...events,
    assignments: [
      [1, 2],
      [2, 3],
    ],
  })
  await deleteTopic(store, 'events', 'idOfEvents')
  await Promise.all([1, 3, 1].map((id) => acknowledgeDeletion(store, 'idOfEvents', id)))
  expect(image.deleted.get('idOfEvents')).toEqual({ name: 'events', replicas: [2] })
  await acknowledgeDeletion(store, 'idOfEvents', 2)
  expect((await store.range('')).pairs).toEqual([])
})

test('partitions are added all at once, and by one of two who try', async () => {
  const image = await ClusterImage.open(store, nodeEnv())
  await createTopic(store, events)
  const seen: number[] = []
  image.onChange(() => seen.push(image.topic('events')!.partitions.length))
  const more = Array.from({ length: 300 }, () => [1])
  const added = await Promise.all([
    addPartitions(store, { name: 'events', id: 'idOfEvents' }, 3, more),
    addPartitions(store, { name: 'events', id: 'idOfEvents' }, 3, more),
  ])
  await image.reached(Math.max(...added.map((revision) => revision ?? 0)))
  expect(added.filter((revision) => revision !== undefined)).toHaveLength(1)
  expect(new Set(seen)).toEqual(new Set([3, 303]))
  expect(await addPartitions(store, { name: 'events', id: 'idOfEvents' }, 3, more)).toBeUndefined()
  expect(await addPartitions(store, { name: 'events', id: 'another' }, 303, more)).toBeUndefined()
})

describe('changes', () => {
  const seen = (image: ClusterImage): ImageChange[] => {
    const changes: ImageChange[] = []
    image.onChange((change) => changes.push(change))
    return changes
  }
  const partition = { leader: 1, leaderEpoch: 1, replicas: [1, 2], isr: [1], elr: [2], partitionEpoch: 4 }

  test('name what they touched, and leave everything else as it is', async () => {
    const image = await ClusterImage.open(store, nodeEnv())
    await createTopic(store, events)
    await createTopic(store, { ...events, name: 'other', id: 'idOfOther' })
    const [other, first] = [image.topic('other'), image.partition('idOfEvents', 0)]
    const changes = seen(image)
    const { revision } = await store.transact([], [put('partitions/idOfEvents/1', partition)])
    expect(changes).toHaveLength(1)
    const [change] = changes
    expect(change).toMatchObject({ revision, controller: false })
    expect([...change!.keys]).toEqual(['partitions/idOfEvents/1'])
    expect([...change!.topics]).toEqual(['events'])
    expect([...change!.partitions].map(([id, indexes]) => [id, [...indexes]])).toEqual([['idOfEvents', [1]]])
    expect(change!.brokers.size + change!.deleted.size).toBe(0)
    expect(image.partition('idOfEvents', 1)).toEqual({ ...partition, index: 1, modRevision: revision })
    expect(image.topic('other')).toBe(other)
    expect(image.partition('idOfEvents', 0)).toBe(first)
  })

  test('of a topic that comes or goes name all its partitions', async () => {
    const image = await ClusterImage.open(store, nodeEnv())
    const changes = seen(image)
    await createTopic(store, events)
    await deleteTopic(store, 'events', 'idOfEvents')
    const named = changes.map(({ partitions }) => [...(partitions.get('idOfEvents') ?? [])])
    expect(named).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ])
    expect([...changes[1]!.deleted]).toEqual(['idOfEvents'])
  })

  test('of brokers and of the controller come with the revision of their registration', async () => {
    const image = await ClusterImage.open(store, nodeEnv())
    const changes = seen(image)
    const { id: lease } = await store.grantLease(60_000)
    const broker = { id: 7, host: 'h', port: 9092, rack: '', bootId: 'b', incarnation: 'i' }
    const first = await store.transact(
      [],
      [
        { ...put('brokers/7', broker), lease },
        { ...put('controller', { id: 7 }), lease },
      ],
    )
    const epoch = first.revision
    expect(image.brokers.get(7)).toEqual({ ...broker, epoch, modRevision: epoch })
    expect(image.controller).toEqual({ id: 7, epoch })
    await store.transact([], [{ ...put('brokers/7', { ...broker, port: 9093 }), lease }])
    expect(image.brokers.get(7)).toMatchObject({ port: 9093, epoch, modRevision: epoch + 1 })
    expect(changes.map(({ brokers, controller }) => [[...brokers], controller])).toEqual([
      [[7], true],
      [[7], false],
    ])
    await store.revokeLease(lease)
    expect(image.brokers.size).toBe(0)
    expect(image.controller).toBeUndefined()
  })

  test('in one of ten thousand partitions cost no walk over the others', async () => {
    const assignments = Array.from({ length: 10_000 }, () => [1])
    await createTopic(store, { ...events, name: 'large', id: 'large', assignments })
    const image = await ClusterImage.open(store, nodeEnv())
    expect(image.topic('large')?.partitions).toHaveLength(10_000)
    const changes = seen(image)
    const list = image.topic('large')!.partitions
    for (let i = 0; i < 100; i++) await store.transact([], [put(`partitions/large/${i}`, partition)])
    expect(changes.every(({ partitions }) => partitions.get('large')?.size === 1)).toBe(true)
    expect(image.partition('large', 99)).toMatchObject({ partitionEpoch: 4 })
    expect(image.topic('large')!.partitions).toBe(list)
  })

  test('that cannot be read, or take a partition away from its topic, give no other partition its place', async () => {
    const image = await ClusterImage.open(store, nodeEnv())
    await createTopic(store, events)
    const indexes = (name: string) => image.topic(name)?.partitions.map(({ index }) => index)
    await store.transact([], [{ type: 'delete', key: 'partitions/idOfEvents/1' }])
    await store.transact([], [put('partitions/idOfEvents/2', partition)])
    expect(indexes('events')).toEqual([0, 1, 2])
    expect(image.partition('idOfEvents', 2)).toMatchObject({ partitionEpoch: 4 })
    await setTopicConfigs(store, 'events', { 'segment.ms': '1' })
    expect(indexes('events')).toEqual([0, 1, 2])
    await store.transact(
      [],
      [
        put('partitions/new/0', partition),
        { type: 'put', key: 'partitions/new/1', value: 'no JSON' },
        put('partitions/new/2', partition),
        put('topics/new', { id: 'new', partitions: 3, replicationFactor: 2, configs: {} }),
      ],
    )
    expect(indexes('new')).toEqual([0])
    await store.transact([], [put('partitions/new/1', partition)])
    expect(indexes('new')).toEqual([0, 1, 2])
  })

  test('to something that is not ours are left out, and said', async () => {
    const errors: unknown[] = []
    const log = (fields: object): void => void errors.push(fields)
    const logger = { debug: log, info: log, warn: log, error: log, fatal: log, trace: log }
    const image = await ClusterImage.open(store, { ...nodeEnv(), logger })
    await createTopic(store, events)
    await store.transact([], [{ type: 'put', key: 'partitions/idOfEvents/1', value: 'no JSON' }])
    await store.transact([], [{ type: 'put', key: 'topics/bad', value: '7' }])
    expect(errors).toHaveLength(2)
    expect(image.partition('idOfEvents', 1)).toMatchObject({ leader: 1 })
    expect(image.topicCount).toBe(1)
    const opening = ClusterImage.open(store, nodeEnv())
    await expect(opening).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT' })
    await expect(opening).rejects.toThrow(
      /^the value of the metadata key "partitions\/idOfEvents\/1" was not written by pagelog$/,
    )
  })
})

describe('a name that differs from another only in . and _', () => {
  test.each([1, 300])('cannot be had while the other is there (%i partitions)', async (count) => {
    const assignments = Array.from({ length: count }, () => [1])
    const topic = (name: string) => ({ name, id: `id-of-${name}`, assignments, configs: {} })
    const names = ['a.b', 'a_b', 'a.b_c', 'a_b.c']
    const results = await Promise.all(names.map((name) => createTopic(store, topic(name))))
    expect(results.map((revision) => revision !== undefined)).toEqual([true, false, true, false])
    expect(await createTopic(store, topic('a_b'))).toBeUndefined()
    await deleteTopic(store, 'a.b', 'id-of-a.b')
    expect(await createTopic(store, topic('a_b'))).toBeDefined()
    expect((await store.range('creating/')).pairs).toEqual([])
    expect((await store.range('partitions/')).pairs).toHaveLength(2 * count)
  })
})

describe('a topic of more partitions than a transaction has operations', () => {
  const large = { ...events, assignments: Array.from({ length: 300 }, (_, i) => [i % 3]) }

  test('comes at once and whole', async () => {
    const image = await ClusterImage.open(store, nodeEnv())
    const counts = new Set<number | undefined>()
    image.onChange(() => counts.add(image.topic('events')?.partitions.length))
    const revision = await createTopic(store, large)
    expect(revision).toBe(image.revision)
    expect([...counts]).toEqual([undefined, 300])
    expect(image.partition('idOfEvents', 299)).toMatchObject({ replicas: [2] })
    expect(image.orphans()).toEqual([])
    expect(await unfinishedTopics(store)).toEqual([])
  })

  test('that is created twice is there once, and nothing is left of the other', async () => {
    const results = await Promise.all(['one', 'two', 'three'].map((id) => createTopic(store, { ...large, id })))
    expect(results.filter((revision) => revision !== undefined)).toHaveLength(1)
    const { pairs } = await store.range('partitions/')
    expect(pairs).toHaveLength(300)
    expect(await unfinishedTopics(store)).toEqual([])
  })

  test('whose creator dies half-way is nobody’s once the lease has ended, and can be taken away', async () => {
    const image = await ClusterImage.open(store, nodeEnv())
    const { id: lease } = await store.grantLease(60_000)
    const dies = new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown
        if (name === 'transact' && transactions++ > 1) return () => Promise.reject(new Error('killed'))
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    let transactions = 0
    await expect(createTopic(dies, { ...large, lease })).rejects.toThrow('killed')
    expect(image.orphans()).toEqual([])
    expect(await unfinishedTopics(store)).toEqual([{ id: 'idOfEvents', name: 'events' }])
    await store.revokeLease(lease)
    expect(image.orphans()).toEqual(['idOfEvents'])
    await abandonTopic(store, 'idOfEvents')
    expect(image.orphans()).toEqual([])
    expect((await store.range('')).pairs).toEqual([])
  })

  test('that is taken away while it is being created does not come', async () => {
    const image = await ClusterImage.open(store, nodeEnv())
    let steps = 0
    image.onChange(() => {
      if (++steps === 2) void abandonTopic(store, 'idOfEvents')
    })
    await expect(createTopic(store, large)).rejects.toMatchObject({ retriable: true })
    expect(image.topicCount).toBe(0)
    expect((await store.range('')).pairs).toEqual([])
  })
})

describe('the cluster of a store', () => {
  test('is the first that joins, for ever', async () => {
    expect(await joinCluster(store, undefined)).toBeUndefined()
    expect(await joinCluster(store, 'one')).toBe('one')
    expect(await joinCluster(store, undefined)).toBe('one')
    await expect(joinCluster(store, 'two')).rejects.toThrow('the metadata store belongs to cluster one, this is two')
    await expect(joinCluster(store, 'two')).rejects.toMatchObject({ code: 'PAGELOG_INVALID_ARGUMENT' })
  })

  test('of several that come at once is one', async () => {
    const results = await Promise.allSettled(['a', 'b', 'c'].map((id) => joinCluster(store, id)))
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
  })

  test('is refused when somebody else wrote it', async () => {
    for (const value of ['{"clusterId":7}', '{}', 'text', 'null']) {
      await store.transact([], [{ type: 'put', key: 'cluster', value }])
      await expect(joinCluster(store, 'one')).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT' })
    }
  })
})

test('an image of a store that does not answer for a while is as late, and not wrong', async () => {
  let fails = true
  const listeners: WatchListener[] = []
  const faulty = new Proxy(store, {
    get(target, name) {
      if (name === 'range' && fails) return () => Promise.reject(new Error('no answer'))
      if (name === 'watch') {
        return (...args: Parameters<EmbeddedMetadata['watch']>) => {
          listeners.push(args[2])
          return target.watch(...args)
        }
      }
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  await expect(ClusterImage.open(faulty, nodeEnv())).rejects.toThrow('no answer')
  fails = false
  const clock = new VirtualClock()
  const image = await ClusterImage.open(faulty, { clock })
  fails = true
  listeners[0]!.lost('compacted')
  const revision = (await createTopic(store, events))!
  expect(image.topicCount).toBe(0)
  fails = false
  await vi.waitFor(() => {
    clock.advance(1000)
    expect(image.revision).toBe(revision)
  })
  expect(image.topic('events')?.partitions).toHaveLength(3)
  image.close()
  expect(clock.timerCount).toBe(0)
})

test('who waits for a revision that no watch tells is helped by a reading', async () => {
  const silent = new Proxy(store, {
    get(target, name) {
      if (name === 'watch') return () => () => {}
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const clock = new VirtualClock()
  const image = await ClusterImage.open(silent, { clock, relistMs: 60_000 })
  let reached = false
  const waiting = image.reached(1).then(() => {
    reached = true
  })
  clock.advance(5000)
  await store.transact([], [])
  expect(reached).toBe(false)
  await createTopic(store, events)
  clock.advance(1000)
  await waiting
  expect(image.topic('events')?.partitions).toHaveLength(3)
  await store.transact([], [put('brokers/1', { id: 1 })])
  clock.advance(60_000)
  await vi.waitFor(() => expect(image.brokers.size).toBe(1))
  image.close()
  expect(clock.timerCount).toBe(0)
})

test('a long reading is compared in many turns of the event loop, and finds what changed, came and went', async () => {
  const pairs = Array.from({ length: 5000 }, (_, i) => {
    const value = JSON.stringify({ id: i })
    return { key: `brokers/${i}`, value, createRevision: 1, modRevision: 1, lease: undefined }
  })
  let reading = { pairs, revision: 1 }
  let turns = 0
  const { clock } = nodeEnv()
  const counting = {
    nowMs: () => clock.nowMs(),
    monotonicMs: () => clock.monotonicMs(),
    after: clock.after.bind(clock),
    every: clock.every.bind(clock),
    soon: (callback: () => void) => {
      turns++
      clock.soon(callback)
    },
  }
  const listeners: WatchListener[] = []
  const watch = (_: string, __: number, listener: WatchListener) => {
    listeners.push(listener)
    return () => {}
  }
  const fake = new Proxy(store, {
    get(target, name) {
      if (name === 'range') return () => Promise.resolve(reading)
      if (name === 'watch') return watch
      return Reflect.get(target, name, target) as unknown
    },
  })
  const image = await ClusterImage.open(fake, { clock: counting })
  expect(image.brokers.size).toBe(5000)
  let changed: readonly number[] = []
  image.onChange(({ brokers }) => {
    changed = [...brokers].sort((a, b) => a - b)
  })
  turns = 0
  const other = { ...pairs[7]!, value: JSON.stringify({ id: 7, rack: 'r' }), modRevision: 2 }
  const come = { ...pairs[0]!, key: 'brokers/6000', value: JSON.stringify({ id: 6000 }), modRevision: 2 }
  reading = { pairs: [...pairs.filter((_, i) => i !== 7 && i !== 9), other, come], revision: 2 }
  listeners[0]!.lost('compacted')
  await image.reached(2)
  expect(changed).toEqual([7, 9, 6000])
  expect(image.brokers.size).toBe(5000)
  // Those of now and those of before.
  expect(turns).toBeGreaterThanOrEqual(2 * 9)
  image.close()
})
