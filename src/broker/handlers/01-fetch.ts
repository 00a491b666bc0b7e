/**
 * Fetch, versions 4 - 18, of consumers and followers. Topics by name up to version 12, by id from 13 on. With a session
 * (KIP-227, see replication/fetch-session.ts) the request names what changed, and the answer what has news.
 *
 * Waits until `minBytes` are there or `maxWaitMs` have passed, and answers at once when a partition has an error or a
 * reader has to go back (KIP-595). Records are file regions, one slice per partition. The first batch of the first
 * partition that has data goes whole, however small the limits; when a response is full, the partition that got nothing
 * is served first the next time. Consumers read up to the high watermark, followers (replica id >= 0) to the end of the
 * log. A follower with no room at all (`maxBytes` 0) only says how far it is.
 *
 * Topics with compression.type=zstd are refused below version 10, whose clients do not know that codec, as in Kafka.
 * read_committed reads up to the high watermark, because nothing transactional can be written.
 */
import { ErrorCode } from '../../base/index.ts'
import type { Slice } from '../../log/index.ts'
import { Fetch, type FetchRequest, type FetchResponse, type Input } from '../../protocol/index.ts'
import type { FetchSession, SessionPartition } from '../../replication/index.ts'
import type { BrokerFacade } from '../facade.ts'
import { FetchRead, type FetchReader } from '../fetch-read.ts'
import { handler, type Reply, type Request } from '../handler.ts'
import { LeaderHints } from '../leader-hints.ts'
import type { Session } from '../session.ts'

type TopicAnswer = Input<FetchResponse['responses'][number]>

const READ_COMMITTED = 1
/** The first that says that its client knows zstd. */
const ZSTD_VERSION = 10
/** The first that names topics by id. */
const ID_VERSION = 13
/** Before a partition that this broker does not have yet is looked for again. */
const UNTOLD_WAIT_MS = 10
const noAborted: readonly never[] = []

export const fetch = handler({
  api: Fetch,
  tellsOfWork: true,
  handle(request, session, broker) {
    const reader = readerOf(request.body)
    const { isFollower, replicaId, brokerEpoch } = reader
    // Whoever can write a number can say that it is a follower.
    const isKnown = isFollower && broker.image.brokers.get(replicaId)?.epoch === brokerEpoch
    const client = { replicaId, brokerEpoch, isFollower: isKnown, usesIds: request.version >= ID_VERSION }
    const opened = broker.fetchSessions.open(request.body, client, broker.clock.monotonicMs())
    if (opened.errorCode !== ErrorCode.NONE) return { errorCode: opened.errorCode }
    const { session: fetchSession, isFull } = opened
    // A follower begins anew on another connection.
    if (fetchSession !== undefined && isFull && isFollower) {
      session.onClose(() => broker.fetchSessions.end(fetchSession.id))
    }
    return new FetchCall(request, { session, broker, reader, isKnown, fetchSession, isFull }).run()
  },
})

function readerOf({ replicaId, replicaState }: FetchRequest): FetchReader {
  const id = Math.max(replicaId, replicaState.replicaId)
  return { isFollower: id >= 0, replicaId: id, brokerEpoch: replicaState.replicaEpoch }
}

interface FetchCaller {
  readonly session: Session
  readonly broker: BrokerFacade
  readonly reader: FetchReader
  /** A follower that is registered as it says: it is held to no limits of consumers. */
  readonly isKnown: boolean
  readonly fetchSession: FetchSession | undefined
  /** Everything is answered, with news or without. */
  readonly isFull: boolean
}

class FetchCall {
  readonly #request: Request<FetchRequest>
  readonly #caller: FetchCaller
  readonly #reads: FetchRead[] = []
  /** A follower that only says how far it is. */
  readonly #isReport: boolean
  /** Of the requests of its session. */
  readonly #number: number
  /** Slot that is read first. */
  #first = 0
  /** Partitions read so far. */
  #read = 0
  #bytesLeft: number
  #somethingRead = false
  #starved: FetchRead | undefined

  constructor(request: Request<FetchRequest>, caller: FetchCaller) {
    const { body } = request
    const { fetchSession, broker, reader, isKnown, isFull } = caller
    this.#request = request
    this.#caller = caller
    this.#isReport = reader.isFollower && body.maxBytes === 0
    this.#number = fetchSession?.requests ?? 0
    this.#bytesLeft = isKnown ? body.maxBytes : Math.min(body.maxBytes, broker.settings.fetchMaxBytes)
    if (fetchSession === undefined) {
      for (const topic of body.topics) {
        for (const wish of topic.partitions) this.#add(new FetchRead(topic, wish, undefined), true)
      }
      return
    }
    const wanted = isFull ? fetchSession.partitions : fetchSession.wanted(this.#isReport)
    for (const partition of wanted) this.#add(new FetchRead(partition, partition.wish, partition), true)
  }

  run(): Reply<FetchResponse> | Promise<Reply<FetchResponse>> {
    const { maxWaitMs, minBytes } = this.#request.body
    const { broker, reader, fetchSession } = this.#caller
    const isEmpty = (fetchSession?.size ?? this.#reads.length) === 0
    if (maxWaitMs <= 0 || minBytes <= 0 || isEmpty) return this.#readAll()
    const { isFollower } = reader
    // A client that left half-way is only noticed by what is sent to it, so no wait outlives the idle limit.
    let waitMs = Math.min(maxWaitMs, broker.settings.connectionsMaxIdleMs)
    let bytes = 0
    for (const read of this.#reads) {
      if (read.isSettled) return this.#readAll()
      bytes += read.grown(isFollower)
      // Nobody tells when a partition that is not here comes.
      if (read.partition === undefined) waitMs = Math.min(waitMs, UNTOLD_WAIT_MS)
    }
    const needed = Math.min(minBytes, this.#bytesLeft)
    if (bytes >= needed) return this.#readAll()
    return fetchSession === undefined ? this.#wait(needed, waitMs) : this.#waitIn(fetchSession, needed, waitMs, bytes)
  }

  async #wait(minBytes: number, maxWaitMs: number): Promise<Reply<FetchResponse>> {
    const { broker, session, reader } = this.#caller
    const partitions = this.#reads.map(({ partition, wish }) => ({ partition: partition!, offset: wish.fetchOffset }))
    const wish = { minBytes, maxWaitMs, partitions, isFollower: reader.isFollower }
    return (await broker.fetchPurgatory.wait(session, wish)) ? this.#readAll() : null
  }

  /** The session watches all of its partitions already, and tells in which something happens. */
  async #waitIn(
    fetchSession: FetchSession,
    minBytes: number,
    maxWaitMs: number,
    bytesNow: number,
  ): Promise<Reply<FetchResponse>> {
    const { broker, session, reader } = this.#caller
    const { isFollower } = reader
    const reads = new Map(this.#reads.map((read) => [read.remembered!, read]))
    let bytes = bytesNow
    let isLooking = false
    let end = (): void => {}
    const stop = (): void => {
      if (fetchSession.endWait === stop) {
        fetchSession.endWait = undefined
        fetchSession.onReady = undefined
      }
      end()
    }
    const happened = (partition: SessionPartition): void => {
      // What a later request asks for is its own. To look may itself make something happen.
      if (isLooking || partition.askedIn > this.#number) return
      let read = reads.get(partition)
      if (read === undefined || read.isAhead || partition.isUnsettled) {
        isLooking = true
        const isNew = read === undefined
        read ??= new FetchRead(partition, partition.wish, partition)
        if (isNew) reads.set(partition, read)
        if (isNew) this.#add(read, partition.isUnsettled)
        else this.#look(read, true)
        isLooking = false
      } else {
        read.recheck()
      }
      if (!read.isSettled) bytes += read.grown(isFollower)
      if (read.isSettled || bytes >= minBytes) stop()
    }
    const wish = { minBytes, maxWaitMs, partitions: [], isFollower }
    const waiting = broker.fetchPurgatory.wait(session, wish, (complete) => {
      end = complete
    })
    fetchSession.endWait = stop
    fetchSession.onReady = happened
    const isWanted = await waiting
    stop()
    return isWanted ? this.#readAll() : null
  }

  #add(read: FetchRead, tells: boolean): void {
    this.#reads.push(read)
    this.#look(read, tells)
  }

  #look(read: FetchRead, tells: boolean): void {
    const { broker, reader } = this.#caller
    const { version } = this.#request
    read.errorCode = ErrorCode.NONE
    read.look(broker, reader, tells, version >= ID_VERSION)
    if (read.errorCode !== ErrorCode.NONE || version >= ZSTD_VERSION) return
    const isUnreadable = read.partition!.settings.compressionType === 'zstd'
    if (isUnreadable) read.errorCode = ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
  }

  #readAll(): Reply<FetchResponse> | Promise<Reply<FetchResponse>> {
    const { starvedPartition } = this.#caller.session
    if (starvedPartition !== '') {
      this.#first = Math.max(
        0,
        this.#reads.findIndex(({ key }) => key === starvedPartition),
      )
    }
    return this.#readOn()
  }

  /** Synchronous as long as the logs answer from memory; goes on by itself after one that does not. */
  #readOn(): Reply<FetchResponse> | Promise<Reply<FetchResponse>> {
    try {
      const count = this.#reads.length
      while (this.#read < count) {
        const read = this.#reads[(this.#first + this.#read++) % count]!
        const slice = this.#readOne(read)
        if (slice instanceof Promise) return this.#readLater(read, slice)
        if (slice) this.#take(read, slice)
      }
    } catch (error) {
      this.#dropAll()
      throw error
    }
    return this.#answer()
  }

  async #readLater(read: FetchRead, slice: Promise<Slice>): Promise<Reply<FetchResponse>> {
    try {
      this.#take(read, await slice)
    } catch (error) {
      try {
        read.failed(error)
      } catch (unforeseen) {
        this.#dropAll()
        throw unforeseen
      }
    }
    return await this.#readOn()
  }

  #readOne(read: FetchRead): Slice | Promise<Slice> | undefined {
    const { reader } = this.#caller
    read.recheck()
    if (read.isSettled || read.isAhead || this.#isReport) return undefined
    const maxBytes = Math.min(read.wish.partitionMaxBytes, this.#bytesLeft)
    if (this.#somethingRead && maxBytes <= 0) {
      const isWaiting =
        this.#bytesLeft <= 0 && read.partition!.availableBytes(read.wish.fetchOffset, reader.isFollower) > 0
      if (isWaiting) this.#starved ??= read
      return undefined
    }
    return read.read(Math.max(0, maxBytes), !this.#somethingRead, reader)
  }

  #take(read: FetchRead, slice: Slice): void {
    read.slice = slice
    if (slice.byteLength > 0) this.#somethingRead = true
    // Data is there but even its first batch does not fit into what is left.
    else if (this.#bytesLeft < read.wish.partitionMaxBytes) this.#starved ??= read
    this.#bytesLeft -= slice.byteLength
  }

  #dropAll(): void {
    for (const read of this.#reads) read.release()
  }

  #answer(): Reply<FetchResponse> {
    const { session, broker, reader, fetchSession, isFull } = this.#caller
    if (session.closed) {
      this.#dropAll()
      return null
    }
    session.starvedPartition = this.#starved?.key ?? ''
    const hints = new LeaderHints(broker)
    const abortedTransactions = this.#request.body.isolationLevel === READ_COMMITTED ? noAborted : null
    const responses: TopicAnswer[] = []
    const topics = new Map<string, TopicAnswer & { partitions: unknown[] }>()
    let topic: (TopicAnswer & { partitions: unknown[] }) | undefined
    let bytes = 0
    for (const read of this.#reads) {
      if (isFull ? !read.isAhead : read.hasNews) {
        if (topic === undefined || topic.topicId !== read.topicId || topic.topic !== read.topic) {
          const key = `${read.topicId} ${read.topic}`
          topic = topics.get(key)
          if (topic === undefined) {
            topic = { topic: read.topic, topicId: read.topicId, partitions: [] }
            topics.set(key, topic)
            responses.push(topic)
          }
        }
        bytes += read.byteLength
        topic.partitions.push(read.answer(abortedTransactions, hints))
      }
      if (fetchSession !== undefined && read.isDone(reader.isFollower)) fetchSession.answered(read.remembered!)
    }
    broker.counters.fetchResponses++
    broker.counters.fetchBytes += bytes
    // One that waited in vain is no work: followers and consumers ask so all the time.
    if (bytes > 0) broker.sampler?.busy()
    const { nodeEndpoints } = hints
    const answer = { sessionId: fetchSession?.id ?? 0, responses }
    return nodeEndpoints.length === 0 ? answer : { ...answer, nodeEndpoints }
  }
}
