/** Lines of tests that run against Apache Kafka: interleaved runs of both, the ratio taken run by run. */
import { WARM_UP, warmTarget } from '../drivers/target-warm-up.ts'
import { Harness, type TestOutcome, type Variant } from '../harness.ts'
import { IdleLoop } from '../measure/idle-loop.ts'
import { formatMs, formatRate } from '../measure/progress.ts'
import { kafkaClasspath } from '../peers/java.ts'
import { NOT_WARM, warmUpText } from '../report/warm-ups.ts'
import { isRun, type LoopDelay, type RatioResult, type TestId, type TestResult } from '../result.ts'
import { ratiosOf, resultsOf } from '../summary.ts'
import type { Target } from '../targets/target.ts'
import { Targets } from '../targets/targets.ts'
import type { GoalContext } from './goal.ts'
import { goalSettings } from './settings.ts'

const VARIANTS: readonly Variant[] = [
  { target: 'pagelog', driver: 'pagelog-client' },
  { target: 'kafka', driver: 'kafka-tools' },
]

export interface Measured {
  readonly outcome: TestOutcome
  readonly own: TestResult
  readonly kafka: TestResult
  readonly ratios: readonly RatioResult[]
  readonly idle: LoopDelay | null
}

export async function measureBoth(
  context: GoalContext,
  test: TestId,
  afterRuns?: (target: Target) => Promise<void>,
): Promise<Measured> {
  await kafkaClasspath()
  const { scratch, signal, progress, runs } = context
  const settings = goalSettings(test, runs, 'kafka')
  const targets = new Targets({ partitions: settings.partitions, scratch, signal })
  const harness = new Harness({
    settings,
    variants: VARIANTS,
    targets,
    scratch,
    signal,
    progress,
    settle: true,
    warm: (session, id, stored, onWarmUp) => warmTarget(session, id, stored, WARM_UP, onWarmUp),
    ...(afterRuns === undefined ? {} : { afterRuns }),
  })
  const idleLoop = new IdleLoop()
  const outcome = await harness.runTest(test).finally(() => targets.close())
  const idle = await idleLoop.stop()
  signal.throwIfAborted()
  const results = resultsOf(outcome, settings)
  const own = results.find((one) => one.target === 'pagelog')!
  const kafka = results.find((one) => one.target === 'kafka')!
  return { outcome, own, kafka, ratios: ratiosOf(outcome), idle }
}

/** At least `times` Kafka's rate, or at least `share` of the probe's where the line has one. */
export function reportRate(context: GoalContext, measured: Measured, times: number, share: number | undefined): void {
  const { own, kafka } = measured
  const ratio = measured.ratios.find((one) => one.measure === 'recordsPerSecond')
  const byRatio = ratio !== undefined && ratio.ratio >= times
  const byShare = share !== undefined && (own.shareOfLimit ?? 0) >= share
  const failed = [...own.runs, ...kafka.runs].filter((run) => !isRun(run)).length
  const parts = [
    own.recordsPerSecond === null ? 'failed' : `${formatRate(own.recordsPerSecond)} rec/s`,
    ratio === undefined
      ? 'no ratio'
      : `${ratio.ratio.toFixed(2)} × Kafka (${ratio.low.toFixed(2)} – ${ratio.high.toFixed(2)})${ratio.stillRising === true ? NOT_WARM : ''}`,
    own.shareOfLimit === null ? 'no probe' : `${(own.shareOfLimit * 100).toFixed(0)} % of the probe`,
  ]
  const notes = [
    ...warmUpTexts(measured),
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

/** For how long each target was warmed. */
export function warmUpTexts({ outcome, kafka }: Pick<Measured, 'outcome' | 'kafka'>): string[] {
  const rising = kafka.runs.filter((run) => isRun(run) && run.stillRising === true).length
  return [
    ...(outcome.warmUps ?? []).map(warmUpText),
    ...(rising === 0 ? [] : [`Kafka’s tool still rising in ${rising} runs: its figure is too low`]),
  ]
}

function firstError(results: readonly TestResult[]): string {
  const failed = results.flatMap((one) => one.runs).find((run) => !isRun(run))
  return failed !== undefined && 'error' in failed ? (failed.error.split('\n')[0] ?? '') : ''
}

/** p50 and p99 at most a third of Kafka's. */
export function reportLatency(context: GoalContext, measured: Measured, acks: string): void {
  const { own, kafka, ratios } = measured
  for (const [measure, key] of [
    ['latencyP50', 'p50'],
    ['latencyP99', 'p99'],
  ] as const) {
    const ratio = ratios.find((one) => one.measure === measure)
    const figure = (result: TestResult) => (result.latencyMs === null ? 'failed' : formatMs(result.latencyMs[key]))
    context.report({
      id: `${own.test}.${key}`,
      pass: ratio !== undefined && ratio.ratio <= 1 / 3,
      measured: `${figure(own)}, ${ratio === undefined ? 'no ratio' : `${ratio.ratio.toFixed(3)} of Kafka (${ratio.low.toFixed(3)} – ${ratio.high.toFixed(3)})${ratio.stillRising === true ? NOT_WARM : ''}`}`,
      goal: '≤ 0.333',
      how: `median of ${own.runs.length} interleaved runs, ${acks}; Kafka's Java clients ${figure(kafka)}, fetch.max.wait.ms at its default; ${warmUpTexts(measured).join('; ')}`,
    })
  }
}
