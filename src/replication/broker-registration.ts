/**
 * A broker's standing in the cluster: the key `brokers/<id>` on a lease that it keeps alive. The key's create revision is
 * the broker epoch, which no other life of this broker, before or after, shares (reliability R7).
 *
 * The lease's time is counted from when a keep-alive was *sent*, on the monotonic clock, and asked for when it matters
 * (`leaseValid`), because a process that was paused runs other callbacks before its timers. A store that cannot be
 * reached fences nobody: followers' epochs protect what is acknowledged (reliability §5.5). Only a lease that the store
 * says is gone does: then this broker leads nothing until it is registered again, under another epoch.
 *
 * One node id is one log directory. What an earlier life on this directory left behind is taken over, for the lock on
 * the directory says that it is dead; anybody else's registration under this id is refused. The lock says nothing of a
 * directory that this one is a copy of, nor of another machine: then the lease has to end by itself.
 */
import { hasCode, type Logger, PagelogError } from '../base/index.ts'
import type { Clock, Random, Timer } from '../env/index.ts'
import { type BrokerValue, brokerKey, type KeyValue, type MetadataStore } from '../metadata/index.ts'

/** Of a lease's time: after that it may be over by the store's clock, which is not ours (reliability §5.4). */
const TRUSTED_SHARE = 0.8
/** A keep-alive that fails has another two before the lease ends. */
const BEATS_PER_LEASE = 3
const RETRY_MS_MIN = 50
const RETRY_MS_MAX = 2000

export interface RegistrationOptions {
  readonly store: MetadataStore
  readonly clock: Clock
  readonly logger: Logger
  readonly broker: BrokerValue
  /** Whose registration may be taken over: lives that are over for sure; `all` where nobody else has the store. */
  readonly past: readonly string[] | 'all'
  /** `broker.session.timeout.ms`, `broker.heartbeat.interval.ms`. */
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  /** Called before each registration, while nobody can elect this broker: it gives up what it led before. */
  readonly returning: () => Promise<void>
}

interface Standing {
  readonly leaseId: string
  readonly ttlMs: number
  readonly epoch: number
  /** Monotonic: of the last keep-alive that was answered. */
  sentMs: number
}

export class BrokerRegistration {
  readonly #options: RegistrationOptions
  readonly #key: string
  readonly #fencedListeners = new Set<() => void>()
  readonly #registeredListeners = new Set<() => void>()
  #standing: Standing | undefined
  #beats: Timer | undefined
  #beating: Promise<void> | undefined
  #returning: Promise<void> | undefined
  #leaving = false
  /** The lease lives, but the key may be gone or another one. */
  #isDoubted = false
  #closed = false
  #retry: { readonly timer: Timer; readonly wake: () => void } | undefined

  private constructor(options: RegistrationOptions) {
    this.#options = options
    this.#key = brokerKey(options.broker.id)
  }

  /**
   * Registers the broker. Errors: PAGELOG_INVALID_ARGUMENT (the node id is in use), PAGELOG_METADATA_UNREACHABLE, and
   * those of `returning`.
   */
  static async register(options: RegistrationOptions): Promise<BrokerRegistration> {
    const registration = new BrokerRegistration(options)
    await registration.#enter()
    const { clock, heartbeatIntervalMs, sessionTimeoutMs } = options
    const everyMs = Math.max(1, Math.min(heartbeatIntervalMs, sessionTimeoutMs / BEATS_PER_LEASE))
    registration.#beats = clock.every(everyMs, () => void registration.check())
    return registration
  }

  /** 0 while fenced. */
  get brokerEpoch(): number {
    return this.#standing?.epoch ?? 0
  }

  /** What else hangs on this broker's life; undefined while fenced. */
  get leaseId(): string | undefined {
    return this.#standing?.leaseId
  }

  /** Of this process; it tells what only this process can have written. */
  get incarnation(): string {
    return this.#options.broker.incarnation
  }

  /** Whether nobody can have declared this broker dead yet. */
  leaseValid(): boolean {
    const { clock } = this.#options
    return (
      this.#standing !== undefined && clock.monotonicMs() < this.#standing.sentMs + this.#standing.ttlMs * TRUSTED_SHARE
    )
  }

  /** Calls `listener` when the lease is lost, in the same turn as it is known. */
  onFenced(listener: () => void): () => void {
    this.#fencedListeners.add(listener)
    return () => this.#fencedListeners.delete(listener)
  }

  /** Calls `listener` after each registration but the first. */
  onRegistered(listener: () => void): () => void {
    this.#registeredListeners.add(listener)
    return () => this.#registeredListeners.delete(listener)
  }

  /** Keeps the lease alive, or finds that it is gone. Never rejects. */
  check(): Promise<void> {
    if (this.#standing === undefined || this.#closed) return Promise.resolve()
    this.#beating ??= this.#beat(this.#standing).finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  /**
   * The image shows another registration than this one, or none: whether it has come late or somebody took the key away
   * from its lease is what the key tells. Never rejects.
   */
  async verify(): Promise<void> {
    this.#isDoubted = true
    await this.check()
    // That one may have been under way, past its look at the key.
    if (this.#isDoubted) await this.check()
  }

  /** Tells the cluster that this broker is about to close. False when it has no standing. */
  async announceLeaving(): Promise<boolean> {
    const { store, broker } = this.#options
    const standing = this.#standing
    this.#leaving = true
    if (standing === undefined) return false
    const value: BrokerValue = { ...broker, lease: standing.leaseId, leaving: true }
    const result = await store.transact(
      [{ key: this.#key, field: 'createRevision', equals: standing.epoch }],
      [{ type: 'put', key: this.#key, value: JSON.stringify(value), lease: standing.leaseId }],
    )
    return result.succeeded
  }

  /** Gives the standing up for good; the process may go on without one. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true
    this.#beats?.cancel()
    this.#retry?.timer.cancel()
    this.#retry?.wake()
    await this.#beating
    await this.#returning
    const standing = this.#standing
    this.#fence()
    if (standing === undefined) return
    const { store, logger } = this.#options
    await store.revokeLease(standing.leaseId).catch((error: unknown) => {
      logger.warn({ error }, 'the registration could not be withdrawn; it ends with its lease')
    })
  }

  async #enter(): Promise<void> {
    const { store, clock, broker, sessionTimeoutMs, returning } = this.#options
    const { pair } = await store.get(this.#key)
    if (pair !== undefined) await this.#takeOver(pair)
    await returning()
    const sentMs = clock.monotonicMs()
    const { id: leaseId, ttlMs } = await store.grantLease(sessionTimeoutMs)
    const value: BrokerValue = { ...broker, lease: leaseId, ...(this.#leaving ? { leaving: true } : {}) }
    const epoch = await this.#create(JSON.stringify(value), leaseId).catch(async (error: unknown) => {
      await store.revokeLease(leaseId).catch(() => {})
      throw error
    })
    this.#standing = { leaseId, ttlMs, epoch, sentMs }
  }

  /** The key's create revision: this life's broker epoch. */
  async #create(value: string, lease: string): Promise<number> {
    const { store } = this.#options
    try {
      const absent = { key: this.#key, field: 'createRevision', equals: 0 } as const
      const result = await store.transact([absent], [{ type: 'put', key: this.#key, value, lease }])
      if (result.succeeded) return result.revision
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_OUTCOME_UNKNOWN')) throw error
    }
    // The lease is in the value, so that it tells whether it was this attempt that created the key.
    const { pair } = await store.get(this.#key)
    if (pair?.value === value) return pair.createRevision
    const { broker, sessionTimeoutMs } = this.#options
    if (pair !== undefined) throw inUse(pair, broker.id, sessionTimeoutMs)
    throw new PagelogError('PAGELOG_OUTCOME_UNKNOWN', 'the registration may have happened or not', { retriable: true })
  }

  async #takeOver(pair: KeyValue): Promise<void> {
    const { store, past, broker, logger, sessionTimeoutMs } = this.#options
    const { incarnation } = JSON.parse(pair.value) as Partial<BrokerValue>
    const isOwn = past === 'all' || incarnation === broker.incarnation || past.includes(incarnation ?? '')
    if (!isOwn) throw inUse(pair, broker.id, sessionTimeoutMs)
    // With its lease goes everything else of that life, such as being the controller.
    if (pair.lease !== undefined) await store.revokeLease(pair.lease)
    await store.transact(
      [{ key: this.#key, field: 'createRevision', equals: pair.createRevision }],
      [{ type: 'delete', key: this.#key }],
    )
    logger.debug({ brokerEpoch: pair.createRevision }, 'took the registration of an earlier life over')
  }

  async #beat(standing: Standing): Promise<void> {
    const { store, clock, logger } = this.#options
    const sentMs = clock.monotonicMs()
    try {
      const leftMs = await store.keepAlive(standing.leaseId)
      if (leftMs > 0) standing.sentMs = Math.max(standing.sentMs, sentMs)
      else this.#lost(standing)
      if (this.#isDoubted) await this.#lookAtKey(standing)
    } catch (error) {
      if (hasCode(error, 'PAGELOG_LEASE_LOST')) this.#lost(standing)
      else logger.warn({ error }, 'the lease of this broker could not be kept alive; tried again')
    }
  }

  async #lookAtKey(standing: Standing): Promise<void> {
    const { store } = this.#options
    const { pair } = await store.get(this.#key)
    if (this.#standing !== standing) return
    this.#isDoubted = false
    if (pair?.createRevision === standing.epoch) return
    this.#lost(standing)
    // With it goes what else hung on it, such as being the controller; otherwise it ends by itself.
    await store.revokeLease(standing.leaseId)
  }

  #lost(standing: Standing): void {
    if (this.#standing !== standing) return
    this.#isDoubted = false
    const { logger } = this.#options
    logger.error(
      { brokerEpoch: standing.epoch },
      'the cluster declared this broker dead: it leads nothing until it is back',
    )
    this.#fence()
    if (!this.#closed) this.#returning ??= this.#return().finally(() => (this.#returning = undefined))
  }

  #fence(): void {
    if (this.#standing === undefined) return
    this.#standing = undefined
    for (const listener of this.#fencedListeners) listener()
  }

  async #return(): Promise<void> {
    const { logger } = this.#options
    let told = ''
    for (let delayMs = RETRY_MS_MIN; !this.#closed; delayMs = Math.min(RETRY_MS_MAX, 2 * delayMs)) {
      try {
        await this.#enter()
        if (this.#closed) return
        logger.info({ brokerEpoch: this.brokerEpoch }, 'registered again')
        for (const listener of this.#registeredListeners) listener()
        return
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        if (message !== told) logger.error({ error }, 'could not register again; tried on')
        told = message
        await this.#pause(delayMs)
      }
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#retry = { timer: this.#options.clock.after(delayMs, resolve), wake: resolve }
    })
  }
}

export interface NodeIdCheck {
  readonly store: MetadataStore
  readonly clock: Clock
  readonly logger: Logger
  readonly nodeId: number
  /** Earlier incarnations of this log directory, and whether they are dead for sure. */
  readonly past: readonly string[]
  readonly isOver: boolean
  readonly sessionTimeoutMs: number
}

/** The store's granularity, and its own delays. */
const LEASE_MARGIN_MS = 3000
const LOOK_MS = 100

/**
 * Resolves when nobody else can be registered under this id. Waits for the lease of an earlier life that may be alive
 * still, where this directory is a copy of its. Error: PAGELOG_INVALID_ARGUMENT. Nothing is written.
 */
export async function checkNodeId(check: NodeIdCheck): Promise<void> {
  const { store, clock, logger, nodeId, past, isOver, sessionTimeoutMs } = check
  const { pair: first } = await store.get(brokerKey(nodeId))
  if (first === undefined) return
  const { incarnation, host, port } = JSON.parse(first.value) as Partial<BrokerValue>
  if (!past.includes(incarnation ?? '')) throw inUse(first, nodeId, sessionTimeoutMs)
  if (isOver) return
  logger.warn({ host, port, sessionTimeoutMs }, 'waiting for the session of the last life of this log directory to end')
  const endMs = clock.monotonicMs() + sessionTimeoutMs + LEASE_MARGIN_MS
  for (let pair: KeyValue | undefined = first; pair !== undefined; pair = (await store.get(brokerKey(nodeId))).pair) {
    if (clock.monotonicMs() >= endMs) {
      const message =
        `node.id=${nodeId} is in use by the broker at ${host}:${port}, and this log directory is a copy of its: give ` +
        'this one another node.id and an empty log.dir, or stop that one first'
      throw new PagelogError('PAGELOG_INVALID_ARGUMENT', message)
    }
    await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve))
  }
}

function inUse({ value }: KeyValue, nodeId: number, sessionTimeoutMs: number): PagelogError {
  const { host, port } = JSON.parse(value) as Partial<BrokerValue>
  const message =
    `node.id=${nodeId} is in use by the broker at ${host}:${port}, which has another log directory: give this one ` +
    `another node.id, or stop that one first (if it was killed it counts as gone after ${sessionTimeoutMs} ms)`
  return new PagelogError('PAGELOG_INVALID_ARGUMENT', message)
}

/** Another text for each process. */
export function newIncarnation(random: Random): string {
  return Buffer.from(random.bytes(16)).toString('base64url')
}
