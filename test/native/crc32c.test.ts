import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crcWays } from './implementations.ts'
import { crcByDefinition } from './make-batch.ts'

const ascending = Uint8Array.from({ length: 32 }, (_, i) => i)

describe.each(crcWays)('crc32c, $name', ({ crc32c }) => {
  test('gives the values of RFC 3720 and the catalogue', () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
    expect(crc32c(ascending)).toBe(0x46dd794e)
    expect(crc32c(ascending.toReversed())).toBe(0x113fdb5c)
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(0))).toBe(0)
  })

  test('agrees with the definition at every length around its steps', () => {
    const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => (i * 2_654_435_761) >>> 13)
    const lengths = Array.from({ length: 80 }, (_, i) => i)
    for (const step of [128, 384, 768, 1024, 3072, 3456, 6144, 9216]) lengths.push(step - 1, step, step + 1, step + 9)
    for (const length of lengths) {
      const part = bytes.subarray(3, 3 + length)
      expect(crc32c(part), `length ${length}`).toBe(crcByDefinition(part))
    }
  })

  test('reads only from start to end', () => {
    const around = Uint8Array.from([1, 2, 3, ...Buffer.from('123456789'), 4, 5])
    expect(crc32c(around, 3, 12)).toBe(0xe3069283)
    expect(crc32c(around, 3, 3)).toBe(0)
  })

  test('goes on from a seed at any cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 9000, size: 'max' }), fc.nat(), fc.nat(15), (bytes, at, misalign) => {
        const moved = new Uint8Array(bytes.length + misalign)
        moved.set(bytes, misalign)
        const view = moved.subarray(misalign)
        const cut = view.length === 0 ? 0 : at % view.length
        expect(crc32c(view, cut, view.length, crc32c(view, 0, cut))).toBe(crcByDefinition(view))
      }),
      { numRuns: 60 },
    )
  })

  describe('refuses', () => {
    const bytes = new Uint8Array(10)
    const loose = crc32c as (...values: unknown[]) => number

    test.each([
      ['nothing', []],
      ['a text', ['123']],
      ['a plain array', [[1, 2, 3]]],
      ['another typed array', [new Uint16Array(4)]],
      ['an ArrayBuffer', [new ArrayBuffer(4)]],
      ['a text as start', [bytes, '1']],
      ['null as end', [bytes, 0, null]],
    ])('%s with TypeError', (_, values) => {
      expect(() => loose(...values)).toThrow(TypeError)
    })

    test.each([
      ['a negative start', [bytes, -1]],
      ['a start behind the end', [bytes, 6, 5]],
      ['an end outside', [bytes, 0, 11]],
      ['a fraction', [bytes, 0.5]],
      ['NaN', [bytes, Number.NaN]],
      ['an infinite end', [bytes, 0, Number.POSITIVE_INFINITY]],
      ['a seed of more than 32 bits', [bytes, 0, 10, 2 ** 32]],
      ['a negative seed', [bytes, 0, 10, -1]],
    ])('%s with RangeError', (_, values) => {
      expect(() => loose(...values)).toThrow(RangeError)
    })
  })

  test('takes a detached buffer as empty', () => {
    const bytes = new Uint8Array(64)
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
    expect(crc32c(bytes)).toBe(0)
  })
})
