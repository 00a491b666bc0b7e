/** Lines of the tests with three brokers and three replicas, against Apache Kafka with as many. */
import { formatMs, formatRate } from '../../measure/progress.ts'
import type { TestId } from '../../result.ts'
import { worstReplication } from '../../summary.ts'
import { type Measured, measureBoth, reportLatency, reportRate } from '../against-kafka.ts'
import type { GoalContext } from '../goal.ts'

/** A rate counts only if the followers keep up. */
const EQUAL_WITHIN_MS = 1000

async function reportReplicated(context: GoalContext, test: TestId, share: number | undefined): Promise<void> {
  const measured = await measureBoth(context, test)
  reportRate(context, measured, 4, share)
  reportFollowers(context, measured)
}

function reportFollowers(context: GoalContext, { own, kafka }: Measured): void {
  const figure = (runs: Measured['own']['runs']) => {
    const worst = worstReplication(runs)
    if (worst === null) return 'nothing measured'
    return `equal after ${formatMs(worst.equalAfterMs)}, ${formatRate(worst.lagRecords)} records behind at the end`
  }
  const worst = worstReplication(own.runs)
  context.report({
    id: `${own.test}.followers`,
    pass: worst !== null && worst.equalAfterMs <= EQUAL_WITHIN_MS,
    measured: figure(own.runs),
    goal: `equal ≤ ${EQUAL_WITHIN_MS} ms`,
    how: `worst of ${own.runs.length} runs, by the sizes of all replicas' segments; Kafka ${figure(kafka.runs)}`,
  })
}

export function async(context: GoalContext): Promise<void> {
  return reportReplicated(context, 'single-producer-3x-async', 0.6)
}

export function sync(context: GoalContext): Promise<void> {
  return reportReplicated(context, 'single-producer-3x-sync', 0.5)
}

export function threeProducers(context: GoalContext): Promise<void> {
  return reportReplicated(context, 'three-producers-3x-async', 0.6)
}

export function mixed(context: GoalContext): Promise<void> {
  return reportReplicated(context, 'producer-and-consumer-3x', undefined)
}

export async function latency(context: GoalContext): Promise<void> {
  const measured = await measureBoth(context, 'end-to-end-3x')
  reportLatency(context, measured, 'acks=all')
}
