/**
 * The replicas that this broker has: opens their logs, gives each the role that the cluster image says, and follows the
 * image from then on. Changes of one partition follow each other; those of different ones run side by side.
 *
 *   open → (registered with the cluster) → begin → … → close
 *
 * Before `begin` no replicated partition has a role: what the image says of this broker then, an earlier life of it was.
 * Nor is a log begun that is missing, because the cluster has to be told of that first: an empty log that is there counts as
 * one that never had anything.
 *
 * A change that failed is tried again, later each time. A log directory that failed ends all roles at once.
 */
import { hasCode, type Logger, PagelogError, surfaceInvariant } from '../base/index.ts'
import type { Env, Timer } from '../env/index.ts'
import type { Log, LogDirectory, LogSettings, PartitionName } from '../log/index.ts'
import type {
  ClusterImage,
  ImageChange,
  MetadataStore,
  PartitionState,
  TopicState,
  Unwatch,
} from '../metadata/index.ts'
import type { FollowerFetchers } from './follower-fetchers.ts'
import { HighWatermarkCheckpoint } from './high-watermark-checkpoint.ts'
import type { LeaderContext } from './leader.ts'
import { Partition, type ReplicatedSettings } from './partition.ts'
import { Partitions } from './partitions.ts'
import { type ReplicationRules, soundRules } from './replication-rules.ts'
import type { ReplicationSettings } from './replication-settings.ts'

export interface ReplicasOptions<S extends ReplicatedSettings> {
  readonly nodeId: number
  readonly env: Pick<Env, 'network' | 'clock' | 'disk'>
  readonly directory: LogDirectory
  readonly image: ClusterImage
  readonly store: MetadataStore
  readonly settings: ReplicationSettings
  readonly logger: Logger
  /** Of a topic, as it has them now. */
  settingsOf(topic: TopicState): { readonly topic: S; readonly log: LogSettings }
  /** Whether nobody can have declared this broker dead. */
  leaseValid(): boolean
  /** Of this broker's registration as it knows it itself; 0 while it has none. */
  brokerEpoch(): number
  /** Told after `begin`: the log of a replica, which others may count on, could not be opened, and later that it could. */
  broken?(topicId: string, index: number): void
  /** Told after `begin`: a log is damaged, and others are in sync: this broker is to leave ISR and ELR. */
  damaged?(topicId: string, index: number): void
  /** Resolves when no log of an earlier topic of that name is being removed. */
  removed(topic: string): Promise<void>
  /** Undefined for a broker by itself: it follows nobody. */
  readonly fetchers?: typeof FollowerFetchers | undefined
  /** Others than the sound ones, for tests. */
  readonly rules?: ReplicationRules | undefined
}

/** Directories are created this many at a time: each costs a few calls in the thread pool. */
const CREATIONS_AT_ONCE = 8
/** A log that cannot be opened so often in succession is told of: what was in the way once may be gone in a moment. */
const TOLD_FAILURES = 2
/** Until a change that failed is tried again, first and at most. */
const RETRY_MS_MIN = 100
const RETRY_MS_MAX = 30_000
const NOTHING = (): void => {}

/** Of a partition whose last change failed. */
interface Failures {
  readonly count: number
  readonly timer: Timer
  /** Others were told that the log cannot be opened. */
  readonly isTold: boolean
}

export class Replicas<S extends ReplicatedSettings = ReplicatedSettings> {
  readonly partitions = new Partitions<S>()
  readonly #options: ReplicasOptions<S>
  readonly #leaderContext: LeaderContext
  readonly #fetchers: FollowerFetchers | undefined
  readonly #checkpoint: HighWatermarkCheckpoint
  /** `topicId index` -> settles with the last change that was begun. */
  readonly #changes = new Map<string, Promise<void>>()
  readonly #failures = new Map<string, Failures>()
  /** Told to lead while this broker was not registered as far as it knew. */
  readonly #early = new Map<string, { readonly topicId: string; readonly index: number }>()
  #earlyTimer: Timer | undefined
  /** Logs that went to be begun anew at that offset, and have not been yet. */
  readonly #gone = new WeakMap<Partition<S>, number>()
  /** Replicas without a log, by topic id, which are not begun before the broker is registered. */
  readonly #missing: { readonly topicId: string; readonly index: number }[] = []
  /** As they were when the partitions of the topic were told of them last, by topic id. */
  readonly #configs = new Map<string, TopicState['configs']>()
  readonly #timer: Timer
  readonly #unwatch: Unwatch
  readonly #unwatchDisk: () => void
  readonly #creations: (() => void)[] = []
  #creating = 0
  #begun = false
  #closed = false

  /** Rejects as the disk does. */
  static async open<S extends ReplicatedSettings>(options: ReplicasOptions<S>): Promise<Replicas<S>> {
    const { env, directory, settings, logger } = options
    let replicas: Replicas<S> | undefined
    const checkpoint = await HighWatermarkCheckpoint.open({
      env,
      path: directory.path,
      intervalMs: settings.replicaHighWatermarkCheckpointIntervalMs,
      logger,
      partitions: () => replicas?.partitions.all() ?? [],
    })
    replicas = new Replicas(options, checkpoint)
    return replicas
  }

  private constructor(options: ReplicasOptions<S>, checkpoint: HighWatermarkCheckpoint) {
    const { env, nodeId, logger, image, settings, store } = options
    const { clock } = env
    const { replicaLagTimeMaxMs, replicaLagMaxBytes, replicaFetchWaitMaxMs } = settings
    this.#options = options
    this.#checkpoint = checkpoint
    const { rules = soundRules } = options
    const isrStore = rules.isrStore(store)
    const leaseValid = (): boolean => options.leaseValid()
    const ownEpoch = (): number => options.brokerEpoch()
    const broker = (id: number) => image.brokers.get(id)
    const lag = { replicaLagTimeMaxMs, replicaLagMaxBytes, replicaFetchWaitMaxMs }
    const world = { clock, logger, isrStore, rules, ...lag }
    const lowered = (partition: Pick<Partition, 'log'>) => checkpoint.lowered(partition)
    this.#leaderContext = { nodeId, ...world, broker, ownEpoch, leaseValid, lowered }
    this.#fetchers =
      options.fetchers &&
      new options.fetchers({
        env,
        logger,
        settings,
        nodeId,
        brokerEpoch: () => image.brokers.get(nodeId)?.epoch ?? -1,
        endpointOf: (id) => image.brokers.get(id),
        restartLog: (partition, epoch, offset) => this.#restartLog(partition as Partition<S>, epoch, offset),
      })
    this.#timer = clock.every(Math.max(1, replicaLagTimeMaxMs / 2), () => this.#check())
    this.#unwatch = image.onChange((change) => this.#imageChanged(change))
    const { directory } = options
    const unwatch = [
      directory.onOffline(() => this.#diskFailed()),
      directory.knownDamage.onFound((found) => this.#damageFound(found)),
    ]
    this.#unwatchDisk = () => unwatch.forEach((stop) => void stop())
  }

  /** Partitions that this broker follows now. */
  get followed(): number {
    return this.#fetchers?.count ?? 0
  }

  /** Opens this broker's logs of a topic as far as they are not; the first failure, if there was one. */
  async openTopic(topic: TopicState): Promise<unknown> {
    const { nodeId } = this.#options
    const own = topic.partitions.filter(({ replicas }) => replicas.includes(nodeId))
    const opened = await Promise.all(own.map(({ index }) => this.#apply(topic.id, index)))
    return opened.find((failure) => failure !== undefined)
  }

  /** This broker is registered: what the image says of it holds from now on. */
  begin(): void {
    this.#begun = true
    for (const { topicId, index } of this.#missing.splice(0)) void this.#apply(topicId, index)
    for (const partition of this.partitions.all()) void this.#apply(partition.topicId, partition.index)
  }

  /** The cluster declared this broker dead: it leads nothing that others can lead, until it is told again to. */
  fenced(): void {
    for (const partition of this.partitions.all()) partition.suspend()
  }

  /** Takes a topic's partitions out, and waits for what is under way; their logs are the caller's to remove. */
  async removeTopic(topic: string): Promise<void> {
    const removed = this.partitions.removeTopic(topic)
    for (const partition of removed) {
      this.#fetchers?.unfollow(partition)
      this.#checkpoint.removed(partition)
      this.#configs.delete(partition.topicId)
    }
    await Promise.all(removed.map(({ topicId, index }) => this.#changes.get(keyOf(topicId, index))))
  }

  /** Ends leading and following; high watermarks are written. Logs stay open. */
  async close(): Promise<void> {
    this.#closed = true
    this.#unwatch()
    this.#unwatchDisk()
    this.#timer.cancel()
    this.#earlyTimer?.cancel()
    for (const { timer } of this.#failures.values()) timer.cancel()
    await this.#fetchers?.close()
    await Promise.all(this.#changes.values())
    for (const partition of this.partitions.all()) partition.leader?.end()
    await this.#checkpoint.close()
  }

  #imageChanged({ partitions, brokers, topics }: ImageChange): void {
    if (this.#closed) return
    for (const name of topics) this.#settingsChanged(name)
    for (const [topicId, indexes] of partitions) for (const index of indexes) void this.#apply(topicId, index)
    for (const id of brokers) this.#fetchers?.brokerChanged(id)
  }

  #settingsChanged(name: string): void {
    const { image } = this.#options
    const topic = image.topic(name)
    // Most changes are of partitions, and leave the settings as they are.
    if (topic === undefined || this.#configs.get(topic.id) === topic.configs) return
    const partitions = this.partitions.ofTopic(name)
    if (partitions[0]?.topicId !== topic.id) return
    this.#configs.set(topic.id, topic.configs)
    const settings = this.#options.settingsOf(topic).topic
    for (const partition of partitions) partition.settingsChanged(settings)
  }

  /** Whatever was read or written last cannot be trusted any more: nothing is led, followed or acknowledged. */
  #diskFailed(): void {
    for (const partition of this.partitions.all()) {
      this.#fetchers?.unfollow(partition)
      partition.markFailed()
    }
  }

  /** Resolves with what went wrong. */
  #apply(topicId: string, index: number): Promise<unknown> {
    const key = keyOf(topicId, index)
    return this.#inTurn(key, async () => {
      try {
        await this.#become(topicId, index)
        this.#changeSucceeded(topicId, index)
        return undefined
      } catch (error) {
        surfaceInvariant(error)
        this.#changeFailed(topicId, index, error)
        return error
      }
    })
  }

  /** After what was begun before for that partition. */
  #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#changes.get(key)
    const mine = before === undefined ? work() : before.then(work)
    const settled = mine.then(NOTHING, NOTHING)
    this.#changes.set(key, settled)
    void settled.then(() => {
      if (this.#changes.get(key) === settled) this.#changes.delete(key)
    })
    return mine
  }

  #changeSucceeded(topicId: string, index: number): void {
    const key = keyOf(topicId, index)
    const failures = this.#failures.get(key)
    if (failures === undefined) return
    failures.timer.cancel()
    this.#failures.delete(key)
    if (failures.isTold && this.partitions.findById(topicId, index)) this.#options.broken?.(topicId, index)
  }

  /** Tried again by and by, unless all is over; what the image says then holds. */
  #changeFailed(topicId: string, index: number, error: unknown): void {
    const { env, directory, image, logger } = this.#options
    const isOpen = this.partitions.findById(topicId, index) !== undefined
    if (!isOpen) this.partitions.failed(topicId, index)
    if (this.#closed || hasCode(error, 'PAGELOG_CLOSED')) return
    const key = keyOf(topicId, index)
    const before = this.#failures.get(key)
    before?.timer.cancel()
    if (before === undefined) {
      const topic = image.topicById(topicId)?.name ?? topicId
      logger.error({ topic, partition: index, error }, 'a replica could not take on its role')
    }
    if (directory.offline) return
    const count = (before?.count ?? 0) + 1
    const delayMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(20, count - 1))
    const isNews = !isOpen && this.#begun && count >= TOLD_FAILURES && before?.isTold !== true
    const timer = env.clock.after(delayMs, () => void this.#apply(topicId, index))
    this.#failures.set(key, { count, timer, isTold: isNews || before?.isTold === true })
    if (isNews) this.#options.broken?.(topicId, index)
  }

  async #become(topicId: string, index: number): Promise<void> {
    const { image, nodeId, directory } = this.#options
    const topic = image.topicById(topicId)
    const state = topic?.partitions[index]
    if (topic === undefined || state === undefined || this.#closed) return
    const known = this.partitions.findById(topicId, index)
    if (!state.replicas.includes(nodeId) && known === undefined) return
    const partition = known ?? (await this.#inTurn(nameOf(topic, index), () => this.#open(topic, state)))
    if (partition === undefined || partition.deleted || (state.replicas.length > 1 && !this.#begun)) return
    // While this broker is not registered it cannot be meant: it gives up what it led before it registers again.
    if (state.leader === nodeId && state.replicas.length > 1 && this.#options.brokerEpoch() === 0) {
      return this.#waitToLead(topicId, index)
    }
    if (state.replicas.length > 1 && directory.knownDamage.has(`${topic.name}-${index}`)) {
      await this.#giveUpDamaged(partition, state)
    }
    const { leaderEpoch, leaderId } = partition
    const isGone = this.#gone.has(partition)
    const isSameRole = state.leaderEpoch === leaderEpoch && state.leader === leaderId && !partition.isBetween && !isGone
    if (!isSameRole) this.#fetchers?.unfollow(partition)
    if (isGone) await this.#beginAnew(partition, topic)
    await partition.become(state)
    if (!isSameRole && partition.isFollower && this.#isToFollow(state)) this.#fetchers?.follow(partition)
  }

  /**
   * A broker that is about to close begins no more to follow whom the cluster counts it out with: it would take time from
   * the new leaders and their other followers at the very moment when clients come to them.
   */
  #isToFollow({ replicas, isr }: PartitionState): boolean {
    const { image, nodeId } = this.#options
    return replicas.includes(nodeId) && (isr.includes(nodeId) || image.brokers.get(nodeId)?.leaving !== true)
  }

  /** The watch may tell of an election before the store has answered the registration that it followed: looked at again. */
  #waitToLead(topicId: string, index: number): void {
    this.#early.set(keyOf(topicId, index), { topicId, index })
    this.#earlyTimer ??= this.#options.env.clock.after(RETRY_MS_MIN, () => {
      this.#earlyTimer = undefined
      const early = [...this.#early.values()]
      this.#early.clear()
      for (const one of early) void this.#apply(one.topicId, one.index)
    })
  }

  /** Undefined: it is too early, or too late. */
  async #open(topic: TopicState, state: PartitionState): Promise<Partition<S> | undefined> {
    const { directory, image } = this.#options
    const { name, id: topicId } = topic
    const { index, replicas } = state
    const settings = this.#options.settingsOf(topic)
    await this.#options.removed(name)
    this.#assertNameIsFree(topic, state)
    const isStray = this.#isStray(topic, index)
    const existing = isStray ? undefined : directory.get(name, index)
    if (existing === undefined && replicas.length > 1 && !this.#begun) {
      this.#missing.push({ topicId, index })
      return undefined
    }
    if (isStray) await this.#setAside(topic, index)
    else if (this.#isUnusable(topic, state)) await this.#setDamagedAside(name, index, directory.damaged)
    const log = existing ?? (await this.#create(topic, index, settings.log))
    if (image.topicById(topicId) === undefined) {
      // It was deleted meanwhile, by who could not know of this log.
      if (existing === undefined) await directory.remove(name, index)
      return undefined
    }
    if (existing !== undefined && replicas.length > 1) await directory.nameTopic(name, index, topicId)
    const partition = new Partition<S>({ topic: name, topicId, index }, log, settings.topic, this.#leaderContext)
    if (replicas.length > 1) partition.restore(existing ? this.#checkpoint.knownOf(name, index) : 0)
    this.partitions.add(partition)
    // Changed while it was opened; settings of a topic come to all of its partitions together.
    const now = image.topicById(topicId)!
    if (now.configs !== topic.configs) partition.settingsChanged(this.#options.settingsOf(now).topic)
    return partition
  }

  #damageFound(found: PartitionName): void {
    const partition = this.partitions.find(found.topic, found.partition)
    if (partition?.isReplicated && !this.#closed) void this.#apply(partition.topicId, partition.index)
  }

  /**
   * A log that is open and damaged is fetched anew where somebody else leads and the cluster counts on it no more: in an
   * epoch in which this broker has asked for nothing yet, so that nobody can take it for in sync by what it had. Otherwise
   * it goes on as it is, and leaves ISR and ELR where another one is in sync.
   */
  async #giveUpDamaged(partition: Partition<S>, state: PartitionState): Promise<void> {
    const { nodeId, image, directory } = this.#options
    const { topic, topicId, index } = partition
    const name = `${topic}-${index}`
    if (this.#isDoneWithout(state) && state.leaderEpoch > partition.leaderEpoch) {
      this.#fetchers?.unfollow(partition)
      partition.suspend()
      await this.#setDamagedAside(topic, index, directory.knownDamage)
      this.#gone.set(partition, 0)
      return
    }
    const others = state.isr.filter((id) => id !== nodeId && image.brokers.has(id))
    if (!others.some((id) => image.brokers.get(id)?.leaving !== true)) return
    // Without the mark a process that dies now forgets it, and finds it again.
    await directory.knownDamage.mark(name).catch((error: unknown) => {
      if (!hasCode(error, 'PAGELOG_DISK_FULL')) throw error
    })
    this.#options.damaged?.(topicId, index)
  }

  /** Somebody else leads, and this broker neither is in sync nor could be elected. */
  #isDoneWithout({ leader, isr, elr }: PartitionState): boolean {
    const { nodeId } = this.#options
    return leader >= 0 && leader !== nodeId && !isr.includes(nodeId) && !elr.includes(nodeId)
  }

  /** Its log could not be opened, and nobody counts on it: without it this broker has asked for nothing. */
  #isUnusable({ name }: TopicState, state: PartitionState): boolean {
    const { damaged } = this.#options.directory
    const isDamaged = hasCode(damaged.get(`${name}-${state.index}`), 'PAGELOG_CORRUPT')
    return isDamaged && this.#begun && state.replicas.length > 1 && this.#isDoneWithout(state)
  }

  async #setDamagedAside(topic: string, index: number, known: Pick<Map<string, Error>, 'get'>): Promise<void> {
    const { directory, logger } = this.#options
    const fields = { topic, partition: index, error: known.get(`${topic}-${index}`) }
    const isKept = await directory.setAside(topic, index, 'damaged')
    const rest = isKept
      ? 'kept in a folder that ends in -damaged, which can be removed when no partition lacks replicas'
      : 'removed, for the disk has not the room for both'
    logger.warn(fields, `a damaged log is copied anew from its leader; what it had is ${rest}`)
  }

  /** What is stored under that name says that it is another topic's (KIP-516). */
  #isStray({ name, id }: TopicState, index: number): boolean {
    const { directory } = this.#options
    return directory.get(name, index) !== undefined && (directory.topicId(name, index) ?? id) !== id
  }

  /** Nothing is destroyed: whether it was the file that was damaged or the store that forgot, nobody here can tell. */
  async #setAside({ name }: TopicState, index: number): Promise<void> {
    const { directory, logger } = this.#options
    const fields = { topic: name, partition: index, topicId: directory.topicId(name, index) }
    logger.warn(fields, 'the log of another topic has this name: kept in a folder that ends in -stray, copied anew')
    await directory.setAside(name, index)
  }

  /**
   * Throws when an earlier topic of that name has something here still. What is stored is in the way unless somebody else
   * leads, and so has what is to take its place.
   */
  #assertNameIsFree(topic: TopicState, { index, leader, replicas }: PartitionState): void {
    const { name, id } = topic
    const { directory, nodeId } = this.#options
    const isOnlyCopy = replicas.length === 1 || (this.#begun && (leader < 0 || leader === nodeId))
    if (!(isOnlyCopy && this.#isStray(topic, index)) && (this.partitions.topicIdOf(name) ?? id) === id) return
    const message = 'an earlier topic of the same name has not been removed here'
    throw new PagelogError('PAGELOG_STORAGE', message, { path: directory.path })
  }

  async #create(topic: TopicState, index: number, settings: LogSettings): Promise<Log> {
    if (this.#creating === CREATIONS_AT_ONCE) await new Promise<void>((resolve) => this.#creations.push(resolve))
    else this.#creating++
    try {
      await this.#checkpoint.forget(topic.name, index)
      return await this.#options.directory.create(topic.name, index, topic.id, settings)
    } finally {
      const next = this.#creations.shift()
      if (next !== undefined) next()
      else this.#creating--
    }
  }

  /** In its turn among the changes of the partition, or another role would find a log that is on its way out. */
  #restartLog(partition: Partition<S>, epoch: number, offset: number): Promise<void> {
    const { directory, image } = this.#options
    const { topic: name, topicId, index } = partition
    return this.#inTurn(keyOf(topicId, index), async () => {
      const topic = image.topicById(topicId)
      if (topic === undefined || this.#closed) return
      partition.assertFollows(epoch)
      this.#gone.set(partition, offset)
      await directory.remove(name, index)
      await this.#beginAnew(partition, topic)
    })
  }

  /** Where there was no room for the new log, the next role or the next answer of the leader tries again. */
  async #beginAnew(partition: Partition<S>, topic: TopicState): Promise<void> {
    const { directory } = this.#options
    const settings = this.#options.settingsOf(topic).log
    const { topic: name, topicId, index, highWatermark } = partition
    const log = await directory.create(name, index, topicId, settings, this.#gone.get(partition))
    this.#gone.delete(partition)
    if (partition.deleted) return await directory.remove(name, index)
    partition.replaceLog(log)
    if (partition.highWatermark < highWatermark) await this.#checkpoint.lowered(partition)
  }

  #check(): void {
    for (const partition of this.partitions.all()) partition.check()
  }
}

function keyOf(topicId: string, index: number): string {
  return `${topicId} ${index}`
}

/** Topics of one name, one of them deleted, must not take each other's log for theirs. No topic id has a slash. */
function nameOf({ name }: TopicState, index: number): string {
  return `/${name} ${index}`
}
