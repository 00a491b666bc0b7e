/** Three consumers at once against Apache Kafka, and where what they read came from. */
import { formatGiB } from '../../measure/progress.ts'
import { isRun, type TestResult } from '../../result.ts'
import { measureBoth, reportRate } from '../against-kafka.ts'
import type { GoalContext, GoalLine } from '../goal.ts'

const PAGE_CACHE_SHARE = 0.99

export async function threeConsumers(context: GoalContext): Promise<void> {
  const measured = await measureBoth(context, 'three-consumers')
  reportRate(context, measured, 4, 0.4)
  context.report(pageCacheLine(measured.own))
}

/** The worst run counts. */
export function pageCacheLine({ test, runs }: Pick<TestResult, 'test' | 'runs'>): GoalLine {
  const all = runs.flatMap((run) => (isRun(run) && run.io?.pageCacheShare != null ? [run.io] : []))
  const worst = all.sort((a, b) => (a.pageCacheShare ?? 0) - (b.pageCacheShare ?? 0))[0]
  return {
    id: `${test}.page-cache`,
    pass: all.length === runs.length && (worst?.pageCacheShare ?? 0) >= PAGE_CACHE_SHARE,
    measured:
      worst === undefined
        ? 'not known'
        : `${(Math.floor((worst.pageCacheShare ?? 0) * 1e4) / 100).toFixed(2)} % of the reads`,
    goal: `≥ ${PAGE_CACHE_SHARE * 100} %`,
    how:
      `worst of ${runs.length} runs, by read_bytes of the broker` +
      (worst === undefined
        ? ''
        : `: ${formatGiB(worst.readBytes)} off the device, ${formatGiB(worst.servedBytes ?? 0)} served`),
  }
}
