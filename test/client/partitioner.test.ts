import { expect, test } from 'vitest'
import { murmur2 } from '../../src/client/murmur2.ts'
import { PartitionQueue } from '../../src/client/partition-queue.ts'
import { partitionOfKey, TopicQueues } from '../../src/client/partitioner.ts'
import { nodeEnv } from '../../src/env/index.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('murmur2 of %s is that of the Java client', (text, hash) => {
  expect(murmur2(bytes(text))).toBe(hash)
})

test('a key goes to the partition that the Java client chooses', () => {
  expect(partitionOfKey(bytes('foobar'), 7)).toBe((-790332482 & 0x7fffffff) % 7)
  expect(partitionOfKey(bytes('21'), 1)).toBe(0)
})

function topicOf(count: number, leaders: readonly number[] = []): TopicQueues {
  const topic = new TopicQueues('t', 1000, nodeEnv().random)
  topic.grow(count, (partition) => new PartitionQueue('t', partition))
  for (const queue of topic.queues) queue.leaderId = leaders[queue.partition] ?? 1
  return topic
}

test('records without a key stay until a batch is full, then go to every partition in turn', () => {
  const topic = topicOf(4)
  const seen = [0, 1, 2, 3].map(() => {
    const { sticky } = topic
    topic.closed(sticky, 900, true)
    return sticky.partition
  })
  expect([...seen].sort()).toEqual([0, 1, 2, 3])
})

test('batches sent before they were full add up to the share of a partition', () => {
  const topic = topicOf(4)
  const first = topic.sticky
  topic.closed(first, 600, false)
  expect(topic.sticky).toBe(first)
  topic.closed(first, 600, false)
  expect(topic.sticky).not.toBe(first)
})

test('partitions without a leader are passed over while others have one', () => {
  const topic = topicOf(4, [1, -1, -1, 1])
  for (let round = 0; round < 8; round++) {
    topic.closed(topic.sticky, 1000, true)
    expect([0, 3]).toContain(topic.sticky.partition)
  }
})

test('a topic whose partitions all have no leader still has a sticky one', () => {
  const topic = topicOf(2, [-1, -1])
  topic.closed(topic.sticky, 1000, true)
  expect(topic.sticky).toBeInstanceOf(PartitionQueue)
})
