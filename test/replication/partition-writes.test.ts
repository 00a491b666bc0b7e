/** Many partitions written together: what becomes of those that somebody else has changed. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { type Compare, EmbeddedMetadata, type MetadataStore, partitionKey } from '../../src/metadata/index.ts'
import { type PartitionWrite, writePartitions } from '../../src/replication/partition-writes.ts'

const COUNT = 250
const before = { leader: 1, leaderEpoch: 4, replicas: [1, 2, 3], isr: [1], elr: [2], partitionEpoch: 9 }
const next = { ...before, leader: 2, leaderEpoch: 5, partitionEpoch: 10 }

let embedded: EmbeddedMetadata
let store: MetadataStore
let transactions = 0
let writes: PartitionWrite[]

async function put(key: string, value: object): Promise<number> {
  return (await embedded.transact([], [{ type: 'put', key, value: JSON.stringify(value) }])).revision
}

const leaders = async () => {
  const { pairs } = await embedded.range('')
  return new Map(pairs.map(({ key, value }) => [key, (JSON.parse(value) as { leader?: number }).leader]))
}

beforeEach(async () => {
  embedded = await EmbeddedMetadata.open({ disk: memoryDisk(), clock: new VirtualClock(), path: '/journal' })
  transactions = 0
  writes = []
  for (let index = 0; index < COUNT; index++) {
    const topicId = index < 150 ? 'one' : 'other'
    writes.push({ topicId, index, modRevision: await put(partitionKey(topicId, index), before), next })
  }
  store = {
    get: (key) => embedded.get(key),
    range: (prefix) => embedded.range(prefix),
    transact: (compare, operations) => {
      transactions++
      return embedded.transact(compare, operations)
    },
  } as Partial<MetadataStore> as MetadataStore
})
afterEach(() => embedded.close())

test('what somebody else has changed is refused, the rest is written with the next try', async () => {
  const changed = writes.filter((_, i) => i % 7 === 3)
  for (const { topicId, index } of changed) await put(partitionKey(topicId, index), { ...before, leader: 3 })
  const { refused, fenced } = await writePartitions(store, writes)
  expect(fenced).toBe(false)
  expect(refused).toEqual(changed)
  expect(transactions).toBe(6)
  const now = await leaders()
  for (const write of writes) {
    expect(now.get(partitionKey(write.topicId, write.index))).toBe(changed.includes(write) ? 3 : 2)
  }
})

test('nothing is tried again where all of it has changed, or is gone', async () => {
  for (const { topicId, index } of writes.slice(0, 200))
    await put(partitionKey(topicId, index), { ...before, leader: 3 })
  await embedded.transact([], [{ type: 'deletePrefix', prefix: partitionKey('other', 2) }])
  const { refused } = await writePartitions(store, writes)
  expect(refused).toEqual(writes)
  expect(transactions).toBe(3)
})

test('the condition of one of them keeps back no other', async () => {
  const revision = await put('brokers/2', {})
  await put('brokers/2', { leaving: true })
  const provided: Compare = { key: 'brokers/2', field: 'modRevision', equals: revision }
  const wishes = writes.map((write, i) => (i === 42 || i === 180 ? { ...write, provided } : write))
  const { refused } = await writePartitions(store, wishes)
  expect(refused).toEqual([wishes[42], wishes[180]])
})
