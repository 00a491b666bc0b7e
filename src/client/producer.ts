/**
 * The producer: `send` puts a record into its partition's open batch and returns at once; batches travel when they are
 * full or have lingered. Calls to be made: `send` in a loop that honours `hasRoom`, `flush` or awaited deliveries to
 * know that records arrived, `close` at the end.
 *
 *   for (const value of values) {
 *     if (!producer.hasRoom) await producer.ready()
 *     producer.send({ topic: 'clicks', value })
 *   }
 *   await producer.flush()
 */
import { PagelogError, silentLogger } from '../base/index.ts'
import { nodeEnv, type Timer } from '../env/index.ts'
import { SlabPool } from '../net/index.ts'
import { type BatchCompressor, compressorFor } from './batch-compressor.ts'
import type { BatchInProgress } from './batch-in-progress.ts'
import { BatchMemory } from './batch-memory.ts'
import { ClusterConnections, closedError } from './cluster-connections.ts'
import type { TopicInfo } from './cluster-metadata.ts'
import type { Delivery } from './delivery.ts'
import { LateRecords } from './late-records.ts'
import { PartitionQueue } from './partition-queue.ts'
import { type Partitioner, partitionOfKey, TopicQueues } from './partitioner.ts'
import { ProducerIdentity } from './producer-identity.ts'
import type { FailedBatch, ProducerEnv, ProducerOptions, ProducerStats } from './producer-options.ts'
import { bytesOf, checkTimestamp, headersOf, invalid, type ProducerRecord } from './producer-record.ts'
import { type EncodableRecord, RecordAccumulator } from './record-accumulator.ts'
import { type PartitionAnswer, Sender } from './sender.ts'
import { bootstrapList, type ProducerSettings, resolveProducerSettings } from './settings.ts'
import { orAborted, orTimedOut, type WaitOptions } from './waiting.ts'

/** The wall clock is read once for so many records of a turn; they share a millisecond anyway. */
const RECORDS_PER_CLOCK = 64
/** `ready` waits for this share of buffer.memory, not for one batch. */
const READY_SHARE = 1 / 4
const SWEEP_MS_MAX = 1_000
/** Answers to produce requests are small. */
const ANSWER_SLAB_BYTES = 65_536
const ANSWER_MEMORY_BYTES = 16_777_216
const NO_TOPIC = '\0'

export class Producer implements AsyncDisposable {
  readonly #settings: ProducerSettings
  readonly #env: ProducerEnv
  readonly #cluster: ClusterConnections
  readonly #memory: BatchMemory
  readonly #accumulator: RecordAccumulator
  /** Undefined without compression. */
  readonly #compressor: BatchCompressor | undefined
  readonly #sender: Sender
  readonly #identity: ProducerIdentity | undefined
  readonly #late: LateRecords
  readonly #partitioner: Partitioner | undefined
  readonly #onError: ProducerOptions['onError']
  readonly #topics = new Map<string, TopicQueues>()
  readonly #topicNamed = (name: string): TopicQueues => this.#topicOf(name)
  readonly #turnEnded = (): void => this.#endTurn()

  /** Of the last record; nearly always that of the next one. */
  #topic: TopicQueues
  #hasRoom = true
  #nowMs = 0
  #recordsUntilClock = 0
  #turnArmed = false
  #lingerTimer: Timer | undefined
  #sweepTimer: Timer | undefined
  #ready: { readonly promise: Promise<void>; resolve(): void; reject(error: PagelogError): void } | undefined
  #closing: Promise<void> | undefined
  #closed = false
  /** Flushes under way: nothing lingers meanwhile, nor what waited for metadata. */
  #flushes = 0
  /** First failure since the last flush. */
  #failure: PagelogError | undefined
  #recordsDelivered = 0
  #recordsFailed = 0
  #batchesDelivered = 0
  #batchesFailed = 0

  /** Connects to nothing before the first record. Throws PAGELOG_INVALID_SETTING. */
  constructor(options: ProducerOptions) {
    const { bootstrap, acks, partitioner, onError, env, logger = silentLogger, ...given } = options
    this.#settings = resolveProducerSettings({
      ...given,
      bootstrap: bootstrapList(bootstrap),
      ...(acks === undefined ? {} : { acks: String(acks) }),
    })
    const settings = this.#settings
    this.#env = env ?? nodeEnv()
    this.#partitioner = partitioner
    this.#onError = onError
    this.#topic = new TopicQueues(NO_TOPIC, settings.batchBytes, this.#env.random)
    this.#cluster = new ClusterConnections({
      env: this.#env,
      settings,
      logger,
      pool: new SlabPool({ slabBytes: ANSWER_SLAB_BYTES, maxBytes: ANSWER_MEMORY_BYTES }),
      allowAutoTopicCreation: true,
    })
    this.#cluster.onChange(() => this.#metadataChanged())
    this.#memory = new BatchMemory(settings.bufferBytes, settings.batchBytes)
    this.#late = new LateRecords(this.#memory)
    if (settings.idempotent) {
      const ready = (): void => this.#sender.drain()
      this.#identity = new ProducerIdentity(this.#env, this.#cluster, settings, logger, ready)
    }
    this.#sender = new Sender({
      env: this.#env,
      cluster: this.#cluster,
      settings,
      logger,
      identity: this.#identity,
      onSettled: (batch, answer) => this.#settled(batch, answer),
      onReleased: (batch) => this.#released(batch),
      queueOf: (topic, partition) => this.#topics.get(topic)?.queues[partition],
    })
    this.#compressor = compressorFor(settings, this.#env, this.#memory, {
      onReady: (batch) => this.#compressed(batch),
      onFailed: (batch, error) => this.#sender.giveUp(batch, error),
    })
    this.#accumulator = new RecordAccumulator({
      clock: this.#env.clock,
      memory: this.#memory,
      batchBytes: settings.batchBytes,
      lingerMs: settings.lingerMs,
      recordBytesMax: settings.requestBytesMax,
      onClosed: (batch) => this.#batchClosed(batch),
    })
  }

  /** The settings in force. */
  get settings(): ProducerSettings {
    return this.#settings
  }

  /**
   * False when the caller should `await ready()` before more: buffer memory is used up, or this turn of the event loop
   * has taken so much that the sockets need one. A `send` all the same fails only when memory is truly gone.
   */
  get hasRoom(): boolean {
    return this.#hasRoom
  }

  get stats(): ProducerStats {
    return {
      recordsDelivered: this.#recordsDelivered,
      recordsFailed: this.#recordsFailed,
      batchesDelivered: this.#batchesDelivered,
      batchesFailed: this.#batchesFailed,
      requests: this.#sender.requests,
      retries: this.#sender.retries,
      bufferBytesUsed: this.#memory.usedBytes,
    }
  }

  /**
   * Takes one record; key, value and headers are copied before it returns. Await the result for where the record went:
   * { topic, partition, offset, timestamp }; or leave it, then failures are counted (`stats`), told to `onError` and
   * thrown by the next `flush`.
   * Throws PAGELOG_BUFFER_FULL, PAGELOG_TOO_LARGE (above max.request.size), PAGELOG_INVALID_ARGUMENT, PAGELOG_CLOSED;
   * the record was not taken then. The result rejects with PAGELOG_BROKER, PAGELOG_TIMED_OUT, PAGELOG_CLOSED.
   */
  send(record: ProducerRecord): Delivery {
    const { topic: name, value, key, headers, partition } = record
    let topic = this.#topic
    if (topic.name !== name) topic = this.#switchTopic(name)
    if (--this.#recordsUntilClock < 0) this.#beginTurn()
    const valueBytes = value instanceof Uint8Array ? value : bytesOf(value)
    const keyBytes = key === undefined || key === null || key instanceof Uint8Array ? (key ?? null) : bytesOf(key)
    const headerBytes = headers === undefined ? undefined : headersOf(headers)
    const timestamp = record.timestamp ?? this.#nowMs
    if (timestamp !== this.#nowMs) checkTimestamp(timestamp)
    if (!topic.known || this.#closing !== undefined) {
      return this.#sendLate(topic, { timestamp, key: keyBytes, value: valueBytes, headers: headerBytes }, partition)
    }
    const explicit =
      partition === undefined && keyBytes === null && this.#partitioner === undefined
        ? undefined
        : this.#choose(topic, partition, keyBytes, valueBytes)
    const queue = explicit ?? topic.sticky
    const delivery = this.#accumulator.append(queue, timestamp, keyBytes, valueBytes, headerBytes)
    if (delivery !== undefined) return delivery
    return this.#appendSlow(topic, explicit, { timestamp, key: keyBytes, value: valueBytes, headers: headerBytes })
  }

  /** Resolves once there is room for a good many records. Errors: PAGELOG_CLOSED, PAGELOG_ABORTED. */
  ready(options: WaitOptions = {}): Promise<void> {
    if (this.#hasRoom) return Promise.resolve()
    if (this.#closed) return Promise.reject(closedError())
    if (this.#ready === undefined) {
      let resolve = (): void => {}
      let reject = (_error: PagelogError): void => {}
      const promise = new Promise<void>((resolved, rejected) => {
        resolve = resolved
        reject = rejected
      })
      promise.catch(() => {})
      this.#ready = { promise, resolve, reject }
    }
    return orAborted(this.#ready.promise, options.signal)
  }

  /**
   * The partitions of a topic, and the connection to the cluster: worth awaiting before a great many sends, for records
   * sent earlier are copied once more. Errors: PAGELOG_TIMED_OUT after max.block.ms, PAGELOG_BROKER, PAGELOG_ABORTED.
   */
  async partitionsOf(topic: string, options: WaitOptions = {}): Promise<TopicInfo['partitions']> {
    if (this.#closing !== undefined) throw closedError()
    this.#topicOf(topic)
    await this.#cluster.topicKnown(topic, this.#settings.maxBlockMs, options)
    return this.#cluster.metadata.topic(topic)!.partitions
  }

  /**
   * Sends everything at once and resolves when all records sent before are delivered. Rejects with the first failure
   * since the last flush, awaited elsewhere or not, once nothing is under way any more; PAGELOG_ABORTED.
   */
  async flush(options: WaitOptions = {}): Promise<void> {
    const settled = [...this.#late.completions()].map((completion) => settledOf(completion.done))
    this.#closeBatches(true)
    this.#sender.drain()
    for (const batch of this.#accumulator.incomplete) settled.push(settledOf(batch.completion.done))
    this.#flushes++
    try {
      await orAborted(Promise.all(settled), options.signal)
    } finally {
      this.#flushes--
    }
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure
  }

  /**
   * Delivers what was sent, for `timeoutMs` at most (delivery.timeout.ms when left out), then closes the connections;
   * what is left fails with PAGELOG_CLOSED. Further sends throw. Idempotent; never rejects.
   */
  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs ?? this.#settings.deliveryTimeoutMs)
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const flushed = this.flush().catch(() => {})
    if (this.#accumulator.incomplete.size > 0 || this.#late.count > 0) {
      await orTimedOut(this.#env.clock, flushed, timeoutMs, 'not delivered').catch(() => {})
    }
    this.#closed = true
    this.#hasRoom = false
    this.#sender.close()
    this.#identity?.close()
    this.#failAll(closedError())
    this.#lingerTimer?.cancel()
    this.#sweepTimer?.cancel()
    this.#ready?.reject(closedError())
    await this.#cluster.close()
  }

  #switchTopic(name: string): TopicQueues {
    if (typeof name !== 'string' || name === '') throw invalid('a record needs a topic')
    this.#topic = this.#topicOf(name)
    return this.#topic
  }

  #topicOf(name: string): TopicQueues {
    let topic = this.#topics.get(name)
    if (topic === undefined) {
      topic = new TopicQueues(name, this.#settings.batchBytes, this.#env.random)
      this.#topics.set(name, topic)
      this.#learn(topic)
      this.#cluster.want(name)
    }
    return topic
  }

  /** First record of a turn, and every 64th: the time, and the end of the turn is not missed. */
  #beginTurn(): void {
    this.#recordsUntilClock = RECORDS_PER_CLOCK - 1
    this.#nowMs = this.#env.clock.nowMs()
    this.#armTurn()
  }

  /** Sees to it that `#endTurn` is called, and that what takes too long is noticed. */
  #armTurn(): void {
    if (this.#turnArmed) return
    this.#turnArmed = true
    this.#env.clock.soon(this.#turnEnded)
    this.#sweepTimer ??= this.#env.clock.after(this.#sweepMs(), () => this.#sweep())
  }

  #batchClosed(batch: BatchInProgress): void {
    if (this.#compressor !== undefined) {
      this.#accumulator.takenThisTurn += this.#compressor.turnBytes(batch.sizeBytes)
      if (!this.#compressor.compress(batch)) return
    }
    this.#sender.closed(batch.queue, batch.sizeBytes)
  }

  /** Comes from a worker. What else is done in this turn may travel with it. */
  #compressed(batch: BatchInProgress): void {
    this.#sender.compressed(batch)
    this.#armTurn()
  }

  /** All that was sent in this turn is there: what is due goes out together. */
  #endTurn(): void {
    this.#turnArmed = false
    this.#recordsUntilClock = 0
    this.#accumulator.takenThisTurn = 0
    if (this.#flushes > 0 || this.#lingerTimer === undefined || this.#settings.lingerMs === 0) {
      this.#closeBatches(this.#flushes > 0)
    }
    this.#sender.drain()
    this.#offerRoom()
  }

  /** Closes the batches that are due, or all, and sets the one timer for the rest. */
  #closeBatches(all: boolean): void {
    const { clock } = this.#env
    const nowMs = clock.monotonicMs()
    const nextMs = this.#accumulator.closeDue(nowMs, all || this.#settings.lingerMs === 0, this.#topicNamed)
    if (nextMs === undefined || this.#lingerTimer !== undefined) return
    this.#lingerTimer = clock.after(Math.max(0, nextMs - nowMs), () => {
      this.#lingerTimer = undefined
      this.#closeBatches(false)
      this.#sender.drain()
    })
  }

  #appendSlow(topic: TopicQueues, explicit: PartitionQueue | undefined, record: EncodableRecord): Delivery {
    try {
      return this.#accumulator.appendSlow(topic, explicit, record)
    } finally {
      if (this.#accumulator.takenThisTurn >= this.#settings.turnBytes || !this.#memory.hasRoom) this.#hasRoom = false
    }
  }

  /** The queue of a record with a partition or a key, or under a partitioner of the caller's. */
  #choose(
    topic: TopicQueues,
    partition: number | undefined,
    key: Uint8Array | null,
    value: Uint8Array | null,
  ): PartitionQueue | undefined {
    const count = topic.queues.length
    let chosen = partition
    if (chosen === undefined && this.#partitioner !== undefined)
      chosen = this.#partitioner(topic.name, key, value, count)
    if (chosen === undefined && key !== null) chosen = partitionOfKey(key, count)
    if (chosen === undefined) return undefined
    const queue = topic.queues[chosen]
    if (queue === undefined) throw invalid(`topic ${topic.name} has partitions 0 to ${count - 1}, not ${chosen}`)
    return queue
  }

  #sendLate(topic: TopicQueues, record: EncodableRecord, partition: number | undefined): Delivery {
    if (this.#closing !== undefined) throw closedError()
    const delivery = this.#late.add(topic.name, record, partition, this.#env.clock.monotonicMs())
    if (!this.#late.hasRoom || !this.#memory.hasRoom) this.#hasRoom = false
    return delivery
  }

  #metadataChanged(): void {
    if (this.#closed) return
    for (const topic of this.#topics.values()) this.#learn(topic)
    for (const name of this.#late.topics()) {
      const error = this.#cluster.metadata.errorOf(name)
      if (error === undefined || error.retriable) continue
      this.#cluster.forget(name)
      this.#topics.delete(name)
      if (this.#topic.name === name) this.#topic = new TopicQueues(NO_TOPIC, 0, this.#env.random)
      for (const late of this.#late.take(name)) this.#failLate(late.completion, error)
    }
    this.#sender.metadataChanged()
    this.#offerRoom()
  }

  /** Takes over the partitions that the metadata shows; records that waited for them go into batches. */
  #learn(topic: TopicQueues): void {
    const info = this.#cluster.metadata.topic(topic.name)
    if (info === undefined || info.partitions.length === 0) return
    topic.grow(info.partitions.length, (partition) => new PartitionQueue(topic.name, partition))
    for (const queue of topic.queues) this.#sender.home(queue)
    const waiting = this.#late.take(topic.name)
    if (waiting.length === 0) return
    for (const late of waiting) {
      try {
        const { timestamp, key, value, headers } = late
        const explicit = this.#choose(topic, late.partition, key, value)
        const delivery =
          this.#accumulator.append(explicit ?? topic.sticky, timestamp, key, value, headers) ??
          this.#accumulator.appendSlow(topic, explicit, late, true)
        delivery.batch.carry(late.completion, delivery.index)
      } catch (error) {
        this.#failLate(late.completion, error instanceof PagelogError ? error : invalid(String(error)))
      }
    }
    this.#armTurn()
  }

  #failLate(completion: Delivery['batch'], error: PagelogError): void {
    completion.fail(error)
    this.#countFailure(error, { topic: completion.topic, partition: -1, recordCount: 1 })
  }

  #countFailure(error: PagelogError, failed: FailedBatch): void {
    this.#failure ??= error
    this.#batchesFailed++
    this.#recordsFailed += failed.recordCount
    this.#onError?.(error, failed)
  }

  #settled(batch: BatchInProgress, answer: PartitionAnswer | PagelogError): void {
    this.#accumulator.settled(batch)
    const { topic, partition } = batch.queue
    const { recordCount } = batch
    if (answer instanceof PagelogError) {
      batch.completion.fail(answer)
      this.#countFailure(answer, { topic, partition, recordCount })
      return
    }
    this.#batchesDelivered++
    this.#recordsDelivered += recordCount
    const { baseOffset, logAppendTimeMs } = answer
    batch.completion.succeed({ topic, partition, baseOffset, recordCount, logAppendTimeMs })
  }

  #released(batch: BatchInProgress): void {
    batch.leaveMemory(this.#memory)
    if (this.#ready !== undefined || !this.#hasRoom) this.#offerRoom()
  }

  /** Says that there is room, when there is a good deal of it. */
  #offerRoom(): void {
    if (this.#hasRoom || this.#closed || !this.#late.hasRoom || !this.#memory.hasRoom) return
    if (this.#accumulator.takenThisTurn >= this.#settings.turnBytes) return
    const { usedBytes, capacityBytes } = this.#memory
    if (usedBytes > capacityBytes * (1 - READY_SHARE) && this.#accumulator.incomplete.size > 1) return
    this.#hasRoom = true
    this.#ready?.resolve()
    this.#ready = undefined
  }

  #sweepMs(): number {
    return Math.min(
      SWEEP_MS_MAX,
      Math.max(1, Math.min(this.#settings.deliveryTimeoutMs, this.#settings.maxBlockMs) / 4),
    )
  }

  /** Gives up what took too long. Runs while there is something that could. */
  #sweep(): void {
    this.#sweepTimer = undefined
    const { deliveryTimeoutMs, maxBlockMs } = this.#settings
    const nowMs = this.#env.clock.monotonicMs()
    for (const batch of this.#accumulator.incomplete) {
      if (batch.createdMs + deliveryTimeoutMs > nowMs) break
      const text = `${batch.queue.topic}-${batch.queue.partition}: not delivered within delivery.timeout.ms (${deliveryTimeoutMs})`
      this.#sender.giveUp(batch, new PagelogError('PAGELOG_TIMED_OUT', text, { retriable: true }))
    }
    for (const late of this.#late.takeExpired(nowMs - maxBlockMs)) {
      const { topic } = late.completion
      const cause = this.#cluster.metadata.errorOf(topic)
      const text = `no metadata of topic ${topic} within max.block.ms (${maxBlockMs})`
      this.#failLate(late.completion, new PagelogError('PAGELOG_TIMED_OUT', text, { cause, retriable: true }))
    }
    if (this.#accumulator.incomplete.size > 0 || this.#late.count > 0) {
      this.#sweepTimer = this.#env.clock.after(this.#sweepMs(), () => this.#sweep())
    } else this.#memory.trim(1)
    this.#offerRoom()
  }

  #failAll(error: PagelogError): void {
    for (const batch of [...this.#accumulator.incomplete]) {
      batch.queue.closeOpen()
      this.#sender.giveUp(batch, error)
    }
    for (const topic of this.#late.topics()) {
      for (const late of this.#late.take(topic)) this.#failLate(late.completion, error)
    }
  }
}

function settledOf(done: Promise<unknown>): Promise<unknown> {
  return done.catch(() => {})
}
