/**
 * The broker: opens metadata and logs, listens, and wires the rooms together. Order at start: our lock, metadata, logs,
 * topics brought in line, listener; at close the other way round, so that the clean-shutdown marker is the last thing
 * written.
 */
import { type Logger, PagelogError, silentLogger } from '../base/index.ts'
import { type Env, type FileLock, type Listener, type LoopSampler, nodeEnv, processUsage } from '../env/index.ts'
import { LogDirectory } from '../log/index.ts'
import { ClusterImage, EmbeddedMetadata } from '../metadata/index.ts'
import { Connections } from './connections.ts'
import { FetchPurgatory } from './delayed-fetch.ts'
import { Dispatcher } from './dispatcher.ts'
import type { BrokerFacade } from './facade.ts'
import { handlers } from './handlers/index.ts'
import { type Endpoint, singleListener } from './listeners.ts'
import { BrokerCounters, type BrokerMetrics } from './metrics.ts'
import { Partitions } from './partitions.ts'
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
}

interface Parts {
  readonly lock: FileLock
  readonly store: EmbeddedMetadata
  readonly image: ClusterImage
  readonly directory: LogDirectory
  readonly facade: BrokerFacade
  readonly connections: Connections
  readonly listener: Listener
}

const METADATA_FILE = 'pagelog-metadata.journal'
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

  metrics(): BrokerMetrics {
    const { facade, connections, image } = this.#parts
    const { sampler } = facade
    return {
      ...facade.counters,
      connections: connections.count,
      fetchesWaiting: facade.fetchPurgatory.size,
      topics: image.topicCount,
      partitions: facade.partitions.count,
      refusalLinesSuppressed: facade.refusals.suppressed,
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
  const store = await EmbeddedMetadata.open({ disk: env.disk, path: `${path}/${METADATA_FILE}`, logger })
  undo.push(() => store.close())
  const image = new ClusterImage(store)
  const directory = await openDirectory(env, logger, settings, defaults, image)
  undo.push(() => directory.close({ clean: false }))
  directory.onOffline((error) => logger.error({ path, error }, 'the log directory failed and is offline until restart'))
  const partitions = new Partitions()
  const topics = new Topics({
    store,
    image,
    directory,
    partitions,
    topicDefaults: defaults,
    random: env.random,
    logger,
  })
  await topics.reconcile()
  const { accept, bind } = holdConnections()
  const listener = await env.network.listen({ ...endpoint, backlog: settings.socketListenBacklogSize }, accept)
  undo.push(() => listener.close())
  const facade: BrokerFacade = {
    nodeId: directory.nodeId,
    clusterId: directory.clusterId,
    advertised: advertisedEndpoint(settings, endpoint, listener, options.hostname),
    settings,
    explicitSettings: new Set(Object.keys(options.settings ?? {})),
    topicDefaults: defaults,
    clock: env.clock,
    random: env.random,
    logger,
    counters: new BrokerCounters(),
    refusals: new Refusals(logger, env.clock),
    handlers,
    image,
    partitions,
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
  return { lock, store, image, directory, facade, connections, listener }
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

function openDirectory(
  env: Env,
  logger: Logger,
  settings: BrokerSettings,
  defaults: TopicSettings,
  image: ClusterImage,
): Promise<LogDirectory> {
  return LogDirectory.open({
    env,
    path: settings.logDir,
    defaults: logSettingsOf(defaults),
    settings: logDirectorySettingsOf(settings),
    logger,
    nodeId: settings.nodeId,
    settingsOf: (topic) => logSettingsOf(effectiveTopicSettings(defaults, image.topic(topic)?.configs ?? {})),
    ...(settings.clusterId === '' ? {} : { clusterId: settings.clusterId }),
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

async function closeParts({ lock, store, image, directory, connections, listener }: Parts): Promise<void> {
  await listener.close()
  await connections.close()
  image.close()
  await directory.close({ clean: true })
  await store.close()
  await lock.release()
}
