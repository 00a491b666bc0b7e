/**
 * Disks of brokers fail under load: a call that fails, a disk that is full, one that does not answer, files that are
 * damaged while their broker is down. Nothing that was acknowledged is lost, no client sees an error, and what is
 * damaged leads nothing before it is mended. Needs root and strace.
 */
import { readFileSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { SmallFileSystem } from '../small-file-system.ts'
import { type BrokerProcess, FaultCluster, SESSION_MS } from './fault-cluster.ts'
import { expectSound } from './outcome.ts'
import { Injection } from './strace-of.ts'
import { pause, type Torture, underLoad } from './under-load.ts'

const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)
const rounds = Number(process.env.PAGELOG_ROUNDS ?? 10)
/** Leadership has moved by then: 10 s, on a machine three times as slow. */
const MOVED_MS_MAX = 30_000
const WRITES = ['pwrite64', 'pwritev', 'write', 'fdatasync', 'fsync', 'rename', 'ftruncate']

let cluster: FaultCluster | undefined
afterEach(async () => {
  await cluster?.[Symbol.asyncDispose]()
  cluster = undefined
})

function epochs(...ids: number[]): Map<number, number> {
  return new Map(ids.map((id) => [id, cluster!.epochOf(id)]))
}

interface FailedCall {
  readonly calls: string
  readonly when: number
}

/** The disk of one broker fails once; that one leaves, the others go on, and it comes back when it is started again. */
async function failOnce({ topic, writable }: Torture, { calls, when }: FailedCall, id: number): Promise<void> {
  const since = epochs(id)
  const broker = cluster!.broker(id)
  {
    await using injection = await Injection.into(broker.pid, WRITES, `${calls}:error=EIO:when=${when}`)
    await cluster!.until('the broker has left', () => cluster!.epochOf(id) !== since.get(id), MOVED_MS_MAX)
    await cluster!.until(
      'others lead',
      () => cluster!.partitions.every(({ leader }) => leader > 0 && leader !== id),
      MOVED_MS_MAX,
    )
    await writable(MOVED_MS_MAX)
    // It waits to be looked after; closing it syncs nothing either.
    await broker.stop()
    const seen = injection.calls()
    const failed = seen.findIndex(({ isInjected }) => isInjected)
    expect(failed, `a ${calls} has failed`).toBeGreaterThanOrEqual(0)
    const { name, path } = seen[failed]!
    const again = seen.slice(failed + 1).filter((call) => call.name === name && call.path === path)
    if (name.endsWith('sync'))
      expect(
        again.filter(({ isInjected }) => !isInjected),
        `${topic}: ${path} synced again`,
      ).toEqual([])
  }
  await broker.start()
  await cluster!.whole(since)
}

test('EIO of a write, a sync or a rename: that broker leaves, syncs no more, and is back after a restart', async () => {
  // One thread of files: the n-th call of it is the n-th call.
  const env = { UV_THREADPOOL_SIZE: '1' }
  const settings = { 'replica.high.watermark.checkpoint.interval.ms': '300' }
  cluster = await FaultCluster.start({ env, settings })
  const topicConfigs = { 'flush.messages': '20' }
  const cases = [1, 2, 3, 5, 8].flatMap((when): FailedCall[] => [
    { calls: 'fdatasync', when },
    { calls: 'fsync', when },
    { calls: 'pwrite64,pwritev', when: when * when },
    { calls: 'rename', when },
  ])
  const outcome = await underLoad(cluster, { seed, topicConfigs }, async (torture) => {
    for (const [at, one] of cases.entries()) {
      const { leader, replicas } = cluster!.partition(torture.topic, 0)
      // The leader of a partition and one that follows it, in turn.
      await failOnce(torture, one, at % 2 === 0 ? leader : replicas.find((id) => id !== leader)!)
    }
  })
  expectSound(outcome, `${cases.length} failed calls`)
})

const DISK_BYTES = 96 << 20

/** Nothing more fits. */
function fill(disk: SmallFileSystem): void {
  const path = join(disk.path, 'filler')
  for (let size = 4 << 20; size >= 512; size >>= 2) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(size, 1), { flag: 'a' })
    } catch (error) {
      if ((error as { code?: string }).code !== 'ENOSPC') throw error
    }
  }
  expect(statfsSync(disk.path).bavail).toBe(0)
}

test('a full disk at the leader, at a follower, at all: it ends with the space, and nothing has to be repaired', async () => {
  await using first = await SmallFileSystem.make(DISK_BYTES)
  await using second = await SmallFileSystem.make(DISK_BYTES)
  await using third = await SmallFileSystem.make(DISK_BYTES)
  const disks = [first, second, third]
  cluster = await FaultCluster.start({ directoryOf: (id) => join(disks[id - 1]!.path, 'logs') })
  const outcome = await underLoad(cluster, { seed }, async ({ topic, random, writable }) => {
    for (let count = 0; count < 6; count++) {
      const { leader, replicas } = cluster!.partition(topic, random.below(3))
      const whose = [[leader], [replicas.find((id) => id !== leader)!], [1, 2, 3]][count % 3]!
      for (const id of whose) fill(disks[id - 1]!)
      await pause(1000 + random.below(2500))
      for (const id of whose) rmSync(join(disks[id - 1]!.path, 'filler'))
      await cluster!.whole()
      await writable()
    }
  })
  expectSound(outcome, 'full disks')
  await cluster[Symbol.asyncDispose]()
  cluster = undefined
})

test('a disk that does not answer: its broker stays a member, the others go on without it', async () => {
  cluster = await FaultCluster.start()
  const outcome = await underLoad(
    cluster,
    { seed, topicConfigs: { 'flush.messages': '1' } },
    async ({ topic, writable }) => {
      const { leader, replicas } = cluster!.partition(topic, 0)
      for (const id of [replicas.find((one) => one !== leader)!, leader]) {
        const since = epochs(1, 2, 3)
        {
          await using _ = await Injection.into(cluster!.broker(id).pid, ['fdatasync'], 'fdatasync:delay_enter=60000000')
          const follows = cluster!.partitions.filter((one) => one.leader !== id).map(({ replicas: all }) => all)
          expect(follows.length).toBeGreaterThan(0)
          await cluster!.until('it has left the ISRs of others', () =>
            cluster!.partitions.every(({ leader: leads, isr }) => leads === id || !isr.includes(id)),
          )
          await pause(2 * SESSION_MS)
          // The event loop does not wait for the disk.
          expect(epochs(1, 2, 3)).toEqual(since)
        }
        await cluster!.whole()
        await writable()
      }
    },
  )
  expectSound(outcome, 'stalled disks')
})

/** A byte in the middle of the log's newest segment, where records were acknowledged and perhaps not synced. */
function damage(directory: string, partition: string): void {
  const path = join(directory, partition, '00000000000000000000.log')
  const bytes = readFileSync(path)
  const at = bytes.length >> 1
  bytes[at] = bytes[at]! ^ 0x40
  writeFileSync(path, bytes)
}

test(`one replica is damaged in the middle, and the two others are killed in turn: nothing is lost`, async () => {
  cluster = await FaultCluster.start()
  const times = Math.max(5, rounds / 2)
  const outcome = await underLoad(cluster, { seed }, async ({ topic, random, writable }) => {
    for (let count = 0; count < times; count++) {
      const id = 1 + random.below(3)
      const since = epochs(id)
      await cluster!.broker(id).kill()
      damage(cluster!.broker(id).directory, `${topic}-${random.below(3)}`)
      await cluster!.broker(id).start()
      for (const other of [1, 2, 3].filter((one) => one !== id)) {
        const epoch = epochs(other)
        await cluster!.broker(other).kill()
        await pause(random.below(1.5 * SESSION_MS))
        await cluster!.broker(other).start()
        await cluster!.until('it is back', () => cluster!.epochOf(other) > epoch.get(other)!)
      }
      await cluster!.whole(since)
      await writable()
    }
  })
  expectSound(outcome, `${times} damaged replicas`)
})

/** Files beside the logs: of one partition, and of the directory. */
const SIDE_FILES = [
  'load-0/00000000000000000000.index',
  'load-0/00000000000000000000.timeindex',
  'load-0/leader-epoch-checkpoint',
  'recovery-point-offset-checkpoint',
  'replication-offset-checkpoint',
  'log-start-offset-checkpoint',
  'pagelog-incarnation.json',
]
const DAMAGES: readonly ((path: string) => void)[] = [
  (path) => {
    const bytes = readFileSync(path)
    if (bytes.length === 0) return
    bytes[bytes.length >> 1] = bytes[bytes.length >> 1]! ^ 1
    writeFileSync(path, bytes)
  },
  (path) => truncateSync(path, 0),
  (path) => truncateSync(path, readFileSync(path).length >> 1),
  (path) => rmSync(path),
]

test('a replica that says it is of another topic is left alone, and filled again when its folder is removed', async () => {
  cluster = await FaultCluster.start()
  const outcome = await underLoad(cluster, { seed }, async ({ topic, writable }) => {
    const { leader } = cluster!.partition(topic, 0)
    const broker = cluster!.broker(leader)
    const since = epochs(leader)
    await broker.kill()
    const folder = join(broker.directory, `${topic}-0`)
    const path = join(folder, 'partition.metadata')
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace(/(topic_id: ..)./, (_, start) => `${start}_`),
    )
    await broker.start()
    await cluster!.until('it is back without that replica', () => {
      const isBack = cluster!.epochOf(leader) > since.get(leader)!
      return isBack && !cluster!.partition(topic, 0).isr.includes(leader)
    })
    await writable()
    const again = epochs(leader)
    await broker.stop()
    rmSync(folder, { recursive: true })
    await broker.start()
    await cluster!.whole(again)
    await writable()
  })
  expectSound(outcome, 'a replica of another topic')
})

/** Who does not know any more that it is the one that is registered has to wait for that one's session to end. */
async function startInTheEnd(broker: BrokerProcess): Promise<void> {
  try {
    await broker.start()
  } catch (error) {
    expect(String(error)).toContain(`node.id=${broker.id} is in use`)
    await cluster!.until('its session has ended', () => cluster!.epochOf(broker.id) === 0)
    await broker.start()
  }
}

test('every file beside the logs is flipped, emptied, halved or gone: it is built again, or the replica filled again', async () => {
  cluster = await FaultCluster.start({ settings: { 'replica.high.watermark.checkpoint.interval.ms': '300' } })
  const outcome = await underLoad(cluster, { seed }, async ({ random, writable }) => {
    for (const [at, file] of SIDE_FILES.entries()) {
      const id = 1 + random.below(3)
      const since = epochs(id)
      const broker = cluster!.broker(id)
      if (at % 2 === 0) await broker.kill()
      else await broker.stop()
      try {
        DAMAGES[(at + seed) % DAMAGES.length]!(join(broker.directory, file))
      } catch (error) {
        // Not every file is always there.
        if ((error as { code?: string }).code !== 'ENOENT') throw error
      }
      await startInTheEnd(broker)
      await cluster!.whole(since)
      await writable()
    }
  })
  expectSound(outcome, 'damaged side files')
})
