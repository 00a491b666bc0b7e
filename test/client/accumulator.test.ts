import { expect, test } from 'vitest'
import { BatchMemory } from '../../src/client/batch-memory.ts'
import { Fifo } from '../../src/client/fifo.ts'
import { LateRecords } from '../../src/client/late-records.ts'
import { PartitionQueue } from '../../src/client/partition-queue.ts'
import { TopicQueues } from '../../src/client/partitioner.ts'
import { RecordAccumulator } from '../../src/client/record-accumulator.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { RecordBatch } from '../../src/record/index.ts'

function setUp(options: { batchBytes?: number; memoryBytes?: number; lingerMs?: number; partitions?: number } = {}) {
  const { batchBytes = 500, memoryBytes = 10_000, lingerMs = 10, partitions = 1 } = options
  let nowMs = 0
  const clock = { ...nodeEnv().clock, monotonicMs: () => nowMs }
  const memory = new BatchMemory(memoryBytes, batchBytes)
  const closed: number[] = []
  const accumulator = new RecordAccumulator({
    clock,
    memory,
    batchBytes,
    lingerMs,
    recordBytesMax: 5_000,
    onClosed: (batch) => closed.push(batch.queue.partition),
  })
  const topic = new TopicQueues('t', batchBytes, nodeEnv().random)
  topic.grow(partitions, (partition) => new PartitionQueue('t', partition))
  const append = (size: number) => {
    const value = new Uint8Array(size).fill(7)
    const record = { timestamp: 1_000 + nowMs, key: null, value, headers: undefined }
    return (
      accumulator.append(topic.sticky, record.timestamp, null, value, undefined) ??
      accumulator.appendSlow(topic, undefined, record)
    )
  }
  const at = (ms: number): void => {
    nowMs = ms
  }
  return { accumulator, memory, topic, closed, append, at }
}

test('records fill a batch, the one that does not fit opens the next', () => {
  const { topic, closed, append } = setUp()
  const deliveries = [100, 100, 100, 100, 100].map(append)
  expect(closed).toEqual([0])
  expect(deliveries.map(({ index }) => index)).toEqual([0, 1, 2, 3, 0])
  const batch = topic.queues[0]!.next()!
  const read = new RecordBatch(batch.bytes(), 0)
  expect(read.isValid()).toBe(true)
  expect([...read].map(({ offset, value }) => [offset, value?.length])).toEqual([0, 1, 2, 3].map((at) => [at, 100]))
  expect(batch.bytes()).toBe(batch.bytes())
})

test('a record larger than a batch gets one of its own', () => {
  const { topic, memory, append } = setUp()
  append(10)
  append(3_000)
  append(300)
  const sizes: number[] = []
  for (let batch = topic.queues[0]!.takeNext(); batch !== undefined; batch = topic.queues[0]!.takeNext()) {
    sizes.push(batch.recordCount)
  }
  expect(sizes).toEqual([1, 1])
  expect(memory.usedBytes).toBeGreaterThan(4_000)
})

test('a record above max.request.size is refused and nothing is kept of it', () => {
  const { memory, append } = setUp()
  expect(() => append(5_000)).toThrow(expect.objectContaining({ code: 'PAGELOG_TOO_LARGE' }))
  expect(memory.usedBytes).toBe(0)
})

test('beyond buffer memory nothing is taken, and what was taken stays whole', () => {
  const { topic, memory, append } = setUp({ memoryBytes: 1_000 })
  for (let record = 0; record < 8; record++) append(100)
  expect(() => append(100)).toThrow(expect.objectContaining({ code: 'PAGELOG_BUFFER_FULL', retriable: true }))
  expect(memory.hasRoom).toBe(false)
  const queue = topic.queues[0]!
  expect([queue.takeNext()?.recordCount, queue.takeNext()?.recordCount, queue.takeNext()]).toEqual([4, 4, undefined])
})

test('a batch is due when it has lingered, and tells when the next will be', () => {
  const { accumulator, topic, closed, append, at } = setUp()
  const topicOf = () => topic
  append(10)
  expect(accumulator.closeDue(9, false, topicOf)).toBe(10)
  expect(closed).toEqual([])
  at(10)
  expect(accumulator.closeDue(10, false, topicOf)).toBeUndefined()
  expect(closed).toEqual([0])
  append(10)
  expect(accumulator.closeDue(10, true, topicOf)).toBeUndefined()
  expect(closed).toEqual([0, 0])
})

test('a buffer comes back warm and serves the next batch of the usual size', () => {
  const memory = new BatchMemory(1_000, 500)
  const first = memory.take(500)!
  memory.give(first, 500)
  expect(memory.take(500)).toBe(first)
  expect(memory.take(600)).toBeDefined()
  expect(memory.usedBytes).toBe(1_100)
  expect(memory.take(1)).toBeUndefined()
  expect(memory.take(600, true)).toBeDefined()
  expect(memory.usedBytes).toBe(1_700)
})

test('where there is room for a batch there is room for a record of any size', () => {
  const memory = new BatchMemory(1_000, 500)
  expect(memory.reserve(500)).toBe(true)
  expect(memory.hasRoom).toBe(true)
  expect(memory.reserve(900)).toBe(true)
  expect(memory.hasRoom).toBe(false)
  expect(memory.reserve(1)).toBe(false)
})

test('late records are copies, counted, taken in order and by age', () => {
  const memory = new BatchMemory(1_000, 500)
  const late = new LateRecords(memory)
  const value = new Uint8Array([1])
  const record = { timestamp: 5, key: null, value, headers: undefined }
  late.add('a', record, undefined, 1)
  late.add('a', record, 2, 2)
  value[0] = 9
  expect(memory.usedBytes).toBeGreaterThan(0)
  expect(late.takeExpired(1)).toHaveLength(1)
  expect(late.take('a').map((kept) => [kept.partition, kept.value?.[0]])).toEqual([[2, 1]])
  expect([late.count, memory.usedBytes, late.take('b').length]).toEqual([0, 0, 0])
})

test('a queue gives out in order, however often it is cut', () => {
  const fifo = new Fifo<number>()
  const seen: number[] = []
  for (let item = 0; item < 2_000; item++) {
    fifo.push(item)
    if (item % 3 === 2) seen.push(fifo.shift()!, fifo.shift()!)
  }
  seen.push(...fifo.drain())
  expect(seen).toEqual(Array.from({ length: 2_000 }, (_, at) => at))
  expect([fifo.length, fifo.shift(), fifo.peek()]).toEqual([0, undefined, undefined])
})
