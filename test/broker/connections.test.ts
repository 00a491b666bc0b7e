import { afterEach, expect, test } from 'vitest'
import { Metadata } from '../../src/protocol/index.ts'
import { createTopic, type Fixture, startFixture } from './fixtures.ts'

let fixture: Fixture | undefined
afterEach(async () => {
  await fixture?.close()
  fixture = undefined
})

test('clients are told the advertised address', async () => {
  fixture = await startFixture({
    settings: { advertisedListeners: ['PLAINTEXT://broker.example:1234'], brokerRack: 'r1' },
  })
  const { brokers } = await fixture.client.ask(Metadata, 9, { topics: [] })
  expect(brokers).toEqual([{ nodeId: 1, host: 'broker.example', port: 1234, rack: 'r1' }])
})

test('close ends connections and waiting fetches, and can be called twice', async () => {
  fixture = await startFixture()
  await createTopic(fixture.client, 'topic')
  const { fetch } = await import('./fixtures.ts')
  const waiting = fetch(fixture.client, 'topic', { maxWaitMs: 15000 }).catch((error: Error) => error.message)
  await expect.poll(() => fixture!.broker.metrics().fetchesWaiting).toBe(1)
  await Promise.all([fixture.broker.close(), fixture.broker.close()])
  expect(await waiting).toBe('connection closed')
  expect(fixture.broker.metrics()).toMatchObject({ connections: 0, fetchesWaiting: 0 })
})

test('metrics count what was done', async () => {
  fixture = await startFixture()
  const { batchOf, fetch, produce } = await import('./fixtures.ts')
  await createTopic(fixture.client, 'topic', { numPartitions: 2 })
  const batch = batchOf(['x'])
  await produce(fixture.client, 'topic', batch)
  await fetch(fixture.client, 'topic')
  expect(fixture.broker.metrics()).toMatchObject({
    requests: 3,
    connections: 1,
    topics: 1,
    partitions: 2,
    topicsCreated: 1,
    produceBatches: 1,
    produceBytes: batch.length,
    fetchBytes: batch.length,
    requestsFailed: 0,
  })
})
