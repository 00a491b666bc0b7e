/** Folders of partitions that say that they are another topic's: copied anew where somebody has what is to take their place. */
import { afterEach, expect, test } from 'vitest'
import { batchOf, fetch, produce, recordsIn } from '../broker/fixtures.ts'
import { TestCluster, until } from './brokers.ts'

const METADATA = '/pagelog/events-0/partition.metadata'
const OTHER = 'MTIzNDU2Nzg5MDEyMzQ1Ng'

let cluster: TestCluster
afterEach(() => cluster?.close())

/** Stopped, with a file that names another topic. */
async function stray(id: number): Promise<void> {
  await cluster.stopBroker(id)
  await name(id, OTHER)
}

async function name(id: number, topicId: string): Promise<void> {
  await cluster.disk(id).replaceFile(METADATA, new TextEncoder().encode(`version: 0\ntopic_id: ${topicId}`))
}

async function straysOf(id: number): Promise<string[]> {
  return (await cluster.disk(id).list('/pagelog')).filter((one) => one.endsWith('-stray'))
}

test('one of several is set aside as it is, said, and the replica is in sync again', async () => {
  cluster = await TestCluster.start({ settings: { replicaFetchWaitMaxMs: 20 } })
  const topicId = await cluster.createTopic('events', [[1, 2, 3]])
  for (const value of ['a', 'b']) await produce(await cluster.client(1), 'events', batchOf([value]))
  await stray(3)
  await until(async () => (await cluster.state(topicId)).isr.length === 2)
  const log = (await cluster.disk(3).readFile('/pagelog/events-0/00000000000000000000.log'))!.slice()
  await cluster.startBroker(3)
  await until(async () => (await cluster.state(topicId)).isr.length === 3)
  expect(cluster.replica(3, 'events').log.logEndOffset).toBe(2)
  const [folder, ...more] = await straysOf(3)
  expect(more).toEqual([])
  const kept = await cluster.disk(3).readFile(`/pagelog/${folder}/00000000000000000000.log`)
  expect(Buffer.from(kept!).equals(log)).toBe(true)
  expect(cluster.logger.lines).toContainEqual(
    expect.objectContaining({
      level: 'warn',
      message: expect.stringContaining('-stray') as string,
      fields: { topic: 'events', partition: 0, topicId: OTHER },
    }),
  )
  // It is nobody's the next time either.
  await cluster.stopBroker(3)
  await cluster.startBroker(3)
  await until(async () => (await cluster.state(topicId)).isr.length === 3)
  expect(await straysOf(3)).toEqual([folder])
})

test('all of a partition stay where they are: nobody leads, and nothing is begun anew', async () => {
  cluster = await TestCluster.start({ brokers: 2, settings: { replicaFetchWaitMaxMs: 20 } })
  const topicId = await cluster.createTopic('events', [[1, 2]], { 'min.insync.replicas': '2' })
  await produce(await cluster.client(1), 'events', batchOf(['a']))
  for (const id of [2, 1]) await stray(id)
  for (const id of [1, 2]) await cluster.startBroker(id)
  const isTold = async () => Object.keys((await cluster.state(topicId)).suspects ?? {}).length === 2
  await until(isTold, 'both are told broken')
  expect(await cluster.state(topicId)).toMatchObject({ leader: -1 })
  for (const id of [1, 2]) {
    expect(await straysOf(id)).toEqual([])
    await cluster.stopBroker(id)
    await name(id, topicId)
  }
  for (const id of [1, 2]) await cluster.startBroker(id)
  await until(async () => (await cluster.state(topicId)).isr.length === 2)
  const { leader } = await cluster.state(topicId)
  await cluster.inRoles('events', [1, 2])
  expect(recordsIn((await fetch(await cluster.client(leader), 'events')).records)).toEqual(['0:a'])
})

test('an only replica stays where it is, and is served again when it is named rightly', async () => {
  cluster = await TestCluster.start({ brokers: 1 })
  const topicId = await cluster.createTopic('events', [[1]])
  await produce(await cluster.client(1), 'events', batchOf(['a']))
  await stray(1)
  await cluster.startBroker(1)
  expect(cluster.broker(1).partitions.find('events', 0)).toBeUndefined()
  expect(await straysOf(1)).toEqual([])
  await cluster.stopBroker(1)
  await name(1, topicId)
  await cluster.startBroker(1)
  expect(recordsIn((await fetch(await cluster.client(1), 'events')).records)).toEqual(['0:a'])
})
