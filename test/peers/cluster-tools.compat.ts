/** Kafka's command line tools against three brokers: where replicas are, more partitions, preferred leaders. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FaultCluster } from '../faults/cluster/fault-cluster.ts'
import { tool, topicCommand } from './kafka-tools.ts'

let cluster: FaultCluster
let bootstrap: string
beforeAll(async () => {
  cluster = await FaultCluster.start()
  bootstrap = cluster.bootstrap.join(',')
}, 300_000)
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
})

/** What TopicCommand says of each partition. */
async function described(topic: string): Promise<{ leader: number; replicas: number[]; isr: number[] }[]> {
  const [, ...lines] = (await topicCommand(bootstrap, '--describe', '--topic', topic)).split('\n')
  const ids = (text: string | undefined): number[] => text!.split(',').map(Number).sort()
  return lines.map((line) => ({
    leader: Number(/Leader: (-?\d+)/.exec(line)![1]),
    replicas: ids(/Replicas: ([\d,]+)/.exec(line)![1]),
    isr: ids(/Isr: ([\d,]+)/.exec(line)![1]),
  }))
}

const everywhere = { replicas: [1, 2, 3], isr: [1, 2, 3] }

test('TopicCommand creates with replicas on every broker, and adds partitions', { timeout: 120_000 }, async () => {
  await topicCommand(bootstrap, '--create', '--topic', 'spread', '--partitions', '3', '--replication-factor', '3')
  await cluster.whole()
  const partitions = await described('spread')
  expect(partitions.map(({ leader }) => leader).sort()).toEqual([1, 2, 3])
  for (const partition of partitions) expect(partition).toMatchObject(everywhere)

  await topicCommand(bootstrap, '--alter', '--topic', 'spread', '--partitions', '5')
  await cluster.until('there are five', () => cluster.partitions.length === 5)
  await cluster.whole()
  const more = await described('spread')
  expect(more.slice(0, 3)).toEqual(partitions)
  expect(more).toHaveLength(5)
  for (const partition of more) expect(partition).toMatchObject(everywhere)

  const fewer = topicCommand(bootstrap, '--alter', '--topic', 'spread', '--partitions', '2')
  await expect(fewer).rejects.toThrow(/InvalidPartitionsException: The topic has 5 partitions/)
})

test('LeaderElectionCommand gives a partition back to its first replica', { timeout: 120_000 }, async () => {
  await cluster.createTopic('led', 1)
  await cluster.whole()
  const first = cluster.partition('led', 0).leader
  const since = new Map([[first, cluster.epochOf(first)]])
  expect(await cluster.broker(first).stop()).toBe(0)
  await cluster.until('another one leads', () => ![first, -1].includes(cluster.partition('led', 0).leader))
  await cluster.broker(first).start()
  await cluster.whole(since)
  expect(cluster.partition('led', 0).leader).not.toBe(first)

  const elect = ['--bootstrap-server', bootstrap, '--election-type', 'preferred', '--topic', 'led', '--partition', '0']
  const said = await tool('org.apache.kafka.tools.LeaderElectionCommand', elect)
  expect(said).toContain('Successfully completed leader election (PREFERRED) for partitions led-0')
  await cluster.until('the first one leads', () => cluster.partition('led', 0).leader === first)
  expect((await described('led'))[0]).toMatchObject({ leader: first, ...everywhere })
})
