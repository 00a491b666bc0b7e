/**
 * A broker that leads is killed by SIGKILL. How long until each of its partitions takes a record again? Once with a
 * supervisor that does not see the death, as when a host is gone: others notice when the session is over. And once with one that
 * does, as `pagelog cluster start` has it.
 */
import { formatMs } from '../../measure/progress.ts'
import { percentileOf } from '../../measure/statistics.ts'
import type { GoalContext } from '../goal.ts'
import { longest } from './paced-writers.ts'
import { busiestLeader, WrittenCluster } from './written-cluster.ts'

export const SESSION_MS = 3000
const HEARTBEAT_MS = 500
const PARTITIONS = 30
const PAUSE_MS = 20
const STEADY_MS = 500
/** What the goal allows beside the session's time. */
const P50_MS = 500
const P99_MS = 1000
/** Kills for each run that was asked for (3 by default). */
const KILLS_PER_RUN = 4
const AGAIN_MS_MAX = 30_000

export async function failOver(context: GoalContext): Promise<void> {
  await measure(context, 'fail-over', true)
  await measure(context, 'fail-over-supervised', false)
}

async function measure(context: GoalContext, id: string, hidesDeaths: boolean): Promise<void> {
  const kills = context.runs * KILLS_PER_RUN
  const overrides = {
    'broker.session.timeout.ms': String(SESSION_MS),
    'broker.heartbeat.interval.ms': String(HEARTBEAT_MS),
  }
  const written = await WrittenCluster.start(context, {
    partitions: PARTITIONS,
    pauseMs: PAUSE_MS,
    hidesDeaths,
    overrides,
  })
  const unavailable: number[] = []
  try {
    for (let kill = 0; kill < kills; kill++) {
      context.progress.begin(`${id} · kill ${kill + 1} of ${kills}`)
      unavailable.push(...(await killOnce(written, hidesDeaths)))
    }
    const { errors } = written.writers
    for (const [name, share, allowed] of [
      ['p50', 0.5, P50_MS],
      ['p99', 0.99, P99_MS],
    ] as const) {
      const milliseconds = percentileOf(unavailable, share)
      context.report({
        id: `${id}.${name}`,
        pass: milliseconds <= SESSION_MS + allowed && errors.length === 0,
        measured: formatMs(milliseconds),
        goal: `≤ session ${SESSION_MS} + ${allowed} ms`,
        how:
          `${unavailable.length} partitions led by brokers killed in ${kills} kills, acks=all, min.insync.replicas=2, ` +
          "metadata in the supervisor's own store (not etcd), " +
          `${hidesDeaths ? 'found by the session alone' : 'the supervisor sees it'}; longest ${formatMs(Math.max(...unavailable))}; ` +
          `${errors.length} errors${errors.length === 0 ? '' : `: ${errors[0]}`}`,
      })
    }
  } finally {
    await written.close()
  }
}

/** Milliseconds for each partition that the broker led. Resolves when the broker is back and all is in sync. */
async function killOnce(written: WrittenCluster, hidesDeaths: boolean): Promise<number[]> {
  const { cluster, writers } = written
  const all = Array.from({ length: written.partitions }, (_, partition) => partition)
  await written.whole()
  const readyMs = performance.now()
  await written.written(all, readyMs, STEADY_MS, AGAIN_MS_MAX)
  await written.pause(STEADY_MS)
  const { id, leads } = busiestLeader(await written.whole())
  const child = cluster.child(id)
  const killedMs = performance.now()
  child.killNow()
  await child.exited
  // Longer than what was acknowledged before it died may be on its way.
  await written.written(leads, killedMs + 2 * STEADY_MS, STEADY_MS, AGAIN_MS_MAX)
  const untilMs = performance.now()
  if (hidesDeaths) cluster.reveal(id)
  return leads.map((partition) => longest(writers.between(partition, killedMs, untilMs))!.acknowledgedMs - killedMs)
}
