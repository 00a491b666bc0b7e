/** A consumer that uses its memory again: each batch is right until the next one is asked for. */
import { expect, test } from 'vitest'
import { BatchUnpacker, type PackedPart } from '../../src/client/batch-unpacker.ts'
import { CodecRunner } from '../../src/client/codec-runner.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { batchSize, compressBatch, compression, loadCodec, RecordBatch } from '../../src/record/index.ts'
import { batchWith } from './batches.ts'

const lz4 = await loadCodec(3)

function partOf(values: string[]): PackedPart {
  const bytes = compressBatch(batchWith(values), lz4)
  return { bytes, at: 0, size: batchSize(bytes, 0), codec: compression(bytes, 0), isOld: false }
}

function unpacker(reusesMemory: boolean): BatchUnpacker {
  const runner = new CodecRunner({ clock: nodeEnv().clock }, -1)
  const limits = { bytesMax: 1 << 20, aheadBytesMax: 1 << 20, checkCrcs: true }
  return new BatchUnpacker({ runner, ...limits, reusesMemory, onReady: () => {} })
}

const valuesOf = (batch: Uint8Array): string[] =>
  [...new RecordBatch(batch, 0)].map(({ value }) => Buffer.from(value!).toString())

test('what is unpacked on the spot lies where the one before it lay', () => {
  const reusing = unpacker(true)
  const first = reusing.unpackNow(partOf(['a', 'b']))!
  expect(valuesOf(first.batch)).toEqual(['a', 'b'])
  const second = reusing.unpackNow(partOf(['c']))!
  expect(valuesOf(second.batch)).toEqual(['c'])
  expect(second.batch.buffer === first.batch.buffer).toBe(true)
})

test('otherwise both stay as they are', () => {
  const keeping = unpacker(false)
  const first = keeping.unpackNow(partOf(['a', 'b']))!
  const second = keeping.unpackNow(partOf(['c']))!
  expect([valuesOf(first.batch), valuesOf(second.batch)]).toEqual([['a', 'b'], ['c']])
})

test('what waits for the application stays, whatever is unpacked meanwhile', async () => {
  const reusing = unpacker(true)
  const jobs = [['a'], ['b'], ['c']].map((values) => reusing.unpackAhead(partOf(values)))
  await expect.poll(() => jobs.every(({ plain }) => plain !== undefined)).toBe(true)
  reusing.unpackNow(partOf(['d']))
  expect(jobs.map(({ plain }) => valuesOf(plain!.batch))).toEqual([['a'], ['b'], ['c']])
})
