/** Compaction of compressed batches: opened, thinned out, closed in the codec that they had. */
import { describe, expect, test } from 'vitest'
import type { Log } from '../../src/log/index.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  RecordBatch as Batch,
  Compression,
  compressBatch,
  crc32c,
  decompressBatch,
  loadCodec,
  type RecordBatch,
  setCrc,
} from '../../src/record/index.ts'
import {
  batchesIn,
  compactSettings,
  HOUR_MS,
  horizonOf,
  machineOn,
  openCompacted,
  type Pair,
  pairs,
  tableOf,
} from './compaction-support.ts'

const codecs = [Compression.GZIP, Compression.SNAPPY, Compression.LZ4, Compression.ZSTD]
const available: Compression[] = []
for (const codec of codecs) {
  await loadCodec(codec).then(
    () => available.push(codec),
    () => {},
  )
}

async function packed(codec: Compression, records: readonly Pair[], timestampMs: number): Promise<Uint8Array> {
  return compressBatch(pairs(records, timestampMs), await loadCodec(codec))
}

/** `offset:key=value` of all records, compressed or not. */
async function recordsOf(log: Log): Promise<string[]> {
  const found: string[] = []
  for (const batch of await batchesIn(log)) {
    if (batch.isControl) continue
    for (const { offset, key, value } of await opened(batch)) {
      found.push(`${offset}:${Buffer.from(key!)}=${value === null ? null : Buffer.from(value)}`)
    }
  }
  return found
}

async function opened(batch: RecordBatch): Promise<RecordBatch> {
  const bytes = batch.bytes.subarray(batch.position, batch.position + batch.sizeInBytes)
  return new Batch(decompressBatch(bytes, await loadCodec(batch.compression), 1 << 20), 0)
}

describe.each(available)('codec %i', (codec) => {
  test('of each key the newest stays, at its offset, in the codec that it had', async () => {
    const machine = machineOn()
    const { clock } = machine
    const log = await openCompacted(machine)
    const nowMs = clock.nowMs()
    await log.appendBatch(
      await packed(
        codec,
        [
          ['a', '1'],
          ['b', '1'],
          ['a', '2'],
        ],
        nowMs,
      ),
      0,
    )
    await log.appendBatch(
      pairs(
        [
          ['b', '2'],
          ['c', '1'],
        ],
        nowMs,
      ),
      0,
    )
    await log.appendBatch(
      await packed(
        codec,
        [
          ['c', '2'],
          ['d', '1'],
        ],
        nowMs + 5,
      ),
      0,
    )
    expect(await log.compact()).toMatchObject({ compressedBatches: 0, recordsRead: 7, recordsKept: 4 })
    expect(await recordsOf(log)).toEqual(['2:a=2', '3:b=2', '5:c=2', '6:d=1'])
    const batches = await batchesIn(log)
    expect(batches.map((batch) => [batch.baseOffset, batch.lastOffset, batch.recordCount, batch.compression])).toEqual([
      [0, 2, 1, codec],
      [3, 4, 1, 0],
      [5, 6, 2, codec],
    ])
    expect(batches.map((batch) => batch.maxTimestamp)).toEqual([nowMs, nowMs, nowMs + 5])
    await log.close()
  })

  test('a batch of which nothing goes is left as it was, byte for byte; one of which all goes is gone', async () => {
    const machine = machineOn()
    const { clock } = machine
    const log = await openCompacted(machine)
    const kept = await packed(
      codec,
      [
        ['x', '1'],
        ['y', '1'],
      ],
      clock.nowMs(),
    )
    await log.appendBatch(await packed(codec, [['a', '1']], clock.nowMs()), 0)
    await log.appendBatch(kept.slice(), 0)
    await log.appendBatch(await packed(codec, [['a', '2']], clock.nowMs()), 0)
    await log.compact()
    expect(await recordsOf(log)).toEqual(['1:x=1', '2:y=1', '3:a=2'])
    const [batch] = await batchesIn(log)
    const bytes = batch!.bytes.subarray(batch!.position + 16, batch!.position + batch!.sizeInBytes)
    expect(Buffer.from(bytes).equals(kept.subarray(16))).toBe(true)
    await log.close()
  })

  test('tombstones get their horizon, and go behind it', async () => {
    const machine = machineOn()
    const { clock } = machine
    const log = await openCompacted(machine)
    await log.appendBatch(
      await packed(
        codec,
        [
          ['a', '1'],
          ['b', '1'],
        ],
        clock.nowMs(),
      ),
      0,
    )
    await log.appendBatch(
      await packed(
        codec,
        [
          ['a', null],
          ['c', '1'],
        ],
        clock.nowMs(),
      ),
      0,
    )
    await log.compact()
    expect(await recordsOf(log)).toEqual(['1:b=1', '2:a=null', '3:c=1'])
    const withHorizon = (await batchesIn(log)).find((batch) => horizonOf(batch) >= 0)!
    expect([withHorizon.compression, withHorizon.baseOffset]).toEqual([codec, 2])
    clock.advance(48 * HOUR_MS)
    await log.appendBatch(await packed(codec, [['d', '1']], clock.nowMs()), 0)
    expect(await log.compact()).toMatchObject({ tombstonesDropped: 1 })
    expect(await recordsOf(log)).toEqual(['1:b=1', '3:c=1', '4:d=1'])
    await log.close()
  })

  test('what opens into nonsense stays whole and hides nothing', async () => {
    const machine = machineOn()
    const { clock } = machine
    const log = await openCompacted(machine)
    await log.appendBatch(pairs([['a', '1']], clock.nowMs()), 0)
    const damaged = await packed(codec, [['a', '2']], clock.nowMs())
    for (let at = BATCH_HEADER_BYTES; at < damaged.length; at++) damaged[at] = 0xee
    setCrc(damaged, 0, crc32c(damaged, ATTRIBUTES_AT, damaged.length))
    await log.appendBatch(damaged.slice(), 0)
    expect(await log.compact()).toMatchObject({ compressedBatches: 1 })
    const batches = await batchesIn(log)
    expect(batches.map(({ baseOffset, sizeInBytes }) => [baseOffset, sizeInBytes])).toEqual([
      [0, expect.any(Number)],
      [1, damaged.length],
    ])
    expect(await tableOf(log)).toEqual({ a: '1' })
    await log.close()
  })
})

describe('compressed batches given to Log.append', () => {
  const keyed: readonly Pair[] = [
    ['a', '1'],
    ['b', '2'],
  ]

  test('are refused when one of their records has no key, whether they are opened here or by a worker', async () => {
    const log = await openCompacted(machineOn())
    const large: readonly Pair[] = [
      ['a', 'x'.repeat(300_000)],
      [null, 'y'],
    ]
    for (const records of [
      [
        ['a', '1'],
        [null, '2'],
      ] as readonly Pair[],
      large,
    ]) {
      const refused = log.append(await packed(Compression.GZIP, records, 1))
      await expect(refused).rejects.toMatchObject({ code: 'PAGELOG_REFUSED', kafkaCode: 87 })
    }
    expect(log.logEndOffset).toBe(0)
    await log.close()
  })

  test('are refused when they cannot be opened', async () => {
    const log = await openCompacted(machineOn())
    const damaged = await packed(Compression.GZIP, keyed, 1)
    damaged.fill(0, BATCH_HEADER_BYTES)
    setCrc(damaged, 0, crc32c(damaged, ATTRIBUTES_AT, damaged.length))
    await expect(log.append(damaged)).rejects.toMatchObject({ code: 'PAGELOG_INVALID_ARGUMENT' })
    await log.close()
  })

  test('keep their place among the appends, and what waits for them is copied', async () => {
    const log = await openCompacted(machineOn())
    const value = Buffer.from('record')
    const appends = [
      log.append({ key: Buffer.from('k'), value }),
      log.append(await packed(Compression.GZIP, keyed, 1)),
      log.append({ key: Buffer.from('k'), value }),
      log.append(pairs([['k', 'plain']], 1)),
      log.append(await packed(Compression.GZIP, keyed, 1)),
      log.append([{ key: Buffer.from('k'), value, headers: [{ key: 'h', value }] }]),
    ]
    value.fill(0)
    const results = await Promise.all(appends)
    expect(results.map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 3, 4, 5, 7])
    expect(Buffer.from((await log.readAt(3))!.value!).toString()).toBe('record')
    expect(Buffer.from((await log.readAt(7))!.headers[0]!.value!).toString()).toBe('record')
    const waits = log.append(await packed(Compression.GZIP, [[null, 'no key']], 1))
    const behind = log.append({ key: value, value })
    await expect(waits).rejects.toMatchObject({ code: 'PAGELOG_REFUSED' })
    expect(await behind).toMatchObject({ baseOffset: 8 })
    await log.close()
  })

  test('that are looked into when the log closes are not appended', async () => {
    const log = await openCompacted(machineOn())
    const appends = [log.append(await packed(Compression.GZIP, keyed, 1)), log.append({ key: Buffer.from('k') })]
    const settled = Promise.allSettled(appends)
    await log.close()
    for (const one of await settled) expect(one).toMatchObject({ reason: { code: 'PAGELOG_CLOSED' } })
  })
})

describe('settings of a topic', () => {
  const text = (from: number): string => Array.from({ length: 400 }, (_, index) => `${(from + index) ** 3} `).join('')
  const rows = (): Pair[] => [
    ['a', text(0)],
    ['b', text(1000)],
    ['c', text(5000)],
  ]

  test.each([1, 9])('batches are compressed again at level %i when that is the one of the topic', async (level) => {
    const machine = machineOn()
    const settings = { ...compactSettings, segmentBytes: 1 << 20, compressionGzipLevel: level }
    const log = await openCompacted(machine, { settings })
    await log.appendBatch(await packed(Compression.GZIP, rows(), machine.clock.nowMs()), 0)
    await log.appendBatch(pairs([['b', 'new']], machine.clock.nowMs()), 0)
    await log.compact()
    const [batch] = await batchesIn(log)
    const bytes = batch!.bytes.subarray(batch!.position, batch!.position + batch!.sizeInBytes)
    const codec = await loadCodec(Compression.GZIP)
    const plain = decompressBatch(bytes, codec, 1 << 20)
    const sizes = [1, 9].map((one) => compressBatch(plain.slice(), codec, one).length)
    expect(sizes[0]).not.toBe(sizes[1])
    expect(bytes.length).toBe(compressBatch(plain.slice(), codec, level).length)
    await log.close()
  })

  test('a batch that holds more than pagelog.decompressed.batch.max.bytes stays whole', async () => {
    const machine = machineOn()
    const memory = { dedupeBufferBytes: 1 << 20, ioBufferBytes: 1 << 16, loadFactor: 0.9, bytesPerSecond: Infinity }
    const settings = { ...compactSettings, segmentBytes: 1 << 20 }
    for (const [decompressedBytesMax, opaque] of [
      [2000, 1],
      [1 << 20, 0],
    ] as const) {
      const limits = { ...memory, decompressedBytesMax }
      await machine.disk.removeDirectory('/log')
      const log = await openCompacted(machine, { settings, compaction: { limits } })
      await log.appendBatch(await packed(Compression.GZIP, rows(), machine.clock.nowMs()), 0)
      await log.appendBatch(pairs([['b', 'new']], machine.clock.nowMs()), 0)
      expect(await log.compact()).toMatchObject({ compressedBatches: opaque, recordsKept: opaque === 1 ? 4 : 3 })
      await log.close()
    }
  })
})
