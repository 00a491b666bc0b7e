import { describe, expect, it } from 'vitest'
import { zstdCodec } from '../../../src/record/compression/zstd.ts'
import { bindingEngine, zlibEngine } from '../../../src/record/compression/zstd-engine.ts'
import { zstdFrames } from '../../../src/record/compression/zstd-frame.ts'
import { fromHex } from '../support.ts'
import * as golden from './golden.ts'
import { availableCodecs, concat, latin, lines, MAX_BYTES, refusal } from './support.ts'
import { BlockEngine, little, runBlock, skippable, storedBlock, zstdFrame } from './zstd-blocks.ts'

const block = 128 * 1024
const make = (keepsWindow = false): { engine: BlockEngine; codec: ReturnType<typeof zstdCodec> } => {
  const engine = new BlockEngine()
  engine.keepsWindow = keepsWindow
  return { engine, codec: zstdCodec(engine) }
}

describe('frames', () => {
  it('of others are measured without decompressing them', () => {
    const size = golden.TEXT.length
    const found = [golden.ZSTD_PYTHON, golden.ZSTD_PYTHON_BARE, golden.ZSTD_GO].map((hex) => zstdFrames(fromHex(hex)))
    // A window of one KiB: no block holds more.
    const unsized = { start: 0, contentBytesMin: 0, contentBytesMax: 1024, isExact: false, windowBytes: 1024 }
    const exact = { contentBytesMin: 0, contentBytesMax: size, isExact: true, windowBytes: size }
    expect(found).toEqual([
      [{ start: 0, end: golden.ZSTD_PYTHON.length / 2, ...exact }],
      [{ ...unsized, end: golden.ZSTD_PYTHON_BARE.length / 2 }],
      [{ ...unsized, end: golden.ZSTD_GO.length / 2 }],
    ])
  })

  it('cut off at any byte are corrupt', () => {
    for (const hex of [golden.ZSTD_PYTHON, golden.ZSTD_PYTHON_BARE, golden.ZSTD_GO]) {
      const frame = fromHex(hex)
      for (let length = 0; length < frame.length; length++) {
        refusal(() => zstdFrames(frame.subarray(0, length)), 'PAGELOG_CORRUPT')
      }
    }
  })

  it('may have skippable ones around them', () => {
    const frame = zstdFrame([storedBlock(golden.TEXT, true)])
    const bytes = concat(skippable(golden.TEXT), frame, skippable(new Uint8Array(0)), frame)
    expect(zstdFrames(bytes)).toHaveLength(2)
    expect(latin(make().codec.decompress(bytes, MAX_BYTES))).toBe(latin(golden.TEXT).repeat(2))
  })

  it.each([
    ['nothing', new Uint8Array(0), /no frame/],
    ['skippable frames only', skippable(golden.TEXT), /no frame/],
    ['a skippable frame that is cut off', skippable(golden.TEXT).subarray(0, 50), /cut off/],
    ['another magic', concat([1], zstdFrame([]).subarray(1), [0, 0]), /not a zstd frame/],
    ['a reserved bit', concat(little(0xfd2fb528, 4), [0x08, 0x38], runBlock(0, 1, true)), /reserved/],
    ['a block of the reserved type', zstdFrame([Uint8Array.from([7, 0, 0])]), /impossible block/],
    ['a block larger than the window', zstdFrame([runBlock(0, block + 1, true)]), /impossible block/],
    ['no last block', zstdFrame([runBlock(0, 100, false)]), /cut off/],
    ['a content size that its blocks cannot fill', zstdFrame([runBlock(0, 100, true)], 101), /less content/],
  ])('%s is corrupt', (_, bytes, reason) => {
    expect(refusal(() => zstdFrames(bytes), 'PAGELOG_CORRUPT')).toMatch(reason)
  })

  it.each([
    ['a dictionary', concat(little(0xfd2fb528, 4), [0x01, 0x38, 5], runBlock(0, 1, true)), /dictionary/],
    ['a window above 128 MiB', concat(little(0xfd2fb528, 4), [0x00, 0x90], runBlock(0, 1, true)), /window/],
    ['more frames than a batch needs', concat(...Array(17).fill(zstdFrame([runBlock(0, 1, true)]))), /16 frames/],
  ])('%s is not supported', (_, bytes, reason) => {
    expect(refusal(() => zstdFrames(bytes), 'PAGELOG_UNSUPPORTED')).toMatch(reason)
  })
})

describe('the bound', () => {
  it('is held against a stated size before anything is decompressed', () => {
    const { engine, codec } = make()
    const blocks = Array.from({ length: 100 }, (_, index) => runBlock(7, block, index === 99))
    refusal(() => codec.decompress(zstdFrame(blocks, 100 * block), 100 * block - 1), 'PAGELOG_TOO_LARGE')
    refusal(() => codec.decompress(zstdFrame(blocks, 10 * 2 ** 30), MAX_BYTES), 'PAGELOG_CORRUPT')
    expect(engine.largestAsked).toBe(0)
    expect(codec.decompress(zstdFrame(blocks, 100 * block), 100 * block).length).toBe(100 * block)
  })

  it('and what the blocks can hold are the most that an engine is asked for', () => {
    const { engine, codec } = make()
    const blocks = Array.from({ length: 100 }, (_, index) => runBlock(7, block, index === 99))
    refusal(() => codec.decompress(zstdFrame(blocks), 100 * block - 1), 'PAGELOG_TOO_LARGE')
    expect(engine.largestAsked).toBe(0)
    expect(codec.decompress(zstdFrame([runBlock(1, 50, true)]), MAX_BYTES).length).toBe(50)
    expect(engine.largestAsked).toBe(50)
    expect(codec.decompress(zstdFrame(blocks), 200 * block).length).toBe(100 * block)
    expect(engine.largestAsked).toBe(100 * block)
  })

  it('counts the window of an engine that keeps one, unless the frame states its size', () => {
    const { engine, codec } = make(true)
    const MIB = 1 << 20
    const ofMib = (count: number, isExact = false): Uint8Array => {
      const blocks = Array.from({ length: count * 8 }, (_, index) => runBlock(7, block, index === count * 8 - 1))
      const frame = isExact ? zstdFrame(blocks, count * MIB) : zstdFrame(blocks)
      frame[5] = 0x68 // 8 MiB
      return frame
    }
    // Six of the eight count, or half of it all.
    for (const [bound, most] of [
      [20, 14],
      [12, 7],
      [8, 5],
      [2, 2],
    ] as const) {
      expect(codec.decompress(ofMib(most), bound * MIB).length).toBe(most * MIB)
      refusal(() => codec.decompress(ofMib(most + 1), bound * MIB), 'PAGELOG_TOO_LARGE')
      expect(codec.decompress(ofMib(bound, true), bound * MIB).length).toBe(bound * MIB)
    }
    expect(engine.largestAsked).toBe(20 * MIB)
  })

  it('is over all frames', () => {
    const { codec } = make()
    const frame = zstdFrame([runBlock(7, 1_000, true)], 1_000)
    const bytes = concat(frame, frame, frame)
    expect(codec.decompress(bytes, 3_000, 61).length).toBe(3_061)
    refusal(() => codec.decompress(bytes, 2_999), 'PAGELOG_TOO_LARGE')
    refusal(() => codec.decompress(bytes, 0), 'PAGELOG_TOO_LARGE')
  })

  it('of nothing lets an empty frame pass', () => {
    const { codec } = make()
    expect(codec.decompress(zstdFrame([storedBlock(new Uint8Array(0), true)]), 0)).toEqual(new Uint8Array(0))
  })
})

it('an engine that gives another size than the frame states has met damage', () => {
  const frame = zstdFrame([runBlock(7, 1_000, true)], 1_000)
  const giving = (output: Uint8Array | undefined): (() => unknown) => {
    const codec = zstdCodec({ keepsWindow: false, compress: (bytes) => bytes, decompress: () => output })
    return () => codec.decompress(frame, MAX_BYTES)
  }
  expect(refusal(giving(new Uint8Array(999)), 'PAGELOG_CORRUPT')).toMatch(/less content/)
  expect(refusal(giving(undefined), 'PAGELOG_CORRUPT')).toMatch(/more content/)
})

describe('engines', () => {
  it('of node:zlib: a full buffer is no error, any other is', () => {
    const failing = (code: string): ReturnType<typeof zlibEngine> =>
      zlibEngine({
        zstdCompressSync: (bytes) => Buffer.from(bytes),
        zstdDecompressSync: () => {
          throw Object.assign(new Error('as told'), { code })
        },
        constants: { ZSTD_c_compressionLevel: 100 },
      })
    expect(failing('ERR_BUFFER_TOO_LARGE').decompress(golden.TEXT, 10)).toBeUndefined()
    expect(() => failing('ZSTD_error_corruption_detected').decompress(golden.TEXT, 10)).toThrow(/as told/)
  })

  it('of node:zlib: the level and sizes of buffers are passed on', () => {
    const seen: unknown[] = []
    const engine = zlibEngine({
      zstdCompressSync: (bytes, options) => {
        seen.push(options)
        return Buffer.from(bytes)
      },
      zstdDecompressSync: (bytes, options) => {
        seen.push(options)
        return Buffer.from(bytes)
      },
      constants: { ZSTD_c_compressionLevel: 100 },
    })
    engine.compress(lines(1_000), -7)
    expect(engine.decompress(lines(1_000), 999)).toBeUndefined()
    engine.decompress(lines(1_000), 1_000, 61)
    expect(seen).toEqual([
      { params: { 100: -7 }, chunkSize: 1_000 },
      { maxOutputLength: 999, chunkSize: 1_000 },
      { maxOutputLength: 1_000, chunkSize: 1_062 },
    ])
  })

  it('of zstd-napi: output goes into a buffer of the bound', () => {
    const asked: number[] = []
    const engine = bindingEngine({
      compressBound: (size) => size + 10,
      compress: (target, bytes, level) => {
        target.set(bytes)
        target[bytes.length] = level
        return bytes.length + 1
      },
      decompress: (target, bytes) => {
        asked.push(target.length)
        if (bytes.length > target.length) throw new Error('Destination buffer is too small')
        if (bytes[0] === 0) throw new Error('Data corruption detected')
        target.set(bytes)
        return bytes.length
      },
    })
    expect(engine.compress(Uint8Array.of(1, 2), 9)).toEqual(Uint8Array.of(1, 2, 9))
    expect(engine.decompress(Uint8Array.of(1, 2), 4)).toEqual(Uint8Array.of(1, 2))
    expect(engine.decompress(Uint8Array.of(1, 2), 1)).toBeUndefined()
    expect(() => engine.decompress(Uint8Array.of(0, 2), 2)).toThrow(/corruption/)
    expect(asked).toEqual([4, 1, 2])
  })
})

it('frames of others are read where there is an engine', async () => {
  const codec = (await availableCodecs()).find(({ name }) => name === 'zstd')
  const frames = codec === undefined ? [] : [golden.ZSTD_PYTHON, golden.ZSTD_PYTHON_BARE, golden.ZSTD_GO]
  for (const hex of frames) expect(latin(codec!.decompress(fromHex(hex), MAX_BYTES))).toBe(latin(golden.TEXT))
})
