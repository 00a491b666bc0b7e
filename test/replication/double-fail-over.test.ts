/**
 * Fail-overs that follow each other faster than logs come together, one script for each of the ways in which replicas were
 * lost or parted before epochs were compared (KIP-101, KIP-279, KIP-320, KIP-903, KIP-966). Whatever happens in between:
 * once all is healed, replicas are equal byte for byte and have what was acknowledged, where it was.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { partitionKey, type TransactionResult } from '../../src/metadata/index.ts'
import { Partition } from '../../src/replication/index.ts'
import { batchOf, produce } from '../broker/fixtures.ts'
import { bytesOf, type ReplicaOf, TestCluster, until } from './brokers.ts'

const TOPIC = 'events'
const LOG = `/pagelog/${TOPIC}-0`
const HIGH_WATERMARKS = '/pagelog/replication-offset-checkpoint'
const INCARNATIONS = '/pagelog/pagelog-incarnation.json'

let cluster: TestCluster
let topicId: string
/** What was acknowledged with acks=all, by offset. */
let acknowledged: Map<number, string>

beforeEach(() => {
  acknowledged = new Map()
})
afterEach(() => cluster?.close())

async function start(replicas: readonly number[] = [1, 2, 3]): Promise<void> {
  cluster = await TestCluster.start({ brokers: replicas.length, settings: { replicaFetchWaitMaxMs: 50 } })
  topicId = await cluster.createTopic(TOPIC, [replicas], { 'min.insync.replicas': '2' })
}

/** Acknowledged by all that are in sync. */
async function commit(leader: number, value: string): Promise<void> {
  const { errorCode, baseOffset } = await produce(await cluster.client(leader), TOPIC, batchOf([value]))
  expect(errorCode, value).toBe(0)
  acknowledged.set(baseOffset, value)
}

/** Only the leader has it, and whoever is not held: it may be kept or not. */
async function append(leader: number, ...values: string[]): Promise<void> {
  for (const value of values) {
    const { errorCode } = await produce(await cluster.client(leader), TOPIC, batchOf([value]), { acks: 1 })
    expect(errorCode, value).toBe(0)
  }
}

/** The next epoch's leader, and all that are named know of it. */
async function elect(leader: number, knowing: readonly number[], isr?: readonly number[]): Promise<void> {
  await cluster.change(topicId, (state) => ({
    leader,
    leaderEpoch: state.leaderEpoch + 1,
    ...(isr === undefined ? {} : { isr: [...isr] }),
  }))
  await cluster.inRoles(TOPIC, knowing)
  expect(cluster.replica(leader, TOPIC).isLeader).toBe(true)
}

function gateOf(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** What is called on a replica waits until the returned function is called. */
function delay(id: number, method: 'become' | 'truncate'): { readonly release: () => void; isWaiting(): boolean } {
  const replica = cluster.replica(id, TOPIC)
  const gate = gateOf()
  let waiting = false
  const value = async (...values: unknown[]): Promise<unknown> => {
    waiting = true
    await gate.opened
    return Reflect.apply(Partition.prototype[method], replica, values)
  }
  Object.defineProperty(replica, method, { configurable: true, value })
  const release = (): void => {
    Reflect.deleteProperty(replica, method)
    gate.open()
  }
  return { release, isWaiting: () => waiting }
}

async function stopAndWait(id: number, isr: readonly number[]): Promise<void> {
  await cluster.stopBroker(id)
  await until(async () => String((await cluster.state(topicId)).isr) === String(isr), `ISR [${isr}]`)
}

async function leaderIs(id: number): Promise<void> {
  await until(() => cluster.replica(id, TOPIC)?.isLeader === true, `leader ${id}`)
}

async function valuesOf({ log }: ReplicaOf): Promise<string[]> {
  const found: string[] = []
  for await (const batch of log.read({ from: 0, to: log.highWatermark })) {
    for (const record of batch) found[record.offset] = Buffer.from(record.value!).toString()
  }
  return found
}

/** All are in sync again and equal, and nothing that was acknowledged is missing; the values that all have. */
async function healed(ids: readonly number[] = [1, 2, 3]): Promise<string[]> {
  const isEqual = async (): Promise<boolean> => {
    const replicas = ids.map((id) => cluster.replica(id, TOPIC))
    const leader = replicas.find((replica) => replica?.isLeader)
    if (leader === undefined || (await cluster.state(topicId)).isr.length < ids.length) return false
    const { logEndOffset } = leader.log
    return replicas.every(
      ({ highWatermark, log }) => highWatermark === logEndOffset && log.logEndOffset === logEndOffset,
    )
  }
  await until(isEqual, 'equal replicas')
  const bytes = await bytesOf(cluster.replica(ids[0]!, TOPIC))
  for (const id of ids) expect((await bytesOf(cluster.replica(id, TOPIC))).equals(bytes), `broker ${id}`).toBe(true)
  const values = await valuesOf(cluster.replica(ids[0]!, TOPIC))
  for (const [offset, value] of acknowledged) expect(values[offset]).toBe(value)
  return values
}

describe('truncation by epochs, not by the high watermark (KIP-101)', () => {
  beforeEach(() => start([1, 2]))

  test('who did not know yet what was committed, and leads after a restart, has lost nothing', async () => {
    for (const value of ['a', 'b', 'c']) await commit(1, value)
    await stopAndWait(2, [1])
    await cluster.stopBroker(1)
    await cluster.disk(2).unlink(HIGH_WATERMARKS)
    await cluster.startBroker(2)
    await leaderIs(2)
    expect(cluster.replica(2, TOPIC).log.logEndOffset).toBe(3)
    await cluster.startBroker(1)
    expect(await healed([1, 2])).toEqual(['a', 'b', 'c'])
  })

  test('both lost their high watermarks and wrote other records at the same offset', async () => {
    await commit(1, 'a')
    const { leaderEpoch } = cluster.replica(1, TOPIC)
    await stopAndWait(2, [1])
    await cluster.stopBroker(1)
    await cluster.appendOffline(1, TOPIC, batchOf(['x']), leaderEpoch)
    for (const id of [1, 2]) await cluster.disk(id).unlink(HIGH_WATERMARKS)
    await cluster.startBroker(2)
    await leaderIs(2)
    await append(2, 'b')
    await cluster.startBroker(1)
    expect(await healed([1, 2])).toEqual(['a', 'b'])
  })
})

describe('consecutive fail-overs (KIP-279)', () => {
  beforeEach(() => start())

  test('three leaders, each with a tail that no other has: that of the last one stays', async () => {
    await commit(1, 'a')
    const releases = [1, 2, 3].map((id) => cluster.hold(id, TOPIC))
    await append(1, 'x1', 'x2', 'x3')
    await elect(2, [1, 2, 3])
    await append(2, 'y1', 'y2')
    await elect(3, [1, 2, 3])
    await append(3, 'z1')
    for (const release of releases) release()
    expect(await healed()).toEqual(['a', 'z1'])
  })

  test('epochs that the leader never heard of, more than one, before and behind those it knows', async () => {
    await commit(1, 'a')
    const releases = [1, 2, 3].map((id) => cluster.hold(id, TOPIC))
    // Nobody is cut between two of them, as if each were over before the next follower has asked.
    const cuts = [1, 2, 3].map((id) => delay(id, 'truncate'))
    for (const leader of [1, 2, 3, 1, 2, 3, 2]) {
      if (!cluster.replica(leader, TOPIC).isLeader) await elect(leader, [1, 2, 3])
      await append(leader, `${leader}-${cluster.replica(leader, TOPIC).leaderEpoch}`)
    }
    const expected = cluster.replica(2, TOPIC).log.logEndOffset
    expect([1, 3].map((id) => cluster.replica(id, TOPIC).log.logEndOffset)).toEqual([3, 3])
    for (const { release } of cuts) release()
    for (const release of releases) release()
    const values = await healed()
    expect(values).toHaveLength(expected)
    expect(values.slice(1).every((value) => value.startsWith('2-'))).toBe(true)
  })

  test('an epoch in which nothing was written, between two tails', async () => {
    await commit(1, 'a')
    const releases = [1, 2, 3].map((id) => cluster.hold(id, TOPIC))
    await append(1, 'x1', 'x2')
    await elect(2, [1, 2, 3])
    await elect(3, [1, 2, 3])
    await append(3, 'z1')
    await elect(2, [1, 2, 3])
    for (const release of releases) release()
    await commit(2, 'b')
    expect(await healed()).toEqual(['a', 'b'])
  })
})

describe('fencing by leader epochs (KIP-320)', () => {
  beforeEach(() => start())

  test('a leader that does not know that it was replaced acknowledges nothing, and gives up what it took', async () => {
    await commit(1, 'a')
    const { release } = delay(1, 'become')
    await elect(2, [2, 3], [2, 3])
    const sent = produce(await cluster.client(1), TOPIC, batchOf(['zombie']), { timeoutMs: 150 })
    await commit(2, 'b')
    expect((await sent).errorCode).toBe(ErrorCode.REQUEST_TIMED_OUT)
    expect(cluster.replica(1, TOPIC).highWatermark).toBe(1)
    release()
    expect(await healed()).toEqual(['a', 'b'])
  })

  test('followers that know of a fail-over before the leader that it made, and of the next one too', async () => {
    await commit(1, 'a')
    const holds = [2, 3].map((id) => cluster.hold(id, TOPIC))
    await append(1, 'x')
    const late = delay(2, 'become')
    await cluster.elect(topicId, 2)
    await until(() => late.isWaiting() && [1, 3].every((id) => cluster.replica(id, TOPIC).isFollower))
    for (const id of [1, 2]) {
      const { errorCode } = await produce(await cluster.client(id), TOPIC, batchOf(['refused']))
      expect(errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    }
    await cluster.elect(topicId, 3)
    await until(() => cluster.replica(3, TOPIC).isLeader)
    late.release()
    for (const release of holds) release()
    await commit(3, 'b')
    expect(await healed()).toEqual(['a', 'b'])
  })

  test('there and back: a tail that a follower has fetched from the first leader stays when that leads again', async () => {
    await commit(1, 'a')
    const hold = cluster.hold(2, TOPIC)
    await append(1, 'x')
    await until(() => cluster.replica(3, TOPIC).log.logEndOffset === 2)
    const holds = [1, 3].map((id) => cluster.hold(id, TOPIC))
    const cuts = [1, 3].map((id) => delay(id, 'truncate'))
    await elect(2, [1, 2, 3])
    await append(2, 'y1', 'y2')
    await elect(1, [1, 2, 3])
    for (const release of [hold, ...holds, ...cuts.map((cut) => cut.release)]) release()
    expect(await healed()).toEqual(['a', 'x'])
  })

  test('what a former leader answered is not taken from it under the next one', async () => {
    await commit(1, 'a')
    const replica = cluster.replica(3, TOPIC)
    let late: Parameters<ReplicaOf['appendAsFollower']> | undefined
    const value = (...fetched: Parameters<ReplicaOf['appendAsFollower']>): never => {
      late ??= [fetched[0], Uint8Array.from(fetched[1])]
      throw new Error('held')
    }
    const holds = [cluster.hold(2, TOPIC), () => Reflect.deleteProperty(replica, 'appendAsFollower')]
    Object.defineProperty(replica, 'appendAsFollower', { configurable: true, value })
    await append(1, 'x')
    await until(() => late !== undefined)
    await elect(2, [1, 2, 3])
    for (const release of holds) release()
    expect(() => replica.appendAsFollower(...late!)).toThrow(/does not follow in leader epoch/)
    await commit(2, 'b')
    expect(await healed()).toEqual(['a', 'b'])
  })

  test('a cut that is under way when the next leader comes cuts nothing of what that one has', async () => {
    await commit(1, 'a')
    const holds = [2, 3].map((id) => cluster.hold(id, TOPIC))
    await append(1, 'x1', 'x2', 'x3')
    const cut = delay(1, 'truncate')
    await elect(2, [1, 2, 3], [2, 3])
    for (const release of holds) release()
    await commit(2, 'b')
    await until(cut.isWaiting)
    await cluster.change(topicId, ({ leaderEpoch }) => ({ leader: 3, leaderEpoch: leaderEpoch + 1 }))
    await leaderIs(3)
    await commit(3, 'c')
    cut.release()
    expect(await healed()).toEqual(['a', 'b', 'c'])
  })
})

test('a follower that bounced is not added to the ISR for what its earlier life had (KIP-903)', async () => {
  await start()
  const hold = cluster.hold(3, TOPIC)
  // It lags, or it would be added again at once.
  await append(1, 'a')
  await until(() => cluster.replica(2, TOPIC).log.logEndOffset === 1)
  await cluster.change(topicId, () => ({ isr: [1, 2] }))
  await commit(1, 'b')
  const { store } = cluster
  const gate = gateOf()
  const results: TransactionResult[] = []
  let proposals = 0
  const value: typeof store.transact = async (compare, operations) => {
    const adds = operations.some(
      (one) => one.type === 'put' && one.key === partitionKey(topicId, 0) && JSON.parse(one.value).isr.includes(3),
    )
    if (adds && proposals++ === 0) await gate.opened
    const result = await Reflect.apply(Object.getPrototypeOf(store).transact as typeof value, store, [
      compare,
      operations,
    ])
    if (adds) results.push(result)
    return result
  }
  Object.defineProperty(store, 'transact', { configurable: true, value })
  hold()
  await until(() => proposals > 0, 'a proposal')
  await cluster.stopBroker(3)
  await cluster.disk(3).removeDirectory(LOG)
  await cluster.startBroker(3)
  expect((await cluster.state(topicId)).isr).toEqual([1, 2])
  gate.open()
  await until(() => results.length > 0)
  expect(results[0]!.succeeded).toBe(false)
  expect(await healed()).toEqual(['a', 'b'])
  Reflect.deleteProperty(store, 'transact')
})

describe('eligible leader replicas (KIP-966)', () => {
  beforeEach(() => start())

  test('who left the ISR last leads, not who is back first; what the last one wrote alone goes', async () => {
    await commit(1, 'a')
    await stopAndWait(3, [1, 2])
    await commit(1, 'b')
    await stopAndWait(2, [1])
    await append(1, 'alone')
    expect(cluster.replica(1, TOPIC).highWatermark).toBe(2)
    await cluster.stopBroker(1)
    await cluster.startBroker(3)
    await until(async () => (await cluster.state(topicId)).leader === -1, 'nobody leads')
    expect((await cluster.state(topicId)).elr).toEqual(expect.arrayContaining([2]))
    expect(cluster.replica(3, TOPIC).isLeader).toBe(false)
    await cluster.startBroker(2)
    await leaderIs(2)
    await until(() => cluster.replica(2, TOPIC).leader?.isr.length === 2)
    await commit(2, 'c')
    await cluster.startBroker(1)
    expect(await healed()).toEqual(['a', 'b', 'c'])
  })

  test('all may have lost something: the longest log of the latest epoch leads, whoever is back first', async () => {
    await commit(1, 'a')
    await stopAndWait(3, [1, 2])
    await commit(1, 'b')
    await stopAndWait(2, [1])
    await cluster.stopBroker(1)
    for (const id of [1, 2, 3]) await cluster.disk(id).unlink(INCARNATIONS)
    await cluster.disk(2).removeDirectory(LOG)
    await cluster.startBroker(2)
    await cluster.startBroker(3)
    expect((await cluster.state(topicId)).leader).toBe(-1)
    await cluster.startBroker(1)
    await leaderIs(1)
    expect(await healed()).toEqual(['a', 'b'])
  })
})
