/**
 * The golden batches (test/record/compression/golden-batches.json) are what these clients write today, but for the
 * bytes of compressors that the machine brings (Python's zlib). To make them anew, after another version of a client has
 * been pinned, with a Node that has zstd:
 *
 *   PAGELOG_WRITE_GOLDEN=1 npx vitest run --config vitest.peers.config.ts test/peers/golden-batches.compat.ts
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Admin } from '../../src/client/index.ts'
import { codecName, decompressBatch, loadCodec, RecordBatch } from '../../src/record/index.ts'
import { startBroker, type TestBroker } from '../../src/testing/index.ts'
import {
  GOLDEN_RECORDS,
  type GoldenBatch,
  goldenBatches,
  goldenPath,
  goldenRecordsOf,
} from '../record/compression/golden-batches.ts'
import { goClient, javaClient, type PeerClient, pythonClient } from './clients/peer-client.ts'
import { testedCodecs } from './codecs.ts'
import { storedBatches } from './stored-batches.ts'

const codecs = testedCodecs('gzip', 'snappy', 'lz4', 'zstd')
const starts: Readonly<Record<string, () => Promise<PeerClient>>> = {
  java: javaClient,
  librdkafka: () => pythonClient('librdkafka'),
  'franz-go': goClient,
  'kafka-python': () => pythonClient('kafka-python'),
}
const isMaking = process.env.PAGELOG_WRITE_GOLDEN !== undefined

let broker: TestBroker
const fresh: GoldenBatch[] = []

beforeAll(async () => {
  broker = await startBroker()
})

afterAll(async () => {
  await broker?.close()
  if (isMaking) writeFileSync(goldenPath, `${JSON.stringify(fresh, null, 2)}\n`)
})

test.each(Object.keys(starts))('of %s', async (client) => {
  const { bootstrap, directory } = broker
  await using admin = new Admin({ bootstrap })
  const peer = await starts[client]!()
  try {
    for (const codec of codecs) {
      const topic = `${client}-${codec}`
      await admin.createTopics([{ topic, partitions: 1 }])
      await peer.write({ bootstrap, topic, codec, records: GOLDEN_RECORDS })
      const [batch, ...others] = storedBatches(join(directory, `${topic}-0`))
      expect(others).toEqual([])
      expect(codecName(batch!.compression)).toBe(codec)
      const bytes = batch!.bytes.subarray(batch!.position, batch!.position + batch!.sizeInBytes)
      const plain = decompressBatch(bytes, await loadCodec(batch!.compression), 1 << 20)
      expect(goldenRecordsOf(new RecordBatch(plain, 0))).toEqual(GOLDEN_RECORDS)
      fresh.push({ client, codec, base64: Buffer.from(bytes).toString('base64') })
    }
  } finally {
    peer.close()
  }
  if (isMaking) return
  const golden = goldenBatches().filter((batch) => batch.client === client)
  expect(golden.map(({ codec }) => codec)).toEqual(['gzip', 'snappy', 'lz4', 'zstd'])
})
