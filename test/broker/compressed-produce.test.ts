/** Compressed batches at the broker's door: what is stored, in which codec, what is refused and how. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { ListOffsets } from '../../src/protocol/index.ts'
import { Compression, compressBatch, decompressBatch, loadCodec, RecordBatch } from '../../src/record/index.ts'
import { hasZstd } from '../zstd.ts'
import {
  type BatchOptions,
  batchOf,
  changed,
  createTopic,
  endOffset,
  type Fixture,
  fetch,
  produce,
  recordsIn,
  startFixture,
  stillServes,
} from './fixtures.ts'
import type { RawClient } from './raw-client.ts'

const codecs = ['gzip', 'snappy', 'lz4', ...(hasZstd ? ['zstd'] : [])] as const
const numberOf: Readonly<Record<string, number>> = { uncompressed: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

const MIB = 1 << 20
/** Compressed by any codec it is below max.message.bytes. */
const BOMB_BYTES = 16 * MIB

let fixture: Fixture
let client: RawClient
/** A broker that decompresses 4 MiB at most. */
let bounded: Fixture
beforeAll(async () => {
  bounded = await startFixture({ settings: { decompressedBatchMaxBytes: 4 * MIB } })
  fixture = await startFixture()
  client = fixture.client
  await createTopic(client, 'packed')
})
afterAll(async () => {
  await fixture.close()
  await bounded.close()
})

async function packed(codec: string, values: readonly string[], options: BatchOptions = {}): Promise<Uint8Array> {
  return compressBatch(batchOf(values, options), await loadCodec(numberOf[codec]!))
}

/** Says that it holds so many records. */
function withCount(batch: Uint8Array, count: number): Uint8Array {
  return changed(batch, (view) => {
    view.setInt32(57, count)
    view.setInt32(23, count - 1)
  })
}

/** The stored batches, decompressed; their codecs beside them. */
async function stored(topic: string, from = client): Promise<{ codecs: number[]; records: string[] }> {
  const { records } = await fetch(from, topic, { maxBytes: 1 << 26, partitionMaxBytes: 1 << 26 })
  const found: { codecs: number[]; records: string[] } = { codecs: [], records: [] }
  for (let at = 0; records !== null && at < records.length; ) {
    const batch = new RecordBatch(records, at)
    expect(batch.isValid()).toBe(true)
    found.codecs.push(batch.compression)
    const bytes = records.subarray(at, at + batch.sizeInBytes)
    found.records.push(...recordsIn(decompressBatch(bytes, await loadCodec(batch.compression), 1 << 26)))
    at += bytes.length
  }
  return found
}

const textOf = (i: number): string =>
  `{"id":${i},"kind":"page-view","path":"/shop/${i % 9}","took":${(i * 7919) % 1000}}`
/** Half a megabyte when it is not compressed: for a worker. */
const many = Array.from({ length: 6_000 }, (_, i) => textOf(i))
const few = ['one', 'two', 'three']

describe.each(codecs)('%s', (codec) => {
  test.each([
    ['small', few],
    ['large', many],
  ])('a %s batch is stored as it came', async (size, values) => {
    const topic = `${codec}-${size}`
    await createTopic(client, topic)
    const batch = await packed(codec, values)
    expect(await produce(client, topic, batch)).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect(await produce(client, topic, batch)).toMatchObject({ errorCode: 0, baseOffset: values.length })
    const expected = [...values, ...values].map((value, offset) => `${offset}:${value}`)
    expect(await stored(topic)).toEqual({ codecs: [numberOf[codec], numberOf[codec]], records: expected })
    expect((await fetch(client, topic)).records!.length).toBe(2 * batch.length)
  })

  test.each([
    ['small', few],
    ['large', many],
  ])('damage in a %s batch whose CRC is right is refused, wherever it is', async (_, values) => {
    const batch = await packed(codec, values)
    const end = await endOffset(client, 'packed')
    const seed = Math.trunc(Math.random() * 0x7fffffff)
    let state = seed
    const next = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
      return state % below
    }
    let appended = 0
    for (let i = 0; i < 25; i++) {
      const at = 61 + next(batch.length - 61)
      const damaged = changed(batch, (view) => view.setUint8(at, view.getUint8(at) ^ (1 << next(8))))
      const { errorCode } = await produce(client, 'packed', damaged)
      // A flipped bit of a literal is another legal batch, which no checksum of the codec need notice.
      if (errorCode === 0) appended += values.length
      else expect([ErrorCode.INVALID_RECORD, ErrorCode.MESSAGE_TOO_LARGE], `seed ${seed} at ${at}`).toContain(errorCode)
    }
    for (let i = 0; i < 10; i++) {
      const size = 62 + next(batch.length - 63)
      const cut = changed(batch.subarray(0, size), (view) => view.setInt32(8, size - 12))
      expect((await produce(client, 'packed', cut)).errorCode, `seed ${seed} cut at ${size}`).toBe(
        ErrorCode.INVALID_RECORD,
      )
    }
    expect(await endOffset(client, 'packed')).toBe(end + appended)
    await stillServes(client)
  })

  test('a header that says other than its records is refused', async () => {
    const plain = batchOf(few)
    const lies = [
      withCount(plain, 4),
      withCount(plain, 2),
      changed(plain, (view) => view.setUint8(64, 8)), // an offset delta
    ]
    for (const lie of lies) {
      const { errorCode } = await produce(client, 'packed', compressBatch(lie, await loadCodec(numberOf[codec]!)))
      expect(errorCode).toBe(ErrorCode.INVALID_RECORD)
    }
  })

  test('times are those of the records, whatever the header claims', async () => {
    const topic = `${codec}-times`
    await createTopic(client, topic)
    const timestamp = Date.now() - 5_000
    const batch = changed(await packed(codec, few, { timestamp }), (view) => view.setBigInt64(35, 1n << 60n))
    expect((await produce(client, topic, batch)).errorCode).toBe(0)
    const { records } = await fetch(client, topic)
    const header = new RecordBatch(records!, 0)
    expect([header.isValid(), header.maxTimestamp]).toEqual([true, timestamp])
    const future = await packed(codec, few, { timestamp: Date.now() + 7_200_000 })
    const lying = changed(future, (view) => view.setBigInt64(35, BigInt(Date.now())))
    expect(await produce(client, topic, lying)).toMatchObject({
      errorCode: ErrorCode.INVALID_TIMESTAMP,
      recordErrors: [{ batchIndex: 0 }],
    })
  })

  test('bombs are refused, by themselves', async () => {
    const topic = `${codec}-bombs`
    await createTopic(bounded.client, topic)
    const bomb = await packed(codec, ['\0'.repeat(BOMB_BYTES)])
    const before = process.memoryUsage().rss
    const answers = await Promise.all(Array.from({ length: 8 }, () => produce(bounded.client, topic, bomb)))
    expect(answers.map(({ errorCode }) => errorCode)).toEqual(Array(8).fill(ErrorCode.MESSAGE_TOO_LARGE))
    // Eight of them would be 128 MiB.
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MIB)
    expect(await produce(bounded.client, topic, await packed(codec, few))).toMatchObject({
      errorCode: 0,
      baseOffset: 0,
    })
  })

  test('records of a compacted topic need keys', async () => {
    const topic = `${codec}-table`
    await createTopic(client, topic, { configs: [{ name: 'cleanup.policy', value: 'compact' }] })
    for (const values of [few, many]) {
      expect(await produce(client, topic, await packed(codec, values))).toMatchObject({
        errorCode: ErrorCode.INVALID_RECORD,
        recordErrors: [{ batchIndex: 0 }],
      })
      expect((await produce(client, topic, await packed(codec, values, { key: 'k' }))).errorCode).toBe(0)
    }
  })

  test('LogAppendTime is written into the header alone', async () => {
    const topic = `${codec}-append-time`
    await createTopic(client, topic, { configs: [{ name: 'message.timestamp.type', value: 'LogAppendTime' }] })
    const batch = await packed(codec, few, { timestamp: 12345 })
    const { logAppendTimeMs } = await produce(client, topic, batch)
    const { records } = await fetch(client, topic)
    const header = new RecordBatch(records!, 0)
    expect([header.isValid(), header.maxTimestamp, header.timestampType]).toEqual([true, logAppendTimeMs, 1])
    expect(Buffer.from(records!.subarray(61)).equals(batch.subarray(61))).toBe(true)
  })
})

describe('compression.type', () => {
  const targets = ['uncompressed', ...codecs]
  test.each(targets.flatMap((from) => targets.map((to) => [from, to] as const)))('%s becomes %s', async (from, to) => {
    const topic = `from-${from}-to-${to}`
    await createTopic(client, topic, { configs: [{ name: 'compression.type', value: to }] })
    const timestamp = Date.now() - 1000
    for (const [late, values] of [few, many].entries()) {
      const times = { timestamp: timestamp + late }
      const batch = from === 'uncompressed' ? batchOf(values, times) : await packed(from, values, times)
      expect(await produce(client, topic, batch)).toMatchObject({ errorCode: 0 })
    }
    const expected = [...few, ...many].map((value, offset) => `${offset}:${value}`)
    expect(await stored(topic)).toEqual({ codecs: [numberOf[to], numberOf[to]], records: expected })
    const { topics } = await client.ask(ListOffsets, 7, {
      replicaId: -1,
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: timestamp + 1 }] }],
    })
    expect(topics[0]!.partitions[0]).toMatchObject({ errorCode: 0, offset: few.length, timestamp: timestamp + 1 })
  })

  test('levels are obeyed', async () => {
    const sizes: number[] = []
    for (const level of ['1', '9']) {
      const configs = [
        { name: 'compression.type', value: 'gzip' },
        { name: 'compression.gzip.level', value: level },
      ]
      await createTopic(client, `level-${level}`, { configs })
      expect((await produce(client, `level-${level}`, batchOf(many))).errorCode).toBe(0)
      sizes.push((await fetch(client, `level-${level}`)).records!.length)
    }
    expect(sizes[1]).toBeLessThan(sizes[0]! * 0.95)
  })

  test.each([
    ['compression.type', 'brotli'],
    ['compression.gzip.level', '0'],
    ['compression.gzip.level', '10'],
    ['compression.lz4.level', '18'],
    ['compression.zstd.level', '23'],
  ])('%s=%s is refused', async (name, value) => {
    await expect(createTopic(client, 'wrong-level', { configs: [{ name, value }] })).rejects.toThrow(
      String(ErrorCode.INVALID_CONFIG),
    )
  })

  test('what does not fit in its new codec is refused', async () => {
    await createTopic(client, 'grown', { configs: [{ name: 'compression.type', value: 'uncompressed' }] })
    const batch = await packed('gzip', [...many, ...many, ...many])
    expect((await produce(client, 'grown', batch)).errorCode).toBe(ErrorCode.MESSAGE_TOO_LARGE)
    expect(await endOffset(client, 'grown')).toBe(0)
  })

  test('a duplicate is known in another codec, too', async () => {
    await createTopic(client, 'recoded-twice', { configs: [{ name: 'compression.type', value: 'lz4' }] })
    const batch = await packed('gzip', few, { producerId: 900_000, producerEpoch: 0, baseSequence: 0 })
    expect(await produce(client, 'recoded-twice', batch)).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect(await produce(client, 'recoded-twice', batch)).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect(await endOffset(client, 'recoded-twice')).toBe(3)
  })

  test('a topic of zstd is not for fetches below version 10', async () => {
    await createTopic(client, 'zstd-only', { configs: [{ name: 'compression.type', value: 'zstd' }] })
    expect((await fetch(client, 'zstd-only', { version: 9 })).errorCode).toBe(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
    expect((await fetch(client, 'zstd-only', { version: 10 })).errorCode).toBe(0)
  })
})

describe('sizes that lie', () => {
  const lies: [string, string, (batch: DataView) => void][] = [
    ['gzip', 'of 4 GiB', (view) => view.setUint32(view.byteLength - 4, 0xffffffff)],
    ['gzip', 'of nothing', (view) => view.setUint32(view.byteLength - 4, 0)],
    ['snappy', 'of a block of 4 GiB', (view) => view.setUint32(81, 0xffffffff)],
    ['snappy', 'of a chunk behind the end', (view) => view.setInt32(77, 0x7fffffff)],
    ['snappy', 'below zero', (view) => view.setInt32(77, -5)],
    ['lz4', 'of a block of 2 GiB', (view) => view.setUint32(68, 0xffffff7f)],
  ]
  test.each(lies)('%s %s', async (codec, _, change) => {
    const end = await endOffset(client, 'packed')
    for (const values of [few, many]) {
      const { errorCode } = await produce(client, 'packed', changed(await packed(codec, values), change))
      expect([ErrorCode.INVALID_RECORD, ErrorCode.MESSAGE_TOO_LARGE]).toContain(errorCode)
    }
    expect(await endOffset(client, 'packed')).toBe(end)
  })
})

test('what is no zstd is refused as damaged, or by the name of what is missing where nobody can open it', async () => {
  const batch = changed(batchOf(few), (view) => view.setInt16(21, Compression.ZSTD))
  const { errorCode, errorMessage } = await produce(client, 'packed', batch)
  if (hasZstd) expect(errorCode).toBe(ErrorCode.INVALID_RECORD)
  else {
    expect(errorCode).toBe(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
    expect(errorMessage).toContain('zstd-napi')
  }
})

test('batches of one connection keep their order, however long their inspections take', async () => {
  const batches = await Promise.all(
    Array.from({ length: 60 }, (_, i) => {
      const values = [`${i}`, ...(i % 3 === 0 ? many : few)]
      return i % 4 === 3 ? batchOf(values) : packed(codecs[i % codecs.length]!, values)
    }),
  )
  await createTopic(client, 'in-order')
  const answers = await Promise.all(batches.map((batch) => produce(client, 'in-order', batch)))
  const offsets = answers.map(({ baseOffset }) => baseOffset)
  expect(answers.every(({ errorCode }) => errorCode === 0)).toBe(true)
  expect(offsets).toEqual([...offsets].sort((a, b) => a - b))
  const { records } = await stored('in-order')
  const firsts = offsets.map((offset) => records[offset])
  expect(firsts).toEqual(offsets.map((offset, i) => `${offset}:${i}`))
})

test('an idempotent producer whose batch is refused gets the next ones refused, not stored', async () => {
  await createTopic(client, 'sequence')
  const of = (baseSequence: number): BatchOptions => ({ producerId: 900_001, producerEpoch: 0, baseSequence })
  const first = await packed('gzip', many, of(0))
  const damaged = changed(await packed('gzip', many, of(many.length)), (view) => view.setUint8(100, 0xff))
  const third = await packed('gzip', few, of(2 * many.length))
  const answers = await Promise.all([first, damaged, third].map((batch) => produce(client, 'sequence', batch)))
  expect(answers.map(({ errorCode }) => errorCode)).toEqual([
    0,
    ErrorCode.INVALID_RECORD,
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
  ])
  expect(await endOffset(client, 'sequence')).toBe(many.length)
})

test('with pagelog.produce.check.compressed=header batches are taken by header and CRC, but for what needs more', async () => {
  const other = await startFixture({ settings: { produceCheckCompressed: 'header', compressionGzipLevel: 9 } })
  try {
    await createTopic(other.client, 'trusting')
    for (const codec of [1, 2, 3, 4]) {
      const odd = changed(batchOf(few), (view) => view.setInt16(21, codec))
      expect(await produce(other.client, 'trusting', odd)).toMatchObject({ errorCode: 0, baseOffset: (codec - 1) * 3 })
    }
    await createTopic(other.client, 'table', { configs: [{ name: 'cleanup.policy', value: 'compact' }] })
    await createTopic(other.client, 'recoded', { configs: [{ name: 'compression.type', value: 'lz4' }] })
    for (const topic of ['table', 'recoded']) {
      const odd = changed(batchOf(few), (view) => view.setInt16(21, Compression.GZIP))
      expect((await produce(other.client, topic, odd)).errorCode).toBe(ErrorCode.INVALID_RECORD)
    }
  } finally {
    await other.close()
  }
})
