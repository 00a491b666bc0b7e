/** Changes of an ISR in the store: on which conditions they are made. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PagelogError } from '../../src/base/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import {
  brokerKey,
  EmbeddedMetadata,
  type MetadataStore,
  parsePartition,
  partitionKey,
  partitionsOfTopic,
} from '../../src/metadata/index.ts'
import { type IsrChange, MetadataIsrStore } from '../../src/replication/index.ts'

let store: EmbeddedMetadata
let isrs: MetadataIsrStore
const state = { leader: 1, leaderEpoch: 4, replicas: [1, 2, 3], isr: [1], elr: [2], partitionEpoch: 9 }

async function put(key: string, value: object): Promise<number> {
  return (await store.transact([], [{ type: 'put', key, value: JSON.stringify(value) }])).revision
}

/** 3 joins. */
async function joining(): Promise<IsrChange> {
  const [leader, added] = [(await store.get(brokerKey(1))).pair!, (await store.get(brokerKey(3))).pair!]
  return {
    ...{ topicId: 'id', index: 0, leader: 1, leaderEpoch: 4, partitionEpoch: 9, isr: [1, 3], minIsr: 2 },
    brokerEpochs: new Map([
      [1, leader.createRevision],
      [3, added.createRevision],
    ]),
    brokerRevisions: new Map([[3, added.modRevision]]),
  }
}

const stored = async () => parsePartition((await store.get(partitionKey('id', 0))).pair!.value)

const revision = async () => (await store.get(partitionKey('id', 0))).pair!.modRevision

beforeEach(async () => {
  store = await EmbeddedMetadata.open({ disk: memoryDisk(), clock: new VirtualClock(), path: '/journal' })
  isrs = new MetadataIsrStore(store)
  for (const id of [1, 3]) await put(brokerKey(id), { id })
  await put(partitionKey('id', 0), state)
})
afterEach(() => store.close())

test('a member that comes is written, and who was eligible is not any more', async () => {
  const outcome = await isrs.change(await joining())
  expect(outcome).toMatchObject({ changed: true, state: { isr: [1, 3], elr: [], partitionEpoch: 10 } })
  expect(outcome.state).toEqual({ ...(await stored()), modRevision: await revision() })
})

test('one that says meanwhile that it is leaving does not join', async () => {
  const change = await joining()
  await put(brokerKey(3), { id: 3, leaving: true })
  expect(await isrs.change(change)).toEqual({ changed: false, state: undefined })
  expect(await stored()).toEqual(state)
})

test.each([1, 3])('nothing is written once broker %i has another life', async (id) => {
  const change = await joining()
  await store.transact([], [{ type: 'delete', key: brokerKey(id) }])
  expect((await isrs.change(change)).changed).toBe(false)
  await put(brokerKey(id), { id })
  expect((await isrs.change(change)).changed).toBe(false)
  expect(await stored()).toEqual(state)
})

test('another state is told and left as it is', async () => {
  const change = await joining()
  await put(partitionKey('id', 0), { ...state, partitionEpoch: 10 })
  expect(await isrs.change(change)).toMatchObject({ changed: false, state: { partitionEpoch: 10 } })
  await put(partitionKey('id', 0), { ...state, leader: 2, leaderEpoch: 5 })
  expect(await isrs.change(change)).toMatchObject({ changed: false, state: { leader: 2 } })
})

test('a leader without a registration never gets so far: it would compare that there is none', async () => {
  await store.transact([], [{ type: 'delete', key: brokerKey(1) }])
  const wish = { topicId: 'id', index: 0, leader: 1, leaderEpoch: 4, partitionEpoch: 9, isr: [1], minIsr: 1 }
  const isrChange = { ...wish, brokerEpochs: new Map([[1, 0]]), brokerRevisions: new Map() }
  await expect(isrs.change(isrChange)).rejects.toThrow(expect.objectContaining({ code: 'PAGELOG_INVARIANT' }))
})

describe('changes that are asked for together', () => {
  const COUNT = 300
  /** As their leader knows them: 3 joins each. */
  async function joiningAll(): Promise<IsrChange[]> {
    const change = await joining()
    const changes: IsrChange[] = []
    for (let index = 0; index < COUNT; index++) {
      const modRevision = await put(partitionKey('id', index), state)
      changes.push({ ...change, index, known: { ...state, modRevision } })
    }
    return changes
  }
  const epochs = async () =>
    (await store.range(partitionsOfTopic('id'))).pairs.map(({ value }) => parsePartition(value).partitionEpoch)

  test('are few transactions', async () => {
    const changes = await joiningAll()
    const before = (await store.get(brokerKey(1))).revision
    const outcomes = await Promise.all(changes.map((change) => isrs.change(change)))
    expect(outcomes.every(({ changed }) => changed)).toBe(true)
    expect(new Set(outcomes.map((outcome) => outcome.state?.modRevision)).size).toBe(3)
    expect((await store.get(brokerKey(1))).revision).toBe(before + 3)
    expect(await epochs()).toEqual(changes.map(() => 10))
    // What came of one can be changed again without a look at the store.
    const again = { ...changes[0]!, partitionEpoch: 10, known: outcomes[0]!.state!, isr: [1] }
    expect(await isrs.change(again)).toMatchObject({ changed: true, state: { isr: [1], partitionEpoch: 11 } })
  })

  test('do not fail with one of them, which is told what there is now', async () => {
    const changes = await joiningAll()
    await put(partitionKey('id', 7), { ...state, partitionEpoch: 12 })
    const outcomes = await Promise.all(changes.map((change) => isrs.change(change)))
    expect(outcomes.filter(({ changed }) => !changed)).toEqual([outcomes[7]])
    expect(outcomes[7]!.state).toMatchObject({ partitionEpoch: 12 })
  })

  test('of one partition are made one after the other', async () => {
    const [change] = await joiningAll()
    const outcomes = await Promise.all([isrs.change(change!), isrs.change(change!)])
    expect(outcomes.map(({ changed }) => changed)).toEqual([true, false])
    expect(outcomes[1]!.state).toMatchObject({ isr: [1, 3], partitionEpoch: 10 })
  })

  test('are all unknown when their transaction is', async () => {
    const changes = (await joiningAll()).slice(0, 3)
    const lost = new PagelogError('PAGELOG_OUTCOME_UNKNOWN', 'no answer')
    const away = { get: (key: string) => store.get(key), transact: () => Promise.reject(lost) }
    const lossy = new MetadataIsrStore(away as Partial<MetadataStore> as MetadataStore)
    const outcomes = await Promise.allSettled(changes.map((change) => lossy.change(change)))
    expect(outcomes).toEqual(changes.map(() => ({ status: 'rejected', reason: lost })))
    expect(await epochs()).toEqual(Array.from({ length: COUNT }, () => 9))
  })
})
