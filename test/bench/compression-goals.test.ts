/** What the goals of compression are made of: batches that must be refused, the request that carries them, peak memory. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { areas } from '../../bench/goals/areas.ts'
import { type BombCodec, bombs } from '../../bench/goals/compression/bombs-made.ts'
import { PeakMemory } from '../../bench/goals/compression/peak-memory.ts'
import { produceRaw } from '../../bench/goals/compression/raw-produce.ts'
import { Admin, Consumer } from '../../src/client/index.ts'
import { BatchWriter, checkBatchStored, compressBatch, loadCodec } from '../../src/record/index.ts'
import { startBroker, type TestBroker } from '../../src/testing/index.ts'
import { hasZstd } from '../zstd.ts'

const codecs: readonly BombCodec[] = hasZstd ? ['gzip', 'snappy', 'lz4', 'zstd'] : ['gzip', 'snappy', 'lz4']

let broker: TestBroker

beforeAll(async () => {
  broker = await startBroker()
  await using admin = new Admin({ bootstrap: broker.bootstrap })
  await admin.createTopics([{ topic: 'bombs', partitions: 1 }])
})

afterAll(async () => {
  await broker?.close()
})

test('the area has a part for every kind of line', () => {
  const area = areas.find(({ name }) => name === 'compression')!
  expect(area.parts.map(({ name }) => name)).toEqual(['producer', 'event-loop', 'consumer', 'bombs', 'interop'])
})

describe.each(codecs)('bombs of %s', (codec) => {
  test('are whole batches of 1 MiB at most, whose CRC is right', () => {
    for (const { batch } of bombs(codec)) {
      expect(batch.length).toBeLessThanOrEqual(1 << 20)
      expect(checkBatchStored(batch, 0, batch.length)).toBe(batch.length)
    }
  })

  test('are refused by the broker, which goes on', async () => {
    for (const { batch } of bombs(codec)) {
      expect(await produceRaw(broker.bootstrap, 'bombs', batch)).not.toBe(0)
    }
  })
})

test('a good batch in the same request is stored', async () => {
  const writer = new BatchWriter(new Uint8Array(1000))
  writer.append(Date.now(), null, Buffer.from('hello'))
  expect(await produceRaw(broker.bootstrap, 'bombs', compressBatch(writer.finish(), await loadCodec(3)))).toBe(0)
  await using consumer = new Consumer({ bootstrap: broker.bootstrap })
  consumer.assign([{ topic: 'bombs', partition: 0, offset: 'beginning' }])
  const batch = await consumer.nextBatch()
  expect([...batch!].map(({ value }) => Buffer.from(value!).toString())).toEqual(['hello'])
})

test.runIf(process.platform === 'linux')('memory that was given back counts as long as it was held', () => {
  const memory = new PeakMemory('self')
  let held: Uint8Array | undefined = new Uint8Array(64 << 20).fill(1)
  expect(held.at(-1)).toBe(1)
  held = undefined
  expect(memory.extra()).toBeGreaterThan(60 << 20)
})
