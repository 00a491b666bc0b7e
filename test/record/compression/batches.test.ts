import { describe, expect, it } from 'vitest'
import {
  BatchWriter,
  type Codec,
  compressBatch,
  crc32c,
  decompressBatch,
  loadCodec,
  RecordBatch,
  setCrc,
  setLogAppendTime,
} from '../../../src/record/index.ts'
import { fromHex, utf8 } from '../support.ts'
import * as golden from './golden.ts'
import { availableCodecs, latin, lines, MAX_BYTES, refusal } from './support.ts'

const codecs = await availableCodecs()
const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : latin(bytes))

function plainBatch(value: Uint8Array = lines(5_000)): Uint8Array {
  const writer = new BatchWriter(new Uint8Array(value.length + 400))
  writer.append(1_700_000_000_500, utf8('key'), value, [{ key: 'h', value: null }])
  writer.append(1_700_000_000_000, null, null)
  return writer.finish({ producerId: 2 ** 40, producerEpoch: 7, baseSequence: 99, transactional: true })
}

const codecOf = (batch: Uint8Array): Promise<Codec> => loadCodec(new RecordBatch(batch, 0).compression)

describe('batches of Apache Kafka', () => {
  const names = codecs.map(({ name }) => name).filter((name) => name !== 'none')

  it.each(names)('with %s have their records', async (name) => {
    const batch = fromHex(golden.BATCHES[name as keyof typeof golden.BATCHES])
    const plain = new RecordBatch(decompressBatch(batch, await codecOf(batch), MAX_BYTES), 0)
    expect(plain.isValid()).toBe(true)
    const records = [...plain].map(({ offset, timestamp, key, value, headers }) => [
      offset,
      timestamp,
      text(key),
      text(value),
      headers.map((header) => [header.key, text(header.value)]),
    ])
    expect(records).toEqual(golden.BATCH_RECORDS)
  })
})

describe.each(codecs.map((codec) => [codec.name, codec] as const))('%s', (_, codec) => {
  it('keeps offsets, times, producer and attributes; length, codec and CRC are right', () => {
    const batch = plainBatch()
    const original = new RecordBatch(batch, 0)
    const compressed = new RecordBatch(compressBatch(batch, codec), 0)
    expect(compressed.isValid()).toBe(true)
    expect(compressed.compression).toBe(codec.compression)
    expect(compressed.sizeInBytes).toBe(compressed.bytes.length)
    for (const twin of [compressed, new RecordBatch(decompressBatch(compressed.bytes, codec, MAX_BYTES), 0)]) {
      expect(twin).toMatchObject({
        baseOffset: original.baseOffset,
        lastOffset: original.lastOffset,
        leaderEpoch: original.leaderEpoch,
        isTransactional: true,
        baseTimestamp: original.baseTimestamp,
        maxTimestamp: original.maxTimestamp,
        producerId: 2 ** 40,
        producerEpoch: 7,
        baseSequence: 99,
        recordCount: 2,
      })
    }
    expect(latin(decompressBatch(compressed.bytes, codec, MAX_BYTES))).toBe(latin(batch))
  })

  it('keeps log append time, the broker’s offset and epoch', () => {
    const compressed = compressBatch(plainBatch(), codec)
    setLogAppendTime(compressed, 0, 1_800_000_000_000)
    setCrc(compressed, 0, crc32c(compressed, 21, compressed.length))
    new DataView(compressed.buffer).setBigInt64(0, 123_456n)
    new DataView(compressed.buffer).setInt32(12, 42)
    const plain = new RecordBatch(decompressBatch(compressed, codec, MAX_BYTES), 0)
    expect(plain).toMatchObject({ timestampType: 1, maxTimestamp: 1_800_000_000_000, leaderEpoch: 42 })
    expect([...plain].map(({ offset, timestamp }) => [offset, timestamp])).toEqual([
      [123_456, 1_800_000_000_000],
      [123_457, 1_800_000_000_000],
    ])
  })

  it('takes the first of several batches', () => {
    const batch = plainBatch()
    const compressed = compressBatch(Buffer.concat([batch, plainBatch(utf8('other'))]), codec)
    expect(latin(compressed)).toBe(latin(compressBatch(batch, codec)))
    const plain = decompressBatch(Buffer.concat([compressed, utf8('anything')]), codec, MAX_BYTES)
    expect(latin(plain)).toBe(latin(batch))
  })

  it('the bound is of the records, without the header', () => {
    const batch = plainBatch()
    const compressed = compressBatch(batch, codec)
    expect(decompressBatch(compressed, codec, batch.length - 61).length).toBe(batch.length)
    refusal(() => decompressBatch(compressed, codec, batch.length - 62), 'PAGELOG_TOO_LARGE')
  })

  it('a batch that compaction has emptied stays empty', () => {
    const header = plainBatch().slice(0, 61)
    const view = new DataView(header.buffer)
    view.setInt32(8, 49)
    view.setInt32(57, 0)
    view.setInt16(21, codec.compression)
    const plain = new RecordBatch(decompressBatch(header, codec, 0), 0)
    expect([plain.isValid(), plain.compression, plain.recordCount, [...plain].length]).toEqual([true, 0, 0, 0])
  })
})

describe('refused', () => {
  const lz4 = codecs.find(({ name }) => name === 'lz4')!
  const gzip = codecs.find(({ name }) => name === 'gzip')!
  const compressed = compressBatch(plainBatch(), lz4)

  it.each([
    ['less than a header', plainBatch().subarray(0, 60)],
    ['a batch that is cut off', plainBatch().subarray(0, 400)],
    ['nothing', new Uint8Array(0)],
    ['a compressed batch', compressed],
    ['an older format', plainBatch().fill(1, 16, 17)],
  ])('to compress %s', (_, batch) => {
    refusal(() => compressBatch(batch, lz4), 'PAGELOG_INVALID_ARGUMENT')
  })

  it('a level that Kafka does not have', () => {
    refusal(() => compressBatch(plainBatch(), lz4, 18), 'PAGELOG_INVALID_SETTING')
    refusal(() => compressBatch(plainBatch(), gzip, 10), 'PAGELOG_INVALID_SETTING')
  })

  it.each([
    ['less than a header', compressed.subarray(0, 60)],
    ['a batch that is cut off', compressed.subarray(0, compressed.length - 1)],
    ['an older format', compressed.slice().fill(1, 16, 17)],
    ['a batch with a length below its header', compressed.slice().fill(0, 8, 12)],
    ['a batch without its frame’s end', endless(compressed)],
  ])('to decompress %s', (_, batch) => {
    refusal(() => decompressBatch(batch, lz4, MAX_BYTES), 'PAGELOG_CORRUPT')
  })

  it('to decompress with another codec', () => {
    refusal(() => decompressBatch(compressed, gzip, MAX_BYTES), 'PAGELOG_INVALID_ARGUMENT')
  })
})

function endless(batch: Uint8Array): Uint8Array {
  const copy = batch.slice(0, batch.length - 4)
  new DataView(copy.buffer).setInt32(8, copy.length - 12)
  return copy
}
