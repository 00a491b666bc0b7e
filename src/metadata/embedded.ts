/**
 * The metadata engine of one process: all keys in memory, every change in a journal. Transactions that arrive while a
 * write is under way are evaluated together and leave in the next one (group commit); readers and watchers see a change
 * only when it is durable. Leases are in the journal too, their time is not (leases.ts).
 */
import { type Logger, PagelogError } from '../base/index.ts'
import type { Clock, Disk } from '../env/index.ts'
import { Journal } from './journal.ts'
import { type Change, keyValue, livePair, type Payload, type SnapshotPayload } from './journal-payload.ts'
import { Leases } from './leases.ts'
import { changed, Staged } from './staged.ts'
import type {
  Compare,
  KeyValue,
  Lease,
  MetadataEvent,
  MetadataStore,
  Operation,
  TransactionResult,
  Unwatch,
  WatchListener,
} from './store.ts'
import { checkTransaction } from './transaction-check.ts'
import { Watches } from './watches.ts'

export interface EmbeddedMetadataOptions {
  readonly disk: Disk
  /** For leases. */
  readonly clock: Clock
  readonly path: string
  readonly logger?: Logger
  /** A compaction is due when the journal is larger than this and than four times its live content. */
  readonly compactAboveBytes?: number
  /** Revisions kept for watches that begin in the past. */
  readonly historyRevisions?: number
  /** Bytes of keys and values in them. */
  readonly historyBytes?: number
  /** Called once, when the journal failed: the store is offline until it is opened again. */
  readonly failed?: (error: PagelogError) => void
}

interface Queued {
  /** Evaluates; what it gives back is told once it is durable. */
  stage(staged: Staged): unknown
  resolve(result: unknown): void
  reject(error: unknown): void
}

export class EmbeddedMetadata implements MetadataStore {
  readonly #compactAboveBytes: number
  readonly #failed: (error: PagelogError) => void
  readonly #keys = new Map<string, KeyValue>()
  readonly #watches: Watches
  readonly #leases: Leases
  #journal: Journal | undefined
  #revision = 0
  #nextLease = 1
  #liveBytes = 0
  #queue: Queued[] = []
  #writing: Promise<void> | undefined
  #failure: PagelogError | undefined

  private constructor(options: EmbeddedMetadataOptions) {
    this.#compactAboveBytes = options.compactAboveBytes ?? 1024 * 1024
    this.#failed = options.failed ?? (() => {})
    this.#watches = new Watches(options.historyRevisions ?? 1000, options.historyBytes ?? 16 * 1024 * 1024)
    this.#leases = new Leases(options.clock, (id) => {
      this.#enqueue((staged) => staged.revoke(id)).catch(() => this.#leases.postpone(id))
    })
  }

  /** Errors: PAGELOG_CORRUPT (damage before the last entry), PAGELOG_STORAGE. */
  static async open(options: EmbeddedMetadataOptions): Promise<EmbeddedMetadata> {
    const store = new EmbeddedMetadata(options)
    store.#journal = await Journal.open(options, (payload) => store.#replay(JSON.parse(payload) as Payload))
    store.#leases.start()
    return store
  }

  /** The last committed revision; 0 for an empty store. */
  get revision(): number {
    return this.#revision
  }

  async get(key: string): Promise<{ pair: KeyValue | undefined; revision: number }> {
    this.#assertReadable()
    return { pair: this.#keys.get(key), revision: this.#revision }
  }

  async range(prefix: string): Promise<{ pairs: KeyValue[]; revision: number }> {
    this.#assertReadable()
    return { pairs: this.#sorted(prefix), revision: this.#revision }
  }

  async transact(compare: readonly Compare[], operations: readonly Operation[]): Promise<TransactionResult> {
    checkTransaction(compare, operations)
    return await this.#enqueue((staged) => staged.evaluate(compare, operations))
  }

  watch(prefix: string, fromRevision: number, listener: WatchListener): Unwatch {
    return this.#watches.add(prefix, fromRevision, listener)
  }

  async grantLease(ttlMs: number): Promise<Lease> {
    if (!(ttlMs > 0)) throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'a lease has a time above 0')
    return await this.#enqueue((staged) => {
      const id = String(this.#nextLease++)
      staged.grant(id, ttlMs)
      return { id, ttlMs }
    })
  }

  async keepAlive(leaseId: string): Promise<number> {
    this.#assertReadable()
    const ttlMs = this.#leases.keepAlive(leaseId)
    if (ttlMs === undefined) throw new PagelogError('PAGELOG_LEASE_LOST', `there is no lease ${leaseId} any more`)
    return ttlMs
  }

  async revokeLease(leaseId: string): Promise<void> {
    await this.#enqueue((staged) => staged.revoke(leaseId))
  }

  async close(): Promise<void> {
    this.#failure ??= new PagelogError('PAGELOG_CLOSED', 'the metadata store is closed')
    this.#leases.stop()
    await this.#writing
    this.#watches.close()
    await this.#journal?.close()
  }

  /** After a failed write memory may be behind the journal: whoever reads again to learn an outcome must not be misled. */
  #assertReadable(): void {
    if (this.#failure) throw this.#failure
  }

  #sorted(prefix: string): KeyValue[] {
    const found: KeyValue[] = []
    for (const pair of this.#keys.values()) if (pair.key.startsWith(prefix)) found.push(pair)
    return found.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  #enqueue<T>(stage: (staged: Staged) => T): Promise<T> {
    if (this.#failure) return Promise.reject(this.#failure)
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ stage, resolve: resolve as (result: unknown) => void, reject })
      this.#writing ??= this.#writeQueued()
    })
  }

  async #writeQueued(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#queue
      this.#queue = []
      await this.#writeGroup(group)
    }
    // In the same turn as the look at the queue: nothing can be queued in between and be forgotten.
    this.#writing = undefined
  }

  async #writeGroup(group: readonly Queued[]): Promise<void> {
    const staged = new Staged({ revision: this.#revision, keys: this.#keys, leases: this.#leases })
    const answers = group.map((queued) => answer(queued, staged))
    try {
      if (!staged.isEmpty) await this.#journal!.append(JSON.stringify(payloadOf(staged, this.#revision + 1)))
    } catch (error) {
      for (const queued of group) queued.reject(error)
      if (error instanceof PagelogError && error.code !== 'PAGELOG_DISK_FULL') this.#goOffline(error)
      return
    }
    this.#apply(payloadOf(staged, this.#revision + 1))
    for (const answered of answers) answered()
    await this.#compactWhenDue()
  }

  #goOffline(error: PagelogError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#failed(error)
  }

  /** A failed compaction ends the journal: the next transaction reports it. */
  async #compactWhenDue(): Promise<void> {
    const size = this.#journal!.size
    if (size <= this.#compactAboveBytes || size <= 4 * this.#liveBytes) return
    const payload: SnapshotPayload = {
      s: this.#revision,
      k: this.#sorted('').map(livePair),
      ...(this.#leases.size === 0 ? {} : { l: this.#leases.entries() }),
      ...(this.#nextLease === 1 ? {} : { n: this.#nextLease }),
    }
    await this.#journal!.compact(JSON.stringify(payload)).catch(() => {})
  }

  #replay(payload: Payload): void {
    if ('s' in payload) {
      this.#load(payload)
      return
    }
    if (payload.r !== this.#revision + 1) {
      throw new PagelogError('PAGELOG_CORRUPT', 'the metadata journal skips a revision', { offset: payload.r })
    }
    this.#apply(payload)
  }

  #load({ s, k, l = [], n = 1 }: SnapshotPayload): void {
    this.#keys.clear()
    this.#leases.clear()
    this.#liveBytes = 0
    this.#watches.reset(s)
    this.#revision = s
    this.#nextLease = n
    for (const [id, ttlMs] of l) this.#grant(id, ttlMs)
    for (const pair of k) this.#set(keyValue(pair))
  }

  #apply({ t, g = [], x = [] }: Exclude<Payload, SnapshotPayload>): void {
    for (const [id, ttlMs] of g) this.#grant(id, ttlMs)
    for (const changes of t) this.#commit(changes)
    for (const id of x) this.#leases.end(id)
  }

  #grant(id: string, ttlMs: number): void {
    this.#nextLease = Math.max(this.#nextLease, Number(id) + 1)
    this.#leases.grant(id, ttlMs)
  }

  #commit(changes: readonly Change[]): void {
    const revision = ++this.#revision
    const events: MetadataEvent[] = []
    for (const change of changes) {
      const key = change[1]
      const pair = changed(this.#keys.get(key), change, revision)
      if (pair) {
        this.#set(pair)
        events.push({ type: 'put', key, value: pair.value, revision, createRevision: pair.createRevision })
      } else {
        this.#remove(key)
        events.push({ type: 'delete', key, value: '', revision, createRevision: 0 })
      }
    }
    this.#watches.commit(events, revision)
  }

  #set(pair: KeyValue): void {
    this.#remove(pair.key)
    this.#keys.set(pair.key, pair)
    this.#liveBytes += pair.key.length + pair.value.length
    if (pair.lease !== undefined) this.#leases.attach(pair.lease, pair.key)
  }

  #remove(key: string): void {
    const old = this.#keys.get(key)
    if (!old) return
    this.#keys.delete(key)
    this.#liveBytes -= old.key.length + old.value.length
    if (old.lease !== undefined) this.#leases.detach(old.lease, key)
  }
}

/** Evaluates one call; what comes back tells its caller, once the group is durable. */
function answer(queued: Queued, staged: Staged): () => void {
  try {
    const result = queued.stage(staged)
    return () => queued.resolve(result)
  } catch (error) {
    return () => queued.reject(error)
  }
}

function payloadOf(staged: Staged, revision: number): Exclude<Payload, SnapshotPayload> {
  return {
    r: revision,
    t: staged.transactions,
    ...(staged.granted.length === 0 ? {} : { g: staged.granted }),
    ...(staged.revoked.length === 0 ? {} : { x: staged.revoked }),
  }
}
