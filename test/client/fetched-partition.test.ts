/** One partition's part of an answer whose bytes are not what they should be. */
import { expect, test } from 'vitest'
import { AssignedPartition } from '../../src/client/assignment.ts'
import { BatchUnpacker } from '../../src/client/batch-unpacker.ts'
import { CodecRunner } from '../../src/client/codec-runner.ts'
import { FetchedPartition } from '../../src/client/fetched-partition.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { batchWith } from './batches.ts'

function fetched(bytes: Uint8Array): FetchedPartition {
  const runner = new CodecRunner({ clock: nodeEnv().clock }, -1)
  const limits = { bytesMax: 1 << 20, aheadBytesMax: 1 << 20, checkCrcs: true }
  const unpacker = new BatchUnpacker({ runner, ...limits, reusesMemory: false, onReady: () => {} })
  const state = new AssignedPartition('t', 0)
  state.moveTo(0)
  const options = { checkCrcs: true, aborted: null, highWatermark: 10, unpacker, onFinished: () => {} }
  return new FetchedPartition(state, bytes, options)
}

test.each([
  ['zeros', new Uint8Array(100)],
  ['a length that is negative', new Uint8Array(100).fill(0xff, 8, 12)],
])('%s behind a batch are PAGELOG_CORRUPT', (_, tail) => {
  const part = fetched(Buffer.concat([batchWith(['a', 'b']), tail]))
  expect(part.endOffset()).toBe(2)
  expect(part.next()?.recordCount).toBe(2)
  expect(() => part.next()).toThrow(expect.objectContaining({ code: 'PAGELOG_CORRUPT' }))
})
