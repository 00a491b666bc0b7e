/** What is told to the sampler of the event loop: a broker that nobody uses must not be measured as one that is. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Broker } from '../../src/broker/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { Fetch, Metadata } from '../../src/protocol/index.ts'
import { batchOf, createTopic, fetch, produce } from './fixtures.ts'
import { RawClient } from './raw-client.ts'

let busy = 0
const sampler = {
  idle: true,
  snapshot: () => ({ turns: 0, delayMs: { p50: 0, p99: 0, max: 0 } }),
  busy: () => {
    busy++
  },
  reset: () => {},
  close: () => {},
}
let broker: Broker
let client: RawClient
let topicId: string

beforeAll(async () => {
  const settings = { listeners: ['PLAINTEXT://127.0.0.1:0'], logDir: '/data' }
  broker = await Broker.start({ env: { ...nodeEnv(), disk: memoryDisk() }, settings, sampler })
  client = await RawClient.connect(`127.0.0.1:${broker.port}`)
  topicId = await createTopic(client, 'events')
})
afterAll(async () => {
  await client.close()
  await broker.close()
})

test('a fetch that waits in vain is no work, also in a session', async () => {
  busy = 0
  expect((await fetch(client, 'events', { maxWaitMs: 1 })).errorCode).toBe(0)
  const topics = [{ topicId, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }]
  const wish = { maxWaitMs: 1, minBytes: 1, maxBytes: 1000 }
  const { sessionId } = await client.ask(Fetch, 16, { ...wish, sessionId: 0, sessionEpoch: 0, topics })
  expect(sessionId).toBeGreaterThan(0)
  const again = await client.ask(Fetch, 16, { ...wish, sessionId, sessionEpoch: 1, topics: [] })
  expect(again).toMatchObject({ errorCode: 0, responses: [] })
  expect(busy).toBe(0)
})

test('records that are written or read are, and what clients ask besides', async () => {
  busy = 0
  await produce(client, 'events', batchOf(['a']))
  expect(busy).toBe(1)
  expect((await fetch(client, 'events')).records?.length).toBeGreaterThan(0)
  expect(busy).toBe(2)
  await client.ask(Metadata, 9, { topics: [] })
  expect(busy).toBe(3)
})
