/**
 * The cluster as this broker sees it, kept up to date by a watch: topics by name and by id with their partitions,
 * brokers, controller. It changes only between two events of the store, so a handler reads one consistent image as long
 * as it does not await. It may lag behind the store without limit: what must not be wrong is decided by a transaction.
 *
 * A watch that ended (its revision was compacted away) is made good by reading everything again; keys that went in
 * between are found missing then, and their deletion is told like any other.
 */
import { type Logger, PagelogError, silentLogger } from '../base/index.ts'
import type { Clock, Timer } from '../env/index.ts'
import {
  type BrokerState,
  type ControllerState,
  type ImageChange,
  ImageState,
  type PartitionState,
  type TopicState,
} from './image-state.ts'
import type { DeletedTopicValue } from './keys.ts'
import type { KeyValue, MetadataEvent, MetadataStore, Unwatch } from './store.ts'

export interface ClusterImageOptions {
  readonly clock: Clock
  readonly logger?: Logger
  /** Everything is read again this often, whatever the watch says; 0 for never (a store in this process). */
  readonly relistMs?: number
}

type Known = Pick<MetadataEvent, 'value' | 'revision' | 'createRevision'>
type Reading = Awaited<ReturnType<MetadataStore['range']>>

interface Waiting {
  readonly revision: number
  resolve(): void
  reject(error: PagelogError): void
}

/** Between two attempts to read everything from a store that does not answer. */
const RETRY_MS = 500
/** Keys that are compared in one turn of the event loop. */
const SLICE = 500
/** A revision that somebody waits for and no watch has told by then is read. */
const PATIENCE_MS = 1000

export class ClusterImage {
  readonly #store: MetadataStore
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #state = new ImageState()
  /** Of every key, to find what a new reading changed. A store that was put back gives the same revisions to other values. */
  readonly #known = new Map<string, Known>()
  readonly #listeners = new Set<(change: ImageChange) => void>()
  #waiting: Waiting[] = []
  #revision = 0
  #unwatch: Unwatch | undefined
  #listing: Promise<void> | undefined
  #patience: Timer | undefined
  #relist: Timer | undefined
  #wake: (() => void) | undefined
  #closed = false

  private constructor(store: MetadataStore, options: ClusterImageOptions) {
    this.#store = store
    this.#clock = options.clock
    this.#logger = options.logger ?? silentLogger
  }

  /** Reads everything and follows it from then on. Rejects as the store does, and with PAGELOG_CORRUPT. */
  static async open(store: MetadataStore, options: ClusterImageOptions): Promise<ClusterImage> {
    const image = new ClusterImage(store, options)
    await image.#take(await store.range(''), true)
    const { relistMs = 0 } = options
    if (relistMs > 0) image.#relist = image.#clock.every(relistMs, () => image.#listAgain())
    return image
  }

  /** The store's revision that this image shows. */
  get revision(): number {
    return this.#revision
  }

  get topicCount(): number {
    return this.#state.topicsByName.size
  }

  /** The registered brokers, by id. */
  get brokers(): ReadonlyMap<number, BrokerState> {
    return this.#state.brokers
  }

  get controller(): ControllerState | undefined {
    return this.#state.controller
  }

  /** Topics whose deletion is decided and whose logs may still be on disk, by id. */
  get deleted(): ReadonlyMap<string, DeletedTopicValue> {
    return this.#state.deleted
  }

  topic(name: string): TopicState | undefined {
    return this.#state.topicsByName.get(name)
  }

  topicById(id: string): TopicState | undefined {
    const name = this.#state.topicNames.get(id)
    return name === undefined ? undefined : this.#state.topicsByName.get(name)
  }

  /** Undefined too while its topic is being created. */
  partition(topicId: string, index: number): PartitionState | undefined {
    return this.topicById(topicId)?.partitions[index]
  }

  /** All topics, by name. */
  topics(): TopicState[] {
    return [...this.#state.topicsByName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Ids that have partitions but no topic, and nobody who is creating one: to be given to `abandonTopic`. */
  orphans(): string[] {
    return this.#state.orphans()
  }

  /** Calls `listener` after every change. */
  onChange(listener: (change: ImageChange) => void): Unwatch {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when the image shows `revision` or a later one; rejects with PAGELOG_CLOSED. */
  reached(revision: number): Promise<void> {
    if (this.#revision >= revision) return Promise.resolve()
    if (this.#closed) return Promise.reject(closedError())
    this.#bePatient()
    return new Promise((resolve, reject) => this.#waiting.push({ revision, resolve, reject }))
  }

  /** As long as somebody waits: a reading that was under way when he came may be too old for him. */
  #bePatient(): void {
    this.#patience ??= this.#clock.after(PATIENCE_MS, () => {
      this.#patience = undefined
      if (this.#waiting.length === 0) return
      this.#listAgain()
      this.#bePatient()
    })
  }

  close(): void {
    this.#closed = true
    this.#unwatch?.()
    this.#patience?.cancel()
    this.#relist?.cancel()
    this.#wake?.()
    this.#listeners.clear()
    for (const { reject } of this.#waiting) reject(closedError())
    this.#waiting = []
  }

  /** At most one reading at a time; the watch rests meanwhile, since the reading is at least as new. */
  #listAgain(): void {
    this.#unwatch?.()
    this.#unwatch = undefined
    this.#listing ??= this.#listUntilDone().finally(() => {
      this.#listing = undefined
    })
  }

  async #listUntilDone(): Promise<void> {
    for (let attempt = 1; !this.#closed; attempt++) {
      const read = await this.#store.range('').catch((error: unknown) => {
        if (attempt === 1) this.#logger.warn({ error }, 'the metadata cannot be read; trying again until they can')
        return undefined
      })
      if (this.#closed) return
      if (read) {
        await this.#take(read, false)
        return
      }
      await new Promise<void>((resolve) => {
        const timer = this.#clock.after(RETRY_MS, resolve)
        this.#wake = () => {
          timer.cancel()
          resolve()
        }
      })
      this.#wake = undefined
    }
  }

  async #take({ pairs, revision }: Reading, strict: boolean): Promise<void> {
    const events = await this.#difference(pairs, revision)
    if (this.#closed) return
    this.#apply(events, revision, strict)
    this.#follow(revision + 1)
  }

  #follow(fromRevision: number): void {
    this.#unwatch = this.#store.watch('', fromRevision, {
      changed: (events, revision) => this.#apply(events, revision, false),
      progressed: (revision) => this.#advance(revision),
      resumed: () => this.#listAgain(),
      lost: (reason) => {
        this.#logger.warn({ reason, revision: this.#revision }, 'the metadata watch ended, reading everything again')
        this.#listAgain()
      },
    })
  }

  /** What is known does not change meanwhile: nothing is watched. It takes as many turns of the event loop as it needs. */
  async #difference(pairs: readonly KeyValue[], revision: number): Promise<MetadataEvent[]> {
    const events: MetadataEvent[] = []
    const read = new Set<string>()
    let knownRead = 0
    for (const { key, value, createRevision, modRevision } of pairs) {
      if (read.size > 0 && read.size % SLICE === 0) await this.#nextTurn()
      read.add(key)
      const known = this.#known.get(key)
      if (known) knownRead++
      const isSame = known?.revision === modRevision && known.createRevision === createRevision && known.value === value
      if (isSame) continue
      events.push({ type: 'put', key, value, revision: modRevision, createRevision })
    }
    if (knownRead === this.#known.size) return events
    let looked = 0
    for (const key of this.#known.keys()) {
      if (++looked % SLICE === 0) await this.#nextTurn()
      if (!read.has(key)) events.push({ type: 'delete', key, value: '', revision, createRevision: 0 })
    }
    return events
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#clock.soon(resolve))
  }

  #apply(events: readonly MetadataEvent[], revision: number, strict: boolean): void {
    for (const event of events) {
      if (event.type === 'put') this.#known.set(event.key, event)
      else this.#known.delete(event.key)
    }
    const ignore = (error: PagelogError): void => this.#logger.error({ error }, 'a metadata value is ignored')
    const change = this.#state.apply(events, revision, strict ? undefined : ignore)
    this.#revision = revision
    if (events.length > 0) for (const listener of [...this.#listeners]) listener(change)
    this.#advance(revision)
  }

  #advance(revision: number): void {
    this.#revision = revision
    if (this.#waiting.length === 0) return
    const done = this.#waiting.filter((waiting) => waiting.revision <= revision)
    this.#waiting = this.#waiting.filter((waiting) => waiting.revision > revision)
    for (const { resolve } of done) resolve()
    if (this.#waiting.length === 0) {
      this.#patience?.cancel()
      this.#patience = undefined
    }
  }
}

function closedError(): PagelogError {
  return new PagelogError('PAGELOG_CLOSED', 'the image of the cluster is closed')
}
