/**
 * Brokers that the others take for dead and that are not: stopped past their session and going on, or cut off from etcd,
 * from each other, or in one direction only. None of them may acknowledge what the others do not have, and no two may
 * lead at once.
 */
import { afterEach, expect, test } from 'vitest'
import { Admin } from '../../../src/client/index.ts'
import { BUFFERED, isolateLeader, sendBuffered } from './buffered.ts'
import { FaultCluster } from './fault-cluster.ts'
import { expectSound } from './outcome.ts'
import { pause, type Torture, underLoad } from './under-load.ts'

const rounds = Number(process.env.PAGELOG_ROUNDS ?? 20)
const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)
/** As short as etcd allows, for many rounds. */
const SESSION_MS = 1_000
const settings = {
  'broker.session.timeout.ms': String(SESSION_MS),
  'broker.heartbeat.interval.ms': '250',
  'replica.lag.time.max.ms': '1500',
  'replica.socket.timeout.ms': '1500',
}
/** Past the session, and past what a leader waits for a follower. */
const CUT_MS_MIN = 1_500

let cluster: FaultCluster | undefined
afterEach(async () => {
  await cluster?.[Symbol.asyncDispose]()
  cluster = undefined
})

function leaderOf(topic: string): number {
  return cluster!.partition(topic, 0).leader
}

/** Where the partitions of the topic end, as this broker alone tells; undefined for one that it does not lead. */
async function endsAt(id: number, topic: string): Promise<number[]> {
  const admin = new Admin({ bootstrap: cluster!.broker(id).address })
  try {
    const partitions = cluster!.image.topic(topic)!.partitions.map(({ index }) => index)
    const told = await admin.listOffsets(partitions.map((partition) => ({ topic, partition, at: 'end' })))
    return told.map(({ offset }) => offset)
  } finally {
    await admin.close()
  }
}

test(`a leader is stopped for two sessions and goes on, ${rounds} times: it acknowledges nothing that others lack`, async () => {
  cluster = await FaultCluster.start({ settings })
  const outcome = await underLoad(cluster, { seed }, async (torture) => {
    const { topic, writable } = torture
    for (let count = 0; count < rounds; count++) {
      const id = leaderOf(topic)
      const epoch = cluster!.epochOf(id)
      cluster!.broker(id).pause()
      const { answered } = await sendBuffered(torture, cluster!.broker(id).address)
      await cluster!.until('another one leads', () => leaderOf(topic) !== id && leaderOf(topic) !== -1)
      await pause(SESSION_MS)
      await writable()
      const before = await endsAt(leaderOf(topic), topic)
      cluster!.broker(id).resume()
      await answered
      // Asked of the one that went on: whoever answers has at least what others had acknowledged.
      const after = await endsAt(id, topic)
      for (const [partition, end] of before.entries()) expect(after[partition]).toBeGreaterThanOrEqual(end)
      await cluster!.whole(new Map([[id, epoch]]))
    }
  })
  expectSound(outcome, `${rounds} zombies`, rounds * BUFFERED)
})

test('a leader with waiting appends is cut off from all but its clients: it acknowledges none of them', async () => {
  cluster = await FaultCluster.start({ settings })
  const times = Math.max(3, Math.round(rounds / 4))
  const outcome = await underLoad(cluster, { seed }, async (torture) => {
    for (let count = 0; count < times; count++) await isolateLeader(cluster!, torture)
  })
  expectSound(outcome, `${times} leaders alone`, times * BUFFERED)
})

interface Cut {
  readonly name: string
  /** Of twenty rounds. */
  readonly times: number
  /** Pairs of hosts: what the first sends does not arrive at the second. */
  readonly links: (leader: number, others: readonly number[]) => readonly (readonly [string, string])[]
}

const host = (id: number): string => `b${id}`
const both = (a: string, b: string): (readonly [string, string])[] => [
  [a, b],
  [b, a],
]
const cuts: readonly Cut[] = [
  { name: 'the leader and etcd', times: 4, links: (leader) => both(host(leader), 'e') },
  { name: 'the leader to etcd only', times: 3, links: (leader) => [[host(leader), 'e']] },
  { name: 'etcd to the leader only', times: 3, links: (leader) => [['e', host(leader)]] },
  {
    name: 'the leader and its followers',
    times: 7,
    links: (leader, all) => all.flatMap((id) => both(host(leader), host(id))),
  },
  {
    name: 'the followers to the leader only',
    times: 10,
    links: (leader, all) => all.map((id) => [host(id), host(leader)]),
  },
  {
    name: 'the leader to the followers only',
    times: 3,
    links: (leader, all) => all.map((id) => [host(leader), host(id)]),
  },
  {
    name: 'one follower and everybody',
    times: 3,
    links: (_, [id]) => ['e', 'b1', 'b2', 'b3'].flatMap((to) => both(host(id!), to)),
  },
]

async function cutAndHeal(torture: Torture, { links }: Cut): Promise<void> {
  const { topic, random } = torture
  const leader = leaderOf(topic)
  const others = [1, 2, 3].filter((id) => id !== leader)
  if (random.chance(0.5)) others.reverse()
  for (const [from, to] of links(leader, others)) if (from !== to) cluster!.hosts.cut(from, to)
  await pause(CUT_MS_MIN + random.below(SESSION_MS))
  cluster!.hosts.heal()
  await cluster!.whole()
  await torture.writable()
}

for (const cut of cuts) {
  const times = Math.max(2, Math.round((cut.times * rounds) / 20))
  test(`the link is cut between ${cut.name}, ${times} times: nothing is lost, two never lead at once`, async () => {
    cluster = await FaultCluster.start({ settings })
    expect(cluster.hosts.canCut, 'needs root, ip and nft (Debian: iproute2, nftables)').toBe(true)
    const outcome = await underLoad(cluster, { seed }, async (torture) => {
      for (let count = 0; count < times; count++) await cutAndHeal(torture, cut)
    })
    expectSound(outcome, `cut: ${cut.name}`)
  })
}
