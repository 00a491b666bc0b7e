/** Lines of the tests of one broker against Apache Kafka. */
import { residentBytes } from '../../measure/processes.ts'
import { formatMiB } from '../../measure/progress.ts'
import { isRun } from '../../result.ts'
import { type Measured, measureBoth, reportLatency, reportRate } from '../against-kafka.ts'
import type { GoalContext } from '../goal.ts'
import { loopLines } from './loop-lines.ts'

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
  reportLatency(context, measured, 'acks=1')
  reportLoop(context, measured)
}
