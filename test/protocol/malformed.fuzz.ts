/** Bytes that are no message: refused with PAGELOG_PROTOCOL, never anything else, and nothing outside the frame is read. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasCode } from '../../src/base/index.ts'
import {
  type Api,
  allApis,
  decodeRequest,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from '../../src/protocol/index.ts'
import { bodyOf, type Direction, directions, frameOf, versionsOf } from './bodies.ts'

const seed = Number(process.env.PAGELOG_SEED ?? 20_260_711)

function framesOf(api: Api, version: number, direction: Direction, count: number): Uint8Array[] {
  const bodies = fc.sample(bodyOf(api[direction].fields, version), { seed, numRuns: count })
  return bodies.map((body) =>
    frameOf(
      direction === 'request' ? encodeRequest(api, version, 7, 'me', body) : encodeResponse(api, version, 7, body),
    ),
  )
}

function decode(api: Api, version: number, direction: Direction, frame: Uint8Array): unknown {
  if (direction === 'response') return decodeResponse(api, version, frame)
  decodeRequestHeader(frame)
  return decodeRequest(api, version, frame)
}

/** True when it was refused; fails on any other error, and on views that reach out of the frame. */
function isRefused(api: Api, version: number, direction: Direction, frame: Uint8Array): boolean {
  try {
    requireInside(decode(api, version, direction, frame), frame)
    return false
  } catch (error) {
    if (!hasCode(error, 'PAGELOG_PROTOCOL')) throw error
    return true
  }
}

function requireInside(value: unknown, frame: Uint8Array): void {
  if (value instanceof Uint8Array) {
    if (value.length === 0) return
    expect(value.buffer).toBe(frame.buffer)
    expect(value.byteOffset).toBeGreaterThanOrEqual(frame.byteOffset)
    expect(value.byteOffset + value.length).toBeLessThanOrEqual(frame.byteOffset + frame.length)
  } else if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) requireInside(member, frame)
  }
}

const cases = allApis.flatMap((api) =>
  directions.flatMap((direction) => versionsOf(api).map((version) => ({ api, direction, version }))),
)

describe('damaged messages', () => {
  // The frame stays where it is: behind a cut lie the very bytes that a careless decoder would go on with.
  test('a message cut at any byte is refused', () => {
    for (const { api, direction, version } of cases) {
      for (const frame of framesOf(api, version, direction, 2)) {
        for (let length = 0; length < Math.min(frame.length, 600); length++) {
          const cut = new Uint8Array(frame.buffer, frame.byteOffset, length)
          if (!isRefused(api, version, direction, cut)) throw new Error(`${api[direction].name} v${version}: ${length}`)
        }
      }
    }
  })

  test('a message with a byte too many is refused', () => {
    for (const { api, direction, version } of cases) {
      for (const frame of framesOf(api, version, direction, 2)) {
        const longer = new Uint8Array(frame.length + 1)
        longer.set(frame)
        expect(isRefused(api, version, direction, longer)).toBe(true)
      }
    }
  })

  test('any four bytes turned into the largest or a negative length are refused or mean something', () => {
    const lengths = [
      [0x7f, 0xff, 0xff, 0xff],
      [0x80, 0, 0, 0],
      [0xff, 0xff, 0xff, 0xfe],
    ]
    for (const { api, direction, version } of cases) {
      for (const frame of framesOf(api, version, direction, 1)) {
        for (let position = 0; position + 4 <= Math.min(frame.length, 300); position++) {
          for (const length of lengths) {
            const damaged = frame.slice()
            damaged.set(length, position)
            isRefused(api, version, direction, damaged)
          }
        }
      }
    }
  })

  test('any byte turned into a varint of 2^31 - 1 or beyond is refused or means something', () => {
    const varints = [
      [0xff, 0xff, 0xff, 0xff, 0x07],
      [0xff, 0xff, 0xff, 0xff, 0x0f],
      [0xff, 0xff, 0xff, 0xff, 0xff],
    ]
    for (const { api, direction, version } of cases.filter(({ api, version }) => version >= api.flexibleFrom)) {
      for (const frame of framesOf(api, version, direction, 1)) {
        for (let position = 0; position < Math.min(frame.length, 200); position++) {
          for (const varint of varints) {
            const damaged = Buffer.concat([
              frame.subarray(0, position),
              Uint8Array.from(varint),
              frame.subarray(position + 1),
            ])
            isRefused(api, version, direction, damaged)
          }
        }
      }
    }
  })

  test('random bytes are refused or mean something', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...cases),
        fc.uint8Array({ maxLength: 120 }),
        ({ api, direction, version }, frame) => {
          isRefused(api, version, direction, frame)
        },
      ),
      { seed, numRuns: 5000 },
    )
  })
})

describe('counts', () => {
  const put = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes)
  const header = [0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff]

  test('a count is compared with the bytes left before anything is allocated', () => {
    const metadata = allApis.find((api) => api.name === 'Metadata')!
    const frame = put(...header, 0x7f, 0xff, 0xff, 0xff, 0, 1, 97)
    expect(() => decodeRequest(metadata, 0, frame)).toThrow(/version 0: ends too early at byte 14/)
    const compact = put(...header, 0, 0xff, 0xff, 0xff, 0xff, 0x07, 2, 97, 0)
    expect(() => decodeRequest(metadata, 9, compact)).toThrow(/version 9: ends too early at byte 16/)
  })

  test('a request has at most 200,000 elements in all its arrays', () => {
    const metadata = allApis.find((api) => api.name === 'Metadata')!
    const frameWith = (count: number): Uint8Array => {
      const frame = new Uint8Array(14 + 2 * count)
      frame.set(header)
      new DataView(frame.buffer).setInt32(10, count)
      return frame
    }
    expect(decodeRequest(metadata, 0, frameWith(200_000))).toBeDefined()
    expect(() => decodeRequest(metadata, 0, frameWith(200_001))).toThrow(/too many elements/)
  })

  test('and as many tagged fields, in its header and in its body', () => {
    const apiVersions = allApis.find((api) => api.name === 'ApiVersions')!
    // 200,001 as a varint, and as many fields of tag 5 without content.
    const tags = Buffer.alloc(3 + 2 * 200_001)
    for (let i = 0; i < 200_001; i++) tags[3 + 2 * i] = 5
    tags.set([0xc1, 0x9a, 0x0c])
    const start = [0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff]
    expect(() => decodeRequest(apiVersions, 3, Buffer.concat([put(...start), tags, put(1, 1, 0)]))).toThrow(/too many/)
    expect(() => decodeRequest(apiVersions, 3, Buffer.concat([put(...start, 0, 1, 1), tags]))).toThrow(/too many/)
    tags.set([0xc0])
    const most = Buffer.concat([put(...start, 0, 1, 1), tags.subarray(0, -2)])
    expect(decodeRequest(apiVersions, 3, most)).toEqual({ clientSoftwareName: '', clientSoftwareVersion: '' })
  })
})
