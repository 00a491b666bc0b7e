/** Lines of the tests that run against Apache Kafka: interleaved runs of both, the ratio taken run by run. */
import { Harness, type TestOutcome, type Variant } from '../../harness.ts'
import { IdleLoop } from '../../measure/idle-loop.ts'
import { residentBytes } from '../../measure/processes.ts'
import { formatMiB, formatMs, formatRate } from '../../measure/progress.ts'
import { kafkaClasspath } from '../../peers/java.ts'
import { isRun, type LoopDelay, type RatioResult, type TestId, type TestResult } from '../../result.ts'
import { ratiosOf, resultsOf } from '../../summary.ts'
import type { Target } from '../../targets/target.ts'
import type { GoalContext } from '../goal.ts'
import { loopLines } from './loop-lines.ts'
import { goalSettings } from './settings.ts'

const VARIANTS: readonly Variant[] = [
  { target: 'pagelog', driver: 'pagelog-client' },
  { target: 'kafka', driver: 'kafka-tools' },
]

interface Measured {
  readonly outcome: TestOutcome
  readonly own: TestResult
  readonly kafka: TestResult
  readonly ratios: readonly RatioResult[]
  readonly idle: LoopDelay | null
}

async function measureBoth(
  context: GoalContext,
  test: TestId,
  afterRuns?: (target: Target) => Promise<void>,
): Promise<Measured> {
  await kafkaClasspath()
  const { scratch, signal, progress, runs } = context
  const settings = goalSettings(test, runs, 'kafka')
  const harness = new Harness({
    settings,
    variants: VARIANTS,
    scratch,
    signal,
    progress,
    settle: true,
    ...(afterRuns === undefined ? {} : { afterRuns }),
  })
  const idleLoop = new IdleLoop()
  const outcome = await harness.runTest(test)
  const idle = await idleLoop.stop()
  signal.throwIfAborted()
  const results = resultsOf(outcome, settings)
  const own = results.find((one) => one.target === 'pagelog')!
  const kafka = results.find((one) => one.target === 'kafka')!
  return { outcome, own, kafka, ratios: ratiosOf(outcome), idle }
}

/** At least `times` Kafka's rate, or at least `share` of the probe's where the line has one. */
function reportRate(context: GoalContext, measured: Measured, times: number, share: number | undefined): void {
  const { own, kafka } = measured
  const ratio = measured.ratios.find((one) => one.measure === 'recordsPerSecond')
  const byRatio = ratio !== undefined && ratio.ratio >= times
  const byShare = share !== undefined && (own.shareOfLimit ?? 0) >= share
  const failed = [...own.runs, ...kafka.runs].filter((run) => !isRun(run)).length
  const parts = [
    own.recordsPerSecond === null ? 'failed' : `${formatRate(own.recordsPerSecond)} rec/s`,
    ratio === undefined
      ? 'no ratio'
      : `${ratio.ratio.toFixed(2)} × Kafka (${ratio.low.toFixed(2)} – ${ratio.high.toFixed(2)})`,
    own.shareOfLimit === null ? 'no probe' : `${(own.shareOfLimit * 100).toFixed(0)} % of the probe`,
  ]
  const notes = [
    `median of ${own.runs.length} interleaved runs`,
    `Kafka ${kafka.recordsPerSecond === null ? 'failed' : `${formatRate(kafka.recordsPerSecond)} rec/s with its own tool`}`,
    own.bottleneck === null ? '' : `at its limit: ${own.bottleneck}`,
    failed === 0 ? '' : `${failed} runs failed: ${firstError([own, kafka])}`,
  ]
  context.report({
    id: own.test,
    pass: (byRatio || byShare) && failed === 0,
    measured: parts.join(', '),
    goal: share === undefined ? `≥ ${times} ×` : `≥ ${times} × or ≥ ${share * 100} %`,
    how: notes.filter((note) => note !== '').join('; '),
  })
}

function firstError(results: readonly TestResult[]): string {
  const failed = results.flatMap((one) => one.runs).find((run) => !isRun(run))
  return failed !== undefined && 'error' in failed ? (failed.error.split('\n')[0] ?? '') : ''
}

function reportLoop(context: GoalContext, { own, idle }: Measured): void {
  const delays = own.runs.filter(isRun).map((run) => {
    const broker = run.processes.find((process) => process.role === 'broker')
    return broker?.eventLoopDelayMs ?? null
  })
  for (const line of loopLines(own.test, delays, idle)) context.report(line)
}

export async function producer(context: GoalContext): Promise<void> {
  const resident = new Map<string, number>()
  const measured = await measureBoth(context, 'single-producer', async (target) => {
    const bytes = residentBytes(target.pid)
    if (bytes !== undefined) resident.set(target.name, bytes)
  })
  reportRate(context, measured, 6, 0.4)
  const own = resident.get('pagelog') ?? Number.NaN
  const kafka = resident.get('kafka') ?? Number.NaN
  context.report({
    id: 'rss-after-single-producer',
    pass: own / kafka <= 1 / 4,
    measured: `${formatMiB(own)}, ${(own / kafka).toFixed(3)} of Kafka`,
    goal: '≤ 0.25',
    how: `resident set after the runs; Kafka ${formatMiB(kafka)} with a heap of 1 GiB`,
  })
  reportLoop(context, measured)
}

export async function consumer(context: GoalContext): Promise<void> {
  const measured = await measureBoth(context, 'single-consumer')
  reportRate(context, measured, 3, 0.4)
  reportLoop(context, measured)
}

export async function mixed(context: GoalContext): Promise<void> {
  const measured = await measureBoth(context, 'producer-and-consumer-1x')
  reportRate(context, measured, 5, undefined)
  reportLoop(context, measured)
}

export async function latency(context: GoalContext): Promise<void> {
  const measured = await measureBoth(context, 'end-to-end-1x')
  const { own, kafka, ratios } = measured
  for (const [measure, key] of [
    ['latencyP50', 'p50'],
    ['latencyP99', 'p99'],
  ] as const) {
    const ratio = ratios.find((one) => one.measure === measure)
    const figure = (result: TestResult) => (result.latencyMs === null ? 'failed' : formatMs(result.latencyMs[key]))
    context.report({
      id: `end-to-end-1x.${key}`,
      pass: ratio !== undefined && ratio.ratio <= 1 / 3,
      measured: `${figure(own)}, ${ratio === undefined ? 'no ratio' : `${ratio.ratio.toFixed(3)} of Kafka (${ratio.low.toFixed(3)} – ${ratio.high.toFixed(3)})`}`,
      goal: '≤ 0.333',
      how: `median of ${own.runs.length} interleaved runs, acks=1; Kafka's Java clients ${figure(kafka)}, fetch.max.wait.ms at its default`,
    })
  }
  reportLoop(context, measured)
}
