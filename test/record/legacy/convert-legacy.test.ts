import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { convertLegacy, isLegacy, type LegacyConversion, loadCodec, RecordBatch } from '../../../src/record/index.ts'
import * as golden from '../compression/golden.ts'
import { concat, latin, lines, MAX_BYTES } from '../compression/support.ts'
import { PLAIN } from '../golden.ts'
import { fromHex, utf8 } from '../support.ts'
import { message, messages, type OldMessage } from './support.ts'

const GZIP = 1
const TIME = 1_700_000_000_000

const options = { maxBytes: MAX_BYTES }
const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : latin(bytes))

type Plain = readonly [offset: number, timestamp: number, key: string | null, value: string | null]

function recordsOf(batch: Uint8Array): Plain[] {
  const view = new RecordBatch(batch, 0)
  expect(view.isValid()).toBe(true)
  expect(view.sizeInBytes).toBe(batch.length)
  return [...view].map(({ offset, timestamp, key, value }) => [offset, timestamp, text(key), text(value)])
}

/** All batches that `bytes` become. */
async function convertAll(bytes: Uint8Array, maxBytes = MAX_BYTES): Promise<Uint8Array[]> {
  const batches: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const { batch, end } = await convertLegacy(bytes, at, { maxBytes })
    expect(end).toBeGreaterThan(at)
    batches.push(batch)
    at = end
  }
  return batches
}

const refused = (bytes: Uint8Array, code: string, message = /./): Promise<void> =>
  expect(convertLegacy(bytes, 0, options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })

const wrapper = (magic: 0 | 1, inner: Uint8Array, given: Partial<OldMessage> = {}): Uint8Array =>
  message(magic, { offset: 0, codec: GZIP, value: gzipSync(inner), ...given })

describe('sets of Apache Kafka', () => {
  it.each(golden.OLD_SETS)('format %i, %s, log append time: %s', async (format, _codec, isLogAppendTime, hex) => {
    const batches = await convertAll(fromHex(hex))
    const expected = golden.OLD_RECORDS.map(([offset, timestamp, key, value]): Plain => {
      return [offset, format === 0 ? -1 : isLogAppendTime ? golden.APPEND_TIME : timestamp, key, value]
    })
    expect(batches.flatMap(recordsOf)).toEqual(expected)
    expect(batches).toHaveLength(1)
    const batch = new RecordBatch(batches[0]!, 0)
    expect(batch).toMatchObject({
      baseOffset: 70,
      lastOffset: 74,
      leaderEpoch: -1,
      compression: 0,
      isTransactional: false,
      isControl: false,
      timestampType: isLogAppendTime ? 1 : 0,
      maxTimestamp: Math.max(...expected.map(([, timestamp]) => timestamp)),
      producerId: -1,
      recordCount: 3,
    })
  })
})

describe('messages without compression', () => {
  const value = utf8('v')

  it('are gathered, gaps and falling times included', async () => {
    const given = [5, 6, 90, 2 ** 30].map((offset, index) => ({ offset, timestamp: TIME - index * 10, value }))
    const [batch, ...others] = await convertAll(messages(1, given))
    expect(others).toEqual([])
    expect(recordsOf(batch!)).toEqual(given.map(({ offset, timestamp }) => [offset, timestamp, null, 'v']))
  })

  it('of both formats share a batch', async () => {
    const bytes = concat(message(0, { offset: 1, value }), message(1, { offset: 2, timestamp: TIME, value }))
    expect((await convertAll(bytes)).map(recordsOf)).toEqual([
      [
        [1, -1, null, 'v'],
        [2, TIME, null, 'v'],
      ],
    ])
  })

  it.each([
    ['an offset too far off', { offset: 2 ** 31 + 1, timestamp: TIME }],
    ['another log append time', { offset: 2, timestamp: TIME + 1, isLogAppendTime: true }],
    ['another kind of time', { offset: 2, timestamp: TIME }],
  ])('%s begins a batch of its own', async (_, next) => {
    const bytes = messages(1, [
      { offset: 1, timestamp: TIME, isLogAppendTime: !next.offset || next.offset === 2 },
      next,
    ])
    const batches = await convertAll(bytes)
    expect(batches.map((batch) => recordsOf(batch).map(([offset, time]) => [offset, time]))).toEqual([
      [[1, TIME]],
      [[next.offset, next.timestamp]],
    ])
  })

  it('a compressed one, a batch of version 2, or one that is not all there ends a run', async () => {
    const first = message(1, { offset: 1, timestamp: TIME, value })
    const second = message(1, { offset: 2, timestamp: TIME, value })
    const packed = wrapper(1, message(1, { offset: 0, value }), { offset: 3 })
    for (const next of [packed, fromHex(PLAIN), second.subarray(0, second.length - 1), second.subarray(0, 16)]) {
      const { batch, end } = await convertLegacy(concat(first, next), 0, options)
      expect([recordsOf(batch).length, end]).toEqual([1, first.length])
    }
    expect(isLegacy(concat(first, fromHex(PLAIN)), first.length)).toBe(false)
  })

  it('a damaged one is reported when it comes first, after those before it', async () => {
    const first = message(1, { offset: 1, value })
    const second = message(1, { offset: 2, value })
    second[second.length - 1]! ^= 1
    const bytes = concat(first, second)
    const { end } = await convertLegacy(bytes, 0, options)
    expect(end).toBe(first.length)
    await expect(convertLegacy(bytes, end, options)).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT', position: end })
  })

  it('a run ends at its size', async () => {
    const given = Array.from({ length: 40 }, (_, offset) => ({ offset, value: lines(20_000) }))
    const batches = await convertAll(messages(1, given))
    expect(batches.length).toBeGreaterThan(2)
    for (const batch of batches) expect(batch.length).toBeLessThan(300_000)
    expect(batches.flatMap(recordsOf).map(([offset]) => offset)).toEqual(given.map(({ offset }) => offset))
  })

  it('offsets that fall begin another batch', async () => {
    const batches = await convertAll(
      messages(
        0,
        [9, 8].map((offset) => ({ offset, value })),
      ),
    )
    expect(batches.map((batch) => recordsOf(batch)[0]![0])).toEqual([9, 8])
  })
})

describe('wrappers', () => {
  const inner = (magic: 0 | 1, offsets: readonly number[]): Uint8Array =>
    messages(
      magic,
      offsets.map((offset) => ({ offset, timestamp: TIME + offset, value: utf8(`${offset}`) })),
    )

  it('of format 1 tell the base of relative offsets by their own', async () => {
    const { batch } = await convertLegacy(wrapper(1, inner(1, [0, 3, 4]), { offset: 104 }), 0, options)
    expect(recordsOf(batch).map(([offset, timestamp]) => [offset, timestamp])).toEqual([
      [100, TIME],
      [103, TIME + 3],
      [104, TIME + 4],
    ])
  })

  it('of format 1 may hold absolute offsets as well', async () => {
    const { batch } = await convertLegacy(wrapper(1, inner(1, [100, 103]), { offset: 103 }), 0, options)
    expect(recordsOf(batch).map(([offset]) => offset)).toEqual([100, 103])
  })

  it('of format 0 hold absolute offsets', async () => {
    const { batch } = await convertLegacy(wrapper(0, inner(0, [100, 103]), { offset: 103 }), 0, options)
    expect(recordsOf(batch).map(([offset, timestamp]) => [offset, timestamp])).toEqual([
      [100, -1],
      [103, -1],
    ])
  })

  it('are converted one by one', async () => {
    const bytes = concat(wrapper(1, inner(1, [0, 1]), { offset: 1 }), wrapper(1, inner(1, [0, 1]), { offset: 3 }))
    expect((await convertAll(bytes)).map((batch) => recordsOf(batch).map(([offset]) => offset))).toEqual([
      [0, 1],
      [2, 3],
    ])
  })

  it.each([
    ['without a value', wrapper(1, inner(1, [0]), { value: null }), /without a value/],
    ['with nothing in it', wrapper(1, new Uint8Array(0)), /without messages/],
    ['inside a wrapper', wrapper(1, wrapper(1, inner(1, [0]))), /wrapper inside/],
    ['with messages of another format', wrapper(1, inner(0, [0])), /another format/],
    ['with batches', wrapper(1, fromHex(PLAIN)), /not a message/],
    ['with falling offsets', wrapper(0, inner(0, [3, 2]), { offset: 3 }), /do not rise/],
    ['with an offset twice', wrapper(0, inner(0, [3, 3]), { offset: 3 }), /do not rise/],
    ['with offsets too far apart', wrapper(0, inner(0, [0, 2 ** 31]), { offset: 2 ** 31 }), /do not rise/],
    ['that begins below zero', wrapper(1, inner(1, [0, 5]), { offset: 3 }), /negative offset/],
    ['with a message that is cut off', wrapper(1, inner(1, [0, 1]).subarray(0, 60)), /cut off/],
    ['with less than a message', wrapper(1, inner(1, [0]).subarray(0, 10)), /cut off/],
    ['whose value is not compressed', wrapper(1, inner(1, [0]), { value: utf8('plain') }), /gzip/],
    ['with zstd', wrapper(1, inner(1, [0]), { codec: 4 }), /zstd/],
  ])('%s is corrupt', async (_, bytes, reason) => {
    await refused(bytes, 'PAGELOG_CORRUPT', reason)
  })

  it('with a codec that nobody has is not supported', async () => {
    await refused(wrapper(1, inner(1, [0]), { codec: 5 }), 'PAGELOG_UNSUPPORTED')
  })

  it('that holds more than the bound is too large', async () => {
    const set = inner(
      1,
      Array.from({ length: 1_000 }, (_, offset) => offset),
    )
    const bytes = wrapper(1, set, { offset: 999 })
    const exact: LegacyConversion = await convertLegacy(bytes, 0, { maxBytes: set.length })
    expect(recordsOf(exact.batch)).toHaveLength(1_000)
    await expect(convertLegacy(bytes, 0, { maxBytes: set.length - 1 })).rejects.toMatchObject({
      code: 'PAGELOG_TOO_LARGE',
    })
  })

  it('of format 0 with lz4 may have the wrong header checksum, those of format 1 not', async () => {
    const lz4 = await loadCodec(3)
    for (const magic of [0, 1] as const) {
      const value = lz4.compress(inner(magic, [0]), 9)
      value[6]! ^= 0xff
      const bytes = message(magic, { offset: 0, codec: 3, value })
      if (magic === 0) expect(recordsOf((await convertLegacy(bytes, 0, options)).batch)).toHaveLength(1)
      else await refused(bytes, 'PAGELOG_CORRUPT', /header checksum/)
    }
  })
})

describe('damage', () => {
  const whole = message(1, { offset: 7, timestamp: TIME, key: utf8('key'), value: utf8('value') })
  const changed = (at: number, ...bytes: number[]): Uint8Array => {
    const copy = whole.slice()
    copy.set(bytes, at)
    return copy
  }

  it.each([
    ['a wrong CRC', changed(12, 1, 2, 3, 4)],
    ['another byte', changed(whole.length - 1, 1)],
    ['a negative size', changed(8, 0xff)],
    ['a size beyond the bytes', changed(8, 0x7f)],
    ['a size below a message', changed(8, 0, 0, 0, 10)],
    ['version 2', changed(16, 2)],
    ['a negative magic', changed(16, 0xff)],
  ])('%s is corrupt', async (_, bytes) => {
    await refused(bytes, 'PAGELOG_CORRUPT')
  })

  it.each([
    ['a negative offset', changed(0, 0xff)],
    ['a key beyond the message', changed(26, 0x7f)],
    ['a key of negative length', changed(26, 0x80)],
    ['a value beyond the message', changed(33, 0x7f)],
    ['a value that ends before the message', changed(36, 4)],
  ])('%s is corrupt, with a CRC that is not looked at', async (_, bytes) => {
    await expect(convertLegacy(bytes, 0, { ...options, checkCrcs: false })).rejects.toMatchObject({
      code: 'PAGELOG_CORRUPT',
    })
  })

  it('a message cut off at any length is corrupt', async () => {
    for (let length = 0; length < whole.length; length++) {
      await refused(whole.subarray(0, length), 'PAGELOG_CORRUPT', /cut off/)
    }
  })

  it('a wrong CRC is no matter when it is not looked at', async () => {
    const { batch } = await convertLegacy(changed(12, 1, 2, 3, 4), 0, { ...options, checkCrcs: false })
    expect(recordsOf(batch)).toEqual([[7, TIME, 'key', 'value']])
  })
})
