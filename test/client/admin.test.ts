import { afterEach, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { Admin } from '../../src/client/index.ts'
import { CreateTopics } from '../../src/protocol/index.ts'
import { FakeBroker } from './fake-broker.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function setUp() {
  const broker = await FakeBroker.start()
  closers.push(() => broker.close())
  const admin = new Admin({ bootstrap: broker.bootstrap, retryBackoffMs: 1, retryBackoffMaxMs: 5 })
  closers.push(() => admin.close())
  return { broker, admin }
}

test('a topic whose error may pass is asked for again, those that were made are not', async () => {
  const { broker, admin } = await setUp()
  broker.inject(CreateTopics, { error: ErrorCode.THROTTLING_QUOTA_EXCEEDED })
  await admin.createTopics([{ topic: 'a' }, { topic: 'b' }])
  expect([...broker.topics.keys()]).toEqual(['a', 'b'])
  expect(broker.callsOf(CreateTopics)).toHaveLength(2)
})

test('a topic that was refused for good is told of after the others are made', async () => {
  const { broker, admin } = await setUp()
  broker.addTopic('there', 1)
  broker.inject(CreateTopics, { error: ErrorCode.THROTTLING_QUOTA_EXCEEDED })
  await expect(admin.createTopics([{ topic: 'there' }, { topic: 'b' }])).rejects.toMatchObject({
    kafkaCode: ErrorCode.TOPIC_ALREADY_EXISTS,
    message: expect.stringContaining('there'),
  })
  expect(broker.topics.has('b')).toBe(true)
})
