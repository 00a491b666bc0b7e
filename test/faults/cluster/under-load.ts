/**
 * A load of unique values at a paced rate, faults that somebody injects meanwhile, and afterwards the check of all that
 * clients were told: nothing lost, doubled, out of order, made up, or different between replicas.
 *
 * Two topics: one written with acks=all by idempotent producers, where nothing may be lost, and one with acks=1, where
 * only what no consumer has seen may be.
 */
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Admin, type ProducerOptions } from '../../../src/client/index.ts'
import { nodeEnv } from '../../../src/env/index.ts'
import { SeededRandom } from '../../../src/env/simulated/index.ts'
import {
  type CheckOptions,
  checkHistory,
  checkReplicas,
  History,
  type Send,
  type Violation,
} from '../../simulation/history.ts'
import { Load } from '../../simulation/load.ts'
import type { WatchedCluster } from './watched-cluster.ts'

export const PARTITIONS = 3
const PRODUCERS = 3
/** Of one producer: three of them send about 250 records a second. */
const SEND_EVERY_MS = 30
const SEND_LOOSE_EVERY_MS = 60
/** A broker that says nothing is given up after so long. */
const CLIENT: Partial<ProducerOptions> = { requestTimeoutMs: 4_000 }
const GAP_MS_MIN = 300
const FINAL = 'final'
const STRICT = 'load'
const LOOSE = 'loose'

export interface Gap {
  readonly partition: string
  readonly fromMs: number
  readonly ms: number
}

/** Also knows for how long nothing was acknowledged. */
class TimedHistory extends History {
  readonly gaps: Gap[] = []
  readonly counts = new Map<string, number>()
  readonly #lastMs = new Map<string, number>()

  override acked(send: Send, offset: number): void {
    super.acked(send, offset)
    const { partition } = send
    const nowMs = performance.now()
    const fromMs = this.#lastMs.get(partition) ?? nowMs
    if (nowMs - fromMs > GAP_MS_MIN) this.gaps.push({ partition, fromMs, ms: nowMs - fromMs })
    this.#lastMs.set(partition, nowMs)
    this.counts.set(partition, (this.counts.get(partition) ?? 0) + 1)
  }
}

export interface Torture {
  readonly random: SeededRandom
  readonly topic: string
  /** Of the topic; what is sent beside the load is told to it too. */
  readonly history: History
  /** Acknowledged so far, acks=all. */
  acknowledged(): number
  readonly gaps: readonly Gap[]
  /** Waits until each partition has acknowledged something that was sent after this call. */
  writable(limitMs?: number): Promise<void>
}

export interface Outcome {
  readonly violations: readonly Violation[]
  /** What clients were told by errors. */
  readonly errors: readonly unknown[]
  readonly sent: number
  readonly acknowledged: number
  readonly gaps: readonly Gap[]
  /** Of the records that acks=1 acknowledged. */
  readonly looseAcknowledged: number
  readonly looseLost: number
  /** Where the history is written down, if there are violations. */
  readonly historyFile: string | undefined
}

export interface LoadedOptions {
  readonly seed: number
  /** Violations are expected: their history is not written down. */
  readonly isControl?: boolean
  readonly topicConfigs?: Readonly<Record<string, string>>
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** The brokers are stopped when it resolves. */
export async function underLoad(
  cluster: WatchedCluster,
  options: LoadedOptions,
  faults: (torture: Torture) => Promise<void>,
): Promise<Outcome> {
  const { bootstrap } = cluster
  const env = nodeEnv()
  const strict = new TimedHistory()
  const loose = new TimedHistory()
  const load = new Load({ env, bootstrap, history: strict })
  const looseLoad = new Load({ env, bootstrap, history: loose })
  await cluster.createTopic(STRICT, PARTITIONS, options.topicConfigs)
  await cluster.createTopic(LOOSE, 1, options.topicConfigs)
  try {
    for (let at = 0; at < PRODUCERS; at++) load.produce(`p${at}`, STRICT, PARTITIONS, SEND_EVERY_MS, CLIENT)
    looseLoad.produce(LOOSE, LOOSE, 1, SEND_LOOSE_EVERY_MS, { ...CLIENT, acks: 1 })
    for (let partition = 0; partition < PARTITIONS; partition++) load.consume(`c${partition}`, STRICT, partition)
    looseLoad.consume('loose reader', LOOSE, 0)
    const torture: Torture = {
      random: new SeededRandom(options.seed),
      topic: STRICT,
      history: strict,
      gaps: strict.gaps,
      acknowledged: () => strict.acknowledged,
      writable: (limitMs) => writable(cluster, strict, limitMs),
    }
    await torture.writable()
    await faults(torture)
    await cluster.whole()
    await torture.writable()
    load.stopSending()
    looseLoad.stopSending()
    await cluster.until('every send has ended', () => load.open + looseLoad.open === 0, 3 * cluster.healMs)
    await cluster.whole()
    const ends = await readAll(cluster, load, STRICT, PARTITIONS)
    await readAll(cluster, looseLoad, LOOSE, 1)
    await load.close()
    await looseLoad.close()
    await cluster.stop()
    const looseChecked = checkLoose(loose)
    const violations = [
      ...checkHistory(strict, { finalReader: FINAL }),
      ...looseChecked.violations,
      ...(await diverged(cluster, ends)),
    ]
    return {
      violations,
      errors: load.errors,
      sent: strict.sends.length,
      acknowledged: strict.acknowledged,
      gaps: strict.gaps,
      looseAcknowledged: loose.acknowledged,
      looseLost: looseChecked.lost,
      historyFile:
        violations.length === 0 || options.isControl ? undefined : await keep(options.seed, { strict, loose }),
    }
  } finally {
    await load.close()
    await looseLoad.close()
  }
}

async function keep(seed: number, histories: Readonly<Record<string, History>>): Promise<string> {
  const path = join(tmpdir(), `pagelog-history-${seed}-${process.pid}.json`)
  await writeFile(path, JSON.stringify({ seed, ...histories }))
  return path
}

async function writable(
  cluster: WatchedCluster,
  history: TimedHistory,
  limitMs: number = cluster.healMs,
): Promise<void> {
  const names = Array.from({ length: PARTITIONS }, (_, partition) => `${STRICT}-${partition}`)
  const from = history.sends.length
  const isDone = (name: string): boolean => {
    for (let at = history.sends.length - 1; at >= from; at--) {
      const { partition, outcome } = history.sends[at]!
      if (partition === name && outcome === 'acked') return true
    }
    return false
  }
  await cluster.until('every partition is writable', () => names.every(isDone), limitMs)
}

/** Reads every partition to its end; where that was, by partition. */
async function readAll(
  cluster: WatchedCluster,
  load: Load,
  topic: string,
  partitions: number,
): Promise<ReadonlyMap<string, number>> {
  const admin = new Admin({ bootstrap: cluster.bootstrap })
  const ends = new Map<string, number>()
  try {
    for (let partition = 0; partition < partitions; partition++) {
      const [end] = await admin.listOffsets([{ topic, partition, at: 'end' }])
      const { offset } = end!
      ends.set(`${topic}-${partition}`, offset)
      await load.readUntil(FINAL, topic, partition, (nextOffset) => nextOffset >= offset)
    }
  } finally {
    await admin.close()
  }
  return ends
}

/**
 * acks=1: what is not there at the end may be lost if no consumer has read it; all the rest is checked as if that had
 * never been acknowledged.
 */
export function checkLoose(history: History): { readonly lost: number; readonly violations: Violation[] } {
  const found = new Set<string>()
  for (const { reads } of history.readings) for (const { value } of reads) found.add(value)
  const kept = new History()
  let lost = 0
  // Told of offsets in the past tense only: an offset that was lost is used again.
  for (const send of history.sends) {
    const copy = kept.send(send.producer, send.partition, send.value)
    if (send.outcome !== 'acked') copy.outcome = send.outcome
    else if (found.has(send.value)) Object.assign(copy, { outcome: 'acked', offset: send.offset })
    else lost++
  }
  kept.readings.push(...history.readings)
  const options: CheckOptions = { finalReader: FINAL, mayRepeat: new Set([LOOSE]) }
  // A batch that was sent again has two places; it was told of one.
  return { lost, violations: checkHistory(kept, options) }
}

async function diverged(cluster: WatchedCluster, ends: ReadonlyMap<string, number>): Promise<Violation[]> {
  const all = [...ends].map(async ([name, end]) => checkReplicas(name, await cluster.stored(name), end))
  return (await Promise.all(all)).flat()
}
