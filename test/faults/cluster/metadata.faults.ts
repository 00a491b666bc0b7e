/**
 * etcd fails in its ways, the brokers do not: its leader is killed, all of it is away for longer than a session, it is
 * compacted behind the back of a broker that stands still or is cut off.
 */
import { expect, test } from 'vitest'
import { Admin } from '../../../src/client/index.ts'
import { type FaultCluster, SESSION_MS, startFor } from './fault-cluster.ts'
import { expectSound } from './outcome.ts'
import { pause, underLoad } from './under-load.ts'
import { SLACK } from './watched-cluster.ts'

const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)
/** What a broker's view may take to be etcd's (E2), and until all is well when etcd is back (E1). */
const VIEW_MS_MAX = SLACK * 5_000
const RECOVERY_MS_MAX = SLACK * 10_000

async function call(endpoint: { readonly host: string; readonly port: number }, path: string, body: object) {
  const url = `http://${endpoint.host}:${endpoint.port}/v3/${path}`
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(10_000) })
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`)
  return (await answer.json()) as {
    readonly header: { readonly revision: string; readonly member_id: string }
    readonly leader?: string
  }
}

test.concurrent('kill -9 of the leader of etcd, then of all of it for three sessions: producers and consumers see nothing', async (context) => {
  const cluster = await startFor(context, { etcdMembers: 3 })
  const { members } = cluster.etcd
  const outcome = await underLoad(cluster, { seed }, async ({ writable }) => {
    const epochs = cluster.brokers.map(({ id }) => cluster.epochOf(id))
    for (let count = 0; count < 3; count++) {
      const states = await Promise.all(members.map(({ endpoint }) => call(endpoint, 'maintenance/status', {})))
      const leading = members[states.findIndex(({ header, leader }) => header.member_id === leader)]!
      await leading.kill()
      await pause(SESSION_MS)
      await writable()
      await leading.startAgain()
    }
    // Nobody lost its registration: what was down was never the majority.
    expect(cluster.brokers.map(({ id }) => cluster.epochOf(id))).toEqual(epochs)
    await Promise.all(members.map((member) => member.kill()))
    for (let count = 0; count < 6; count++) {
      await pause(SESSION_MS / 2)
      await writable()
    }
    await Promise.all(members.map((member) => member.startAgain()))
    await cluster.createTopic('after', 1)
    await cluster.until('all is well soon', () => cluster.isWhole(), RECOVERY_MS_MAX)
  })
  expectSound(outcome, 'etcd killed')
  // Writes went on while it was away, as waiting for them has shown; nor does anybody wait for a session.
  expect(Math.max(0, ...outcome.gaps.map(({ ms }) => ms))).toBeLessThan(SLACK * SESSION_MS)
})

/** The topics as this broker alone tells them. */
async function topicsAt(cluster: FaultCluster, id: number): Promise<string[]> {
  const admin = new Admin({ bootstrap: cluster.broker(id).address })
  try {
    return (await admin.listTopics()).sort()
  } finally {
    await admin.close()
  }
}

async function sees(cluster: FaultCluster, id: number, topics: readonly string[]): Promise<void> {
  const end = performance.now() + VIEW_MS_MAX
  for (;;) {
    const seen = await topicsAt(cluster, id)
    if (JSON.stringify(seen) === JSON.stringify(topics)) return
    if (performance.now() > end) expect(seen).toEqual(topics)
    await pause(50)
  }
}

/** Topics come and go, and etcd forgets how. */
async function changeTopics(cluster: FaultCluster, round: string): Promise<string[]> {
  const admin = new Admin({ bootstrap: cluster.bootstrap.slice(0, 2), requestTimeoutMs: 5_000 })
  try {
    const configs = { 'min.insync.replicas': '1' }
    await admin.createTopics([
      { topic: `${round}-gone`, partitions: 2, replicationFactor: 2, configs },
      { topic: `${round}-stays`, partitions: 2, replicationFactor: 2, configs },
    ])
    await admin.deleteTopics([`${round}-gone`])
  } finally {
    await admin.close()
  }
  const { header } = await call(cluster.etcd.endpoints[0]!, 'kv/range', { key: Buffer.from('x').toString('base64') })
  await call(cluster.etcd.endpoints[0]!, 'kv/compaction', { revision: header.revision, physical: true })
  return cluster.image
    .topics()
    .map(({ name }) => name)
    .sort()
}

test.concurrent('etcd is compacted while a broker stands still or is cut off: its view is etcd’s soon after, deletions too', async (context) => {
  const cluster = await startFor(context)
  await cluster.createTopic('before', 3)
  const broker = cluster.broker(3)
  const ways = [
    { name: 'paused', begin: () => broker.pause(), end: () => broker.resume() },
    {
      name: 'cut',
      begin: () => {
        cluster.hosts.cut('b3', 'e')
        cluster.hosts.cut('e', 'b3')
      },
      end: () => cluster.hosts.heal(),
    },
  ]
  for (const { name, begin, end } of ways) {
    begin()
    await cluster.until('its session has ended', () => cluster.epochOf(3) === 0)
    const topics = await changeTopics(cluster, name)
    end()
    await sees(cluster, 3, topics)
    await cluster.whole()
    // A part of a session only: it stays registered, and its watch is cut all the same.
    const epoch = cluster.epochOf(3)
    begin()
    const more = await changeTopics(cluster, `${name}-shortly`)
    end()
    await sees(cluster, 3, more)
    await cluster.whole()
    if (cluster.epochOf(3) !== epoch) console.log(`${name}: it took longer than a session here`)
  }
})
