/** From runs to results: medians, shares of the limit, bottlenecks, ratios of interleaved runs. Pure. */
import type { TestOutcome, Variant } from './harness.ts'
import { median, pairedRatio, summarize } from './measure/statistics.ts'
import {
  type BenchSettings,
  type FailedRun,
  isRun,
  type LimitResult,
  type Measure,
  type ProcessResult,
  type RatioResult,
  type ReplicationResult,
  type RunIo,
  type RunResult,
  type StoredResult,
  type TestResult,
  variantName,
} from './result.ts'

const MEBIBYTE = 1048576
/** A thread that has this share of a core has nothing left to give. */
const SATURATED = 0.9

export function limitOf(outcome: TestOutcome): LimitResult | undefined {
  const { test, probe, bytesPerRecord } = outcome
  const throughput = outcome.throughput.filter((one) => one !== undefined)
  const echo = outcome.echo.filter((one) => one !== undefined)
  const common = { test, probe, bytesPerRecord: rounded(bytesPerRecord, 2) }
  if (echo.length > 0) {
    const latencyMs = { p50: median(echo.map((one) => one.p50Ms)), p99: median(echo.map((one) => one.p99Ms)) }
    const runs = echo.map((one) => one.p50Ms)
    return { ...common, recordsPerSecond: null, mebibytesPerSecond: null, low: null, high: null, latencyMs, runs }
  }
  if (throughput.length === 0) return undefined
  const rates = summarize(throughput.map((bytes) => bytes / bytesPerRecord))
  return {
    ...common,
    recordsPerSecond: Math.round(rates.median),
    mebibytesPerSecond: rounded(median(throughput) / MEBIBYTE, 1),
    low: Math.round(rates.low),
    high: Math.round(rates.high),
    latencyMs: null,
    runs: throughput.map((bytes) => Math.round(bytes / bytesPerRecord)),
  }
}

export function resultsOf(outcome: TestOutcome, settings: BenchSettings): TestResult[] {
  return outcome.variants.map(({ variant, runs }) => resultOf(outcome, variant, runs, settings))
}

function resultOf(
  outcome: TestOutcome,
  variant: Variant,
  runs: readonly (RunResult | FailedRun)[],
  settings: BenchSettings,
): TestResult {
  const good = runs.filter(isRun)
  const head = { test: outcome.test, ...variant, runs }
  const errors = good.reduce((total, run) => total + run.errors, 0)
  const retries = good.reduce((total, run) => total + run.retries, 0)
  const middle = medianRun(good, outcome.probe === 'echo')
  if (middle === undefined) {
    return {
      ...head,
      recordsPerSecond: null,
      low: null,
      high: null,
      mebibytesPerSecond: null,
      shareOfLimit: null,
      medianRun: null,
      latencyMs: null,
      bottleneck: null,
      errors: errors + runs.length,
      retries,
    }
  }
  const rates = summarize(good.map((run) => run.recordsPerSecond))
  return {
    ...head,
    recordsPerSecond: rounded(rates.median, 1),
    low: rounded(rates.low, 1),
    high: rounded(rates.high, 1),
    mebibytesPerSecond: rounded((rates.median * settings.valueBytes) / MEBIBYTE, 2),
    shareOfLimit: shareOfLimit(outcome, runs),
    medianRun: runs.indexOf(middle),
    latencyMs: middle.latencyMs,
    bottleneck: bottleneckOf(middle.processes),
    errors: errors + runs.length - good.length,
    retries,
  }
}

/** The run whose rate (or p50) is the median's nearest: it stands for the test. */
function medianRun(runs: readonly RunResult[], byLatency: boolean): RunResult | undefined {
  const key = (run: RunResult) => (byLatency ? (run.latencyMs?.p50 ?? Number.MAX_VALUE) : run.recordsPerSecond)
  return [...runs].sort((a, b) => key(a) - key(b))[(runs.length - 1) >> 1]
}

/**
 * Run by run against the probe beside it, pairs with a failed run or probe left out; for latencies the probe's share of
 * ours. null without any pair.
 */
function shareOfLimit(outcome: TestOutcome, runs: readonly (RunResult | FailedRun)[]): number | null {
  const isLatency = outcome.probe === 'echo'
  const ours = runs.map((run) => {
    if (!isRun(run)) return undefined
    return isLatency ? run.latencyMs?.p50 : run.recordsPerSecond * (run.storedBytesPerRecord ?? outcome.bytesPerRecord)
  })
  const share = isLatency
    ? pairedRatio(
        outcome.echo.map((one) => one?.p50Ms),
        ours,
      )
    : pairedRatio(ours, outcome.throughput)
  return share === undefined ? null : rounded(share.median, 4)
}

function isBroker({ role }: ProcessResult): boolean {
  return role.startsWith('broker')
}

/** Who had nothing left to give; null when nobody. A client that was at its limit while no broker was is said to be that. */
export function bottleneckOf(processes: readonly ProcessResult[]): string | null {
  const full = processes.filter((one) => (one.busiestThread ?? 0) >= SATURATED)
  if (full.length === 0) return null
  const words = full.map((one) => `${one.role} (a thread at ${Math.round((one.busiestThread ?? 0) * 100)} % of a core)`)
  const isClient = processes.some(isBroker) && !full.some(isBroker)
  return `${words.join(', ')}${isClient ? ': the client, not the broker' : ''}`
}

/** The longest lag and the longest time of any run; null where nothing was replicated. */
export function worstReplication(runs: readonly (RunResult | FailedRun)[]): ReplicationResult | null {
  const seen = runs.flatMap((run) => (isRun(run) && run.replication ? [run.replication] : []))
  if (seen.length === 0) return null
  return {
    lagBytes: Math.max(...seen.map(({ lagBytes }) => lagBytes)),
    lagRecords: Math.max(...seen.map(({ lagRecords }) => lagRecords)),
    equalAfterMs: Math.max(...seen.map(({ equalAfterMs }) => equalAfterMs)),
  }
}

/** Of the run whose rate is the median's nearest, as the other figures of a test; null where nothing grew. */
export function storedOf(result: TestResult): StoredResult | null {
  return medianRun(result.runs.filter(isRun), false)?.stored ?? null
}

/** Of the same run; for a test of latency of the one whose p50 is nearest. */
export function ioOf(result: TestResult): RunIo | null {
  return medianRun(result.runs.filter(isRun), result.test.startsWith('end-to-end'))?.io ?? null
}

const MEASURES: readonly { measure: Measure; of: (run: RunResult) => number | undefined }[] = [
  { measure: 'latencyP50', of: (run) => run.latencyMs?.p50 },
  { measure: 'latencyP99', of: (run) => run.latencyMs?.p99 },
]

type Side = TestOutcome['variants'][number]

/**
 * Run by run: every variant against Apache Kafka with its own tools; without those, our client against every other one on the same
 * broker, and every other one on our broker against itself on Apache Kafka.
 */
export function ratiosOf(outcome: TestOutcome): RatioResult[] {
  const nameOf = ({ variant }: Side) => variantName(variant.target, variant.driver)
  const base = outcome.variants.find((one) => nameOf(one) === 'kafka')
  const pairs = outcome.variants.flatMap((one) =>
    basesOf(one, base, outcome.variants).map((other): [Side, Side] => [one, other]),
  )
  return pairs.flatMap(([one, other]) =>
    measuresOf(outcome).flatMap(({ measure, of }) => {
      const values = ({ runs }: Side) => runs.map((run) => (isRun(run) ? of(run) : undefined))
      const ratio = pairedRatio(values(one), values(other))
      if (ratio === undefined) return []
      return {
        ...{ test: outcome.test, measure, target: nameOf(one), against: nameOf(other) },
        ratio: rounded(ratio.median, 4),
        low: rounded(ratio.low, 4),
        high: rounded(ratio.high, 4),
        ...(wasRising(outcome, other) ? { stillRising: true as const } : {}),
      }
    }),
  )
}

/** Its target, or what drove it in any run. */
function wasRising({ warmUps = [] }: TestOutcome, { variant, runs }: Side): boolean {
  return (
    warmUps.some(({ target, steady }) => target === variant.target && !steady) ||
    runs.some((run) => isRun(run) && run.stillRising === true)
  )
}

function basesOf(one: Side, base: Side | undefined, all: readonly Side[]): readonly Side[] {
  if (base !== undefined) return one === base ? [] : [base]
  const { target, driver } = one.variant
  const isBeside = ({ variant }: Side) =>
    driver === 'pagelog-client'
      ? variant.target === target && variant.driver !== driver
      : target === 'pagelog' && variant.target === 'kafka' && variant.driver === driver
  return all.filter(isBeside)
}

function measuresOf({ probe }: TestOutcome): typeof MEASURES {
  return probe === 'echo' ? MEASURES : [{ measure: 'recordsPerSecond', of: (run) => run.recordsPerSecond }]
}

function rounded(value: number, digits: number): number {
  const scale = 10 ** digits
  return Math.round(value * scale) / scale
}
