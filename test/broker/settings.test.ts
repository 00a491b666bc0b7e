import { describe, expect, test } from 'vitest'
import type { Setting } from '../../src/base/index.ts'
import { Broker, brokerSettings, readSettings, topicSettings } from '../../src/broker/index.ts'
import { resolveBrokerSettings, topicDefaultsOf } from '../../src/broker/settings.ts'
import { topicDefaults } from '../../src/broker/topic-settings.ts'
import { nodeEnv } from '../../src/env/index.ts'

const map = (entries: Record<string, string>) => new Map(Object.entries(entries))

describe('sources', () => {
  test('command line beats environment beats file', () => {
    const { settings, warnings } = readSettings({
      file: map({ 'num.partitions': '2', 'log.segment.bytes': '2000000', 'node.id': '7' }),
      environment: { KAFKA_NUM_PARTITIONS: '3', KAFKA_LOG_SEGMENT_BYTES: '3000000', PAGELOG_CLUSTER_ID: 'c' },
      commandLine: map({ 'num.partitions': '4' }),
    })
    expect(settings).toEqual({ nodeId: 7, numPartitions: 4, logSegmentBytes: 3000000, clusterId: 'c' })
    expect(warnings).toEqual([])
  })

  test("Kafka's other names", () => {
    const read = (entries: Record<string, string>) => readSettings({ file: map(entries) }).settings
    expect(read({ 'broker.id': '3', 'log.roll.hours': '2', 'log.dirs': '/data' })).toEqual({
      nodeId: 3,
      logRollMs: 7200000,
      logDir: '/data',
    })
    expect(read({ 'log.roll.ms': '5', 'log.roll.hours': '2' })).toEqual({ logRollMs: 5 })
  })

  test('an unknown name warns with the nearest one, a known one that is not obeyed says so', () => {
    const { settings, warnings } = readSettings({
      file: map({ 'log.segment.byte': '5', 'background.threads': '4', 'process.roles': 'broker', zzz: '1' }),
      environment: { KAFKA_HEAP_OPTS: '-Xmx1G', KAFKA_NUM_PARTITION: '4', HOME: '/' },
    })
    expect(settings).toEqual({})
    expect(warnings).toEqual(
      [
        'unknown variable KAFKA_NUM_PARTITION, did you mean KAFKA_NUM_PARTITIONS?',
        'unknown setting log.segment.byte, did you mean log.segment.bytes?',
        'setting background.threads is not honoured yet',
        'unknown setting zzz',
      ].sort((a, b) => warnings.indexOf(a) - warnings.indexOf(b)),
    )
  })

  test.each([
    ['num.partitions', '0'],
    ['num.partitions', 'many'],
    ['auto.create.topics.enable', 'yes'],
    ['log.message.timestamp.type', 'Never'],
    ['log.dirs', '/a,/b'],
  ])('%s=%s is refused', (name, text) => {
    expect(() => readSettings({ commandLine: map({ [name]: text }) })).toThrow(
      expect.objectContaining({ code: 'PAGELOG_INVALID_SETTING', message: expect.stringContaining(name) as string }),
    )
  })
})

describe('tables', () => {
  test('names are unique, defaults are within bounds, every setting has a text', () => {
    for (const table of [brokerSettings, topicSettings] as readonly Readonly<Record<string, Setting>>[]) {
      const settings = Object.values(table)
      expect(new Set(settings.map((setting) => setting.name)).size).toBe(settings.length)
      for (const { name, default: value, min, max, doc } of settings) {
        expect(doc.length, name).toBeGreaterThan(10)
        if (typeof value !== 'number') continue
        if (min !== undefined) expect(value, name).toBeGreaterThanOrEqual(min)
        if (max !== undefined) expect(value, name).toBeLessThanOrEqual(max)
      }
    }
  })
})

describe('listeners', () => {
  test.each([
    'localhost:9092',
    'SSL://localhost:9093',
    'PLAINTEXT://localhost',
    'PLAINTEXT://localhost:99999',
    'PLAINTEXT://a:1,PLAINTEXT://b:2',
  ])('%s is refused', async (text) => {
    const start = Broker.start({ env: nodeEnv(), settings: { listeners: text.split(','), logDir: '/nonexistent' } })
    await expect(start).rejects.toMatchObject({ code: 'PAGELOG_INVALID_SETTING' })
  })
})

describe('log.flush.scheduler.interval.ms', () => {
  test('is the default of flush.ms where log.flush.interval.ms is not given', () => {
    const flushMsOf = (entries: Record<string, string>): number => {
      const { settings, warnings } = readSettings({ file: map(entries) })
      expect(warnings).toEqual([])
      return topicDefaultsOf(resolveBrokerSettings(settings), topicDefaults).flushMs
    }
    expect(flushMsOf({})).toBe(topicSettings.flushMs.default)
    expect(flushMsOf({ 'log.flush.scheduler.interval.ms': '2000' })).toBe(2000)
    expect(flushMsOf({ 'log.flush.scheduler.interval.ms': '2000', 'log.flush.interval.ms': '500' })).toBe(500)
    expect(flushMsOf({ 'log.flush.offset.checkpoint.interval.ms': '5000' })).toBe(topicSettings.flushMs.default)
  })
})
