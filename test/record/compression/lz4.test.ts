import lz4 from 'lz4-napi'
import { describe, expect, it } from 'vitest'
import xxhash from 'xxhash-wasm'
import { lz4BlockSize } from '../../../src/record/compression/lz4-size.ts'
import { loadCodec } from '../../../src/record/index.ts'
import { fromHex } from '../support.ts'
import * as golden from './golden.ts'
import { concat, latin, lines, MAX_BYTES, noise, refusal } from './support.ts'

const { h32Raw } = await xxhash()
const codec = await loadCodec(3)

const MAGIC = [0x04, 0x22, 0x4d, 0x18] as const
const END = [0, 0, 0, 0] as const
const STORED = 0x8000_0000
const uint32 = (value: number): number[] => [value, value >>> 8, value >>> 16, value >>> 24].map((byte) => byte & 0xff)
const uint64 = (value: number): number[] => [...uint32(value), ...uint32(Math.floor(value / 2 ** 32))]
const checksum = (bytes: Uint8Array): number[] => uint32(h32Raw(bytes))

/** A frame header with its right checksum. */
function header(flags: number, descriptor: number, contentSize?: number): Uint8Array {
  const fields = Uint8Array.from([flags, descriptor, ...(contentSize === undefined ? [] : uint64(contentSize))])
  return concat(MAGIC, fields, [(h32Raw(fields) >>> 8) & 0xff])
}

const packed = (bytes: Uint8Array): Uint8Array => lz4.compressSync(Buffer.from(bytes)).subarray(4)
const block = (bytes: Uint8Array): Uint8Array => concat(uint32(packed(bytes).length), packed(bytes))
const stored = (bytes: Uint8Array): Uint8Array => concat(uint32(bytes.length + STORED), bytes)
const decompress = (frame: Uint8Array, maxBytes = MAX_BYTES): string => latin(codec.decompress(frame, maxBytes))

describe('frames of others', () => {
  it.each([
    ['LZ4_PYTHON', golden.LZ4_PYTHON],
    ['LZ4_ALL_CHECKS', golden.LZ4_ALL_CHECKS],
    ['LZ4_GO', golden.LZ4_GO],
  ])('%s is read', (_, hex) => {
    expect(decompress(fromHex(hex))).toBe(latin(golden.TEXT))
  })

  it('stored blocks are read', () => {
    expect(codec.decompress(fromHex(golden.LZ4_STORED), 40)).toEqual(Uint8Array.from({ length: 40 }, (_, i) => i))
  })

  it('linked blocks, which Kafka does not read, are refused with the reason', () => {
    expect(refusal(() => decompress(fromHex(golden.LZ4_LINKED)), 'PAGELOG_UNSUPPORTED')).toMatch(/blocks are linked/)
  })

  it('block checksums over the plain bytes, which Kafka does not take, are refused', () => {
    expect(refusal(() => decompress(fromHex(golden.LZ4_GO_CHECKS)), 'PAGELOG_CORRUPT')).toMatch(/block checksum/)
  })

  it('a frame that needs a dictionary is refused', () => {
    const frame = concat(header(0x61, 0x40), END)
    expect(refusal(() => decompress(frame), 'PAGELOG_UNSUPPORTED')).toMatch(/dictionary/)
  })

  it.each([
    [4, 64],
    [5, 256],
    [6, 1024],
    [7, 4096],
  ])('blocks of size %i, %i KiB, are read whole, one byte more is refused', (code, kib) => {
    const full = lines(kib * 1024)
    const frame = (bytes: Uint8Array, make = block): Uint8Array => concat(header(0x60, code << 4), make(bytes), END)
    expect(decompress(frame(full))).toBe(latin(full))
    expect(decompress(frame(full, stored))).toBe(latin(full))
    const more = lines(kib * 1024 + 1)
    refusal(() => decompress(frame(more)), 'PAGELOG_CORRUPT')
    expect(refusal(() => decompress(frame(more, stored)), 'PAGELOG_CORRUPT')).toMatch(/larger than the frame allows/)
  })

  it('many short blocks of a frame of large ones take the room that they fill', () => {
    const part = lines(100)
    const frame = concat(header(0x60, 0x70), ...Array.from({ length: 200 }, () => block(part)), END)
    const output = codec.decompress(frame, 1 << 30)
    expect(output.length).toBe(20_000)
    expect(output.buffer.byteLength).toBeLessThan(frame.length * 255)
  })
})

describe('frames written', () => {
  it('have the header that Kafka’s readers want', () => {
    expect(Buffer.from(codec.compress(golden.TEXT, 9)).toString('hex')).toMatch(/^04224d18604082/)
    expect(header(0x60, 0x40).at(-1)).toBe(0x82)
  })

  it('have one block per 64 KiB, stored where it does not shrink', () => {
    const sizes = (frame: Uint8Array): number[] => {
      const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
      const found: number[] = []
      for (let at = 7; ; ) {
        const word = view.getUint32(at, true)
        if (word === 0) break
        found.push(word)
        at += 4 + (word & 0x7fff_ffff)
      }
      return found
    }
    expect(sizes(codec.compress(noise(65_537), 9))).toEqual([65_536 + STORED, 1 + STORED])
    expect(sizes(codec.compress(noise(65_536), 9))).toEqual([65_536 + STORED])
    const compressed = sizes(codec.compress(lines(150_000), 9))
    expect(compressed.length).toBe(3)
    expect(Math.max(...compressed)).toBeLessThan(30_000)
    expect(codec.compress(new Uint8Array(0), 9)).toEqual(concat(header(0x60, 0x40), END))
  })

  it('are the same for every level', () => {
    const text = lines(100_000)
    expect(latin(codec.compress(text, 1))).toBe(latin(codec.compress(text, 17)))
  })
})

describe('damage', () => {
  const text = lines(1_000)

  it.each([
    ['another magic', concat([5, 0x22, 0x4d, 0x18], header(0x60, 0x40).subarray(4), END), /not an lz4 frame/],
    ['another version', concat(header(0xa0, 0x40), END), /version/],
    ['a reserved flag', concat(header(0x62, 0x40), END), /reserved/],
    ['a reserved bit of the block size', concat(header(0x60, 0x41), END), /reserved/],
    ['a block size below 4', concat(header(0x60, 0x30), END), /block size/],
    ['a wrong header checksum', concat(MAGIC, [0x60, 0x40, 0x83], END), /header checksum/],
    ['no end', concat(header(0x60, 0x40), block(text)), /no end/],
    ['bytes after the frame', concat(header(0x60, 0x40), block(text), END, [0]), /after the frame/],
    ['a second frame', concat(header(0x60, 0x40), block(text), END, header(0x60, 0x40), END), /after the frame/],
    ['a wrong block checksum', concat(header(0x70, 0x40), block(text), [1, 2, 3, 4], END), /block checksum/],
    ['a wrong content checksum', concat(header(0x64, 0x40), block(text), END, [1, 2, 3, 4]), /wrong checksum/],
    ['no content checksum', concat(header(0x64, 0x40), block(text), END), /cut off/],
    ['a size that promises more', concat(header(0x68, 0x40, 1_001), block(text), END), /less content/],
    ['a size that promises less', concat(header(0x68, 0x40, 999), block(text), END), /more content/],
    ['a match before the start', concat(header(0x60, 0x40), uint32(5), [0x10, 65, 9, 0, 0], END), /damaged lz4/],
    ['a match without distance', concat(header(0x60, 0x40), uint32(5), [0x10, 65, 0, 0, 0], END), /damaged lz4/],
    ['no header', new Uint8Array(6), /cut off/],
    ['nothing', new Uint8Array(0), /cut off/],
  ])('%s is corrupt', (_, frame, reason) => {
    expect(refusal(() => decompress(frame), 'PAGELOG_CORRUPT')).toMatch(reason)
  })

  it('right checksums are right', () => {
    const body = packed(text)
    const frame = concat(header(0x7c, 0x40, 1_000), block(text), checksum(body), END, checksum(text))
    expect(decompress(frame)).toBe(latin(text))
  })
})

describe('the size of a block', () => {
  it.each([0, 1, 14, 15, 16, 269, 270, 271, 524, 525, 65_536])('of %i bytes is told by its tokens', (length) => {
    for (const plain of [noise(length), lines(length), new Uint8Array(length)]) {
      const block = lz4.compressSync(Buffer.from(plain)).subarray(4)
      expect(lz4BlockSize(block, 0, block.length)).toBe(length)
      const among = concat([1, 2, 3], block, [255, 255])
      expect(lz4BlockSize(among, 3, 3 + block.length)).toBe(length)
    }
  })

  it('of any bytes is not more than they could hold', () => {
    for (let length = 0; length < 300; length++) {
      const bytes = concat(noise(length), Array(600).fill(255))
      expect(lz4BlockSize(bytes, 0, length)).toBeLessThanOrEqual(255 * (length + 2))
    }
  })
})

describe('the bound', () => {
  const text = lines(70_000)
  const frame = concat(header(0x60, 0x40), block(text.subarray(0, 65_536)), block(text.subarray(65_536)), END)

  it('is the most that comes out', () => {
    expect(decompress(frame, 70_000)).toBe(latin(text))
    for (const maxBytes of [0, 1, 65_535, 65_536, 65_537, 69_999]) {
      refusal(() => decompress(frame, maxBytes), 'PAGELOG_TOO_LARGE')
    }
  })

  it('holds against the content size before anything is decompressed', () => {
    const claims = concat(header(0x68, 0x40, 10 * 2 ** 30), block(text.subarray(0, 1_000)), END)
    refusal(() => decompress(claims), 'PAGELOG_TOO_LARGE')
    // 2^63 bytes are no size that a number could not hold against a bound.
    refusal(() => decompress(concat(header(0x68, 0x40, 2 ** 63), END)), 'PAGELOG_TOO_LARGE')
  })

  it('of nothing lets an empty frame pass', () => {
    expect(codec.decompress(concat(header(0x60, 0x40), END), 0)).toEqual(new Uint8Array(0))
  })
})
