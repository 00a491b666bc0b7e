import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BatchFault } from '../../src/native/index.ts'
import { checkWays } from './implementations.ts'
import { kafkaBatches } from './kafka-batches.ts'
import { makeBatch, makePlainBatch, makeRecord, seal, zigzag } from './make-batch.ts'

const COMPRESSED = 0x01
const CONTROL = 0x20

// Two records: one with key, value and headers, one with neither key nor value.
const records = [
  ...makeRecord({
    offsetDelta: 0,
    key: [1, 2],
    value: [3, 4, 5, 6],
    headers: [
      [
        [104, 49],
        [9, 9],
      ],
      [[104, 50], null],
      [[], []],
    ],
  }),
  ...makeRecord({ offsetDelta: 1, timestampDelta: -5, key: null, value: null }),
]
const good = makeBatch({ records, count: 2 })

/** A batch with these raw records. */
const withRecords = (raw: readonly number[], count = 1) => makeBatch({ records: raw, count })

/** One record whose body is given byte by byte. */
const withBody = (...body: number[]) => withRecords([...zigzag(body.length), ...body])

describe.each(checkWays)('checkBatch, $name', ({ checkBatch, checkBatchStored }) => {
  const check = (bytes: Uint8Array) => checkBatch(bytes, 0, bytes.length)

  test('answers the size of a good batch, wherever it lies', () => {
    expect(check(good)).toBe(good.length)
    const around = new Uint8Array(good.length + 20).fill(0xee)
    around.set(good, 7)
    expect(checkBatch(around, 7, around.length)).toBe(good.length)
    expect(checkBatch(around, 7, 7 + good.length)).toBe(good.length)
    expect(checkBatchStored(around, 7, around.length)).toBe(good.length)
  })

  test.each(kafkaBatches)('accepts what Apache Kafka writes: $name', ({ bytes }) => {
    expect(check(bytes)).toBe(bytes.length)
    expect(checkBatchStored(bytes, 0, bytes.length)).toBe(bytes.length)
  })

  test('accepts large and many records', () => {
    for (const batch of [makePlainBatch(3000, 20), makePlainBatch(1, 40_000), makePlainBatch(64, 127)]) {
      expect(check(batch)).toBe(batch.length)
    }
  })

  test('answers INCOMPLETE for every shorter length', () => {
    for (let end = 0; end < good.length; end++) {
      expect(checkBatch(good, 0, end), `end ${end}`).toBe(BatchFault.INCOMPLETE)
      expect(checkBatchStored(good, 0, end), `end ${end}`).toBe(BatchFault.INCOMPLETE)
    }
  })

  test.each([
    ['negative', -1],
    ['zero, as in a hole', 0],
    ['below any format', 13],
    ['below a header', 48],
    ['near the largest number', 0x7fffffff],
    ['the most negative number', -0x80000000],
  ])('answers SIZE for a length that is %s', (_, length) => {
    const batch = makeBatch({ records, count: 2, length })
    expect(check(batch)).toBe(BatchFault.SIZE)
    expect(checkBatchStored(batch, 0, batch.length)).toBe(BatchFault.SIZE)
  })

  test('answers INCOMPLETE for a length past the end', () => {
    expect(check(makeBatch({ records, count: 2, length: good.length - 11 }))).toBe(BatchFault.INCOMPLETE)
    expect(check(makeBatch({ records, count: 2, length: 0x7ffffff0 }))).toBe(BatchFault.INCOMPLETE)
  })

  test.each([0, 1, 3, -1])('answers MAGIC for format %i', (magic) => {
    const batch = makeBatch({ records, count: 2, magic })
    expect(check(batch)).toBe(BatchFault.MAGIC)
    expect(checkBatchStored(batch, 0, batch.length)).toBe(BatchFault.MAGIC)
  })

  test('answers CRC for each flipped bit behind the CRC field, and in it', () => {
    for (let at = 17; at < good.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = good.slice()
        flipped[at]! ^= 1 << bit
        expect(check(flipped), `byte ${at} bit ${bit}`).toBe(BatchFault.CRC)
      }
    }
  })

  test('does not mind base offset and leader epoch, which the CRC does not cover', () => {
    const rewritten = good.slice()
    rewritten.fill(0x55, 0, 8).fill(0x55, 12, 16)
    expect(check(rewritten)).toBe(good.length)
  })

  test.each([
    ['no records', 0, -1],
    ['no records but a delta', 0, 0],
    ['a negative count', -1, -2],
    ['a delta beyond the count', 2, 2],
    ['a delta below the count', 2, 0],
    ['a count that overflows', -0x80000000, 0x7fffffff],
  ])('answers COUNT for %s', (_, count, lastOffsetDelta) => {
    expect(check(makeBatch({ records, count, lastOffsetDelta }))).toBe(BatchFault.COUNT)
  })

  describe('answers RECORDS for', () => {
    const cases: [string, Uint8Array][] = [
      ['fewer records than counted', withRecords(records, 3)],
      ['more records than counted', withRecords(records, 1)],
      ['no bytes at all', withRecords([], 1)],
      ['a byte too many', withRecords([...records, 0], 2)],
      ['a byte too few', withRecords(records.slice(0, -1), 2)],
      ['a negative record length', withRecords([...zigzag(-1), ...records], 2)],
      ['a record length past the end', withRecords([...zigzag(100), ...records.slice(1)], 2)],
      ['a record length of 2 GiB', withRecords([0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0], 1)],
      ['a record length that never ends', withRecords([0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0, 0], 1)],
      ['an empty record', withRecords([0], 1)],
      ['offset deltas that do not start at 0', withRecords(makeRecord({ offsetDelta: 1 }), 1)],
      [
        'repeated offset deltas',
        withRecords([...makeRecord({ offsetDelta: 0 }), ...makeRecord({ offsetDelta: 0 })], 2),
      ],
      [
        'a gap in the offset deltas',
        withRecords([...makeRecord({ offsetDelta: 0 }), ...makeRecord({ offsetDelta: 2 })], 2),
      ],
      ['a key length of -2', withBody(0, 0, 0, ...zigzag(-2), 1, 0)],
      ['a key past the record', withBody(0, 0, 0, ...zigzag(9), 1, 0)],
      ['a value length of -2', withBody(0, 0, 0, 1, ...zigzag(-2), 0)],
      ['a value past the record', withBody(0, 0, 0, 1, ...zigzag(2), 0)],
      ['a negative header count', withBody(0, 0, 0, 1, 1, ...zigzag(-1))],
      ['headers counted but missing', withBody(0, 0, 0, 1, 1, ...zigzag(1))],
      ['two thousand million headers', withBody(0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f)],
      ['a header without a key', withBody(0, 0, 0, 1, 1, ...zigzag(1), ...zigzag(-1), 1)],
      ['a header value past the record', withBody(0, 0, 0, 1, 1, ...zigzag(1), 0, ...zigzag(3), 1)],
      ['a timestamp delta of eleven bytes', withBody(0, ...new Array(10).fill(0x80), 0, 0, 1, 1, 0)],
      ['bytes left over in a record', withBody(0, 0, 0, 1, 1, 0, 0)],
      ['a record that ends after its attributes', withBody(0)],
      ['a record that ends before its headers', withBody(0, 0, 0, 1, 1)],
    ]
    test.each(cases)('%s', (_, batch) => {
      expect(check(batch)).toBe(BatchFault.RECORDS)
    })

    test.each(cases)('but not where stored: %s', (_, batch) => {
      expect(checkBatchStored(batch, 0, batch.length)).toBe(batch.length)
    })
  })

  test('accepts numbers written longer than need be, as Kafka does', () => {
    expect(check(withBody(0, 0x80, 0x00, 0x80, 0x80, 0x00, 1, 0x81, 0x00, 0))).toBeGreaterThan(0)
    expect(check(withBody(0, ...new Array(9).fill(0x80), 0, 0, 1, 1, 0))).toBeGreaterThan(0)
  })

  test('drops the bits of a number beyond 32, as Kafka does', () => {
    expect(check(withBody(0, 0, 0, 1, 0x84, 0x80, 0x80, 0x80, 0x70, 7, 7, 0))).toBeGreaterThan(0)
  })

  test('does not look into compressed and control batches', () => {
    for (const attributes of [COMPRESSED, 4, 7, CONTROL, CONTROL | COMPRESSED]) {
      const batch = makeBatch({ records: [1, 2, 3], count: 5, attributes })
      expect(check(batch)).toBe(batch.length)
    }
  })

  test('looks into transactional batches and those with log append time', () => {
    expect(check(makeBatch({ records: [1, 2, 3], count: 1, attributes: 0x18 }))).toBe(BatchFault.RECORDS)
  })

  test('accepts what compaction leaves only where stored', () => {
    for (const [count, lastOffsetDelta] of [
      [0, 9],
      [2, 7],
    ] as const) {
      const batch = makeBatch({ records: count === 0 ? [] : records, count, lastOffsetDelta })
      expect(check(batch)).toBe(BatchFault.COUNT)
      expect(checkBatchStored(batch, 0, batch.length)).toBe(batch.length)
    }
    for (const [count, lastOffsetDelta] of [
      [-1, 0],
      [1, -1],
    ] as const) {
      const batch = makeBatch({ records, count, lastOffsetDelta })
      expect(checkBatchStored(batch, 0, batch.length)).toBe(BatchFault.COUNT)
    }
  })

  test('refuses arguments that are none', () => {
    const loose = checkBatch as (...values: unknown[]) => number
    for (const values of [[], ['x', 0, 1], [good], [good, 0], [good, '0', 1], [new Int8Array(80), 0, 80]]) {
      expect(() => loose(...values)).toThrow(TypeError)
    }
    for (const values of [
      [good, -1, 5],
      [good, 6, 5],
      [good, 0, good.length + 1],
      [good, 0.5, 5],
      [good, 0, Number.NaN],
    ]) {
      expect(() => loose(...values)).toThrow(RangeError)
    }
  })
})

describe('all implementations', () => {
  const batches = [good, makePlainBatch(20, 7), makePlainBatch(3, 200), withRecords(records, 3)]
  const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 })

  test('agree on damaged batches whose CRC is right', () => {
    fc.assert(
      fc.property(fc.constantFrom(...batches), mutations, fc.nat(), (batch, changes, cut) => {
        const damaged = batch.slice()
        for (const [at, byte] of changes) damaged[at % damaged.length] = byte
        seal(damaged)
        const end = cut % 10 === 0 ? cut % damaged.length : damaged.length
        const [first, ...others] = checkWays.map((way) => [
          way.checkBatch(damaged, 0, end),
          way.checkBatchStored(damaged, 0, end),
        ])
        for (const other of others) expect(other).toEqual(first)
      }),
      { numRuns: 5000 },
    )
  })

  test('agree on records of random bytes', () => {
    const small = fc.integer({ min: 0, max: 14 })
    const bytes = fc.array(fc.oneof(small, small, fc.nat(255)), { maxLength: 24 })
    fc.assert(
      fc.property(bytes, fc.integer({ min: 1, max: 3 }), (raw, count) => {
        const batch = withRecords(raw, count)
        const answers = new Set(checkWays.map((way) => way.checkBatch(batch, 0, batch.length)))
        expect(answers.size).toBe(1)
      }),
      { numRuns: 5000 },
    )
  })
})
