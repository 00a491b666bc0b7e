/** Thinning out stored batches: what changes, what must not, what is copied byte for byte. */
import { describe, expect, test } from 'vitest'
import { hasCode } from '../../src/base/index.ts'
import {
  BatchFilter,
  BatchWriter,
  baseSequence,
  baseTimestamp,
  batchSize,
  crc32c,
  deleteHorizonMs,
  FilterResult,
  lastOffset,
  lastOffsetDelta,
  leaderEpoch,
  maxTimestamp,
  producerEpoch,
  producerId,
  RecordBatch,
  type RecordCursor,
  type RecordHeader,
  recordCount,
  setBaseOffset,
  setCrc,
  setLeaderEpoch,
  setLogAppendTime,
} from '../../src/record/index.ts'

const NOW = 1_700_000_000_000
const NO_HORIZON = { horizonMs: -1 }

interface Given {
  key?: string | null
  value?: string | null
  timestampMs?: number
  headers?: readonly RecordHeader[]
}

const bytesOf = (text: string | null | undefined): Uint8Array | null => (text == null ? null : Buffer.from(text))

/** A stored batch that begins at offset 1000, at position 3 of the bytes. */
function stored(records: readonly Given[]): Uint8Array {
  const writer = new BatchWriter(new Uint8Array(65536))
  for (const { key = 'k', value = 'v', timestampMs = NOW, headers } of records) {
    writer.append(timestampMs, bytesOf(key), bytesOf(value), headers)
  }
  const batch = writer.finish({ producerId: 77, producerEpoch: 3, baseSequence: 500, transactional: true }).slice()
  setBaseOffset(batch, 0, 1000)
  setLeaderEpoch(batch, 0, 9)
  return Buffer.concat([Buffer.alloc(3), batch, Buffer.alloc(5)])
}

const keepOffsets = (...offsets: number[]) => ({ keeps: (cursor: RecordCursor) => offsets.includes(cursor.offset) })
const keepAll = { keeps: () => true }

function contentOf(
  bytes: Uint8Array,
  at = 0,
): { offset: number; timestamp: number; key: string; value: string | null }[] {
  const batch = new RecordBatch(bytes, at)
  expect(batch.isValid()).toBe(true)
  return [...batch].map(({ offset, timestamp, key, value }) => ({
    offset,
    timestamp,
    key: Buffer.from(key ?? []).toString(),
    value: value && Buffer.from(value).toString(),
  }))
}

describe('records that stay', () => {
  const records = Array.from({ length: 6 }, (_, index) => ({
    key: `key-${index}`,
    value: `value-${index}`,
    timestampMs: NOW + [5, 1, 9, 2, 8, 0][index]!,
  }))

  test('keep their offsets, timestamps, keys and values; the batch keeps its offsets, epoch and producer fields', () => {
    const source = stored(records)
    const filter = new BatchFilter()
    expect(filter.filter(source, 3, keepOffsets(1001, 1003, 1004), NO_HORIZON)).toBe(FilterResult.REWRITTEN)
    expect([filter.recordsRead, filter.recordsKept]).toEqual([6, 3])
    const { bytes } = filter
    expect(contentOf(bytes)).toEqual([
      { offset: 1001, timestamp: NOW + 1, key: 'key-1', value: 'value-1' },
      { offset: 1003, timestamp: NOW + 2, key: 'key-3', value: 'value-3' },
      { offset: 1004, timestamp: NOW + 8, key: 'key-4', value: 'value-4' },
    ])
    expect(batchSize(bytes, 0)).toBe(bytes.length)
    expect([recordCount(bytes, 0), lastOffsetDelta(bytes, 0), lastOffset(bytes, 0)]).toEqual([3, 5, 1005])
    expect([producerId(bytes, 0), producerEpoch(bytes, 0), baseSequence(bytes, 0)]).toEqual([77, 3, 500])
    expect([leaderEpoch(bytes, 0), maxTimestamp(bytes, 0)]).toEqual([9, NOW + 8])
    expect(new RecordBatch(bytes, 0).isTransactional).toBe(true)
  })

  test('all of them: the batch is to be copied', () => {
    expect(new BatchFilter().filter(stored(records), 3, keepAll, NO_HORIZON)).toBe(FilterResult.UNCHANGED)
  })

  test('none of them: what is left is a header with the offsets and sequences', () => {
    const source = stored(records)
    const filter = new BatchFilter()
    expect(filter.filter(source, 3, keepOffsets(), NO_HORIZON)).toBe(FilterResult.EMPTY)
    filter.emptyBatch(source, 3)
    const { bytes } = filter
    expect(contentOf(bytes)).toEqual([])
    expect(bytes.length).toBe(61)
    expect([recordCount(bytes, 0), lastOffset(bytes, 0)]).toEqual([0, 1005])
    expect([producerId(bytes, 0), producerEpoch(bytes, 0), baseSequence(bytes, 0)]).toEqual([77, 3, 500])
    expect([maxTimestamp(bytes, 0), baseTimestamp(bytes, 0), leaderEpoch(bytes, 0)]).toEqual([NOW + 9, -1, 9])
  })

  test('an empty batch stays empty', () => {
    const filter = new BatchFilter()
    filter.emptyBatch(stored(records), 3)
    const empty = filter.bytes.slice()
    expect(filter.filter(empty, 0, keepAll, NO_HORIZON)).toBe(FilterResult.EMPTY)
    expect([filter.recordsRead, filter.recordsKept]).toEqual([0, 0])
  })

  test('headers and null values are copied as they are', () => {
    const headers = [
      { key: 'trace', value: Buffer.from('abc') },
      { key: 'none', value: null },
    ]
    const source = stored([{ key: 'a' }, { key: 'b', value: null, headers }, { key: 'c', headers }])
    const filter = new BatchFilter()
    filter.filter(source, 3, keepOffsets(1001, 1002), NO_HORIZON)
    const kept = [...new RecordBatch(filter.bytes, 0)]
    expect(kept.map((record) => record.headers.map((header) => header.key))).toEqual([
      ['trace', 'none'],
      ['trace', 'none'],
    ])
    expect(kept[0]!.value).toBeNull()
  })

  test('with log append time they keep the time of the append', () => {
    const source = stored(records)
    setLogAppendTime(source, 3, NOW + 1000)
    setCrc(source, 3, crc32c(source, 3 + 21, source.length - 5))
    const filter = new BatchFilter()
    filter.filter(source, 3, keepOffsets(1003), NO_HORIZON)
    expect(contentOf(filter.bytes)).toMatchObject([{ offset: 1003, timestamp: NOW + 1000 }])
    expect(maxTimestamp(filter.bytes, 0)).toBe(NOW + 1000)
  })

  test('thousands in a batch, of all sizes', () => {
    const many = Array.from({ length: 3000 }, (_, index) => ({
      key: `k${index}`,
      value: 'x'.repeat(index % 17),
      timestampMs: NOW + ((index * 7919) % 100_000) - 50_000,
    }))
    const source = stored(many)
    const filter = new BatchFilter()
    const judge = { keeps: (cursor: RecordCursor) => (cursor.offset * 31) % 3 !== 0 }
    expect(filter.filter(source, 3, judge, { horizonMs: -1 })).toBe(FilterResult.REWRITTEN)
    const expected = contentOf(source, 3).filter(({ offset }) => (offset * 31) % 3 !== 0)
    expect(contentOf(filter.bytes)).toEqual(expected)
  })
})

describe('delete horizon', () => {
  const records: Given[] = [
    { key: 'a', timestampMs: NOW + 4 },
    { key: 'b', value: null, timestampMs: NOW },
    { key: 'c', timestampMs: NOW + 70_000, headers: [{ key: 'h', value: Buffer.from('x') }] },
  ]

  test('is set when a tombstone stays; timestamps stay what they were', () => {
    const source = stored(records)
    const filter = new BatchFilter()
    expect(filter.filter(source, 3, keepAll, { horizonMs: NOW + 500_000 })).toBe(FilterResult.REWRITTEN)
    expect(deleteHorizonMs(filter.bytes, 0)).toBe(NOW + 500_000)
    expect(contentOf(filter.bytes)).toEqual(contentOf(source, 3))
    expect(maxTimestamp(filter.bytes, 0)).toBe(NOW + 70_000)
    expect([...new RecordBatch(filter.bytes, 0)][2]!.headers).toHaveLength(1)
  })

  test('is set once: a batch that has one keeps it', () => {
    const filter = new BatchFilter()
    filter.filter(stored(records), 3, keepAll, { horizonMs: NOW + 5 })
    const first = filter.bytes.slice()
    expect(filter.filter(first, 0, keepAll, { horizonMs: NOW + 99 })).toBe(FilterResult.UNCHANGED)
    expect(filter.filter(first, 0, keepOffsets(1001), { horizonMs: NOW + 99 })).toBe(FilterResult.REWRITTEN)
    expect(deleteHorizonMs(filter.bytes, 0)).toBe(NOW + 5)
    expect(contentOf(filter.bytes)).toEqual([{ offset: 1001, timestamp: NOW, key: 'b', value: null }])
  })

  test('is not set when no tombstone stays', () => {
    const filter = new BatchFilter()
    filter.filter(stored(records), 3, keepOffsets(1000, 1002), { horizonMs: NOW })
    expect(deleteHorizonMs(filter.bytes, 0)).toBe(-1)
  })

  test('is set for a marker without looking at its record', () => {
    const filter = new BatchFilter()
    expect(filter.setMarkerHorizon(stored([{ key: 'm' }]), 3, NOW + 7)).toBe(FilterResult.REWRITTEN)
    expect(deleteHorizonMs(filter.bytes, 0)).toBe(NOW + 7)
  })

  test('records without timestamps keep none', () => {
    const source = stored([{ key: 'a', value: null, timestampMs: -1 }])
    const filter = new BatchFilter()
    filter.filter(source, 3, keepAll, { horizonMs: NOW })
    expect(contentOf(filter.bytes)).toEqual([{ offset: 1000, timestamp: -1, key: 'a', value: null }])
  })

  test('goes with the records when only the header stays', () => {
    const filter = new BatchFilter()
    filter.filter(stored(records), 3, keepAll, { horizonMs: NOW })
    filter.emptyBatch(filter.bytes.slice(), 0)
    expect(deleteHorizonMs(filter.bytes, 0)).toBe(-1)
    expect(contentOf(filter.bytes)).toEqual([])
  })
})

describe('damage', () => {
  test('a batch whose records do not fill it is refused, whatever the judge says', () => {
    const source = stored([{ key: 'a' }, { key: 'b' }])
    source[3 + 60] = 3 // one record more than there are
    const filter = new BatchFilter()
    let caught: unknown
    try {
      filter.filter(source, 3, keepAll, NO_HORIZON)
    } catch (error) {
      caught = error
    }
    expect(hasCode(caught, 'PAGELOG_CORRUPT')).toBe(true)
  })

  test('a compressed batch is refused', () => {
    const source = stored([{ key: 'a' }])
    source[3 + 22] = source[3 + 22]! | 1
    expect(() => new BatchFilter().filter(source, 3, keepAll, NO_HORIZON)).toThrow(/compressed/)
  })
})
