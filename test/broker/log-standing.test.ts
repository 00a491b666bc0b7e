/** Logs that may lack what their broker vouched for: it is out of ISR and ELR before anybody can elect it. */
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ErrorCode, PagelogError } from '../../src/base/index.ts'
import { Broker, type BrokerOptions, type BrokerSettings } from '../../src/broker/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { lyingDisk } from '../../src/env/simulated/index.ts'
import {
  type Compare,
  EmbeddedMetadata,
  type MetadataStore,
  type Operation,
  type PartitionValue,
  parsePartition,
  partitionKey,
  topicKey,
} from '../../src/metadata/index.ts'
import { CreateTopics, DeleteTopics } from '../../src/protocol/index.ts'
import { withTransact } from '../metadata/with-transact.ts'
import { until } from '../replication/brokers.ts'
import { batchOf, produce } from './fixtures.ts'
import { RawClient } from './raw-client.ts'

let directory: string
let store: EmbeddedMetadata
let brokers: Broker[]
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-standing-'))
  store = await EmbeddedMetadata.open({ ...nodeEnv(), disk: memoryDisk(), path: '/journal' })
  brokers = []
})
afterEach(async () => {
  for (const broker of brokers) await broker.close()
  await store.close()
  await rm(directory, { recursive: true, force: true })
})

async function start(
  nodeId: number,
  settings: Partial<BrokerSettings> = {},
  options: Partial<BrokerOptions> = {},
): Promise<Broker> {
  const broker = await Broker.start({
    metadata: store,
    bootId: 'boot',
    ...options,
    settings: {
      listeners: ['PLAINTEXT://127.0.0.1:0'],
      nodeId,
      logDir: join(directory, String(nodeId)),
      controlledShutdownEnable: false,
      autoLeaderRebalanceEnable: false,
      replicaFetchWaitMaxMs: 50,
      ...settings,
    },
  })
  brokers.push(broker)
  return broker
}

async function stop(broker: Broker): Promise<void> {
  brokers.splice(brokers.indexOf(broker), 1)
  await broker.close()
}

const clientOf = ({ port }: Broker): Promise<RawClient> => RawClient.connect(`127.0.0.1:${port}`)

/** `events` on brokers 1 and 2, both of which must have what is acknowledged; three records. */
async function createEvents(): Promise<void> {
  const client = await clientOf(brokers[0]!)
  const { topics } = await client.ask(CreateTopics, 7, {
    timeoutMs: 10_000,
    topics: [
      {
        name: 'events',
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 0, brokerIds: [1, 2] }],
        configs: [{ name: 'min.insync.replicas', value: '2' }],
      },
    ],
  })
  expect(topics[0]!.errorCode).toBe(0)
  await until(() => brokers.every((broker) => broker.partitions.find('events', 0) !== undefined))
  await until(() => brokers[0]!.partitions.find('events', 0)!.isLeader)
  expect((await produce(client, 'events', batchOf(['a', 'b', 'c']))).errorCode).toBe(0)
  await client.close()
}

async function partition(): Promise<PartitionValue> {
  const { pair } = await store.get(topicKey('events'))
  const { id } = JSON.parse(pair!.value) as { id: string }
  return parsePartition((await store.get(partitionKey(id, 0))).pair!.value)
}

/** All that the partition was since, until broker 1 registered. */
function history(): PartitionValue[] {
  const states: PartitionValue[] = []
  let isOver = false
  store.watch('', store.revision + 1, {
    changed: (events) => {
      for (const { type, key, value } of events) {
        isOver ||= type === 'put' && key === 'brokers/1'
        if (!isOver && type === 'put' && key.startsWith('partitions/')) states.push(parsePartition(value))
      }
    },
    lost: () => {},
  })
  return states
}

/** Both brokers closed, the first in sync, the second eligible; the first then is what `damage` makes of it. */
async function closedInSync(damage: () => Promise<void>, settings: Partial<BrokerSettings> = {}): Promise<void> {
  const first = await start(1, settings)
  const second = await start(2)
  await createEvents()
  await stop(second)
  await until(async () => (await partition()).elr.includes(2))
  await stop(first)
  expect(await partition()).toMatchObject({ isr: [1], elr: [2] })
  await damage()
}

async function expectNothingLost(): Promise<void> {
  await until(async () => (await partition()).isr.length === 0)
  expect((await partition()).leader).toBe(-1)
  const second = await start(2)
  await until(async () => (await partition()).leader === 2)
  expect(second.partitions.find('events', 0)!.log.logEndOffset).toBe(3)
}

describe('a log that is missing', () => {
  test('is no member any more, and filled from who has one', async () => {
    await closedInSync(() => rm(join(directory, '1', 'events-0'), { recursive: true }))
    await start(1)
    await expectNothingLost()
    await until(async () => (await partition()).isr.length === 2)
    expect(brokers[0]!.partitions.find('events', 0)!.log.logEndOffset).toBe(3)
  })

  test('of a new topic is no reason for doubt', async () => {
    await start(1)
    await start(2)
    await createEvents()
    expect(await partition()).toMatchObject({ isr: [1, 2], partitionEpoch: 0 })
  })
})

describe('a log above its recovery point, of a broker that was killed', () => {
  const segment = (): string => join(directory, '1', 'events-0', '00000000000000000000.log')

  /** As it is left by a process that has synced nothing; then `damage` is done to the log. */
  const closedUnsynced = (damage: (log: Buffer) => Buffer): Promise<void> =>
    closedInSync(async () => {
      const folder = join(directory, '1')
      await rm(join(folder, '.kafka_cleanshutdown'))
      const checkpoint = join(folder, 'recovery-point-offset-checkpoint')
      const points = await readFile(checkpoint, 'utf8')
      expect(points).toContain('events 0 3')
      await writeFile(checkpoint, points.replace('events 0 3', 'events 0 0'))
      await writeFile(segment(), damage(await readFile(segment())))
    })

  const flipped = (log: Buffer): Buffer => {
    log[log.length - 2]! ^= 0x40
    return log
  }

  test('has changed: it is cut there, and is no member any more', async () => {
    await closedUnsynced(flipped)
    const first = await start(1)
    expect(first.partitions.find('events', 0)?.log.logEndOffset ?? 0).toBe(0)
    expect((await partition()).suspects).toMatchObject({ 1: [expect.any(Number), 0, expect.any(String)] })
    await expectNothingLost()
    await until(async () => (await partition()).isr.length === 2)
    expect(brokers[0]!.partitions.find('events', 0)!.log.logEndOffset).toBe(3)
  })

  test('has changed, and the start that cut it came to nothing: the next one knows it', async () => {
    await closedUnsynced(flipped)
    const dying = new Proxy<MetadataStore>(store, {
      get(target, name) {
        const found: unknown = Reflect.get(target, name)
        if (typeof found !== 'function') return found
        // Asked for when the logs have been opened.
        return (...given: unknown[]) =>
          name === 'get' && String(given[0]).startsWith('failed/')
            ? Promise.reject(new PagelogError('PAGELOG_CLOSED', 'the process ends here'))
            : found.apply(target, given)
      },
    })
    await expect(start(1, {}, { metadata: dying })).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
    expect(await readFile(segment())).toHaveLength(0)
    await start(1)
    await expectNothingLost()
  })

  test('ends with a write that was not finished: it is in sync as before', async () => {
    await closedUnsynced((log) => Buffer.concat([log, log.subarray(0, 70)]))
    const states = history()
    const first = await start(1)
    await until(async () => (await partition()).leader === 1)
    expect(first.partitions.find('events', 0)!.log.logEndOffset).toBe(3)
    for (const { isr } of states) expect(isr).toEqual([1])
  })
})

test('a log that cannot be opened is no member, and does not lead when it is all that there is', async () => {
  await closedInSync(async () => {
    const folder = join(directory, '1')
    await rm(join(folder, '.kafka_cleanshutdown'))
    await truncate(join(folder, 'events-0', '00000000000000000000.log'), 20)
  })
  await start(1)
  await until(async () => (await partition()).isr.length === 0)
  const { suspects, elr, leader } = await partition()
  expect({ end: suspects?.['1']?.[1], elr, leader }).toEqual({ end: -1, elr: [2], leader: -1 })
  await expectNothingLost()
})

test('a log that cannot be opened at run time gives its place and its leadership up', { timeout: 60_000 }, async () => {
  const folder = join(directory, '1', 'events-0')
  const aside = join(directory, 'aside')
  let first = await start(1)
  const client = await clientOf(first)
  await client.ask(CreateTopics, 7, {
    timeoutMs: 10_000,
    topics: [{ name: 'events', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
  })
  await cp(folder, aside, { recursive: true })
  await client.ask(DeleteTopics, 5, { topicNames: ['events'], timeoutMs: 10_000 })
  await client.close()
  await stop(first)
  // A folder of a topic that nobody knows, in the place of the next one of that name.
  await cp(aside, folder, { recursive: true })
  first = await start(1)
  const other = await clientOf(await start(2))
  const assignments = [{ partitionIndex: 0, brokerIds: [1, 2] }]
  const wish = { name: 'events', numPartitions: -1, replicationFactor: -1, assignments, configs: [] }
  const { topics } = await other.ask(CreateTopics, 7, { timeoutMs: 10_000, topics: [wish] })
  expect(topics[0]!.errorCode).toBe(0)
  await until(async () => (await partition()).leader === 2)
  expect(await partition()).toMatchObject({ isr: [2], elr: [], suspects: { 1: [-1, -1, expect.any(String)] } })
  expect(first.membership.registration.brokerEpoch).toBeGreaterThan(0)
  await until(async () => (await produce(other, 'events', batchOf(['a']))).errorCode === 0)
  await other.close()
})

describe('a disk that failed', () => {
  /** Everything after the first mark is as if the process had been killed. */
  class DyingStore {
    isMarked = false
    #isDead = false
    readonly store: MetadataStore

    constructor(inner: MetadataStore, takesMark: boolean) {
      const ask = <T>(work: () => Promise<T>): Promise<T> =>
        this.#isDead ? Promise.reject(new PagelogError('PAGELOG_CLOSED', 'killed')) : work()
      this.store = {
        get: (key) => ask(() => inner.get(key)),
        range: (prefix) => ask(() => inner.range(prefix)),
        grantLease: (ttlMs) => ask(() => inner.grantLease(ttlMs)),
        keepAlive: (id) => ask(() => inner.keepAlive(id)),
        revokeLease: (id) => ask(() => inner.revokeLease(id)),
        watch: (prefix, from, listener) => inner.watch(prefix, from, listener),
        close: () => Promise.resolve(),
        transact: (compare, operations) =>
          ask(async () => {
            const mark = operations.find((operation) => operation.type === 'put' && operation.key === 'failed/1')
            if (mark === undefined) return await inner.transact(compare, operations)
            this.isMarked = true
            this.#isDead = true
            if (takesMark) return await inner.transact(compare, operations)
            throw new PagelogError('PAGELOG_METADATA_UNREACHABLE', 'killed')
          }),
      }
    }
  }

  const sickBroker = async (dying: DyingStore, machine: ReturnType<typeof lyingDisk>): Promise<Broker> =>
    await start(1, { logDir: '/pagelog' }, { metadata: dying.store, env: { ...nodeEnv(), disk: machine.disk } })

  test.each([
    ['in the store, when its folder does not take it', true],
    ['in its folder, when the store does not take it', false],
  ])('is marked before anything else, %s: the next process on it is not trusted', async (_, isInStore) => {
    const machine = lyingDisk({ seed: 1 })
    const dying = new DyingStore(store, isInStore)
    const sick = await sickBroker(dying, machine)
    await start(2)
    await createEvents()
    machine.inject({ operation: 'write', path: 'events-0', error: 'EIO' })
    if (isInStore) machine.inject({ operation: 'write', path: 'pagelog-incarnation', error: 'EIO' })
    const client = await clientOf(sick)
    await produce(client, 'events', batchOf(['lost']), { timeoutMs: 200 })
    await client.close()
    await until(() => dying.isMarked)
    await stop(sick)
    expect((await partition()).isr).toContain(1)
    const changes = history()
    await start(1, { logDir: '/pagelog' }, { env: { ...nodeEnv(), disk: machine.disk } })
    const { isr, elr } = changes.at(-1)!
    expect([...isr, ...elr]).not.toContain(1)
    expect((await store.get('failed/1')).pair).toBeUndefined()
  })
})

describe('a copy of the folder of a broker', () => {
  test('does not take its registration over while it lives', { timeout: 30_000 }, async () => {
    const original = await start(1, { brokerSessionTimeoutMs: 1000 })
    await cp(join(directory, '1'), join(directory, 'copy'), { recursive: true })
    const before = await readFile(join(directory, 'copy', 'pagelog-incarnation.json'), 'utf8')
    const settings = { logDir: join(directory, 'copy'), brokerSessionTimeoutMs: 1000 }
    await expect(start(1, settings)).rejects.toMatchObject({
      code: 'PAGELOG_INVALID_ARGUMENT',
      message: expect.stringContaining(`at 127.0.0.1:${original.port}, and this log directory is a copy`) as string,
    })
    expect(original.membership.registration.brokerEpoch).toBeGreaterThan(0)
    expect(await readFile(join(directory, 'copy', 'pagelog-incarnation.json'), 'utf8')).toBe(before)
  })

  test('is trusted with nothing when it takes the place of it', async () => {
    await closedInSync(() => cp(join(directory, '1'), join(directory, 'copy'), { recursive: true }))
    await start(1, { logDir: join(directory, 'copy') })
    await expectNothingLost()
  })
})

describe('a backup of the folder that is put back in its place', () => {
  const folder = (): string => join(directory, '1')

  /** Both in sync with five records, of which the backup of the first has three; then closed, the first as the last. */
  async function closedAfterBackup(): Promise<void> {
    const first = await start(1)
    const second = await start(2)
    await createEvents()
    await stop(first)
    await cp(folder(), join(directory, 'backup'), { recursive: true })
    const again = await start(1)
    await until(async () => (await partition()).isr.length === 2 && (await partition()).leader > 0)
    const { leader } = await partition()
    const client = await clientOf(leader === 1 ? again : second)
    await until(async () => (await produce(client, 'events', batchOf(['d', 'e']))).errorCode === 0)
    await client.close()
    await stop(second)
    await until(async () => (await partition()).elr.includes(2))
    await stop(again)
    expect(await partition()).toMatchObject({ isr: [1], elr: [2] })
  }

  test('is trusted with nothing: who was in sync leads', { timeout: 30_000 }, async () => {
    await closedAfterBackup()
    for (const name of await readdir(folder())) await rm(join(folder(), name), { recursive: true })
    await cp(join(directory, 'backup'), folder(), { recursive: true })
    await start(1)
    await until(async () => (await partition()).isr.length === 0)
    const second = await start(2)
    await until(async () => (await partition()).leader === 2)
    expect(second.partitions.find('events', 0)!.log.logEndOffset).toBe(5)
    await until(() => brokers[0]!.partitions.find('events', 0)?.log.logEndOffset === 5)
  })

  test('is told from a start that ended before the store knew of it', { timeout: 30_000 }, async () => {
    await closedAfterBackup()
    const deaf: MetadataStore = Object.assign(Object.create(store) as MetadataStore, {
      get: (key: string) => store.get(key),
      range: (prefix: string) => store.range(prefix),
      watch: store.watch.bind(store),
      transact: async (compares: Compare[], operations: Operation[]) => {
        if (operations.some((operation) => operation.type === 'put' && operation.key === 'lives/1'))
          throw new PagelogError('PAGELOG_METADATA_UNREACHABLE', 'killed')
        return await store.transact(compares, operations)
      },
    })
    await expect(start(1, {}, { metadata: deaf })).rejects.toThrow('killed')
    await start(1)
    await until(async () => (await partition()).leader === 1)
    expect(await partition()).toMatchObject({ isr: [1], elr: [2] })
  })
})

describe('after a power loss', () => {
  const lossOfPower = (): Promise<void> => rm(join(directory, '1', '.kafka_cleanshutdown'))
  const synced: Partial<BrokerSettings> = { logFlushIntervalMessages: 1 }

  test('logs of a broker that syncs only since then are trusted with nothing', async () => {
    await closedInSync(lossOfPower)
    await start(1, synced, { bootId: 'another' })
    await expectNothingLost()
  })

  test('logs of a broker that has synced each append since they began are trusted', async () => {
    await closedInSync(lossOfPower, synced)
    await start(1, synced, { bootId: 'another' })
    await until(async () => (await partition()).leader === 1)
    expect(await partition()).toMatchObject({ isr: [1], elr: [2] })
  })
})

test('machines that come back together: who is asked for its log while it registers answers', async () => {
  await closedInSync(async () => {
    for (const folder of ['1', '2']) await rm(join(directory, folder, '.kafka_cleanshutdown'))
  })
  const rebooted = { bootId: 'another' }
  const slow = withTransact(store, async (compares, operations) => {
    const result = await store.transact(compares, operations)
    // It is registered and does not know it yet: now the last member says that it may lack records too.
    if (operations.some(({ type, ...rest }) => type === 'put' && 'key' in rest && rest.key === 'brokers/1'))
      await start(2, {}, rebooted)
    return result
  })
  await start(1, {}, { ...rebooted, metadata: slow })
  await until(async () => (await partition()).leader !== -1)
  expect((await partition()).isr).toContain((await partition()).leader)
})

test('names that collide, made at once on two brokers: the second is refused', async () => {
  const clients = await Promise.all([1, 2].map(async (id) => await clientOf(await start(id))))
  for (let round = 0; round < 5; round++) {
    const names = [`a.b${round}`, `a_b${round}`]
    const answers = await Promise.all(
      clients.map((client, i) =>
        client.ask(CreateTopics, 7, {
          timeoutMs: 10_000,
          topics: [{ name: names[i]!, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
        }),
      ),
    )
    const codes = answers.map(({ topics }) => topics[0]!.errorCode)
    expect([...codes].sort()).toEqual([ErrorCode.NONE, ErrorCode.INVALID_TOPIC_EXCEPTION])
    const taken = names[codes.indexOf(ErrorCode.NONE)]!
    const refused = answers[codes.indexOf(ErrorCode.INVALID_TOPIC_EXCEPTION)]!
    expect(refused.topics[0]!.errorMessage).toContain(`collides with existing topic: ${taken}`)
  }
  for (const client of clients) await client.close()
})
