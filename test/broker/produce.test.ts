import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { CreateTopics, InitProducerId, Produce } from '../../src/protocol/index.ts'
import {
  batchOf,
  changed,
  createTopic,
  endOffset,
  type Fixture,
  fetch,
  produce,
  recordsIn,
  startFixture,
} from './fixtures.ts'
import { RawClient } from './raw-client.ts'

let fixture: Fixture
let client: RawClient
beforeAll(async () => {
  fixture = await startFixture()
  client = fixture.client
  await createTopic(client, 'plain', { numPartitions: 3 })
})
afterAll(() => fixture.close())
beforeEach(() => {
  fixture.logger.take()
})

describe('what is stored', () => {
  test('batches get consecutive offsets and come back as they were sent', async () => {
    await createTopic(client, 'order')
    expect(await produce(client, 'order', batchOf(['a', 'b', 'c']))).toMatchObject({
      errorCode: 0,
      baseOffset: 0,
      logAppendTimeMs: -1,
      logStartOffset: 0,
    })
    expect(await produce(client, 'order', batchOf(['d']))).toMatchObject({ baseOffset: 3 })
    expect(recordsIn((await fetch(client, 'order')).records)).toEqual(['0:a', '1:b', '2:c', '3:d'])
  })

  test.each([3, 5, 7, 8, 9, 10, 11, 12])('version %i is served, with each kind of acks', async (version) => {
    for (const acks of [1, -1]) {
      expect(await produce(client, 'plain', batchOf(['x']), { version, acks, partition: 1 })).toMatchObject({
        errorCode: 0,
      })
    }
  })

  test('version 13 finds its topic by id', async () => {
    const topicId = await createTopic(client, 'by-id')
    expect(await produce(client, '', batchOf(['x']), { version: 13, topicId })).toMatchObject({
      errorCode: 0,
      baseOffset: 0,
    })
    const unknown = await produce(client, '', batchOf(['x']), { version: 13, topicId: 'MTIzNDU2Nzg5MDEyMzQ1Ng' })
    expect(unknown.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
  })

  test('pipelined batches keep their order', async () => {
    await createTopic(client, 'pipelined')
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => produce(client, 'pipelined', batchOf([`v${i}`]))),
    )
    expect(answers.map((answer) => answer.baseOffset)).toEqual(Array.from({ length: 50 }, (_, i) => i))
    const { records } = await fetch(client, 'pipelined')
    expect(recordsIn(records)).toEqual(Array.from({ length: 50 }, (_, i) => `${i}:v${i}`))
  })

  test('one request may hold many partitions, each with its own outcome', async () => {
    const { responses } = await client.ask(Produce, 9, {
      acks: 1,
      timeoutMs: 1000,
      topicData: [
        {
          name: 'plain',
          partitionData: [
            { index: 0, records: batchOf(['x']) },
            { index: 7, records: batchOf(['x']) },
            { index: 2, records: changed(batchOf(['x']), (view) => view.setUint8(60, 9), false) },
          ],
        },
        { name: 'missing', partitionData: [{ index: 0, records: batchOf(['x']) }] },
      ],
    })
    expect(responses.map((topic) => topic.partitionResponses.map((answer) => answer.errorCode))).toEqual([
      [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.CORRUPT_MESSAGE],
      [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ])
    expect(fixture.logger.take()).toHaveLength(1)
  })

  test('bytes behind the batch that are no other batch are not stored', async () => {
    await createTopic(client, 'tail')
    const batch = batchOf(['x'])
    const longer = new Uint8Array(batch.length + 10)
    longer.set(batch)
    expect(await produce(client, 'tail', longer)).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect((await fetch(client, 'tail')).records).toHaveLength(batch.length)
  })

  test('a topic of LogAppendTime answers with the time', async () => {
    await createTopic(client, 'append-time', { configs: [{ name: 'message.timestamp.type', value: 'LogAppendTime' }] })
    const before = Date.now()
    const answer = await produce(client, 'append-time', batchOf(['x'], { timestamp: 12345 }))
    expect(answer.errorCode).toBe(0)
    expect(answer.logAppendTimeMs).toBeGreaterThanOrEqual(before)
  })
})

describe('acks=0', () => {
  test('has no answer, and what is behind it is answered', async () => {
    await createTopic(client, 'quiet')
    const request = client.encode(Produce, 9, {
      acks: 0,
      topicData: [{ name: 'quiet', partitionData: [{ index: 0, records: batchOf(['x']) }] }],
    })
    client.send(request)
    expect(await produce(client, 'quiet', batchOf(['y']))).toMatchObject({ baseOffset: 1 })
  })

  test('an error closes the connection, with one line', async () => {
    const other = await RawClient.connect(fixture.bootstrap)
    other.send(
      other.encode(Produce, 9, {
        acks: 0,
        topicData: [{ name: 'missing', partitionData: [{ index: 0, records: batchOf(['x']) }] }],
      }),
    )
    await other.closed
    expect(fixture.logger.take()).toMatchObject([{ level: 'warn', message: 'closed a connection' }])
  })
})

test('acks=all is taken where min.insync.replicas is above the number of replicas: all of them are enough', async () => {
  await createTopic(client, 'two-in-sync', { configs: [{ name: 'min.insync.replicas', value: '2' }] })
  for (const acks of [-1, 1]) {
    expect((await produce(client, 'two-in-sync', batchOf(['x']), { acks })).errorCode).toBe(0)
  }
})

describe('what is refused', () => {
  const good = batchOf(['value one', 'value two'])
  const cases: [string, Uint8Array | null, number, number?][] = [
    ['no records', null, ErrorCode.INVALID_RECORD],
    ['no bytes', new Uint8Array(0), ErrorCode.INVALID_RECORD],
    ['a batch that is not all there', good.subarray(0, good.length - 1), ErrorCode.INVALID_RECORD],
    ['two batches', Buffer.concat([good, good]), ErrorCode.INVALID_RECORD],
    ['a length below any format', changed(good, (view) => view.setInt32(8, 13)), ErrorCode.CORRUPT_MESSAGE],
    ['a negative length', changed(good, (view) => view.setInt32(8, -1)), ErrorCode.CORRUPT_MESSAGE],
    ['a length below the header', changed(good, (view) => view.setInt32(8, 40)), ErrorCode.CORRUPT_MESSAGE],
    ['message format 0', changed(good, (view) => view.setInt8(16, 0)), ErrorCode.INVALID_RECORD],
    ['message format 1', changed(good, (view) => view.setInt8(16, 1)), ErrorCode.INVALID_RECORD],
    ['message format 3', changed(good, (view) => view.setInt8(16, 3)), ErrorCode.CORRUPT_MESSAGE],
    ['a wrong CRC', changed(good, (view) => view.setUint32(17, 1), false), ErrorCode.CORRUPT_MESSAGE],
    ['a flipped bit in a value', changed(good, (view) => view.setUint8(70, 1), false), ErrorCode.CORRUPT_MESSAGE],
    ['a base offset', changed(good, (view) => view.setBigInt64(0, 5n)), ErrorCode.INVALID_RECORD],
    ['a wrong record count', changed(good, (view) => view.setInt32(57, 3)), ErrorCode.INVALID_RECORD],
    ['no record', changed(good, (view) => view.setInt32(57, 0)), ErrorCode.INVALID_RECORD],
    ['a wrong last offset delta', changed(good, (view) => view.setInt32(23, 7)), ErrorCode.INVALID_RECORD],
    ['records that do not fill the batch', changed(good, (view) => view.setUint8(61, 6)), ErrorCode.INVALID_RECORD],
    ['a control batch', changed(good, (view) => view.setInt16(21, 32)), ErrorCode.INVALID_RECORD],
    [
      'a producer id without a sequence',
      batchOf(['x'], { producerId: 5, producerEpoch: 0, baseSequence: -1 }),
      ErrorCode.INVALID_RECORD,
    ],
    ['an unknown codec', changed(good, (view) => view.setInt16(21, 5)), ErrorCode.UNSUPPORTED_COMPRESSION_TYPE],
    ['zstd before version 7', changed(good, (view) => view.setInt16(21, 4)), ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, 6],
    ['records of the future', batchOf(['x'], { timestamp: Date.now() + 7200000 }), ErrorCode.INVALID_TIMESTAMP],
    ['a batch above max.message.bytes', batchOf(['x'.repeat(1048600)]), ErrorCode.MESSAGE_TOO_LARGE],
    [
      'a transactional batch without an id',
      changed(good, (view) => view.setInt16(21, 16)),
      ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    ],
  ]
  test.each(cases)('%s', async (_what, records, errorCode, version) => {
    const end = await endOffset(client, 'plain')
    fixture.logger.take()
    const answer = await produce(client, 'plain', records, { version: version ?? 9 })
    expect(answer).toMatchObject({ errorCode, baseOffset: -1 })
    expect(fixture.logger.take()).toMatchObject([{ level: 'warn', fields: { topic: 'plain', errorCode } }])
    expect(await endOffset(client, 'plain')).toBe(end)
  })

  test.each([2, -2, 127])('acks %i', async (acks) => {
    const answer = await produce(client, 'plain', batchOf(['x']), { acks })
    expect(answer.errorCode).toBe(ErrorCode.INVALID_REQUIRED_ACKS)
  })

  test('partitions that are not there', async () => {
    for (const partition of [3, -1, 2147483647]) {
      const answer = await produce(client, 'plain', batchOf(['x']), { partition })
      expect(answer.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    }
  })

  test('a batch in a transaction, for want of a coordinator', async () => {
    const batch = changed(batchOf(['x'], { producerId: 5, producerEpoch: 0, baseSequence: 0 }), (view) =>
      view.setInt16(21, 16),
    )
    const answer = await produce(client, 'plain', batch, { transactionalId: 'tx' })
    expect(answer.errorCode).toBe(ErrorCode.NOT_ENOUGH_REPLICAS)
  })

  test('a batch larger than a segment', async () => {
    const configs = [
      { name: 'max.message.bytes', value: '5000000' },
      { name: 'segment.bytes', value: '1048576' },
    ]
    await createTopic(client, 'small-segments', { configs })
    const answer = await produce(client, 'small-segments', batchOf(['x'.repeat(2000000)]))
    expect(answer.errorCode).toBe(ErrorCode.RECORD_LIST_TOO_LARGE)
  })

  test('old records where the topic says so', async () => {
    await createTopic(client, 'fresh', { configs: [{ name: 'message.timestamp.before.max.ms', value: '60000' }] })
    const old = batchOf(['x'], { timestamp: Date.now() - 120000 })
    expect((await produce(client, 'fresh', old)).errorCode).toBe(ErrorCode.INVALID_TIMESTAMP)
    expect((await produce(client, 'fresh', batchOf(['x']))).errorCode).toBe(0)
  })

  test('a record without a key in a compacted topic, and says which', async () => {
    await createTopic(client, 'table', { configs: [{ name: 'cleanup.policy', value: 'compact' }] })
    const answer = await produce(client, 'table', batchOf(['x']))
    expect(answer).toMatchObject({ errorCode: ErrorCode.INVALID_RECORD, recordErrors: [{ batchIndex: 0 }] })
    expect((await produce(client, 'table', batchOf(['x'], { key: 'k' }))).errorCode).toBe(0)
  })
})

describe('idempotence', () => {
  async function newProducer(): Promise<number> {
    const { errorCode, producerId, producerEpoch } = await client.ask(InitProducerId, 4, { transactionalId: null })
    expect([errorCode, producerEpoch]).toEqual([0, 0])
    return producerId
  }

  test('producer ids are handed out once', async () => {
    const ids = await Promise.all(Array.from({ length: 1500 }, newProducer))
    expect(new Set(ids).size).toBe(1500)
  })

  test('a batch sent twice is stored once and answered with its offset', async () => {
    await createTopic(client, 'idempotent')
    const producerId = await newProducer()
    const first = batchOf(['a', 'b'], { producerId, producerEpoch: 0, baseSequence: 0 })
    const second = batchOf(['c'], { producerId, producerEpoch: 0, baseSequence: 2 })
    expect(await produce(client, 'idempotent', first)).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect(await produce(client, 'idempotent', second)).toMatchObject({ errorCode: 0, baseOffset: 2 })
    expect(await produce(client, 'idempotent', first)).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect(await produce(client, 'idempotent', second)).toMatchObject({ errorCode: 0, baseOffset: 2 })
    expect(await endOffset(client, 'idempotent')).toBe(3)
  })

  test('a gap and an old epoch are refused', async () => {
    await createTopic(client, 'gaps')
    const producerId = await newProducer()
    const batch = (producerEpoch: number, baseSequence: number) =>
      batchOf(['x'], { producerId, producerEpoch, baseSequence })
    expect((await produce(client, 'gaps', batch(1, 0))).errorCode).toBe(0)
    expect((await produce(client, 'gaps', batch(1, 5))).errorCode).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    expect((await produce(client, 'gaps', batch(0, 0))).errorCode).toBe(ErrorCode.INVALID_PRODUCER_EPOCH)
    expect((await produce(client, 'gaps', batch(1, 1))).errorCode).toBe(0)
    expect(await endOffset(client, 'gaps')).toBe(2)
  })

  test('an id without its epoch, and an empty transactional id, are refused', async () => {
    const ask = (body: object) => client.ask(InitProducerId, 4, { transactionalId: null, ...body })
    expect((await ask({ producerId: 5, producerEpoch: -1 })).errorCode).toBe(ErrorCode.INVALID_REQUEST)
    expect((await ask({ transactionalId: '' })).errorCode).toBe(ErrorCode.INVALID_REQUEST)
    expect(await ask({ transactionalId: 'tx' })).toMatchObject({
      errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE,
      producerId: -1,
      producerEpoch: -1,
    })
  })
})

test('a topic that is deleted while batches arrive refuses, and never crashes', async () => {
  const { DeleteTopics } = await import('../../src/protocol/index.ts')
  await createTopic(client, 'brief')
  const other = await RawClient.connect(fixture.bootstrap)
  const sent = Array.from({ length: 40 }, (_, i) => produce(other, 'brief', batchOf([`v${i}`])))
  const { responses } = await client.ask(DeleteTopics, 4, { topicNames: ['brief'], timeoutMs: 1000 })
  expect(responses[0]!.errorCode).toBe(0)
  const codes = new Set((await Promise.all(sent)).map((answer) => answer.errorCode))
  for (const code of codes) expect([0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]).toContain(code)
  expect(
    (await client.ask(CreateTopics, 5, { topics: [{ name: 'brief', numPartitions: 1, replicationFactor: 1 }] }))
      .topics[0]!.errorCode,
  ).toBe(0)
  expect(await endOffset(client, 'brief')).toBe(0)
  await other.close()
})
