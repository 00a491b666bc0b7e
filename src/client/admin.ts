/**
 * The admin client: topics, their settings and offsets, the cluster. Every call is tried again on errors that may pass,
 * for `default.api.timeout.ms` in all.
 */
import { ErrorCode, errorOf, type Logger, PagelogError, resolveSettings, silentLogger } from '../base/index.ts'
import { type Env, nodeEnv } from '../env/index.ts'
import { type AskingConnection, SlabPool } from '../net/index.ts'
import {
  CreateTopics,
  DeleteTopics,
  DescribeConfigs,
  ListOffsets,
  Metadata,
  type MetadataResponse,
} from '../protocol/index.ts'
import { type StartingPoint, WISH_BEGINNING, WISH_END } from './assignment.ts'
import { backoffMs } from './backoff.ts'
import { ClusterConnections, closedError } from './cluster-connections.ts'
import { type NodeInfo, type TopicInfo, topicInfoOf } from './cluster-metadata.ts'
import { type AdminSettings, adminSettings, type Bootstrap, bootstrapList } from './settings.ts'
import { delay, orAborted, orTimedOut, type WaitOptions } from './waiting.ts'

/** Options by their inside names; Kafka's names, defaults and ranges are in `adminSettings`. */
export interface AdminOptions extends Partial<Omit<AdminSettings, 'bootstrap'>> {
  readonly bootstrap: Bootstrap
  readonly env?: Pick<Env, 'network' | 'clock' | 'random'> | undefined
  readonly logger?: Logger | undefined
}

export interface NewTopic {
  readonly topic: string
  /** The broker's default when left out. */
  readonly partitions?: number | undefined
  readonly replicationFactor?: number | undefined
  /** Settings by Kafka's names. */
  readonly configs?: Readonly<Record<string, string>> | undefined
}

export interface ClusterDescription {
  readonly clusterId: string | null
  /** -1 when there is none. */
  readonly controllerId: number
  readonly nodes: readonly NodeInfo[]
}

export type ConfigResource = { readonly topic: string } | { readonly broker: number }

export interface ConfigEntry {
  readonly name: string
  /** Null for secrets. */
  readonly value: string | null
  readonly readOnly: boolean
  readonly isDefault: boolean
  readonly isSensitive: boolean
}

export interface OffsetQuestion {
  readonly topic: string
  readonly partition: number
  readonly at: Exclude<StartingPoint, number>
}

export interface ListedOffset {
  readonly topic: string
  readonly partition: number
  /** -1 when no record is that young. */
  readonly offset: number
  /** Of the record found by time, else -1. Milliseconds since 1970. */
  readonly timestamp: number
}

const DEFAULT_BY_BROKER = -1
const METADATA_VERSION_MAX = 12
/** The highest that has topics by name only. */
const DELETE_TOPICS_VERSION_MAX = 5
const LIST_OFFSETS_VERSION_MAX = 9
const RESOURCE_TOPIC = 2
const RESOURCE_BROKER = 4
const SOURCE_DEFAULT = 5
const CONSUMER = -1
const EMPTY_MEANS_NONE_VERSION = 1

export class Admin implements AsyncDisposable {
  readonly #settings: AdminSettings
  readonly #env: Pick<Env, 'network' | 'clock' | 'random'>
  readonly #cluster: ClusterConnections
  #closed = false

  /** Connects to nothing before the first call. Throws PAGELOG_INVALID_SETTING. */
  constructor(options: AdminOptions) {
    const { bootstrap, env, logger = silentLogger, ...given } = options
    this.#settings = resolveSettings(adminSettings, { ...given, bootstrap: bootstrapList(bootstrap) })
    this.#env = env ?? nodeEnv()
    this.#cluster = new ClusterConnections({
      env: this.#env,
      settings: this.#settings,
      logger,
      pool: new SlabPool({ countsDelivered: false, clock: this.#env.clock }),
      allowAutoTopicCreation: false,
    })
  }

  /**
   * Rejects with PAGELOG_BROKER (kafkaCode, e.g. TOPIC_ALREADY_EXISTS) when any topic was refused; the others exist then.
   * When an answer is lost the request is sent again, as Kafka's clients do: a topic that it made is then said to exist.
   */
  async createTopics(topics: readonly NewTopic[], options: WaitOptions = {}): Promise<void> {
    const wanted = topics.map(({ topic, partitions, replicationFactor, configs }) => ({
      name: topic,
      numPartitions: partitions ?? DEFAULT_BY_BROKER,
      replicationFactor: replicationFactor ?? DEFAULT_BY_BROKER,
      assignments: [],
      configs: Object.entries(configs ?? {}).map(([name, value]) => ({ name, value })),
    }))
    const outcomes = new TopicOutcomes()
    await this.#atController(options, async (connection) => {
      const request = {
        topics: wanted.filter(({ name }) => outcomes.lacks(name)),
        timeoutMs: this.#settings.requestTimeoutMs,
        validateOnly: false,
      }
      const { body, release } = await connection.ask(CreateTopics, request)
      release()
      outcomes.note(body.topics)
    })
  }

  /** Rejects with PAGELOG_BROKER (UNKNOWN_TOPIC_OR_PARTITION …) when any could not be deleted; the others are then. */
  async deleteTopics(topics: readonly string[], options: WaitOptions = {}): Promise<void> {
    const outcomes = new TopicOutcomes()
    await this.#atController(options, async (connection) => {
      const topicNames = topics.filter((name) => outcomes.lacks(name))
      const request = { topicNames, timeoutMs: this.#settings.requestTimeoutMs }
      const version = connection.versionOf(DeleteTopics, DELETE_TOPICS_VERSION_MAX)
      const { body, release } = await connection.ask(DeleteTopics, request, { version })
      release()
      outcomes.note(body.responses)
    })
  }

  /** Names of all topics, internal ones left out unless asked for, sorted. */
  async listTopics(options: WaitOptions & { readonly internal?: boolean } = {}): Promise<string[]> {
    const { topics } = await this.#metadata(null, options)
    return topics
      .filter(({ isInternal, errorCode }) => errorCode === ErrorCode.NONE && (options.internal === true || !isInternal))
      .map(({ name }) => name ?? '')
      .sort()
  }

  /** In the order asked for. Errors: PAGELOG_BROKER with UNKNOWN_TOPIC_OR_PARTITION and others. */
  async describeTopics(topics: readonly string[], options: WaitOptions = {}): Promise<TopicInfo[]> {
    const answer = await this.#metadata(topics, options)
    return topics.map((topic) => {
      const found = answer.topics.find(({ name }) => name === topic)
      check(found?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${topic}`, null)
      return topicInfoOf(found!)
    })
  }

  async describeCluster(options: WaitOptions = {}): Promise<ClusterDescription> {
    const { clusterId, controllerId, brokers } = await this.#metadata([], options)
    const nodes = brokers.map(({ nodeId, host, port, rack }) => ({ id: nodeId, host, port, rack }))
    return { clusterId, controllerId, nodes }
  }

  /** All settings of a topic or a broker. */
  async describeConfigs(resource: ConfigResource, options: WaitOptions = {}): Promise<ConfigEntry[]> {
    const isTopic = 'topic' in resource
    const resourceName = isTopic ? resource.topic : String(resource.broker)
    const resourceType = isTopic ? RESOURCE_TOPIC : RESOURCE_BROKER
    const connect = isTopic ? () => this.#cluster.any() : () => this.#connect(resource.broker)
    return await this.#retried(options, async () => {
      const connection = await connect()
      const resources = [{ resourceType, resourceName, configurationKeys: null }]
      const { body, release } = await connection.ask(DescribeConfigs, { resources })
      release()
      const result = body.results[0]
      check(result?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR, resourceName, result?.errorMessage ?? null)
      return result!.configs.map(({ name, value, readOnly, configSource, isSensitive }) => ({
        name,
        value,
        readOnly,
        isDefault: configSource === SOURCE_DEFAULT,
        isSensitive,
      }))
    })
  }

  /** Offsets of the ends of logs, or of the first record at or after a time. In the order asked for. */
  async listOffsets(questions: readonly OffsetQuestion[], options: WaitOptions = {}): Promise<ListedOffset[]> {
    return await Promise.all(questions.map((question) => this.#retried(options, () => this.#listOffset(question))))
  }

  /** Idempotent; never rejects. What waits fails with PAGELOG_CLOSED or PAGELOG_DISCONNECTED. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#cluster.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #listOffset({ topic, partition, at }: OffsetQuestion): Promise<ListedOffset> {
    await this.#cluster.topicKnown(topic, this.#settings.defaultApiTimeoutMs)
    const info = this.#cluster.metadata.partition(topic, partition)
    if (info === undefined) check(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `${topic}-${partition}`, null)
    const wish = at === 'beginning' ? WISH_BEGINNING : at === 'end' ? WISH_END : at
    const connection = await this.#cluster.connect(info!.leaderId)
    const version = connection.versionOf(ListOffsets, LIST_OFFSETS_VERSION_MAX)
    const partitions = [{ partitionIndex: partition, timestamp: wish.timestamp }]
    const request = { replicaId: CONSUMER, topics: [{ name: topic, partitions }] }
    const { body, release } = await connection.ask(ListOffsets, request, { version })
    release()
    const answer = body.topics[0]?.partitions[0]
    const errorCode = answer?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
    if (errorCode !== ErrorCode.NONE) this.#cluster.refresh()
    check(errorCode, `${topic}-${partition}`, null)
    return { topic, partition, offset: answer!.offset, timestamp: answer!.timestamp }
  }

  /** The answer for these topics, null for all; retried until no topic has an error that may pass. */
  async #metadata(topics: readonly string[] | null, options: WaitOptions): Promise<MetadataResponse> {
    return await this.#retried(options, async () => {
      const connection = await this.#cluster.any()
      const version = connection.versionOf(Metadata, METADATA_VERSION_MAX)
      const all = topics === null || (topics.length === 0 && version < EMPTY_MEANS_NONE_VERSION)
      const asked = all ? undefined : topics.map((name) => ({ name }))
      const { body, release } = await connection.ask(
        Metadata,
        { topics: asked, allowAutoTopicCreation: false },
        { version },
      )
      release()
      this.#cluster.metadata.update(body)
      for (const { errorCode, name } of body.topics) {
        if (errorCode === ErrorCode.LEADER_NOT_AVAILABLE) check(errorCode, `topic ${name}`, null)
      }
      return body
    })
  }

  async #connect(nodeId: number): Promise<AskingConnection> {
    if (!this.#cluster.metadata.nodes.has(nodeId)) await this.#metadata([], {})
    return await this.#cluster.connect(nodeId)
  }

  /** At the controller if it is known, which every answer of metadata tells; brokers forward what is not for them. */
  async #atController(options: WaitOptions, call: (connection: AskingConnection) => Promise<void>): Promise<void> {
    await this.#retried(options, async () => {
      await this.#metadata([], {})
      const { controllerId, nodes } = this.#cluster.metadata
      await call(nodes.has(controllerId) ? await this.#cluster.connect(controllerId) : await this.#cluster.any())
    })
  }

  /** Again with back-off while the error may pass, until default.api.timeout.ms. */
  async #retried<T>(options: WaitOptions, call: () => Promise<T>): Promise<T> {
    const { retryBackoffMs, retryBackoffMaxMs, defaultApiTimeoutMs } = this.#settings
    const { clock, random } = this.#env
    const deadlineMs = clock.monotonicMs() + defaultApiTimeoutMs
    for (let failures = 1; ; failures++) {
      if (this.#closed) throw closedError()
      try {
        const leftMs = Math.max(1, deadlineMs - clock.monotonicMs())
        return await orAborted(orTimedOut(clock, call(), leftMs, 'no answer'), options.signal)
      } catch (error) {
        const pauseMs = backoffMs(failures, retryBackoffMs, retryBackoffMaxMs, random)
        const mayPass = error instanceof PagelogError && (error.retriable || error.code === 'PAGELOG_DISCONNECTED')
        if (!mayPass || this.#closed || clock.monotonicMs() + pauseMs >= deadlineMs) throw error
        await orAborted(delay(clock, pauseMs), options.signal)
      }
    }
  }
}

/** What became of each topic of a request that may be sent again for those whose error may pass. */
class TopicOutcomes {
  readonly #settled = new Set<string>()
  #failure: unknown

  lacks(name: string): boolean {
    return !this.#settled.has(name)
  }

  /** Throws the first error that may pass, when there is none the first that does not. */
  note(
    answers: readonly {
      readonly name: string | null
      readonly errorCode: number
      readonly errorMessage: string | null
    }[],
  ): void {
    let mayPass: unknown
    for (const { name, errorCode, errorMessage } of answers) {
      try {
        check(errorCode, `topic ${name}`, errorMessage)
      } catch (error) {
        if (error instanceof PagelogError && error.retriable) {
          mayPass ??= error
          continue
        }
        this.#failure ??= error
      }
      this.#settled.add(name ?? '')
    }
    const failure = mayPass ?? this.#failure
    if (failure !== undefined) throw failure
  }
}

/** Throws PAGELOG_BROKER unless the code is NONE. */
function check(errorCode: number, what: string, message: string | null): void {
  if (errorCode === ErrorCode.NONE) return
  const { name, retriable } = errorOf(errorCode)
  // To an admin a missing topic is missing; only a leader that is being elected will come.
  const mayPass = retriable && errorCode !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  throw new PagelogError('PAGELOG_BROKER', `${what}: ${name}${message ? `: ${message}` : ''}`, {
    kafkaCode: errorCode,
    retriable: mayPass,
  })
}
