/**
 * Three brokers with many partitions of three replicas: how long a cluster takes to start on them, and what it costs while nobody
 * uses it. Every partition has a record, so that none is an empty file.
 */
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin, Producer } from '../../../src/client/index.ts'
import { readProcess, residentBytes } from '../../measure/processes.ts'
import { formatMiB, formatSeconds } from '../../measure/progress.ts'
import { PagelogCluster } from '../../targets/pagelog-cluster.ts'
import type { GoalContext } from '../goal.ts'

const BROKERS = 3
const PARTITIONS_PER_TOPIC = 100
const SETTLE_MS = 10_000
const IDLE_MS = 30_000
const LOOK_MS = 50
const START_MS_MAX = 10_000
const IDLE_SHARE_MAX = 0.03
const WAIT_MS_MAX = 300_000

interface Cost {
  readonly createMs: number
  readonly startMs: number
  /** From the call until every broker was registered; the rest is elections, opening, and followers that get in sync. */
  readonly registeredMs: number
  /** CPU seconds of each broker until then. */
  readonly startCpu: readonly number[]
  readonly idleShares: readonly number[]
  /** Of this process: the supervisor and the metadata that it serves. */
  readonly supervisorStartCpu: number
  readonly supervisorIdleShare: number
  readonly residentBytes: readonly number[]
  readonly openFiles: readonly number[]
}

export async function thousand(context: GoalContext): Promise<void> {
  const cost = await measure(context, 1000)
  const idle = Math.max(...cost.idleShares)
  context.report({
    id: 'thousand-partitions.start',
    pass: cost.startMs <= START_MS_MAX,
    measured: seconds(cost.startMs),
    goal: `≤ ${START_MS_MAX / 1000} s`,
    how: `1,000 partitions × 3 after an orderly stop, until all are led and in sync; ${startWords(cost)}`,
  })
  context.report({
    id: 'thousand-partitions.idle-cpu',
    pass: idle <= IDLE_SHARE_MAX,
    measured: `${percent(idle)} of a core`,
    goal: `≤ ${percent(IDLE_SHARE_MAX)} each`,
    how: `over ${IDLE_MS / 1000} s, the brokers ${cost.idleShares.map(percent).join(', ')}; ${sizeWords(cost)}`,
  })
}

export async function tenThousand(context: GoalContext): Promise<void> {
  const cost = await measure(context, 10_000)
  context.report({
    id: 'ten-thousand-partitions',
    pass: true,
    measured: `start ${seconds(cost.startMs)}, idle ${cost.idleShares.map(percent).join(', ')} of a core`,
    goal: 'measured',
    how: `10,000 partitions × 3, made in ${seconds(cost.createMs)}; ${startWords(cost)}; ${sizeWords(cost)}`,
  })
}

const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`
const percent = (share: number) => `${(share * 100).toFixed(1)} %`

function startWords({ registeredMs, startCpu, supervisorStartCpu }: Cost): string {
  const each = startCpu.map((one) => `${one.toFixed(1)} s`).join(', ')
  return `registered after ${seconds(registeredMs)}, CPU of each broker ${each}, of the supervisor ${supervisorStartCpu.toFixed(1)} s`
}

function sizeWords(cost: Cost): string {
  return `supervisor ${percent(cost.supervisorIdleShare)}; resident ${cost.residentBytes.map(formatMiB).join(', ')}, open files ${cost.openFiles.join(', ')}`
}

/** Exported for tests of small numbers. */
export async function measure(context: GoalContext, partitions: number, idleMs = IDLE_MS): Promise<Cost> {
  const { scratch, signal, progress } = context
  const options = {
    directory: scratch.directory('many'),
    brokers: BROKERS,
    onStart: (pid: number) => scratch.remember(pid),
    signal,
  }
  progress.begin(`${partitions} partitions · made`)
  let cluster = await PagelogCluster.start(options)
  try {
    const createMs = await fill(cluster.target.bootstrap, partitions, signal)
    progress.end(formatSeconds(createMs / 1000))
    await cluster.stop()
    progress.begin(`${partitions} partitions · started again`)
    const startedMs = performance.now()
    const ownCpu = ownCpuSeconds()
    cluster = await PagelogCluster.start(options)
    const registeredMs = performance.now() - startedMs
    await untilWhole(cluster.target.bootstrap, partitions, signal)
    const startMs = performance.now() - startedMs
    progress.end(formatSeconds(startMs / 1000))
    const { brokers } = cluster.target
    const supervisorStartCpu = ownCpuSeconds() - ownCpu
    const startCpu = brokers.map(({ pid }) => cpuOf(pid))
    await sleep(Math.min(SETTLE_MS, idleMs), undefined, { signal })
    const before = brokers.map(({ pid }) => cpuOf(pid))
    const ownBefore = ownCpuSeconds()
    const idleFromMs = performance.now()
    await sleep(idleMs, undefined, { signal })
    const idleSeconds = (performance.now() - idleFromMs) / 1000
    return {
      createMs,
      startMs,
      registeredMs,
      startCpu,
      supervisorStartCpu,
      supervisorIdleShare: (ownCpuSeconds() - ownBefore) / idleSeconds,
      idleShares: brokers.map(({ pid }, i) => (cpuOf(pid) - before[i]!) / idleSeconds),
      residentBytes: brokers.map(({ pid }) => residentBytes(pid) ?? Number.NaN),
      openFiles: brokers.map(({ pid }) => readdirSync(`/proc/${pid}/fd`).length),
    }
  } finally {
    await cluster.stop()
  }
}

function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function cpuOf(pid: number): number {
  return readProcess(pid)?.cpuSeconds ?? Number.NaN
}

function topicsOf(partitions: number): { topic: string; partitions: number; replicationFactor: number }[] {
  return Array.from({ length: Math.ceil(partitions / PARTITIONS_PER_TOPIC) }, (_, i) => ({
    topic: `many-${i}`,
    partitions: Math.min(PARTITIONS_PER_TOPIC, partitions - i * PARTITIONS_PER_TOPIC),
    replicationFactor: BROKERS,
  }))
}

/** Makes the topics and puts a record into every partition; milliseconds until all that was acknowledged by all. */
async function fill(bootstrap: string, partitions: number, signal: AbortSignal): Promise<number> {
  const startedMs = performance.now()
  const admin = new Admin({ bootstrap })
  const producer = new Producer({ bootstrap, deliveryTimeoutMs: WAIT_MS_MAX })
  try {
    for (const topic of topicsOf(partitions)) {
      signal.throwIfAborted()
      await admin.createTopics([topic])
      const value = new Uint8Array(100)
      const sends = Array.from({ length: topic.partitions }, (_, partition) =>
        producer.send({ topic: topic.topic, partition, value }),
      )
      await Promise.all(sends)
    }
  } finally {
    await Promise.all([admin.close(), producer.close()])
  }
  return performance.now() - startedMs
}

async function untilWhole(bootstrap: string, partitions: number, signal: AbortSignal): Promise<void> {
  const names = topicsOf(partitions).map(({ topic }) => topic)
  const admin = new Admin({ bootstrap })
  const end = performance.now() + WAIT_MS_MAX
  try {
    for (;;) {
      const all = (await admin.describeTopics(names)).flatMap((topic) => topic.partitions)
      const whole = all.filter(({ leaderId, isr }) => leaderId > 0 && isr.length === BROKERS).length
      if (whole === partitions) return
      if (performance.now() > end) throw new Error(`${whole} of ${partitions} partitions are led and in sync`)
      await sleep(LOOK_MS, undefined, { signal })
    }
  } finally {
    await admin.close()
  }
}
