/**
 * Compressed batches, byte for byte: what Apache Kafka's own classes write we read, what we write they read; every codec,
 * the levels of both, sizes around the blocks of the framings. And the old formats, which only they can write.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  BatchWriter,
  batchesOf,
  type Codec,
  codecName,
  codecNumber,
  compressBatch,
  convertLegacy,
  decompressBatch,
  isLegacy,
  loadCodec,
  RecordBatch,
} from '../../src/record/index.ts'
import { goldenRecordsOf } from '../record/compression/golden-batches.ts'
import { noise } from '../record/compression/support.ts'
import { testedCodecs } from './codecs.ts'
import { RecordSets, type SetRecord } from './compression/record-sets.ts'

const MAX_BYTES = 64 << 20
const START = 1_700_000_000_000

let kafka: RecordSets
const codecs: Codec[] = []

beforeAll(async () => {
  kafka = await RecordSets.start()
  for (const name of testedCodecs('none', 'gzip', 'snappy', 'lz4', 'zstd')) {
    codecs.push(await loadCodec(codecNumber(name)))
  }
})

afterAll(() => {
  kafka?.close()
})

const base64 = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString('base64')
const bytesOf = (text: string | null): Uint8Array | null => (text === null ? null : Buffer.from(text, 'base64'))

function eventsOf(count: number): SetRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    offset: index,
    timestamp: START + index * 7,
    key: index % 5 === 0 ? null : base64(Buffer.from(`user-${index % 40}`)),
    value:
      index % 17 === 16
        ? null
        : base64(
            Buffer.from(JSON.stringify({ id: index, kind: 'page-view', path: `/shop/${index % 9}`, took: index })),
          ),
    headers:
      index % 4 === 0
        ? [
            ['trace', base64(noise(16))],
            ['empty', null],
          ]
        : [],
  }))
}

const only = (value: Uint8Array): SetRecord[] => [
  { offset: 0, timestamp: START, key: null, value: base64(value), headers: [] },
]

/** Name and records of each set; the sizes of values are chosen around blocks of 32 and 64 KiB. */
const sets: readonly (readonly [string, readonly SetRecord[]])[] = [
  ['one small record', only(Buffer.from('x'))],
  ['events', eventsOf(3_000)],
  ...[32_767, 65_400, 65_536, 65_537, 200_000].flatMap((length) => [
    [`${length} bytes of noise`, only(noise(length))] as const,
    [`${length} equal bytes`, only(new Uint8Array(length).fill(7))] as const,
  ]),
]

function encode(records: readonly SetRecord[]): Uint8Array {
  const room = records.reduce((sum, { key, value }) => sum + 200 + (key?.length ?? 0) + (value?.length ?? 0), 100)
  const writer = new BatchWriter(new Uint8Array(room))
  for (const { timestamp, key, value, headers } of records) {
    const ours = headers.map(([name, text]) => ({ key: name, value: bytesOf(text) }))
    expect(writer.append(timestamp, bytesOf(key), bytesOf(value), ours)).toBe(true)
  }
  return writer.finish()
}

const levelsOfKafka: Readonly<Record<string, readonly (number | undefined)[]>> = {
  gzip: [undefined, 1, 9],
  lz4: [undefined, 1, 17],
  zstd: [undefined, -5, 1, 22],
}
const levelsOfOurs: Readonly<Record<string, readonly (number | undefined)[]>> = {
  gzip: [undefined, 1, 9],
  lz4: [1, 17],
  zstd: [undefined, -131072, 1, 22],
}

describe.each(sets)('%s', (_, records) => {
  test('of Kafka are read here', async () => {
    for (const codec of codecs) {
      for (const level of levelsOfKafka[codec.name] ?? [undefined]) {
        const written = await kafka.write({
          magic: 2,
          codec: codec.name,
          records,
          ...(level === undefined ? {} : { level }),
        })
        const [batch] = batchesOf(written)
        expect(batch!.isValid()).toBe(true)
        expect(codecName(batch!.compression)).toBe(codec.name)
        const plain = new RecordBatch(decompressBatch(written, codec, MAX_BYTES), 0)
        expect(plain.isValid()).toBe(true)
        expect(goldenRecordsOf(plain)).toEqual(records)
      }
    }
  })

  test('of ours are read by Kafka', async () => {
    for (const codec of codecs) {
      for (const level of levelsOfOurs[codec.name] ?? [undefined]) {
        const read = await kafka.read(compressBatch(encode(records), codec, level))
        expect(read).toEqual({ codecs: [codec.name], records })
      }
    }
  })
})

describe.each([0, 1] as const)('format %i', (magic) => {
  const times = magic === 0 ? [-1] : [-1, START + 99]
  const records = eventsOf(500).map((record, index) => ({ ...record, offset: index * 2 + 40, headers: [] }))

  test.each(['none', 'gzip', 'snappy', 'lz4'])('with %s becomes batches with the same records', async (codec) => {
    for (const logAppendTime of times) {
      const written = await kafka.write({ magic, codec, baseOffset: 40, logAppendTime, records })
      const found: SetRecord[] = []
      for (let at = 0; at < written.length; ) {
        expect(isLegacy(written, at)).toBe(true)
        const { batch, end } = await convertLegacy(written, at, { maxBytes: MAX_BYTES })
        const converted = new RecordBatch(batch, 0)
        expect(converted.isValid()).toBe(true)
        found.push(...goldenRecordsOf(converted))
        // Kafka's classes read our conversion as well.
        expect((await kafka.read(batch)).records).toEqual(goldenRecordsOf(converted))
        at = end
      }
      expect(found).toEqual((await kafka.read(written)).records)
      expect(found.map(({ offset }) => offset)).toEqual(records.map(({ offset }) => offset))
      if (logAppendTime !== -1)
        expect(new Set(found.map(({ timestamp }) => timestamp))).toEqual(new Set([logAppendTime]))
    }
  })
})
