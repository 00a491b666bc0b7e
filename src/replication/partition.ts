/**
 * One partition of which this broker has a replica: its log, and what the broker is to it. As a leader it takes appends,
 * serves fetches, tells who waits; as a follower it takes what its leader has. In between, and while there is no leader,
 * it does neither, and whoever asks is told to look elsewhere.
 *
 * A partition whose only replica is this broker needs nothing of that: all that its log has is committed.
 *
 * `become` runs one at a time; who calls it (Replicas) sees to that.
 */
import { assert, ErrorCode, PagelogError } from '../base/index.ts'
import type { AppendResult, Log, ReplicatedAppend } from '../log/index.ts'
import { AppendOrder } from './append-order.ts'
import { effectiveMinIsr } from './election.ts'
import type { RevisedPartition } from './isr-store.ts'
import { Leader, type LeaderContext, type LedPartition } from './leader.ts'
import type { FollowerFetch } from './remote-replica.ts'
import { type ReplicationWait, ReplicationWaits } from './replication-waits.ts'
import { type EpochEnd, truncationOffset } from './truncation-point.ts'

/** What replication has to know of a topic's settings. */
export interface ReplicatedSettings {
  readonly minInsyncReplicas: number
}

/** Something that waits for a partition to grow, or for it to be over. */
export interface GrowthWait {
  /** The partition that it gave this slot has grown. */
  grew(slot: number): void
  /** Nothing is to be waited for here any more. */
  complete(): void
}

/** Something that wants to know of a partition as long as it asks for it: what a fetch session remembers. */
export interface PartitionWatch {
  /** The log has grown. */
  grew(): void
  /** What is committed moved, or who is in sync, or what this broker is to the partition. */
  moved(): void
}

export interface PartitionIdentity {
  readonly topic: string
  readonly topicId: string
  readonly index: number
}

const NO_LEADER: RevisedPartition = {
  leader: -1,
  leaderEpoch: -1,
  replicas: [],
  isr: [],
  elr: [],
  partitionEpoch: -1,
}

export class Partition<S extends ReplicatedSettings = ReplicatedSettings> implements LedPartition {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  settings: S
  readonly appendOrder = new AppendOrder()
  readonly #context: LeaderContext
  #log: Log
  /** As the cluster agreed, as far as it was applied here. */
  #state: RevisedPartition = NO_LEADER
  #leader: Leader | undefined
  #isFollower = false
  /** The state is known, and its role not taken on yet: it is given again where that failed. */
  #isBetween = false
  #deleted = false
  #failed = false
  /** Fetches of consumers, by slot: they see what is committed. */
  readonly #readers = new Map<GrowthWait, number>()
  /** Fetches of followers: they see all. */
  readonly #followers = new Map<GrowthWait, number>()
  readonly #watches = new Set<PartitionWatch>()
  readonly #waits = new ReplicationWaits()
  #stopListening: () => void

  constructor(identity: PartitionIdentity, log: Log, settings: S, context: LeaderContext) {
    this.topic = identity.topic
    this.topicId = identity.topicId
    this.index = identity.index
    this.settings = settings
    this.#log = log
    this.#context = context
    this.#stopListening = log.onAppend(() => this.#appended())
  }

  get log(): Log {
    return this.#log
  }
  /** True once the topic is being removed; whoever still holds the object answers as if it were unknown. */
  get deleted(): boolean {
    return this.#deleted
  }
  get state(): RevisedPartition {
    return this.#state
  }
  get leaderEpoch(): number {
    return this.#state.leaderEpoch
  }
  get leaderId(): number {
    return this.#state.leader
  }
  get isLeader(): boolean {
    return this.#leader !== undefined
  }
  /** What it is told of last is not taken on yet, or could not be. */
  get isBetween(): boolean {
    return this.#isBetween
  }
  get isFollower(): boolean {
    return this.#isFollower
  }
  /** Undefined unless this broker leads. */
  get leader(): Leader | undefined {
    return this.#leader
  }
  /** More than this broker has a replica, or had: the high watermark is to be remembered. */
  get isReplicated(): boolean {
    return this.#log.replica.committedOffset !== Number.POSITIVE_INFINITY
  }
  get highWatermark(): number {
    return this.#log.highWatermark
  }
  get waitingFetches(): number {
    return this.#readers.size + this.#followers.size
  }
  /** Appends that wait for followers. */
  get waitingAppends(): number {
    return this.#waits.size + (this.#leader?.lag.waiting ?? 0)
  }

  /** NONE, FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH for the epoch that a client believes in; -1 skips the check. */
  checkLeaderEpoch(epoch: number): number {
    if (epoch < 0 || epoch === this.leaderEpoch || !this.#context.rules.comparesLeaderEpochs) return ErrorCode.NONE
    return epoch < this.leaderEpoch ? ErrorCode.FENCED_LEADER_EPOCH : ErrorCode.UNKNOWN_LEADER_EPOCH
  }

  /** The same, and NOT_LEADER_OR_FOLLOWER where this broker does not lead. */
  checkLeader(epoch: number): number {
    if (this.#deleted) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if (this.#failed) return ErrorCode.KAFKA_STORAGE_ERROR
    const error = this.checkLeaderEpoch(epoch)
    return error === ErrorCode.NONE && this.#leader === undefined ? ErrorCode.NOT_LEADER_OR_FOLLOWER : error
  }

  /** Consumers are told the high watermark only once it has reached the leader's own epoch (reliability R3). */
  get isHighWatermarkKnown(): boolean {
    return this.#leader === undefined || this.highWatermark >= this.#leader.epochStart
  }

  /** Why an append that is to be on enough replicas is refused before it is made; NONE when it is not. */
  get refusalOfAll(): number {
    return this.inSyncCount < this.minIsr ? ErrorCode.NOT_ENOUGH_REPLICAS : ErrorCode.NONE
  }
  /** min.insync.replicas, or all replicas where there are fewer, as Kafka has it since KIP-966. */
  get minIsr(): number {
    return effectiveMinIsr(this.settings.minInsyncReplicas, this.#state.replicas)
  }
  get inSyncCount(): number {
    return (this.#leader?.isr ?? this.#state.isr).length
  }

  /** As `Log.appendBatch`. Requires that this broker leads. */
  append(batch: Uint8Array): Promise<AppendResult> {
    return this.#context.rules.append(this.#log, batch, this.leaderEpoch)
  }

  /**
   * Calls back once what lies before offset `wait.end`, appended in leader epoch `epoch`, is on enough replicas, or
   * leadership is over: under a later epoch other records may lie there.
   */
  awaitReplication(wait: ReplicationWait, epoch: number): void {
    if (this.#leader?.epoch !== epoch) wait.settled(this.#lostCode())
    else if (wait.end <= this.highWatermark) wait.settled(ErrorCode.NONE)
    else if (this.#leader.isUnderMinIsr) wait.settled(ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
    else this.#waits.add(wait)
  }

  /** Undefined while the followers in sync are near enough for an answer without them; else the place to wait for. */
  get placeTooFarAhead(): number | undefined {
    const lag = this.#leader?.lag
    return lag?.isReached ? lag.end : undefined
  }

  /** Calls back once followers are near enough to place `wait.end` of leader epoch `epoch`, or there are none to wait for. */
  awaitFollowers(wait: ReplicationWait, epoch: number): void {
    if (this.#leader?.epoch === epoch) this.#leader.awaitFollowers(wait)
    else wait.settled(ErrorCode.NONE)
  }

  stopAwaiting(wait: ReplicationWait): void {
    this.#waits.remove(wait)
    this.#leader?.lag.stopAwaiting(wait)
  }

  /** Bytes that a fetch from `offset` could get: at least 1 if there is anything, and else 0. About that many. */
  availableBytes(offset: number, isFollower = false): number {
    const { logEndOffset, logStartOffset, highWatermark } = this.#log
    const end = isFollower ? logEndOffset : highWatermark
    if (offset >= end || offset < logStartOffset) return 0
    const beyond = end < logEndOffset ? this.#log.availableBytes(end) : 0
    return Math.max(1, this.#log.availableBytes(offset) - beyond)
  }

  addWaiting(wait: GrowthWait, slot: number, isFollower = false): void {
    const waiting = isFollower ? this.#followers : this.#readers
    waiting.set(wait, slot)
  }

  removeWaiting(wait: GrowthWait): void {
    this.#readers.delete(wait)
    this.#followers.delete(wait)
  }

  watch(watch: PartitionWatch): void {
    this.#watches.add(watch)
  }

  unwatch(watch: PartitionWatch): void {
    this.#watches.delete(watch)
  }

  /** What this broker leads now is counted as followed by `replicaId` in that life, which is in sync. */
  isSettledFollower(replicaId: number, brokerEpoch: number): boolean {
    return this.#leader?.isSettled(replicaId, brokerEpoch) ?? false
  }

  /** A follower that was told of nothing new has asked for more at `monotonicMs`, before the log grew again. */
  followerStayed(replicaId: number, monotonicMs: number): void {
    this.#leader?.stayed(replicaId, monotonicMs)
  }

  /**
   * A follower has written up to there. False: it has no replica. It also leaves the ISR and comes back by that.
   * Requires that this broker leads.
   */
  followerFetched(fetch: FollowerFetch): boolean {
    return this.#leader?.fetched(fetch) ?? false
  }

  /** Where a follower whose last batch before `offset` has `epoch` parts from this log; undefined when it does not. */
  divergence(epoch: number, offset: number): EpochEnd | undefined {
    if (epoch < 0 || !this.#context.rules.comparesLastEpochs) return undefined
    const end = this.endOffsetFor(epoch)
    return end.epoch < epoch || end.endOffset < offset ? end : undefined
  }

  /** As `Log.endOffsetFor`. Of an only replica the log need not know the epochs that ended where it does. */
  endOffsetFor(epoch: number): EpochEnd {
    const end = this.#log.endOffsetFor(epoch)
    const isOwn = end.epoch < 0 && epoch >= 0 && epoch <= this.leaderEpoch
    return isOwn ? { epoch, endOffset: this.#log.logEndOffset } : end
  }

  /** Takes on the role that `state` gives this broker, after what is under way in the old one. */
  async become(state: RevisedPartition): Promise<void> {
    if (this.#deleted) return
    const { partitionEpoch } = this.#state
    if (this.#isBetween ? state.partitionEpoch < partitionEpoch : state.partitionEpoch <= partitionEpoch) return
    assert(state.leaderEpoch >= this.leaderEpoch, 'a leader epoch went back')
    if (this.#failed) {
      this.#state = state
      return
    }
    const { nodeId } = this.#context
    if (state.leaderEpoch === this.leaderEpoch && state.leader === this.leaderId && !this.#isBetween) {
      this.#state = state
      this.#leader?.isrChanged(state)
      return
    }
    this.#isBetween = true
    this.#leave(state)
    await this.#takeOn(state, nodeId)
    if (this.#state === state) this.#isBetween = false
  }

  async #takeOn(state: RevisedPartition, nodeId: number): Promise<void> {
    if (state.leader === nodeId && state.replicas.length === 1 && !this.isReplicated) return this.#lead(state, 0)
    if (state.replicas.length > 1 && !this.isReplicated) this.#log.replica.commitTo(this.#log.logEndOffset)
    if (state.leader === nodeId) {
      const epochStart = await this.#log.replica.begin(state.leaderEpoch)
      if (this.#state === state && !this.#isOver) this.#lead(state, epochStart)
    } else {
      await this.#log.replica.follow()
      const kept = this.#context.rules.keptToFollow(this.#log)
      if (kept < this.#log.logEndOffset) await this.#log.truncateTo(kept)
      if (this.#state === state && !this.#isOver) this.#isFollower = state.leader >= 0
    }
  }

  /** Says what was known to be committed when this broker was here last. Before the first `become`. */
  restore(highWatermark: number): void {
    this.#log.replica.commitTo(Math.max(this.#log.logStartOffset, Math.min(highWatermark, this.#log.logEndOffset)))
  }

  /** Called now and then while it leads. */
  check(): void {
    this.#leader?.check()
  }

  /** The topic has other settings: more may be committed now, or nothing any more. */
  settingsChanged(settings: S): void {
    this.settings = settings
    if (this.#leader === undefined) return
    this.#leader.advance()
    this.leaderChanged()
  }

  /** As a follower in `epoch`: appends whole batches as the leader has them, see LogReplica. */
  appendAsFollower(epoch: number, bytes: Uint8Array): ReplicatedAppend | undefined {
    this.assertFollows(epoch)
    return this.#log.replica.append(bytes, epoch)
  }

  /** As a follower in `epoch`: what the leader says of its own. A follower's high watermark does not go back. */
  leaderTold(epoch: number, highWatermark: number): void {
    if (!this.#isFollower || epoch !== this.leaderEpoch) return
    const { replica, logEndOffset } = this.#log
    const known = Math.min(highWatermark, logEndOffset)
    if (known > replica.committedOffset) replica.commitTo(known)
  }

  /**
   * As a follower in `epoch`: gives up what parts from the leader, which says where the last epoch that it shares with us,
   * as far as it can tell, ended there. Another round may be needed. By epochs alone, never by the high watermark (R1).
   */
  async truncate(epoch: number, end: EpochEnd): Promise<void> {
    this.assertFollows(epoch)
    const { logEndOffset, logStartOffset } = this.#log
    const offset = truncationOffset(this.#log.endOffsetFor(end.epoch), end, logEndOffset)
    await this.truncateTo(epoch, Math.max(offset, logStartOffset))
  }

  async truncateTo(epoch: number, offset: number): Promise<void> {
    this.assertFollows(epoch)
    const { replica, logEndOffset: former } = this.#log
    const isLoss = replica.committedOffset > offset
    // Before the cut: what takes the place of these records is not committed because they were.
    replica.uncommit(offset)
    if (isLoss) {
      await this.#context.lowered?.(this)
      this.assertFollows(epoch)
    }
    const end = await this.#log.truncateTo(offset)
    replica.uncommit(end)
    if (!isLoss) return
    const { topic, index: partition } = this
    const message = 'committed records were cut: an unclean leader lacks them'
    this.#context.logger.warn({ topic, partition, former, end }, message)
  }

  /** Another log takes the place of this one, which does not join its leader's and is gone. Not while this broker leads. */
  replaceLog(log: Log): void {
    assert(this.#leader === undefined, 'a log that is led is not replaced')
    this.#stopListening()
    this.#log = log
    this.#stopListening = log.onAppend(() => this.#appended())
    log.replica.commitTo(log.logStartOffset)
  }

  /** Ends every wait; the fetches then find the partition unknown. */
  markDeleted(): void {
    this.#deleted = true
    this.#stopListening()
    this.#leave(this.#state)
  }

  /** The log failed: nothing is led, followed or acknowledged here until a restart (reliability L5). */
  markFailed(): void {
    if (this.#isOver) return
    this.#failed = true
    this.#stopListening()
    this.#leave(this.#state)
  }

  /**
   * The cluster declared this broker dead: what others can lead it leads no more, until it is told of a later state. It is
   * told of one, because whoever registers again gives up what it led before.
   */
  suspend(): void {
    if (this.leaderId !== this.#context.nodeId || this.#state.replicas.length === 1 || this.#isOver) return
    this.#isBetween = false
    // Another object, so that a change of roles that is under way finds that it is out of date.
    this.#leave({ ...this.#state })
  }

  leaderChanged(): void {
    this.#waits.advanced(this.highWatermark, ErrorCode.NONE)
    if (this.#leader?.isUnderMinIsr) this.#waits.end(ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
    for (const [wait, slot] of this.#readers) wait.grew(slot)
    for (const watch of this.#watches) watch.moved()
  }

  #lead(state: RevisedPartition, epochStart: number): void {
    this.#state = state
    this.#leader = new Leader(this.#context, this, state, epochStart)
    this.#leader.advance()
    this.leaderChanged()
  }

  /** Nobody is told anything under the old role any more. */
  #leave(state: RevisedPartition): void {
    this.#isFollower = false
    this.#state = state
    // Nothing is acknowledged once the disk failed (reliability L5).
    this.#leader?.end(this.#failed ? ErrorCode.KAFKA_STORAGE_ERROR : ErrorCode.NONE)
    this.#leader = undefined
    this.#waits.end(this.#context.rules.answerOfLost(this.#lostCode()))
    for (const wait of [...this.#readers.keys(), ...this.#followers.keys()]) wait.complete()
    for (const watch of this.#watches) watch.moved()
  }

  #lostCode(): number {
    if (this.#deleted) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return this.#failed ? ErrorCode.KAFKA_STORAGE_ERROR : ErrorCode.NOT_LEADER_OR_FOLLOWER
  }

  get #isOver(): boolean {
    return this.#deleted || this.#failed
  }

  /** Throws PAGELOG_REFUSED unless this broker follows in that leader epoch. */
  assertFollows(epoch: number): void {
    if (this.#isFollower && epoch === this.leaderEpoch && !this.#deleted) return
    throw new PagelogError('PAGELOG_REFUSED', `this broker does not follow in leader epoch ${epoch}`, {
      kafkaCode: ErrorCode.NOT_LEADER_OR_FOLLOWER,
    })
  }

  #appended(): void {
    if (this.isReplicated) this.#leader?.advance()
    else for (const [wait, slot] of this.#readers) wait.grew(slot)
    for (const [wait, slot] of this.#followers) wait.grew(slot)
    for (const watch of this.#watches) watch.grew()
  }
}
