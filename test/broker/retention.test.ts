import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { DescribeConfigs, ListOffsets } from '../../src/protocol/index.ts'
import { batchOf, createTopic, type Fixture, fetch, produce, recordsIn, startFixture } from './fixtures.ts'
import type { RawClient } from './raw-client.ts'

const HOUR = 3_600_000

let fixture: Fixture
let client: RawClient
beforeAll(async () => {
  fixture = await startFixture({
    settings: { logRetentionCheckIntervalMs: 20, logRetentionMs: 5 * HOUR, logSegmentDeleteDelayMs: 0 },
  })
  client = fixture.client
})
afterAll(() => fixture.close())

async function earliest(name: string): Promise<number> {
  const { topics } = await client.ask(ListOffsets, 7, {
    replicaId: -1,
    topics: [{ name, partitions: [{ partitionIndex: 0, timestamp: -2 }] }],
  })
  return topics[0]!.partitions[0]!.offset
}

describe('retention of a topic', () => {
  test('by retention.ms: what is given up is out of range, and the earliest offset says so', async () => {
    await createTopic(client, 'timed', { configs: [{ name: 'retention.ms', value: String(HOUR) }] })
    await produce(client, 'timed', batchOf(['a', 'b'], { timestamp: Date.now() - 2 * HOUR }))
    await expect.poll(() => earliest('timed')).toBe(2)
    await produce(client, 'timed', batchOf(['c']))
    expect(await fetch(client, 'timed', { offset: 0 })).toMatchObject({
      errorCode: ErrorCode.OFFSET_OUT_OF_RANGE,
      highWatermark: -1,
    })
    const found = await fetch(client, 'timed', { offset: 2 })
    expect(found).toMatchObject({ errorCode: 0, logStartOffset: 2, highWatermark: 3 })
    expect(recordsIn(found.records)).toEqual(['2:c'])
    expect(await produce(client, 'timed', batchOf(['d']))).toMatchObject({ baseOffset: 3, logStartOffset: 2 })
  })

  test("by the broker's default, but not with cleanup.policy=compact", async () => {
    await createTopic(client, 'defaulted')
    await createTopic(client, 'table', { configs: [{ name: 'cleanup.policy', value: 'compact' }] })
    const old = { timestamp: Date.now() - 6 * HOUR }
    await produce(client, 'table', batchOf(['a'], { ...old, key: 'k' }))
    await produce(client, 'defaulted', batchOf(['a'], old))
    await expect.poll(() => earliest('defaulted')).toBe(1)
    expect(await earliest('table')).toBe(0)
  })

  test('is described with where it comes from', async () => {
    const { results } = await client.ask(DescribeConfigs, 4, {
      resources: [{ resourceType: 2, resourceName: 'timed', configurationKeys: ['retention.ms', 'retention.bytes'] }],
      includeSynonyms: true,
      includeDocumentation: false,
    })
    const configs = results[0]!.configs
    expect(configs.find(({ name }) => name === 'retention.ms')!.synonyms).toEqual([
      { name: 'retention.ms', value: String(HOUR), source: 1 },
      { name: 'log.retention.ms', value: String(5 * HOUR), source: 4 },
      { name: 'log.retention.ms', value: '604800000', source: 5 },
    ])
    expect(configs.find(({ name }) => name === 'retention.bytes')).toMatchObject({ value: '-1', configSource: 5 })
  })

  test('is refused with settings that Kafka refuses', async () => {
    for (const [name, value] of [
      ['retention.ms', '-2'],
      ['cleanup.policy', 'burn'],
      ['min.cleanable.dirty.ratio', '1.5'],
      ['file.delete.delay.ms', '-1'],
    ] as const) {
      await expect(createTopic(client, 'refused', { configs: [{ name, value }] })).rejects.toThrow()
    }
  })
})
