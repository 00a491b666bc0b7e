/**
 * The controls of these tests: brokers with one rule of replication broken (broken-rules.mjs). The same checker must find
 * each, under the same load, by what that rule keeps from happening, or what the other tests find sound proves nothing. That
 * a test fails somehow, or a cluster does not heal, proves nothing either. 'ISR change without compare' is not among them: a
 * leader that was replaced nearly always hears of that before it writes, so only the simulation finds it
 * (test/simulation/broken-rules.faults.ts).
 */
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { Verdict } from '../../simulation/history.ts'
import type { BrokenRule } from './broken-rules.mjs'
import { isolateLeader, sendBuffered } from './buffered.ts'
import { type FaultCluster, SESSION_MS, startFor } from './fault-cluster.ts'
import { CUT_NEEDS } from './hosts.ts'
import { pause, type Torture, underLoad } from './under-load.ts'

const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)
const program = fileURLToPath(new URL('./broken-pagelog.mjs', import.meta.url))
/** A broken cluster need not heal. */
const HEAL_MS = 20_000

interface Control {
  readonly rule: BrokenRule
  /** One of these must be found. */
  readonly verdicts: readonly Verdict[]
  readonly faults: (cluster: FaultCluster, torture: Torture) => Promise<void>
}

async function killAll(cluster: FaultCluster, { writable }: Torture): Promise<void> {
  for (let count = 0; count < 3; count++) {
    await pause(1000)
    const since = new Map(cluster.brokers.map(({ id }) => [id, cluster.epochOf(id)]))
    await Promise.all(cluster.brokers.map((broker) => broker.kill()))
    await Promise.all(cluster.brokers.map((broker) => broker.start()))
    await cluster.whole(since)
    await writable()
  }
}

/** Stopped with requests that it has not read, and with what it has appended and its followers have not fetched. */
async function stopLeaders(cluster: FaultCluster, torture: Torture): Promise<void> {
  for (let count = 0; count < 4; count++) {
    const id = cluster.partition(torture.topic, 0).leader
    const epoch = cluster.epochOf(id)
    cluster.broker(id).pause()
    const { answered } = await sendBuffered(torture, cluster.broker(id).address)
    await pause(SESSION_MS)
    await cluster.until('another one leads', () => cluster.partition(torture.topic, 0).leader !== id)
    await torture.writable()
    cluster.broker(id).resume()
    await answered
    await cluster.whole(new Map([[id, epoch]]))
  }
}

const controls: readonly Control[] = [
  { rule: 'ack before write', verdicts: ['lost'], faults: isolateLeader },
  { rule: 'truncate by high watermark', verdicts: ['lost', 'diverged'], faults: killAll },
  { rule: 'no epoch check', verdicts: ['lost', 'diverged', 'two values'], faults: stopLeaders },
  { rule: 'zombie leader acks', verdicts: ['lost'], faults: isolateLeader },
]

for (const { rule, verdicts, faults } of controls) {
  test.concurrent(`brokers with a broken rule are found out: ${rule}`, async (context) => {
    const cluster = await startFor(context, { program: [program, rule] })
    expect(cluster.hosts.canCut, CUT_NEEDS).toBe(true)
    cluster.healMs = HEAL_MS
    const { violations } = await underLoad(cluster, { seed, isControl: true }, (torture) => faults(cluster, torture))
    const counts = new Map<string, number>()
    for (const { verdict } of violations) counts.set(verdict, (counts.get(verdict) ?? 0) + 1)
    const found = violations.filter(({ verdict }) => verdicts.includes(verdict))
    console.log(
      `${rule}: ${JSON.stringify(Object.fromEntries(counts))}, such as ${found[0]?.verdict}: ${found[0]?.text}`,
    )
    expect(found.length).toBeGreaterThan(0)
  })
}
