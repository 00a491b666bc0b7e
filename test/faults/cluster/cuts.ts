/** Links of the leader of a partition, and of a follower, that are cut for about a session and healed. */
import type { FaultCluster } from './fault-cluster.ts'
import { pause, type Torture } from './under-load.ts'

/** As short as etcd allows, for many rounds. */
export const SHORT_SESSION_MS = 1_000
export const SHORT_SETTINGS = {
  'broker.session.timeout.ms': String(SHORT_SESSION_MS),
  'broker.heartbeat.interval.ms': '250',
  'replica.lag.time.max.ms': '1500',
  'replica.socket.timeout.ms': '1500',
}
/** Past the session, and past what a leader waits for a follower. */
const CUT_MS_MIN = 1_500

export function leaderOf(cluster: FaultCluster, topic: string): number {
  return cluster.partition(topic, 0).leader
}

export interface Cut {
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
export const cuts: readonly Cut[] = [
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

export async function cutAndHeal(cluster: FaultCluster, torture: Torture, { links }: Cut): Promise<void> {
  const { topic, random } = torture
  const leader = leaderOf(cluster, topic)
  const others = [1, 2, 3].filter((id) => id !== leader)
  if (random.chance(0.5)) others.reverse()
  for (const [from, to] of links(leader, others)) if (from !== to) cluster.hosts.cut(from, to)
  await pause(CUT_MS_MIN + random.below(SHORT_SESSION_MS))
  cluster.hosts.heal()
  await cluster.whole()
  await torture.writable()
}
