/** What a broker must find again: after a clean end, after SIGKILL, on a full disk. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { CreateTopics, DeleteTopics, InitProducerId, Metadata } from '../../src/protocol/index.ts'
import { startProcess } from './broker-process.ts'
import {
  batchOf,
  createTopic,
  endOffset,
  fetch,
  Lines,
  produce,
  recordsIn,
  startFixture,
  stillServes,
} from './fixtures.ts'
import { RawClient } from './raw-client.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-restart-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

describe('a restart', () => {
  test('keeps topics, ids, settings, records and the cluster id', async () => {
    const first = await startFixture({ directory })
    const id = await createTopic(first.client, 'kept', {
      numPartitions: 3,
      configs: [{ name: 'max.message.bytes', value: '2000' }],
    })
    await produce(first.client, 'kept', batchOf(['a', 'b']), { partition: 1 })
    const { clusterId } = first.broker
    await first.close()
    expect(await readdir(directory)).toContain('.kafka_cleanshutdown')

    const second = await startFixture({ directory })
    const { topics, clusterId: same } = await second.client.ask(Metadata, 12, { topics: null })
    expect(same).toBe(clusterId)
    expect(topics).toMatchObject([{ name: 'kept', topicId: id }])
    expect(topics[0]!.partitions).toHaveLength(3)
    expect(recordsIn((await fetch(second.client, 'kept', { partition: 1 })).records)).toEqual(['0:a', '1:b'])
    const tooLarge = await produce(second.client, 'kept', batchOf(['x'.repeat(3000)]))
    expect(tooLarge.errorCode).toBe(ErrorCode.MESSAGE_TOO_LARGE)
    await second.close()
  })

  test('answers a duplicate of before with its offset, and hands out no producer id again', async () => {
    const first = await startFixture({ directory })
    await createTopic(first.client, 'kept')
    const { producerId } = await first.client.ask(InitProducerId, 4, { transactionalId: null })
    const batches = [0, 1, 2].map((i) => batchOf([`v${i}`], { producerId, producerEpoch: 0, baseSequence: i }))
    for (const batch of batches) await produce(first.client, 'kept', batch)
    await first.close()
    const second = await startFixture({ directory })
    // Of each producer's batches the last is remembered, as in Kafka's snapshots.
    const last = batches.length - 1
    expect(await produce(second.client, 'kept', batches[last]!)).toMatchObject({ errorCode: 0, baseOffset: last })
    expect(await endOffset(second.client, 'kept')).toBe(3)
    const again = await second.client.ask(InitProducerId, 4, { transactionalId: null })
    expect(again.producerId).toBeGreaterThan(producerId)
    await second.close()
  })

  test('finishes a deletion that was decided, and leaves folders it does not know alone', async () => {
    const first = await startFixture({ directory })
    await createTopic(first.client, 'gone')
    await createTopic(first.client, 'kept')
    await first.close()
    // As if the process had died right after deciding: the decision is in the metadata, the folder still there.
    const { EmbeddedMetadata, deleteTopic, topicKey } = await import('../../src/metadata/index.ts')
    const { nodeEnv } = await import('../../src/env/index.ts')
    const store = await EmbeddedMetadata.open({
      ...nodeEnv(),
      path: join(directory, 'pagelog-metadata.journal'),
    })
    const { pair } = await store.get(topicKey('gone'))
    await deleteTopic(store, 'gone', (JSON.parse(pair!.value) as { id: string }).id)
    await store.close()
    const second = await startFixture({ directory })
    expect((await readdir(directory)).filter((name) => name.startsWith('gone-'))).toEqual([])
    await createTopic(second.client, 'gone')
    expect(await endOffset(second.client, 'gone')).toBe(0)
    await second.close()
  })

  test('a topic whose folder is missing gets a new one', async () => {
    const first = await startFixture({ directory })
    await createTopic(first.client, 'kept')
    await first.close()
    await rm(join(directory, 'kept-0'), { recursive: true })
    const second = await startFixture({ directory })
    expect(await produce(second.client, 'kept', batchOf(['x']))).toMatchObject({ errorCode: 0, baseOffset: 0 })
    await second.close()
  })

  test('two brokers cannot have the same folder', async () => {
    const first = await startFixture({ directory })
    await expect(startFixture({ directory })).rejects.toMatchObject({ code: 'PAGELOG_LOCKED' })
    await stillServes(first.client)
    await first.close()
    await (await startFixture({ directory })).close()
  })
})

describe('the process', () => {
  test('SIGTERM ends it with status 0 and a clean mark', async () => {
    const broker = await startProcess(directory)
    const client = await RawClient.connect(broker.bootstrap)
    await createTopic(client, 'topic')
    await produce(client, 'topic', batchOf(['a']))
    expect(await broker.end('SIGTERM')).toBe(0)
    expect(await readdir(directory)).toContain('.kafka_cleanshutdown')
    await client.closed
  })

  test('SIGKILL amid produces loses nothing that was acknowledged', async () => {
    const broker = await startProcess(directory)
    const client = await RawClient.connect(broker.bootstrap)
    await createTopic(client, 'topic', { numPartitions: 2 })
    const acknowledged: string[][] = [[], []]
    let sent = 0
    const load = Promise.all(
      [0, 1].map(async (partition) => {
        for (;;) {
          const value = `value ${sent++} ${'x'.repeat(500)}`
          const { baseOffset } = await produce(client, 'topic', batchOf([value]), { partition })
          acknowledged[partition]!.push(`${baseOffset}:${value}`)
        }
      }),
    ).catch(() => {})
    await expect.poll(() => acknowledged[0]!.length, { timeout: 20_000 }).toBeGreaterThan(200)
    await broker.end('SIGKILL')
    await load
    const again = await startFixture({ directory })
    for (const partition of [0, 1]) {
      const found: string[] = []
      const end = await endOffset(again.client, 'topic', partition)
      while (found.length < end) {
        found.push(...recordsIn((await fetch(again.client, 'topic', { partition, offset: found.length })).records))
      }
      expect(found.slice(0, acknowledged[partition]!.length)).toEqual(acknowledged[partition])
    }
    await again.close()
  })
})

describe.runIf(process.getuid?.() === 0)('a full disk', () => {
  let mounted: string
  beforeEach(async () => {
    mounted = join(directory, 'small')
    execFileSync('mkdir', [mounted])
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', mounted])
  })
  afterEach(() => {
    execFileSync('umount', ['--lazy', mounted])
  })

  test('refuses with KAFKA_STORAGE_ERROR, goes on serving, and takes records again when there is room', async () => {
    const logger = new Lines()
    const broker = await startFixture({ directory: mounted, logger })
    const { client } = broker
    await createTopic(client, 'topic')
    await createTopic(client, 'other')
    const value = 'x'.repeat(500000)
    let stored = 0
    let answer = await produce(client, 'topic', batchOf([value]))
    for (; answer.errorCode === 0 && stored < 20; stored++) answer = await produce(client, 'topic', batchOf([value]))
    expect(answer.errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    expect(logger.take().filter((line) => line.message === 'refused a produce')).toHaveLength(1)
    expect(await endOffset(client, 'topic')).toBe(stored)
    expect(recordsIn((await fetch(client, 'topic', { offset: stored - 1 })).records)).toHaveLength(1)

    // More of the same: refused each time, nothing stored, nothing broken.
    for (let i = 0; i < 5; i++) {
      expect((await produce(client, 'topic', batchOf([value]))).errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    }
    expect(await endOffset(client, 'topic')).toBe(stored)
    await writeFile(join(mounted, 'filler'), new Uint8Array(4 << 20)).catch(() => {})
    const { topics } = await client.ask(CreateTopics, 5, {
      topics: [{ name: 'new', numPartitions: 1, replicationFactor: 1 }],
    })
    expect(topics[0]!.errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    await rm(join(mounted, 'filler'))

    await client.ask(DeleteTopics, 4, { topicNames: ['other'], timeoutMs: 1000 })
    expect(await produce(client, 'topic', batchOf(['small']))).toMatchObject({ errorCode: 0, baseOffset: stored })
    await broker.close()
    const again = await startFixture({ directory: mounted })
    expect(await endOffset(again.client, 'topic')).toBe(stored + 1)
    await again.close()
  })
})
