/**
 * A broker for the client's tests, of one or more nodes over real sockets: it keeps logs in memory, minds leaders,
 * sequences and offsets as a real one does, and misbehaves as it is told: error codes, lost answers, lost connections.
 */
import { ErrorCode } from '../../src/base/index.ts'
import { type Env, type Listener, nodeEnv } from '../../src/env/index.ts'
import { AnsweringConnection, type Frame, type RequestAnswer, SlabPool } from '../../src/net/index.ts'
import * as protocol from '../../src/protocol/index.ts'
import {
  baseSequence,
  batchSize,
  lastOffsetDelta,
  leaderEpoch,
  producerEpoch,
  producerId,
  RecordBatch,
  recordCount,
  setBaseOffset,
  setLeaderEpoch,
} from '../../src/record/index.ts'

/** What is done to the next request of an API instead of, or beside, serving it. */
export type Fault =
  /** This code for every partition; nothing is stored. */
  | { readonly error: number }
  /** The connection is closed before anything is done. */
  | { readonly kind: 'disconnect' }
  /** Served, but the connection is closed instead of answering. */
  | { readonly kind: 'lose answer' }
  /** Served, never answered. */
  | { readonly kind: 'no answer' }
  /** Served once the promise is settled. */
  | { readonly kind: 'hold'; readonly until: Promise<unknown> }
  /** Served as if nothing were the matter. */
  | { readonly kind: 'none' }

interface StoredBatch {
  readonly bytes: Uint8Array
  readonly baseOffset: number
  readonly lastOffset: number
}

interface ProducerEntry {
  epoch: number
  nextSequence: number
  readonly recent: { readonly sequence: number; readonly count: number; readonly offset: number }[]
}

class FakePartition {
  batches: StoredBatch[] = []
  startOffset = 0
  endOffset = 0
  leaderId: number
  leaderEpoch = 0
  readonly producers = new Map<number, ProducerEntry>()

  constructor(leaderId: number) {
    this.leaderId = leaderId
  }

  /** What a log does on append: assigned base offset, or an error code. */
  append(records: Uint8Array): { errorCode: number; baseOffset: number } {
    const bytes = records.slice()
    const id = producerId(bytes, 0)
    const count = recordCount(bytes, 0)
    if (id >= 0) {
      const refused = this.#checkSequence(id, bytes, count)
      if (refused !== undefined) return refused
    }
    const baseOffset = this.endOffset
    setBaseOffset(bytes, 0, baseOffset)
    setLeaderEpoch(bytes, 0, this.leaderEpoch)
    this.endOffset += lastOffsetDelta(bytes, 0) + 1
    this.batches.push({ bytes, baseOffset, lastOffset: this.endOffset - 1 })
    return { errorCode: ErrorCode.NONE, baseOffset }
  }

  #checkSequence(id: number, bytes: Uint8Array, count: number): { errorCode: number; baseOffset: number } | undefined {
    const epoch = producerEpoch(bytes, 0)
    const sequence = baseSequence(bytes, 0)
    let entry = this.producers.get(id)
    if (entry !== undefined && epoch < entry.epoch)
      return { errorCode: ErrorCode.INVALID_PRODUCER_EPOCH, baseOffset: -1 }
    if (entry === undefined || epoch > entry.epoch) {
      if (entry !== undefined && sequence !== 0) return outOfOrder
      entry = { epoch, nextSequence: sequence, recent: [] }
      this.producers.set(id, entry)
    }
    const duplicate = entry.recent.find((one) => one.sequence === sequence && one.count === count)
    if (duplicate !== undefined) return { errorCode: ErrorCode.NONE, baseOffset: duplicate.offset }
    if (sequence !== entry.nextSequence) return outOfOrder
    entry.nextSequence = sequence + count
    entry.recent.push({ sequence, count, offset: this.endOffset })
    if (entry.recent.length > 5) entry.recent.shift()
    return undefined
  }

  /** Forgets what lies at `offset` and after it, as an unclean election does; producers start anew. */
  truncate(offset: number): void {
    this.batches = this.batches.filter((batch) => batch.lastOffset < offset)
    this.endOffset = (this.batches.at(-1)?.lastOffset ?? offset - 1) + 1
    this.producers.clear()
  }

  /** Where the last epoch up to `epoch` ends. */
  endOf(epoch: number): { leaderEpoch: number; endOffset: number } {
    let found = { leaderEpoch: -1, endOffset: -1 }
    if (epoch >= this.leaderEpoch) return { leaderEpoch: this.leaderEpoch, endOffset: this.endOffset }
    for (const { bytes, lastOffset } of this.batches) {
      const of = leaderEpoch(bytes, 0)
      if (of <= epoch) found = { leaderEpoch: of, endOffset: lastOffset + 1 }
    }
    return found
  }

  /** All values, in order, as text. */
  values(): string[] {
    const decoder = new TextDecoder()
    return this.batches.flatMap(({ bytes }) => {
      const values: string[] = []
      const cursor = new RecordBatch(bytes, 0).cursor()
      while (cursor.next()) values.push(decoder.decode(cursor.value() ?? new Uint8Array()))
      return values
    })
  }
}

const outOfOrder = { errorCode: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, baseOffset: -1 }

interface Call {
  readonly nodeId: number
  readonly api: protocol.Api
  readonly version: number
  readonly body: unknown
}

type Served = object | null

/** Where a node lives. */
type Place = (nodeId: number) => {
  readonly env: Pick<Env, 'network' | 'clock'>
  readonly host: string
  readonly port?: number
}

const onThisMachine: Place = () => ({ env: nodeEnv(), host: '127.0.0.1' })

export class FakeBroker {
  readonly topics = new Map<string, FakePartition[]>()
  /** Every request but ApiVersions, in order of arrival. */
  readonly calls: Call[] = []
  readonly #faults = new Map<number, Fault[]>()
  readonly #place: Place
  #clock: Env['clock'] = nodeEnv().clock
  /** Of metadata as a whole, for clients that know such a thing. */
  metadataError = 0
  /** Topics have ids. */
  hasIds = false
  /** Nodes that do not lead say who does (KIP-951). */
  givesHints = false
  /** Metadata still tells of the leaders of then; undefined: of those of now. */
  #oldLeaders: Map<string, { leaderId: number; leaderEpoch: number }> | undefined
  readonly #listeners: Listener[] = []
  readonly #connections = new Set<AnsweringConnection>()
  readonly #appended = new Set<() => void>()
  readonly #pool = new SlabPool()
  /** Attached to the answers of fetches. */
  abortedTransactions: { producerId: number; firstOffset: number }[] = []
  #nextProducerId = 1000
  closed = false

  /** Nodes share what they store. `place`: where each lives, and its part of the world; on this machine by default. */
  static async start(nodes = 1, place: Place = onThisMachine): Promise<FakeBroker> {
    const broker = new FakeBroker(place)
    for (let nodeId = 1; nodeId <= nodes; nodeId++) await broker.startNode(nodeId)
    return broker
  }

  private constructor(place: Place) {
    this.#place = place
  }

  /** Node ids count from 1. One that was started before is somewhere else from now on. */
  async startNode(nodeId: number): Promise<void> {
    const { env, host, port = 0 } = this.#place(nodeId)
    const accept = (connection: AnsweringConnection): void => void this.#connections.add(connection)
    const listener = await env.network.listen({ host, port }, (stream) => {
      const connection = new AnsweringConnection(stream, {
        pool: this.#pool,
        maxFrameBytes: 100_000_000,
        maxRequestsInFlight: 1000,
        onRequest: (frame) => this.#request(nodeId, frame),
        onClose: () => this.#connections.delete(connection),
      })
      accept(connection)
    })
    this.#listeners[nodeId - 1] = listener
    this.#clock = env.clock
  }

  get bootstrap(): string {
    const { host, port } = this.#listeners[0]!
    return `${host}:${port}`
  }

  /** Leaders go round the nodes. */
  addTopic(name: string, partitions: number): FakePartition[] {
    const made = Array.from({ length: partitions }, (_, at) => new FakePartition((at % this.#listeners.length) + 1))
    this.topics.set(name, made)
    return made
  }

  partition(topic: string, partition: number): FakePartition {
    return this.topics.get(topic)![partition]!
  }

  moveLeader(topic: string, partition: number, nodeId: number): void {
    const moved = this.partition(topic, partition)
    moved.leaderId = nodeId
    moved.leaderEpoch++
    this.#wakeAll()
  }

  /** From now on metadata does not change, whatever happens. */
  freezeMetadata(): void {
    const entries = [...this.topics].flatMap(([name, partitions]) =>
      partitions.map(({ leaderId, leaderEpoch }, at) => [`${name}-${at}`, { leaderId, leaderEpoch }] as const),
    )
    this.#oldLeaders = new Map(entries)
  }
  thawMetadata(): void {
    this.#oldLeaders = undefined
  }

  /** The next requests of this API meet these, one each. */
  inject(api: { readonly key: number }, ...faults: Fault[]): void {
    const queue = this.#faults.get(api.key) ?? []
    queue.push(...faults)
    this.#faults.set(api.key, queue)
  }

  callsOf(api: { readonly key: number }): Call[] {
    return this.calls.filter((call) => call.api.key === api.key)
  }

  /** Closes every connection; clients may come back. */
  async disconnectAll(): Promise<void> {
    await Promise.all([...this.#connections].map((connection) => connection.close()))
  }

  append(topic: string, partition: number, batch: Uint8Array): void {
    this.partition(topic, partition).append(batch)
    this.#wakeAll()
  }

  #wakeAll(): void {
    for (const wake of [...this.#appended]) wake()
  }

  async close(): Promise<void> {
    this.closed = true
    await Promise.all(this.#listeners.map((listener) => listener.close()))
    await this.disconnectAll()
  }

  async #request(nodeId: number, frame: Frame): Promise<RequestAnswer> {
    const { apiKey, apiVersion: version, correlationId } = protocol.decodeRequestHeader(frame.bytes)
    const api = protocol.apiOf(apiKey)!
    const body = protocol.decodeRequest(api, version, frame.bytes.slice())
    frame.release()
    if (api !== protocol.ApiVersions) this.calls.push({ nodeId, api, version, body })
    const fault = this.#faults.get(apiKey)?.shift() ?? { kind: 'none' }
    if ('kind' in fault && fault.kind === 'disconnect') throw new Error('told to disconnect')
    if ('kind' in fault && fault.kind === 'hold') await fault.until
    const answer = await this.#serve(nodeId, api, body, 'error' in fault ? fault.error : undefined)
    if ('kind' in fault && fault.kind === 'lose answer') throw new Error('told to lose the answer')
    if ('kind' in fault && fault.kind === 'no answer') return await new Promise<never>(() => {})
    return answer === null ? null : (protocol.encodeResponse(api, version, correlationId, answer) as RequestAnswer)
  }

  async #serve(nodeId: number, api: protocol.Api, body: unknown, error: number | undefined): Promise<Served> {
    switch (api.key) {
      case protocol.ApiVersions.key:
        return {
          apiKeys: protocol.allApis.map(({ key, advertisedMin, maxVersion }) => ({
            apiKey: key,
            minVersion: advertisedMin,
            maxVersion,
          })),
        }
      case protocol.Metadata.key:
        return this.#metadata(body as protocol.MetadataRequest, error)
      case protocol.InitProducerId.key:
        return {
          errorCode: error ?? 0,
          producerId: error === undefined ? this.#nextProducerId++ : -1,
          producerEpoch: 0,
        }
      case protocol.CreateTopics.key:
        return this.#createTopics(body as protocol.CreateTopicsRequest, error)
      case protocol.Produce.key:
        return this.#produce(nodeId, body as protocol.ProduceRequest, error)
      case protocol.Fetch.key:
        return await this.#fetch(nodeId, body as protocol.FetchRequest, error)
      case protocol.ListOffsets.key:
        return this.#listOffsets(nodeId, body as protocol.ListOffsetsRequest, error)
      case protocol.OffsetForLeaderEpoch.key:
        return this.#epochEnds(nodeId, body as protocol.OffsetForLeaderEpochRequest, error)
      default:
        throw new Error(`the fake broker does not serve ${api.name}`)
    }
  }

  #metadata(request: protocol.MetadataRequest, error: number | undefined): object {
    const names = request.topics === null ? [...this.topics.keys()] : request.topics.map(({ name }) => name ?? '')
    return {
      brokers: this.#listeners.map(({ host, port }, at) => ({ nodeId: at + 1, host, port, rack: null })),
      clusterId: 'fake',
      errorCode: this.metadataError,
      controllerId: 1,
      topics: names.map((name) => {
        const partitions = this.topics.get(name)
        const errorCode = error ?? (partitions === undefined ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.NONE)
        return {
          name,
          topicId: this.#idOf(name),
          errorCode,
          partitions: (errorCode === 0 ? partitions! : []).map((partition, partitionIndex) => {
            const { leaderId, leaderEpoch } = this.#oldLeaders?.get(`${name}-${partitionIndex}`) ?? partition
            return {
              partitionIndex,
              leaderId,
              leaderEpoch,
              replicaNodes: [leaderId],
              isrNodes: [leaderId],
              errorCode: leaderId === -1 ? ErrorCode.LEADER_NOT_AVAILABLE : ErrorCode.NONE,
            }
          }),
        }
      }),
    }
  }

  /** The error is that of the last topic; the others are made. */
  #createTopics({ topics }: protocol.CreateTopicsRequest, error: number | undefined): object {
    return {
      topics: topics.map(({ name }, at) => {
        if (error !== undefined && at === topics.length - 1) return { name, errorCode: error }
        if (this.topics.has(name)) return { name, errorCode: ErrorCode.TOPIC_ALREADY_EXISTS }
        this.addTopic(name, 1)
        return { name, errorCode: 0 }
      }),
    }
  }

  /** `epoch`: the leader's, as the client has it; -1 when it does not say. */
  #ledBy(nodeId: number, topic: string, partition: number, epoch = -1): FakePartition | number {
    const found = this.topics.get(topic)?.[partition]
    if (found === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (found.leaderId !== nodeId) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    if (epoch >= 0 && epoch < found.leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH
    return epoch > found.leaderEpoch ? ErrorCode.UNKNOWN_LEADER_EPOCH : found
  }

  /** Base64url of 16 bytes, as the schema has them. */
  #idOf(name: string): string {
    const bytes = Buffer.alloc(16)
    if (this.hasIds) bytes.write(name)
    return bytes.toString('base64url')
  }

  #endpoints(): object[] {
    if (!this.givesHints) return []
    return this.#listeners.map(({ host, port }, at) => ({ nodeId: at + 1, host, port, rack: null }))
  }

  /** Of a partition that the node that was asked does not lead, or not in that epoch. */
  #hint(topic: string, partition: number): { currentLeader?: { leaderId: number; leaderEpoch: number } } {
    const found = this.topics.get(topic)?.[partition]
    if (!this.givesHints || found === undefined) return {}
    return { currentLeader: { leaderId: found.leaderId, leaderEpoch: found.leaderEpoch } }
  }

  #produce(nodeId: number, request: protocol.ProduceRequest, error: number | undefined): Served {
    const responses = request.topicData.map(({ name, partitionData }) => ({
      name,
      partitionResponses: partitionData.map(({ index, records }) => {
        const led = this.#ledBy(nodeId, name, index)
        const errorCode = error ?? (typeof led === 'number' ? led : 0)
        if (errorCode !== 0 || typeof led === 'number') {
          return { index, errorCode, baseOffset: -1, ...this.#hint(name, index) }
        }
        if (records === null || batchSize(records, 0) !== records.length) throw new Error('not one whole batch')
        return { index, ...led.append(records), logAppendTimeMs: -1 }
      }),
    }))
    this.#wakeAll()
    return request.acks === 0 ? null : { responses, nodeEndpoints: this.#endpoints() }
  }

  async #fetch(nodeId: number, request: protocol.FetchRequest, error: number | undefined): Promise<object> {
    let answer = this.#fetchNow(nodeId, request, error)
    if (answer.isEmpty && request.maxWaitMs > 0) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          timer.cancel()
          this.#appended.delete(done)
          resolve()
        }
        const timer = this.#clock.after(request.maxWaitMs, done)
        this.#appended.add(done)
      })
      answer = this.#fetchNow(nodeId, request, undefined)
    }
    return answer
  }

  #fetchNow(nodeId: number, request: protocol.FetchRequest, error: number | undefined) {
    let isEmpty = true
    const nameOf = (topicId: string): string =>
      [...this.topics.keys()].find((name) => this.#idOf(name) === topicId) ?? ''
    type Question = protocol.FetchRequest['topics'][number]['partitions'][number]
    const answer = (topic: string, question: Question): object => {
      const { partition, fetchOffset, partitionMaxBytes, currentLeaderEpoch } = question
      const led = this.#ledBy(nodeId, topic, partition, currentLeaderEpoch)
      let errorCode = error ?? (typeof led === 'number' ? led : 0)
      if (typeof led !== 'number' && (fetchOffset < led.startOffset || fetchOffset > led.endOffset)) {
        errorCode = ErrorCode.OFFSET_OUT_OF_RANGE
      }
      if (errorCode !== 0 || typeof led === 'number') {
        isEmpty = false
        return {
          partitionIndex: partition,
          errorCode,
          highWatermark: -1,
          records: null,
          ...this.#hint(topic, partition),
        }
      }
      const records = this.#read(led, fetchOffset, partitionMaxBytes)
      if (records.length > 0) isEmpty = false
      return {
        partitionIndex: partition,
        errorCode,
        highWatermark: led.endOffset,
        lastStableOffset: led.endOffset,
        logStartOffset: led.startOffset,
        abortedTransactions: request.isolationLevel === 1 ? this.abortedTransactions : null,
        records,
      }
    }
    const responses = request.topics.map(({ topic: named, topicId, partitions }) => {
      const topic = named === undefined || named === '' ? nameOf(topicId) : named
      return { topic, topicId, partitions: partitions.map((question) => answer(topic, question)) }
    })
    return { isEmpty, responses, nodeEndpoints: this.#endpoints() }
  }

  #epochEnds(nodeId: number, request: protocol.OffsetForLeaderEpochRequest, error: number | undefined): object {
    return {
      topics: request.topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition, currentLeaderEpoch, leaderEpoch }) => {
          const led = this.#ledBy(nodeId, topic, partition, currentLeaderEpoch)
          const errorCode = error ?? (typeof led === 'number' ? led : 0)
          if (errorCode !== 0 || typeof led === 'number') return { partition, errorCode }
          return { partition, errorCode, ...led.endOf(leaderEpoch) }
        }),
      })),
    }
  }

  #read(partition: FakePartition, offset: number, maxBytes: number): Uint8Array {
    const chosen: Uint8Array[] = []
    let bytes = 0
    for (const batch of partition.batches) {
      if (batch.lastOffset < offset) continue
      if (chosen.length > 0 && bytes + batch.bytes.length > maxBytes) break
      chosen.push(batch.bytes)
      bytes += batch.bytes.length
    }
    return Buffer.concat(chosen)
  }

  #listOffsets(nodeId: number, request: protocol.ListOffsetsRequest, error: number | undefined): object {
    return {
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, timestamp }) => {
          const led = this.#ledBy(nodeId, name, partitionIndex)
          const errorCode = error ?? (typeof led === 'number' ? led : 0)
          if (errorCode !== 0 || typeof led === 'number') return { partitionIndex, errorCode, offset: -1 }
          if (timestamp === -1) return { partitionIndex, offset: led.endOffset }
          if (timestamp === -2) return { partitionIndex, offset: led.startOffset }
          const found = led.batches.find(({ bytes }) => new RecordBatch(bytes, 0).maxTimestamp >= timestamp)
          return { partitionIndex, offset: found?.baseOffset ?? -1 }
        }),
      })),
    }
  }
}
