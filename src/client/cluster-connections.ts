/**
 * A client's connections and its metadata: starts from the bootstrap addresses, keeps one connection per broker, asks
 * for metadata when something looks wrong and every metadata.max.age.ms, with back-off. When no known broker can be
 * reached it starts from the bootstrap addresses again (KIP-899); when none has answered for long, or one says so, it forgets
 * the others first (KIP-1102).
 */
import { ErrorCode, errorOf, type Logger, PagelogError } from '../base/index.ts'
import type { Env, Timer } from '../env/index.ts'
import { AskingConnection, type SlabPool } from '../net/index.ts'
import { Metadata } from '../protocol/index.ts'
import { backoffMs } from './backoff.ts'
import { ClusterMetadata, type LeaderHint, type NodeEndpoint } from './cluster-metadata.ts'
import type { ConnectionSettings } from './settings.ts'
import { delay, orAborted, orTimedOut, type WaitOptions } from './waiting.ts'

export interface ClusterOptions {
  readonly env: Pick<Env, 'network' | 'clock' | 'random'>
  readonly settings: ConnectionSettings
  readonly logger: Logger
  /** Where answers are received. */
  readonly pool: SlabPool
  readonly allowAutoTopicCreation: boolean
}

/** The last that Kafka 4.1 knows. */
const METADATA_VERSION_MAX = 13
const PORT_MAX = 65_535

/** One address and what is at it. */
class Endpoint {
  readonly host: string
  readonly port: number
  connection: AskingConnection | undefined
  connecting: Promise<AskingConnection> | undefined
  failures = 0
  notBeforeMs = 0

  constructor(host: string, port: number) {
    this.host = host
    this.port = port
  }
}

export class ClusterConnections {
  readonly metadata = new ClusterMetadata()
  readonly #options: ClusterOptions
  readonly #bootstrap: readonly Endpoint[]
  readonly #endpoints = new Map<string, Endpoint>()
  readonly #topics = new Set<string>()
  readonly #listeners = new Set<() => void>()
  #refreshing = false
  /** Asked for again while a refresh was under way. */
  #refreshAgain = false
  /** A topic was named that no answer has told of yet. */
  #isNews = false
  #refreshedMs = Number.NEGATIVE_INFINITY
  #refreshTimer: Timer | undefined
  #refreshFailures = 0
  /** Since when answers have been missing; undefined after one. */
  #missingSinceMs: number | undefined
  #ageTimer: Timer | undefined
  #closed = false

  /** Throws PAGELOG_INVALID_SETTING for addresses that are none. Connects to nothing yet. */
  constructor(options: ClusterOptions) {
    this.#options = options
    if (options.settings.bootstrap.length === 0) {
      throw new PagelogError('PAGELOG_INVALID_SETTING', 'bootstrap.servers: at least one host:port is needed')
    }
    this.#bootstrap = options.settings.bootstrap.map((address) => this.#endpointOf(...parseAddress(address)))
  }

  /** Called after every metadata answer, also one that only says that a topic cannot be had. Returns the unsubscriber. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** From now on metadata answers tell of this topic. */
  want(topic: string): void {
    if (this.#topics.has(topic)) return
    this.#topics.add(topic)
    this.#isNews = true
    this.refresh()
  }
  forget(topic: string): void {
    this.#topics.delete(topic)
  }

  /** Resolves once the partitions of the topic are known. Errors: PAGELOG_BROKER (final ones), PAGELOG_TIMED_OUT, PAGELOG_ABORTED, PAGELOG_CLOSED. */
  async topicKnown(topic: string, timeoutMs: number, options: WaitOptions = {}): Promise<void> {
    this.want(topic)
    let stop = (): void => {}
    const known = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        const error = this.metadata.errorOf(topic)
        if (this.#closed) reject(closedError())
        else if (error !== undefined && !error.retriable) reject(error)
        else if (error === undefined && this.metadata.topic(topic) !== undefined) resolve()
      }
      stop = this.onChange(look)
      look()
    })
    try {
      await orAborted(
        orTimedOut(this.#options.env.clock, known, timeoutMs, `no metadata of topic ${topic}`),
        options.signal,
      )
    } finally {
      stop()
    }
  }

  /**
   * Asks for metadata soon: at once for a new topic, else not within retry.backoff.ms of the last time; later when the
   * last answers were not what was wanted.
   */
  refresh(): void {
    if (this.#closed) return
    if (this.#refreshing) {
      this.#refreshAgain = true
      return
    }
    if (this.#isNews) this.#refreshTimer?.cancel()
    else if (this.#refreshTimer !== undefined) return
    this.#refreshTimer = undefined
    const { env } = this.#options
    const waitMs = this.#refreshWaitMs()
    if (waitMs <= 0) void this.#refreshNow()
    else {
      this.#refreshTimer = env.clock.after(waitMs, () => {
        this.#refreshTimer = undefined
        void this.#refreshNow()
      })
    }
  }

  /**
   * Brokers have said who leads in their place (KIP-951). What is news is told to the listeners at once, as if metadata had
   * come; returns whether anything was.
   */
  learnLeaders(hints: readonly LeaderHint[], endpoints: readonly NodeEndpoint[]): boolean {
    let isNews = false
    for (const hint of hints) if (this.metadata.learnLeader(hint, endpoints)) isNews = true
    if (isNews) for (const listener of this.#listeners) listener()
    return isNews
  }

  /** The open connection to a node, if there is one. */
  open(nodeId: number): AskingConnection | undefined {
    const node = this.metadata.nodes.get(nodeId)
    if (node === undefined) return undefined
    const connection = this.#endpointOf(node.host, node.port).connection
    return connection?.closed === false ? connection : undefined
  }

  /** Connects to a node, after the back-off when it failed before. Errors: PAGELOG_DISCONNECTED, PAGELOG_TIMED_OUT, PAGELOG_CLOSED. */
  connect(nodeId: number): Promise<AskingConnection> {
    const node = this.metadata.nodes.get(nodeId)
    if (node !== undefined) return this.#connect(this.#endpointOf(node.host, node.port))
    const error = new PagelogError('PAGELOG_DISCONNECTED', `broker ${nodeId} is not known`, { retriable: true })
    return Promise.reject(error)
  }

  /**
   * Any broker: of those connected the one with the fewest requests in flight (one that hangs has some), else the known
   * ones in random order, else the bootstrap addresses; those that failed just now come last.
   */
  async any(): Promise<AskingConnection> {
    const known = [...this.metadata.nodes.values()].map(({ host, port }) => this.#endpointOf(host, port))
    const { metadataRecoveryStrategy } = this.#options.settings
    const isAlone = known.length > 0 && metadataRecoveryStrategy === 'none'
    const candidates = [...this.#shuffled(known), ...(isAlone ? [] : this.#shuffled(this.#bootstrap))]
    let best: AskingConnection | undefined
    for (const { connection } of candidates) {
      if (connection?.closed === false && connection.inFlight < (best?.inFlight ?? Number.POSITIVE_INFINITY))
        best = connection
    }
    if (best !== undefined) return best
    const nowMs = this.#options.env.clock.monotonicMs()
    const isBack = ({ notBeforeMs }: Endpoint): boolean => notBeforeMs <= nowMs
    let last: unknown
    for (const endpoint of new Set([...candidates.filter(isBack), ...candidates])) {
      try {
        return await this.#connect(endpoint)
      } catch (error) {
        last = error
        if (this.#closed) break
      }
    }
    throw last
  }

  /** Closes every connection; what waits fails. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#refreshTimer?.cancel()
    this.#ageTimer?.cancel()
    for (const listener of this.#listeners) listener()
    await Promise.all([...this.#endpoints.values()].map(({ connection }) => connection?.close()))
  }

  #endpointOf(host: string, port: number): Endpoint {
    const key = `${host}:${port}`
    let endpoint = this.#endpoints.get(key)
    if (endpoint === undefined) {
      endpoint = new Endpoint(host, port)
      this.#endpoints.set(key, endpoint)
    }
    return endpoint
  }

  #connect(endpoint: Endpoint): Promise<AskingConnection> {
    if (this.#closed) return Promise.reject(closedError())
    if (endpoint.connection?.closed === false) return Promise.resolve(endpoint.connection)
    endpoint.connecting ??= this.#connectNow(endpoint).finally(() => {
      endpoint.connecting = undefined
    })
    return endpoint.connecting
  }

  async #connectNow(endpoint: Endpoint): Promise<AskingConnection> {
    const { env, settings, pool } = this.#options
    const waitMs = endpoint.notBeforeMs - env.clock.monotonicMs()
    if (waitMs > 0) await delay(env.clock, waitMs)
    if (this.#closed) throw closedError()
    try {
      const connection = await AskingConnection.connect(env, {
        host: endpoint.host,
        port: endpoint.port,
        clientId: settings.clientId,
        connectTimeoutMs: settings.connectTimeoutMs,
        requestTimeoutMs: settings.requestTimeoutMs,
        pool,
      })
      if (this.#closed) {
        await connection.close()
        throw closedError()
      }
      endpoint.failures = 0
      endpoint.notBeforeMs = 0
      endpoint.connection = connection
      return connection
    } catch (error) {
      endpoint.failures++
      const { reconnectBackoffMs, reconnectBackoffMaxMs } = settings
      const pauseMs = backoffMs(endpoint.failures, reconnectBackoffMs, reconnectBackoffMaxMs, env.random)
      endpoint.notBeforeMs = env.clock.monotonicMs() + pauseMs
      throw error
    }
  }

  #refreshWaitMs(): number {
    if (this.#isNews) return 0
    const { settings, env } = this.#options
    const { retryBackoffMs, retryBackoffMaxMs } = settings
    const pauseMs = backoffMs(Math.max(1, this.#refreshFailures), retryBackoffMs, retryBackoffMaxMs, env.random)
    return this.#refreshedMs + pauseMs - env.clock.monotonicMs()
  }

  async #refreshNow(): Promise<void> {
    this.#refreshing = true
    this.#refreshAgain = false
    this.#isNews = false
    let complete = false
    const { clock } = this.#options.env
    this.#missingSinceMs ??= clock.monotonicMs()
    try {
      complete = await this.#ask()
      this.#missingSinceMs = undefined
    } catch (error) {
      if (!this.#closed) this.#options.logger.debug({ error }, 'metadata could not be had')
      const missingMs = clock.monotonicMs() - (this.#missingSinceMs ?? 0)
      if (!this.#closed && missingMs >= this.#options.settings.metadataRecoveryTriggerMs) this.#startAnew()
    }
    this.#refreshing = false
    this.#refreshedMs = clock.monotonicMs()
    if (this.#closed) return
    this.#refreshFailures = complete ? 0 : this.#refreshFailures + 1
    for (const listener of this.#listeners) listener()
    if (!complete || this.#refreshAgain) this.refresh()
    else this.#refreshByAge()
  }

  async #ask(): Promise<boolean> {
    const connection = await this.any()
    const topics = [...this.#topics]
    const version = connection.versionOf(Metadata, METADATA_VERSION_MAX)
    const request = {
      // Version 0 has no way to ask for none; more than wanted does no harm.
      topics: topics.map((name) => ({ name })),
      allowAutoTopicCreation: this.#options.allowAutoTopicCreation,
    }
    const { body, release } = await connection.ask(Metadata, request, { version })
    if (body.errorCode === ErrorCode.REBOOTSTRAP_REQUIRED) {
      release()
      this.#startAnew()
      return false
    }
    const complete = this.metadata.update(body)
    release()
    this.#forgetEndpoints()
    if (body.errorCode !== ErrorCode.NONE) {
      this.#options.logger.debug({ error: errorOf(body.errorCode).name }, 'metadata answer has an error')
      return false
    }
    return complete
  }

  /** Forgets the brokers, unless that is not wanted: the bootstrap addresses are all there is. */
  #startAnew(): void {
    if (this.#options.settings.metadataRecoveryStrategy === 'none') return
    this.#options.logger.info({}, 'starting from the bootstrap addresses again')
    this.#missingSinceMs = undefined
    this.metadata.forget()
    for (const { connection } of this.#endpoints.values()) void connection?.close()
    this.#forgetEndpoints()
  }

  /** Addresses that nobody has any more: brokers may move for ever. */
  #forgetEndpoints(): void {
    const kept = new Set(this.#bootstrap)
    for (const { host, port } of this.metadata.nodes.values()) kept.add(this.#endpointOf(host, port))
    for (const [key, endpoint] of this.#endpoints) {
      const isUsed = endpoint.connecting !== undefined || endpoint.connection?.closed === false
      if (!isUsed && !kept.has(endpoint)) this.#endpoints.delete(key)
    }
  }

  #refreshByAge(): void {
    this.#ageTimer?.cancel()
    this.#ageTimer = this.#options.env.clock.after(this.#options.settings.metadataMaxAgeMs, () => this.refresh())
  }

  #shuffled<T>(items: readonly T[]): T[] {
    const shuffled = [...items]
    for (let at = shuffled.length - 1; at > 0; at--) {
      const other = Math.floor(this.#options.env.random.fraction() * (at + 1))
      const item = shuffled[at]!
      shuffled[at] = shuffled[other]!
      shuffled[other] = item
    }
    return shuffled
  }
}

export function closedError(): PagelogError {
  return new PagelogError('PAGELOG_CLOSED', 'the client is closed')
}

/** `host:port`, `[::1]:port`. */
function parseAddress(address: string): [host: string, port: number] {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > PORT_MAX) {
    throw new PagelogError('PAGELOG_INVALID_SETTING', `bootstrap.servers: ${address} is no host:port`)
  }
  return [(match[1] ?? match[2])!, port]
}
