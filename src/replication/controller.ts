/**
 * The controller: one broker of the cluster, which elects the leaders of partitions when brokers come, go or are about to
 * leave. It is elected itself by creating the key `controller` on its registration's lease. The key's create revision is
 * its fencing token: every write is made on the condition that the key is still the one it created, so one that was
 * paused and replaced cannot do anything any more (reliability §5.2). It steps down at once when that condition fails or
 * its lease is lost.
 *
 * It keeps no plan across an await: what is touched is looked at again in the image, and what has to change is written
 * by comparing the partition's revision. A refusal, an unknown outcome or a successor's view of half the work are all
 * made good the same way, by looking again.
 */
import { ErrorCode, hasCode, type Logger, Mutex } from '../base/index.ts'
import type { Clock, Timer } from '../env/index.ts'
import {
  abandonTopic,
  brokerKey,
  type ClusterImage,
  type Compare,
  controllerKey,
  type ImageChange,
  type MetadataStore,
  type PartitionState,
  type PartitionValue,
  type TopicState,
} from '../metadata/index.ts'
import type { BrokerRegistration } from './broker-registration.ts'
import { type ElectionRules, isUpToSuspects, preferred, settled } from './election.ts'
import { type PartitionWrite, writePartitions } from './partition-writes.ts'

const RETRY_MS_MIN = 20
const RETRY_MS_MAX = 2000
/** On request: leaders change their ISR at the same time. */
const ELECTION_ATTEMPTS = 5
/** Partitions looked at in one turn of the event loop. */
const SLICE = 500
/** Machines that lost their power together come back one after the other: so long is waited for suspects that are away. */
const SUSPECTS_PATIENCE_MS = 30_000

export interface TopicRules {
  readonly minInsyncReplicas: number
  readonly uncleanLeaderElection: boolean
}

export interface ControllerOptions {
  readonly store: MetadataStore
  readonly image: ClusterImage
  readonly clock: Clock
  readonly logger: Logger
  readonly nodeId: number
  readonly registration: Pick<BrokerRegistration, 'leaseId' | 'incarnation' | 'onFenced' | 'onRegistered'>
  readonly rulesOf: (topic: TopicState) => TopicRules
  /** How often leadership goes back to preferred leaders; undefined for never. */
  readonly balanceMs?: number | undefined
}

export interface ControllerCounters {
  elections: number
  uncleanElections: number
  changes: number
}

/** One partition of a request to elect leaders. */
export interface ElectionTarget {
  readonly topic: string
  readonly index: number
}

type Decide = (partition: PartitionState, rules: ElectionRules) => PartitionValue | undefined

export class Controller {
  readonly counters: ControllerCounters = { elections: 0, uncleanElections: 0, changes: 0 }
  readonly #options: ControllerOptions
  /** Create revision of the key that this broker holds; 0 while it is not the controller. */
  #token = 0
  /** What to look at: everything, or these indexes by topic id. */
  #everything = false
  #touched = new Map<string, Set<number>>()
  #balanceDue = false
  /** Runs while a partition waits for suspects that are away. */
  #patience: Timer | undefined
  #patienceIsOver = false
  readonly #writing = new Mutex()
  #working: Promise<void> | undefined
  #campaigning: Promise<void> | undefined
  readonly #undo: (() => void)[] = []
  #retry: { readonly timer: Timer; readonly wake: () => void } | undefined
  #closed = false

  constructor(options: ControllerOptions) {
    this.#options = options
  }

  /** Begins to stand for election. */
  start(): void {
    const { image, registration, clock, balanceMs } = this.#options
    this.#undo.push(
      image.onChange((change) => this.#changed(change)),
      registration.onFenced(() => this.#stepDown('its lease was lost')),
      registration.onRegistered(() => this.#campaign()),
    )
    if (balanceMs !== undefined) {
      const timer = clock.every(balanceMs, () => this.#balance())
      this.#undo.push(() => timer.cancel())
    }
    if (image.controller === undefined) this.#campaign()
  }

  get isActive(): boolean {
    return this.#token !== 0
  }

  /** The epoch of this controller; 0 while it is none. */
  get epoch(): number {
    return this.#token
  }

  /** Resolves when nothing is left to do now. */
  async idle(): Promise<void> {
    while (this.#working || this.#campaigning) await (this.#working ?? this.#campaigning)
  }

  /** Elects leaders on request; an error code for each target, in their order. Rejects as the store does. */
  async elect(kind: 'preferred' | 'unclean', targets: readonly ElectionTarget[]): Promise<number[]> {
    return await this.#writing.run(async () => {
      const codes = new Map<ElectionTarget, number>()
      let left = targets
      for (let attempt = 0; attempt < ELECTION_ATTEMPTS && left.length > 0; attempt++) {
        left = await this.#electOnce(kind, left, codes)
      }
      for (const target of left) codes.set(target, ErrorCode.REQUEST_TIMED_OUT)
      return targets.map((target) => codes.get(target)!)
    })
  }

  /** Notes what became of each target; those that somebody else changed meanwhile are left. */
  async #electOnce(
    kind: 'preferred' | 'unclean',
    targets: readonly ElectionTarget[],
    codes: Map<ElectionTarget, number>,
  ): Promise<ElectionTarget[]> {
    const { image, store } = this.#options
    // Whoever asks may know more than our image does: a broker that it saw come back is in sync here, too.
    await image.reached((await store.get(controllerKey)).revision)
    const writes = new Map<ElectionTarget, PartitionWrite>()
    for (const target of targets) {
      const decided = this.#token === 0 ? ErrorCode.NOT_CONTROLLER : this.#decideOn(kind, target)
      if (typeof decided !== 'number') writes.set(target, decided)
      codes.set(target, typeof decided === 'number' ? decided : ErrorCode.NONE)
    }
    const { fenced, refused, revision } = await this.#write([...writes.values()])
    await image.reached(revision)
    if (!fenced) return targets.filter((target) => refused.includes(writes.get(target)!))
    for (const target of writes.keys()) codes.set(target, ErrorCode.NOT_CONTROLLER)
    return []
  }

  /** Stops; what it wrote last has arrived. The end of the registration's lease lets another broker be elected. */
  async close(): Promise<void> {
    this.#closed = true
    for (const undo of this.#undo) undo()
    this.#retry?.timer.cancel()
    this.#retry?.wake()
    this.#patience?.cancel()
    await this.#campaigning
    this.#token = 0
    await this.#working
  }

  #changed(change: ImageChange): void {
    const { image } = this.#options
    if (change.controller) {
      if (this.#token !== 0 && change.revision > this.#token && image.controller?.epoch !== this.#token) {
        this.#stepDown('another one was elected')
      }
      if (image.controller === undefined) this.#campaign()
    }
    if (this.#token === 0) return
    // Touched partitions are among them.
    if (change.brokers.size > 0) this.#everything = true
    for (const [id, indexes] of change.partitions) this.#touch(id, indexes)
    for (const name of change.topics) {
      const topic = image.topic(name)
      // Other settings, the same partitions.
      if (topic && !change.partitions.has(topic.id)) this.#touch(topic.id, topic.partitions.keys())
    }
    this.#work()
  }

  #touch(topicId: string, indexes: Iterable<number>): void {
    if (this.#everything) return
    const known = this.#touched.get(topicId)
    if (known) for (const index of indexes) known.add(index)
    else this.#touched.set(topicId, new Set(indexes))
  }

  #balance(): void {
    if (this.#token === 0) return
    this.#balanceDue = true
    this.#work()
  }

  #campaign(): void {
    if (this.#closed || this.#token !== 0) return
    this.#campaigning ??= this.#standForElection().finally(() => {
      this.#campaigning = undefined
    })
  }

  async #standForElection(): Promise<void> {
    const { registration, image, logger } = this.#options
    let delayMs = RETRY_MS_MIN
    for (;;) {
      const lease = registration.leaseId
      if (this.#closed || lease === undefined) return
      try {
        if (await this.#tryToBeElected(lease)) return
        // Somebody has it; unless that one is gone again, its end will be told.
        if (image.controller !== undefined) return
      } catch (error) {
        if (hasCode(error, 'PAGELOG_CLOSED')) return
        if (hasCode(error, 'PAGELOG_LEASE_LOST')) {
          // It stands again when it is registered again; that may have been while it asked.
          if (registration.leaseId === lease) return
          continue
        }
        logger.warn({ error }, 'standing for election as the controller failed, tried again')
        await this.#pause(delayMs)
        delayMs = Math.min(RETRY_MS_MAX, 2 * delayMs)
      }
    }
  }

  async #tryToBeElected(lease: string): Promise<boolean> {
    const { store, image, nodeId, registration } = this.#options
    // The lease tells, after an unknown outcome, that it was this process in this standing.
    const value = JSON.stringify({ id: nodeId, lease })
    let revision = 0
    let token = 0
    try {
      const absent = { key: controllerKey, field: 'createRevision', equals: 0 } as const
      const result = await store.transact([absent], [{ type: 'put', key: controllerKey, value, lease }])
      if (result.succeeded) token = revision = result.revision
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_OUTCOME_UNKNOWN')) throw error
    }
    // Also when it was refused: the key may be of an earlier attempt, which nobody could be asked about then.
    if (token === 0) {
      const found = await store.get(controllerKey)
      revision = found.revision
      if (found.pair?.value === value) token = found.pair.createRevision
    }
    await image.reached(revision)
    if (token === 0 || this.#closed || registration.leaseId !== lease) return false
    this.#begin(token)
    return this.isActive
  }

  #begin(token: number): void {
    const { image, logger } = this.#options
    // Long ago, for all that the image knows: somebody else may be it by now.
    if (image.controller?.epoch !== token) return
    this.#token = token
    this.#everything = true
    // Of a broker by itself that is no news.
    const level = image.brokers.size > 1 ? 'info' : 'debug'
    logger[level]({ controllerEpoch: token }, 'this broker is the controller now')
    this.#work()
  }

  #stepDown(why: string): void {
    if (this.#token === 0) return
    this.#options.logger.warn({ controllerEpoch: this.#token, why }, 'this broker is no longer the controller')
    this.#token = 0
    this.#everything = false
    this.#touched.clear()
    this.#patience?.cancel()
    this.#patience = undefined
    this.#patienceIsOver = false
  }

  #work(): void {
    this.#working ??= this.#workUntilDone().finally(() => {
      this.#working = undefined
      if (this.#token !== 0 && this.#hasWork) this.#work()
    })
  }

  get #hasWork(): boolean {
    return this.#everything || this.#touched.size > 0 || this.#balanceDue
  }

  async #workUntilDone(): Promise<void> {
    const { logger } = this.#options
    let delayMs = RETRY_MS_MIN
    while (this.#token !== 0 && this.#hasWork) {
      try {
        await this.#writing.run(() => this.#workOnce())
        delayMs = RETRY_MS_MIN
      } catch (error) {
        if (hasCode(error, 'PAGELOG_CLOSED')) return
        logger.warn({ error }, 'the controller could not write, tried again')
        this.#everything = true
        await this.#pause(delayMs)
        delayMs = Math.min(RETRY_MS_MAX, 2 * delayMs)
      }
    }
  }

  async #workOnce(): Promise<void> {
    const { store, image } = this.#options
    await this.#abandonOrphans()
    const writes = await this.#plan()
    if (writes.length === 0 || this.#token === 0) return
    const { fenced, refused, revision } = await this.#write(writes)
    if (fenced) return
    // What was decided on was out of date: look again when the image is not.
    if (refused.length > 0) await image.reached((await store.get(controllerKey)).revision)
    else await image.reached(revision)
    for (const { topicId, index } of refused) this.#touch(topicId, [index])
  }

  async #abandonOrphans(): Promise<void> {
    if (!this.#everything) return
    const { store, image, logger } = this.#options
    for (const id of image.orphans()) {
      await abandonTopic(store, id)
      logger.info({ topicId: id }, 'removed what an interrupted creation of a topic had left behind')
    }
  }

  /**
   * What has to change, as far as the image tells. It may change between two slices: then what was decided on is found to
   * be out of date when it is written, and what changed is looked at again.
   */
  async #plan(): Promise<PartitionWrite[]> {
    const { image, clock } = this.#options
    const [everything, touched, balance] = [this.#everything, this.#touched, this.#balanceDue]
    this.#everything = false
    this.#touched = new Map()
    this.#balanceDue = false
    const decide: Decide = balance
      ? (partition, rules) => settled(partition, rules) ?? preferred(partition, rules)
      : settled
    const all = everything || balance
    const ids = all ? image.topics().map(({ id }) => id) : [...touched.keys()]
    const writes: PartitionWrite[] = []
    let looked = 0
    for (const id of ids) {
      const indexes = all ? image.topicById(id)?.partitions.keys() : touched.get(id)
      for (const index of indexes ?? []) {
        this.#planOne(id, index, decide, writes)
        if (++looked % SLICE === 0) await new Promise<void>((resolve) => clock.soon(resolve))
      }
    }
    if (all) this.#patienceIsOver = false
    return writes
  }

  #planOne(topicId: string, index: number, decide: Decide, writes: PartitionWrite[]): void {
    const topic = this.#options.image.topicById(topicId)
    const partition = topic?.partitions[index]
    if (!topic || !partition) return
    const next = decide(partition, this.#rulesOf(topic))
    if (next) writes.push(this.#writeOf(topic, partition, next))
    if (isUpToSuspects(next ?? partition)) this.#bePatient()
  }

  #bePatient(): void {
    this.#patience ??= this.#options.clock.after(SUSPECTS_PATIENCE_MS, () => {
      this.#patience = undefined
      if (this.#token === 0) return
      this.#patienceIsOver = true
      this.#everything = true
      this.#work()
    })
  }

  #decideOn(kind: 'preferred' | 'unclean', { topic: name, index }: ElectionTarget): PartitionWrite | number {
    const { image } = this.#options
    const topic = image.topic(name)
    const partition = topic?.partitions[index]
    if (!topic || !partition) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    const rules = this.#rulesOf(topic)
    if (kind === 'preferred') {
      if (partition.leader === partition.replicas[0]) return ErrorCode.ELECTION_NOT_NEEDED
      const next = preferred(partition, rules)
      return next ? this.#writeOf(topic, partition, next) : ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE
    }
    if (rules.alive(partition.leader)) return ErrorCode.ELECTION_NOT_NEEDED
    const next = settled(partition, { ...rules, unclean: true })
    return next && next.leader !== -1 ? this.#writeOf(topic, partition, next) : ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
  }

  #rulesOf(topic: TopicState): ElectionRules {
    const { image, rulesOf } = this.#options
    const { minInsyncReplicas, uncleanLeaderElection } = rulesOf(topic)
    const { brokers } = image
    return {
      minInsyncReplicas,
      unclean: uncleanLeaderElection,
      patient: !this.#patienceIsOver,
      alive: (id) => brokers.has(id),
      life: (id) => brokers.get(id)?.incarnation,
      leaving: (id) => brokers.get(id)?.leaving === true,
    }
  }

  /** A new leader must still be the registered broker that it was when it was chosen, and not be about to leave since. */
  #writeOf(topic: TopicState, partition: PartitionState, next: PartitionValue): PartitionWrite {
    const { image } = this.#options
    const { index, modRevision } = partition
    const elected = next.leader !== -1 && next.leaderEpoch > partition.leaderEpoch
    const revision = image.brokers.get(next.leader)?.modRevision ?? 0
    const provided: Compare = { key: brokerKey(next.leader), field: 'modRevision', equals: revision }
    if (elected) this.#countElection(topic, partition, next)
    return { topicId: topic.id, index, modRevision, next, ...(elected ? { provided } : {}) }
  }

  #countElection(topic: TopicState, before: PartitionState, next: PartitionValue): void {
    this.counters.elections++
    if (before.isr.includes(next.leader) || before.elr.includes(next.leader)) return
    this.counters.uncleanElections++
    const { index: partition } = before
    this.#options.logger.warn(
      { topic: topic.name, partition, leader: next.leader },
      'elected a leader that was not in sync: acknowledged records may be lost',
    )
  }

  async #write(writes: readonly PartitionWrite[]): ReturnType<typeof writePartitions> {
    const token = this.#token
    const fence: Compare = { key: controllerKey, field: 'createRevision', equals: token }
    const result = await writePartitions(this.#options.store, writes, fence)
    this.counters.changes += writes.length - result.refused.length
    // While it waited for the answer it may have been elected anew: that says nothing of now.
    if (result.fenced && token === this.#token) this.#stepDown('its write was refused')
    return result
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) {
        resolve()
        return
      }
      this.#retry = { timer: this.#options.clock.after(delayMs, resolve), wake: resolve }
    })
  }
}
