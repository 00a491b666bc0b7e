import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  allApis,
  decodeRequest,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from '../../src/protocol/index.ts'
import { bodyOf, frameOf, smallestBody, versionsOf } from './bodies.ts'

describe.each(allApis.map((api) => ({ name: api.name, api })))('$name', ({ api }) => {
  test.each(versionsOf(api))('a request of version %i comes back as it was', (version) => {
    const clientId = fc.option(fc.string({ unit: 'binary', maxLength: 30 }))
    fc.assert(
      fc.property(bodyOf(api.request.fields, version), fc.integer(), clientId, (body, correlationId, client) => {
        const frame = frameOf(encodeRequest(api, version, correlationId, client, body))
        const header = decodeRequestHeader(frame)
        expect(header).toMatchObject({ apiKey: api.key, apiVersion: version, correlationId, clientId: client })
        expect(decodeRequest(api, version, frame)).toEqual(body)
      }),
      { numRuns: 40 },
    )
  })

  test.each(versionsOf(api))('a response of version %i comes back as it was', (version) => {
    fc.assert(
      fc.property(bodyOf(api.response.fields, version), fc.integer(), (body, correlationId) => {
        const frame = frameOf(encodeResponse(api, version, correlationId, body))
        expect(decodeResponse(api, version, frame)).toEqual({ correlationId, body })
      }),
      { numRuns: 40 },
    )
  })

  test('arrays of the smallest elements there can be are believed', () => {
    for (const version of versionsOf(api)) {
      const request = smallestBody(api.request.fields, version)
      expect(decodeRequest(api, version, frameOf(encodeRequest(api, version, 1, null, request)))).toEqual(request)
      const response = smallestBody(api.response.fields, version)
      expect(decodeResponse(api, version, frameOf(encodeResponse(api, version, 1, response))).body).toEqual(response)
    }
  })

  test('a body of nothing but defaults can be written and read in every version', () => {
    for (const version of versionsOf(api)) {
      const request = decodeRequest(api, version, frameOf(encodeRequest(api, version, 1, null, {})))
      expect(Object.keys(request as object)).toEqual(api.request.fields.map((field) => field.name))
      const response = decodeResponse(api, version, frameOf(encodeResponse(api, version, 1, {}))).body
      expect(Object.keys(response as object)).toEqual(api.response.fields.map((field) => field.name))
    }
  })
})
