import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  ApiVersions,
  allApis,
  apiOf,
  correlationIdOf,
  decodeRequest,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  Fetch,
  type FetchResponse,
  type Input,
  Metadata,
  Produce,
  type ProduceRequest,
  type Spliced,
  supports,
} from '../../src/protocol/index.ts'
import { frameOf, toHex } from './bodies.ts'

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'))

describe('the catalog', () => {
  test('has the ranges that Kafka 4.1 serves, and Produce advertised from 0', () => {
    const ranges = allApis.map(({ key, name, advertisedMin, minVersion, maxVersion, flexibleFrom }) => {
      return `${key} ${name} ${advertisedMin} ${minVersion}-${maxVersion} ${flexibleFrom}`
    })
    expect(ranges).toEqual([
      '0 Produce 0 3-13 9',
      '1 Fetch 4 4-18 12',
      '2 ListOffsets 1 1-10 6',
      '3 Metadata 0 0-13 9',
      '10 FindCoordinator 0 0-6 3',
      '18 ApiVersions 0 0-4 3',
      '19 CreateTopics 2 2-7 5',
      '20 DeleteTopics 1 1-6 4',
      '22 InitProducerId 0 0-5 2',
      '23 OffsetForLeaderEpoch 2 2-4 4',
      '32 DescribeConfigs 1 1-4 4',
      '37 CreatePartitions 0 0-3 2',
      '43 ElectLeaders 0 0-2 2',
      '60 DescribeCluster 0 0-2 0',
    ])
  })

  test('finds an API by any number a peer may send', () => {
    expect(apiOf(1)).toBe(Fetch)
    for (const key of [-1, -32768, 4, 32767]) expect(apiOf(key)).toBeUndefined()
    expect(supports(Produce, 2)).toBe(false)
    expect(supports(Produce, 13)).toBe(true)
  })
})

describe('headers', () => {
  test('a request carries key, version, correlation id and client id, with tags in flexible versions', () => {
    const header = '0003 0008 00000007 0002 6d65'
    expect(toHex(frameOf(encodeRequest(Metadata, 8, 7, 'me', { topics: [] })))).toBe(
      toHex(bytesOf(`${header} 00000000 01 00 00`)),
    )
    const flexible = '0003 0009 00000007 0002 6d65 00'
    expect(toHex(frameOf(encodeRequest(Metadata, 9, 7, 'me', { topics: [] })))).toBe(
      toHex(bytesOf(`${flexible} 01 01 00 00 00`)),
    )
    expect(toHex(frameOf(encodeRequest(ApiVersions, 0, -1, null, {})))).toBe('00120000ffffffffffff')
  })

  test('a response has tags from the first flexible version on, but never one of ApiVersions', () => {
    expect(toHex(frameOf(encodeResponse(Metadata, 9, 7, {}))).startsWith('0000000700')).toBe(true)
    expect(toHex(frameOf(encodeResponse(ApiVersions, 3, 7, { errorCode: 35 }))).startsWith('000000070023')).toBe(true)
  })

  test('tagged fields in a header are passed over', () => {
    const request = bytesOf('0012 0003 00000001 ffff 02 00 01 ff 81 01 02 aabb 02 61 02 62 00')
    expect(decodeRequest(ApiVersions, 3, request)).toEqual({ clientSoftwareName: 'a', clientSoftwareVersion: 'b' })
    const response = bytesOf('00000001 01 05 01 ff 00000000 01 01 01 00')
    expect(() => decodeResponse(Metadata, 9, response)).toThrow(/Metadata response version 9/)
  })

  test('the header of an unknown API or version can be read', () => {
    expect(decodeRequestHeader(bytesOf('7fff 8000 00000001 0001 61 dead'))).toEqual({
      apiKey: 32767,
      apiVersion: -32768,
      correlationId: 1,
      clientId: 'a',
      end: 11,
    })
  })

  test.each([
    ['is too short', '0012 0000 000000'],
    ['has a client id of negative length', '0012 0000 00000001 fffe'],
    ['has a client id that runs out of it', '0012 0000 00000001 0003 6161'],
  ])('a request that %s is refused', (_, hex) => {
    expect(() => decodeRequestHeader(bytesOf(hex))).toThrow(expect.objectContaining({ code: 'PAGELOG_PROTOCOL' }))
    expect(() => decodeRequest(ApiVersions, 0, bytesOf(hex))).toThrow(
      expect.objectContaining({ code: 'PAGELOG_PROTOCOL' }),
    )
  })

  test.each(['0012 0003 00000001 ffff', '0012 0003 00000001 ffff ffffffffff0f', '0012 0003 00000001 ffff 01 00 05 aa'])(
    'broken tagged fields of a header are refused: %s',
    (hex) => {
      expect(() => decodeRequest(ApiVersions, 3, bytesOf(hex))).toThrow(
        expect.objectContaining({ code: 'PAGELOG_PROTOCOL' }),
      )
    },
  )

  test('a response tells its correlation id, if it is long enough to have one', () => {
    expect(correlationIdOf(bytesOf('fffffffe'))).toBe(-2)
    expect(() => correlationIdOf(bytesOf('ffffff'))).toThrow(expect.objectContaining({ code: 'PAGELOG_PROTOCOL' }))
  })

  test('a version outside the table is refused both ways', () => {
    const unsupported = expect.objectContaining({ code: 'PAGELOG_UNSUPPORTED' })
    for (const version of [2, 14, -1, 0.5, Number.NaN]) {
      expect(() => encodeRequest(Produce, version, 1, null, {})).toThrow(unsupported)
      expect(() => encodeResponse(Produce, version, 1, {})).toThrow(unsupported)
      expect(() => decodeRequest(Produce, version, new Uint8Array(20))).toThrow(unsupported)
      expect(() => decodeResponse(Produce, version, new Uint8Array(20))).toThrow(unsupported)
    }
  })

  test('a client id beyond 32767 bytes cannot be sent', () => {
    expect(() => encodeRequest(ApiVersions, 0, 1, 'x'.repeat(32_768), {})).toThrow(
      expect.objectContaining({ code: 'PAGELOG_INVALID_ARGUMENT' }),
    )
    const longest = 'é'.repeat(16_383)
    expect(decodeRequestHeader(frameOf(encodeRequest(ApiVersions, 0, 1, longest, {}))).clientId).toBe(longest)
  })
})

describe('splices', () => {
  interface TestRegion {
    readonly length: number
    readonly name: string
  }
  const region = (name: string, length: number): TestRegion => ({ name, length })
  const spliced = (...parts: (TestRegion | Uint8Array)[]): Spliced<TestRegion> => ({
    byteLength: parts.reduce((sum, part) => sum + part.length, 0),
    parts,
  })
  const answerWith = (...records: (Spliced | Uint8Array | null)[]): Input<FetchResponse> => ({
    responses: [{ topic: 't', partitions: records.map((one, partitionIndex) => ({ partitionIndex, records: one })) }],
  })

  test('regions pass through untouched, in order, and count in the length', () => {
    const a = region('a', 100_000)
    const b = region('b', 50)
    const memory = Uint8Array.of(1, 2, 3)
    const parts = encodeResponse<unknown, FetchResponse, TestRegion>(Fetch, 11, 1, answerWith(spliced(a, memory, b)))
    expectTypeOf(parts).toEqualTypeOf<(Uint8Array | TestRegion)[]>()
    expect(parts.length).toBe(4)
    expect(parts[1]).toBe(a)
    expect(parts[2]).toBe(memory)
    expect(parts[3]).toBe(b)
    const total = parts.reduce((sum, part) => sum + part.length, 0)
    expect(Buffer.from(parts[0] as Uint8Array).readInt32BE(0)).toBe(total - 4)
  })

  test('what is spliced reads like what is copied', () => {
    const content = Uint8Array.from({ length: 5000 }, (_, i) => i)
    const whole = encodeResponse(Fetch, 12, 1, answerWith(content, content.slice(0, 10), null))
    const inParts = encodeResponse(
      Fetch,
      12,
      1,
      answerWith(
        spliced(content.subarray(0, 1), content.subarray(1)),
        spliced(content.slice(0, 4), content.slice(4, 10)),
        null,
      ),
    )
    expect(toHex(frameOf(inParts))).toBe(toHex(frameOf(whole)))
    expect(inParts.length).toBeGreaterThan(whole.length)
    const { body } = decodeResponse(Fetch, 12, frameOf(whole))
    expect(body.responses[0]?.partitions.map((partition) => partition.records)).toEqual([
      content,
      content.slice(0, 10),
      null,
    ])
  })

  test('large memory is not copied, small memory is', () => {
    const large = new Uint8Array(1025)
    const small = new Uint8Array(1024)
    expect(encodeResponse(Fetch, 4, 1, answerWith(large, small))).toContain(large)
    expect(encodeResponse(Fetch, 4, 1, answerWith(large, small)).length).toBe(3)
    expect(encodeResponse(Fetch, 4, 1, answerWith(small)).length).toBe(1)
  })

  test('an empty splice is no part', () => {
    expect(encodeResponse(Fetch, 4, 1, answerWith({ byteLength: 0, parts: [] })).length).toBe(1)
  })

  test('decoded records are views into the frame', () => {
    const frame = frameOf(
      encodeRequest(Produce, 9, 1, null, {
        topicData: [{ name: 't', partitionData: [{ index: 0, records: Uint8Array.of(1, 2, 3) }] }],
      }),
    )
    const records = decodeRequest(Produce, 9, frame).topicData[0]?.partitionData[0]?.records
    expectTypeOf(records).toEqualTypeOf<Uint8Array | null | undefined>()
    expect(records?.buffer).toBe(frame.buffer)
    expect(Object.getPrototypeOf(records)).toBe(Uint8Array.prototype)
  })
})

test('bodies have the types that their tables say', () => {
  expectTypeOf<ProduceRequest>().toEqualTypeOf<{
    readonly transactionalId: string | null
    readonly acks: number
    readonly timeoutMs: number
    readonly topicData: readonly {
      readonly name: string
      readonly topicId: string
      readonly partitionData: readonly { readonly index: number; readonly records: Uint8Array | null }[]
    }[]
  }>()
  expectTypeOf<FetchResponse['responses'][number]['partitions'][number]['abortedTransactions']>().toEqualTypeOf<
    readonly { readonly producerId: number; readonly firstOffset: number }[] | null
  >()
})
