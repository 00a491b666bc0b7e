/** What a leader makes of its followers' fetches: a clock that stands still, a store that answers as it is told. */
import { beforeEach, describe, expect, test } from 'vitest'
import { defaultsOf, ErrorCode, PagelogError, silentLogger } from '../../src/base/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { Log, logSettings } from '../../src/log/index.ts'
import type { PartitionValue } from '../../src/metadata/index.ts'
import { type IsrChange, type IsrOutcome, Partition, soundRules, withIsr } from '../../src/replication/index.ts'
import { batchOf } from '../broker/fixtures.ts'

const LAG_MS = 10_000

class Store {
  state: PartitionValue
  /** What becomes of the next changes; done by default. */
  readonly fates: ('refused' | 'lost and done' | 'lost' | 'unreachable' | 'closed' | 'held')[] = []
  readonly asked: IsrChange[] = []
  release: () => void = () => {}

  constructor(state: PartitionValue) {
    this.state = state
  }

  async change(change: IsrChange): Promise<IsrOutcome> {
    this.asked.push(change)
    const fate = this.fates.shift()
    if (fate === 'unreachable') throw new PagelogError('PAGELOG_METADATA_UNREACHABLE', 'away')
    if (fate === 'closed') throw new PagelogError('PAGELOG_CLOSED', 'closed')
    if (fate === 'held') await new Promise<void>((resolve) => (this.release = resolve))
    if (fate === 'refused') return { changed: false, state: undefined }
    const isAsKnown = change.partitionEpoch === this.state.partitionEpoch
    if (isAsKnown && fate !== 'lost') this.state = withIsr(this.state, change.isr, change.minIsr)
    if (fate === 'lost' || fate === 'lost and done') throw new PagelogError('PAGELOG_OUTCOME_UNKNOWN', 'no answer')
    return { changed: isAsKnown, state: this.state }
  }
}

let clock: VirtualClock
let store: Store
let partition: Partition
let lease: boolean
let epochs: Map<number, number>
let leaving: Set<number>
let ownEpoch: number

async function lead(isr: readonly number[], minInsyncReplicas = 1, replicas = [1, 2, 3]): Promise<void> {
  const disk = memoryDisk()
  await disk.makeDirectory('/log')
  const env = { disk, clock: nodeEnv().clock }
  const settings = defaultsOf(logSettings)
  const log = await Log.open({ env, directory: '/log', settings, recoveryPoint: 0, cleanShutdown: true })
  clock = new VirtualClock()
  store = new Store({ leader: 1, leaderEpoch: 1, replicas, isr, elr: [], partitionEpoch: 1 })
  lease = true
  epochs = new Map([1, 2, 3].map((id) => [id, 100 + id]))
  leaving = new Set()
  ownEpoch = 101
  const context = {
    nodeId: 1,
    clock,
    logger: silentLogger,
    isrStore: store,
    replicaLagTimeMaxMs: LAG_MS,
    replicaLagMaxBytes: 0,
    replicaFetchWaitMaxMs: 500,
    rules: soundRules,
    broker: (id: number) => {
      const epoch = epochs.get(id)
      return epoch === undefined ? undefined : { epoch, modRevision: 1000 + epoch, leaving: leaving.has(id) }
    },
    ownEpoch: () => ownEpoch,
    leaseValid: () => lease,
  }
  partition = new Partition({ topic: 't', topicId: 'id', index: 0 }, log, { minInsyncReplicas }, context)
  if (replicas.length > 1) partition.restore(0)
  await partition.become(store.state)
}

const append = async (count = 1): Promise<void> => {
  for (let i = 0; i < count; i++) await partition.append(batchOf([`v${i}`]))
}
const fetched = (replicaId: number, logEndOffset: number, brokerEpoch = 100 + replicaId) =>
  partition.followerFetched({ replicaId, brokerEpoch, logEndOffset, logStartOffset: 0 })
const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}
const waiting = (endOffset: number): number[] => {
  const codes: number[] = []
  partition.awaitReplication({ end: endOffset, settled: (code) => codes.push(code) }, partition.leaderEpoch)
  return codes
}

describe('the high watermark', () => {
  beforeEach(() => lead([1, 2, 3]))

  test('is what every member of the ISR has, and waits for those who have not fetched in this epoch', async () => {
    await append(3)
    expect(partition.highWatermark).toBe(0)
    fetched(2, 3)
    expect(partition.highWatermark).toBe(0)
    fetched(3, 1)
    expect(partition.highWatermark).toBe(1)
    fetched(3, 3)
    expect(partition.highWatermark).toBe(3)
  })

  test('does not go back with a follower that does', async () => {
    await append(3)
    for (const id of [2, 3]) fetched(id, 3)
    fetched(2, 1)
    expect(partition.highWatermark).toBe(3)
  })

  test('ignores a broker of another life, and one that is no replica', async () => {
    await append(1)
    fetched(2, 1)
    expect(fetched(3, 1, 99)).toBe(true)
    expect(fetched(9, 1)).toBe(false)
    expect(partition.highWatermark).toBe(0)
  })

  test('answers who waits for it, in the order of offsets', async () => {
    await append(3)
    const two = waiting(2)
    const three = waiting(3)
    for (const id of [2, 3]) fetched(id, 2)
    expect([two, three]).toEqual([[ErrorCode.NONE], []])
    for (const id of [2, 3]) fetched(id, 3)
    expect(three).toEqual([ErrorCode.NONE])
    expect(waiting(1)).toEqual([ErrorCode.NONE])
  })

  test('is told to consumers only once it has reached the epoch', async () => {
    await append(2)
    await partition.become({ ...store.state, leaderEpoch: 2, partitionEpoch: 2 })
    expect(partition.isHighWatermarkKnown).toBe(false)
    for (const id of [2, 3]) fetched(id, 2)
    expect(partition.isHighWatermarkKnown).toBe(true)
  })
})

describe('with too few in sync', () => {
  test('it stands still, and who waits hears of it', async () => {
    await lead([1, 2], 2)
    await append(1)
    const codes = waiting(1)
    await partition.become(withIsr(store.state, [1], 2))
    expect(codes).toEqual([ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND])
    expect(partition.highWatermark).toBe(0)
    expect(partition.refusalOfAll).toBe(ErrorCode.NOT_ENOUGH_REPLICAS)
    expect(waiting(1)).toEqual([ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND])
  })

  test('whoever leaves then stays eligible', async () => {
    await lead([1, 2, 3], 3)
    fetched(3, 0)
    clock.advance(LAG_MS + 1)
    await append(1)
    fetched(3, 1)
    partition.check()
    await settle()
    expect(store.state).toMatchObject({ isr: [1, 3], elr: [2] })
  })
})

describe('while others are eligible (ELR)', () => {
  /** Two had to be in sync, 2 left, and now one is enough. */
  async function loosened(...fates: Store['fates']): Promise<void> {
    await lead([1], 2)
    store.state = { ...store.state, elr: [2], partitionEpoch: 2 }
    await partition.become(store.state)
    await append(1)
    store.fates.push(...fates)
    partition.settingsChanged({ minInsyncReplicas: 1 })
  }

  test('nothing is committed before the leader has written that nobody is', async () => {
    await loosened('held')
    const codes = waiting(1)
    expect([partition.highWatermark, codes]).toEqual([0, []])
    expect(store.asked).toMatchObject([{ isr: [1], minIsr: 1, partitionEpoch: 2 }])
    store.release()
    await settle()
    expect(store.state).toMatchObject({ isr: [1], elr: [], partitionEpoch: 3 })
    expect([partition.highWatermark, codes]).toEqual([1, [ErrorCode.NONE]])
  })

  test.each(['refused', 'unreachable', 'lost', 'lost and done'] as const)('%s, it is written again', async (fate) => {
    await loosened(fate)
    await settle()
    expect(partition.highWatermark).toBe(0)
    await append(1)
    expect(store.asked).toHaveLength(1)
    clock.advance(1000)
    await settle()
    expect(store.state).toMatchObject({ isr: [1], elr: [], partitionEpoch: 3 })
    expect(partition.highWatermark).toBe(2)
  })

  test('a member that comes makes the ISR large enough and leaves nobody eligible, in one change', async () => {
    await lead([1], 2)
    store.state = { ...store.state, elr: [2], partitionEpoch: 2 }
    await partition.become(store.state)
    await append(1)
    fetched(3, 1)
    expect(partition.highWatermark).toBe(0)
    await settle()
    expect(store.state).toMatchObject({ isr: [1, 3], elr: [], partitionEpoch: 3 })
    expect(store.asked).toHaveLength(1)
    expect(partition.highWatermark).toBe(1)
  })

  test('nothing is written while too few are in sync', async () => {
    await lead([1], 2)
    await partition.become({ ...store.state, elr: [2], partitionEpoch: 2 })
    await append(1)
    clock.advance(1000)
    partition.check()
    expect(store.asked).toEqual([])
  })
})

describe('min.insync.replicas above the number of replicas', () => {
  test('is as if it were that number', async () => {
    await lead([1, 2], 3, [1, 2])
    expect([partition.refusalOfAll, partition.minIsr]).toEqual([ErrorCode.NONE, 2])
    await append(1)
    fetched(2, 1)
    expect(partition.highWatermark).toBe(1)
    await partition.become({ ...store.state, isr: [1], partitionEpoch: 2 })
    expect(partition.refusalOfAll).toBe(ErrorCode.NOT_ENOUGH_REPLICAS)
  })

  test('that is raised ends what waits where too few are in sync', async () => {
    await lead([1, 2], 1)
    await append(1)
    const codes = waiting(1)
    partition.settingsChanged({ minInsyncReplicas: 3 })
    expect(codes).toEqual([ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND])
    fetched(2, 1)
    expect(partition.highWatermark).toBe(0)
  })
})

describe('a leader alone in the ISR', () => {
  test('commits by itself only while its lease is good', async () => {
    await lead([1])
    lease = false
    await append(1)
    expect(partition.highWatermark).toBe(0)
    const codes = waiting(1)
    lease = true
    clock.advance(1000)
    expect(codes).toEqual([ErrorCode.NONE])
    expect(partition.highWatermark).toBe(1)
  })

  test('needs none where nobody else could lead', async () => {
    await lead([1], 1, [1])
    lease = false
    await append(1)
    expect(partition.highWatermark).toBe(1)
    expect(waiting(1)).toEqual([ErrorCode.NONE])
  })
})

describe('the ISR shrinks', () => {
  test('by who has not had all for replica.lag.time.max.ms, and by nobody before', async () => {
    await lead([1, 2, 3])
    await append(2)
    fetched(2, 2)
    fetched(3, 1)
    clock.advance(LAG_MS)
    partition.check()
    expect(store.asked).toEqual([])
    fetched(2, 2)
    clock.advance(1)
    partition.check()
    await settle()
    expect(store.state.isr).toEqual([1, 2])
    expect(partition.highWatermark).toBe(2)
  })

  test('not by who is behind but had all of what there was at its last fetch', async () => {
    await lead([1, 2], 1, [1, 2])
    for (let i = 0; i < 5; i++) {
      await append(1)
      fetched(2, i)
      clock.advance(LAG_MS / 2)
      partition.check()
    }
    expect(store.asked).toEqual([])
  })
})

describe('the ISR grows', () => {
  beforeEach(() => lead([1, 2]))

  test('by who has all that is committed, under the broker epoch that it has now', async () => {
    await append(2)
    fetched(2, 2)
    fetched(3, 1)
    await settle()
    expect(store.asked).toEqual([])
    fetched(3, 2)
    await settle()
    expect(store.asked[0]).toMatchObject({ isr: [1, 2, 3], leaderEpoch: 1, partitionEpoch: 1 })
    expect([...store.asked[0]!.brokerEpochs]).toEqual([
      [1, 101],
      [3, 103],
    ])
    expect(partition.leader!.isr).toEqual([1, 2, 3])
  })

  test('not by who is not registered', async () => {
    epochs.delete(3)
    fetched(3, 0)
    await settle()
    expect(store.asked).toEqual([])
  })

  test('not by who is about to close (KIP-841), and not by who has said so since', async () => {
    leaving.add(3)
    fetched(3, 0)
    await settle()
    expect(store.asked).toEqual([])
    leaving.delete(3)
    fetched(3, 0)
    await settle()
    expect([...store.asked[0]!.brokerRevisions]).toEqual([[3, 1103]])
  })

  test('not while the leader is not registered, or its image shows an earlier life of it', async () => {
    for (const epoch of [0, 999]) {
      ownEpoch = epoch
      fetched(3, 0)
    }
    epochs.delete(1)
    ownEpoch = 0
    fetched(3, 0)
    clock.advance(LAG_MS + 1)
    await append(1)
    partition.check()
    await settle()
    expect(store.asked).toEqual([])
    expect(partition.leader!.maximalIsr).toEqual([1, 2])
  })

  test('not by who has not reached the epoch, though the high watermark has not either', async () => {
    await append(2)
    await partition.become({ ...store.state, leaderEpoch: 2, partitionEpoch: 2 })
    store.state = { ...store.state, leaderEpoch: 2, partitionEpoch: 2 }
    fetched(3, 1)
    await settle()
    expect(store.asked).toEqual([])
    fetched(3, 2)
    await settle()
    expect(store.asked).toHaveLength(1)
  })

  test('while it is proposed the new member counts, and the old ISR answers for min.insync.replicas', async () => {
    await append(1)
    store.fates.push('held')
    fetched(3, 0)
    fetched(2, 1)
    expect(partition.leader!.maximalIsr).toEqual([1, 2, 3])
    expect(partition.highWatermark).toBe(0)
    fetched(3, 1)
    expect(partition.highWatermark).toBe(1)
    store.release()
    await settle()
    expect(partition.leader!.isr).toEqual([1, 2, 3])
  })
})

describe('a proposal', () => {
  beforeEach(() => lead([1, 2]))

  test('refused is rolled back, and not made again at once', async () => {
    await append(1)
    store.fates.push('refused')
    fetched(3, 0)
    await settle()
    fetched(2, 1)
    expect(partition.leader!.maximalIsr).toEqual([1, 2])
    expect(partition.highWatermark).toBe(1)
    fetched(3, 1)
    await settle()
    expect(store.asked).toHaveLength(1)
    clock.advance(1000)
    fetched(3, 1)
    await settle()
    expect(partition.leader!.isr).toEqual([1, 2, 3])
  })

  test('that could not be sent is rolled back', async () => {
    store.fates.push('unreachable')
    fetched(3, 0)
    await settle()
    expect(partition.leader!.maximalIsr).toEqual([1, 2])
  })

  test.each(['lost', 'lost and done'] as const)('%s keeps the maximal ISR until the store tells', async (fate) => {
    await append(1)
    store.fates.push(fate)
    fetched(3, 0)
    await settle()
    fetched(2, 1)
    expect(partition.leader!.maximalIsr).toEqual([1, 2, 3])
    expect(partition.highWatermark).toBe(0)
    clock.advance(1000)
    await settle()
    expect(partition.leader!.isr).toEqual([1, 2, 3])
    expect(store.state.partitionEpoch).toBe(2)
  })

  test('lost before the store was closed keeps the maximal ISR to the end', async () => {
    await append(1)
    store.fates.push('lost and done', 'closed')
    fetched(3, 0)
    await settle()
    clock.advance(1000)
    await settle()
    fetched(2, 1)
    clock.advance(LAG_MS)
    expect(store.asked).toHaveLength(2)
    expect(partition.leader!.maximalIsr).toEqual([1, 2, 3])
    expect(partition.highWatermark).toBe(0)
  })

  test('lost, and then refused for another life of the broker, is voided by a write of what there is', async () => {
    store.fates.push('lost', 'refused')
    fetched(3, 0)
    await settle()
    clock.advance(1000)
    await settle()
    clock.advance(1000)
    await settle()
    expect(store.asked.map(({ isr }) => isr)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
      [1, 2],
    ])
    expect(store.state).toMatchObject({ isr: [1, 2], partitionEpoch: 2 })
    expect(partition.leader!.maximalIsr).toEqual([1, 2])
  })

  test('is dropped when another state of the partition is told', async () => {
    store.fates.push('held')
    fetched(3, 0)
    await partition.become({ ...store.state, isr: [1], partitionEpoch: 7 })
    expect(partition.leader!.maximalIsr).toEqual([1])
    store.release()
    await settle()
    expect(partition.leader!.isr).toEqual([1])
  })
})

describe('leadership that ends', () => {
  test('ends every wait with an error that is tried again, and takes no append any more', async () => {
    await lead([1, 2, 3])
    await append(1)
    const codes = waiting(1)
    await partition.become({ ...store.state, leader: 2, leaderEpoch: 2, partitionEpoch: 2 })
    expect(codes).toEqual([ErrorCode.NOT_LEADER_OR_FOLLOWER])
    expect(partition.checkLeader(-1)).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    expect(partition.checkLeader(1)).toBe(ErrorCode.FENCED_LEADER_EPOCH)
    expect(partition.checkLeader(3)).toBe(ErrorCode.UNKNOWN_LEADER_EPOCH)
    expect(waiting(1)).toEqual([ErrorCode.NOT_LEADER_OR_FOLLOWER])
  })

  test('and comes back answers nothing that was appended before', async () => {
    await lead([1, 2, 3])
    await append(1)
    await partition.become({ ...store.state, leader: 2, leaderEpoch: 2, partitionEpoch: 2 })
    await partition.become({ ...store.state, isr: [1], leaderEpoch: 3, partitionEpoch: 3 })
    expect(partition.highWatermark).toBe(1)
    const codes: number[] = []
    partition.awaitReplication({ end: 1, settled: (code) => codes.push(code) }, 1)
    expect(codes).toEqual([ErrorCode.NOT_LEADER_OR_FOLLOWER])
  })

  test('an older state changes nothing', async () => {
    await lead([1, 2, 3])
    await partition.become({ ...store.state, leader: 2, leaderEpoch: 0, partitionEpoch: 0 })
    expect(partition.isLeader).toBe(true)
  })

  test('for a broker that was declared dead, until a later state says again who leads', async () => {
    await lead([1, 2])
    await append(1)
    const codes = waiting(1)
    partition.suspend()
    expect(codes).toEqual([ErrorCode.NOT_LEADER_OR_FOLLOWER])
    expect([partition.isLeader, partition.checkLeader(1)]).toEqual([false, ErrorCode.NOT_LEADER_OR_FOLLOWER])
    fetched(2, 1)
    await partition.become(store.state)
    await partition.become({ ...store.state, isr: [1], partitionEpoch: 2 })
    expect([partition.isLeader, partition.highWatermark]).toEqual([false, 0])
    await partition.become({ ...store.state, leader: -1, partitionEpoch: 3 })
    await partition.become({ ...store.state, leaderEpoch: 2, partitionEpoch: 4 })
    expect(partition.isLeader).toBe(true)
  })

  test('not where nobody else could lead', async () => {
    await lead([1], 1, [1])
    partition.suspend()
    expect(partition.isLeader).toBe(true)
  })

  test('in the middle of a change of roles: the change is void', async () => {
    await lead([1, 2])
    const becoming = partition.become({ ...store.state, leaderEpoch: 2, partitionEpoch: 2 })
    partition.suspend()
    await becoming
    expect(partition.isLeader).toBe(false)
  })

  test('with the log: nothing is acknowledged any more, whatever the followers have', async () => {
    await lead([1, 2])
    await append(1)
    const codes = waiting(1)
    partition.markFailed()
    expect(codes).toEqual([ErrorCode.KAFKA_STORAGE_ERROR])
    fetched(2, 1)
    expect(waiting(1)).toEqual([ErrorCode.KAFKA_STORAGE_ERROR])
    expect([partition.checkLeader(1), partition.highWatermark]).toEqual([ErrorCode.KAFKA_STORAGE_ERROR, 0])
    await partition.become({ ...store.state, leaderEpoch: 2, partitionEpoch: 2 })
    expect([partition.isLeader, partition.leaderEpoch]).toEqual([false, 2])
  })
})

test('a role that could not be taken on is taken on when it is given again', async () => {
  await lead([1, 2])
  const { replica } = partition.log
  Object.defineProperty(replica, 'follow', { configurable: true, value: () => Promise.reject(new Error('no room')) })
  const followed = { ...store.state, leader: 2, leaderEpoch: 2, partitionEpoch: 2 }
  await expect(partition.become(followed)).rejects.toThrow('no room')
  expect([partition.isLeader, partition.isFollower, partition.isBetween]).toEqual([false, false, true])
  Reflect.deleteProperty(replica, 'follow')
  await partition.become(followed)
  expect([partition.isFollower, partition.isBetween]).toEqual([true, false])
})

test('a leader epoch that goes back is a broken invariant', async () => {
  await lead([1, 2])
  const backwards = partition.become({ ...store.state, leaderEpoch: 0, partitionEpoch: 2 })
  await expect(backwards).rejects.toThrow(expect.objectContaining({ code: 'PAGELOG_INVARIANT' }))
})
