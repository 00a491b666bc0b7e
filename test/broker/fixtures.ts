/** What broker tests share: a broker with a line-catching logger, topics, batches good and bad. */
import type { Logger } from '../../src/base/index.ts'
import { crc32c } from '../../src/native/index.ts'
import {
  CreateTopics,
  type CreateTopicsRequest,
  Fetch,
  type FetchResponse,
  type Input,
  Metadata,
  Produce,
  type ProduceResponse,
} from '../../src/protocol/index.ts'
import { BATCH_HEADER_BYTES, BatchWriter, RecordBatch } from '../../src/record/index.ts'
import { type StartBrokerOptions, startBroker, type TestBroker } from '../../src/testing/index.ts'
import { RawClient } from './raw-client.ts'

export interface LogLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly fields: Record<string, unknown>
  readonly message: string
}

export class Lines implements Logger {
  lines: LogLine[] = []
  debug(): void {}
  info(fields: object, message: string): void {
    this.lines.push({ level: 'info', fields: { ...fields }, message })
  }
  warn(fields: object, message: string): void {
    this.lines.push({ level: 'warn', fields: { ...fields }, message })
  }
  error(fields: object, message: string): void {
    this.lines.push({ level: 'error', fields: { ...fields }, message })
  }
  /** Lines since the last call. */
  take(): LogLine[] {
    const taken = this.lines
    this.lines = []
    return taken
  }
}

export interface Fixture extends TestBroker {
  readonly logger: Lines
  readonly client: RawClient
}

export async function startFixture(options: StartBrokerOptions = {}): Promise<Fixture> {
  const logger = new Lines()
  const started = await startBroker({ logger, ...options })
  const client = await RawClient.connect(started.bootstrap)
  return {
    ...started,
    logger,
    client,
    async close() {
      await client.close()
      await started.close()
    },
  }
}

type TopicWish = Partial<Input<CreateTopicsRequest['topics'][number]>>

/** Creates a topic of one partition and returns its id. Throws when refused. */
export async function createTopic(client: RawClient, name: string, wish: TopicWish = {}): Promise<string> {
  const { topics } = await client.ask(CreateTopics, 7, {
    topics: [{ name, numPartitions: 1, replicationFactor: 1, ...wish }],
  })
  if (topics[0]!.errorCode !== 0) throw new Error(`${topics[0]!.errorCode} ${topics[0]!.errorMessage}`)
  return topics[0]!.topicId
}

export interface BatchOptions {
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly timestamp?: number
  readonly key?: string | null
}

/** A finished batch of these values. */
export function batchOf(values: readonly string[], options: BatchOptions = {}): Uint8Array {
  const { producerId = -1, producerEpoch = -1, baseSequence = -1, timestamp = Date.now(), key = null } = options
  const size = values.reduce(
    (sum, value) => sum + Buffer.byteLength(value) + (key?.length ?? 0) + 40,
    BATCH_HEADER_BYTES,
  )
  const writer = new BatchWriter(new Uint8Array(size))
  for (const value of values) writer.append(timestamp, key === null ? null : Buffer.from(key), Buffer.from(value))
  return Uint8Array.from(writer.finish({ producerId, producerEpoch, baseSequence }))
}

/** A copy with one header field changed; the CRC is made right again unless told otherwise. */
export function changed(batch: Uint8Array, change: (view: DataView) => void, fixCrc = true): Uint8Array {
  const copy = Uint8Array.from(batch)
  const view = new DataView(copy.buffer)
  change(view)
  if (fixCrc) view.setUint32(17, crc32c(copy, 21))
  return copy
}

export interface ProduceOptions {
  readonly version?: number
  readonly acks?: number
  readonly partition?: number
  readonly transactionalId?: string | null
  readonly topicId?: string
  readonly timeoutMs?: number
}

type PartitionAnswer = ProduceResponse['responses'][number]['partitionResponses'][number]

/** Produces one batch and returns the answer for its partition. */
export async function produce(
  client: RawClient,
  name: string,
  records: Uint8Array | null,
  options: ProduceOptions = {},
): Promise<PartitionAnswer> {
  const { version = 9, acks = -1, partition = 0, transactionalId = null, topicId, timeoutMs = 30_000 } = options
  const answer = await client.ask(Produce, version, {
    transactionalId,
    acks,
    timeoutMs,
    topicData: [
      { name, ...(topicId === undefined ? {} : { topicId }), partitionData: [{ index: partition, records }] },
    ],
  })
  return answer.responses[0]!.partitionResponses[0]!
}

export type FetchedPartition = FetchResponse['responses'][number]['partitions'][number]

export interface FetchOptions {
  readonly version?: number
  readonly offset?: number
  readonly partition?: number
  readonly maxWaitMs?: number
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly partitionMaxBytes?: number
  readonly currentLeaderEpoch?: number
  readonly topicId?: string
}

export async function fetch(client: RawClient, topic: string, options: FetchOptions = {}): Promise<FetchedPartition> {
  const { version = 12, offset = 0, partition = 0, maxWaitMs = 0, minBytes = 1, topicId } = options
  const answer = await client.ask(Fetch, version, {
    maxWaitMs,
    minBytes,
    maxBytes: options.maxBytes ?? 1 << 20,
    topics: [
      {
        topic,
        ...(topicId === undefined ? {} : { topicId }),
        partitions: [
          {
            partition,
            fetchOffset: offset,
            partitionMaxBytes: options.partitionMaxBytes ?? 1 << 20,
            currentLeaderEpoch: options.currentLeaderEpoch ?? -1,
          },
        ],
      },
    ],
  })
  return answer.responses[0]!.partitions[0]!
}

/** `offset:value` of every record. */
export function recordsIn(records: Uint8Array | null): string[] {
  const found: string[] = []
  for (let at = 0; records !== null && at + BATCH_HEADER_BYTES <= records.length; ) {
    const batch = new RecordBatch(records, at)
    if (at + batch.sizeInBytes > records.length) break
    for (const record of batch) found.push(`${record.offset}:${Buffer.from(record.value ?? []).toString()}`)
    at += batch.sizeInBytes
  }
  return found
}

/** End of the partition's log, by a fetch: nothing refused may have moved it. */
export async function endOffset(client: RawClient, topic: string, partition = 0): Promise<number> {
  return (await fetch(client, topic, { offset: 0, partition, partitionMaxBytes: 1 })).highWatermark
}

/** Fails unless the connection still serves. */
export async function stillServes(client: RawClient): Promise<void> {
  const { brokers } = await client.ask(Metadata, 9, { topics: [] })
  if (brokers.length !== 1) throw new Error('no broker in metadata')
}
