/**
 * The leader's side of one partition, for one leader epoch: how far each follower is, who is in sync, how far the log is
 * committed.
 *
 * - The high watermark is what every member of the *maximal ISR* has written: the committed ISR and whoever the leader
 *   has proposed to add. A member that has not fetched in this epoch holds it back (reliability R3).
 * - It stands still while the committed ISR is below min.insync.replicas (strict min ISR, KIP-966), so whoever leaves
 *   the ISR then misses nothing that was acknowledged and stays eligible (ELR). It also stands still while anybody is:
 *   once enough are in sync, however that came about, the leader first writes that nobody is eligible any more.
 * - Alone in the ISR, a leader that was replaced without knowing it could commit by itself. So it commits only while its
 *   lease says that nobody can have declared it dead (R9).
 * - A proposal is one compare-and-set. Refused: the committed ISR holds. Outcome unknown: the maximal ISR holds until the
 *   store tells a later partition epoch, and the same proposal is made again meanwhile; only one of them can succeed,
 *   because each compares the same revision (R5).
 */
import { ErrorCode, hasCode, type Logger, surfaceInvariant } from '../base/index.ts'
import type { Clock, Timer } from '../env/index.ts'
import type { Log } from '../log/index.ts'
import { effectiveMinIsr } from './election.ts'
import type { IsrChange, IsrStore, RevisedPartition } from './isr-store.ts'
import { LagBound } from './lag-bound.ts'
import { type FollowerFetch, RemoteReplica } from './remote-replica.ts'
import type { ReplicationRules } from './replication-rules.ts'
import type { ReplicationWait } from './replication-waits.ts'

/** What a leader has to know of the world. One for all partitions of a broker. */
export interface LeaderContext {
  readonly nodeId: number
  readonly clock: Clock
  readonly logger: Logger
  readonly isrStore: IsrStore
  readonly replicaLagTimeMaxMs: number
  readonly replicaLagMaxBytes: number
  readonly replicaFetchWaitMaxMs: number
  readonly rules: ReplicationRules
  /** A registered broker as the leader's image knows it; undefined for one that is not. */
  broker(id: number): RegisteredBroker | undefined
  /** Of this broker's registration as it knows it itself; 0 while it has none. */
  ownEpoch(): number
  /** Whether nobody can have declared this broker dead. */
  leaseValid(): boolean
  /** Resolves when no later life of this broker can take more than the high watermark of now for committed. */
  lowered?(partition: Pick<LedPartition, 'log'>): Promise<void>
}

/** One life of a broker. */
export interface RegisteredBroker {
  readonly epoch: number
  /** Of what its registration says. */
  readonly modRevision: number
  readonly leaving?: boolean | undefined
}

/** The partition that is led. */
export interface LedPartition {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  readonly log: Log
  readonly settings: { readonly minInsyncReplicas: number }
  /** The high watermark or the ISR moved. */
  leaderChanged(): void
}

/** Between two tries of a proposal. */
const RETRY_MS = 250
/** A follower asks again after each replica.fetch.wait.max.ms at the latest; one that has not for so many is away. */
const SILENT_WAITS = 2

export class Leader {
  readonly epoch: number
  /** Where the epoch began: what lies before was appended under earlier leaders. */
  readonly epochStart: number
  /** How far it may be ahead of those in sync. */
  readonly lag: LagBound
  readonly #context: LeaderContext
  readonly #led: LedPartition
  readonly #remotes = new Map<number, RemoteReplica>()
  #state: RevisedPartition
  /** Committed and proposed. */
  #maximalIsr: readonly number[]
  #proposing = false
  /** Monotonic: a refused proposal is not made again at once. */
  #notBeforeMs = Number.NEGATIVE_INFINITY
  #ended = false
  #later: Timer | undefined
  #lagTimer: Timer | undefined
  readonly #silentMs: number
  #retry: { readonly timer: Timer; readonly wake: () => void } | undefined

  constructor(context: LeaderContext, led: LedPartition, state: RevisedPartition, epochStart: number) {
    this.#context = context
    this.#led = led
    this.#state = state
    this.epoch = state.leaderEpoch
    this.epochStart = epochStart
    this.#maximalIsr = state.isr
    this.lag = new LagBound(led.log, context.replicaLagMaxBytes)
    this.#silentMs = SILENT_WAITS * context.replicaFetchWaitMaxMs
    this.#followReplicas()
  }

  get isr(): readonly number[] {
    return this.#state.isr
  }
  get maximalIsr(): readonly number[] {
    return this.#maximalIsr
  }
  get partitionEpoch(): number {
    return this.#state.partitionEpoch
  }

  /** Where the followers are, as far as they have told in this epoch. */
  followers(): IterableIterator<RemoteReplica> {
    return this.#remotes.values()
  }

  /** Fewer than min.insync.replicas are in sync: nothing is committed. */
  get isUnderMinIsr(): boolean {
    const { isr, replicas } = this.#state
    return isr.length < effectiveMinIsr(this.#led.settings.minInsyncReplicas, replicas)
  }

  /** A newer state of the same leader epoch. */
  isrChanged(state: RevisedPartition): void {
    if (this.#ended || state.leaderEpoch !== this.epoch || state.partitionEpoch <= this.#state.partitionEpoch) return
    this.#state = state
    this.#maximalIsr = state.isr
    this.#proposing = false
    this.#retry?.wake()
    this.#followReplicas()
    this.advance()
    this.#led.leaderChanged()
  }

  /** A follower says how far it is. False: it is no replica of this partition. */
  fetched(fetch: FollowerFetch): boolean {
    const remote = this.#remotes.get(fetch.replicaId)
    if (remote === undefined) return false
    // One of another life of the broker, or of one that is not registered: it may have the records and counts for nothing.
    if (this.#context.broker(fetch.replicaId)?.epoch !== fetch.brokerEpoch) return true
    const before = remote.logEndOffset
    remote.fetched(fetch, this.#led.log.logEndOffset, this.#context.clock.monotonicMs())
    if (!this.#maximalIsr.includes(remote.id)) this.#expand(remote)
    if (before === remote.logEndOffset) return true
    remote.place = this.lag.placeOf(remote.logEndOffset)
    this.#boundLag()
    this.advance()
    return true
  }

  /** In sync, and counted under that broker epoch: what it says changes nothing but how far it is. */
  isSettled(replicaId: number, brokerEpoch: number): boolean {
    return this.isr.includes(replicaId) && this.#remotes.get(replicaId)?.brokerEpoch === brokerEpoch
  }

  /** It has asked again at `monotonicMs`, when the log was still as it was at its last fetch. */
  stayed(replicaId: number, monotonicMs: number): void {
    this.#remotes.get(replicaId)?.stayed(monotonicMs)
  }

  /** Moves the high watermark as far as it may. */
  advance(): void {
    if (this.#ended || this.isUnderMinIsr) return
    if (this.#state.elr.length > 0) {
      this.#clearEligible()
      return
    }
    const { log } = this.#led
    let committed = log.logEndOffset
    for (const id of this.#maximalIsr) {
      const remote = this.#remotes.get(id)
      if (remote !== undefined && remote.logEndOffset < committed) committed = remote.logEndOffset
    }
    if (committed <= log.replica.committedOffset) return
    const isAlone = this.#maximalIsr.length === 1 && this.#remotes.size > 0
    if (isAlone && !this.#context.rules.commitsAlone(this.#context.leaseValid())) {
      this.#advanceLater()
    } else {
      log.replica.commitTo(committed)
      this.#led.leaderChanged()
    }
  }

  /**
   * The eligible have what was committed while there were too few in sync, and nothing that is committed from now on. An
   * ISR that became large enough by a member leaves nobody eligible by that; one that min.insync.replicas came down to does
   * by this.
   */
  #clearEligible(): void {
    if (this.#proposing) return
    const isTooSoon = this.#context.clock.monotonicMs() < this.#notBeforeMs
    if (isTooSoon || !this.#propose(this.isr, [])) this.#advanceLater()
  }

  /** The lease is kept alive again, this broker is registered again, or somebody else leads soon. */
  #advanceLater(): void {
    this.#later ??= this.#context.clock.after(RETRY_MS, () => {
      this.#later = undefined
      this.advance()
    })
  }

  /** Called now and then: who has not kept up for replica.lag.time.max.ms leaves the ISR. */
  check(): void {
    if (this.#ended || this.#remotes.size === 0) return
    this.advance()
    if (this.#proposing) return
    const { clock, replicaLagTimeMaxMs } = this.#context
    const nowMs = clock.monotonicMs()
    const end = this.#led.log.logEndOffset
    const kept = this.isr.filter((id) => !this.#remotes.get(id)?.isBehind(end, replicaLagTimeMaxMs, nowMs))
    if (kept.length < this.isr.length) this.#propose(kept, [])
  }

  /** Leadership is over. What waits for followers to come nearer is told that code: it was appended. */
  end(errorCode: number = ErrorCode.NONE): void {
    this.#ended = true
    this.lag.lift(errorCode)
    this.#retry?.wake()
    this.#later?.cancel()
    this.#lagTimer?.cancel()
  }

  #followReplicas(): void {
    const { nodeId, clock } = this.#context
    const { replicas } = this.#state
    for (const id of this.#remotes.keys()) if (!replicas.includes(id)) this.#remotes.delete(id)
    for (const id of replicas) {
      if (id === nodeId || this.#remotes.has(id)) continue
      this.#remotes.set(id, new RemoteReplica(id, clock.monotonicMs(), this.lag.end))
    }
    this.#boundLag()
  }

  /** Calls back when followers in sync are near enough to place `wait.end`, or away. */
  awaitFollowers(wait: ReplicationWait): void {
    this.lag.await(wait)
    if (this.lag.waiting > 0) this.#boundAgain()
  }

  /** Nothing tells that a follower has become silent. */
  #boundAgain(): void {
    this.#lagTimer ??= this.#context.clock.after(this.#silentMs / 2, () => {
      this.#lagTimer = undefined
      this.#boundLag()
      if (this.lag.waiting > 0) this.#boundAgain()
    })
  }

  /** One that is away is not slow: nobody is held up until its session or its time in the ISR is over. */
  #boundLag(): void {
    let slowest = Number.POSITIVE_INFINITY
    const nowMs = this.#context.clock.monotonicMs()
    for (const id of this.isr) {
      const remote = this.#remotes.get(id)
      if (remote === undefined || remote.isSilent(this.#silentMs, nowMs)) continue
      if (remote.place < slowest) slowest = remote.place
    }
    this.lag.slowestAt(slowest)
  }

  /** Adds a follower that has all that is committed, and all of earlier epochs, under the broker epoch it has now (R4). */
  #expand(remote: RemoteReplica): void {
    if (this.#proposing || this.#ended || this.#context.clock.monotonicMs() < this.#notBeforeMs) return
    const { logEndOffset, brokerEpoch, id } = remote
    const { log } = this.#led
    if (logEndOffset < log.highWatermark || logEndOffset < this.epochStart) return
    const broker = this.#context.broker(id)
    // One that is about to close was taken out just now (KIP-841).
    if (broker?.epoch !== brokerEpoch || broker.leaving === true) return
    this.#propose([...this.isr, id], [id])
  }

  /** False: nothing can be proposed now. */
  #propose(isr: readonly number[], added: readonly number[]): boolean {
    const change = this.#changeTo(isr, added)
    if (change === undefined) return false
    this.#proposing = true
    this.#maximalIsr = added.length > 0 ? isr : this.isr
    void this.#makeChange(change)
    return true
  }

  async #makeChange(first: IsrChange): Promise<void> {
    let change = first
    const { partitionEpoch } = change
    const former = this.isr
    const isOpen = (): boolean => !this.#ended && this.#proposing && this.#state.partitionEpoch === partitionEpoch
    let isUnknown = false
    while (isOpen()) {
      try {
        const { changed, state } = await this.#context.isrStore.change(change)
        if (changed) this.#tell('the in-sync replicas changed', { isr: change.isr, former })
        if (!isOpen()) return
        // Refused for a state that is not known here: the cluster image will tell it.
        if (state !== undefined) this.isrChanged(state)
        if (!isOpen()) return
        if (!isUnknown) return this.#rollBack()
        // A broker has another life, so nothing can be added. A write of what is there voids what may be on its way.
        change = this.#changeTo(this.isr, []) ?? change
      } catch (error) {
        surfaceInvariant(error)
        // Closed, the store is never asked again: what may have been done holds to the end.
        if (!isOpen() || hasCode(error, 'PAGELOG_CLOSED')) return
        isUnknown ||= !hasCode(error, 'PAGELOG_METADATA_UNREACHABLE')
        if (!isUnknown) return this.#rollBack()
        this.#tell('it is not known whether the in-sync replicas changed', { isr: change.isr, error })
      }
      await this.#pause()
    }
  }

  /** Undefined while this broker or one that is added is not registered, or the image shows another life of ours. */
  #changeTo(isr: readonly number[], added: readonly number[]): IsrChange | undefined {
    const { nodeId: leader } = this.#context
    const { topicId, index, settings } = this.#led
    const { leaderEpoch, partitionEpoch, replicas } = this.#state
    if (this.#context.broker(leader)?.epoch !== this.#context.ownEpoch()) return undefined
    const brokerEpochs = new Map<number, number>()
    const brokerRevisions = new Map<number, number>()
    for (const id of [leader, ...added]) {
      const broker = this.#context.broker(id)
      if (broker === undefined) return undefined
      brokerEpochs.set(id, broker.epoch)
      if (id !== leader) brokerRevisions.set(id, broker.modRevision)
    }
    const minIsr = effectiveMinIsr(settings.minInsyncReplicas, replicas)
    const decidedOn = { topicId, index, leader, leaderEpoch, partitionEpoch, known: this.#state }
    return { ...decidedOn, isr, minIsr, brokerEpochs, brokerRevisions }
  }

  #tell(message: string, fields: object): void {
    const { topic, index: partition } = this.#led
    this.#context.logger.info({ topic, partition, ...fields }, message)
  }

  #rollBack(): void {
    this.#proposing = false
    this.#maximalIsr = this.isr
    this.#notBeforeMs = this.#context.clock.monotonicMs() + RETRY_MS
    this.advance()
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel()
        this.#retry = undefined
        resolve()
      }
      const timer = this.#context.clock.after(RETRY_MS, done)
      this.#retry = { timer, wake: done }
    })
  }
}
