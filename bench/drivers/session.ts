/** What every run of a test is given: where to, with which settings, whom to tell; and what all runs share. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin } from '../../src/client/index.ts'
import { ProcessWatch } from '../measure/processes.ts'
import type { BenchSettings, ProcessResult } from '../result.ts'
import type { Target } from '../targets/target.ts'
import type { Checksum } from './payloads.ts'

/** Beside what a phase is given: a JVM's start, the filling of a topic, reading back. */
const STEP_SECONDS_MAX = 60

export interface Session {
  readonly target: Target
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
    await admin.createTopics([{ topic, partitions, replicationFactor: 1 }])
  } finally {
    await admin.close()
  }
}

export async function deleteTopic(session: Session, topic: string): Promise<void> {
  const admin = new Admin({ bootstrap: session.target.bootstrap })
  try {
    await admin.deleteTopics([topic])
  } finally {
    await admin.close()
  }
}

/** Bytes of the segments of a topic as the file system has them. */
export function storedBytes(dataDirectory: string, topic: string): number {
  let bytes = 0
  for (const name of readdirSync(dataDirectory)) {
    if (!name.startsWith(`${topic}-`)) continue
    for (const file of readdirSync(join(dataDirectory, name))) {
      if (file.endsWith('.log')) bytes += statSync(join(dataDirectory, name, file)).size
    }
  }
  return bytes
}

/** CPU and memory of the broker and its drivers during the measured phase. */
export class RunWatch {
  readonly #session: Session
  readonly #watches = new Map<string, ProcessWatch>()

  constructor(session: Session, drivers: readonly { role: string; pid: number }[]) {
    this.#session = session
    this.#watches.set('broker', new ProcessWatch(session.target.pid))
    for (const { role, pid } of drivers) this.#watches.set(role, new ProcessWatch(pid))
  }

  async start(): Promise<void> {
    await this.#session.target.resetMetrics()
    for (const watch of this.#watches.values()) watch.start()
  }

  async stop(): Promise<ProcessResult[]> {
    const results: ProcessResult[] = []
    for (const [role, watch] of this.#watches) results.push({ role, ...watch.stop(), eventLoopDelayMs: null })
    const loopDelay = await this.#session.target.loopDelay()
    if (loopDelay !== undefined) results[0] = { ...results[0]!, eventLoopDelayMs: loopDelay }
    return results
  }
}

/**
 * Rejects with the abort's reason, when the broker dies, or when a step takes far longer than a phase may: every wait of
 * a run is raced against it, so that nothing that hangs can hang the run.
 */
export async function guard<Value>(session: Session, promise: Promise<Value>): Promise<Value> {
  const { signal, settings, target } = session
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
