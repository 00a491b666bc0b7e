/**
 * Runs tests against targets: for each test the targets are started or taken over, what is to be read is stored, then runs are
 * interleaved (limit probe, A, B, limit probe, A, B, …), each after the write-back of the one before it, so that a
 * machine that gets slower gets slower for all. What fails is reported and the rest goes on; an abort keeps what is there.
 */
import { fillTopic } from './drivers/pagelog-runs.ts'
import { deleteTopic, type Session, type StoredTopic } from './drivers/session.ts'
import type { OnWarmUp, Warmed } from './drivers/target-warm-up.ts'
import { type EchoProbe, estimatedBytesPerRecord, probeEcho, probesPath, probeThroughput } from './limits/limits.ts'
import { readIntoPageCache } from './measure/page-cache.ts'
import { formatMs, formatRate, type Progress } from './measure/progress.ts'
import { type Settled, settleMachine } from './measure/settle.ts'
import { isShaped, placementHere } from './netns/namespaces.ts'
import { isOtherClient, prepareClient, whyNotDriven } from './peers/other-clients.ts'
import type { Scratch } from './process/scratch.ts'
import { targetTitles } from './report/variants.ts'
import { warmUpText } from './report/warm-ups.ts'
import {
  type BenchSettings,
  type DriverName,
  type FailedRun,
  type ProbeName,
  type RunResult,
  type TargetName,
  type TestId,
  variantName,
  type WarmUpResult,
} from './result.ts'
import { type AnyTarget, isStartedHere, type Target } from './targets/target.ts'
import type { Targets } from './targets/targets.ts'
import { type Workload, workloads } from './workloads.ts'

export interface Variant {
  readonly target: TargetName
  readonly driver: DriverName
}

/** What a test left: runs of each variant side by side, `undefined` where an abort came first. */
export interface TestOutcome {
  readonly test: TestId
  readonly variants: readonly { readonly variant: Variant; readonly runs: readonly (RunResult | FailedRun)[] }[]
  readonly probe: ProbeName
  readonly bytesPerRecord: number
  /** Bytes a second of the throughput probe beside each run, or the echo probe; undefined where a probe failed. */
  readonly throughput: readonly (number | undefined)[]
  readonly echo: readonly (EchoProbe | undefined)[]
  /** Of each target that was started and warmed. */
  readonly warmUps?: readonly WarmUpResult[]
}

/** Brings a fresh target to its speed. */
export type Warm = (
  session: Session,
  test: TestId,
  stored: StoredTopic | undefined,
  onWarmUp: OnWarmUp,
) => Promise<Warmed>

export interface HarnessOptions {
  readonly settings: BenchSettings
  readonly variants: readonly Variant[]
  /** Where the variants' targets come from; whoever made it closes it. */
  readonly targets: Targets
  readonly scratch: Scratch
  readonly signal: AbortSignal
  readonly progress: Progress
  /** Waits for write-back before each run; without it a result is for orientation. */
  readonly settle: boolean
  /** Called once a test for each target that we started, before its first run; without it none is warmed. */
  readonly warm?: Warm
  readonly onTargetSettings?: (target: AnyTarget) => void
  /** Called when a target has done its last run of a test and still lives. */
  readonly afterRuns?: (target: Target) => Promise<void>
}

/** How many bytes a probe moves at most: longer ones say nothing more, and fill the page cache. */
const PROBE_BYTES_MAX = 2 * 1024 * 1024 * 1024

interface Place {
  readonly variant: Variant
  readonly session: Session
  readonly runs: (RunResult | FailedRun)[]
  stored: StoredTopic | undefined
}

export class Harness {
  readonly #options: HarnessOptions

  constructor(options: HarnessOptions) {
    this.#options = options
  }

  /** Never rejects for what happens inside a run: that is in the outcome. */
  async runTest(test: TestId): Promise<TestOutcome> {
    const workload = workloads[test]
    const { settings, signal } = this.#options
    const bytesPerRecord = estimatedBytesPerRecord(settings.valueBytes, settings.batchBytes)
    const throughput: (number | undefined)[] = []
    const echo: (EchoProbe | undefined)[] = []
    const failures: { variant: Variant; runs: FailedRun[] }[] = []
    const places: Place[] = []
    const warmUps: WarmUpResult[] = []
    for (const variant of this.#options.variants) {
      if (this.#isLeftOut(variant, test)) continue
      const place = await this.#setUp(workload, variant, places)
      // What an abort came before is not there; that is no failure.
      if (signal.aborted) break
      if ('error' in place) failures.push({ variant, runs: [place] })
      else places.push(place)
    }
    for (const place of firstOfEach(places)) {
      if (!signal.aborted) await this.#warm(workload, place, warmUps)
    }
    for (let run = 0; run < settings.runs && !signal.aborted; run++) {
      await this.#probe(workload, bytesPerRecord, throughput, echo)
      for (const place of places) {
        if (!signal.aborted) await this.#run(workload, place, run)
      }
    }
    if (!signal.aborted && this.#options.afterRuns !== undefined) {
      for (const { session } of firstOfEach(places)) {
        if (isStartedHere(session.target)) await this.#options.afterRuns(session.target)
      }
    }
    for (const place of firstOfEach(places)) await this.#clear(place)
    const variants = [...places, ...failures].map(({ variant, runs }) => ({ variant, runs }))
    return { test, variants, probe: workload.probe, bytesPerRecord, throughput, echo, warmUps }
  }

  /** Starts the variant's target unless it is there, and stores what its consumers will read. */
  async #setUp(workload: Workload, variant: Variant, places: readonly Place[]): Promise<Place | FailedRun> {
    const { targets, settings, signal, progress } = this.#options
    const name = variantName(variant.target, variant.driver)
    progress.begin(`${workload.id} · ${name} · set up`)
    try {
      const client = isOtherClient(variant.driver) ? await prepareClient(variant.driver, signal) : undefined
      const target = await targets.take(variant.target, workload.brokers)
      this.#options.onTargetSettings?.(target)
      const session: Session = {
        target,
        ...(client === undefined ? {} : { client }),
        replicationFactor: workload.brokers,
        settings: workload.acks === undefined ? settings : { ...settings, acks: workload.acks },
        signal,
        onProgress: (phase, records) => progress.phase(phase, records),
      }
      const records = workload.storedRecords(settings)
      const shared = places.find((place) => place.session.target === target)?.stored
      const stored = records === 0 ? undefined : (shared ?? (await fillTopic(session, records)))
      return { variant, session, runs: [], stored }
    } catch (error) {
      if (signal.aborted) return { error: 'interrupted' }
      return this.#failure(error, `${workload.id} · ${name}: not set up`)
    }
  }

  /** Said in a line: what a client does not do at all is no failure. */
  #isLeftOut({ target, driver }: Variant, test: TestId): boolean {
    const why = whyNotDriven(driver, target, test)
    if (why !== undefined) this.#options.progress.line(`${test} · ${variantName(target, driver)}: left out, ${why}`)
    return why !== undefined
  }

  /** What consumers read goes with their test. */
  async #clear({ session, stored }: Place): Promise<void> {
    if (stored !== undefined && !session.signal.aborted) await deleteTopic(session, stored.topic).catch(() => {})
  }

  /** A load that fails is told of and leaves the target as warm as it is: what is wrong with it the runs will show. */
  async #warm(workload: Workload, { session, stored }: Place, warmUps: WarmUpResult[]): Promise<void> {
    const { warm, progress, signal } = this.#options
    const { target } = session
    if (warm === undefined || !isStartedHere(target)) return
    const head = { test: workload.id, target: target.name, brokers: target.brokers.length }
    let [seconds, recordsPerSecond] = [0, 0]
    let what = ''
    progress.begin(`${workload.id} · warming up ${targetTitles[target.name]}`)
    const onWarmUp: OnWarmUp = (now, rate) => {
      seconds = Math.round(now)
      recordsPerSecond = Math.round(rate)
      progress.phase(`· ${formatRate(rate)} rec/s · ${seconds} s`, 0)
    }
    try {
      warmUps.push({ ...head, ...(await warm(session, workload.id, stored, onWarmUp)) })
    } catch (error) {
      if (signal.aborted) return
      what = ` (${(error as Error).message.split('\n')[0]})`
      warmUps.push({ ...head, seconds, steady: false, recordsPerSecond })
    }
    progress.line(`${workload.id} · ${warmUpText(warmUps.at(-1)!)}${what}`)
  }

  async #run(workload: Workload, place: Place, run: number): Promise<void> {
    const { progress, signal, settings, settle } = this.#options
    const name = variantName(place.variant.target, place.variant.driver)
    progress.begin(`${workload.id} · ${name} · run ${run + 1} of ${settings.runs}`)
    try {
      const before = settle ? await this.#settle() : {}
      const { dataDirectory } = place.session.target
      if (place.stored !== undefined && dataDirectory !== null) {
        await readIntoPageCache(dataDirectory, place.stored.topic)
      }
      const result = await workload.run(place.variant.driver, place.session, place.stored)
      place.runs.push({ ...result, ...before })
      const latency = workload.probe === 'echo' ? result.latencyMs : null
      progress.end(
        latency === null
          ? `${formatRate(result.recordsPerSecond)} rec/s`
          : `p50 ${formatMs(latency.p50)}, p99 ${formatMs(latency.p99)}`,
      )
    } catch (error) {
      if (signal.aborted) return
      place.runs.push(this.#failure(error, `${workload.id} · ${name} · run ${run + 1}`))
    }
  }

  #settle(): Promise<Settled> {
    const { signal, progress, scratch } = this.#options
    return settleMachine(scratch.path, signal, (what) => progress.phase(what, 0))
  }

  async #probe(
    workload: Workload,
    bytesPerRecord: number,
    throughput: (number | undefined)[],
    echo: (EchoProbe | undefined)[],
  ): Promise<void> {
    const { settings, scratch, signal, progress, settle } = this.#options
    // Of machines elsewhere nothing can be told by what this one can do, and behind a link of so many bits the link is the limit.
    if (probesPath() === undefined || isElsewhere(this.#options.variants) || isShaped(placementHere().name)) return
    progress.begin(`${workload.id} · limit probe`)
    try {
      if (settle) await this.#settle()
      if (workload.probe === 'echo') {
        echo.push(await probeEcho(settings.latencyRecords, bytesPerRecord, scratch.path, signal))
        return
      }
      const bytes = Math.min(PROBE_BYTES_MAX, Math.round(settings.records * bytesPerRecord))
      // A run's warm-up is a time, a probe's a number of bytes: as many as are measured is about what a run has.
      const warmUpBytes = settings.warmUpSeconds > 0 ? bytes : 0
      const { bytesPerSecond } = await probeThroughput(workload.probe, bytes, warmUpBytes, scratch.path, signal)
      throughput.push(bytesPerSecond)
    } catch (error) {
      if (workload.probe === 'echo') echo.push(undefined)
      else throughput.push(undefined)
      if (!signal.aborted) progress.line(`${workload.id} · limit probe failed: ${(error as Error).message}`)
    }
  }

  #failure(error: unknown, what: string): FailedRun {
    const text = error instanceof Error ? error.message : String(error)
    this.#options.progress.end('FAILED')
    this.#options.progress.line(`${what}: ${text}`)
    return { error: text }
  }
}

const isElsewhere = (variants: readonly Variant[]) => variants.some(({ target }) => target === 'hosts')

/** One place of each target. */
function firstOfEach(places: readonly Place[]): readonly Place[] {
  return places.filter(({ session }, i) => places.findIndex((one) => one.session.target === session.target) === i)
}
