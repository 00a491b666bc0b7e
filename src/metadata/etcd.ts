/**
 * The metadata engine of a cluster: etcd 3.5 or newer, through its JSON gateway, which is plain HTTP. The same client
 * speaks to the `MetadataServer` of this room. All keys are below `root`, so that an etcd can have other users.
 */
import { type Logger, PagelogError, silentLogger } from '../base/index.ts'
import type { Clock } from '../env/index.ts'
import { EtcdConnection } from './etcd-connection.ts'
import { EtcdRefusal } from './etcd-errors.ts'
import { EtcdWatch } from './etcd-watch.ts'
import {
  decodePair,
  encodeCompare,
  encodeOperation,
  encodeText,
  keyAfter,
  paths,
  prefixRange,
  type WireHeader,
  type WireLeaseResponse,
  type WireLine,
  type WireRangeRequest,
  type WireRangeResponse,
  type WireTxnRequest,
  type WireTxnResponse,
} from './etcd-wire.ts'
import type { Endpoint, TlsOptions } from './http-calls.ts'
import type {
  Compare,
  KeyValue,
  Lease,
  MetadataStore,
  Operation,
  TransactionResult,
  Unwatch,
  WatchListener,
} from './store.ts'
import { checkTransaction } from './transaction-check.ts'

export interface EtcdMetadataOptions {
  readonly clock: Clock
  readonly logger?: Logger
  /** Members of one etcd, in any order. */
  readonly endpoints: readonly Endpoint[]
  /** What all keys begin with; `pagelog/` when it is not given. */
  readonly root?: string
  readonly tls?: TlsOptions
  readonly user?: string
  readonly password?: string
  readonly connectTimeoutMs?: number
  readonly requestTimeoutMs?: number
  readonly keepAliveTimeoutMs?: number
  /** A watch that hears nothing for so long is opened anew. */
  readonly watchSilenceMs?: number
}

/** Keys of one page: below a millisecond to read. */
const PAGE_KEYS = 256
/** Readings begun anew because their revision was compacted away under them. */
const RANGE_ATTEMPTS_MAX = 5

export class EtcdMetadata implements MetadataStore {
  readonly #connection: EtcdConnection
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #root: string
  readonly #watchSilenceMs: number
  readonly #watches = new Set<EtcdWatch>()

  private constructor(connection: EtcdConnection, options: EtcdMetadataOptions) {
    this.#connection = connection
    this.#clock = options.clock
    this.#logger = options.logger ?? silentLogger
    this.#root = options.root ?? 'pagelog/'
    this.#watchSilenceMs = options.watchSilenceMs ?? 20_000
  }

  /** The store has authenticated the user by its password. */
  get isUserKnown(): boolean {
    return this.#connection.isUserKnown
  }

  /**
   * Connects. Errors: PAGELOG_METADATA_UNREACHABLE, PAGELOG_UNSUPPORTED (etcd 3.4 or older, or no etcd),
   * PAGELOG_INVALID_SETTING (user, password or rights).
   */
  static async open(options: EtcdMetadataOptions): Promise<EtcdMetadata> {
    const connection = await EtcdConnection.create({
      connectTimeoutMs: 1000,
      requestTimeoutMs: 3000,
      keepAliveTimeoutMs: 1000,
      ...options,
      logger: options.logger ?? silentLogger,
    })
    const store = new EtcdMetadata(connection, options)
    try {
      await store.#currentRevision()
    } catch (error) {
      connection.close()
      throw error
    }
    return store
  }

  async get(key: string): Promise<{ pair: KeyValue | undefined; revision: number }> {
    const { kvs = [], header } = await this.#range({ key: encodeText(this.#root + key) })
    return { pair: kvs[0] && decodePair(kvs[0], this.#root), revision: revisionOf(header) }
  }

  /** Page by page at one revision, so that no page takes the event loop for long. */
  async range(prefix: string): Promise<{ pairs: KeyValue[]; revision: number }> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#pages(prefix)
      } catch (error) {
        const isCompacted =
          error instanceof PagelogError && error.cause instanceof EtcdRefusal && error.cause.isCompacted
        if (!isCompacted || attempt === RANGE_ATTEMPTS_MAX) throw error
      }
    }
  }

  async transact(compare: readonly Compare[], operations: readonly Operation[]): Promise<TransactionResult> {
    checkTransaction(compare, operations)
    const request: WireTxnRequest = {
      compare: compare.map((one) => encodeCompare(one, this.#root)),
      success: operations.map((operation) => encodeOperation(operation, this.#root)),
    }
    const call = { path: paths.txn, body: request, repeatable: false }
    const { succeeded = false, header } = await this.#connection.call<WireTxnResponse>(call)
    return { succeeded, revision: revisionOf(header) }
  }

  watch(prefix: string, fromRevision: number, listener: WatchListener): Unwatch {
    const watch = new EtcdWatch({
      connection: this.#connection,
      clock: this.#clock,
      logger: this.#logger,
      root: this.#root,
      prefix,
      fromRevision,
      listener,
      silenceMs: this.#watchSilenceMs,
      currentRevision: () => this.#currentRevision(),
    })
    this.#watches.add(watch)
    return () => {
      this.#watches.delete(watch)
      watch.end()
    }
  }

  /** One that is granted twice because the first answer was lost ends by itself. etcd counts whole seconds. */
  async grantLease(ttlMs: number): Promise<Lease> {
    if (!(ttlMs > 0)) throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'a lease has a time above 0')
    const body = { TTL: String(Math.ceil(ttlMs / 1000)) }
    const { ID, TTL } = await this.#connection.call<WireLeaseResponse>({ path: paths.grant, body, repeatable: true })
    if (ID === undefined) throw new PagelogError('PAGELOG_METADATA_UNREACHABLE', 'etcd granted a lease without an id')
    return { id: ID, ttlMs: 1000 * Number(TTL ?? 0) }
  }

  async keepAlive(leaseId: string): Promise<number> {
    const answer = await this.#connection.call<WireLine<WireLeaseResponse> & { header?: WireHeader }>({
      path: paths.keepAlive,
      body: { ID: leaseId },
      lane: 'keep-alive',
      repeatable: true,
    })
    const seconds = Number(answer.result?.TTL ?? 0)
    if (seconds <= 0) throw new PagelogError('PAGELOG_LEASE_LOST', `there is no lease ${leaseId} any more`)
    return 1000 * seconds
  }

  async revokeLease(leaseId: string): Promise<void> {
    try {
      await this.#connection.call({ path: paths.revoke, body: { ID: leaseId }, repeatable: true })
    } catch (error) {
      if (!(error instanceof PagelogError && error.code === 'PAGELOG_LEASE_LOST')) throw error
    }
  }

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.end()
    this.#watches.clear()
    this.#connection.close()
  }

  async #range(request: WireRangeRequest): Promise<WireRangeResponse> {
    return await this.#connection.call<WireRangeResponse>({ path: paths.range, body: request, repeatable: true })
  }

  async #pages(prefix: string): Promise<{ pairs: KeyValue[]; revision: number }> {
    let { key, range_end } = prefixRange(this.#root + prefix)
    const pairs: KeyValue[] = []
    let revision: number | undefined
    for (;;) {
      const at = revision === undefined ? {} : { revision: String(revision) }
      const page = await this.#range({ key, range_end, limit: String(PAGE_KEYS), ...at })
      revision ??= revisionOf(page.header)
      const { kvs = [], more = false } = page
      for (const kv of kvs) pairs.push(decodePair(kv, this.#root))
      if (!more || kvs.length === 0) return { pairs, revision }
      key = keyAfter(this.#root + pairs.at(-1)!.key)
    }
  }

  async #currentRevision(): Promise<number> {
    const { header } = await this.#range({ key: encodeText(`${this.#root}cluster`), keys_only: true })
    return revisionOf(header)
  }
}

function revisionOf(header: WireHeader | undefined): number {
  return Number(header?.revision ?? 0)
}
