/**
 * Logs that parted, brought together again by epochs (KIP-101, KIP-279, KIP-320): two partitions on disks in memory, with
 * what a fetch would carry between them handed over by hand.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { defaultsOf, silentLogger } from '../../src/base/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { SeededRandom, VirtualClock } from '../../src/env/simulated/index.ts'
import { Log, logSettings, type RecordBatch } from '../../src/log/index.ts'
import type { PartitionValue } from '../../src/metadata/index.ts'
import { Partition, soundRules } from '../../src/replication/index.ts'
import { batchOf } from '../broker/fixtures.ts'

const logs: Log[] = []
afterEach(async () => {
  for (const log of logs.splice(0)) await log.close()
})

/** `epoch×count`: batches of that leader epoch, with the name of who wrote them. */
type Tail = readonly (readonly [epoch: number, writer: string, count: number])[]

async function logOf(tail: Tail): Promise<Log> {
  const disk = memoryDisk()
  await disk.makeDirectory('/log')
  const settings = { ...defaultsOf(logSettings), segmentBytes: 1024 * 1024 }
  const env = { disk, clock: nodeEnv().clock }
  const log = await Log.open({ env, directory: '/log', settings, recoveryPoint: 0, cleanShutdown: true })
  logs.push(log)
  for (const [epoch, writer, count] of tail) {
    for (let i = 0; i < count; i++) await log.appendBatch(batchOf([`${writer}${epoch}-${i}`], { timestamp: 1 }), epoch)
  }
  return log
}

function partitionOf(nodeId: number, log: Log): Partition {
  const context = {
    nodeId,
    clock: new VirtualClock(),
    logger: silentLogger,
    isrStore: { change: () => Promise.reject(new Error('not asked')) },
    replicaLagTimeMaxMs: 30_000,
    replicaLagMaxBytes: 0,
    replicaFetchWaitMaxMs: 500,
    rules: soundRules,
    broker: (id: number) => ({ epoch: 100 + id, modRevision: 100 + id }),
    ownEpoch: () => 100 + nodeId,
    leaseValid: () => true,
  }
  const partition = new Partition({ topic: 't', topicId: 'id', index: 0 }, log, { minInsyncReplicas: 1 }, context)
  partition.restore(log.replica.committedOffset === Number.POSITIVE_INFINITY ? 0 : log.replica.committedOffset)
  return partition
}

function stateOf(leaderEpoch: number): PartitionValue {
  return { leader: 1, leaderEpoch, replicas: [1, 2], isr: [1], elr: [], partitionEpoch: leaderEpoch }
}

/** What was fetched in how many rounds of truncation. */
async function bringTogether(leader: Log, follower: Log, epoch: number): Promise<number> {
  const one = partitionOf(1, leader)
  const two = partitionOf(2, follower)
  await one.become(stateOf(epoch))
  await two.become(stateOf(epoch))
  let rounds = 0
  for (; rounds < 20; rounds++) {
    const end = one.divergence(follower.replica.lastEpoch, follower.logEndOffset)
    if (end === undefined) break
    await two.truncate(epoch, end)
  }
  expect(follower.logEndOffset).toBeLessThanOrEqual(leader.logEndOffset)
  leader.replica.commitTo(Number.POSITIVE_INFINITY)
  for await (const batch of leader.read({
    from: follower.logEndOffset,
    to: leader.logEndOffset,
    reuseBuffers: false,
  })) {
    await two.appendAsFollower(epoch, batchBytes(batch))!.written
  }
  return rounds
}

function batchBytes(batch: RecordBatch): Uint8Array {
  return Uint8Array.from(batch.bytes.subarray(batch.position, batch.position + batch.sizeInBytes))
}

async function valuesOf(log: Log): Promise<string[]> {
  log.replica.commitTo(Number.POSITIVE_INFINITY)
  const found: string[] = []
  for await (const batch of log.read({ from: 0, to: log.logEndOffset })) {
    for (const record of batch)
      found.push(`${record.offset} ${batch.leaderEpoch} ${Buffer.from(record.value!).toString()}`)
  }
  return found
}

describe('a follower gives up what its leader lacks, and nothing else', () => {
  test.each<{ name: string; leader: Tail; follower: Tail; epoch: number }>([
    { name: 'both are equal', leader: [[0, 'a', 3]], follower: [[0, 'a', 3]], epoch: 1 },
    {
      name: 'KIP-101, 1: a follower that lags keeps all it has, whatever its high watermark',
      leader: [[0, 'a', 5]],
      follower: [[0, 'a', 3]],
      epoch: 1,
    },
    {
      name: 'KIP-101, 2: the tail of an old leader, as long as what came instead',
      leader: [
        [0, 'a', 2],
        [1, 'b', 1],
      ],
      follower: [[0, 'a', 3]],
      epoch: 1,
    },
    {
      name: 'KIP-279: fast fail-overs, each with a batch that nobody fetched',
      leader: [
        [0, 'a', 2],
        [1, 'b', 2],
        [3, 'b', 1],
      ],
      follower: [
        [0, 'a', 2],
        [2, 'c', 3],
      ],
      epoch: 3,
    },
    {
      name: 'KIP-279: an epoch that the leader never heard of, over several rounds',
      leader: [
        [0, 'a', 1],
        [2, 'b', 4],
        [5, 'b', 1],
      ],
      follower: [
        [0, 'a', 1],
        [1, 'c', 2],
        [3, 'd', 2],
        [4, 'd', 2],
      ],
      epoch: 5,
    },
    {
      name: 'KIP-320: the same end offset in another epoch',
      leader: [
        [0, 'a', 1],
        [2, 'b', 2],
      ],
      follower: [
        [0, 'a', 1],
        [1, 'c', 2],
      ],
      epoch: 2,
    },
    { name: 'nothing in common', leader: [[1, 'b', 3]], follower: [[0, 'a', 2]], epoch: 1 },
    { name: 'an empty leader', leader: [], follower: [[0, 'a', 2]], epoch: 1 },
    { name: 'an empty follower', leader: [[0, 'a', 2]], follower: [], epoch: 1 },
  ])('$name', async ({ leader, follower, epoch }) => {
    const one = await logOf(leader)
    const two = await logOf(follower)
    await bringTogether(one, two, epoch)
    expect(await valuesOf(two)).toEqual(await valuesOf(one))
  })

  test('after any history of leaders, each of whom had some of what came before', async () => {
    const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)
    const random = new SeededRandom(seed)
    const below = (limit: number): number => Math.floor(random.fraction() * limit)
    for (let round = 0; round < 60; round++) {
      const histories: [number, string, number][][] = [[], [], []]
      let epoch = 0
      for (let change = 0; change < 6; change++, epoch += 1 + below(2)) {
        const leading = histories[below(3)]!
        if (below(4) > 0) leading.push([epoch, 'w', 1 + below(3)])
        // Another one fetches all of it, and so gives up what it had besides.
        if (below(2) === 0) histories[below(3)] = leading.map((entry) => [...entry])
      }
      const one = await logOf(histories[0]!)
      const two = await logOf(histories[1]!)
      await bringTogether(one, two, epoch + 1)
      expect(await valuesOf(two), `seed ${seed}, round ${round}`).toEqual(await valuesOf(one))
    }
  })
})

test('a leader that was elected uncleanly: what it lacks goes, though it was committed', async () => {
  const one = await logOf([[0, 'a', 1]])
  const two = await logOf([[0, 'a', 3]])
  two.replica.commitTo(3)
  await bringTogether(one, two, 1)
  expect(two.highWatermark).toBe(1)
  expect(await valuesOf(two)).toEqual(await valuesOf(one))
})

test('an epoch without a record is not what a follower asks by', async () => {
  const one = await logOf([[0, 'a', 2]])
  const former = partitionOf(1, one)
  await former.become(stateOf(4))
  expect(one.endOffsetFor(4)).toEqual({ epoch: 4, endOffset: 2 })
  await former.become({ ...stateOf(5), leader: 2 })
  expect(one.replica.lastEpoch).toBe(0)
  expect(one.endOffsetFor(4)).toEqual({ epoch: -1, endOffset: -1 })
})
