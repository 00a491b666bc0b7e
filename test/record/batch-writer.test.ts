import { describe, expect, it } from 'vitest'
import { BatchWriter, Compression, RecordBatch } from '../../src/record/index.ts'
import * as golden from './golden.ts'
import { encode, fromHex, noProducer, utf8 } from './support.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('BatchWriter against the bytes of Apache Kafka', () => {
  it('writes a plain record as Kafka does', () => {
    const bytes = encode([{ timestamp: 1_700_000_000_000, key: utf8('key'), value: utf8('value'), headers: [] }])
    expect(hex(bytes)).toBe(golden.PLAIN)
  })

  it('writes nulls, empty keys, earlier timestamps, headers and producer fields as Kafka does', () => {
    const headers = [
      { key: 'hé', value: new Uint8Array([1, 2]) },
      { key: 'none', value: null },
    ]
    const records = [
      { timestamp: 1_700_000_000_000, key: null, value: utf8('a'), headers: [] },
      { timestamp: 1_699_999_999_000, key: utf8('k'), value: null, headers: [] },
      { timestamp: 1_700_000_100_000, key: new Uint8Array(0), value: new Uint8Array(200), headers },
    ]
    const bytes = encode(records, { producerId: 4242, producerEpoch: 7, baseSequence: 100 })
    bytes.fill(0, 12, 16) // Kafka's sample was made with leader epoch 0
    expect(hex(bytes)).toBe(golden.MIXED)
  })

  it('marks a transactional batch', () => {
    const writer = new BatchWriter(new Uint8Array(200))
    writer.append(0, utf8('x'), utf8('y'))
    const bytes = writer.finish({
      producerId: 2 ** 40,
      producerEpoch: 32767,
      baseSequence: 2147483647,
      transactional: true,
    })
    const expected = fromHex(golden.TRANSACTIONAL)
    expect(hex(bytes.subarray(16))).toBe(hex(expected.subarray(16)))
  })
})

describe('BatchWriter', () => {
  it('refuses a record without room and leaves the batch as it was', () => {
    const writer = new BatchWriter(new Uint8Array(100))
    expect(writer.append(1, null, new Uint8Array(20))).toBe(true)
    const size = writer.size
    for (const length of [20, 100, 10_000]) expect(writer.append(1, null, new Uint8Array(length))).toBe(false)
    expect([writer.size, writer.count]).toEqual([size, 1])
    expect(new RecordBatch(writer.finish(noProducer), 0).isValid()).toBe(true)
  })

  it('fills its room to the last byte', () => {
    for (let spare = 0; spare < 4; spare++) {
      const writer = new BatchWriter(new Uint8Array(61 + 27 + spare))
      expect(writer.append(1, null, new Uint8Array(20))).toBe(true)
      expect(writer.append(1, null, null)).toBe(false)
    }
    expect(new BatchWriter(new Uint8Array(61 + 26)).append(1, null, new Uint8Array(20))).toBe(false)
  })

  it('can be finished again with other producer fields', () => {
    const writer = new BatchWriter(new Uint8Array(200))
    writer.append(5, null, utf8('v'))
    const first = writer.finish({ producerId: 1, producerEpoch: 0, baseSequence: 9 }).slice()
    const second = writer.finish({ producerId: 2, producerEpoch: 3, baseSequence: 0 })
    const [one, two] = [new RecordBatch(first, 0), new RecordBatch(second, 0)]
    expect([one.isValid(), two.isValid()]).toEqual([true, true])
    expect([one.producerId, one.baseSequence]).toEqual([1, 9])
    expect([two.producerId, two.producerEpoch, two.baseSequence]).toEqual([2, 3, 0])
  })

  it('starts anew after reset, in the same or another buffer', () => {
    const writer = new BatchWriter(new Uint8Array(200))
    writer.append(5, null, utf8('old'))
    writer.reset()
    writer.append(1, null, utf8('new'))
    expect([...new RecordBatch(writer.finish(noProducer), 0)].map((record) => record.timestamp)).toEqual([1])
    writer.reset(new Uint8Array(100))
    expect([writer.size, writer.count]).toEqual([61, 0])
  })

  it('refuses an empty batch and codecs it does not have', () => {
    const writer = new BatchWriter(new Uint8Array(200))
    expect(() => writer.finish(noProducer)).toThrow(expect.objectContaining({ code: 'PAGELOG_INVALID_ARGUMENT' }))
    writer.append(1, null, null)
    const finish = () => writer.finish({ ...noProducer, compression: Compression.GZIP })
    expect(finish).toThrow(expect.objectContaining({ code: 'PAGELOG_UNSUPPORTED' }))
  })
})
