import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { ApiVersions, apiOf, DescribeConfigs } from '../../src/protocol/index.ts'
import { createTopic, type Fixture, startFixture } from './fixtures.ts'
import type { RawClient } from './raw-client.ts'

let fixture: Fixture
let client: RawClient
beforeAll(async () => {
  fixture = await startFixture({ settings: { logSegmentBytes: 5000000, numPartitions: 3 } })
  client = fixture.client
  await createTopic(client, 'topic', { configs: [{ name: 'segment.bytes', value: '2000000' }] })
})
afterAll(() => fixture.close())

const TOPIC = 2
const BROKER = 4
const ask = async (
  resourceType: number,
  resourceName: string,
  configurationKeys: string[] | null = null,
  version = 4,
) => {
  const { results } = await client.ask(DescribeConfigs, version, {
    resources: [{ resourceType, resourceName, configurationKeys }],
    includeSynonyms: true,
    ...(version >= 3 ? { includeDocumentation: true } : {}),
  })
  return results[0]!
}

describe('describe configs', () => {
  test.each([1, 2, 3, 4])('version %i: a topic with its own setting, the broker, the default', async (version) => {
    const { errorCode, configs } = await ask(TOPIC, 'topic', ['segment.bytes'], version)
    expect(errorCode).toBe(0)
    expect(configs).toMatchObject([
      { name: 'segment.bytes', value: '2000000', configSource: 1, readOnly: false, isSensitive: false },
    ])
    expect(configs[0]!.synonyms).toEqual([
      { name: 'segment.bytes', value: '2000000', source: 1 },
      { name: 'log.segment.bytes', value: '5000000', source: 4 },
      { name: 'log.segment.bytes', value: '1073741824', source: 5 },
    ])
    if (version >= 3) {
      expect(configs[0]!.configType).toBe(3)
      expect(configs[0]!.documentation).toBeTruthy()
    }
  })

  test('all settings of a topic, with defaults', async () => {
    const { configs } = await ask(TOPIC, 'topic')
    expect(configs).toHaveLength(33)
    expect(configs.find(({ name }) => name === 'retention.ms')).toMatchObject({
      value: '604800000',
      configSource: 5,
      configType: 5,
    })
    expect(configs.find(({ name }) => name === 'cleanup.policy')).toMatchObject({ value: 'delete', configType: 7 })
  })

  test('the broker by its id', async () => {
    const { configs } = await ask(BROKER, '1', ['num.partitions', 'node.id', 'nonsense'])
    expect(configs.map(({ name, value, configSource }) => [name, value, configSource])).toEqual([
      ['node.id', '1', 5],
      ['num.partitions', '3', 4],
    ])
    expect(await ask(BROKER, '')).toMatchObject({ errorCode: 0, configs: [] })
  })

  test('errors', async () => {
    expect((await ask(TOPIC, 'missing')).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect((await ask(TOPIC, 'bad name')).errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
    expect((await ask(BROKER, '2')).errorCode).toBe(ErrorCode.INVALID_REQUEST)
    expect((await ask(BROKER, 'x')).errorCode).toBe(ErrorCode.INVALID_REQUEST)
    expect((await ask(8, '1')).errorCode).toBe(ErrorCode.INVALID_REQUEST)
  })
})

describe('api versions', () => {
  const software = { clientSoftwareName: 'test', clientSoftwareVersion: '1.0' }

  test.each([0, 1, 2, 3, 4])('version %i tells what is served', async (version) => {
    const { errorCode, apiKeys } = await client.ask(ApiVersions, version, version >= 3 ? software : {})
    expect(errorCode).toBe(0)
    expect(apiKeys.map(({ apiKey }) => apiKey)).toEqual([0, 1, 2, 3, 10, 18, 19, 20, 22, 23, 32, 37, 43, 60])
    for (const { apiKey, minVersion, maxVersion } of apiKeys) {
      const api = apiOf(apiKey)!
      expect([minVersion, maxVersion]).toEqual([apiKey === 0 ? 0 : api.minVersion, api.maxVersion])
    }
  })

  test('an unknown version is answered in version 0 with error 35 and the range', async () => {
    const request = client.encode(ApiVersions, 4, software)
    request.writeInt16BE(99, 6)
    const frame = await client.askRaw(request)
    expect(frame.readInt16BE(4)).toBe(ErrorCode.UNSUPPORTED_VERSION)
    expect([...frame.subarray(6)]).toEqual([0, 0, 0, 1, 0, 18, 0, 0, 0, 4])
  })

  test.each([
    ['', '1'],
    ['name', ''],
    ['-name', '1'],
    ['na me', '1'],
    ['name', '1\n'],
    ['name', '1.'],
  ])('software %j %j is refused', async (clientSoftwareName, clientSoftwareVersion) => {
    const { errorCode } = await client.ask(ApiVersions, 3, { clientSoftwareName, clientSoftwareVersion })
    expect(errorCode).toBe(ErrorCode.INVALID_REQUEST)
  })
})
