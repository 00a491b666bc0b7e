/** Whatever goes in comes out; whatever is damaged is an error of ours or bytes within the bound. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codecLevels, compressBatch, decompressBatch, RecordBatch, RecordCursor } from '../../../src/record/index.ts'
import { encode, fromHex } from '../support.ts'
import * as golden from './golden.ts'
import { attempt, availableCodecs, latin, lines, noise } from './support.ts'

const codecs = await availableCodecs()
const byName = new Map<string, (typeof codecs)[number]>(codecs.map((codec) => [codec.name, codec]))

/** Random pieces, some repeated: what compresses well, badly and across block boundaries. */
const content = fc
  .array(
    fc.record({
      piece: fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        fc.integer({ min: 1, max: 9_000 }).map(noise),
        fc.integer({ min: 1, max: 9_000 }).map(lines),
      ),
      times: fc.integer({ min: 1, max: 12 }),
    }),
    { maxLength: 8 },
  )
  .map((pieces) => Buffer.concat(pieces.flatMap(({ piece, times }) => Array<Uint8Array>(times).fill(piece))))

describe.each(codecs.map((codec) => [codec.name, codec] as const))('%s', (name, codec) => {
  const { min, max, default: usual } = codecLevels[name]
  // zstd's highest levels take seconds for what the lower ones do at once.
  const level = fc.oneof(
    fc.constant(usual),
    fc
      .integer({ min: Math.max(min, -50), max: Math.min(max, 12) })
      .map((some) => (name === 'gzip' && some === 0 ? 1 : some)),
  )

  it('gives back what it was given', () => {
    fc.assert(
      fc.property(content, level, fc.nat({ max: 61 }), (records, some, room) => {
        const compressed = codec.compress(records, some, room).subarray(room)
        expect(latin(codec.decompress(compressed, records.length, room).subarray(room))).toBe(latin(records))
        if (records.length > 0) expect(attempt(() => codec.decompress(compressed, records.length - 1))).toBeUndefined()
      }),
      { numRuns: 60 },
    )
  })

  it('takes any bytes for damage, or for something within the bound', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat({ max: 5_000 }), (bytes, maxBytes) => {
        expect(attempt(() => codec.decompress(bytes, maxBytes))?.length ?? 0).toBeLessThanOrEqual(maxBytes)
      }),
      { numRuns: 400 },
    )
  })
})

const frames: readonly (readonly [string, string])[] = [
  ['lz4', golden.LZ4_PYTHON],
  ['lz4', golden.LZ4_ALL_CHECKS],
  ['lz4', golden.LZ4_GO],
  ['snappy', golden.SNAPPY_PYTHON],
  ['snappy', golden.SNAPPY_XERIAL_GO],
  ['gzip', golden.GZIP_PYTHON],
  ['zstd', golden.ZSTD_PYTHON],
  ['zstd', golden.ZSTD_PYTHON_BARE],
  ['zstd', golden.ZSTD_GO],
]

describe.each(frames.filter(([name]) => byName.has(name)))('a frame of %s', (name, hex) => {
  const frame = fromHex(hex)
  const codec = byName.get(name)!
  const text = latin(golden.TEXT)
  const maxBytes = 2 * golden.TEXT.length

  it('cut off at any length gives nothing, or whole blocks where a framing has no end mark', () => {
    for (let length = 0; length < frame.length; length++) {
      const output = attempt(() => codec.decompress(frame.subarray(0, length), maxBytes))
      if (name === 'snappy' && output !== undefined) expect(text.startsWith(latin(output))).toBe(true)
      else expect(output).toBeUndefined()
    }
  })

  it('with any bit flipped gives an error of ours, or no more than the bound', () => {
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const flipped = frame.slice()
      flipped[bit >> 3] = flipped[bit >> 3]! ^ (1 << (bit & 7))
      expect(attempt(() => codec.decompress(flipped, maxBytes))?.length ?? 0).toBeLessThanOrEqual(maxBytes)
    }
  })

  it('with any byte replaced and others cut out as well', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: frame.length - 1 }), fc.nat({ max: 255 })), { maxLength: 5 }),
        fc.nat({ max: frame.length }),
        fc.nat({ max: 10 }),
        (changes, at, length) => {
          const bytes = frame.slice()
          for (const [position, value] of changes) bytes[position] = value
          const rest = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
          expect(attempt(() => codec.decompress(rest, maxBytes))?.length ?? 0).toBeLessThanOrEqual(maxBytes)
        },
      ),
      { numRuns: 300 },
    )
  })
})

it('a damaged compressed batch is an error of ours, or walks to its end within its bytes', () => {
  const records = Array.from({ length: 50 }, (_, index) => ({
    timestamp: 1_700_000_000_000 + index,
    key: noise(5),
    value: lines(40 + index),
    headers: [],
  }))
  const batches = codecs.map((codec) => ({ codec, batch: compressBatch(encode(records), codec) }))
  const cursor = new RecordCursor()
  fc.assert(
    fc.property(fc.constantFrom(...batches), fc.nat(), fc.nat({ max: 7 }), ({ codec, batch }, somewhere, bit) => {
      const damaged = batch.slice()
      const at = somewhere % damaged.length
      damaged[at] = damaged[at]! ^ (1 << bit)
      attempt(() => {
        const plain = decompressBatch(damaged, codec, 100_000)
        expect(plain.length).toBeLessThanOrEqual(100_061)
        expect(new RecordBatch(plain, 0).isValid()).toBe(true)
        cursor.reset(plain, 0)
        while (cursor.next()) expect(cursor.recordEnd).toBeLessThanOrEqual(plain.length)
      })
    }),
    { numRuns: 1_500 },
  )
})
