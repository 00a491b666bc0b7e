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
import { NotReached, SLACK, type WatchedCluster } from './watched-cluster.ts'

export const PARTITIONS = 3
const PRODUCERS = 3
/** Of one producer: three of them send about 250 records a second. */
const SEND_EVERY_MS = 30
const SEND_LOOSE_EVERY_MS = 60
/** A broker that says nothing is given up after so long. */
const CLIENT: Partial<ProducerOptions> = { requestTimeoutMs: 4_000 }
const GAP_MS_MIN = 300
/** What is promised when nothing fails any more: until consumers have read all that is there. */
const SEEN_MS = 60_000
const FINAL = 'final'
const STRICT = 'load'
const LOOSE = 'loose'
const NAMES = Array.from({ length: PARTITIONS }, (_, partition) => `${STRICT}-${partition}`)

export interface Gap {
  readonly partition: string
  readonly fromMs: number
  readonly ms: number
}

/** Also knows for how long nothing was acknowledged. */
class TimedHistory extends History {
  readonly gaps: Gap[] = []
  readonly #lastMs = new Map<string, number>()

  override acked(send: Send, offset: number): void {
    super.acked(send, offset)
    const { partition } = send
    const nowMs = performance.now()
    const fromMs = this.#lastMs.get(partition) ?? nowMs
    if (nowMs - fromMs > GAP_MS_MIN) this.gaps.push({ partition, fromMs, ms: nowMs - fromMs })
    this.#lastMs.set(partition, nowMs)
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
  /** Waits until each partition, or each of these, has acknowledged something that was sent after this call. */
  writable(partitions?: readonly string[]): Promise<void>
  /** A new consumer reads every partition from its beginning to where it ends now. */
  readable(): Promise<void>
}

export interface Outcome {
  readonly violations: readonly Violation[]
  /** What clients were told by errors, those with acks=1 too. */
  readonly errors: readonly unknown[]
  readonly sent: number
  readonly acknowledged: number
  readonly gaps: readonly Gap[]
  /** The longest time until all replicas were in sync, and, at the end, until the consumers had read all. */
  readonly longestHealMs: number
  readonly seenMs: number
  /** Of the records that acks=1 acknowledged. */
  readonly looseAcknowledged: number
  readonly looseLost: number
  /** Where the history is written down, if there are violations. */
  readonly historyFile: string | undefined
}

export interface LoadedOptions {
  readonly seed: number
  /** Violations are expected: their history is not written down, and a cluster that does not heal is judged as it is. */
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
  const run = new LoadedRun(cluster, options)
  try {
    await run.begin()
    await run.tolerantly(async () => {
      await faults(run.torture)
      await cluster.whole()
      await run.torture.writable()
    })
    return await run.verdict()
  } finally {
    await run.close()
  }
}

class LoadedRun {
  readonly torture: Torture
  readonly #cluster: WatchedCluster
  readonly #options: LoadedOptions
  readonly #strict = new TimedHistory()
  readonly #loose = new TimedHistory()
  readonly #load: Load
  readonly #looseLoad: Load
  #readers = 0

  constructor(cluster: WatchedCluster, options: LoadedOptions) {
    this.#cluster = cluster
    this.#options = options
    const { bootstrap } = cluster
    const env = nodeEnv()
    const strict = this.#strict
    this.#load = new Load({ env, bootstrap, history: strict })
    this.#looseLoad = new Load({ env, bootstrap, history: this.#loose })
    this.torture = {
      random: new SeededRandom(options.seed),
      topic: STRICT,
      history: strict,
      gaps: strict.gaps,
      acknowledged: () => strict.acknowledged,
      writable: (partitions = NAMES) => writable(cluster, strict, partitions),
      readable: () => this.#readable(),
    }
  }

  async begin(): Promise<void> {
    const { topicConfigs } = this.#options
    await this.#cluster.createTopic(STRICT, PARTITIONS, topicConfigs)
    await this.#cluster.createTopic(LOOSE, 1, topicConfigs)
    const load = this.#load
    for (let at = 0; at < PRODUCERS; at++) load.produce(`p${at}`, STRICT, PARTITIONS, SEND_EVERY_MS, CLIENT)
    this.#looseLoad.produce(LOOSE, LOOSE, 1, SEND_LOOSE_EVERY_MS, { ...CLIENT, acks: 1 })
    for (let partition = 0; partition < PARTITIONS; partition++) load.consume(`c${partition}`, STRICT, partition)
    this.#looseLoad.consume('loose reader', LOOSE, 0)
    await this.torture.writable()
  }

  /** False: something was not reached. That is a failure, but of a control, which goes on to be judged as it is. */
  async tolerantly(work: () => Promise<void>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      if (this.#options.isControl !== true || !(error instanceof NotReached)) throw error
      console.log(error.message.split('\n')[0])
      return false
    }
  }

  async verdict(): Promise<Outcome> {
    const cluster = this.#cluster
    const [strict, loose, load, looseLoad] = [this.#strict, this.#loose, this.#load, this.#looseLoad]
    load.stopSending()
    looseLoad.stopSending()
    await this.tolerantly(async () => {
      await cluster.until('every send has ended', () => load.open + looseLoad.open === 0, 3 * cluster.healMs)
      await cluster.whole()
    })
    const ends = await endsOf(cluster, STRICT, PARTITIONS)
    const looseEnds = await endsOf(cluster, LOOSE, 1)
    const { stuck, seenMs } = await this.#seen(ends, looseEnds)
    const isRead = await this.tolerantly(async () => {
      await inTime(FINAL, readAll(load, FINAL, STRICT, ends))
      await inTime(FINAL, readAll(looseLoad, FINAL, LOOSE, looseEnds))
    })
    await this.close()
    await cluster.stop()
    const looseChecked = checkLoose(loose)
    const violations = [
      ...checkHistory(strict, { finalReader: FINAL }),
      ...looseChecked.violations,
      ...(await diverged(cluster, ends)),
      ...stuck,
      ...cluster.laws.violations,
    ].filter(({ verdict }) => isRead || verdict !== 'lost')
    const isKept = violations.length > 0 && this.#options.isControl !== true
    return {
      violations,
      errors: [...load.errors, ...looseLoad.errors],
      sent: strict.sends.length,
      acknowledged: strict.acknowledged,
      gaps: strict.gaps,
      longestHealMs: cluster.longestHealMs,
      seenMs,
      looseAcknowledged: loose.acknowledged,
      looseLost: looseChecked.lost,
      historyFile: isKept ? await keep(this.#options.seed, { strict, loose }) : undefined,
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#load.close(), this.#looseLoad.close()])
  }

  async #readable(): Promise<void> {
    const name = `reader ${this.#readers++}`
    await inTime(name, readAll(this.#load, name, STRICT, await endsOf(this.#cluster, STRICT, PARTITIONS)))
  }

  /** Who has been reading all the time, through every fault, comes to the end. */
  async #seen(...ends: readonly [Ends, Ends]): Promise<{ readonly stuck: Violation[]; readonly seenMs: number }> {
    const fromMs = performance.now()
    const limitMs = this.#options.isControl ? this.#cluster.healMs : SLACK * SEEN_MS
    for (;;) {
      const stuck = [...this.#load.behind(ends[0]), ...this.#looseLoad.behind(ends[1])]
      const seenMs = performance.now() - fromMs
      if (stuck.length === 0 || seenMs > limitMs) return { stuck, seenMs }
      await pause(20)
    }
  }
}

async function keep(seed: number, histories: Readonly<Record<string, History>>): Promise<string> {
  const path = join(tmpdir(), `pagelog-history-${seed}-${process.pid}.json`)
  await writeFile(path, JSON.stringify({ seed, ...histories }))
  return path
}

async function writable(cluster: WatchedCluster, history: TimedHistory, names: readonly string[]): Promise<void> {
  const from = history.sends.length
  const isDone = (name: string): boolean => {
    for (let at = history.sends.length - 1; at >= from; at--) {
      const { partition, outcome } = history.sends[at]!
      if (partition === name && outcome === 'acked') return true
    }
    return false
  }
  await cluster.until('every partition is writable', () => names.every(isDone))
}

/** Where partitions end, by name. */
type Ends = ReadonlyMap<string, number>

async function endsOf(cluster: WatchedCluster, topic: string, partitions: number): Promise<Ends> {
  const admin = new Admin({ bootstrap: cluster.bootstrap })
  try {
    const asked = Array.from({ length: partitions }, (_, partition) => ({ topic, partition, at: 'end' as const }))
    const told = await admin.listOffsets(asked)
    return new Map(told.map(({ partition, offset }) => [`${topic}-${partition}`, offset]))
  } finally {
    await admin.close()
  }
}

/** A new consumer of that name reads the partitions from their beginning to these ends. */
async function readAll(load: Load, name: string, topic: string, ends: Ends): Promise<void> {
  const reading = [...ends.values()].map((end, partition) =>
    load.readUntil(name, topic, partition, (nextOffset) => nextOffset >= end),
  )
  await Promise.all(reading)
}

/** A read that hangs is told by its name. */
async function inTime(reader: string, reading: Promise<void>): Promise<void> {
  const limitMs = SLACK * SEEN_MS
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new NotReached(`${reader} has read all that is there`, limitMs, '')), limitMs)
  })
  await Promise.race([reading, late]).finally(() => clearTimeout(timer))
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

async function diverged(cluster: WatchedCluster, ends: Ends): Promise<Violation[]> {
  const all = [...ends].map(async ([name, end]) => checkReplicas(name, await cluster.stored(name), end))
  return (await Promise.all(all)).flat()
}
