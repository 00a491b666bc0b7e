/**
 * The metadata engine of a single broker: all keys in memory, every change in a journal. Transactions that arrive while
 * a write is under way are evaluated together and leave in the next one (group commit); readers and watchers see a
 * change only when it is durable.
 *
 * Journal payloads (JSON): `{"r":revision,"t":[[["p",key,value]|["d",key],…],…]}`, one inner list per transaction, the
 * first of them at revision r; or, after a compaction, `{"s":revision,"k":[[key,value,create,mod,version],…]}`.
 */
import { type Logger, PagelogError } from '../base/index.ts'
import type { Disk } from '../env/index.ts'
import { Journal } from './journal.ts'
import type {
  Compare,
  KeyValue,
  MetadataEvent,
  MetadataStore,
  Operation,
  TransactionResult,
  Unwatch,
  WatchListener,
} from './store.ts'

export interface EmbeddedMetadataOptions {
  readonly disk: Disk
  readonly path: string
  readonly logger?: Logger
  /** A compaction is due when the journal is larger than this and than four times its live content. */
  readonly compactAboveBytes?: number
  /** Revisions kept for watches that begin in the past. */
  readonly historyRevisions?: number
}

type Change = ['p', key: string, value: string] | ['d', key: string]
type LivePair = [key: string, value: string, create: number, mod: number, version: number]
type Payload = { r: number; t: Change[][] } | { s: number; k: LivePair[] }

interface Queued {
  readonly compare: readonly Compare[]
  readonly operations: readonly Operation[]
  resolve(result: TransactionResult): void
  reject(error: unknown): void
}

interface Watch {
  readonly prefix: string
  readonly listener: WatchListener
}

export class EmbeddedMetadata implements MetadataStore {
  readonly #compactAboveBytes: number
  readonly #historyRevisions: number
  readonly #keys = new Map<string, KeyValue>()
  readonly #watches = new Set<Watch>()
  /** Events by revision, contiguous, the oldest first. */
  #history: { readonly revision: number; readonly events: readonly MetadataEvent[] }[] = []
  #journal: Journal | undefined
  #revision = 0
  #liveBytes = 0
  #queue: Queued[] = []
  #writing: Promise<void> | undefined
  #closed = false

  private constructor(options: EmbeddedMetadataOptions) {
    this.#compactAboveBytes = options.compactAboveBytes ?? 1024 * 1024
    this.#historyRevisions = options.historyRevisions ?? 1000
  }

  /** Errors: PAGELOG_CORRUPT (damage before the last entry), PAGELOG_STORAGE. */
  static async open(options: EmbeddedMetadataOptions): Promise<EmbeddedMetadata> {
    const store = new EmbeddedMetadata(options)
    store.#journal = await Journal.open(options, (payload) => store.#replay(JSON.parse(payload) as Payload))
    return store
  }

  get revision(): number {
    return this.#revision
  }

  get(key: string): KeyValue | undefined {
    return this.#keys.get(key)
  }

  range(prefix: string): KeyValue[] {
    const found: KeyValue[] = []
    for (const pair of this.#keys.values()) if (pair.key.startsWith(prefix)) found.push(pair)
    return found.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  transact(compare: readonly Compare[], operations: readonly Operation[]): Promise<TransactionResult> {
    if (this.#closed) return Promise.reject(new PagelogError('PAGELOG_CLOSED', 'the metadata store is closed'))
    return new Promise((resolve, reject) => {
      this.#queue.push({ compare, operations, resolve, reject })
      this.#writing ??= this.#writeQueued()
    })
  }

  watch(prefix: string, fromRevision: number, listener: WatchListener): Unwatch {
    const oldest = this.#revision - this.#history.length + 1
    if (fromRevision < oldest) {
      throw new PagelogError('PAGELOG_OFFSET_OUT_OF_RANGE', 'that revision is no longer remembered', {
        offset: fromRevision,
      })
    }
    const watch: Watch = { prefix, listener }
    for (const { revision, events } of this.#history) if (revision >= fromRevision) notify(watch, events, revision)
    this.#watches.add(watch)
    return () => this.#watches.delete(watch)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#writing
    this.#watches.clear()
    await this.#journal?.close()
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
    const staged = new Staged(this.#keys, this.#revision)
    const results = group.map((queued) => staged.evaluate(queued.compare, queued.operations))
    try {
      if (staged.transactions.length > 0) {
        await this.#journal!.append(JSON.stringify({ r: this.#revision + 1, t: staged.transactions } satisfies Payload))
      }
    } catch (error) {
      for (const queued of group) queued.reject(error)
      return
    }
    for (const changes of staged.transactions) this.#commit(changes)
    for (const [i, queued] of group.entries()) queued.resolve(results[i]!)
    await this.#compactWhenDue()
  }

  /** A failed compaction ends the journal: the next transaction reports it. */
  async #compactWhenDue(): Promise<void> {
    const size = this.#journal!.size
    if (size <= this.#compactAboveBytes || size <= 4 * this.#liveBytes) return
    const k = this.range('').map((p): LivePair => [p.key, p.value, p.createRevision, p.modRevision, p.version])
    await this.#journal!.compact(JSON.stringify({ s: this.#revision, k } satisfies Payload)).catch(() => {})
  }

  #replay(payload: Payload): void {
    if ('s' in payload) {
      this.#keys.clear()
      this.#liveBytes = 0
      this.#history = []
      this.#revision = payload.s
      for (const [key, value, createRevision, modRevision, version] of payload.k) {
        this.#set({ key, value, createRevision, modRevision, version })
      }
      return
    }
    if (payload.r !== this.#revision + 1) {
      throw new PagelogError('PAGELOG_CORRUPT', 'the metadata journal skips a revision', { offset: payload.r })
    }
    for (const changes of payload.t) this.#commit(changes)
  }

  #commit(changes: readonly Change[]): void {
    const revision = ++this.#revision
    const events: MetadataEvent[] = []
    for (const change of changes) {
      const key = change[1]
      const old = this.#keys.get(key)
      if (change[0] === 'd') {
        this.#remove(key)
        events.push({ type: 'delete', key, value: '', revision })
      } else {
        const createRevision = old?.createRevision ?? revision
        this.#set({ key, value: change[2], createRevision, modRevision: revision, version: (old?.version ?? 0) + 1 })
        events.push({ type: 'put', key, value: change[2], revision })
      }
    }
    this.#history.push({ revision, events })
    if (this.#history.length > 2 * this.#historyRevisions) this.#history = this.#history.slice(-this.#historyRevisions)
    for (const watch of this.#watches) notify(watch, events, revision)
  }

  #set(pair: KeyValue): void {
    this.#remove(pair.key)
    this.#keys.set(pair.key, pair)
    this.#liveBytes += pair.key.length + pair.value.length
  }

  #remove(key: string): void {
    const old = this.#keys.get(key)
    if (!old) return
    this.#keys.delete(key)
    this.#liveBytes -= old.key.length + old.value.length
  }
}

/** The state as it will be when the transactions evaluated so far are committed. */
class Staged {
  readonly transactions: Change[][] = []
  readonly #keys: ReadonlyMap<string, KeyValue>
  readonly #changed = new Map<string, KeyValue | undefined>()
  #revision: number

  constructor(keys: ReadonlyMap<string, KeyValue>, revision: number) {
    this.#keys = keys
    this.#revision = revision
  }

  evaluate(compare: readonly Compare[], operations: readonly Operation[]): TransactionResult {
    if (!compare.every((one) => this.#holds(one))) return { succeeded: false, revision: this.#revision }
    const changes = operations.flatMap((operation) => this.#changesOf(operation))
    if (changes.length === 0) return { succeeded: true, revision: this.#revision }
    const revision = ++this.#revision
    for (const change of changes) {
      const key = change[1]
      const old = this.#get(key)
      const createRevision = old?.createRevision ?? revision
      const version = (old?.version ?? 0) + 1
      const after =
        change[0] === 'd' ? undefined : { key, value: change[2], createRevision, modRevision: revision, version }
      this.#changed.set(key, after)
    }
    this.transactions.push(changes)
    return { succeeded: true, revision }
  }

  #get(key: string): KeyValue | undefined {
    return this.#changed.has(key) ? this.#changed.get(key) : this.#keys.get(key)
  }

  #holds(one: Compare): boolean {
    const pair = this.#get(one.key)
    if (one.field === 'value') return pair?.value === one.equals
    return (pair?.[one.field] ?? 0) === one.equals
  }

  #changesOf(operation: Operation): Change[] {
    if (operation.type === 'put') return [['p', operation.key, operation.value]]
    if (operation.type === 'delete') return this.#get(operation.key) ? [['d', operation.key]] : []
    const keys = new Set<string>()
    for (const key of this.#keys.keys()) if (key.startsWith(operation.prefix)) keys.add(key)
    for (const key of this.#changed.keys()) if (key.startsWith(operation.prefix)) keys.add(key)
    return [...keys].filter((key) => this.#get(key)).map((key): Change => ['d', key])
  }
}

function notify(watch: Watch, events: readonly MetadataEvent[], revision: number): void {
  const wanted = events.filter((event) => event.key.startsWith(watch.prefix))
  if (wanted.length > 0) watch.listener(wanted, revision)
}
