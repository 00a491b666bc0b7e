/**
 * Disks of brokers fail under load: a call that fails, a disk that is full, one that does not answer. Nothing that was
 * acknowledged is lost, and no client sees an error. Needs root and strace.
 */
import { rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { PartitionState } from '../../../src/metadata/index.ts'
import { SmallFileSystem } from '../small-file-system.ts'
import { type FaultCluster, LAG_MS, SESSION_MS, startFor } from './fault-cluster.ts'
import { describeGaps, expectSound } from './outcome.ts'
import { Injection } from './strace-of.ts'
import { pause, type Torture, underLoad } from './under-load.ts'
import { SLACK } from './watched-cluster.ts'

const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)
/** From the call that fails until others lead and take records (D10). */
const MOVED_MS_MAX = SLACK * 10_000
const MET_MS_MAX = 60_000
const WRITES = ['pwrite64', 'pwritev', 'write', 'fdatasync', 'fsync', 'rename', 'ftruncate']

function epochs(cluster: FaultCluster, ...ids: number[]): Map<number, number> {
  return new Map(ids.map((id) => [id, cluster.epochOf(id)]))
}

interface FailedCall {
  readonly calls: string
  readonly when: number
}

/** The disk of one broker fails once; that one leaves, the others go on, and it comes back when it is started again. */
async function failOnce(
  cluster: FaultCluster,
  { topic, writable }: Torture,
  { calls, when }: FailedCall,
  id: number,
): Promise<number> {
  const since = epochs(cluster, id)
  const broker = cluster.broker(id)
  let movedMs: number
  {
    await using injection = await Injection.into(broker.pid, WRITES, `${calls}:error=EIO:when=${when}`)
    const hasFailed = (): boolean => injection.calls().some(({ isInjected }) => isInjected)
    await cluster.until(`a ${calls} fails`, hasFailed, MET_MS_MAX)
    const fromMs = performance.now()
    await cluster.until('the broker has left', () => cluster.epochOf(id) !== since.get(id), MOVED_MS_MAX)
    await cluster.until('others lead', () => cluster.partitions.every(({ leader }) => ![id, -1].includes(leader)))
    await writable()
    movedMs = performance.now() - fromMs
    expect(movedMs, 'leadership has moved').toBeLessThan(MOVED_MS_MAX)
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
  await cluster.whole(since)
  return movedMs
}

for (const role of ['leader', 'follower'] as const) {
  test.concurrent(`EIO of a write, a sync or a rename at a ${role}: it leaves, syncs no more, and is back after a restart`, async (context) => {
    // One thread of files: the n-th call of it is the n-th call.
    const env = { UV_THREADPOOL_SIZE: '1' }
    const settings = { 'replica.high.watermark.checkpoint.interval.ms': '300' }
    const cluster = await startFor(context, { env, settings })
    const topicConfigs = { 'flush.messages': '20' }
    // Twenty of both together.
    const cases = (role === 'leader' ? [1, 3] : [2, 5, 8]).flatMap((when): FailedCall[] => [
      { calls: 'fdatasync', when },
      { calls: 'fsync', when },
      { calls: 'pwrite64,pwritev', when: when * when },
      { calls: 'rename', when },
    ])
    let longestMs = 0
    const outcome = await underLoad(cluster, { seed, topicConfigs }, async (torture) => {
      for (const one of cases) {
        const { leader, replicas } = cluster.partition(torture.topic, 0)
        const id = role === 'leader' ? leader : replicas.find((other) => other !== leader)!
        longestMs = Math.max(longestMs, await failOnce(cluster, torture, one, id))
      }
    })
    console.log(`others led and took records ${Math.round(longestMs)} ms after a failed call at the latest`)
    expectSound(outcome, `${cases.length} failed calls`)
  })
}

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

test.concurrent('a full disk at the leader, at a follower, at all: reads go on, it ends with the space, and nothing has to be repaired', async (context) => {
  await using first = await SmallFileSystem.make(DISK_BYTES)
  await using second = await SmallFileSystem.make(DISK_BYTES)
  await using third = await SmallFileSystem.make(DISK_BYTES)
  const disks = [first, second, third]
  const cluster = await startFor(context, { directoryOf: (id) => join(disks[id - 1]!.path, 'logs') })
  const outcome = await underLoad(cluster, { seed }, async ({ topic, random, writable, readable }) => {
    for (let count = 0; count < 6; count++) {
      const { leader, replicas } = cluster.partition(topic, random.below(3))
      const whose = [[leader], [replicas.find((id) => id !== leader)!], [1, 2, 3]][count % 3]!
      for (const id of whose) fill(disks[id - 1]!)
      await pause(random.below(2500))
      await readable()
      for (const id of whose) expect(statfsSync(disks[id - 1]!.path).bavail, 'it is full all the time').toBe(0)
      await pause(random.below(1000))
      for (const id of whose) rmSync(join(disks[id - 1]!.path, 'filler'))
      await cluster.whole()
      await writable()
    }
  })
  expectSound(outcome, 'full disks')
  // The file systems go before what the context ends.
  await cluster[Symbol.asyncDispose]()
})

/** As D12 has it, by so much it may be late; it may be early by as much. */
const LEAVES_MS_MAX = SLACK * 1.2 * LAG_MS
const LEAVES_MS_MIN = 0.8 * LAG_MS

test.concurrent('a disk that does not answer: its broker leaves the ISRs in time and stays a member, the others go on', async (context) => {
  const cluster = await startFor(context)
  const outcome = await underLoad(cluster, { seed, topicConfigs: { 'flush.messages': '1' } }, async (torture) => {
    const { leader, replicas } = cluster.partition(torture.topic, 0)
    for (const id of [replicas.find((one) => one !== leader)!, leader]) {
      const since = epochs(cluster, 1, 2, 3)
      const strict = (): readonly PartitionState[] => cluster.image.topic(torture.topic)!.partitions
      const others = strict().flatMap((one) => (one.leader === id ? [] : [`${torture.topic}-${one.index}`]))
      expect(others.length).toBeGreaterThan(0)
      const [fromMs, gapsBefore] = [performance.now(), torture.gaps.length]
      {
        await using _ = await Injection.into(cluster.broker(id).pid, ['fdatasync'], 'fdatasync:delay_enter=60000000')
        const stalledMs = performance.now()
        await cluster.until('it has left the ISRs of others', () =>
          strict().every(({ leader: leads, isr }) => leads === id || !isr.includes(id)),
        )
        const leftMs = performance.now()
        expect(leftMs - fromMs, 'not before its time').toBeGreaterThan(LEAVES_MS_MIN)
        expect(leftMs - stalledMs, 'it has left').toBeLessThan(LEAVES_MS_MAX)
        await pause(2 * SESSION_MS)
        // The event loop does not wait for the disk.
        expect(epochs(cluster, 1, 2, 3)).toEqual(since)
        // Partitions of other leaders have waited for that, and for nothing more.
        const gaps = torture.gaps.slice(gapsBefore).filter(({ partition }) => others.includes(partition))
        const what = id === leader ? 'a leader' : 'a follower'
        const left = `left the ISRs ${Math.round(leftMs - stalledMs)} ms after its disk stood still`
        console.log(`${what} ${left}, pauses of partitions that others lead ${describeGaps(gaps)}`)
        for (const gap of gaps) expect(gap.ms, gap.partition).toBeLessThan(LEAVES_MS_MAX)
        await torture.writable(others)
      }
      await cluster.whole()
      await torture.writable()
    }
  })
  expectSound(outcome, 'stalled disks')
})
