/**
 * The broker: opens metadata and logs, listens, and wires the rooms together. Order at start: our lock, metadata, logs,
 * topics brought in line, listener; at close the other way round, so that the clean-shutdown marker is the last thing
 * written.
 */
import { type Logger, PagelogError, silentLogger } from '../base/index.ts'
import {
  type Env,
  type FileLock,
  type Listener,
  type LoopSampler,
  machineBootId,
  nodeEnv,
  processUsage,
} from '../env/index.ts'
import { LogDirectory } from '../log/index.ts'
import type { ClusterImage, MetadataStore } from '../metadata/index.ts'
import { FetchSessions, type Partitions, Replicas, type ReplicationRules } from '../replication/index.ts'
import { Connections } from './connections.ts'
import { FetchPurgatory } from './delayed-fetch.ts'
import { Dispatcher } from './dispatcher.ts'
import type { BrokerFacade } from './facade.ts'
import { handlers } from './handlers/index.ts'
import { type Endpoint, singleListener } from './listeners.ts'
import { Membership } from './membership.ts'
import { BrokerCounters, type BrokerMetrics } from './metrics.ts'
import { ProducerIds } from './producer-ids.ts'
import { RecordInspector } from './record-inspector.ts'
import { Refusals } from './refusals.ts'
import { type BrokerSettings, logDirectorySettingsOf, resolveBrokerSettings, topicDefaultsOf } from './settings.ts'
import { effectiveTopicSettings, logSettingsOf, type TopicSettings, topicDefaults } from './topic-settings.ts'
import { Topics } from './topics.ts'

export interface BrokerOptions {
  /** The outside world; the real one when it is not given. */
  readonly env?: Env
  /** By inside name; what is missing has its default. */
  readonly settings?: Partial<BrokerSettings>
  readonly logger?: Logger
  /** Measures the event loop for `metrics()`, and is told of requests; the caller closes it. */
  readonly sampler?: LoopSampler
  /** What clients are told when the listener has no host and nothing is advertised. */
  readonly hostname?: string
  /** A metadata store that several brokers share and the caller closes, in place of what `pagelog.metadata` says. */
  readonly metadata?: MetadataStore
  /** Of the machine; another one means that the page cache was lost since the last start. */
  readonly bootId?: string
  /** Others than the sound ones lose records: only for tests of what finds that. */
  readonly replicationRules?: ReplicationRules
}

interface Parts {
  readonly lock: FileLock
  readonly membership: Membership
  readonly replicas: Replicas<TopicSettings>
  readonly directory: LogDirectory
  readonly facade: BrokerFacade
  readonly connections: Connections
  readonly listener: Listener
}

const METADATA_LOCK = 'pagelog-metadata.lock'

export class Broker {
  readonly #parts: Parts
  #closing: Promise<void> | undefined

  private constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Starts a broker; it is ready when this resolves. Errors: PAGELOG_INVALID_SETTING, PAGELOG_LOCKED (another broker has
   * the directory), PAGELOG_CORRUPT, PAGELOG_STORAGE, PAGELOG_INVALID_ARGUMENT (the port is taken).
   */
  static async start(options: BrokerOptions): Promise<Broker> {
    const undo: (() => unknown)[] = []
    try {
      return new Broker(await startParts(options, undo))
    } catch (error) {
      for (const step of undo.reverse()) await Promise.resolve(step()).catch(() => {})
      throw error
    }
  }

  get host(): string {
    return this.#parts.listener.host
  }

  get port(): number {
    return this.#parts.listener.port
  }

  get clusterId(): string {
    return this.#parts.facade.clusterId
  }

  get nodeId(): number {
    return this.#parts.facade.nodeId
  }

  /** The folder with the logs. */
  get directory(): string {
    return this.#parts.directory.path
  }

  /** Its place in the cluster, for who looks at that itself: tests and simulations. */
  get membership(): Membership {
    return this.#parts.membership
  }

  /** For who looks at the replicas themselves: tests and simulations. */
  get partitions(): Partitions<TopicSettings> {
    return this.#parts.replicas.partitions
  }

  metrics(): BrokerMetrics {
    const { facade, connections, directory } = this.#parts
    const { sampler, image } = facade
    const { names, scrubber } = directory.knownDamage
    return {
      ...facade.counters,
      connections: connections.count,
      fetchesWaiting: facade.fetchPurgatory.size,
      topics: image.topicCount,
      partitions: facade.partitions.count,
      refusalLinesSuppressed: facade.refusals.suppressed,
      logsDamaged: names.length + directory.damaged.size,
      scrubPasses: scrubber.stats.passes,
      scrubBytes: scrubber.stats.bytesRead,
      scrubLogsDamaged: scrubber.stats.damaged,
      ...(sampler ? { process: { ...processUsage(), eventLoop: sampler.snapshot() } } : {}),
    }
  }

  /** Closes connections, syncs and closes logs, writes the clean-shutdown marker. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= closeParts(this.#parts)
    return this.#closing
  }
}

async function startParts(options: BrokerOptions, undo: (() => unknown)[]): Promise<Parts> {
  const { env = nodeEnv(), logger = silentLogger, sampler } = options
  const settings = resolveBrokerSettings(options.settings)
  const endpoint = singleListener('listeners', settings.listeners)
  const defaults = topicDefaultsOf(settings, topicDefaults)
  const path = settings.logDir
  await env.disk.makeDirectory(path)
  // The log directory has Kafka's lock, but is opened after the metadata that it needs; these files have their own.
  const lock = await env.disk.lock(`${path}/${METADATA_LOCK}`)
  undo.push(() => lock.release())
  const membership = await Membership.open({
    env,
    settings,
    topicDefaults: defaults,
    logger,
    store: options.metadata,
    bootId: options.bootId ?? machineBootId(),
  })
  undo.push(() => membership.close())
  const { store, image } = membership
  const clusterId = await membership.clusterId()
  await membership.checkNodeId()
  const directory = await openDirectory(env, logger, settings, { defaults, membership, clusterId })
  undo.push(() => directory.close({ clean: false }))
  directory.onOffline((error) => logger.error({ path, error }, 'the log directory failed and is offline until restart'))
  await membership.settle(directory)
  const { replicationRules: rules } = options
  const { replicas, topics } = await openReplicas(env, logger, settings, { defaults, membership, directory, rules })
  undo.push(() => replicas.close())
  await topics.reconcile()
  const { accept, bind } = holdConnections()
  const listener = await env.network.listen({ ...endpoint, ...socketLimits(settings) }, accept)
  undo.push(() => listener.close())
  const advertised = advertisedEndpoint(settings, endpoint, listener, options.hostname)
  undo.push(() => membership.resign())
  await membership.join(directory, advertised)
  membership.registration.onFenced(() => replicas.fenced())
  replicas.begin()
  const facade: BrokerFacade = {
    nodeId: directory.nodeId,
    clusterId: directory.clusterId,
    advertised,
    settings,
    explicitSettings: new Set(Object.keys(options.settings ?? {})),
    topicDefaults: defaults,
    clock: env.clock,
    random: env.random,
    logger,
    counters: new BrokerCounters(),
    refusals: new Refusals(logger, env.clock),
    handlers,
    membership,
    image,
    partitions: replicas.partitions,
    fetchSessions: fetchSessionsOf(settings, env, image),
    topics,
    producerIds: new ProducerIds(store),
    inspector: new RecordInspector({
      workers: env.workers,
      clock: env.clock,
      maxBytes: settings.decompressedBatchMaxBytes,
      workerMinBytes: settings.compressionWorkerMinBytes,
    }),
    fetchPurgatory: new FetchPurgatory(env.clock),
    sampler,
  }
  const connections = new Connections(facade, new Dispatcher(facade))
  bind((stream) => connections.accept(stream))
  return { lock, membership, replicas, directory, facade, connections, listener }
}

function socketLimits({ socketListenBacklogSize: backlog, socketSendBufferBytes: sendBufferBytes }: BrokerSettings) {
  return { backlog, sendBufferBytes }
}

function fetchSessionsOf(settings: BrokerSettings, env: Env, image: ClusterImage): FetchSessions {
  const sessions = new FetchSessions(settings.maxIncrementalFetchSessionCacheSlots, env.random)
  image.onChange(({ brokers }) => {
    for (const id of brokers) sessions.brokerChanged(id)
  })
  return sessions
}

/** The listener must exist before we know its port, and the connections need to know that; in between, they wait. */
function holdConnections() {
  type Accept = Parameters<Env['network']['listen']>[1]
  const early: Parameters<Accept>[0][] = []
  let target: Accept = (stream) => early.push(stream)
  return {
    accept: ((stream) => target(stream)) as Accept,
    bind(accept: Accept): void {
      target = accept
      for (const stream of early) accept(stream)
    },
  }
}

interface ReplicasContext {
  readonly defaults: TopicSettings
  readonly membership: Membership
  readonly directory: LogDirectory
  readonly rules: ReplicationRules | undefined
}

async function openReplicas(
  env: Env,
  logger: Logger,
  settings: BrokerSettings,
  { defaults, membership, directory, rules }: ReplicasContext,
): Promise<{ replicas: Replicas<TopicSettings>; topics: Topics }> {
  const { store, image, alone } = membership
  const { nodeId } = directory
  let topics: Topics | undefined
  const replicas = await Replicas.open<TopicSettings>({
    nodeId,
    env,
    directory,
    image,
    store,
    settings,
    logger,
    settingsOf: ({ configs }) => {
      const topic = effectiveTopicSettings(defaults, configs)
      return { topic, log: logSettingsOf(topic) }
    },
    leaseValid: () => membership.registration.leaseValid(),
    brokerEpoch: () => (membership.lease === undefined ? 0 : membership.registration.brokerEpoch),
    fetchers: membership.fetchers,
    rules,
    broken: (topicId, index) => membership.reportBroken(topicId, index),
    damaged: (topicId, index) => membership.reportDamaged(topicId, index),
    removed: async (topic) => await topics?.removed(topic),
  })
  const lease = (): string | undefined => membership.lease
  const { random } = env
  topics = new Topics({ nodeId, alone, lease, store, image, directory, replicas, random, logger })
  return { replicas, topics }
}

interface DirectoryContext {
  readonly defaults: TopicSettings
  readonly membership: Membership
  readonly clusterId: string | undefined
}

function openDirectory(
  env: Env,
  logger: Logger,
  settings: BrokerSettings,
  { defaults, membership, clusterId }: DirectoryContext,
): Promise<LogDirectory> {
  const { image } = membership
  return LogDirectory.open({
    env,
    path: settings.logDir,
    defaults: logSettingsOf(defaults),
    settings: logDirectorySettingsOf(settings),
    logger,
    nodeId: settings.nodeId,
    settingsOf: (topic) => logSettingsOf(effectiveTopicSettings(defaults, image.topic(topic)?.configs ?? {})),
    scrubsFirst: ({ topic, partition }) =>
      image.topic(topic)?.partitions[partition]?.isr.includes(settings.nodeId) === true,
    beforeCut: (name) => membership.reportCut(name),
    ...(clusterId === undefined ? {} : { clusterId }),
  })
}

function advertisedEndpoint(
  settings: BrokerSettings,
  endpoint: Endpoint,
  listener: Listener,
  hostname: string | undefined,
): Endpoint {
  if (settings.advertisedListeners.length > 0) {
    const advertised = singleListener('advertised.listeners', settings.advertisedListeners)
    if (isWildcard(advertised.host)) {
      throw new PagelogError('PAGELOG_INVALID_SETTING', 'advertised.listeners must name a host that clients can reach')
    }
    return { host: advertised.host, port: advertised.port === 0 ? listener.port : advertised.port }
  }
  const host = isWildcard(endpoint.host) ? (hostname ?? 'localhost') : endpoint.host
  return { host, port: listener.port }
}

function isWildcard(host: string): boolean {
  return host === '' || host === '0.0.0.0' || host === '::'
}

async function closeParts({ lock, membership, replicas, directory, connections, listener }: Parts): Promise<void> {
  // Others lead before clients are turned away.
  await membership.leave()
  await listener.close()
  await connections.close()
  await replicas.close()
  await membership.resign()
  await directory.close({ clean: true })
  await membership.close()
  await lock.release()
}
