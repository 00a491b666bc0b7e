/** What every run of a test is given: where to, with which settings, whom to tell; and what all runs share. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin } from '../../src/client/index.ts'
import { estimatedBytesPerRecord } from '../limits/limits.ts'
import { loopbackBytes, runIo } from '../measure/io.ts'
import { ProcessWatch } from '../measure/processes.ts'
import { replicaSizes, untilEqual } from '../measure/replicas.ts'
import type { PreparedClient } from '../peers/other-clients.ts'
import type { BenchSettings, ProcessResult, ReplicationResult, RunIo } from '../result.ts'
import type { AnyTarget } from '../targets/target.ts'
import type { Checksum } from './payloads.ts'

/** Beside what a phase is given: a JVM's start, the filling of a topic, reading back. */
const STEP_SECONDS_MAX = 60
/** Replicas that are not equal by then never will be. */
const EQUAL_MS_MAX = 60_000
const GONE_LOOK_MS = 50
const GONE_LOOKS_MAX = 200

export interface Session {
  readonly target: AnyTarget
  /** Drives the test instead of ours. */
  readonly client?: PreparedClient
  /** Of every topic that is made. */
  readonly replicationFactor: number
  readonly settings: BenchSettings
  readonly signal: AbortSignal
  /** Records so far in the phase that runs. */
  readonly onProgress: (phase: 'fill' | 'warm-up' | 'measure' | 'drain', records: number) => void
}

/** What a single-consumer test reads: filled once for a target. */
export interface StoredTopic {
  readonly topic: string
  readonly checksum: Checksum
}

export async function createTopic(session: Session, topic: string, partitions: number): Promise<void> {
  const admin = new Admin({ bootstrap: session.target.bootstrap })
  try {
    await guard(session, admin.createTopics([{ topic, partitions, replicationFactor: session.replicationFactor }]))
    session.target.topics?.add(topic)
  } finally {
    await admin.close()
  }
}

/** A topic for as long as `work` takes: what a run has stored is gone when it ends, also when it fails. */
export async function withTopic<Value>(
  session: Session,
  { topic, partitions }: { readonly topic: string; readonly partitions: number },
  work: () => Promise<Value>,
): Promise<Value> {
  await createTopic(session, topic, partitions)
  let value: Value
  try {
    value = await work()
  } catch (error) {
    // After an abort the brokers end, and their data with them.
    if (!session.signal.aborted) await deleteTopic(session, topic).catch(() => {})
    throw error
  }
  await deleteTopic(session, topic)
  return value
}

export async function deleteTopic(session: Session, topic: string): Promise<void> {
  const admin = new Admin({ bootstrap: session.target.bootstrap })
  try {
    await guard(session, admin.deleteTopics([topic]))
    session.target.topics?.delete(topic)
  } finally {
    await admin.close()
  }
  await untilGone(session, topic)
}

/** Brokers remove files after they have answered; what is still there would be written back on the next run's bill. */
async function untilGone({ target, signal }: Session, topic: string): Promise<void> {
  const has = ({ dataDirectory }: { dataDirectory: string }) =>
    readdirSync(dataDirectory).some((name) => name.startsWith(`${topic}-`) || name.startsWith(`${topic}.`))
  for (let looks = 0; looks < GONE_LOOKS_MAX && target.brokers.some(has); looks++) {
    await sleep(GONE_LOOK_MS, undefined, { signal })
  }
}

/** Bytes of the segments of a topic as the file system has them; NaN where the brokers are elsewhere. */
export function storedBytes(dataDirectory: string | null, topic: string): number {
  if (dataDirectory === null) return Number.NaN
  let bytes = 0
  for (const name of readdirSync(dataDirectory)) {
    if (!name.startsWith(`${topic}-`)) continue
    for (const file of readdirSync(join(dataDirectory, name))) {
      if (file.endsWith('.log')) bytes += statSync(join(dataDirectory, name, file)).size
    }
  }
  return bytes
}

/** Looks at the replicas of a topic when the measured phase ends; nothing where there is one replica. */
export class FollowerWatch {
  readonly #session: Session
  readonly #topic: string
  #lagBytes = 0
  #equalAfterMs: Promise<number> | undefined

  constructor(session: Session, topic: string) {
    this.#session = session
    this.#topic = topic
  }

  get #directories(): string[] {
    return this.#session.target.brokers.map(({ dataDirectory }) => dataDirectory)
  }

  get #isReplicated(): boolean {
    return this.#session.replicationFactor > 1 && this.#session.target.brokers.length > 0
  }

  /** The measured phase is over. */
  end(): void {
    if (this.#isReplicated) this.#lagBytes = replicaSizes(this.#directories, this.#topic).lagBytes
  }

  /** Nothing is sent any more. The time until all are equal counts from here. */
  quiet(): void {
    if (!this.#isReplicated) return
    this.#equalAfterMs = untilEqual(this.#directories, this.#topic, EQUAL_MS_MAX, this.#session.signal)
    this.#equalAfterMs.catch(() => {})
  }

  /** Rejects when the replicas do not become equal. */
  async result(): Promise<ReplicationResult | null> {
    if (this.#equalAfterMs === undefined) return null
    const { valueBytes, batchBytes } = this.#session.settings
    const equalAfterMs = Math.round((await this.#equalAfterMs) * 10) / 10
    const lagRecords = Math.round(this.#lagBytes / estimatedBytesPerRecord(valueBytes, batchBytes))
    return { lagBytes: this.#lagBytes, lagRecords, equalAfterMs }
  }
}

/** CPU, memory and traffic of the brokers and their drivers during the measured phase. */
export class RunWatch {
  readonly #session: Session
  readonly #watches = new Map<string, ProcessWatch>()
  #loopbackAt: number | undefined
  #loopback: number | undefined
  #brokers: readonly ProcessResult[] = []

  constructor(session: Session, drivers: readonly { role: string; pid: number }[]) {
    this.#session = session
    const { brokers } = session.target
    for (const [i, { pid }] of brokers.entries()) {
      this.#watches.set(brokers.length === 1 ? 'broker' : `broker ${i + 1}`, new ProcessWatch(pid))
    }
    for (const { role, pid } of drivers) this.#watches.set(role, new ProcessWatch(pid))
  }

  async start(): Promise<void> {
    await this.#session.target.resetMetrics()
    for (const watch of this.#watches.values()) watch.start()
    this.#loopbackAt = loopbackBytes()
  }

  async stop(): Promise<ProcessResult[]> {
    const results: ProcessResult[] = []
    const loopback = loopbackBytes()
    if (loopback !== undefined && this.#loopbackAt !== undefined) this.#loopback = loopback - this.#loopbackAt
    for (const [role, watch] of this.#watches) results.push({ role, ...watch.stop(), eventLoopDelayMs: null })
    // The brokers come first.
    this.#brokers = results.slice(0, this.#session.target.brokers.length)
    for (const [i, loopDelay] of (await this.#session.target.loopDelays()).entries()) {
      if (loopDelay !== undefined) results[i] = { ...results[i]!, eventLoopDelayMs: loopDelay }
    }
    return results
  }

  /**
   * From the start to the last stop. Of the records that were produced meanwhile every follower is sent each, of those consumed
   * a consumer is.
   */
  io(bytesPerRecord: number, { produced = 0, consumed = 0 }: { produced?: number; consumed?: number }): RunIo | null {
    const served = bytesPerRecord * (produced * (this.#session.replicationFactor - 1) + consumed)
    return runIo(this.#brokers, this.#loopback, served === 0 ? null : served)
  }
}

/**
 * Rejects with the abort's reason, when the broker dies, or when a step takes far longer than a phase may: every wait of
 * a run is raced against it, so that nothing that hangs can hang the run.
 */
export async function guard<Value>(session: Session, promise: Promise<Value>): Promise<Value> {
  const { signal, settings, target } = session
  // After an abort nobody waits for it any more, and what it waits for is ended.
  promise.catch(() => {})
  signal.throwIfAborted()
  const seconds = STEP_SECONDS_MAX + settings.warmUpSeconds + settings.seconds * 3
  const over = new AbortController()
  const timeUp = sleep(seconds * 1000, undefined, { signal: AbortSignal.any([signal, over.signal]) }).then(
    () => {
      throw new Error(`nothing happened for ${seconds} s`)
    },
    () => {
      throw signal.reason ?? new Error('over')
    },
  )
  timeUp.catch(() => {})
  try {
    return await Promise.race([promise, target.failure, timeUp])
  } finally {
    over.abort()
  }
}
