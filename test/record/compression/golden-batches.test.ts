/** Batches as Java's client, librdkafka, franz-go and kafka-python write them are read, record for record. */
import { describe, expect, it } from 'vitest'
import { zstdFrames } from '../../../src/record/compression/zstd-frame.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  codecNumber,
  crc32c,
  decompressBatch,
  RecordBatch,
  setCrc,
} from '../../../src/record/index.ts'
import { GOLDEN_RECORDS, goldenBatches, goldenRecordsOf } from './golden-batches.ts'
import { attempt, availableCodecs } from './support.ts'

const MAX_BYTES = 1 << 20
const codecs = await availableCodecs()
const golden = goldenBatches().map(({ client, codec, base64 }) => ({
  client,
  codec,
  bytes: new Uint8Array(Buffer.from(base64, 'base64')),
}))
const readable = golden.filter(({ codec }) => codecs.some(({ name }) => name === codec))
const codecOf = (name: string) => codecs.find((codec) => codec.name === name)!

it('there is one of every client and codec', () => {
  const clients = ['java', 'librdkafka', 'franz-go', 'kafka-python']
  const names = ['gzip', 'snappy', 'lz4', 'zstd']
  expect(golden.map(({ client, codec }) => `${client} ${codec}`)).toEqual(
    clients.flatMap((client) => names.map((name) => `${client} ${name}`)),
  )
})

it.each(golden)('$codec of $client has the header that it should', ({ codec, bytes }) => {
  const batch = new RecordBatch(bytes, 0)
  expect(batch.isValid()).toBe(true)
  expect(batch.compression).toBe(codecNumber(codec))
  expect([batch.sizeInBytes, batch.recordCount, batch.lastOffset]).toEqual([bytes.length, 9, 8])
  expect(batch.maxTimestamp).toBe(GOLDEN_RECORDS.at(-1)!.timestamp)
})

it.each(readable)('$codec of $client is read', ({ codec, bytes }) => {
  const plain = new RecordBatch(decompressBatch(bytes, codecOf(codec), MAX_BYTES), 0)
  expect(plain.isValid()).toBe(true)
  expect(goldenRecordsOf(plain)).toEqual(GOLDEN_RECORDS)
})

it.each(golden.filter(({ codec }) => codec === 'zstd'))('frames of zstd of $client are measured', ({ bytes }) => {
  const frames = zstdFrames(bytes.subarray(BATCH_HEADER_BYTES))
  expect(frames.length).toBe(1)
  expect(frames[0]!.end).toBe(bytes.length - BATCH_HEADER_BYTES)
  expect(frames[0]!.contentBytesMax).toBeGreaterThan(70_000)
})

describe.each(readable)('$codec of $client', ({ codec, bytes }) => {
  const exact = decompressBatch(bytes, codecOf(codec), MAX_BYTES).length - BATCH_HEADER_BYTES

  it('needs exactly the room that it takes', () => {
    expect(decompressBatch(bytes, codecOf(codec), exact).length).toBe(exact + BATCH_HEADER_BYTES)
    expect(() => decompressBatch(bytes, codecOf(codec), exact - 1)).toThrow(
      expect.objectContaining({ code: 'PAGELOG_TOO_LARGE' }),
    )
  })

  it('cut off at any byte, length and CRC made right, gives an error of ours or fewer bytes', () => {
    // Snappy's framing has no end mark: whole blocks remain, and the count of records tells.
    const readable: number[] = []
    for (let length = BATCH_HEADER_BYTES + 1; length < bytes.length; length++) {
      const cut = bytes.slice(0, length)
      new DataView(cut.buffer).setInt32(8, length - 12)
      setCrc(cut, 0, crc32c(cut, ATTRIBUTES_AT, length))
      const plain = attempt(() => decompressBatch(cut, codecOf(codec), MAX_BYTES))
      if (plain !== undefined && (codec !== 'snappy' || plain.length >= exact)) readable.push(length)
    }
    expect(readable).toEqual([])
  })
})
