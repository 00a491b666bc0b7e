import fc from 'fast-check'
import { expect, it } from 'vitest'
import { BatchWriter, batchesOf, RecordBatch } from '../../src/record/index.ts'
import { encode, noProducer, type PlainRecord } from './support.ts'

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.integer({ min: 50, max: 9000 }).map((length) => new Uint8Array(length).fill(length)),
)
const nullable = fc.option(bytes, { nil: null })
const timestamp = fc.oneof(
  fc.constantFrom(-1, 0, 63, 64, 8191, 8192, 2 ** 29 - 1, 2 ** 29, 2 ** 31, 2 ** 32, 2 ** 52, 1_700_000_000_000),
  fc.integer({ min: -(2 ** 40), max: 2 ** 50 }),
)
const headers = fc.array(fc.record({ key: fc.string({ unit: 'binary', maxLength: 10 }), value: nullable }), {
  maxLength: 3,
})
const record: fc.Arbitrary<PlainRecord> = fc.record({ timestamp, key: nullable, value: nullable, headers })

const plain = (value: Uint8Array | null): string | null =>
  value === null ? null : Buffer.from(value).toString('latin1')

it('gives back any records that were put into a batch', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 90 }), (records) => {
      const batch = new RecordBatch(encode(records), 0)
      expect(batch.isValid()).toBe(true)
      expect(batch.recordCount).toBe(records.length)
      expect(batch.maxTimestamp).toBe(Math.max(...records.map((one) => one.timestamp)))
      let index = 0
      for (const read of batch) {
        const written = records[index]!
        expect([read.offset, read.timestamp]).toEqual([index, written.timestamp])
        expect(plain(read.key)).toEqual(plain(written.key))
        expect(plain(read.value)).toEqual(plain(written.value))
        expect(read.headers).toEqual(written.headers)
        index++
      }
      expect(index).toBe(records.length)
    }),
    { numRuns: 60 },
  )
})

it('stays valid and unchanged when the next record does not fit', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 61, max: 400 }),
      fc.array(record, { minLength: 1, maxLength: 20 }),
      (room, records) => {
        const buffer = new Uint8Array(room)
        const writer = new BatchWriter(buffer)
        let kept = 0
        for (const one of records) {
          const size = writer.size
          if (writer.append(one.timestamp, one.key, one.value, one.headers)) kept++
          else expect(writer.size).toBe(size)
        }
        if (kept === 0) return
        const finished = writer.finish(noProducer)
        expect([...batchesOf(finished)].map((batch) => [batch.recordCount, batch.isValid()])).toEqual([[kept, true]])
        expect([...new RecordBatch(finished, 0)].length).toBe(kept)
      },
    ),
    { numRuns: 200 },
  )
})
