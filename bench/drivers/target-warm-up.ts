/**
 * A target is driven until it is steady before anything of it is measured: three fresh brokers of Apache Kafka on two cores need more than two
 * minutes under load until their compilers are done, and serve three times as much then. The rule is the same for every broker; ours is
 * steady sooner. The load is our client: a JVM's compilers would compete with those of the brokers for the cores.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { estimatedBytesPerRecord } from '../limits/limits.ts'
import { CompilerWatch } from '../measure/compilers.ts'
import { isSteady, isWarmJvm } from '../measure/steadiness.ts'
import type { TestId, WarmUpResult } from '../result.ts'
import { DriverProcess } from './driver-process.ts'
import { consumerSpec, endToEndSpec, newTopic, producerSpec } from './pagelog-runs.ts'
import type { DriverSpec } from './protocol.ts'
import { guard, type Session, type StoredTopic, withTopic } from './session.ts'

export interface WarmUpBounds {
  /** A rate is taken over so long: shorter ones are torn by a JVM's collections and by write-back. */
  readonly intervalSeconds: number
  /** At least so long, and for each kind of load: nothing can be told of fewer than four intervals. */
  readonly leastSeconds: number
  /** At most so long in all: three brokers of Apache Kafka on two cores took 100 to 150 s. */
  readonly mostSeconds: number
}

export const WARM_UP: WarmUpBounds = { intervalSeconds: 5, leastSeconds: 20, mostSeconds: 180 }
/** For orientation: both brokers of a test together within half a minute. A JVM is not warm by then, and the result says so. */
export const QUICK_WARM_UP: WarmUpBounds = { intervalSeconds: 2, leastSeconds: 8, mostSeconds: 20 }

/** Of the bound, where one kind of load comes before the test's own, which needs a minute itself to be told steady. */
const FIRST_SHARE = 0.55
/** A load's own start does not count. */
const LEAD_IN_MS = 1_500
/** What a load stores on all brokers before it begins anew on a fresh topic: a disk and the page cache have other uses. */
const ROUND_BYTES_MAX = 3 * 1024 ** 3
const FOREVER_SECONDS = 3600

/** Producing; producing and fetching; fetching what is stored; one record at a time. */
type Load = 'produce' | 'both' | 'read' | 'end-to-end'

/** What a test measures, and before that what gets a broker there fast. */
export function loadsOf(test: TestId): readonly Load[] {
  if (test.startsWith('end-to-end')) return ['both', 'end-to-end']
  if (test.startsWith('producer-and-consumer')) return ['both']
  return test.endsWith('consumer') || test.endsWith('consumers') ? ['both', 'read'] : ['produce']
}

/** How long it has been warmed so far, and the rate of the last interval. */
export type OnWarmUp = (seconds: number, recordsPerSecond: number) => void

export type Warmed = Pick<WarmUpResult, 'seconds' | 'steady' | 'recordsPerSecond'>

/** Drives the target with each of the test's loads until the rate stops rising. The topics are gone when it is over. */
export async function warmTarget(
  session: Session,
  test: TestId,
  stored: StoredTopic | undefined,
  bounds: WarmUpBounds,
  onWarmUp: OnWarmUp = () => {},
): Promise<Warmed> {
  const loads = loadsOf(test)
  let warmed: Warmed = { seconds: 0, steady: false, recordsPerSecond: 0 }
  for (const [i, load] of loads.entries()) {
    const most = i === loads.length - 1 ? bounds.mostSeconds - warmed.seconds : bounds.mostSeconds * FIRST_SHARE
    const { seconds } = warmed
    const onInterval: OnWarmUp = (more, recordsPerSecond) => onWarmUp(seconds + more, recordsPerSecond)
    const one = await new WarmUp(session, load, stored, bounds, onInterval).run(most)
    // The last one is what will be measured.
    warmed = { ...one, seconds: Math.round(warmed.seconds + one.seconds) }
  }
  return warmed
}

/** What was seen of a load: records, and when they were told. */
interface Reading {
  readonly records: number
  readonly atMs: number
}

class WarmUp {
  readonly #session: Session
  readonly #load: Load
  readonly #stored: StoredTopic | undefined
  readonly #bounds: WarmUpBounds
  readonly #onInterval: OnWarmUp
  readonly #rates: number[] = []
  /** Compilers' of the target's CPU, where it has any. */
  readonly #shares: number[] = []
  #seconds = 0

  constructor(
    session: Session,
    load: Load,
    stored: StoredTopic | undefined,
    bounds: WarmUpBounds,
    onInterval: OnWarmUp,
  ) {
    this.#session = session
    this.#load = load
    this.#stored = stored
    this.#bounds = bounds
    this.#onInterval = onInterval
  }

  async run(mostSeconds: number): Promise<Warmed> {
    const most = Math.max(mostSeconds, this.#bounds.leastSeconds)
    while (!this.#isOver(most)) await this.#round(most)
    const last = this.#rates.slice(-3)
    const recordsPerSecond = Math.round(last.reduce((total, one) => total + one, 0) / last.length)
    return { seconds: this.#seconds, steady: this.#isSteady, recordsPerSecond }
  }

  get #isSteady(): boolean {
    return this.#session.target.name === 'kafka' ? isWarmJvm(this.#rates, this.#shares) : isSteady(this.#rates)
  }

  #isOver(mostSeconds: number): boolean {
    // No interval that would end beyond the bound.
    return (
      this.#seconds + this.#bounds.intervalSeconds > mostSeconds ||
      (this.#seconds >= this.#bounds.leastSeconds && this.#isSteady)
    )
  }

  async #round(mostSeconds: number): Promise<void> {
    if (this.#load === 'read' && this.#stored !== undefined) {
      await this.#drive(this.#stored.topic, mostSeconds)
      return
    }
    const topic = newTopic('warm-up')
    const partitions = this.#load === 'end-to-end' ? 1 : this.#session.settings.partitions
    await withTopic(this.#session, { topic, partitions }, () => this.#drive(topic, mostSeconds))
  }

  async #drive(topic: string, mostSeconds: number): Promise<void> {
    const session = this.#session
    const drivers = this.#specs(topic).map((spec) => new Driver(spec))
    const failed = Promise.race([session.target.failure, ...drivers.map(({ failure }) => failure)])
    failed.catch(() => {})
    const pass = (milliseconds: number) =>
      Promise.race([failed, sleep(milliseconds, undefined, { signal: session.signal })])
    const produced = () => drivers[0]!.last().records
    try {
      await guard(session, Promise.all(drivers.map(({ ready }) => ready)))
      for (const driver of drivers) driver.start()
      await pass(LEAD_IN_MS)
      this.#seconds += LEAD_IN_MS / 1000
      const compilers = new CompilerWatch(session.target.brokers.map(({ pid }) => pid))
      do {
        const before = drivers.map((driver) => driver.last())
        await pass(this.#bounds.intervalSeconds * 1000)
        const after = drivers.map((driver) => driver.last())
        this.#seconds += this.#bounds.intervalSeconds
        this.#rates.push(after.reduce((total, one, i) => total + rate(before[i]!, one), 0))
        const share = compilers.share()
        if (share !== undefined) this.#shares.push(share)
        this.#onInterval(this.#seconds, this.#rates.at(-1)!)
      } while (!this.#isOver(mostSeconds) && (this.#load === 'read' || this.#bytes(produced()) < ROUND_BYTES_MAX))
    } finally {
      await Promise.all(drivers.map((driver) => driver.end()))
    }
  }

  #specs(topic: string): DriverSpec[] {
    const session = { ...this.#session, settings: { ...this.#session.settings, warmUpSeconds: 0 } }
    const endless = { records: Number.MAX_SAFE_INTEGER, seconds: FOREVER_SECONDS }
    if (this.#load === 'end-to-end') return [{ ...endToEndSpec(session, topic), ...endless }]
    if (this.#load === 'read') return [{ ...consumerSpec(session, topic, 'laps'), ...endless, client: null }]
    const producer = { ...producerSpec(session, topic), ...endless, client: null }
    return this.#load === 'produce'
      ? [producer]
      : [producer, { ...consumerSpec(session, topic, 'follow'), ...endless, client: null }]
  }

  #bytes(records: number): number {
    const { settings, replicationFactor } = this.#session
    return records * replicationFactor * estimatedBytesPerRecord(settings.valueBytes, settings.batchBytes)
  }
}

function rate(before: Reading, after: Reading): number {
  return after.atMs === before.atMs ? 0 : ((after.records - before.records) * 1000) / (after.atMs - before.atMs)
}

/** A driver process that is never told to end, only ended. */
class Driver {
  readonly #process: DriverProcess
  readonly #follows: boolean
  #last: Reading = { records: 0, atMs: performance.now() }

  constructor(spec: DriverSpec) {
    this.#follows = spec.kind === 'consumer' && spec.mode === 'follow'
    this.#process = new DriverProcess(spec, (records) => {
      this.#last = { records, atMs: performance.now() }
    })
  }

  get ready(): Promise<void> {
    return this.#process.ready
  }

  /** Rejects when it fails. */
  get failure(): Promise<never> {
    return this.#process.result.then(() => {
      throw new Error('the load of the warm-up ended by itself')
    })
  }

  /** Told twice a second: a rate is between two readings, not between two looks. */
  last(): Reading {
    return this.#last
  }

  start(): void {
    this.#process.tell({ type: 'start' })
    if (this.#follows) this.#process.tell({ type: 'measure' })
  }

  async end(): Promise<void> {
    await this.#process.end()
  }
}
