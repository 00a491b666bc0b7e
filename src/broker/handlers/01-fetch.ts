/**
 * Fetch, versions 4 - 18. Topics by name up to version 12, by id from 13 on. No fetch sessions yet: every answer says
 * session 0, which tells clients to go on with full requests; continuing a session is answered with error 70.
 * Waits until `minBytes` are there or `maxWaitMs` have passed, and answers at once when a partition has an error.
 * Records are file regions, one slice per partition. The first batch of the first partition that has data goes whole,
 * however small the limits; when a response is full, the partition that got nothing is served first the next time.
 * Topics with compression.type=zstd are refused below version 10, whose clients do not know that codec, as in Kafka.
 * Followers (replica id >= 0) are refused: there are none yet. read_committed reads up to the high watermark, because
 * nothing transactional can be written.
 */
import { ErrorCode, hasCode, PagelogError } from '../../base/index.ts'
import type { FileRegion } from '../../env/index.ts'
import type { Slice } from '../../log/index.ts'
import { Fetch, type FetchRequest, type FetchResponse, type Input } from '../../protocol/index.ts'
import type { WaitedPartition } from '../delayed-fetch.ts'
import type { BrokerFacade } from '../facade.ts'
import { handler, type Reply, type Request } from '../handler.ts'
import type { Partition } from '../partition.ts'
import type { Session } from '../session.ts'

type TopicRequest = FetchRequest['topics'][number]
type PartitionRequest = TopicRequest['partitions'][number]

/** What is known of one partition of the request on the way to its answer. */
interface Wanted {
  readonly request: PartitionRequest
  readonly topic: string
  readonly partition: Partition | undefined
  errorCode: number
  slice: Slice | undefined
}

const READ_COMMITTED = 1
/** The first that says that its client knows zstd. */
const ZSTD_VERSION = 10
const SESSION_EPOCH_FULL = 0
const SESSION_EPOCH_NONE = -1
const nothing = new Uint8Array(0)
const noAborted: readonly never[] = []

export const fetch = handler({
  api: Fetch,
  handle(request, session, broker) {
    const { sessionId, sessionEpoch } = request.body
    if (sessionId !== 0 && sessionEpoch !== SESSION_EPOCH_FULL && sessionEpoch !== SESSION_EPOCH_NONE) {
      return { errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND }
    }
    return new FetchCall(request, session, broker).run()
  },
})

class FetchCall {
  readonly #request: Request<FetchRequest>
  readonly #session: Session
  readonly #broker: BrokerFacade
  readonly #wanted: Wanted[] = []
  /** Slot that is read first. */
  #first = 0
  /** Partitions read so far. */
  #read = 0
  #bytesLeft: number
  #somethingRead = false
  #starved: Wanted | undefined

  constructor(request: Request<FetchRequest>, session: Session, broker: BrokerFacade) {
    this.#request = request
    this.#session = session
    this.#broker = broker
    this.#bytesLeft = Math.min(request.body.maxBytes, broker.settings.fetchMaxBytes)
    const isFollower = request.body.replicaId >= 0 || request.body.replicaState.replicaId >= 0
    for (const topic of request.body.topics) {
      for (const partition of topic.partitions) this.#wanted.push(this.#look(topic, partition, isFollower))
    }
  }

  run(): Reply<FetchResponse> | Promise<Reply<FetchResponse>> {
    const { maxWaitMs, minBytes } = this.#request.body
    if (maxWaitMs <= 0 || minBytes <= 0 || this.#wanted.length === 0) return this.#readAll()
    let bytes = 0
    for (const { errorCode, partition, request } of this.#wanted) {
      if (errorCode !== ErrorCode.NONE) return this.#readAll()
      bytes += partition!.availableBytes(request.fetchOffset)
    }
    const needed = Math.min(minBytes, this.#bytesLeft)
    // A client that left half-way is only noticed by what is sent to it, so no wait outlives the idle limit.
    const waitMs = Math.min(maxWaitMs, this.#broker.settings.connectionsMaxIdleMs)
    return bytes >= needed ? this.#readAll() : this.#wait(needed, waitMs)
  }

  async #wait(minBytes: number, maxWaitMs: number): Promise<Reply<FetchResponse>> {
    const partitions = this.#wanted.map(
      ({ partition, request }): WaitedPartition => ({ partition: partition!, offset: request.fetchOffset }),
    )
    const wanted = await this.#broker.fetchPurgatory.wait(this.#session, minBytes, maxWaitMs, partitions)
    return wanted ? this.#readAll() : null
  }

  #look(topic: TopicRequest, request: PartitionRequest, isFollower: boolean): Wanted {
    const { partitions, image } = this.#broker
    const byId = this.#request.version >= 13
    const partition = byId
      ? partitions.findById(topic.topicId, request.partition)
      : partitions.find(topic.topic, request.partition)
    const wanted: Wanted = { request, topic: topic.topic, partition, errorCode: ErrorCode.NONE, slice: undefined }
    if (partition) {
      wanted.errorCode = isFollower ? ErrorCode.NOT_LEADER_OR_FOLLOWER : checkPosition(partition, request)
      const isUnreadable = this.#request.version < ZSTD_VERSION && partition.settings.compressionType === 'zstd'
      if (wanted.errorCode === ErrorCode.NONE && isUnreadable) {
        wanted.errorCode = ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
      }
      return wanted
    }
    const state = byId ? image.topicById(topic.topicId) : image.topic(topic.topic)
    if (byId && !state) wanted.errorCode = ErrorCode.UNKNOWN_TOPIC_ID
    else if (state && request.partition >= 0 && request.partition < state.partitions.length) {
      wanted.errorCode = ErrorCode.KAFKA_STORAGE_ERROR
    } else wanted.errorCode = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return wanted
  }

  #readAll(): Reply<FetchResponse> | Promise<Reply<FetchResponse>> {
    const { starvedPartition } = this.#session
    if (starvedPartition !== '') {
      this.#first = Math.max(
        0,
        this.#wanted.findIndex((wanted) => keyOf(wanted) === starvedPartition),
      )
    }
    return this.#readOn()
  }

  /** Synchronous as long as the logs answer from memory; goes on by itself after one that does not. */
  #readOn(): Reply<FetchResponse> | Promise<Reply<FetchResponse>> {
    try {
      const count = this.#wanted.length
      while (this.#read < count) {
        const wanted = this.#wanted[(this.#first + this.#read++) % count]!
        const slice = this.#readOne(wanted)
        if (slice instanceof Promise) return this.#readLater(wanted, slice)
        if (slice) this.#take(wanted, slice)
      }
    } catch (error) {
      this.#dropAll()
      throw error
    }
    return this.#answer()
  }

  async #readLater(wanted: Wanted, slice: Promise<Slice>): Promise<Reply<FetchResponse>> {
    try {
      this.#take(wanted, await slice)
    } catch (error) {
      wanted.errorCode = codeOfRead(error)
      if (wanted.errorCode === ErrorCode.UNKNOWN_SERVER_ERROR) {
        this.#dropAll()
        throw error
      }
    }
    return await this.#readOn()
  }

  #readOne(wanted: Wanted): Slice | Promise<Slice> | undefined {
    const { partition, request } = wanted
    if (wanted.errorCode === ErrorCode.NONE) wanted.errorCode = recheck(partition!, request)
    if (wanted.errorCode !== ErrorCode.NONE || request.fetchOffset >= partition!.log.highWatermark) return undefined
    const maxBytes = Math.min(request.partitionMaxBytes, this.#bytesLeft)
    if (this.#somethingRead && maxBytes <= 0) {
      if (this.#bytesLeft <= 0) this.#starved ??= wanted
      return undefined
    }
    try {
      return partition!.log.slice(request.fetchOffset, Math.max(0, maxBytes), { minOneBatch: !this.#somethingRead })
    } catch (error) {
      wanted.errorCode = codeOfRead(error)
      if (wanted.errorCode === ErrorCode.UNKNOWN_SERVER_ERROR) throw error
      return undefined
    }
  }

  #take(wanted: Wanted, slice: Slice): void {
    wanted.slice = slice
    if (slice.byteLength > 0) this.#somethingRead = true
    // Data is there but even its first batch does not fit into what is left.
    else if (this.#bytesLeft < wanted.request.partitionMaxBytes) this.#starved ??= wanted
    this.#bytesLeft -= slice.byteLength
  }

  #dropAll(): void {
    for (const { slice } of this.#wanted) {
      for (const region of slice?.regions ?? []) region.release()
    }
  }

  #answer(): Reply<FetchResponse> {
    if (this.#session.closed) {
      this.#dropAll()
      return null
    }
    this.#session.starvedPartition = this.#starved ? keyOf(this.#starved) : ''
    const { topics, isolationLevel } = this.#request.body
    const abortedTransactions = isolationLevel === READ_COMMITTED ? noAborted : null
    let slot = 0
    let bytes = 0
    const responses = topics.map((topic) => ({
      topic: topic.topic,
      topicId: topic.topicId,
      partitions: topic.partitions.map(() => {
        const wanted = this.#wanted[slot++]!
        bytes += wanted.slice?.byteLength ?? 0
        return answerOf(wanted, abortedTransactions)
      }),
    }))
    this.#broker.counters.fetchResponses++
    this.#broker.counters.fetchBytes += bytes
    return { responses }
  }
}

type PartitionAnswer = Input<FetchResponse['responses'][number]['partitions'][number]>

function answerOf(wanted: Wanted, abortedTransactions: readonly never[] | null): PartitionAnswer {
  const { partition, slice, errorCode, request } = wanted
  const partitionIndex = request.partition
  if (errorCode !== ErrorCode.NONE || !partition) {
    return { partitionIndex, errorCode, highWatermark: -1, abortedTransactions, records: nothing }
  }
  const { highWatermark, logStartOffset } = partition.log
  return {
    partitionIndex,
    errorCode,
    highWatermark,
    lastStableOffset: highWatermark,
    logStartOffset,
    abortedTransactions,
    records: slice && slice.byteLength > 0 ? { byteLength: slice.byteLength, parts: partsOf(slice) } : nothing,
  }
}

/** Regions pass through the encoder untouched. */
function partsOf(slice: Slice): readonly FileRegion[] {
  return slice.regions
}

function keyOf(wanted: Wanted): string {
  return `${wanted.partition?.topic ?? wanted.topic}-${wanted.request.partition}`
}

function checkPosition(partition: Partition, request: PartitionRequest): number {
  const epochError = partition.checkLeaderEpoch(request.currentLeaderEpoch)
  if (epochError !== ErrorCode.NONE) return epochError
  const { logStartOffset, highWatermark } = partition.log
  const inside = request.fetchOffset >= logStartOffset && request.fetchOffset <= highWatermark
  return inside ? ErrorCode.NONE : ErrorCode.OFFSET_OUT_OF_RANGE
}

/** After a wait: the topic may be gone, the log may have lost its start or, by a failed write, its end. */
function recheck(partition: Partition, request: PartitionRequest): number {
  return partition.deleted ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : checkPosition(partition, request)
}

function codeOfRead(error: unknown): number {
  if (hasCode(error, 'PAGELOG_OFFSET_OUT_OF_RANGE')) return ErrorCode.OFFSET_OUT_OF_RANGE
  if (!(error instanceof PagelogError)) return ErrorCode.UNKNOWN_SERVER_ERROR
  return error.code === 'PAGELOG_CORRUPT' ? ErrorCode.CORRUPT_MESSAGE : ErrorCode.KAFKA_STORAGE_ERROR
}
