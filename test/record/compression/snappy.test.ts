import snappy from 'snappy'
import { describe, expect, it } from 'vitest'
import { loadCodec } from '../../../src/record/index.ts'
import { fromHex } from '../support.ts'
import * as golden from './golden.ts'
import { concat, latin, lines, MAX_BYTES, noise, refusal } from './support.ts'

const codec = await loadCodec(2)

const HEADER = fromHex('82534e41505059000000000100000001')
const int32 = (value: number): number[] => [value >>> 24, value >>> 16, value >>> 8, value].map((byte) => byte & 0xff)
const framed = (...blocks: readonly Uint8Array[]): Uint8Array =>
  concat(HEADER, ...blocks.flatMap((block) => [int32(block.length), block]))
const pack = (bytes: Uint8Array): Uint8Array => snappy.compressSync(bytes)
const decompress = (bytes: Uint8Array, maxBytes = MAX_BYTES): string => latin(codec.decompress(bytes, maxBytes))

describe('of others', () => {
  it.each([
    ['SNAPPY_PYTHON', golden.SNAPPY_PYTHON],
    ['SNAPPY_GO', golden.SNAPPY_GO],
    ['SNAPPY_XERIAL_GO', golden.SNAPPY_XERIAL_GO],
  ])('%s is read', (_, hex) => {
    expect(decompress(fromHex(hex))).toBe(latin(golden.TEXT))
  })

  it('blocks of any size are read', () => {
    const text = lines(300_000)
    expect(decompress(framed(pack(text.subarray(0, 250_000)), pack(text.subarray(250_000))))).toBe(latin(text))
    expect(decompress(pack(text))).toBe(latin(text))
  })

  it('a framing of other versions is read', () => {
    const other = framed(pack(golden.TEXT))
    other[11] = 9
    other[15] = 9
    expect(decompress(other)).toBe(latin(golden.TEXT))
  })
})

describe('written', () => {
  it('in xerial framing, 32 KiB a block', () => {
    for (const [length, blocks] of [
      [0, 0],
      [1, 1],
      [32_768, 1],
      [32_769, 2],
      [100_000, 4],
    ] as const) {
      const text = noise(length)
      const written = codec.compress(text, 0)
      expect(latin(written.subarray(0, 16))).toBe(latin(HEADER))
      const expected = Array.from({ length: blocks }, (_, index) => pack(text.subarray(index << 15, (index + 1) << 15)))
      expect(latin(written)).toBe(latin(framed(...expected)))
    }
  })
})

describe('damage', () => {
  const block = pack(lines(1_000))

  it.each([
    ['nothing', new Uint8Array(0)],
    ['a length without end', fromHex('ffffffffffff')],
    ['a length cut off', fromHex('ff')],
    ['a bare block cut off', block.subarray(0, block.length - 1)],
    ['a bare block with bytes behind', concat(block, [0])],
    ['a block’s length cut off', concat(HEADER, [0, 0, 0])],
    ['a block cut off', framed(block).subarray(0, 16 + 4 + block.length - 1)],
    ['an empty block', concat(HEADER, int32(0))],
    ['a negative length', concat(HEADER, int32(-5), block)],
    ['a block that claims more than it can hold', framed(concat([0xff, 0xff, 0x01], block.subarray(2, 20)))],
    ['a block that claims less than it holds', framed(concat([10], block.subarray(2)))],
    ['a copy from before the start', fromHex('0a0400620300')],
  ])('%s is corrupt', (_, bytes) => {
    refusal(() => decompress(bytes), 'PAGELOG_CORRUPT')
  })
})

describe('the bound', () => {
  it('is the most that comes out, over all blocks', () => {
    const text = lines(70_000)
    for (const bytes of [codec.compress(text, 0), pack(text)]) {
      expect(decompress(bytes, 70_000)).toBe(latin(text))
      for (const maxBytes of [0, 1, 32_768, 69_999]) refusal(() => decompress(bytes, maxBytes), 'PAGELOG_TOO_LARGE')
    }
  })
})
