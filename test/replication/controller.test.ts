import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ErrorCode, silentLogger } from '../../src/base/index.ts'
import { type MetadataStore, partitionPrefix } from '../../src/metadata/index.ts'
import { Controller } from '../../src/replication/cluster/index.ts'
import { withTransact } from '../metadata/with-transact.ts'
import { FakeCluster, SESSION_MS } from './fake-cluster.ts'

let cluster: FakeCluster
beforeEach(async () => {
  cluster = await FakeCluster.start(3)
})
afterEach(() => cluster.close())

const broker = (id: number) => cluster.brokers.findLast((one) => one.id === id)!
const onlyTwo = { minInsyncReplicas: 2, uncleanLeaderElection: false }

/** As kill -9, and the session's time until the cluster notices. */
async function lose(...ids: number[]): Promise<void> {
  for (const id of ids) broker(id).kill()
  await cluster.pass(SESSION_MS + 1000)
  await cluster.until(() => ids.every((id) => !cluster.image.brokers.has(id)))
}

/** The registration of a broker that has nothing else. */
class Standing {
  readonly incarnation = 'life'
  leaseId: string
  registered = (): void => {}

  constructor(leaseId: string) {
    this.leaseId = leaseId
  }

  onFenced(): () => void {
    return () => {}
  }

  onRegistered(listener: () => void): () => void {
    this.registered = listener
    return () => {}
  }
}

/** Broker 9 by itself, with the image of the cluster. */
function controllerOf(store: MetadataStore, registration: Standing): Controller {
  const { image, clock } = cluster
  const rulesOf = () => onlyTwo
  return new Controller({ store, image, clock, logger: silentLogger, nodeId: 9, registration, rulesOf })
}

describe('which broker is the controller', () => {
  test('the first one, until its lease ends; then another', async () => {
    const first = await cluster.controller()
    expect(first.id).toBe(1)
    const epoch = first.controller.epoch
    await lose(1)
    const second = await cluster.controller()
    expect(second.id).not.toBe(1)
    expect(second.controller.epoch).toBeGreaterThan(epoch)
  })

  test('another at once when it closes', async () => {
    await (await cluster.controller()).close()
    expect((await cluster.controller()).id).not.toBe(1)
  })

  test('exactly one of many that stand at the same time', async () => {
    await cluster.controller()
    expect(cluster.brokers.filter((one) => one.controller.isActive)).toHaveLength(1)
  })

  test('one whose candidacy was answered by nobody learns that it was elected', async () => {
    await Promise.all([1, 2, 3].map((id) => broker(id).close()))
    await cluster.until(() => cluster.image.controller === undefined)
    const lone = await cluster.add(4, { candidacyIsLost: true })
    await cluster.pass(1000) // until it tries again
    expect((await cluster.controller()).id).toBe(lone.id)
  })

  test('one that was registered anew while it stood on its former lease stands on the new one', async () => {
    await Promise.all([1, 2, 3].map((id) => broker(id).close()))
    await cluster.until(() => cluster.image.controller === undefined)
    const { store } = cluster
    const standing = new Standing('gone')
    const slow = withTransact(store, async (compares, operations) => {
      if (standing.leaseId === 'gone') {
        standing.leaseId = (await store.grantLease(SESSION_MS)).id
        standing.registered()
      }
      return await store.transact(compares, operations)
    })
    const controller = controllerOf(slow, standing)
    controller.start()
    await cluster.until(() => controller.isActive)
    expect(cluster.image.controller?.id).toBe(9)
    await controller.close()
  })

  test('one that was elected anew before a write of its former standing was refused stays the controller', async () => {
    await cluster.topic('events', [[2, 1, 3]])
    await Promise.all([1, 2, 3].map((id) => broker(id).close()))
    await cluster.until(() => cluster.image.controller === undefined)
    const { store } = cluster
    const standing = new Standing((await store.grantLease(SESSION_MS)).id)
    let held: (() => void) | undefined
    const slow = withTransact(store, async (compares, operations) => {
      const isOfPartitions = compares.some(({ key }) => key.startsWith(partitionPrefix))
      if (isOfPartitions && held === undefined) {
        await new Promise<void>((resolve) => {
          held = resolve
        })
      }
      return await store.transact(compares, operations)
    })
    const controller = controllerOf(slow, standing)
    controller.start()
    await cluster.until(() => held !== undefined)
    const former = controller.epoch
    await store.revokeLease(standing.leaseId)
    await cluster.until(() => !controller.isActive)
    standing.leaseId = (await store.grantLease(SESSION_MS)).id
    standing.registered()
    await cluster.until(() => controller.isActive)
    held!()
    await cluster.until(() => cluster.partition('events').leader === -1)
    await controller.idle()
    expect(controller.epoch).toBeGreaterThan(former)
    expect(cluster.image.controller?.epoch).toBe(controller.epoch)
    await controller.close()
  })

  test('one that was paused and replaced changes nothing any more, and steps down', async () => {
    await cluster.topic('events', [[2, 1, 3]])
    const stale = await cluster.controller()
    stale.clock.stop()
    await cluster.pass(SESSION_MS + 1000)
    await cluster.until(() => cluster.image.controller !== undefined && cluster.image.controller.id !== 1)
    const other = await cluster.controller()
    // It still takes itself for the controller when it is asked, and finds out by its own write.
    const before = cluster.partition('events')
    const codes = await stale.controller.elect('preferred', [{ topic: 'events', index: 0 }])
    expect(codes).not.toEqual([ErrorCode.NONE])
    expect(cluster.partition('events')).toEqual(before)
    stale.clock.resume()
    await cluster.until(() => !stale.controller.isActive)
    expect(other.controller.isActive).toBe(true)
    await cluster.until(() => cluster.image.brokers.has(1))
  })
})

describe('a leader that dies', () => {
  test('is followed by the next replica in sync; both epochs rise by one', async () => {
    await cluster.topic('events', [[1, 2, 3]])
    const before = cluster.partition('events')
    await lose(1)
    await cluster.controller()
    expect(cluster.partition('events')).toMatchObject({
      leader: 2,
      isr: [2, 3],
      elr: [],
      leaderEpoch: before.leaderEpoch + 1,
      partitionEpoch: before.partitionEpoch + 1,
    })
  })

  test('is not followed by a replica out of sync', async () => {
    await cluster.topic('events', [[1, 2, 3]])
    await cluster.change('events', { isr: [1, 3] })
    await lose(1)
    await cluster.controller()
    expect(cluster.partition('events')).toMatchObject({ leader: 3, isr: [3] })
  })

  test('nothing is elected while nobody in sync is there, and the leader when it is back', async () => {
    await cluster.topic('events', [[1, 2, 3]])
    await cluster.change('events', { isr: [1] })
    await lose(1)
    await cluster.controller()
    expect(cluster.partition('events')).toMatchObject({ leader: -1, isr: [], elr: [1], leaderEpoch: 0 })
    await cluster.add(1)
    await cluster.until(() => cluster.partition('events').leader === 1)
    expect(cluster.partition('events')).toMatchObject({ isr: [1], elr: [], leaderEpoch: 1 })
  })

  test('leaves partitions alone that it only followed, but for their ISR', async () => {
    await cluster.topic('events', [[2, 1, 3]])
    await lose(1)
    await cluster.controller()
    expect(cluster.partition('events')).toMatchObject({ leader: 2, isr: [2, 3], leaderEpoch: 0, partitionEpoch: 1 })
  })

  test('1,000 partitions move in transactions of at most 128 operations', async () => {
    const assignments = Array.from({ length: 1000 }, (_, i) => [(i % 3) + 1, ((i + 1) % 3) + 1, ((i + 2) % 3) + 1])
    await cluster.topic('wide', assignments)
    await lose(2)
    await cluster.controller()
    const { partitions } = cluster.image.topic('wide')!
    expect(partitions).toHaveLength(1000)
    for (const partition of partitions) {
      expect(partition.leader === 1 || partition.leader === 3).toBe(true)
      expect(partition.isr).not.toContain(2)
    }
    const led = [1, 3].map((id) => partitions.filter(({ leader }) => leader === id).length)
    expect(Math.min(...led)).toBeGreaterThan(300)
  })
})

describe('eligible leaders', () => {
  test('those who go while the ISR is too small stay eligible', async () => {
    await cluster.topic('events', [[1, 2, 3]], onlyTwo)
    await lose(1)
    await cluster.controller()
    expect(cluster.partition('events')).toMatchObject({ leader: 2, isr: [2, 3], elr: [] })
    await lose(2)
    await cluster.controller()
    expect(cluster.partition('events')).toMatchObject({ leader: 3, isr: [3], elr: [2] })
  })

  test('one of them leads when the ISR is gone, and the others stay eligible', async () => {
    await cluster.topic('events', [[1, 2, 3]], onlyTwo)
    await cluster.change('events', { isr: [1], elr: [2] })
    await lose(1)
    await cluster.controller()
    expect(cluster.partition('events')).toMatchObject({ leader: 2, isr: [2], elr: [1], leaderEpoch: 1 })
  })

  test('a replica that is neither in sync nor eligible is not elected', async () => {
    await cluster.topic('events', [[1, 2, 3]], onlyTwo)
    await cluster.change('events', { isr: [1], elr: [2] })
    await lose(1, 2)
    await cluster.controller()
    expect(cluster.partition('events')).toMatchObject({ leader: -1, isr: [], elr: [2, 1] })
  })
})

describe('unclean elections', () => {
  test('happen where the topic allows them', async () => {
    await cluster.topic('events', [[1, 2, 3]], { minInsyncReplicas: 1, uncleanLeaderElection: true })
    await cluster.change('events', { isr: [1] })
    await lose(1)
    const { controller } = await cluster.controller()
    expect(cluster.partition('events')).toMatchObject({ leader: 2, isr: [2], elr: [] })
    expect(controller.counters.uncleanElections).toBe(1)
  })

  test('happen on request, where nobody else can lead', async () => {
    await cluster.topic('events', [[1, 2, 3]])
    await cluster.topic('healthy', [[2, 1, 3]])
    await cluster.change('events', { isr: [1] })
    await lose(1)
    const { controller } = await cluster.controller()
    const targets = [
      { topic: 'events', index: 0 },
      { topic: 'healthy', index: 0 },
      { topic: 'missing', index: 0 },
    ]
    expect(await controller.elect('unclean', targets)).toEqual([
      ErrorCode.NONE,
      ErrorCode.ELECTION_NOT_NEEDED,
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ])
    await cluster.until(() => cluster.partition('events').leader === 2)
  })

  test('find nobody when no replica is there', async () => {
    await cluster.topic('events', [[1]])
    await lose(1)
    const { controller } = await cluster.controller()
    expect(await controller.elect('unclean', [{ topic: 'events', index: 0 }])).toEqual([
      ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE,
    ])
  })
})

describe('preferred leaders', () => {
  test('lead again when they are in sync and the time has come', async () => {
    await cluster.close()
    cluster = await FakeCluster.start()
    for (const id of [1, 2, 3]) await cluster.add(id, { balanceMs: 300_000 })
    await cluster.topic('events', [[1, 2, 3]])
    await cluster.topic('behind', [[1, 2, 3]])
    await cluster.change('events', { leader: 2, leaderEpoch: 1 })
    await cluster.change('behind', { leader: 2, leaderEpoch: 1, isr: [2, 3] })
    await cluster.pass(299_000)
    expect(cluster.partition('events').leader).toBe(2)
    await cluster.pass(2000)
    await cluster.until(() => cluster.partition('events').leader === 1)
    expect(cluster.partition('events')).toMatchObject({ leaderEpoch: 2 })
    expect(cluster.partition('behind').leader).toBe(2)
  })

  test('lead again on request', async () => {
    await cluster.topic('events', [[2, 1, 3]])
    await cluster.topic('behind', [[2, 1, 3]])
    await cluster.change('events', { leader: 1, leaderEpoch: 1 })
    await cluster.change('behind', { leader: 1, leaderEpoch: 1, isr: [1, 3] })
    const targets = ['events', 'behind'].map((topic) => ({ topic, index: 0 }))
    const { controller } = await cluster.controller()
    const codes = await controller.elect('preferred', targets)
    expect(codes).toEqual([ErrorCode.NONE, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE])
    await cluster.until(() => cluster.partition('events').leader === 2)
    expect(await controller.elect('preferred', [targets[0]!])).toEqual([ErrorCode.ELECTION_NOT_NEEDED])
    const others = cluster.brokers.filter((one) => one.controller !== controller)
    expect(await others[0]!.controller.elect('preferred', [targets[0]!])).toEqual([ErrorCode.NOT_CONTROLLER])
  })
})

describe('all brokers at once', () => {
  const kill = async (): Promise<string[]> => {
    await cluster.controller()
    const lives = cluster.brokers.map(({ registration }) => registration.incarnation)
    for (const one of cluster.brokers) one.kill()
    return lives
  }

  test('killed and back on machines that went on: who was in sync leads again, in a new epoch', async () => {
    await cluster.topic('events', [[1, 2, 3]], onlyTwo)
    const past = await kill()
    await cluster.add(1, { past })
    await cluster.until(() => cluster.partition('events').leader === 1 && cluster.partition('events').leaderEpoch > 0)
    await cluster.add(2, { past })
    await cluster.add(3, { past })
    expect(cluster.partition('events').leader).toBe(1)
    expect(cluster.partition('events').leaderEpoch).toBe(1)
  })

  test('on machines that lost their page cache: who has the longest log leads, once all have told theirs', async () => {
    await cluster.topic('events', [[1, 2, 3]], onlyTwo)
    const past = await kill()
    const ends = { 1: [0, 70], 2: [0, 90], 3: [0, 80] } as const
    const back = (id: 1 | 2 | 3) => cluster.add(id, { past, bootId: 'another', suspectLog: () => ends[id] })
    await back(1)
    await cluster.pass(SESSION_MS + 1000)
    await cluster.controller()
    // The others may have kept more than this one: it has to wait for them.
    expect(cluster.partition('events')).toMatchObject({ leader: -1, suspects: { 1: [0, 70, 'life-3'] } })
    await back(2)
    await cluster.controller()
    expect(cluster.partition('events').leader).toBe(-1)
    await back(3)
    await cluster.until(() => cluster.partition('events').leader !== -1)
    await cluster.controller()
    const { leader, isr, elr, suspects } = cluster.partition('events')
    expect({ leader, isr, elr, suspects }).toEqual({ leader: 2, isr: [2], elr: [], suspects: undefined })
  })

  test('twice in a row: what was told before the second time does not count', async () => {
    await cluster.topic('events', [[1, 2, 3]], onlyTwo)
    let past = await kill()
    const first = { 1: [0, 70], 2: [0, 90], 3: [0, 80] } as const
    for (const id of [1, 2] as const) await cluster.add(id, { past, bootId: 'another', suspectLog: () => first[id] })
    await cluster.pass(SESSION_MS + 1000)
    expect(cluster.partition('events').suspects?.['2']?.slice(0, 2)).toEqual([0, 90])
    past = [...past, ...(await kill())]
    // The second broker had the longest log, and has lost that too.
    const second = { 1: [0, 70], 2: [0, 10], 3: [0, 80] } as const
    for (const id of [1, 2, 3] as const) await cluster.add(id, { past, bootId: 'third', suspectLog: () => second[id] })
    await cluster.pass(SESSION_MS + 1000)
    await cluster.until(() => cluster.partition('events').leader !== -1)
    expect(cluster.partition('events').leader).toBe(3)
  })

  test('one of them never comes back: the others wait for a while, and go on', async () => {
    await cluster.topic('events', [[1, 2, 3]], onlyTwo)
    const past = await kill()
    const back = (id: number, end: number) =>
      cluster.add(id, { past, bootId: 'another', suspectLog: () => [0, end] as const })
    await back(3, 80)
    await cluster.pass(SESSION_MS + 1000)
    await back(1, 70)
    await back(2, 90)
    await cluster.until(() => cluster.partition('events').leader === 2)
    // Told, and gone before anything was decided.
    const again = await kill()
    await cluster.change('events', {
      leader: -1,
      isr: [],
      elr: [],
      suspects: { 1: [0, 7], 2: [0, 900, 'x'], 3: [0, 8] },
    })
    for (const id of [1, 3]) await cluster.add(id, { past: again, bootId: 'third', suspectLog: () => [0, id] as const })
    await cluster.pass(SESSION_MS + 1000)
    await cluster.controller()
    expect(cluster.partition('events').leader).toBe(-1)
    await cluster.pass(31_000)
    await cluster.until(() => cluster.partition('events').leader === 3)
  })

  test('a log that cannot be opened is out of ISR and ELR before its broker is registered', async () => {
    await cluster.topic('events', [[1, 2, 3]], onlyTwo)
    const past = await kill()
    await cluster.add(1, { past, suspectLog: () => 'broken' })
    await cluster.pass(SESSION_MS + 1000)
    await cluster.controller()
    const { leader, isr, elr, suspects } = cluster.partition('events')
    expect({ leader, isr, elr: [...elr].sort(), suspects }).toEqual({
      leader: -1,
      isr: [],
      elr: [2, 3],
      suspects: { 1: [-1, -1, 'life-3'] },
    })
    await cluster.add(2, { past })
    await cluster.until(() => cluster.partition('events').leader === 2)
  })

  test('a machine that lost its page cache does not lead before one that did not', async () => {
    await cluster.topic('events', [[1, 2, 3]], onlyTwo)
    const past = await kill()
    await cluster.add(1, { past, bootId: 'another', suspectLog: () => [0, 500] })
    await cluster.add(3, { past })
    await cluster.pass(SESSION_MS + 1000)
    await cluster.until(() => cluster.partition('events').leader === 3)
    expect(cluster.partition('events').isr).not.toContain(1)
    expect(cluster.partition('events').suspects).toEqual({ 1: [0, 500, 'life-3'] })
  })

  test('a partition with one replica has nobody to ask, and keeps its leader', async () => {
    await cluster.topic('single', [[1]])
    const before = cluster.partition('single')
    const past = await kill()
    await cluster.add(1, { past, bootId: 'another', suspectLog: () => [0, 5] })
    await cluster.controller()
    expect(cluster.partition('single')).toEqual(before)
  })
})

describe('a broker that leaves', () => {
  test('gives its leaderships away and leaves every ISR before it is gone', async () => {
    await cluster.topic('events', [[2, 1, 3]], onlyTwo)
    await cluster.topic('single', [[2]])
    await broker(2).registration.announceLeaving()
    await cluster.until(() => cluster.partition('events').leader !== 2)
    expect(cluster.partition('events')).toMatchObject({ leader: 1, isr: [1, 3], leaderEpoch: 1 })
    expect(cluster.partition('single')).toMatchObject({ leader: 2, isr: [2] })
    expect(cluster.image.brokers.get(2)?.leaving).toBe(true)
  })

  test('keeps what only it can lead', async () => {
    await cluster.topic('events', [[2, 1, 3]])
    await cluster.change('events', { isr: [2] })
    await broker(2).registration.announceLeaving()
    await cluster.until(() => cluster.image.brokers.get(2)?.leaving === true)
    await cluster.controller()
    expect(cluster.partition('events')).toMatchObject({ leader: 2, isr: [2], leaderEpoch: 0 })
  })
})

test('what an interrupted creation left behind is removed', async () => {
  await cluster.store.transact([], [{ type: 'put', key: 'partitions/orphan/0', value: '{"replicas":[1]}' }])
  await (await cluster.controller()).close()
  await cluster.controller()
  await cluster.until(() => cluster.image.orphans().length === 0)
  expect((await cluster.store.range('partitions/orphan')).pairs).toEqual([])
})
