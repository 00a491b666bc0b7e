/**
 * A broker that is one of several: it says which of its logs can be trusted before it registers, tells the cluster of
 * those that broke, stands for controller, hands its leaderships over, and leaves when its disk failed.
 *
 * A broker by itself loads nothing of this (`Membership`): a fifth of what it would load otherwise.
 */
import { hasCode, type Logger, PagelogError } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import type { LogDirectory, PartitionName } from '../log/index.ts'
import {
  type ClusterImage,
  type ImageChange,
  type MetadataStore,
  partitionKey,
  type TopicState,
} from '../metadata/index.ts'
import {
  Controller,
  FollowerFetchers,
  isAwaited,
  leaveCluster,
  type ReturningOptions,
  returnToCluster,
  tellOfLog,
} from '../replication/cluster/index.ts'
import { type BrokerRegistration, checkNodeId, newIncarnation, type TopicRules } from '../replication/index.ts'
import { LogStanding } from './log-standing.ts'
import type { BrokerSettings } from './settings.ts'
import { effectiveTopicSettings, type TopicSettings, topicSettings } from './topic-settings.ts'

/** A broker whose disk failed closes after that, whether its cluster knows or not. */
const WITHDRAWAL_MS = 5000

export interface ClusterMemberOptions {
  readonly env: Env
  readonly settings: BrokerSettings
  readonly topicDefaults: TopicSettings
  readonly logger: Logger
  readonly store: MetadataStore
  readonly image: ClusterImage
  /** Of the machine. */
  readonly bootId: string
}

export class ClusterMember {
  /** For `Replicas`: follows others. */
  readonly fetchers = FollowerFetchers
  readonly #options: ClusterMemberOptions
  readonly #standing: LogStanding
  readonly #returning: ReturningOptions
  #joined: { readonly registration: BrokerRegistration; readonly controller: Controller } | undefined
  /** Partition keys that the cluster is being told of, and whether it has to be once more. */
  readonly #telling = new Map<string, boolean>()
  /** Before this broker is about to register there is nobody to be told. */
  #isAnswering = false
  /** After the disk failed: resolves when this broker is out of its cluster. */
  #withdrawing: Promise<void> | undefined
  readonly #rules = new WeakMap<TopicState['configs'], TopicRules>()
  /** Ends the attempts to tell the cluster of this broker's logs. */
  #closed = false

  private constructor(options: ClusterMemberOptions, standing: LogStanding) {
    const { store, env, settings, logger } = options
    this.#options = options
    this.#standing = standing
    this.#returning = {
      store,
      clock: env.clock,
      nodeId: settings.nodeId,
      incarnation: standing.incarnation,
      logger,
      logOf: (topicId, index) => standing.logOf(topicId, index),
    }
  }

  /**
   * Refuses a node id that somebody else uses. Before the log directory is opened: nothing is written in one that cannot
   * be used. Error: PAGELOG_INVALID_ARGUMENT.
   */
  static async open(options: ClusterMemberOptions): Promise<ClusterMember> {
    const { env, settings, topicDefaults, logger, store, image, bootId } = options
    const { nodeId, logDir: path, brokerSessionTimeoutMs: sessionTimeoutMs } = settings
    const standing = await LogStanding.read({
      disk: env.disk,
      path,
      bootId,
      incarnation: newIncarnation(env.random),
      nodeId,
      store,
      image,
      syncsByDefault: topicDefaults.flushMessages === 1,
      isSynced: (name, byDefault) => {
        const configs = image.topic(name)?.configs ?? {}
        const isOwn = topicSettings.flushMessages.name in configs
        return (isOwn || byDefault) && effectiveTopicSettings(topicDefaults, configs).flushMessages === 1
      },
    })
    const { past, arePastLivesOver: isOver } = standing
    await checkNodeId({ store, clock: env.clock, logger, nodeId, past, isOver, sessionTimeoutMs })
    return new ClusterMember(options, standing)
  }

  /** Of this process. */
  get incarnation(): string {
    return this.#standing.incarnation
  }

  /** Lives of this log directory that are over for sure. */
  get past(): readonly string[] {
    return this.#standing.arePastLivesOver ? this.#standing.past : []
  }

  get controller(): Controller {
    if (this.#joined !== undefined) return this.#joined.controller
    throw new PagelogError('PAGELOG_CLOSED', 'the broker has not joined its cluster yet')
  }

  /** Decides which of the directory's logs can be trusted. Before anything is created in it. */
  async settle(directory: LogDirectory): Promise<void> {
    await this.#standing.settle(directory)
  }

  /** Before recovery cuts off what had been written whole. */
  async reportCut({ topic, partition }: PartitionName): Promise<void> {
    await this.#standing.cut(topic, partition)
  }

  /** A log could not be opened: this broker is no member of that partition. */
  reportBroken(topicId: string, index: number): void {
    this.#standing.broke(topicId, index)
    if (this.#isAnswering) this.#tellOf(topicId, index)
  }

  /** A log is open and damaged: this broker is no member of that partition where another one is. */
  reportDamaged(topicId: string, index: number): void {
    if (this.#isAnswering) this.#tellOf(topicId, index)
  }

  /** Before this broker looks at its partitions: what others say of them while it registers would be missed. */
  answerForLogs(): void {
    this.#isAnswering = true
    this.#options.image.onChange(({ partitions }) => this.#tellWhereAwaited(partitions))
  }

  /** Before each registration, while nobody can elect this broker. */
  async comeBack(): Promise<void> {
    await returnToCluster(this.#returning)
    await this.#standing.returned()
  }

  /** The broker is registered, and its image has that: stands for controller, and leaves when its disk fails. */
  begin(registration: BrokerRegistration, directory: LogDirectory): void {
    const { store, image, env, settings, logger } = this.#options
    const { nodeId, autoLeaderRebalanceEnable, leaderImbalanceCheckIntervalSeconds } = settings
    const controller = new Controller({
      store,
      image,
      clock: env.clock,
      logger,
      nodeId,
      registration,
      rulesOf: (topic) => this.#rulesOf(topic),
      balanceMs: autoLeaderRebalanceEnable ? leaderImbalanceCheckIntervalSeconds * 1000 : undefined,
    })
    this.#joined = { registration, controller }
    const withdraw = (): void => {
      this.#withdrawing ??= this.#withdraw()
    }
    directory.onOffline(withdraw)
    if (directory.offline) withdraw()
    controller.start()
  }

  /** Lets others lead what this broker leads, while it goes on serving. Never rejects. */
  async leave(): Promise<void> {
    const { env, settings, logger, image } = this.#options
    if (!settings.controlledShutdownEnable || this.#joined === undefined) return
    const { registration } = this.#joined
    await leaveCluster({ image, registration, clock: env.clock, logger, nodeId: settings.nodeId })
  }

  /** Before the registration ends. Never rejects. */
  async close(): Promise<void> {
    // The next life must not trust a disk that failed in this one.
    if (this.#withdrawing) await this.#atMost(WITHDRAWAL_MS, this.#withdrawing)
    this.#closed = true
    await this.#joined?.controller.close()
  }

  #atMost(ms: number, work: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.env.clock.after(ms, resolve)
      void work.then(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  /** Partitions where only suspects are left want to know how far the logs of this life go. */
  #tellWhereAwaited(changed: ImageChange['partitions']): void {
    const { nodeId, incarnation } = this.#returning
    for (const [topicId, indexes] of changed) {
      for (const index of indexes) {
        const partition = this.#options.image.partition(topicId, index)
        if (partition && isAwaited(partition, nodeId, incarnation)) this.#tellOf(topicId, index)
      }
    }
  }

  /** Asked for every topic when a broker comes or goes: parsed once for each version of its settings. */
  #rulesOf({ configs }: TopicState): TopicRules {
    const known = this.#rules.get(configs)
    if (known) return known
    const settings = effectiveTopicSettings(this.#options.topicDefaults, configs)
    const { minInsyncReplicas, uncleanLeaderElectionEnable } = settings
    const rules = { minInsyncReplicas, uncleanLeaderElection: uncleanLeaderElectionEnable }
    this.#rules.set(configs, rules)
    return rules
  }

  #tellOf(topicId: string, index: number): void {
    const key = partitionKey(topicId, index)
    const isBusy = this.#telling.has(key)
    this.#telling.set(key, isBusy)
    // What is under way may have read what was there before.
    if (isBusy) return
    void this.#untilDone(() => tellOfLog(this.#returning, key)).finally(() => {
      const again = this.#telling.get(key)
      this.#telling.delete(key)
      if (again && !this.#closed) this.#tellOf(topicId, index)
    })
  }

  /** After an I/O error nothing of the log's end can be trusted: out of every ISR and ELR, and no broker any more. */
  async #withdraw(): Promise<void> {
    this.#options.logger.error({}, 'the log directory failed: this broker leaves its cluster until it is restarted')
    // Written down first: were this process to end before it has left, the next one must not be trusted.
    await this.#untilDone(() => this.#standing.failed())
    await this.#joined?.controller.close()
    await this.#joined?.registration.close()
    await this.#untilDone(() => returnToCluster(this.#returning))
  }

  /** Again and again, until it succeeds or the broker is closed. */
  async #untilDone(work: () => Promise<void>): Promise<void> {
    const { env, logger } = this.#options
    for (let delayMs = 100; !this.#closed; delayMs = Math.min(5000, 2 * delayMs)) {
      try {
        await work()
        return
      } catch (error) {
        if (hasCode(error, 'PAGELOG_CLOSED')) return
        logger.error({ error }, 'the cluster could not be told of the logs of this broker yet')
      }
      await new Promise<void>((resolve) => void env.clock.after(delayMs, resolve))
    }
  }
}
