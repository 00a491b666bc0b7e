import { deflateRawSync, gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { loadCodec } from '../../../src/record/index.ts'
import { fromHex } from '../support.ts'
import * as golden from './golden.ts'
import { concat, latin, lines, MAX_BYTES, noise, refusal } from './support.ts'
import { little } from './zstd-blocks.ts'

const codec = await loadCodec(1)
const decompress = (bytes: Uint8Array, maxBytes = MAX_BYTES): string => latin(codec.decompress(bytes, maxBytes))

describe('of others', () => {
  it.each([
    ['GZIP_PYTHON', golden.GZIP_PYTHON],
    ['GZIP_GO', golden.GZIP_GO],
  ])('%s is read', (_, hex) => {
    expect(decompress(fromHex(hex))).toBe(latin(golden.TEXT))
  })

  it('several members are one content', () => {
    const text = lines(300_000)
    const members = concat(gzipSync(text.subarray(0, 290_000)), gzipSync(text.subarray(290_000)))
    expect(decompress(members)).toBe(latin(text))
    expect(decompress(members, 300_000)).toBe(latin(text))
    refusal(() => decompress(members, 299_999), 'PAGELOG_TOO_LARGE')
  })

  it('name and comment of a member are skipped', () => {
    const plain = gzipSync(golden.TEXT)
    const named = concat(plain.subarray(0, 3), [0x18], plain.subarray(4, 10), [65, 0, 66, 0], plain.subarray(10))
    expect(decompress(named)).toBe(latin(golden.TEXT))
  })
})

it('levels change what is written', () => {
  const text = lines(200_000)
  const sizes = [1, 9].map((level) => codec.compress(text, level).length)
  expect(sizes[0]).toBeGreaterThan(sizes[1]!)
  for (const level of [-1, 1, 6, 9]) expect(latin(gunzipSync(codec.compress(text, level)))).toBe(latin(text))
})

describe('damage', () => {
  const member = gzipSync(golden.TEXT)
  const changed = (at: number, ...bytes: number[]): Uint8Array => {
    const copy = Uint8Array.from(member)
    copy.set(bytes, at < 0 ? member.length + at : at)
    return copy
  }

  it.each([
    ['nothing', new Uint8Array(0)],
    ['another magic', changed(0, 0x1e)],
    ['another method', changed(2, 7)],
    ['a wrong CRC', changed(-8, 1, 2, 3, 4)],
    ['a size that is too small', changed(-4, 1)],
    ['a size that is too large', changed(-4, 0xff, 0xff)],
    ['a member cut off', member.subarray(0, member.length - 9)],
    ['a raw deflate stream', deflateRawSync(golden.TEXT)],
    ['a second member cut off', concat(member, member.subarray(0, 30))],
  ])('%s is corrupt', (_, bytes) => {
    refusal(() => decompress(bytes), 'PAGELOG_CORRUPT')
  })
})

describe('the bound', () => {
  it('is the most that comes out', () => {
    const text = lines(70_000)
    const member = gzipSync(text)
    expect(decompress(member, 70_000)).toBe(latin(text))
    for (const maxBytes of [0, 1, 69_999]) refusal(() => decompress(member, maxBytes), 'PAGELOG_TOO_LARGE')
  })

  it('of nothing lets an empty member pass', () => {
    expect(codec.decompress(gzipSync(new Uint8Array(0)), 0)).toEqual(new Uint8Array(0))
  })

  it('is held against what a member says before anything is inflated', () => {
    const member = gzipSync(lines(70_000))
    const claiming = (size: number): Uint8Array => concat(member.subarray(0, -4), little(size, 4))
    refusal(() => decompress(claiming(2_000_000), 1_999_999), 'PAGELOG_TOO_LARGE')
    expect(refusal(() => decompress(claiming(0xffffffff), MAX_BYTES), 'PAGELOG_CORRUPT')).toMatch(/claims more/)
    refusal(() => decompress(claiming(69_999), 1_999_999), 'PAGELOG_CORRUPT')
  })

  it('of several members is held against what they say together', () => {
    const member = gzipSync(lines(70_000))
    const three = concat(member, member, member)
    expect(decompress(three, 210_000)).toBe(latin(lines(70_000)).repeat(3))
    refusal(() => decompress(three, 209_999), 'PAGELOG_TOO_LARGE')
    // The second one lies.
    const lying = concat(member, member.subarray(0, -4), little(3, 4), member)
    refusal(() => decompress(lying, MAX_BYTES), 'PAGELOG_CORRUPT')
  })

  it('what looks like the beginning of a member inside of one is none', () => {
    // A compression level, then a system, that no member has.
    const inside = concat(
      noise(50_000),
      [0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 3, 0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 0, 77],
      noise(9),
    )
    const stored = gzipSync(inside, { level: 0 })
    expect(decompress(concat(stored, stored), 100_200)).toBe(latin(concat(inside, inside)))
  })

  it('an honest member is inflated into a buffer of its own size', () => {
    const output = codec.decompress(gzipSync(lines(70_000)), MAX_BYTES, 61)
    // One byte tells the end from a full buffer.
    expect([output.length, output.buffer.byteLength]).toEqual([70_061, 70_062])
  })
})
