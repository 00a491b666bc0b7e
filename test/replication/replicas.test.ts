/** The replicas of one broker by themselves: a store, an image and a log directory, a clock that tests move, no peers. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defaultsOf, ErrorCode, PagelogError } from '../../src/base/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { type MemoryDisk, memoryDisk } from '../../src/env/memory/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { LogDirectory, logSettings } from '../../src/log/index.ts'
import {
  brokerKey,
  ClusterImage,
  createTopic,
  deleteTopic,
  EmbeddedMetadata,
  type PartitionValue,
  partitionKey,
} from '../../src/metadata/index.ts'
import { setBaseOffset, setLeaderEpoch } from '../../src/record/index.ts'
import { FollowerFetchers } from '../../src/replication/cluster/index.ts'
import { type Partition, Replicas, replicationSettings } from '../../src/replication/index.ts'
import { batchOf, Lines } from '../broker/fixtures.ts'

const CHECKPOINT = '/logs/replication-offset-checkpoint'

let clock: VirtualClock
let disk: MemoryDisk
let store: EmbeddedMetadata
let image: ClusterImage
let directory: LogDirectory
let replicas: Replicas
let logger: Lines
let broken: string[]
let brokerEpoch: number

beforeEach(async () => {
  clock = new VirtualClock()
  disk = memoryDisk()
  logger = new Lines()
  broken = []
  brokerEpoch = 1
  store = await EmbeddedMetadata.open({ disk: memoryDisk(), clock, path: '/journal' })
  image = await ClusterImage.open(store, { clock })
})
afterEach(async () => {
  await replicas.close()
  await directory.close({ clean: false })
  image.close()
  await store.close()
})

/** As a process that begins on the disk as it is. */
async function open(): Promise<void> {
  const { network, random } = nodeEnv()
  const log = defaultsOf(logSettings)
  directory = await LogDirectory.open({ env: { disk, clock, random }, path: '/logs', defaults: log, nodeId: 1 })
  replicas = await Replicas.open({
    nodeId: 1,
    env: { network, clock, disk },
    directory,
    image,
    store,
    settings: defaultsOf(replicationSettings),
    logger,
    settingsOf: () => ({ topic: { minInsyncReplicas: 1 }, log }),
    leaseValid: () => true,
    brokerEpoch: () => brokerEpoch,
    broken: (topicId, index) => broken.push(`${topicId} ${index}`),
    removed: () => Promise.resolve(),
    fetchers: FollowerFetchers,
  })
  await Promise.all(image.topics().map((topic) => replicas.openTopic(topic)))
}

async function topic(name: string, assignments: readonly (readonly number[])[] = [[1, 2]]): Promise<void> {
  const revision = await createTopic(store, { name, id: `id-of-${name}`, assignments, configs: {} })
  await image.reached(revision!)
}

async function change(name: string, wish: Partial<PartitionValue>): Promise<void> {
  const { index, modRevision: _, ...value } = image.topic(name)!.partitions[0]!
  const next = { ...value, partitionEpoch: value.partitionEpoch + 1, ...wish }
  const key = partitionKey(image.topic(name)!.id, index)
  const { revision } = await store.transact([], [{ type: 'put', key, value: JSON.stringify(next) }])
  await image.reached(revision)
}

const find = (name: string): Partition | undefined => replicas.partitions.find(name, 0)

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000; turn++) {
    if (condition()) return
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error(`that did not come true: ${condition}`)
}

/** Nothing that is under way is left. */
async function rest(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Runs `before` whenever a folder is about to be made. */
function onMakeDirectory(before: (path: string) => void | Promise<void>): void {
  const { makeDirectory } = disk
  const value = async (path: string): Promise<void> => {
    await before(path)
    await makeDirectory.call(disk, path)
  }
  Object.defineProperty(disk, 'makeDirectory', { configurable: true, value })
}

describe('a log that is missing', () => {
  test('is not begun before the broker is registered: the cluster has to be told of it first', async () => {
    await topic('shared')
    await topic('own', [[1]])
    await open()
    await rest()
    expect([find('shared'), directory.get('shared', 0)]).toEqual([undefined, undefined])
    expect(find('own')!.isLeader).toBe(true)
    replicas.begin()
    await until(() => find('shared')?.isLeader === true)
    expect(directory.topicId('shared', 0)).toBe('id-of-shared')
  })

  test('of a new topic is begun at once', async () => {
    await open()
    replicas.begin()
    await topic('shared')
    await until(() => find('shared')?.isLeader === true)
  })
})

describe('a log that cannot be begun', () => {
  test('is tried again, later each time; the cluster is told, and told again once it could be', async () => {
    let tries = 0
    onMakeDirectory((path) => {
      if (path === '/logs/events-0' && ++tries <= 3) throw new PagelogError('PAGELOG_DISK_FULL', 'no room')
    })
    await open()
    replicas.begin()
    await topic('events')
    for (const [i, delayMs] of [100, 200, 400].entries()) {
      await until(() => tries === i + 1)
      await rest()
      clock.advance(delayMs - 1)
      await rest()
      expect(tries).toBe(i + 1)
      // The first failure may be of something that is just going away.
      expect(broken).toHaveLength(i === 0 ? 0 : 1)
      clock.advance(1)
    }
    await until(() => find('events')?.isLeader === true)
    await rest()
    expect(broken).toEqual(['id-of-events 0', 'id-of-events 0'])
    expect(logger.lines.filter(({ message }) => message.includes('could not take on'))).toHaveLength(1)
    expect(replicas.partitions.hasFailed('id-of-events', 0)).toBe(false)
  })

  test('is not asked for any more when its topic is gone', async () => {
    let tries = 0
    onMakeDirectory((path) => {
      if (path !== '/logs/events-0') return
      tries++
      throw new PagelogError('PAGELOG_DISK_FULL', 'no room')
    })
    await open()
    replicas.begin()
    await topic('events')
    await until(() => tries === 1)
    await rest()
    await image.reached((await deleteTopic(store, 'events', 'id-of-events'))!)
    clock.advance(100_000)
    await rest()
    expect(tries).toBe(1)
  })

  test('a log that was begun for a topic that was deleted meanwhile goes again', async () => {
    await open()
    replicas.begin()
    let deleted = false
    onMakeDirectory(async (path) => {
      if (path !== '/logs/events-0' || deleted) return
      deleted = true
      await image.reached((await deleteTopic(store, 'events', 'id-of-events'))!)
    })
    await topic('events')
    await until(() => deleted)
    await until(() => directory.get('events', 0) === undefined)
    await rest()
    expect([find('events'), directory.partitions()]).toEqual([undefined, []])
  })

  test('a log that was begun for a topic that was deleted and created again meanwhile is not taken for its', async () => {
    await open()
    replicas.begin()
    let begun = 0
    onMakeDirectory(async (path) => {
      if (path !== '/logs/events-0' || begun++ > 0) return
      await image.reached((await deleteTopic(store, 'events', 'id-of-events'))!)
      const next = { name: 'events', id: 'next-id', assignments: [[1, 2]], configs: {} }
      await image.reached((await createTopic(store, next))!)
      await rest()
    })
    await topic('events')
    await until(() => find('events')?.isLeader === true)
    expect([find('events')!.topicId, directory.topicId('events', 0)]).toEqual(['next-id', 'next-id'])
    await find('events')!.append(batchOf(['a']))
  })
})

describe('high watermarks', () => {
  const entries = async (): Promise<string[]> => {
    const content = await disk.readFile(CHECKPOINT)
    return new TextDecoder().decode(content).trim().split('\n').slice(2)
  }

  test('of an earlier topic are forgotten before a log of its name begins', async () => {
    await disk.makeDirectory('/logs')
    await disk.replaceFile(CHECKPOINT, new TextEncoder().encode('0\n2\nevents 0 1000\nother 0 5\n'))
    await open()
    replicas.begin()
    let known: string[] | undefined
    onMakeDirectory(async (path) => {
      if (path === '/logs/events-0') known = await entries()
    })
    await topic('events')
    await until(() => find('events')?.isLeader === true)
    expect(known).toEqual([])
    expect(find('events')!.highWatermark).toBe(0)
  })

  test('that an unclean election takes back are taken back in the file first', async () => {
    await topic('events', [[2, 1]])
    await open()
    replicas.begin()
    await until(() => find('events')?.isFollower === true)
    for (const [offset, value] of ['a', 'b', 'c'].entries()) {
      const batch = batchOf([value])
      setBaseOffset(batch, 0, offset)
      setLeaderEpoch(batch, 0, 0)
      await find('events')!.appendAsFollower(0, batch)!.written
    }
    find('events')!.leaderTold(0, 3)
    clock.advance(5000)
    await rest()
    expect(await entries()).toEqual(['events 0 3'])
    const { log } = find('events')!
    const { truncateTo } = log
    let known: string[] | undefined
    const value = async (offset: number): Promise<number> => {
      known = await entries()
      return await truncateTo.call(log, offset)
    }
    Object.defineProperty(log, 'truncateTo', { configurable: true, value })
    await find('events')!.truncateTo(0, 1)
    expect([known, log.logEndOffset, find('events')!.highWatermark]).toEqual([['events 0 1'], 1, 1])
  })

  test('of a topic that was removed are forgotten before another of its name begins', async () => {
    await open()
    replicas.begin()
    await topic('events')
    await until(() => find('events')?.isLeader === true)
    await change('events', { isr: [1] })
    await until(() => find('events')!.leader!.isr.length === 1)
    await find('events')!.append(batchOf(['a', 'b']))
    await until(() => find('events')!.highWatermark === 2)
    clock.advance(5000)
    await rest()
    expect(await entries()).toEqual(['events 0 2'])
    await replicas.removeTopic('events')
    await directory.remove('events', 0)
    let known: string[] | undefined
    onMakeDirectory(async (path) => {
      if (path === '/logs/events-0') known = await entries()
    })
    await image.reached((await deleteTopic(store, 'events', 'id-of-events'))!)
    const again = { name: 'events', id: 'id-of-another', assignments: [[1, 2]], configs: {} }
    await image.reached((await createTopic(store, again))!)
    await until(() => find('events')?.topicId === 'id-of-another')
    expect(known).toEqual([])
  })

  test('of a topic that is removed while they are written are forgotten all the same', async () => {
    await topic('events')
    await open()
    replicas.begin()
    await until(() => find('events')?.isLeader === true)
    await change('events', { isr: [1] })
    await until(() => find('events')!.leader!.isr.length === 1)
    await find('events')!.append(batchOf(['a', 'b']))
    await until(() => find('events')!.highWatermark === 2)
    await replicas.close()
    await directory.close({ clean: true })
    expect(await entries()).toEqual(['events 0 2'])
    await open()
    replicas.begin()
    const { replaceFile } = disk
    let release = (): void => {}
    let isHeld = false
    const value = async (path: string, content: Uint8Array, ...more: []): Promise<void> => {
      if (path === CHECKPOINT && !isHeld) {
        isHeld = true
        await new Promise<void>((resolve) => (release = resolve))
      }
      await replaceFile.call(disk, path, content, ...more)
    }
    Object.defineProperty(disk, 'replaceFile', { configurable: true, value })
    clock.advance(5000)
    await until(() => isHeld)
    await replicas.removeTopic('events')
    release()
    await rest()
    expect(await entries()).toEqual(['events 0 2'])
    await directory.remove('events', 0)
    let known: string[] | undefined
    onMakeDirectory(async (path) => {
      if (path === '/logs/events-0') known = await entries()
    })
    await image.reached((await deleteTopic(store, 'events', 'id-of-events'))!)
    const again = { name: 'events', id: 'id-of-another', assignments: [[1, 2]], configs: {} }
    await image.reached((await createTopic(store, again))!)
    await until(() => find('events')?.topicId === 'id-of-another')
    expect(known).toEqual([])
  })
})

describe('a broker', () => {
  beforeEach(async () => {
    await topic('events')
    await topic('own', [[1]])
    await open()
    replicas.begin()
    await until(() => find('events')?.isLeader === true)
  })

  test('whose log directory failed leads and acknowledges nothing from that turn on', async () => {
    const codes: number[] = []
    await find('events')!.append(batchOf(['a']))
    find('events')!.awaitReplication({ end: 1, settled: (code) => codes.push(code) }, 0)
    directory.get('own', 0)!.fail(new Error('the device'))
    expect(codes).toEqual([ErrorCode.KAFKA_STORAGE_ERROR])
    for (const name of ['events', 'own']) {
      expect(find(name)!.isLeader).toBe(false)
      expect(find(name)!.checkLeader(-1)).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    }
    await change('events', { isr: [1], leaderEpoch: 1 })
    await rest()
    expect(find('events')!.isLeader).toBe(false)
  })

  test('that was declared dead leads nothing that others can lead, until it is registered again', async () => {
    brokerEpoch = 0
    replicas.fenced()
    expect([find('events')!.isLeader, find('own')!.isLeader]).toEqual([false, true])
    // The controller did not know it yet.
    await change('events', { leader: 1, leaderEpoch: 1 })
    await rest()
    expect(find('events')!.isLeader).toBe(false)
    await change('events', { leader: -1 })
    brokerEpoch = 7
    await change('events', { leader: 1, leaderEpoch: 2 })
    await until(() => find('events')!.isLeader)
  })

  test('that is elected before it knows that it is registered again leads as soon as it does', async () => {
    brokerEpoch = 0
    replicas.fenced()
    await change('events', { leader: -1 })
    await change('events', { leader: 1, leaderEpoch: 1 })
    await rest()
    expect(find('events')!.isLeader).toBe(false)
    brokerEpoch = 7
    clock.advance(1000)
    await until(() => find('events')!.isLeader)
  })

  test('that is about to close follows no new leader that does without it, and goes on with those it followed', async () => {
    await topic('followed', [[2, 1]])
    await topic('alone', [[1, 2]])
    await until(() => replicas.followed === 1)
    const value = JSON.stringify({ id: 1, host: 'here', port: 1, incarnation: 'this', rack: '', leaving: true })
    const { revision } = await store.transact([], [{ type: 'put', key: brokerKey(1), value }])
    await image.reached(revision)
    await change('events', { leader: 2, leaderEpoch: 1, isr: [2] })
    await change('followed', { isr: [2] })
    await until(() => find('events')!.isFollower && find('followed')!.state.isr.length === 1)
    expect(replicas.followed).toBe(1)
    // Counted on still: nothing would be committed without its fetches.
    await change('alone', { leader: 2, leaderEpoch: 1 })
    await until(() => replicas.followed === 2)
  })

  test('tells its partitions of other settings once, and not at changes that are of partitions', async () => {
    const before = find('events')!.settings
    await change('events', { isr: [1] })
    await rest()
    const between = find('events')!.settings
    await change('events', { isr: [1, 2] })
    await rest()
    expect(find('events')!.settings).toBe(between)
    expect(between).toEqual(before)
  })
})
