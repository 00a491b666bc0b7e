/** What the tables can say beyond the ten APIs, and the edges of every type. */
import { describe, expect, test } from 'vitest'
import { api } from '../../src/protocol/api.ts'
import {
  CreateTopics,
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  InitProducerId,
  ListOffsets,
  Metadata,
  ZERO_UUID,
} from '../../src/protocol/index.ts'
import { arrayOf, parseFields, struct } from '../../src/protocol/schema.ts'
import { frameOf, toHex } from './bodies.ts'

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const protocol = expect.objectContaining({ code: 'PAGELOG_PROTOCOL' })
const invalid = expect.objectContaining({ code: 'PAGELOG_INVALID_ARGUMENT' })

describe('the table language', () => {
  test('reads type, array, nullability, versions, tag and default', () => {
    const [a, b, c, d, e] = parseFields({
      a: 'int32',
      b: 'string[]? @3+',
      c: 'string?10+ @2-12',
      d: 'int64 @5 #3 =-1',
      e: arrayOf({ f: 'bool =true' }, '?1+ @7+'),
    })
    const always = { isArray: false, fields: [], from: 0, to: Infinity, nullableFrom: Infinity, tag: -1 }
    expect(a).toEqual({ ...always, name: 'a', type: 'int32', default: 0 })
    expect(b).toEqual({ ...always, name: 'b', type: 'string', isArray: true, from: 3, nullableFrom: 0, default: null })
    expect(c).toEqual({ ...always, name: 'c', type: 'string', from: 2, to: 12, nullableFrom: 10, default: null })
    expect(d).toEqual({ ...always, name: 'd', type: 'int64', from: 5, to: 5, tag: 3, default: -1 })
    expect(e).toMatchObject({ type: 'struct', isArray: true, from: 7, nullableFrom: 1, fields: [{ default: true }] })
  })

  test.each(['int33', 'int32 3+', 'int32 @', 'string ? @1+', 'int32 =', '', 'struct', 'int32  @1+'])(
    'does not take %j',
    (text) => {
      expect(() => parseFields({ field: text })).toThrow()
    },
  )
})

describe('int64', () => {
  const decodeOffset = (hex: string): number =>
    decodeResponse(InitProducerId, 0, bytesOf(`00000001 00000000 0000 ${hex} 0000`)).body.producerId
  const encodeOffset = (producerId: number): string =>
    toHex(frameOf(encodeResponse(InitProducerId, 0, 1, { producerId }))).slice(20, 36)

  test.each([
    ['0000000000000000', 0],
    ['ffffffffffffffff', -1],
    ['00000000ffffffff', 2 ** 32 - 1],
    ['ffffffff00000000', -(2 ** 32)],
    ['0000000100000000', 2 ** 32],
    ['001fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['ffe0000000000001', Number.MIN_SAFE_INTEGER],
  ])('%s is %d, both ways', (hex, value) => {
    expect(decodeOffset(hex)).toBe(value)
    expect(encodeOffset(value)).toBe(hex)
  })

  test('saturates where a number cannot be exact', () => {
    for (const hex of ['0020000000000000', '0020000000000001', '7fffffffffffffff']) {
      expect(decodeOffset(hex)).toBe(Number.MAX_SAFE_INTEGER)
    }
    for (const hex of ['ffe0000000000000', 'ffdfffffffffffff', '8000000000000000']) {
      expect(decodeOffset(hex)).toBe(Number.MIN_SAFE_INTEGER)
    }
  })
})

describe('values that the wire cannot carry are refused', () => {
  test.each([2 ** 31, -(2 ** 31) - 1, 0.5, Number.NaN])('int32 %d', (timeoutMs) => {
    expect(() => encodeRequest(CreateTopics, 7, 1, null, { timeoutMs })).toThrow(/timeoutMs cannot be/)
  })
  test.each([2 ** 53, Number.NaN, 0.5, Number.POSITIVE_INFINITY])('int64 %d', (producerId) => {
    expect(() => encodeResponse(InitProducerId, 0, 1, { producerId })).toThrow(invalid)
  })
  test.each([32_768, -32_769])('int16 %d', (errorCode) => {
    expect(() => encodeResponse(InitProducerId, 0, 1, { errorCode })).toThrow(invalid)
  })
  test.each([128, -129])('int8 %d', (isolationLevel) => {
    expect(() => encodeRequest(ListOffsets, 2, 1, null, { isolationLevel })).toThrow(invalid)
  })
  test.each(['', 'AAAA', `${ZERO_UUID}A`, `${ZERO_UUID.slice(1)}=`, `é${ZERO_UUID.slice(1)}`])('uuid %j', (topicId) => {
    expect(() => encodeRequest(Metadata, 10, 1, null, { topics: [{ topicId }] })).toThrow(invalid)
  })
  test('null where the version has none', () => {
    expect(() => encodeRequest(Metadata, 0, 1, null, { topics: null })).toThrow(/topics cannot be null/)
    expect(() => encodeRequest(Metadata, 9, 1, null, { topics: [{ name: null }] })).toThrow(/name cannot be null/)
  })
  test('a string beyond 32767 bytes, in both forms', () => {
    for (const version of [2, 7]) {
      for (const name of ['x'.repeat(32_768), '☂'.repeat(10_923)]) {
        expect(() => encodeRequest(CreateTopics, version, 1, null, { topics: [{ name }] })).toThrow(/a string of/)
      }
    }
  })
  test('and the message after a refused one is whole', () => {
    expect(() => encodeRequest(CreateTopics, 7, 1, null, { topics: [{ name: 'x' }], timeoutMs: 0.5 })).toThrow(invalid)
    const frame = frameOf(encodeRequest(CreateTopics, 7, 1, null, { topics: [{ name: 'y' }] }))
    expect(decodeRequest(CreateTopics, 7, frame).topics[0]?.name).toBe('y')
  })
})

describe('strings', () => {
  const topicsNamed = (...names: string[]) => ({ topics: names.map((name) => ({ name })) })

  test.each([0, 1, 63, 64, 65, 126, 127, 128, 255, 256, 257, 16_382, 16_383, 32_767])(
    'of %i bytes come back, in both forms',
    (length) => {
      const names = ['x'.repeat(length), 'é'.repeat(length >> 1), `${'é'.repeat(length >> 1)}x`.slice(0, length >> 1)]
      for (const version of [4, 5]) {
        const frame = frameOf(encodeRequest(CreateTopics, version, 1, null, topicsNamed(...names)))
        expect(decodeRequest(CreateTopics, version, frame).topics.map((topic) => topic.name)).toEqual(names)
      }
    },
  )

  test('that share a slot of the table of known texts are told apart', () => {
    const names = Array.from({ length: 5000 }, (_, i) => `topic-${i}`)
    for (let round = 0; round < 2; round++) {
      const frame = frameOf(encodeRequest(CreateTopics, 5, 1, null, topicsNamed(...names)))
      expect(decodeRequest(CreateTopics, 5, frame).topics.map((topic) => topic.name)).toEqual(names)
    }
  })

  test('keep a byte order mark, and put U+FFFD where there is no UTF-8', () => {
    const read = (hex: string): string | undefined =>
      decodeRequest(Metadata, 0, bytesOf(`0003 0000 00000001 ffff 00000001 ${hex}`)).topics?.[0]?.name ?? undefined
    expect(read('0004 efbbbf61')).toBe('\ufeffa')
    expect(read('0002 c361')).toBe('\ufffda')
  })

  test('longer than 32767 bytes are refused in the compact form', () => {
    const name = new Uint8Array(32_768 + 3).fill(120)
    name.set([0x81, 0x80, 0x02])
    const frame = Buffer.concat([bytesOf('0003 0009 00000001 ffff 00 02'), name, bytesOf('00 00 00 00 00')])
    expect(() => decodeRequest(Metadata, 9, frame)).toThrow(/name is too long/)
  })
})

describe('null', () => {
  test('is refused where the version has none, and so is a length below -1', () => {
    expect(() => decodeRequest(Metadata, 0, bytesOf('0003 0000 00000001 ffff ffffffff'))).toThrow(/topics is null/)
    expect(() => decodeRequest(Metadata, 1, bytesOf('0003 0001 00000001 ffff fffffffe'))).toThrow(/negative length/)
    expect(decodeRequest(Metadata, 1, bytesOf('0003 0001 00000001 ffff ffffffff')).topics).toBeNull()
    expect(() => decodeRequest(Metadata, 9, bytesOf('0003 0009 00000001 ffff 00 02 00 00 000000 00'))).toThrow(
      /name is null/,
    )
  })

  test('bytes after the end are refused, but for those that librdkafka sends when it asks for all topics', () => {
    expect(() => decodeRequest(Metadata, 1, bytesOf('0003 0001 00000001 ffff ffffffff 00'))).toThrow(/left over/)
    const frame = bytesOf('0003 000d 00000003 0007 72646b61666b61 00 00000000 01 00 00')
    expect(decodeRequest(Metadata, 13, frame).topics).toBeNull()
    expect(() => decodeRequest(Metadata, 13, frame.subarray(0, -1))).toThrow(/left over/)
  })
})

describe('tagged fields', () => {
  const Tagged = api(
    { key: 999, name: 'Tagged', versions: [0, 2], flexibleFrom: 1 },
    {
      number: 'int32 @1+ #0 =7',
      text: 'string? @1+ #1',
      list: arrayOf({ name: 'string', data: 'bytes' }, '@1+ #2'),
      place: struct({ x: 'int16', y: 'int16 =-1' }, '@2+ #3'),
      maybe: struct({ z: 'int8', deep: 'string @1+ #0' }, '? @2+ #4'),
      id: 'uuid @1+ #5',
    },
    { beside: struct({ a: 'int32' }, '?1+'), inside: struct({ b: 'bytes?' }) },
  )
  const defaults = { number: 7, text: null, list: [], place: { x: 0, y: -1 }, maybe: null, id: ZERO_UUID }
  const write = (version: number, body: object): Uint8Array => frameOf(encodeRequest(Tagged, version, 0, null, body))
  const bodyHex = (frame: Uint8Array): string => toHex(frame.subarray(11))
  const read = (version: number, hex: string) =>
    decodeRequest(Tagged, version, bytesOf(`03e7 000${version} 00000000 ffff 00 ${hex}`))

  test('are left out when they are their defaults', () => {
    expect(bodyHex(write(2, defaults))).toBe('00')
    expect(bodyHex(write(2, {}))).toBe('00')
    expect(read(2, '00')).toEqual(defaults)
    expect(bodyHex(write(2, { place: { x: 0 } }))).toBe('00')
  })

  test('are written by rising tag, with their length', () => {
    expect(bodyHex(write(2, { place: { x: 1 }, number: 8, maybe: { z: 2 } }))).toBe(
      ['03', '00 04 00000008', '03 05 0001 ffff 00', '04 03 01 02 00'].join('').replaceAll(' ', ''),
    )
    expect(bodyHex(write(1, { place: { x: 1 }, text: '' }))).toBe('01010101')
  })

  test('may be longer than one byte of length can say', () => {
    for (const length of [10, 120, 128, 200, 20_000]) {
      const list = [{ name: 'n'.repeat(length), data: new Uint8Array(length).fill(7) }]
      const frame = write(2, { list, number: 1, id: 'AAECAwQFBgcICQoLDA0ODw' })
      expect(decodeRequest(Tagged, 2, frame)).toEqual({
        ...defaults,
        list,
        number: 1,
        id: 'AAECAwQFBgcICQoLDA0ODw',
      })
    }
  })

  test('cannot hold what is not in one piece', () => {
    const data = { byteLength: 1, parts: [Uint8Array.of(1)] }
    expect(() => write(1, { list: [{ name: 'a', data }] })).toThrow(/data cannot be in parts/)
  })

  test('that are not known are passed over, wherever they stand', () => {
    expect(read(1, '03 8001 02 ffff 00 04 00000009 7f 00')).toEqual({ ...defaults, number: 9 })
    expect(read(2, '01 04 0a 01 05 02 00 03 03 6162 09 00').maybe).toEqual({ z: 5, deep: 'ab' })
  })

  test('in any order, the last of two counting', () => {
    expect(read(1, '03 01 02 02 61 00 04 00000001 00 04 00000002')).toEqual({ ...defaults, number: 2, text: 'a' })
  })

  test.each([
    ['one that is shorter than its field', '01 00 03 000000'],
    ['one that is longer than its field', '01 00 05 0000000001'],
    ['one that runs out of the message', '01 00 04 000000'],
    ['an unknown one that runs out of the message', '01 09 02 00'],
    ['more of them than there are bytes', '05 09 00'],
    ['2^31 - 1 of them', 'ffffffff07'],
    ['a count that is no varint', 'ffffffffff01'],
  ])('%s: refused', (_, hex) => {
    expect(() => read(1, hex)).toThrow(protocol)
  })

  test('defaults are shared, and cannot be changed', () => {
    expect(read(2, '00').place).toBe(read(2, '00').place)
    expect(Object.isFrozen(read(2, '00').place)).toBe(true)
  })

  test('structs may be null, and be in place in every version', () => {
    for (const version of [0, 1, 2]) {
      for (const beside of version === 0 ? [{ a: 5 }] : [{ a: 5 }, null]) {
        for (const b of [null, Uint8Array.of(1, 2)]) {
          const body = { beside, inside: { b } }
          const frame = frameOf(encodeResponse(Tagged, version, 3, body))
          expect(decodeResponse(Tagged, version, frame)).toEqual({ correlationId: 3, body })
          for (let end = 4; end < frame.length; end++) {
            expect(() => decodeResponse(Tagged, version, frame.subarray(0, end))).toThrow(protocol)
          }
        }
      }
    }
    expect(() => encodeResponse(Tagged, 0, 3, { beside: null })).toThrow(/beside cannot be null/)
  })
})

describe('memory', () => {
  test('messages of every size come back whole, one after the other', () => {
    for (const count of [1, 10, 100, 1000, 10_000, 1, 50]) {
      const topics = Array.from({ length: count }, (_, i) => ({
        name: `topic-${i}`,
        configs: [{ name: 'a', value: 'b' }],
      }))
      const frame = frameOf(encodeRequest(CreateTopics, 7, count, null, { topics }))
      expect(decodeRequest(CreateTopics, 7, frame).topics).toMatchObject(topics)
    }
  })

  test('a message given out is not written again', () => {
    const messages = Array.from({ length: 3000 }, (_, i) =>
      encodeRequest(Metadata, 9, i, `client-${i}`, { topics: [] }),
    )
    messages.forEach((parts, i) => {
      expect(frameOf(parts)).toEqual(frameOf(encodeRequest(Metadata, 9, i, `client-${i}`, { topics: [] })))
    })
  })
})
