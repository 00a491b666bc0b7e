/**
 * A broker that does nothing but what it is told: it answers produce requests after a stated delay, stops for a while,
 * fails as a full disk does, falls silent, or stores something else than it was sent. What a benchmark says of it can
 * be held against what it did. It has every topic that is asked for; what it stores is bounded and in memory.
 */
import { ErrorCode } from '../../src/base/index.ts'
import type { Env, Listener } from '../../src/env/index.ts'
import { crc32c } from '../../src/native/index.ts'
import { AnsweringConnection, type Frame, type RequestAnswer, SlabPool } from '../../src/net/index.ts'
import * as protocol from '../../src/protocol/index.ts'
import {
  BATCH_HEADER_BYTES,
  batchSize,
  lastOffsetDelta,
  setBaseOffset,
  setCrc,
  setLeaderEpoch,
} from '../../src/record/index.ts'
import type { Pace } from '../load/pace.ts'
import { LatencyRecorder } from '../measure/latency.ts'

export type Tampering = 'duplicate' | 'drop' | 'swap' | 'damage'

export interface StubOptions {
  readonly env: Pick<Env, 'network' | 'clock'>
  readonly pace: Pace
  readonly host: string
  readonly port?: number
  readonly partitions: number
  /** From the arrival of a produce request to its answer. */
  readonly delayMs: number
  /** After so many batches everything is refused as by a log directory that is full and has been taken offline. */
  readonly fullAfterBatches?: number
  /** After so many batches produce requests are never answered. */
  readonly silentAfterBatches?: number
  /** What is done to one batch, that with this number. */
  readonly tamper?: { readonly batch: number; readonly how: Tampering }
}

interface Stored {
  readonly bytes: Uint8Array
  readonly lastOffset: number
}

const FRAME_BYTES_MAX = 64 << 20
/** Beyond this batches are counted and forgotten. */
const STORED_BYTES_MAX = 64 << 20
const REQUESTS_IN_FLIGHT_MAX = 4096
/** Bytes from the end of a batch to the last byte of its last value: the record's count of headers. */
const VALUE_END = 2
const CRC_FROM = 21

class StubPartition {
  readonly batches: Stored[] = []
  endOffset = 0

  append(sent: Uint8Array, keep: boolean): number {
    const bytes = sent.slice()
    const base = this.endOffset
    setBaseOffset(bytes, 0, base)
    setLeaderEpoch(bytes, 0, 0)
    this.endOffset += lastOffsetDelta(bytes, 0) + 1
    if (keep) this.batches.push({ bytes, lastOffset: this.endOffset - 1 })
    return base
  }
}

export class StubBroker {
  /** Batches that came. */
  batches = 0
  /** By its own clock, from the arrival of a produce request to its answer. */
  held = new LatencyRecorder()
  readonly #options: StubOptions
  readonly #pool = new SlabPool()
  readonly #topics = new Map<string, StubPartition[]>()
  readonly #connections = new Set<AnsweringConnection>()
  #listener: Listener | undefined
  #storedBytes = 0
  #stoppedUntilMs = 0
  #held: { readonly partition: StubPartition; readonly bytes: Uint8Array } | undefined

  static async start(options: StubOptions): Promise<StubBroker> {
    const broker = new StubBroker(options)
    const { env, host, port = 0 } = options
    broker.#listener = await env.network.listen({ host, port }, (stream) => {
      const connection = new AnsweringConnection(stream, {
        pool: broker.#pool,
        maxFrameBytes: FRAME_BYTES_MAX,
        maxRequestsInFlight: REQUESTS_IN_FLIGHT_MAX,
        onRequest: (frame) => broker.#request(frame),
        onClose: () => void broker.#connections.delete(connection),
      })
      broker.#connections.add(connection)
    })
    return broker
  }

  private constructor(options: StubOptions) {
    this.#options = options
  }

  get host(): string {
    return this.#options.host
  }

  get port(): number {
    return this.#listener!.port
  }

  get bootstrap(): string {
    return `${this.host}:${this.port}`
  }

  /** For so long from now nothing is answered; what came due meanwhile is answered at its end. */
  stop(milliseconds: number): void {
    this.#stoppedUntilMs = this.#options.pace.nowMs() + milliseconds
  }

  async close(): Promise<void> {
    await this.#listener?.close()
    await Promise.all([...this.#connections].map((connection) => connection.close()))
  }

  async #request(frame: Frame): Promise<RequestAnswer> {
    const arrivedMs = this.#options.pace.nowMs()
    const { apiKey, apiVersion, correlationId } = protocol.decodeRequestHeader(frame.bytes)
    const api = protocol.apiOf(apiKey)
    if (api === undefined) {
      frame.release()
      throw new Error(`the stub does not know API ${apiKey}`)
    }
    const body = protocol.decodeRequest(api, apiVersion, frame.bytes.slice())
    frame.release()
    const answer = await this.#serve(api, body, arrivedMs)
    if (answer === null) return null
    return protocol.encodeResponse(api, apiVersion, correlationId, answer) as RequestAnswer
  }

  async #serve(api: protocol.Api, body: unknown, arrivedMs: number): Promise<object | null> {
    switch (api.key) {
      case protocol.ApiVersions.key:
        return {
          apiKeys: protocol.allApis.map((one) => ({
            apiKey: one.key,
            minVersion: one.advertisedMin,
            maxVersion: one.maxVersion,
          })),
        }
      case protocol.Metadata.key:
        return this.#metadata(body as protocol.MetadataRequest)
      case protocol.InitProducerId.key:
        return { producerId: 1, producerEpoch: 0 }
      case protocol.CreateTopics.key:
        return { topics: (body as protocol.CreateTopicsRequest).topics.map(({ name }) => ({ name })) }
      case protocol.DeleteTopics.key: {
        const { topics, topicNames } = body as protocol.DeleteTopicsRequest
        const names = [...(topicNames ?? []), ...(topics ?? []).map(({ name }) => name ?? '')]
        return { responses: names.map((name) => ({ name })) }
      }
      case protocol.Produce.key:
        return await this.#produce(body as protocol.ProduceRequest, arrivedMs)
      case protocol.Fetch.key:
        return await this.#fetch(body as protocol.FetchRequest)
      case protocol.ListOffsets.key:
        return this.#listOffsets(body as protocol.ListOffsetsRequest)
      default:
        throw new Error(`the stub does not serve ${api.name}`)
    }
  }

  #partitionsOf(topic: string): StubPartition[] {
    let partitions = this.#topics.get(topic)
    if (partitions === undefined) {
      partitions = Array.from({ length: this.#options.partitions }, () => new StubPartition())
      this.#topics.set(topic, partitions)
    }
    return partitions
  }

  #metadata({ topics }: protocol.MetadataRequest): object {
    const names = topics === null ? [...this.#topics.keys()] : topics.map(({ name }) => name ?? '')
    return {
      brokers: [{ nodeId: 1, host: this.host, port: this.port, rack: null }],
      clusterId: 'stub',
      controllerId: 1,
      topics: names.map((name) => ({
        name,
        partitions: this.#partitionsOf(name).map((_, partitionIndex) => ({
          ...{ partitionIndex, leaderId: 1, leaderEpoch: 0 },
          ...{ replicaNodes: [1], isrNodes: [1] },
        })),
      })),
    }
  }

  async #produce(request: protocol.ProduceRequest, arrivedMs: number): Promise<object | null> {
    const { delayMs, silentAfterBatches, pace } = this.#options
    const responses = request.topicData.map(({ name, partitionData }) => ({
      name,
      partitionResponses: partitionData.map(({ index, records }) => this.#store(name ?? '', index, records)),
    }))
    if (silentAfterBatches !== undefined && this.batches > silentAfterBatches) return await new Promise(() => {})
    let dueMs = arrivedMs + delayMs
    if (dueMs > pace.nowMs()) await pace.until(dueMs)
    // A stop may begin, or become longer, while one waits.
    while (pace.nowMs() < this.#stoppedUntilMs) {
      dueMs = this.#stoppedUntilMs
      await pace.until(dueMs)
    }
    this.held.record(pace.nowMs() - arrivedMs)
    return request.acks === 0 ? null : { responses }
  }

  #store(topic: string, index: number, records: Uint8Array | null): object {
    const { fullAfterBatches, tamper } = this.#options
    const partition = this.#partitionsOf(topic)[index]
    if (partition === undefined) return { index, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, baseOffset: -1 }
    if (records === null || batchSize(records, 0) !== records.length) throw new Error('not one whole batch')
    const number = this.batches++
    if (fullAfterBatches !== undefined && number >= fullAfterBatches) {
      return { index, errorCode: ErrorCode.KAFKA_STORAGE_ERROR, baseOffset: -1 }
    }
    this.#storedBytes += records.length
    const keep = this.#storedBytes <= STORED_BYTES_MAX
    const how = tamper?.batch === number ? tamper.how : undefined
    const held = this.#held
    if (how === 'drop') return { index, baseOffset: partition.endOffset }
    if (how === 'swap') {
      this.#held = { partition, bytes: records.slice() }
      return { index, baseOffset: partition.endOffset }
    }
    const baseOffset = partition.append(how === 'damage' ? damaged(records) : records, keep)
    if (how === 'duplicate') partition.append(records, keep)
    if (held !== undefined && held.partition === partition) {
      partition.append(held.bytes, keep)
      this.#held = undefined
    }
    return { index, baseOffset }
  }

  /** What is there; when nothing is, after as long as the consumer allows. */
  async #fetch(request: protocol.FetchRequest): Promise<object> {
    const { pace } = this.#options
    const untilMs = pace.nowMs() + request.maxWaitMs
    for (;;) {
      const responses = request.topics.map(({ topic = '', partitions }) => ({
        topic,
        partitions: partitions.map(({ partition, fetchOffset, partitionMaxBytes }) => {
          const found = this.#partitionsOf(topic)[partition]
          const end = found?.endOffset ?? 0
          const records = found === undefined ? null : readFrom(found, fetchOffset, partitionMaxBytes)
          return { partitionIndex: partition, highWatermark: end, lastStableOffset: end, logStartOffset: 0, records }
        }),
      }))
      const isEmpty = responses.every(({ partitions }) =>
        partitions.every(({ records }) => (records?.length ?? 0) === 0),
      )
      if (!isEmpty || pace.nowMs() >= untilMs) return { responses }
      await new Promise<void>((resolve) => this.#options.env.clock.after(5, resolve))
    }
  }

  #listOffsets({ topics }: protocol.ListOffsetsRequest): object {
    return {
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, timestamp }) => ({
          partitionIndex,
          offset: timestamp === -1 ? (this.#partitionsOf(name)[partitionIndex]?.endOffset ?? 0) : 0,
        })),
      })),
    }
  }
}

function readFrom(partition: StubPartition, offset: number, maxBytes: number): Uint8Array {
  const chosen: Uint8Array[] = []
  let bytes = 0
  let low = 0
  for (let high = partition.batches.length; low < high; ) {
    const middle = (low + high) >> 1
    if (partition.batches[middle]!.lastOffset < offset) low = middle + 1
    else high = middle
  }
  for (; low < partition.batches.length; low++) {
    const batch = partition.batches[low]!.bytes
    if (chosen.length > 0 && bytes + batch.length > maxBytes) break
    chosen.push(batch)
    bytes += batch.length
  }
  return Buffer.concat(chosen)
}

/** The last byte of the last value is another, and the batch's checksum agrees with it: only its reader can tell. */
function damaged(sent: Uint8Array): Uint8Array {
  const bytes = sent.slice()
  const at = bytes.length - VALUE_END
  if (at > BATCH_HEADER_BYTES) bytes[at]! ^= 0xff
  setCrc(bytes, 0, crc32c(bytes, CRC_FROM, bytes.length))
  return bytes
}
