import { describe, expect, it } from 'vitest'
import * as header from '../../src/record/index.ts'
import { batchesOf, RecordBatch, RecordCursor } from '../../src/record/index.ts'
import * as golden from './golden.ts'
import { encode, fromHex, utf8 } from './support.ts'

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : new TextDecoder().decode(bytes))

describe('reading batches of Apache Kafka', () => {
  it('reads every header field', () => {
    const batch = new RecordBatch(fromHex(golden.TRANSACTIONAL), 0)
    expect(batch.isValid()).toBe(true)
    expect(batch).toMatchObject({
      baseOffset: 987654321012,
      lastOffset: 987654321012,
      sizeInBytes: golden.TRANSACTIONAL.length / 2,
      magic: 2,
      isTransactional: true,
      isControl: false,
      compression: 0,
      timestampType: 0,
      baseTimestamp: 0,
      maxTimestamp: 0,
      producerId: 2 ** 40,
      producerEpoch: 32767,
      baseSequence: 2147483647,
      recordCount: 1,
      leaderEpoch: 12,
    })
  })

  it('reads records with nulls, headers and a falling timestamp', () => {
    const records = [...new RecordBatch(fromHex(golden.MIXED), 0)]
    expect(records.map((record) => [record.offset, record.timestamp])).toEqual([
      [0, 1_700_000_000_000],
      [1, 1_699_999_999_000],
      [2, 1_700_000_100_000],
    ])
    expect(records.map((record) => text(record.key))).toEqual([null, 'k', ''])
    expect(records.map((record) => record.value?.length ?? null)).toEqual([1, null, 200])
    expect(records.map((record) => record.headers)).toEqual([
      [],
      [],
      [
        { key: 'hé', value: new Uint8Array([1, 2]) },
        { key: 'none', value: null },
      ],
    ])
  })

  it('tells a control batch', () => {
    const batch = new RecordBatch(fromHex(golden.COMMIT), 0)
    expect([batch.isValid(), batch.isControl, batch.isTransactional, batch.baseSequence]).toEqual([
      true,
      true,
      true,
      -1,
    ])
    expect([...batch].length).toBe(1)
  })

  it('gives every record the append time when the batch has that', () => {
    const bytes = encode([1, 2, 3].map((timestamp) => ({ timestamp, key: null, value: utf8('v'), headers: [] })))
    header.setLogAppendTime(bytes, 0, 77)
    const batch = new RecordBatch(bytes, 0)
    expect([batch.timestampType, batch.maxTimestamp]).toEqual([1, 77])
    expect([...batch].map((record) => record.timestamp)).toEqual([77, 77, 77])
  })
})

describe('header accessors', () => {
  it('rewrite base offset and leader epoch without touching the CRC', () => {
    const bytes = fromHex(golden.PLAIN)
    header.setBaseOffset(bytes, 0, Number.MAX_SAFE_INTEGER - 1)
    header.setLeaderEpoch(bytes, 0, 2147483647)
    const batch = new RecordBatch(bytes, 0)
    expect([batch.baseOffset, batch.leaderEpoch]).toEqual([Number.MAX_SAFE_INTEGER - 1, 2147483647])
    expect(batch.isValid()).toBe(true)
  })

  it('saturate an int64 beyond the safe integers', () => {
    const bytes = new Uint8Array(8)
    const view = new DataView(bytes.buffer)
    const cases: [bigint, number][] = [
      [0x7fffffffffffffffn, Number.MAX_SAFE_INTEGER],
      [2n ** 53n, Number.MAX_SAFE_INTEGER],
      [2n ** 53n - 1n, Number.MAX_SAFE_INTEGER],
      [-1n, -1],
      [-(2n ** 53n) + 1n, Number.MIN_SAFE_INTEGER],
      [-(2n ** 53n), Number.MIN_SAFE_INTEGER],
      [-(2n ** 63n), Number.MIN_SAFE_INTEGER],
      [4294967296n, 4294967296],
    ]
    for (const [stored, read] of cases) {
      view.setBigInt64(0, stored)
      expect(header.readInt64(bytes, 0)).toBe(read)
      if (BigInt(read) !== stored) continue
      header.writeInt64(bytes, 0, read)
      expect(view.getBigInt64(0)).toBe(stored)
    }
  })
})

describe('batchesOf', () => {
  const bytes = fromHex(golden.PLAIN + golden.MIXED + golden.COMMIT)

  it('finds the batches one after the other', () => {
    expect([...batchesOf(bytes)].map((batch) => batch.recordCount)).toEqual([1, 3, 1])
    expect([...batchesOf(bytes, golden.PLAIN.length / 2)].length).toBe(2)
  })

  it('stops before a tail that is cut off, at every length', () => {
    const ends = [0, golden.PLAIN.length / 2, (golden.PLAIN.length + golden.MIXED.length) / 2, bytes.length]
    for (let length = 0; length <= bytes.length; length++) {
      const whole = ends.filter((end) => end > 0 && end <= length).length
      expect([...batchesOf(bytes.subarray(0, length))].length).toBe(whole)
    }
  })

  it('stops at a size that cannot be', () => {
    for (const size of [0, -1, 48, -2147483648]) {
      const damaged = bytes.slice()
      header.writeInt32(damaged, 8, size)
      expect([...batchesOf(damaged)]).toEqual([])
    }
  })
})

describe('a damaged batch', () => {
  const walk = (bytes: Uint8Array): void => {
    const cursor = new RecordCursor()
    cursor.reset(bytes, 0)
    while (cursor.next()) {
      const { keyStart, keyLength, valueStart, valueLength } = cursor
      if (keyStart + keyLength > bytes.length || valueStart + valueLength > bytes.length) throw new Error('outside')
      for (const one of cursor.headers())
        if (one.value !== null && one.value.length > bytes.length) throw new Error('outside')
    }
  }

  it('is refused by reset when it is not whole, of another version or compressed', () => {
    const bytes = fromHex(golden.MIXED)
    for (let length = 0; length < bytes.length; length++) {
      expect(() => walk(bytes.subarray(0, length))).toThrow(expect.objectContaining({ code: 'PAGELOG_CORRUPT' }))
    }
    const old = bytes.slice()
    old[16] = 1
    expect(() => walk(old)).toThrow(expect.objectContaining({ code: 'PAGELOG_CORRUPT' }))
    const compressed = bytes.slice()
    compressed[22] = 4
    expect(() => walk(compressed)).toThrow(expect.objectContaining({ code: 'PAGELOG_UNSUPPORTED' }))
  })

  it('fails its CRC for every bit flipped in what the CRC covers', () => {
    const bytes = fromHex(golden.MIXED)
    for (let bit = 17 * 8; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      expect(new RecordBatch(bytes, 0).isValid()).toBe(false)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
    }
  })

  it('never leads the cursor outside, whatever byte is wrong', () => {
    const bytes = fromHex(golden.MIXED)
    const behind = new Uint8Array(bytes.length + 64).fill(0x02)
    for (let at = 57; at < bytes.length; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        behind.set(bytes)
        behind[at] = value
        const cursor = new RecordCursor()
        try {
          cursor.reset(behind, 0)
          while (cursor.next()) {
            expect(cursor.keyStart + Math.max(0, cursor.keyLength)).toBeLessThanOrEqual(bytes.length)
            expect(cursor.valueStart + Math.max(0, cursor.valueLength)).toBeLessThanOrEqual(bytes.length)
            cursor.headers()
          }
        } catch (error) {
          expect(error).toMatchObject({ code: 'PAGELOG_CORRUPT' })
        }
      }
    }
  })

  it('is refused when more or fewer records are there than counted', () => {
    for (const count of [0, 2, 4, -1, 2147483647]) {
      const bytes = fromHex(golden.MIXED)
      header.writeInt32(bytes, 57, count)
      expect(() => walk(bytes)).toThrow(expect.objectContaining({ code: 'PAGELOG_CORRUPT' }))
    }
  })
})
