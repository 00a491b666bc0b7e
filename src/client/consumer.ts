/**
 * The consumer of assigned partitions: fetches ahead and yields record batches.
 *
 *   consumer.assign([{ topic: 'clicks', partition: 0, offset: 'beginning' }])
 *   for await (const batch of consumer) {
 *     const cursor = batch.cursor()
 *     while (cursor.next()) use(cursor.offset, cursor.bytes, cursor.valueStart, cursor.valueLength)
 *   }
 *
 * A loop over batches costs a promise a batch; records within come from a synchronous cursor (fastest) or iterator.
 */
import { type Logger, PagelogError, silentLogger } from '../base/index.ts'
import { type Env, nodeEnv } from '../env/index.ts'
import { SlabPool } from '../net/index.ts'
import type { LogRecord } from '../record/index.ts'
import {
  AssignedPartition,
  Assignment,
  type OffsetWish,
  type StartingPoint,
  WISH_BEGINNING,
  WISH_END,
} from './assignment.ts'
import { BatchUnpacker } from './batch-unpacker.ts'
import { ClusterConnections, closedError } from './cluster-connections.ts'
import { CodecRunner } from './codec-runner.ts'
import type { ConsumedBatch } from './consumed-batch.ts'
import type { FetchedPartition } from './fetched-partition.ts'
import { Fetcher, resetPoint } from './fetcher.ts'
import { OffsetLookup } from './offset-lookup.ts'
import { type Bootstrap, bootstrapList, type ConsumerSettings, resolveConsumerSettings } from './settings.ts'
import { abortedError, type WaitOptions } from './waiting.ts'

type ConsumerEnv = Pick<Env, 'network' | 'clock' | 'random'> & Partial<Pick<Env, 'workers'>>

/** Options by their inside names; Kafka's names, defaults and ranges are in `consumerSettings`. */
export interface ConsumerOptions
  extends Partial<Omit<ConsumerSettings, 'bootstrap' | 'isolation' | 'autoOffsetReset'>> {
  readonly bootstrap: Bootstrap
  readonly isolation?: 'read_uncommitted' | 'read_committed'
  readonly autoOffsetReset?: 'earliest' | 'latest' | 'none'
  /** Without workers, batches of every size are decompressed on this thread. */
  readonly env?: ConsumerEnv | undefined
  readonly logger?: Logger | undefined
}

/** A partition to read, and where from: `auto.offset.reset` when left out. */
export interface TopicPartitionStart {
  readonly topic: string
  readonly partition: number
  readonly offset?: StartingPoint | undefined
}

export interface NextBatchOptions extends WaitOptions {
  /** Milliseconds to wait for a batch; for ever when left out. */
  readonly timeoutMs?: number | undefined
}

type Iteration = IteratorResult<ConsumedBatch, undefined>

const DONE: Iteration = { done: true, value: undefined }

export class Consumer implements AsyncIterable<ConsumedBatch>, AsyncDisposable {
  readonly #settings: ConsumerSettings
  readonly #env: ConsumerEnv
  readonly #cluster: ClusterConnections
  readonly #assignment = new Assignment()
  readonly #fetcher: Fetcher
  readonly #lookup: OffsetLookup
  #current: FetchedPartition | undefined
  #waiters = new Set<() => void>()
  #turnBytes = 0
  #closed = false

  /** Connects to nothing before something is assigned. Throws PAGELOG_INVALID_SETTING. */
  constructor(options: ConsumerOptions) {
    const { bootstrap, env, logger = silentLogger, ...given } = options
    this.#settings = resolveConsumerSettings({ ...given, bootstrap: bootstrapList(bootstrap) })
    const settings = this.#settings
    this.#env = env ?? nodeEnv()
    this.#cluster = new ClusterConnections({
      env: this.#env,
      settings,
      logger,
      pool: new SlabPool({ countsDelivered: false, clock: this.#env.clock }),
      allowAutoTopicCreation: settings.allowAutoTopicCreation,
    })
    const shared = { env: this.#env, cluster: this.#cluster, logger }
    const isolationLevel = settings.isolation === 'read_committed' ? 1 : 0
    this.#lookup = new OffsetLookup({ ...shared, settings, isolationLevel, onChange: () => this.#go() })
    const unpacker = new BatchUnpacker({
      runner: new CodecRunner(this.#env, settings.compressionWorkerMinBytes),
      bytesMax: settings.decompressedBatchMaxBytes,
      aheadBytesMax: settings.prefetchBytes,
      checkCrcs: settings.checkCrcs,
      reusesMemory: settings.reuseBuffers,
      onReady: () => this.#wake(),
    })
    const fetching = { assignment: this.#assignment, unpacker, onChange: () => this.#go() }
    this.#fetcher = new Fetcher({ ...shared, settings, ...fetching })
    this.#cluster.onChange(() => this.#go())
  }

  /** The settings in force. */
  get settings(): ConsumerSettings {
    return this.#settings
  }

  /**
   * Reads these partitions and no others from now on; one that was assigned before and is given without an offset goes
   * on where it is. Throws PAGELOG_INVALID_ARGUMENT, PAGELOG_CLOSED.
   */
  assign(partitions: readonly TopicPartitionStart[]): void {
    if (this.#closed) throw closedError()
    const starts = partitions.map((start) => ({ ...start, where: this.#checked(start) }))
    const kept = new Set<AssignedPartition>()
    for (const { topic, partition, where, offset } of starts) {
      let state = this.#assignment.get(topic, partition)
      const isNew = state === undefined
      state ??= new AssignedPartition(topic, partition)
      if (isNew || offset !== undefined) this.#move(state, where)
      this.#assignment.add(state)
      kept.add(state)
    }
    this.#assignment.keepOnly(kept)
    for (const { topic } of starts) this.#cluster.want(topic)
    this.#go()
  }

  /**
   * Goes on from there; what was fetched already is dropped. A fetch that waits for new data is let end first, so the next
   * one may be fetch.max.wait.ms away, as with Kafka's clients. Throws PAGELOG_INVALID_ARGUMENT when not assigned.
   */
  seek(topic: string, partition: number, where: StartingPoint): void {
    const state = this.#stateOf(topic, partition)
    this.#move(state, this.#checked({ topic, partition, offset: where }))
    this.#go()
  }

  /** Offset of the next record that will be handed out; undefined while it is being looked up. */
  position(topic: string, partition: number): number | undefined {
    const { position } = this.#stateOf(topic, partition)
    return position === -1 ? undefined : position
  }

  /** Stops fetching and handing out; positions stay, what was fetched ahead is dropped. Nothing named: all partitions. */
  pause(partitions?: readonly { readonly topic: string; readonly partition: number }[]): void {
    for (const state of this.#named(partitions)) state.pause()
  }

  resume(partitions?: readonly { readonly topic: string; readonly partition: number }[]): void {
    for (const state of this.#named(partitions)) state.paused = false
    this.#go()
  }

  /** Batches as they come, until `close`; leaving the loop leaves the consumer as it is, another loop goes on. */
  [Symbol.asyncIterator](): AsyncIterableIterator<ConsumedBatch> {
    return this.batches()
  }

  /**
   * The same with an AbortSignal. A batch, and every view into it, is valid as long as it is referred to; with
   * `reuseBuffers` only until the next one is asked for. Errors: PAGELOG_CORRUPT, PAGELOG_TOO_LARGE (a compressed batch
   * that holds too much), PAGELOG_UNSUPPORTED (its codec), PAGELOG_OFFSET_OUT_OF_RANGE, PAGELOG_BROKER: they come again
   * until the application seeks elsewhere; PAGELOG_WORKER (a worker thread died: the batch is tried again); PAGELOG_ABORTED.
   */
  batches(options: WaitOptions = {}): AsyncIterableIterator<ConsumedBatch> {
    const { signal } = options
    const iterator: AsyncIterableIterator<ConsumedBatch> = {
      next: () => this.#next(signal),
      return: () => Promise.resolve(DONE),
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  /** The next batch; undefined when none came within `timeoutMs`, or the consumer was closed. Errors as `batches`. */
  async nextBatch(options: NextBatchOptions = {}): Promise<ConsumedBatch | undefined> {
    const { timeoutMs, signal } = options
    if (timeoutMs === undefined) return (await this.#next(signal)).value
    const late = new AbortController()
    const timer = this.#env.clock.after(timeoutMs, () => late.abort())
    const both = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal])
    try {
      return (await this.#next(both)).value
    } catch (error) {
      if (late.signal.aborted && signal?.aborted !== true && isAbort(error)) return undefined
      throw error
    } finally {
      timer.cancel()
    }
  }

  /** Record by record, for convenience: an object and a promise each make it many times slower than batches. */
  async *records(options: WaitOptions = {}): AsyncGenerator<LogRecord, void, undefined> {
    for await (const batch of this.batches(options)) yield* batch
  }

  /** Ends all loops, closes the connections. Idempotent; never rejects. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#fetcher.close()
    this.#wake()
    await this.#cluster.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #next(signal: AbortSignal | undefined): Promise<Iteration> {
    if (this.#closed) return Promise.resolve(DONE)
    if (signal?.aborted) return Promise.reject(abortedError(signal))
    if (this.#turnBytes >= this.#settings.turnBytes) return this.#nextTurn(signal)
    try {
      const batch = this.#take()
      if (batch === undefined) return this.#wait(signal)
      this.#turnBytes += batch.sizeInBytes
      return Promise.resolve({ done: false, value: batch })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** A loop over batches that are all there would never let the sockets have their turn. */
  #nextTurn(signal: AbortSignal | undefined): Promise<Iteration> {
    return new Promise((resolve) => {
      this.#env.clock.soon(() => {
        this.#turnBytes = 0
        resolve(this.#next(signal))
      })
    })
  }

  async #wait(signal: AbortSignal | undefined): Promise<Iteration> {
    for (;;) {
      if (this.#closed) return DONE
      if (signal?.aborted) throw abortedError(signal)
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiters.delete(wake)
          signal?.removeEventListener('abort', wake)
          resolve()
        }
        this.#waiters.add(wake)
        signal?.addEventListener('abort', wake)
      })
      this.#turnBytes = 0
      const batch = this.#take()
      if (batch === undefined) continue
      this.#turnBytes += batch.sizeInBytes
      return { done: false, value: batch }
    }
  }

  /** The next batch that is there. Throws what stops its partition. */
  #take(): ConsumedBatch | undefined {
    for (;;) {
      const current = this.#current ?? this.#fetcher.fetched.shift()
      if (current === undefined) break
      this.#current = current
      const batch = current.isStale ? undefined : current.next()
      if (batch !== undefined) return batch
      if (!current.isStale && current.isWaiting) break
      this.#current = undefined
      current.finish()
      this.#fetcher.pump()
    }
    for (const { fault, paused } of this.#assignment) if (fault !== undefined && !paused) throw fault
    return undefined
  }

  /** Something changed: looks up, fetches, and lets those that wait look again. */
  #go(): void {
    if (!this.#closed) {
      this.#noteMissingTopics()
      this.#lookup.start(this.#assignment)
      this.#fetcher.pump()
    }
    this.#wake()
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake()
  }

  /** A topic that cannot be had for good (no permission, no such name) stops its partitions. */
  #noteMissingTopics(): void {
    for (const state of this.#assignment) {
      const error = this.#cluster.metadata.errorOf(state.topic)
      if (error !== undefined && !error.retriable) state.fault ??= error
    }
  }

  #move(state: AssignedPartition, where: number | OffsetWish | undefined): void {
    if (where !== undefined) state.moveTo(where)
    else if (this.#settings.autoOffsetReset !== 'none') state.moveTo(resetPoint(this.#settings))
    else {
      state.moveTo(-1)
      const text = `${state.topic}-${state.partition}: no offset given and auto.offset.reset is none`
      state.fault = new PagelogError('PAGELOG_OFFSET_OUT_OF_RANGE', text)
    }
  }

  #stateOf(topic: string, partition: number): AssignedPartition {
    const state = this.#assignment.get(topic, partition)
    if (state !== undefined) return state
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `${topic}-${partition} is not assigned`)
  }

  #named(
    partitions: readonly { readonly topic: string; readonly partition: number }[] | undefined,
  ): AssignedPartition[] {
    if (partitions === undefined) return [...this.#assignment]
    return partitions.map(({ topic, partition }) => this.#stateOf(topic, partition))
  }

  #checked({ topic, partition, offset }: TopicPartitionStart): number | OffsetWish | undefined {
    const place = `${topic}-${partition}`
    if (typeof topic !== 'string' || topic === '' || !Number.isInteger(partition) || partition < 0) {
      throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `${place} is no topic and partition`)
    }
    if (offset === undefined) return undefined
    if (offset === 'beginning') return WISH_BEGINNING
    if (offset === 'end') return WISH_END
    const number = typeof offset === 'number' ? offset : offset.timestamp
    if (!Number.isSafeInteger(number) || number < 0) {
      throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `${place}: ${number} is no offset or time`)
    }
    return offset
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof PagelogError && error.code === 'PAGELOG_ABORTED'
}
