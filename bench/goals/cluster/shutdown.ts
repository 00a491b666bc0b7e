/**
 * Brokers are stopped in order, one after the other, and started again: the longest that a record of a partition waits.
 * The start comes after what is measured, so that it is not a process starting that takes the processor from the others.
 */
import { formatMs } from '../../measure/progress.ts'
import { percentileOf } from '../../measure/statistics.ts'
import type { GoalContext } from '../goal.ts'
import { longest, waitOf } from './paced-writers.ts'
import { busiestLeader, WrittenCluster } from './written-cluster.ts'

const PARTITIONS = 12
const PAUSE_MS = 10
const QUIET_MS = 2000
const AFTER_MS = 1000
const UNAVAILABLE_MS_MAX = 100
/** Stops for each run that was asked for (3 by default). */
const STOPS_PER_RUN = 2
const STOP_MS_MAX = 60_000

export async function shutdown(context: GoalContext): Promise<void> {
  const stops = context.runs * STOPS_PER_RUN
  const options = { partitions: PARTITIONS, pauseMs: PAUSE_MS, hidesDeaths: true, overrides: {} }
  const written = await WrittenCluster.start(context, options)
  const waits: number[] = []
  const quietWaits: number[] = []
  try {
    for (let stop = 0; stop < stops; stop++) {
      context.progress.begin(`controlled shutdown · ${stop + 1} of ${stops}`)
      const { during, before } = await stopOnce(written)
      waits.push(...during)
      quietWaits.push(...before)
    }
  } finally {
    await written.close()
  }
  const { errors } = written.writers
  const how =
    `${stops} stops of the broker that leads most, longest wait for acks=all of each of ${PARTITIONS} partitions ` +
    `from SIGTERM to 1 s after its end; p50 ${formatMs(percentileOf(waits, 0.5))}; ` +
    `with nobody stopped, in ${QUIET_MS / 1000} s before: p50 ${formatMs(percentileOf(quietWaits, 0.5))}, max ${formatMs(Math.max(...quietWaits))}`
  context.report({
    id: 'controlled-shutdown.unavailable',
    pass: Math.max(...waits) <= UNAVAILABLE_MS_MAX,
    measured: `max ${formatMs(Math.max(...waits))}`,
    goal: `≤ ${UNAVAILABLE_MS_MAX} ms`,
    how,
  })
  context.report({
    id: 'controlled-shutdown.errors',
    pass: errors.length === 0,
    measured: `${errors.length} errors`,
    goal: '0',
    how: errors[0] ?? 'what the idempotent producer told its callers',
  })
}

/** Longest waits by partition: while the broker stops, and before. Resolves when it is back and all is in sync. */
async function stopOnce(written: WrittenCluster): Promise<{ during: number[]; before: number[] }> {
  const { cluster, writers } = written
  await written.whole()
  const quietMs = performance.now()
  await written.pause(QUIET_MS)
  const { id } = busiestLeader(await written.whole())
  const child = cluster.child(id)
  const stoppedMs = performance.now()
  child.process.kill('SIGTERM')
  const timer = setTimeout(() => child.killNow(), STOP_MS_MAX)
  const { code } = await child.exited
  clearTimeout(timer)
  if (code !== 0) throw new Error(`broker ${id} did not stop in order: ${child.tail}`)
  await written.pause(AFTER_MS)
  const all = Array.from({ length: written.partitions }, (_, partition) => partition)
  // What still waits counts too.
  await written.written(all, performance.now(), AFTER_MS, STOP_MS_MAX)
  const untilMs = performance.now()
  cluster.reveal(id)
  const worst = (fromMs: number, toMs: number) =>
    all.map((partition) => {
      const found = longest(writers.between(partition, fromMs, toMs))
      return found === undefined ? toMs - fromMs : waitOf(found)
    })
  return { during: worst(stoppedMs, untilMs), before: worst(quietMs, stoppedMs) }
}
