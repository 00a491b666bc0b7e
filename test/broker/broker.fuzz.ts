/** Mutated requests on real sockets: the broker answers or closes, and lives. Set FUZZ_SEED to see a run again. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { allApis, apiOf, type Input } from '../../src/protocol/index.ts'
import { batchOf, createTopic, type Fixture, fetch, produce, startFixture, stillServes } from './fixtures.ts'
import { RawClient } from './raw-client.ts'

const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
const REQUESTS = 3000

let fixture: Fixture
beforeAll(async () => {
  fixture = await startFixture()
  await createTopic(fixture.client, 'topic')
  await produce(fixture.client, 'topic', batchOf(['kept']))
})
afterAll(() => fixture.close())

/** mulberry32: small, seeded, good enough. */
function generator(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const topicRequest = { name: 'topic', partitionIndex: 0 }
const bodies: Record<number, Input<unknown>> = {
  0: {
    acks: 1,
    timeoutMs: 10,
    topicData: [{ name: 'topic', partitionData: [{ index: 0, records: batchOf(['a', 'b']) }] }],
  },
  1: {
    maxWaitMs: 5,
    minBytes: 1,
    topics: [{ topic: 'topic', partitions: [{ partition: 0, partitionMaxBytes: 1000 }] }],
  },
  2: { replicaId: -1, topics: [{ name: 'topic', partitions: [{ ...topicRequest, timestamp: -1 }] }] },
  3: { topics: [{ name: 'topic' }], allowAutoTopicCreation: false },
  10: { key: 'group', coordinatorKeys: ['group'] },
  18: { clientSoftwareName: 'fuzz', clientSoftwareVersion: '1' },
  19: { topics: [{ name: 'topic', numPartitions: 1, replicationFactor: 1 }], validateOnly: true },
  20: { topicNames: ['missing'], topics: [{ name: 'missing' }] },
  22: { transactionalId: null },
  23: { topics: [{ topic: 'topic', partitions: [{ partition: 0, currentLeaderEpoch: 0, leaderEpoch: 0 }] }] },
  32: { resources: [{ resourceType: 2, resourceName: 'topic', configurationKeys: null }] },
  37: { topics: [{ name: 'topic', count: 2, assignments: null }], timeoutMs: 10, validateOnly: true },
  43: { electionType: 0, topicPartitions: [{ topic: 'topic', partitions: [0] }] },
  60: { endpointType: 1 },
}

function mutated(request: Buffer, random: () => number): Buffer {
  let bytes: Buffer = Buffer.from(request.subarray(4))
  const below = (limit: number): number => Math.floor(random() * limit)
  for (let count = 1 + below(4); count > 0 && bytes.length > 4; count--) {
    const at = below(bytes.length)
    switch (below(6)) {
      case 0:
        bytes[at]! ^= 1 << below(8)
        break
      case 1:
        bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)]!
        break
      case 2:
        bytes = bytes.subarray(0, Math.max(4, at))
        break
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(bytes.length))])
        break
      case 4:
        bytes = Buffer.concat([bytes, Buffer.from([below(256), below(256)])])
        break
      default:
        if (at + 4 <= bytes.length) bytes.writeInt32BE([2147483647, -1, -2147483648, 65536][below(4)]!, at)
    }
  }
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

test(`mutations of every request in every version never end the broker (seed ${seed})`, async () => {
  const random = generator(seed)
  // CreateTopics only validates and metadata creates nothing, unless a mutation says so; either is fine.
  const pairs = allApis.flatMap((api) => {
    const versions = Array.from({ length: api.maxVersion - api.minVersion + 1 }, (_, i) => api.minVersion + i)
    return versions.map((version) => ({ api: apiOf(api.key)!, version }))
  })
  let client = await RawClient.connect(fixture.bootstrap)
  for (let i = 0; i < REQUESTS; i++) {
    const { api, version } = pairs[i % pairs.length]!
    if (client.isClosed) client = await RawClient.connect(fixture.bootstrap)
    client.send(mutated(client.encode(api, version, bodies[api.key]!), random))
    if (i % 250 === 0) await stillServes(fixture.client)
  }
  await client.close()
  await stillServes(fixture.client)
  expect((await fetch(fixture.client, 'topic')).errorCode).toBe(0)
  expect(fixture.logger.take().filter((line) => line.level === 'error')).toEqual([])
}, 30000)
