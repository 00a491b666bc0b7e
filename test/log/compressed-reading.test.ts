/** Looking into compressed batches: records by their time, small batches in place and large ones in a worker. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PagelogError } from '../../src/base/index.ts'
import { inThreadWorkers, type Job, type JobOptions, nodeEnv, nodeWorkers, type Workers } from '../../src/env/index.ts'
import { compactionLimitsOf } from '../../src/log/compaction/cleaner-settings.ts'
import { Log } from '../../src/log/index.ts'
import { BATCH_HEADER_BYTES, BatchWriter, Compression, compressBatch, loadCodec } from '../../src/record/index.ts'
import { hasZstd } from '../zstd.ts'
import { changedCrc } from './compressed-support.ts'
import { defaults } from './support.ts'

const START = 1_700_000_000_000
const codecs = [Compression.GZIP, Compression.SNAPPY, Compression.LZ4, ...(hasZstd ? [Compression.ZSTD] : [])]

/** Records one millisecond apart; every tenth is a second back. */
function timed(count: number, firstMs: number): Uint8Array {
  const writer = new BatchWriter(new Uint8Array(count * 160 + 100))
  for (let i = 0; i < count; i++) {
    const back = i % 10 === 9 ? 1_000 : 0
    writer.append(firstMs + i - back, null, Buffer.from(`{"n":${i},"text":"${`${(i * 7919) % 100003} `.repeat(12)}"}`))
  }
  return writer.finish().slice()
}

class CountedWorkers implements Workers {
  readonly jobs: string[] = []
  isFull = false
  readonly #inner: Workers

  constructor(inner: Workers) {
    this.#inner = inner
  }

  run<I, O>(job: Job, input: I, options?: JobOptions): Promise<O> {
    if (this.isFull) return Promise.reject(new PagelogError('PAGELOG_BUFFER_FULL', 'full'))
    this.jobs.push(job.name)
    return this.#inner.run(job, input, options)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pagelog-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

let opened = 0
async function openLog(workers: Workers | undefined, decompressedBytesMax?: number): Promise<Log> {
  const directory = join(root, `log-${opened++}`)
  const { disk, clock } = nodeEnv()
  await disk.makeDirectory(directory)
  const env = { disk, clock, ...(workers === undefined ? {} : { workers }) }
  const limits = decompressedBytesMax === undefined ? {} : { limits: { ...compactionLimitsOf(), decompressedBytesMax } }
  const opening = { directory, settings: defaults, recoveryPoint: 0, cleanShutdown: true, compaction: limits }
  return await Log.open({ env, ...opening })
}

describe.each([
  ['in worker threads', () => nodeWorkers({ threadsMax: 1 })],
  ['in workers on this thread', () => inThreadWorkers(nodeEnv())],
  ['without workers', () => undefined],
])('%s', (_, makeWorkers) => {
  test.each(codecs)('codec %i: the first record that is not older, and the newest', async (number) => {
    const inner = makeWorkers()
    const workers = inner && new CountedWorkers(inner)
    const log = await openLog(workers)
    const codec = await loadCodec(number)
    const sizes = [10, 8_000, 10] // some 700 KiB in the middle
    let firstMs = START
    for (const size of sizes) {
      await log.append(compressBatch(timed(size, firstMs), codec))
      firstMs += size
    }
    for (const offset of [0, 5, 10, 13, 4_000, 8_008, 8_010, 8_018]) {
      expect(await log.offsetForTime(START + offset)).toMatchObject({ offset, timestamp: START + offset })
    }
    // That one was set back, the next is the first that is not older.
    expect(await log.offsetForTime(START + 19)).toMatchObject({ offset: 20, timestamp: START + 20 })
    expect(await log.offsetForTime(START + 9_000)).toBeUndefined()
    expect(await log.latestTimestampOffset()).toMatchObject({ offset: 8_018, timestamp: START + 8_018 })
    const read: number[] = []
    for await (const batch of log.read()) for (const record of batch) read.push(record.offset)
    expect(read).toEqual(Array.from({ length: 8_020 }, (_, i) => i))
    expect(Buffer.from((await log.readAt(5_000))!.value!).toString()).toContain('"n":4990,')
    if (workers !== undefined) {
      expect(new Set(workers.jobs)).toEqual(new Set(['findCompressedRecord', 'decompress']))
      workers.isFull = true
      expect(await log.offsetForTime(START + 4_000)).toMatchObject({ offset: 4_000 })
      expect((await log.readAt(5_000))!.offset).toBe(5_000)
    }
    await log.close()
    await workers?.close()
  })

  test('pagelog.decompressed.batch.max.bytes is the bound of all', async () => {
    const workers = makeWorkers()
    const codec = await loadCodec(Compression.LZ4)
    const plain = timed(12_000, START)
    const exact = plain.length - BATCH_HEADER_BYTES
    for (const isWithin of [false, true]) {
      const log = await openLog(workers, isWithin ? exact : exact - 1)
      await log.append(compressBatch(plain, codec))
      const read = (async () => (await log.read().next()).value?.recordCount)()
      if (isWithin) {
        expect(await read).toBe(12_000)
        expect((await log.readAt(70))!.offset).toBe(70)
        expect(await log.offsetForTime(START + 70)).toMatchObject({ offset: 70 })
      } else {
        await expect(read).rejects.toMatchObject({ code: 'PAGELOG_TOO_LARGE' })
        await expect(log.readAt(70)).rejects.toMatchObject({ code: 'PAGELOG_TOO_LARGE' })
        // What cannot be opened is found by its first offset.
        expect(await log.offsetForTime(START + 70)).toMatchObject({ offset: 0 })
      }
      await log.close()
    }
    await workers?.close()
  })
})

test('a batch that cannot be opened is found by its first offset and largest time', async () => {
  const log = await openLog(undefined)
  const codec = await loadCodec(Compression.LZ4)
  await log.append(compressBatch(timed(10, START), codec))
  await log.append(changedCrc(compressBatch(timed(10, START + 10), codec), 62))
  expect(await log.offsetForTime(START + 15)).toMatchObject({ offset: 10, timestamp: START + 18 })
  await log.close()
})
