/** One partition of a fetch, on the way from what is asked for to what is answered. */
import { ErrorCode, PagelogError } from '../base/index.ts'
import type { Slice } from '../log/index.ts'
import type { FetchResponse, Input } from '../protocol/index.ts'
import type { EpochEnd, FetchWish, SessionPartition } from '../replication/index.ts'
import type { BrokerFacade } from './facade.ts'
import { type LeaderHints, missingPartition } from './leader-hints.ts'
import type { Partition } from './partition.ts'

type PartitionAnswer = Input<FetchResponse['responses'][number]['partitions'][number]>

/** Who asks. */
export interface FetchReader {
  /** Says that it is one; each partition looks whether it has such a replica. */
  readonly isFollower: boolean
  /** Of a follower. */
  readonly replicaId: number
  readonly brokerEpoch: number
}

/** So long a follower that knows of an election before its leader does is kept waiting, not refused. */
const AHEAD_MS = 1000
const aheadCodes: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_LEADER_EPOCH,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.UNKNOWN_TOPIC_ID,
])

const nothing = new Uint8Array(0)
const codeOfFailure: Readonly<Record<string, number>> = {
  PAGELOG_OFFSET_OUT_OF_RANGE: ErrorCode.OFFSET_OUT_OF_RANGE,
  PAGELOG_CORRUPT: ErrorCode.CORRUPT_MESSAGE,
}

export class FetchRead {
  readonly topic: string
  readonly topicId: string
  readonly wish: FetchWish
  partition: Partition | undefined
  /** Where it is asked for in a session. */
  readonly remembered: SessionPartition | undefined
  errorCode: number = ErrorCode.NONE
  /** The follower knows that this broker leads before it does: there is nothing yet, and nothing is wrong. */
  isAhead = false
  /** Bytes that there were when it was looked at last. */
  seenBytes = 0
  /** The reader has to go back to there before it gets anything. */
  diverging: EpochEnd | undefined
  slice: Slice | undefined

  constructor(
    topic: { readonly topic: string; readonly topicId: string },
    wish: FetchWish,
    remembered: SessionPartition | undefined,
  ) {
    this.topic = topic.topic
    this.topicId = topic.topicId
    this.wish = wish
    this.remembered = remembered
  }

  get key(): string {
    return `${this.partition?.topic ?? this.topic}-${this.wish.partition}`
  }
  get byteLength(): number {
    return this.slice?.byteLength ?? 0
  }

  /** Nothing is to be waited for. */
  get isSettled(): boolean {
    return !this.isAhead && (this.errorCode !== ErrorCode.NONE || this.diverging !== undefined)
  }

  /** Finds the partition, and whether the reader may read there. A follower that may says by its request how far it is. */
  look(broker: BrokerFacade, reader: FetchReader, tells: boolean, byId: boolean): void {
    const { topic, topicId, wish, remembered } = this
    const { partitions } = broker
    this.partition = byId ? partitions.findById(topicId, wish.partition) : partitions.find(topic, wish.partition)
    this.diverging = undefined
    if (this.partition === undefined) this.errorCode = missingPartition(broker, topic, topicId, wish.partition)
    else this.#check(reader, this.partition, tells)
    if (remembered === undefined) return
    remembered.follow(this.partition)
    if (!reader.isFollower) return
    this.#checkAhead(broker, remembered)
    const { replicaId, brokerEpoch } = reader
    const isTold = this.errorCode === ErrorCode.NONE && this.diverging === undefined
    remembered.isUnsettled = isTold && !this.partition!.isSettledFollower(replicaId, brokerEpoch)
  }

  /** Around an election, this broker may be the last to know that it leads. */
  #checkAhead(broker: BrokerFacade, remembered: SessionPartition): void {
    const { image, nodeId, clock } = broker
    const { partition, currentLeaderEpoch } = this.wish
    const state = image.partition(this.topicId, partition)
    const isCandidate = aheadCodes.has(this.errorCode) && currentLeaderEpoch >= 0
    const leads = this.partition?.isLeader === true && this.partition.leaderEpoch === currentLeaderEpoch
    const isLate =
      state === undefined ||
      state.leaderEpoch < currentLeaderEpoch ||
      (state.leaderEpoch === currentLeaderEpoch && state.leader === nodeId && !leads)
    this.isAhead = false
    if (isCandidate && isLate) {
      const nowMs = clock.monotonicMs()
      remembered.aheadSinceMs ??= nowMs
      this.isAhead = nowMs - remembered.aheadSinceMs < AHEAD_MS
    } else {
      remembered.aheadSinceMs = undefined
    }
  }

  #check(reader: FetchReader, partition: Partition, tells: boolean): void {
    const { currentLeaderEpoch, fetchOffset, lastFetchedEpoch } = this.wish
    this.errorCode = partition.checkLeader(currentLeaderEpoch)
    if (this.errorCode !== ErrorCode.NONE) return
    const { logStartOffset, logEndOffset } = partition.log
    this.diverging = partition.divergence(lastFetchedEpoch, fetchOffset)
    if (this.diverging !== undefined && this.diverging.epoch >= 0) return
    const isOutside = fetchOffset < logStartOffset || fetchOffset > logEndOffset
    if (isOutside || this.diverging !== undefined) this.errorCode = ErrorCode.OFFSET_OUT_OF_RANGE
    else if (reader.isFollower && tells) this.#tell(reader, partition)
  }

  #tell({ replicaId, brokerEpoch: given }: FetchReader, partition: Partition): void {
    const { fetchOffset, appendedOffset, logStartOffset, currentLeaderEpoch } = this.wish
    // One that does not say in which epoch it follows counts for nothing.
    const brokerEpoch = currentLeaderEpoch < 0 ? -1 : given
    const logEndOffset = appendedOffset >= 0 ? Math.min(appendedOffset, fetchOffset) : fetchOffset
    const isReplica = partition.followerFetched({ replicaId, brokerEpoch, logEndOffset, logStartOffset })
    if (!isReplica) this.errorCode = ErrorCode.NOT_LEADER_OR_FOLLOWER
  }

  /** Once more before it is read: after a wait the topic may be gone, the leader another one, the end of the log void. */
  recheck(): void {
    if (this.isSettled || this.isAhead) return
    const partition = this.partition!
    const { currentLeaderEpoch, fetchOffset } = this.wish
    this.errorCode = partition.checkLeader(currentLeaderEpoch)
    const { logStartOffset, logEndOffset } = partition.log
    const isOutside = fetchOffset < logStartOffset || fetchOffset > logEndOffset
    if (this.errorCode === ErrorCode.NONE && isOutside) this.errorCode = ErrorCode.OFFSET_OUT_OF_RANGE
  }

  /** Undefined: there is nothing. The code of a failure is noted; what nobody foresaw is thrown. */
  read(maxBytes: number, minOneBatch: boolean, reader: FetchReader): Slice | Promise<Slice> | undefined {
    const { log } = this.partition!
    const { fetchOffset } = this.wish
    const endOffset = reader.isFollower ? log.logEndOffset : log.highWatermark
    if (fetchOffset >= endOffset) return undefined
    try {
      // Also when nothing lies beyond it now: a slice that has to wait for the disk must not see what comes meanwhile.
      const isBounded = !reader.isFollower && this.partition!.isReplicated
      const options = isBounded ? { minOneBatch, endOffset } : { minOneBatch }
      return log.slice(fetchOffset, maxBytes, options)
    } catch (error) {
      this.failed(error)
      return undefined
    }
  }

  /** Throws what nobody foresaw. */
  failed(error: unknown): void {
    if (!(error instanceof PagelogError)) throw error
    this.errorCode = codeOfFailure[error.code] ?? ErrorCode.KAFKA_STORAGE_ERROR
  }

  release(): void {
    for (const region of this.slice?.regions ?? []) region.release()
    this.slice = undefined
  }

  /** Bytes that the reader could get now; the difference to those of the last call. */
  grown(isFollower: boolean): number {
    if (this.isAhead) return 0
    const before = this.seenBytes
    this.seenBytes = this.partition!.availableBytes(this.wish.fetchOffset, isFollower)
    return this.seenBytes - before
  }

  /** Nothing is to be told of it before something happens. */
  isDone(isFollower: boolean): boolean {
    const { remembered, partition, wish } = this
    if (this.isSettled || this.isAhead || this.byteLength > 0 || partition === undefined) return false
    // A later request asks for something else.
    if (remembered === undefined || remembered.wish !== wish || remembered.isUnsettled) return false
    return !this.hasNews && partition.availableBytes(wish.fetchOffset, isFollower) === 0
  }

  /** A session's answer leaves out partitions without news. */
  get hasNews(): boolean {
    if (this.isAhead) return false
    if (this.remembered === undefined || this.isSettled || this.byteLength > 0) return true
    const { highWatermark, logStartOffset } = this.partition!.log
    const { toldHighWatermark, toldLogStart } = this.remembered
    return highWatermark !== toldHighWatermark || logStartOffset !== toldLogStart
  }

  answer(abortedTransactions: readonly never[] | null, hints: LeaderHints): PartitionAnswer {
    const { partition, slice, errorCode, diverging, remembered } = this
    const partitionIndex = this.wish.partition
    if (errorCode !== ErrorCode.NONE || !partition) {
      if (remembered !== undefined) remembered.toldHighWatermark = -1
      const currentLeader = hints.hint(errorCode, this.topic, partition?.topicId ?? this.topicId, partitionIndex)
      const refusal = { partitionIndex, errorCode, highWatermark: -1, abortedTransactions, records: nothing }
      return currentLeader === undefined ? refusal : { ...refusal, currentLeader }
    }
    const { highWatermark, logStartOffset } = partition.log
    if (remembered !== undefined) {
      remembered.toldHighWatermark = highWatermark
      remembered.toldLogStart = logStartOffset
    }
    const answer = {
      partitionIndex,
      errorCode,
      highWatermark,
      lastStableOffset: highWatermark,
      logStartOffset,
      abortedTransactions,
      // Regions pass through the encoder untouched.
      records: slice && slice.byteLength > 0 ? { byteLength: slice.byteLength, parts: slice.regions } : nothing,
    }
    return diverging === undefined ? answer : { ...answer, divergingEpoch: diverging }
  }
}
