/** The codecs as jobs, on this thread and in real workers. */
import { afterAll, describe, expect, it } from 'vitest'
import { inThreadWorkers, nodeEnv, nodeWorkers } from '../../../src/env/index.ts'
import {
  type CompressedAndReturned,
  type CompressJob,
  type ConvertJob,
  codecJobs,
  type DecompressJob,
  type LegacyConversion,
} from '../../../src/record/index.ts'
import { encode, fromHex } from '../support.ts'
import * as golden from './golden.ts'
import { latin, lines } from './support.ts'

const kinds = [
  ['on this thread', inThreadWorkers(nodeEnv())],
  ['in a worker thread', nodeWorkers({ threadsMax: 1 })],
] as const

afterAll(async () => {
  for (const [, workers] of kinds) await workers.close()
})

const batch = encode([{ timestamp: 1_700_000_000_000, key: null, value: lines(100_000), headers: [] }])

describe.each(kinds)('%s', (_, workers) => {
  const compress = (input: CompressJob): Promise<Uint8Array> => workers.run(codecJobs.compress, input)
  const decompress = (input: DecompressJob, transfer: ArrayBuffer[] = []): Promise<Uint8Array> =>
    workers.run(codecJobs.decompress, input, { transfer })

  it('compress and decompress, transferred', async () => {
    for (const codec of [0, 1, 2, 3]) {
      const compressed = await compress({ batch, codec })
      expect(compressed.length < batch.length / 2).toBe(codec !== 0)
      const plain = await decompress({ batch: compressed, maxBytes: 1 << 20 }, [compressed.buffer as ArrayBuffer])
      expect(latin(plain)).toBe(latin(batch))
      expect(compressed.length).toBe(0)
    }
  })

  it('compress and give the buffer back', async () => {
    const room = new Uint8Array(batch.length + 500)
    room.set(batch)
    const input: CompressJob = { batch: room.subarray(0, batch.length), codec: 3 }
    const transfer = [room.buffer]
    const work = workers.run<CompressJob, CompressedAndReturned>(codecJobs.compressAndReturn, input, { transfer })
    const { twin, buffer } = await work
    expect(room.length).toBe(0)
    expect(buffer.length).toBe(batch.length + 500)
    expect(latin(await decompress({ batch: twin, maxBytes: 1 << 20 }))).toBe(latin(batch))
  })

  it('errors keep their code', async () => {
    const compressed = await compress({ batch, codec: 3 })
    await expect(decompress({ batch: compressed, maxBytes: 1_000 })).rejects.toMatchObject({
      code: 'PAGELOG_TOO_LARGE',
    })
    compressed[70]! ^= 1
    compressed[62]! ^= 1
    await expect(decompress({ batch: compressed, maxBytes: 1 << 20 })).rejects.toMatchObject({
      code: 'PAGELOG_CORRUPT',
    })
    await expect(compress({ batch, codec: 7 })).rejects.toMatchObject({ code: 'PAGELOG_UNSUPPORTED', kafkaCode: 76 })
    await expect(compress({ batch, codec: 1, level: 11 })).rejects.toMatchObject({ code: 'PAGELOG_INVALID_SETTING' })
  })

  it('convert the old formats', async () => {
    const bytes = fromHex(golden.OLD_SETS[1]![3])
    const input: ConvertJob = { bytes, position: 0, maxBytes: 1 << 20 }
    const { batch: converted, end } = await workers.run<ConvertJob, LegacyConversion>(codecJobs.convert, input)
    expect(end).toBe(bytes.length)
    expect(converted.length).toBeGreaterThan(61)
  })
})
