/**
 * The controls of these tests: brokers with one rule of replication broken (broken-rules.mjs). Each must be found out by
 * the same load, the same faults and the same checker, or what the other tests find sound proves nothing.
 */
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import type { BrokenRule } from './broken-rules.mjs'
import { isolateLeader, sendBuffered } from './buffered.ts'
import { FaultCluster, SESSION_MS } from './fault-cluster.ts'
import { pause, type Torture, underLoad } from './under-load.ts'

const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)
const program = fileURLToPath(new URL('./broken-pagelog.mjs', import.meta.url))
/** A broken cluster need not heal, and that is a way to be found out. */
const HEAL_MS = 30_000

let cluster: FaultCluster | undefined
afterEach(async () => {
  await cluster?.[Symbol.asyncDispose]()
  cluster = undefined
})

async function killAll({ writable }: Torture): Promise<void> {
  for (let count = 0; count < 3; count++) {
    await pause(1000)
    const since = new Map(cluster!.brokers.map(({ id }) => [id, cluster!.epochOf(id)]))
    await Promise.all(cluster!.brokers.map((broker) => broker.kill()))
    await Promise.all(cluster!.brokers.map((broker) => broker.start()))
    await cluster!.whole(since)
    await writable()
  }
}

/** Stopped with requests that it has not read, and with what it has appended and its followers have not fetched. */
async function stopLeaders(torture: Torture): Promise<void> {
  for (let count = 0; count < 4; count++) {
    const id = cluster!.partition(torture.topic, 0).leader
    const epoch = cluster!.epochOf(id)
    cluster!.broker(id).pause()
    const { answered } = await sendBuffered(torture, cluster!.broker(id).address)
    await pause(SESSION_MS)
    await cluster!.until('another one leads', () => cluster!.partition(torture.topic, 0).leader !== id)
    await torture.writable()
    cluster!.broker(id).resume()
    await answered
    await cluster!.whole(new Map([[id, epoch]]))
  }
}

const controls: readonly { readonly rule: BrokenRule; readonly faults: (torture: Torture) => Promise<void> }[] = [
  { rule: 'ack before write', faults: (torture) => isolateLeader(cluster!, torture) },
  { rule: 'truncate by high watermark', faults: killAll },
  { rule: 'no epoch check', faults: stopLeaders },
  { rule: 'zombie leader acks', faults: (torture) => isolateLeader(cluster!, torture) },
]

for (const { rule, faults } of controls) {
  test(`brokers with a broken rule are found out: ${rule}`, async () => {
    cluster = await FaultCluster.start({ program: [program, rule] })
    cluster.healMs = HEAL_MS
    let found: string
    try {
      const { violations } = await underLoad(cluster, { seed, isControl: true }, faults)
      found =
        violations.length === 0
          ? ''
          : `${violations.length} violations, the first: ${violations[0]!.verdict}, ${violations[0]!.text}`
    } catch (error) {
      found = String(error).split('\n')[0]!
    }
    console.log(`${rule}: ${found}`)
    expect(found).not.toBe('')
  })
}
