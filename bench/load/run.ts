/**
 * One run of a load against a broker: processes set up, warm-up, measured phase, drain, verification. Whatever the broker
 * does, it ends in a bounded time, with what there is by then and the reason.
 */
import { Admin } from '../../src/client/index.ts'
import { LatencyRecorder, type LatencySummary } from '../measure/latency.ts'
import { ProcessWatch } from '../measure/processes.ts'
import type { Placement } from '../netns/placement.ts'
import type { LoopDelay, ProcessResult, SeriesPoint } from '../result.ts'
import { partOf } from './arrivals.ts'
import { LoadDriver } from './driver-process.ts'
import { mergeIntervals } from './intervals.ts'
import type { LoadConsumerResult, LoadProducerResult, LoadProducerSpec } from './protocol.ts'
import type { LoadRun, LoadSettings } from './result.ts'
import { describeVerification, isSound } from './verification.ts'

/** Beside what a step is given: starting processes on a busy machine, encoding results. */
const STEP_SECONDS = 20
const ADMIN_SECONDS = 15

export interface LoadTarget {
  readonly bootstrap: string
  /** To be watched; undefined where it is not ours. */
  readonly pid?: number
  /** Rejects when the broker dies. */
  readonly failure?: Promise<never>
}

export interface LoadRunOptions {
  readonly settings: LoadSettings
  readonly target: LoadTarget
  readonly placement: Placement
  readonly signal: AbortSignal
  readonly onProgress?: (records: number) => void
}

let topics = 0

/** Never rejects: what went wrong is in the run's `error`. */
export async function runLoad(options: LoadRunOptions): Promise<LoadRun> {
  const { settings, target, signal } = options
  const topic = settings.topic ?? `bench-load-${process.pid}-${topics++}`
  const run = new Running(options, topic)
  try {
    if (settings.topic === null) await run.guard(createTopic(target.bootstrap, topic, settings), STEP_SECONDS, 'topic')
    await run.all()
  } catch (error) {
    run.fail(error)
  }
  await run.end()
  if (settings.topic === null && !signal.aborted) {
    await run.guard(deleteTopic(target.bootstrap, topic), STEP_SECONDS, 'topic').catch(() => {})
  }
  return run.result()
}

async function createTopic(bootstrap: string, topic: string, settings: LoadSettings): Promise<void> {
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics([{ topic, partitions: settings.partitions, replicationFactor: settings.replication }]),
  )
}

async function deleteTopic(bootstrap: string, topic: string): Promise<void> {
  await withAdmin(bootstrap, (admin) => admin.deleteTopics([topic]))
}

async function withAdmin(bootstrap: string, work: (admin: Admin) => Promise<unknown>): Promise<void> {
  const timeoutMs = ADMIN_SECONDS * 1000
  const admin = new Admin({
    bootstrap,
    requestTimeoutMs: timeoutMs,
    connectTimeoutMs: timeoutMs,
    defaultApiTimeoutMs: timeoutMs,
  })
  try {
    await work(admin)
  } finally {
    void admin.close().catch(() => {})
  }
}

class Running {
  readonly #options: LoadRunOptions
  readonly #topic: string
  readonly #producers: LoadDriver<LoadProducerResult>[] = []
  readonly #produced: LoadProducerResult[] = []
  readonly #loops = new Map<string, LoopDelay | null>()
  #consumer: LoadDriver<LoadConsumerResult> | undefined
  #consumed: LoadConsumerResult | undefined
  #processes: ProcessResult[] = []
  #error: string | null = null

  constructor(options: LoadRunOptions, topic: string) {
    this.#options = options
    this.#topic = topic
  }

  async all(): Promise<void> {
    const { settings, signal } = this.#options
    const { drainSeconds } = settings
    this.#startDrivers()
    const drivers = [...this.#producers, ...(this.#consumer === undefined ? [] : [this.#consumer])]
    const stop = () => this.#tellAll('stop')
    signal.addEventListener('abort', stop, { once: true })
    try {
      await this.guard(Promise.all(drivers.map(({ ready }) => ready)), drainSeconds + STEP_SECONDS, 'getting ready')
      for (const driver of drivers) driver.tell({ type: 'start' })
      const warmSeconds = settings.warmUpSeconds + drainSeconds + STEP_SECONDS
      const measuring = Promise.all(this.#producers.map((one) => Promise.race([one.measuring, one.result])))
      await this.guard(measuring, warmSeconds, 'the warm-up')
      this.#consumer?.tell({ type: 'measure' })
      const stopWatch = this.#watch()
      const seconds = settings.seconds + 2 * drainSeconds + STEP_SECONDS
      await this.guard(Promise.all(this.#producers.map((one) => this.#resultOf(one))), seconds, 'the measured phase')
      this.#processes = stopWatch()
      await this.#verify()
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }

  /** Rejects when a step takes longer than it may or the broker dies; an abort lets the drivers say what they have. */
  async guard<Value>(promise: Promise<Value>, seconds: number, what: string): Promise<Value> {
    const { target, signal } = this.#options
    let timer: NodeJS.Timeout | undefined
    let grace: NodeJS.Timeout | undefined
    let onAbort = () => {}
    const timeUp = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no end of ${what} within ${Math.round(seconds)} s`)), seconds * 1000)
      onAbort = () => {
        grace = setTimeout(() => reject(new Error('interrupted')), 3_000)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
    })
    promise.catch(() => {})
    try {
      return await Promise.race([promise, timeUp, ...(target.failure === undefined ? [] : [target.failure])])
    } finally {
      clearTimeout(timer)
      clearTimeout(grace)
      signal.removeEventListener('abort', onAbort)
    }
  }

  fail(error: unknown): void {
    this.#error ??= error instanceof Error ? error.message : String(error)
  }

  async end(): Promise<void> {
    await Promise.all(
      [...this.#producers, ...(this.#consumer === undefined ? [] : [this.#consumer])].map((one) => one.end()),
    )
  }

  #startDrivers(): void {
    const { settings, target, placement, onProgress } = this.#options
    const counts = new Array<number>(settings.producers).fill(0)
    const { bootstrap } = target
    const topic = this.#topic
    for (let producer = 0; producer < settings.producers; producer++) {
      const role = settings.producers === 1 ? 'producer' : `producer ${producer + 1}`
      const driver = new LoadDriver<LoadProducerResult>(
        role,
        specOf(settings, bootstrap, topic, producer),
        placement.client(producer),
        (records) => {
          counts[producer] = records
          onProgress?.(counts.reduce((sum, count) => sum + count, 0))
        },
      )
      this.#producers.push(driver)
    }
    if (!settings.verify) return
    const { partitions, drainSeconds } = settings
    const spec = { kind: 'consumer', bootstrap, topic, partitions, drainSeconds } as const
    this.#consumer = new LoadDriver<LoadConsumerResult>('consumer', spec, placement.client(settings.producers))
  }

  async #resultOf(driver: LoadDriver<LoadProducerResult>): Promise<void> {
    const result = await driver.result
    this.#produced.push(result)
    this.#loops.set(driver.role, result.loopDelay)
    if (result.failed > 0 && result.lastError !== null)
      this.#error ??= `${result.failed} records failed: ${result.lastError}`
    else if (result.unfinished > 0) {
      const why = result.lastError === null ? '' : `; the last the client heard: ${result.lastError}`
      this.#error ??= `${result.unfinished} records had no answer when the run was over${why}`
    }
  }

  async #verify(): Promise<void> {
    const consumer = this.#consumer
    if (consumer === undefined) return
    const acknowledged = this.#produced.reduce((sum, one) => sum + one.allAcknowledged, 0)
    consumer.tell({ type: 'finish', sent: this.#produced.map(({ all }) => all), acknowledged })
    // As long as records come it reads on; a minute for those of one that is far behind.
    const seconds = this.#options.settings.drainSeconds + STEP_SECONDS + 60
    const consumed = await this.guard(consumer.result, seconds, 'the reading back')
    this.#consumed = consumed
    this.#loops.set(consumer.role, consumed.loopDelay)
    if (!isSound(consumed.verification)) this.#error ??= describeVerification(consumed.verification)
  }

  #tellAll(type: 'stop'): void {
    for (const driver of this.#producers) driver.tell({ type })
    this.#consumer?.tell({ type })
  }

  /** CPU and memory from now on; the function ends it. */
  #watch(): () => ProcessResult[] {
    const { target } = this.#options
    const watched = [
      ...(target.pid === undefined ? [] : [{ role: 'broker', pid: target.pid }]),
      ...this.#producers,
      ...(this.#consumer === undefined ? [] : [this.#consumer]),
    ].map(({ role, pid }) => ({ role, watch: new ProcessWatch(pid) }))
    for (const { watch } of watched) watch.start()
    return () => watched.map(({ role, watch }) => ({ role, ...watch.stop(), eventLoopDelayMs: null }))
  }

  result(): LoadRun {
    const parts = this.#produced
    const sum = (of: (part: LoadProducerResult) => number) => parts.reduce((total, part) => total + of(part), 0)
    const recordsPerSecond = sum((part) => part.acknowledged / part.seconds)
    return {
      intended: sum((part) => part.intended),
      sent: sum((part) => part.sent),
      acknowledged: sum((part) => part.acknowledged),
      failed: sum((part) => part.failed),
      unfinished: sum((part) => part.unfinished),
      seconds: Math.max(0, ...parts.map((part) => part.seconds)),
      recordsPerSecond,
      mebibytesPerSecond: sum((part) => (part.acknowledged / part.seconds) * part.bytesPerValue) / 1048576,
      latencyMs: merged(parts.map((part) => part.latency)),
      serviceTimeMs: merged(parts.map((part) => part.service)),
      latenessMs: merged(parts.map((part) => part.lateness)),
      endToEndMs: this.#consumed === undefined ? null : merged([this.#consumed.endToEnd]),
      overhead: parts[0]?.overhead ?? null,
      verification: this.#consumed?.verification ?? null,
      series: addSeries(parts.map((part) => part.series)),
      intervals: mergeIntervals(parts.map((part) => part.intervals)),
      processes: this.#processes.map((one) => ({ ...one, eventLoopDelayMs: this.#loops.get(one.role) ?? null })),
      retries: sum((part) => part.retries),
      error: this.#options.signal.aborted ? 'interrupted' : this.#error,
    }
  }
}

function specOf(settings: LoadSettings, bootstrap: string, topic: string, producer: number): LoadProducerSpec {
  const { tuning, values, poolBytes, keys, seed, warmUpSeconds, seconds, arrivals, pacing, drainSeconds } = settings
  return {
    kind: 'producer',
    ...{
      bootstrap,
      topic,
      producer,
      tuning,
      values,
      poolBytes,
      keys,
      seed,
      warmUpSeconds,
      seconds,
      pacing,
      drainSeconds,
    },
    arrivals: arrivals === null ? null : partOf(arrivals, warmUpSeconds, settings.producers, producer),
    stamped: settings.verify,
  }
}

function merged(parts: readonly string[]): LatencySummary | null {
  const all = new LatencyRecorder()
  for (const part of parts) if (part !== '') all.merge(part)
  return all.summary() ?? null
}

/** Of producers that began together: point by point. */
function addSeries(parts: readonly (readonly SeriesPoint[])[]): SeriesPoint[] {
  const shortest = Math.min(...parts.map((part) => part.length))
  if (parts.length === 0) return []
  return parts[0]!.slice(0, shortest).map((point, index) => ({
    atSeconds: point.atSeconds,
    recordsPerSecond: parts.reduce((total, part) => total + part[index]!.recordsPerSecond, 0),
  }))
}
