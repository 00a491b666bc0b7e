/**
 * Brokers that the others take for dead and that are not: stopped past their session and going on, or cut off from etcd,
 * from each other, or in one direction only. None of them may acknowledge what the others do not have, and no two may
 * lead at once.
 */
import { expect, test } from 'vitest'
import { ErrorCode } from '../../../src/base/index.ts'
import { Admin } from '../../../src/client/index.ts'
import { BUFFERED, isolateLeader, sendBuffered } from './buffered.ts'
import { cutAndHeal, cuts, leaderOf, SHORT_SESSION_MS, SHORT_SETTINGS } from './cuts.ts'
import { type FaultCluster, startFor } from './fault-cluster.ts'
import { CUT_NEEDS } from './hosts.ts'
import { expectSound } from './outcome.ts'
import { pause, type Torture, underLoad } from './under-load.ts'

const rounds = Number(process.env.PAGELOG_ROUNDS ?? 20)
const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)

/** Where the first partition of the topic ends, as this broker alone tells. */
async function endAt(cluster: FaultCluster, id: number, topic: string): Promise<number> {
  const admin = new Admin({ bootstrap: cluster.broker(id).address })
  try {
    const [told] = await admin.listOffsets([{ topic, partition: 0, at: 'end' }])
    return told!.offset
  } finally {
    await admin.close()
  }
}

/** What a broker may answer that is asked where a partition ends and does not lead it, or does not know that it does. */
const REFUSALS: readonly number[] = [
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.FENCED_LEADER_EPOCH,
  ErrorCode.OFFSET_NOT_AVAILABLE,
]

/** How many ends it told. */
async function stopAndGoOn(cluster: FaultCluster, torture: Torture): Promise<number> {
  const { topic, writable } = torture
  const id = leaderOf(cluster, topic)
  const epoch = cluster.epochOf(id)
  cluster.broker(id).pause()
  // Among them where the partition ends: it finds those questions before it can have heard of anything.
  const { answered } = await sendBuffered(torture, cluster.broker(id).address)
  await cluster.until('another one leads', () => ![id, -1].includes(leaderOf(cluster, topic)))
  await pause(SHORT_SESSION_MS)
  await writable()
  const before = await endAt(cluster, leaderOf(cluster, topic), topic)
  cluster.broker(id).resume()
  const { ends, refusals } = await answered
  // Who answers has at least what others had acknowledged before.
  for (const end of ends) expect(end, 'an end of before').toBeGreaterThanOrEqual(before)
  for (const code of refusals) expect(REFUSALS).toContain(code)
  expect(ends.length + refusals.length, 'answers to questions that lay in its socket').toBeGreaterThan(0)
  await cluster.whole(new Map([[id, epoch]]))
  return ends.length
}

const half = Math.ceil(rounds / 2)
for (const part of [0, 1]) {
  test.concurrent(`a leader is stopped for two sessions and goes on, ${half} times: it acknowledges nothing that others lack (${part + 1} of 2)`, async (context) => {
    const cluster = await startFor(context, { settings: SHORT_SETTINGS })
    let told = 0
    const outcome = await underLoad(cluster, { seed: seed + part }, async (torture) => {
      for (let count = 0; count < half; count++) told += await stopAndGoOn(cluster, torture)
    })
    console.log(`${told} questions where a partition ends were answered by a broker that went on, the others refused`)
    expectSound(outcome, `${half} zombies`, half * BUFFERED)
  })
}

test.concurrent('a leader with waiting appends is cut off from all but its clients: it acknowledges none of them', async (context) => {
  const cluster = await startFor(context, { settings: SHORT_SETTINGS })
  expect(cluster.hosts.canCut, CUT_NEEDS).toBe(true)
  const times = Math.max(5, Math.round(rounds / 4))
  const outcome = await underLoad(cluster, { seed }, async (torture) => {
    for (let count = 0; count < times; count++) await isolateLeader(cluster, torture)
  })
  expectSound(outcome, `${times} leaders alone`, times * BUFFERED)
})

// One cluster has the cuts with etcd, the other one those between brokers.
for (const [what, some] of [
  ['etcd', cuts.slice(0, 3)],
  ['others', cuts.slice(3)],
] as const) {
  const rows = some.map((cut) => ({ cut, times: Math.max(2, Math.round((cut.times * rounds) / 20)) }))
  const names = rows.map(({ cut, times }) => `${cut.name} ${times} times`).join(', ')
  test.concurrent(`links of a broker and ${what} are cut: nothing is lost, two never lead at once (${names})`, async (context) => {
    const cluster = await startFor(context, { settings: SHORT_SETTINGS })
    expect(cluster.hosts.canCut, CUT_NEEDS).toBe(true)
    const outcome = await underLoad(cluster, { seed }, async (torture) => {
      for (const { cut, times } of rows) {
        for (let count = 0; count < times; count++) await cutAndHeal(cluster, torture, cut)
      }
    })
    expectSound(outcome, `cut: ${names}`)
  })
}
