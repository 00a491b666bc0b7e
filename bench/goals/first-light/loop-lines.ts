/** The event loop's lines: what every run of pagelog's broker must show (design §5). */
import type { LoopDelay } from '../../result.ts'
import type { GoalLine } from '../goal.ts'

const DELAY_P99_MS = 5
const DELAY_MAX_MS = 20
const CPU_P99_MS = 1

/** The worst run counts. `idle`: what a process beside it saw that did nothing, over the whole part. */
export function loopLines(during: string, delays: readonly (LoopDelay | null)[], idle: LoopDelay | null): GoalLine[] {
  const seen = delays.filter((delay) => delay !== null)
  const beside =
    idle === null ? '' : `; an idle process beside it: delay p99 ${idle.p99.toFixed(2)}, max ${idle.max.toFixed(2)} ms`
  const how = `worst of ${seen.length} runs, broker's own sampler, ${during}${beside}`
  if (seen.length === 0) {
    return [{ id: `${during}.loop-delay`, pass: false, measured: 'nothing', goal: `p99 ≤ ${DELAY_P99_MS} ms`, how }]
  }
  const worst = (pick: (delay: LoopDelay) => number) => Math.max(...seen.map(pick))
  const line = (name: string, value: number, limit: number): GoalLine => ({
    id: `${during}.${name}`,
    pass: value <= limit,
    measured: `${value.toFixed(2)} ms`,
    goal: `≤ ${limit} ms`,
    how,
  })
  const cpu = seen.every((delay) => delay.cpuPerTurnP99 !== undefined)
  return [
    line(
      'loop-delay-p99',
      worst((delay) => delay.p99),
      DELAY_P99_MS,
    ),
    line(
      'loop-delay-max',
      worst((delay) => delay.max),
      DELAY_MAX_MS,
    ),
    ...(cpu
      ? [
          line(
            'loop-cpu-p99',
            worst((delay) => delay.cpuPerTurnP99 ?? 0),
            CPU_P99_MS,
          ),
        ]
      : []),
  ]
}
