/** kcat, and with it librdkafka, against our broker: what one client writes the other reads. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Admin, Consumer, Producer } from '../../src/client/index.ts'
import { Compression } from '../../src/record/index.ts'
import { startBroker, type TestBroker } from '../../src/testing/index.ts'
import { hasZstd } from '../zstd.ts'
import { kcat, kcatRead, kcatReader } from './kcat.ts'
import { endOffsets, type PlainRecord, plainRecords, readTopic, until } from './records.ts'
import { storedBatches } from './stored-batches.ts'

let broker: TestBroker
let bootstrap: string

beforeAll(async () => {
  broker = await startBroker()
  bootstrap = broker.bootstrap
})

afterAll(async () => {
  await broker?.close()
})

async function createTopic(topic: string, partitions = 1): Promise<void> {
  await using admin = new Admin({ bootstrap })
  await admin.createTopics([{ topic, partitions }])
}

function lines(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => `${line(i)}\n`).join('')
}

function contents(records: readonly PlainRecord[]): Pick<PlainRecord, 'key' | 'value' | 'headers'>[] {
  return records.map(({ key, value, headers }) => ({ key, value, headers }))
}

describe('metadata', () => {
  test('-L lists the broker and the topics with their partitions', async () => {
    await createTopic('listed', 3)
    const found = JSON.parse(await kcat(bootstrap, ['-L', '-J']))
    expect(found.brokers).toEqual([{ id: 1, name: bootstrap }])
    expect(found.controllerid).toBe(1)
    const self = { leader: 1, replicas: [{ id: 1 }], isrs: [{ id: 1 }] }
    expect(found.topics).toContainEqual({
      topic: 'listed',
      partitions: [0, 1, 2].map((partition) => ({ partition, ...self })),
    })
  })

  test('-L of a missing topic does not create it', async () => {
    const found = JSON.parse(
      await kcat(bootstrap, ['-L', '-J', '-t', 'missing-for-list', '-X', 'allow.auto.create.topics=false']),
    )
    expect(found.topics[0].error).toMatch(/Unknown topic or partition/)
    await using admin = new Admin({ bootstrap })
    expect(await admin.listTopics()).not.toContain('missing-for-list')
  })

  test('a produce to a missing topic creates it', async () => {
    await kcat(bootstrap, ['-P', '-t', 'made-by-produce'], 'first\n')
    await using admin = new Admin({ bootstrap })
    expect(await admin.listTopics()).toContain('made-by-produce')
    expect(contents(await readTopic(bootstrap, 'made-by-produce'))).toEqual([
      { key: null, value: 'first', headers: [] },
    ])
  })

  test('-Q answers the ends of a partition and the offset of a time', async () => {
    await createTopic('asked')
    await using producer = new Producer({ bootstrap })
    for (let i = 0; i < 10; i++)
      producer.send({ topic: 'asked', value: `${i}`, timestamp: 1_700_000_000_000 + i * 1_000 })
    await producer.flush()
    const times = [-2, -1, 1_700_000_003_500, 1_700_000_005_000]
    const answers = await Promise.all(times.map((time) => kcat(bootstrap, ['-Q', '-t', `asked:0:${time}`])))
    expect(answers).toEqual([0, 10, 4, 5].map((offset) => `asked [0] offset ${offset}`))
  })
})

describe('kcat writes, our consumer reads', () => {
  const ways: [string, string[]][] = [
    ['acks=0', ['-X', 'acks=0']],
    ['acks=1', ['-X', 'acks=1']],
    ['acks=all', ['-X', 'acks=all']],
    ['idempotent', ['-X', 'enable.idempotence=true']],
  ]
  test.each(ways)('%s: every record once and in order', async (name, args) => {
    const topic = `written-${name.replace('=', '-')}`
    await createTopic(topic)
    const count = 5_000
    // Small batches, so that several are under way together.
    await kcat(
      bootstrap,
      ['-P', '-t', topic, '-p', '0', '-X', 'batch.num.messages=100', ...args],
      lines(count, (i) => `value ${i}`),
    )
    await until(async () => (await endOffsets(bootstrap, topic))[0]! >= count)
    const records = await readTopic(bootstrap, topic)
    expect(records.map(({ value }) => value)).toEqual(Array.from({ length: count }, (_, i) => `value ${i}`))
    expect(records.map(({ offset }) => offset)).toEqual(Array.from({ length: count }, (_, i) => i))
    const stored = storedBatches(join(broker.directory, `${topic}-0`))
    expect(stored.length).toBeGreaterThan(10)
    expect(stored.every(({ producerId }) => producerId >= 0 === (name === 'idempotent'))).toBe(true)
  })

  test('keys, headers and nulls arrive as they were', async () => {
    await createTopic('shapes')
    const write = (args: string[], input: string): Promise<string> =>
      kcat(bootstrap, ['-P', '-t', 'shapes', ...args], input)
    await write(['-K:', '-H', 'one=1', '-H', 'two=zwei', '-H', 'two=deux', '-H', 'none'], 'key:value\n')
    await write(['-K:', '-Z'], 'gone:\n:keyless\n')
    await write([], 'grüße\n')
    expect(contents(await readTopic(bootstrap, 'shapes'))).toEqual([
      {
        key: 'key',
        value: 'value',
        headers: [
          ['one', '1'],
          ['two', 'zwei'],
          ['two', 'deux'],
          ['none', null],
        ],
      },
      { key: 'gone', value: null, headers: [] },
      { key: null, value: 'keyless', headers: [] },
      { key: null, value: 'grüße', headers: [] },
    ])
  })

  test('records of several partitions add up and keep their order in each', async () => {
    await createTopic('spread', 4)
    const count = 4_000
    await kcat(
      bootstrap,
      ['-P', '-t', 'spread', '-K:'],
      lines(count, (i) => `${i % 97}:${i}`),
    )
    const records = await readTopic(bootstrap, 'spread')
    expect(records.map(({ value }) => Number(value)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: count }, (_, i) => i),
    )
    expect(new Set(records.map(({ partition }) => partition)).size).toBe(4)
    for (let i = 1; i < records.length; i++) {
      const [before, after] = [records[i - 1]!, records[i]!]
      if (before.partition === after.partition) expect(Number(after.value)).toBeGreaterThan(Number(before.value))
    }
  })

  test('a waiting consumer of ours gets the record as it comes', async () => {
    await createTopic('awaited')
    await using consumer = new Consumer({ bootstrap, fetchMaxWaitMs: 25_000 })
    consumer.assign([{ topic: 'awaited', partition: 0, offset: 'beginning' }])
    const batch = consumer.nextBatch()
    await until(() => consumer.position('awaited', 0) !== undefined)
    await kcat(bootstrap, ['-P', '-t', 'awaited'], 'now\n')
    expect(plainRecords((await batch)!).map(({ value }) => value)).toEqual(['now'])
  })
})

describe('our producer writes, kcat reads', () => {
  const startMs = 1_700_000_000_000
  const count = 3_000
  const written: PlainRecord[] = []

  beforeAll(async () => {
    await createTopic('ours', 3)
    await using producer = new Producer({ bootstrap, batchBytes: 2_000 })
    const deliveries = Array.from({ length: count }, (_, i) => {
      const key = i % 7 === 0 ? null : `key ${i % 31}`
      const value = i % 11 === 0 ? null : `value ${i} äöü`
      const headers =
        i % 5 === 0
          ? [
              { key: 'h', value: `${i}` },
              { key: 'empty', value: '' },
              { key: 'null', value: null },
            ]
          : []
      const timestamp = startMs + i * 10
      return {
        key,
        value,
        headers,
        timestamp,
        delivery: producer.send({ topic: 'ours', key, value, headers, timestamp }),
      }
    })
    for (const { delivery, key, value, headers, timestamp } of deliveries) {
      const { partition, offset } = await delivery
      written.push({ partition, offset, timestamp, key, value, headers: headers.map((h) => [h.key, h.value] as const) })
    }
    written.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  })

  test('from the beginning: equal offsets, timestamps, keys, values and headers in every partition', async () => {
    expect(written).toHaveLength(count)
    for (const partition of [0, 1, 2]) {
      const expected = written.filter((record) => record.partition === partition)
      expect(await kcatRead(bootstrap, 'ours', { partition })).toEqual(expected)
    }
  })

  test('all partitions at once', async () => {
    expect(await kcatRead(bootstrap, 'ours')).toEqual(written)
  })

  test('from an offset, in the middle of a batch too', async () => {
    const expected = written.filter(({ partition, offset }) => partition === 1 && offset >= 123)
    expect(await kcatRead(bootstrap, 'ours', { partition: 1, from: '123' })).toEqual(expected)
  })

  test('the last few before the end', async () => {
    const expected = written.filter(({ partition }) => partition === 2).slice(-5)
    expect(await kcatRead(bootstrap, 'ours', { partition: 2, from: '-5' })).toEqual(expected)
  })

  test('from a time', async () => {
    const fromMs = startMs + 15_005
    const records = await kcatRead(bootstrap, 'ours', { partition: 0, from: `s@${fromMs}` })
    const first = written.findIndex(({ partition, timestamp }) => partition === 0 && timestamp >= fromMs)
    expect(records).toEqual(written.slice(first).filter(({ partition }) => partition === 0))
  })

  test('an offset beyond the end is out of range', async () => {
    const args = ['-X', 'topic.auto.offset.reset=error']
    await expect(kcatRead(bootstrap, 'ours', { partition: 0, from: '1000000', args })).rejects.toThrow(/out of range/i)
  })

  test('a fetch that waits is woken by the next record', async () => {
    await createTopic('woken')
    const records: PlainRecord[] = []
    const slow = ['-X', 'fetch.wait.max.ms=25000', '-X', 'socket.timeout.ms=60000']
    const reader = kcatReader(bootstrap, ['-t', 'woken', '-p', '0', '-o', 'beginning', ...slow], (record) =>
      records.push(record),
    )
    try {
      await using producer = new Producer({ bootstrap })
      for (let i = 0; i < 5; i++) {
        await producer.send({ topic: 'woken', value: `value ${i}` })
        await until(() => records.length === i + 1)
      }
      expect(records.map(({ value }) => value)).toEqual([0, 1, 2, 3, 4].map((i) => `value ${i}`))
    } finally {
      await reader.end()
    }
  }, 20_000)
})

describe('compressed batches', () => {
  const codecs: [string, number][] = [
    ['gzip', Compression.GZIP],
    ['snappy', Compression.SNAPPY],
    ['lz4', Compression.LZ4],
    // Where nobody can open zstd the broker refuses it.
    ...(hasZstd ? ([['zstd', Compression.ZSTD]] as const) : []),
  ].map(([name, number]) => [name as string, number as number])
  test.each(codecs)('%s: stored as they come, read by kcat', async (codec, code) => {
    const topic = `packed-${codec}`
    await createTopic(topic)
    const sent = lines(1_000, (i) => `the same text again and again ${i}`)
    await kcat(bootstrap, ['-P', '-t', topic, '-z', codec], sent)
    const records = await kcatRead(bootstrap, topic)
    expect(records.map(({ value }) => `${value}\n`).join('')).toBe(sent)
    const stored = storedBatches(join(broker.directory, `${topic}-0`))
    // A batch that would not get smaller, of one record say, librdkafka sends as it is.
    const kinds = stored.map(({ compression }) => compression)
    expect(kinds).toContain(code)
    expect(kinds.filter((kind) => kind !== code && kind !== 0)).toEqual([])
  })
})
