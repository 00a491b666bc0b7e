import { describe, expect, test } from 'vitest'
import {
  allApis,
  decodeRequest,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from '../../src/protocol/index.ts'
import { directions, frameOf, inVersion, toHex } from './bodies.ts'
import { vectors } from './vectors.ts'

const correlationId = 0x1234567
const clientId = 'pagelog ☂'

const cases = vectors.flatMap(({ api, direction, body, frames }) =>
  Object.entries(frames).map(([version, hex]) => {
    return { name: api[direction].name, api, direction, version: Number(version), body, hex }
  }),
)

describe("bytes made by Kafka's own classes", () => {
  test.each(cases)('$name version $version is written to the byte', ({ api, direction, version, body, hex }) => {
    const parts =
      direction === 'request'
        ? encodeRequest(api, version, correlationId, clientId, body)
        : encodeResponse(api, version, correlationId, body)
    expect(toHex(frameOf(parts))).toBe(hex)
  })

  test.each(cases)('$name version $version is read', ({ api, direction, version, body, hex }) => {
    const frame = new Uint8Array(Buffer.from(hex, 'hex'))
    const expected = inVersion(api[direction].fields, version, body)
    if (direction === 'request') {
      expect(decodeRequestHeader(frame)).toMatchObject({
        apiKey: api.key,
        apiVersion: version,
        correlationId,
        clientId,
      })
      expect(decodeRequest(api, version, frame)).toEqual(expected)
    } else {
      expect(decodeResponse(api, version, frame)).toEqual({ correlationId, body: expected })
    }
  })

  test('there are some of every message, at its lowest, first flexible and highest version', () => {
    for (const api of allApis) {
      for (const direction of directions) {
        const vector = vectors.find((one) => one.api === api && one.direction === direction)
        const versions = new Set([api.minVersion, api.flexibleFrom, api.maxVersion].map(String))
        expect(new Set(Object.keys(vector?.frames ?? {})), api[direction].name).toEqual(versions)
      }
    }
  })
})
