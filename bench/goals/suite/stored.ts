/** The rate must not fall while the stored data grow. To 40 GiB it is measured by `bench linkedin-2014 --full`; here to less. */
import { STORED_BYTES } from '../../drivers/growing.ts'
import { Harness } from '../../harness.ts'
import { formatGiB, formatRate } from '../../measure/progress.ts'
import { median } from '../../measure/statistics.ts'
import { type FailedRun, isRun, type RunResult } from '../../result.ts'
import { Targets } from '../../targets/targets.ts'
import type { GoalContext, GoalLine } from '../goal.ts'
import { goalSettings } from '../settings.ts'

const LAST_OF_FIRST = 0.9

export async function stored(context: GoalContext): Promise<void> {
  const { scratch, signal, progress, runs } = context
  const settings = { ...goalSettings('throughput-vs-stored', runs, null), storedBytes: STORED_BYTES }
  const variants = [{ target: 'pagelog', driver: 'pagelog-client' }] as const
  const targets = new Targets({ partitions: settings.partitions, scratch, signal })
  const harness = new Harness({ settings, variants, targets, scratch, signal, progress, settle: true })
  const outcome = await harness.runTest('throughput-vs-stored').finally(() => targets.close())
  signal.throwIfAborted()
  context.report(storedLine(outcome.variants.flatMap((variant) => variant.runs)))
}

export function storedLine(runs: readonly (RunResult | FailedRun)[]): GoalLine {
  const all = runs.flatMap((run) => (isRun(run) && run.stored != null ? [run.stored] : []))
  const share = all.length === 0 ? 0 : median(all.map(({ lastOfFirst }) => lastOfFirst))
  const failed = runs.find((run) => !isRun(run))
  const first = all[0]
  return {
    id: 'throughput-vs-stored.last-tenth',
    pass: all.length > 0 && all.length === runs.length && share >= LAST_OF_FIRST,
    measured: all.length === 0 ? 'failed' : `${(share * 100).toFixed(0)} % of the first`,
    goal: `≥ ${LAST_OF_FIRST * 100} %`,
    how: [
      `median of ${runs.length} runs`,
      ...(first === undefined
        ? []
        : [
            `${formatGiB(first.bytes)} on three brokers`,
            `tenths ${first.tenths.map(({ recordsPerSecond }) => formatRate(recordsPerSecond)).join(', ')} rec/s in the first run`,
          ]),
      ...(failed !== undefined && 'error' in failed ? [failed.error.split('\n')[0]!] : []),
    ].join('; '),
  }
}
