/**
 * A broker's place in its cluster: the metadata store, the image of it, and the registration. A broker by itself has the
 * store in its own folder and is its cluster's only member; what guards against others and works with them is in
 * `ClusterMember`, which is imported only where there are others, so that a single broker starts the faster.
 */
import { ErrorCode, hasCode, type Logger, PagelogError } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import { type LogDirectory, type PartitionName, randomId, storedClusterId } from '../log/index.ts'
import { ClusterImage, connectMetadata, EmbeddedMetadata, joinCluster, type MetadataStore } from '../metadata/index.ts'
import { BrokerRegistration, type Controller, newIncarnation } from '../replication/index.ts'
import type { ClusterMember } from './cluster-member.ts'
import { checkEtcdAccess } from './etcd-access.ts'
import type { Endpoint } from './listeners.ts'
import { parseMetadataLocation } from './metadata-location.ts'
import type { BrokerSettings } from './settings.ts'
import type { TopicSettings } from './topic-settings.ts'

/** The journal of a broker by itself. */
const METADATA_FILE = 'pagelog-metadata.journal'
/** Whatever a watch may have missed is found by then. */
const RELIST_MS = 300_000
/** How long etcd is waited for at start. */
const ETCD_PATIENCE_MS = 10_000
const ETCD_LOOK_MS = 500

let clusterMember: Promise<typeof import('./cluster-member.ts')> | undefined

/** Imports what a broker of several needs, once. Whoever lets brokers run in virtual time calls this before. */
export function loadClusterMember(): Promise<typeof import('./cluster-member.ts')> {
  clusterMember ??= import('./cluster-member.ts')
  return clusterMember
}

/** Who elects leaders on request. */
type Elector = Pick<Controller, 'isActive' | 'elect'>

export interface MembershipOptions {
  readonly env: Env
  readonly settings: BrokerSettings
  readonly topicDefaults: TopicSettings
  readonly logger: Logger
  /** A store that others share and somebody else closes. */
  readonly store?: MetadataStore | undefined
  /** Of the machine. */
  readonly bootId: string
}

export class Membership {
  readonly store: MetadataStore
  readonly image: ClusterImage
  /** Nobody else uses the store. */
  readonly alone: boolean
  readonly #options: MembershipOptions
  #registration: BrokerRegistration | undefined
  /** undefined for a broker by itself. */
  #member: ClusterMember | undefined
  /** Settles when the store of a broker by itself bears the name of its cluster. */
  #named: Promise<unknown> | undefined

  private constructor(options: MembershipOptions, store: MetadataStore, image: ClusterImage, alone: boolean) {
    this.#options = options
    this.store = store
    this.image = image
    this.alone = alone
  }

  /**
   * Opens the store and reads it; etcd is waited for, since its hosts may be starting too. Rejects as the store does.
   */
  static async open(options: MembershipOptions): Promise<Membership> {
    const { env, settings, store } = options
    const isEtcd = store === undefined && settings.metadata.startsWith('etcd:')
    const endMs = env.clock.monotonicMs() + (isEtcd ? ETCD_PATIENCE_MS : 0)
    for (;;) {
      try {
        return await Membership.#open(options)
      } catch (error) {
        if (!hasCode(error, 'PAGELOG_METADATA_UNREACHABLE') || store !== undefined) throw error
        if (env.clock.monotonicMs() >= endMs) {
          const what = isEtcd ? 'see that etcd runs there' : 'start what serves it (pagelog cluster start)'
          const message = `${error.message}: ${what}, or correct pagelog.metadata=${settings.metadata}`
          throw new PagelogError('PAGELOG_METADATA_UNREACHABLE', message, { retriable: true })
        }
      }
      await new Promise<void>((resolve) => void env.clock.after(ETCD_LOOK_MS, resolve))
    }
  }

  static async #open(options: MembershipOptions): Promise<Membership> {
    const { env, settings, logger } = options
    const alone = options.store === undefined && settings.metadata === 'embedded'
    const store = options.store ?? (await openStore(options))
    try {
      const image = await ClusterImage.open(store, { clock: env.clock, logger, relistMs: alone ? 0 : RELIST_MS })
      return new Membership(options, store, image, alone)
    } catch (error) {
      if (store !== options.store) await store.close()
      throw error
    }
  }

  /** What hangs on this broker's life; undefined while it is not registered. */
  get lease(): string | undefined {
    return this.#registration?.leaseId
  }

  get registration(): BrokerRegistration {
    if (this.#registration !== undefined) return this.#registration
    throw new PagelogError('PAGELOG_CLOSED', 'the broker has not joined its cluster yet')
  }

  /** Who follows others, for `Replicas`; undefined where there are none. */
  get fetchers(): ClusterMember['fetchers'] | undefined {
    return this.#member?.fetchers
  }

  /** Of a broker by itself each partition has the one leader that it can have. */
  get controller(): Elector {
    if (this.#member !== undefined) return this.#member.controller
    const { image } = this
    const codeOf = (topic: string, index: number): number =>
      image.topic(topic)?.partitions[index] ? ErrorCode.ELECTION_NOT_NEEDED : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return { isActive: true, elect: async (_kind, targets) => targets.map(({ topic, index }) => codeOf(topic, index)) }
  }

  /**
   * Which cluster the log directory must belong to; undefined where it decides itself. Error: PAGELOG_INVALID_ARGUMENT
   * when folder, store and settings do not belong together; nothing has been written then.
   */
  async clusterId(): Promise<string | undefined> {
    const { env, settings } = this.#options
    const wanted = settings.clusterId === '' ? undefined : settings.clusterId
    if (this.alone) return wanted
    const found = await joinCluster(this.store, undefined)
    // Throws when it is another one.
    if (found !== undefined) return await joinCluster(this.store, wanted ?? found)
    const stored = await storedClusterId(env.disk, settings.logDir)
    if (stored !== undefined && stored !== wanted) {
      const message =
        `${settings.logDir} belongs to cluster ${stored}, but the metadata at ${settings.metadata} is empty: name the ` +
        `store that the cluster was using, or give pagelog.cluster.id=${stored} to begin with an empty one`
      throw new PagelogError('PAGELOG_INVALID_ARGUMENT', message)
    }
    if (wanted !== undefined) return await joinCluster(this.store, wanted)
    // Several brokers may begin a cluster at the same time: the first one names it.
    await joinCluster(this.store, randomId(env.random)).catch(() => {})
    const id = await joinCluster(this.store, undefined)
    if (id === undefined) throw new PagelogError('PAGELOG_METADATA_UNREACHABLE', 'the cluster could not be created')
    return id
  }

  /** Refuses a node id that somebody else uses, as `ClusterMember.open`. Before the log directory is opened. */
  async checkNodeId(): Promise<void> {
    if (this.alone) return
    const { ClusterMember } = await loadClusterMember()
    this.#member = await ClusterMember.open({ ...this.#options, store: this.store, image: this.image })
  }

  /** While the directory is opened: records that a log had are about to be cut off. Rejects as the disk does. */
  async reportCut(name: PartitionName): Promise<void> {
    await this.#member?.reportCut(name)
  }

  /** Before anything is created in the directory. */
  async settle(directory: LogDirectory): Promise<void> {
    if (this.alone) {
      // Written while the logs are opened; a failure is told when the broker joins.
      this.#named = joinCluster(this.store, directory.clusterId)
      this.#named.catch(() => {})
    }
    await this.#member?.settle(directory)
  }

  /** A log could not be opened: this broker is no member of that partition. */
  reportBroken(topicId: string, index: number): void {
    this.#member?.reportBroken(topicId, index)
  }

  /** A log is damaged: this broker leaves ISR and ELR of that partition where another one is in sync. */
  reportDamaged(topicId: string, index: number): void {
    this.#member?.reportDamaged(topicId, index)
  }

  /** Registers the broker and stands for controller. Rejects as `BrokerRegistration.register`. */
  async join(directory: LogDirectory, endpoint: Endpoint): Promise<void> {
    const { env, settings, logger, bootId } = this.#options
    const { nodeId } = directory
    const member = this.#member
    const incarnation = member?.incarnation ?? newIncarnation(env.random)
    member?.answerForLogs()
    const { host, port } = endpoint
    const registration = await BrokerRegistration.register({
      store: this.store,
      clock: env.clock,
      logger,
      broker: { id: nodeId, host, port, rack: settings.brokerRack, bootId, incarnation, pid: process.pid },
      past: member?.past ?? 'all',
      sessionTimeoutMs: settings.brokerSessionTimeoutMs,
      heartbeatIntervalMs: settings.brokerHeartbeatIntervalMs,
      returning: async () => await member?.comeBack(),
    })
    this.#registration = registration
    await this.#named
    await this.image.reached(registration.brokerEpoch)
    this.image.onChange(({ brokers }) => {
      // Gone or replaced: somebody declared this broker dead.
      if (brokers.has(nodeId) && this.image.brokers.get(nodeId)?.epoch !== registration.brokerEpoch) {
        void registration.verify()
      }
    })
    member?.begin(registration, directory)
  }

  /** Lets others lead what this broker leads, while it goes on serving. Never rejects. */
  async leave(): Promise<void> {
    await this.#member?.leave()
  }

  /** Ends the registration. Never rejects. */
  async resign(): Promise<void> {
    await this.#member?.close()
    await this.#registration?.close()
  }

  /** Closes image and store; the last thing of all. */
  async close(): Promise<void> {
    this.image.close()
    if (this.store !== this.#options.store) await this.store.close()
  }
}

async function openStore({ env, settings, logger }: MembershipOptions): Promise<MetadataStore> {
  const { metadata, logDir, metadataRoot: root, metadataUser: user, metadataPassword: password } = settings
  const location = parseMetadataLocation(metadata)
  if (location.kind === 'embedded') {
    return await EmbeddedMetadata.open({ ...env, path: `${logDir}/${METADATA_FILE}`, logger })
  }
  const tls = await tlsOf(env, settings)
  const { endpoints } = location
  const store = await connectMetadata({
    clock: env.clock,
    logger,
    endpoints,
    // The store of one host's cluster has no other users.
    root: endpoints.some((endpoint) => 'socketPath' in endpoint) ? '' : root,
    ...(user === '' ? {} : { user, password }),
    ...(tls ? { tls } : {}),
  })
  try {
    checkEtcdAccess({ endpoints, settings, isUserKnown: store.isUserKnown, logger })
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

async function tlsOf({ disk }: Env, settings: BrokerSettings): Promise<Record<string, string> | undefined> {
  const files = { ca: settings.metadataCa, cert: settings.metadataCertificate, key: settings.metadataKey }
  const given = Object.entries(files).filter(([, path]) => path !== '')
  if (given.length === 0) return undefined
  const texts = given.map(async ([name, path]) => {
    const content = await disk.readFile(path)
    if (content) return [name, new TextDecoder().decode(content)] as const
    throw new PagelogError('PAGELOG_INVALID_SETTING', `the file ${path} for etcd is not there`, { path })
  })
  return Object.fromEntries(await Promise.all(texts))
}
