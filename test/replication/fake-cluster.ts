/** Brokers without logs or sockets: registration and controller over one embedded store, on a clock that tests move. */
import { PagelogError, silentLogger } from '../../src/base/index.ts'
import type { Clock, Timer } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import {
  ClusterImage,
  createTopic,
  EmbeddedMetadata,
  type MetadataStore,
  type PartitionState,
  type PartitionValue,
  partitionKey,
} from '../../src/metadata/index.ts'
import { Controller } from '../../src/replication/cluster/index.ts'
import { BrokerRegistration, type TopicRules } from '../../src/replication/index.ts'
import { isAwaited, type LogEnd, type ReplicaLog, returnToCluster, tellOfLog } from '../../src/replication/returning.ts'

export const SESSION_MS = 9000

/** The clock of a process that can be stopped, and continued: what came due meanwhile runs then, late. */
export class ProcessClock implements Clock {
  readonly #clock: Clock
  #late: (() => void)[] | undefined
  #dead = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  nowMs = (): number => this.#clock.nowMs()
  monotonicMs = (): number => this.#clock.monotonicMs()
  soon = (callback: () => void): void => this.#clock.soon(callback)
  after = (delayMs: number, callback: () => void): Timer => this.#clock.after(delayMs, this.#wrapped(callback))
  every = (intervalMs: number, callback: () => void): Timer => this.#clock.every(intervalMs, this.#wrapped(callback))

  kill(): void {
    this.#dead = true
  }

  stop(): void {
    this.#late = []
  }

  resume(): void {
    const late = this.#late ?? []
    this.#late = undefined
    for (const callback of late) callback()
  }

  #wrapped(callback: () => void): () => void {
    return () => {
      if (this.#dead) return
      if (this.#late) this.#late.push(callback)
      else callback()
    }
  }
}

/** Of a process that was killed: nothing it asks is answered any more, nothing it watches is told. */
class MortalStore implements MetadataStore {
  readonly #store: MetadataStore
  #dead = false
  /** Counts down: the next transaction is done but its answer is lost, and whoever asks what became of it reaches nobody. */
  #lost: 'transaction' | 'look' | undefined

  constructor(store: MetadataStore) {
    this.#store = store
  }

  loseAnswer(): void {
    this.#lost = 'transaction'
  }

  kill(): void {
    this.#dead = true
  }

  get: MetadataStore['get'] = (key) =>
    this.#ask(async () => {
      if (this.#lost !== 'look') return await this.#store.get(key)
      this.#lost = undefined
      throw new PagelogError('PAGELOG_METADATA_UNREACHABLE', 'nobody answers')
    })
  range = (prefix: string) => this.#ask(() => this.#store.range(prefix))
  grantLease = (ttlMs: number) => this.#ask(() => this.#store.grantLease(ttlMs))
  keepAlive = (id: string) => this.#ask(() => this.#store.keepAlive(id))
  revokeLease = (id: string) => this.#ask(() => this.#store.revokeLease(id))
  transact: MetadataStore['transact'] = (compare, operations) =>
    this.#ask(async () => {
      const result = await this.#store.transact(compare, operations)
      if (this.#lost !== 'transaction') return result
      this.#lost = 'look'
      throw new PagelogError('PAGELOG_OUTCOME_UNKNOWN', 'the answer was lost')
    })
  watch: MetadataStore['watch'] = (prefix, from, listener) =>
    this.#store.watch(prefix, from, {
      changed: (events, revision) => {
        if (!this.#dead) listener.changed(events, revision)
      },
      lost: (reason) => {
        if (!this.#dead) listener.lost(reason)
      },
    })
  close = () => Promise.resolve()

  #ask<T>(call: () => Promise<T>): Promise<T> {
    return this.#dead ? new Promise<T>(() => {}) : call()
  }
}

function standingOf(end: LogEnd | 'broken' | undefined): ReplicaLog {
  if (end === 'broken') return { standing: 'broken', end: [-1, 0] }
  return { standing: end === undefined ? 'trusted' : 'suspect', end: end ?? [-1, 0] }
}

export interface FakeBroker {
  readonly id: number
  readonly registration: BrokerRegistration
  readonly controller: Controller
  readonly image: ClusterImage
  readonly clock: ProcessClock
  /** As kill -9: its lease is left to expire. */
  kill(): void
  close(): Promise<void>
}

export interface BrokerWish {
  /** Earlier incarnations of its directory. */
  readonly past?: readonly string[]
  readonly bootId?: string
  /** Logs that may lack records; `broken` for those that cannot be opened. */
  readonly suspectLog?: () => LogEnd | 'broken'
  readonly balanceMs?: number
  /** The answer to its candidacy is lost, and so is that to the question what became of it. */
  readonly candidacyIsLost?: boolean
}

export class FakeCluster {
  readonly clock: VirtualClock
  readonly store: EmbeddedMetadata
  readonly image: ClusterImage
  readonly brokers: FakeBroker[] = []
  /** By topic; min.insync.replicas 1 and no unclean elections for the others. */
  readonly rules = new Map<string, TopicRules>()

  private constructor(store: EmbeddedMetadata, image: ClusterImage, clock: VirtualClock) {
    this.store = store
    this.image = image
    this.clock = clock
  }

  static async start(brokers = 0): Promise<FakeCluster> {
    const clock = new VirtualClock()
    const store = await EmbeddedMetadata.open({ disk: memoryDisk(), clock, path: '/journal' })
    const cluster = new FakeCluster(store, await ClusterImage.open(store, { clock }), clock)
    for (let id = 1; id <= brokers; id++) await cluster.add(id)
    return cluster
  }

  async add(id: number, wish: BrokerWish = {}): Promise<FakeBroker> {
    const clock = new ProcessClock(this.clock)
    const store = new MortalStore(this.store)
    const image = await ClusterImage.open(store, { clock })
    const { bootId = 'boot', past = [], suspectLog, balanceMs } = wish
    const value = { id, host: 'host', port: 9000 + id, rack: '', bootId, incarnation: `life-${this.brokers.length}` }
    const { incarnation } = value
    const logOf = (): ReplicaLog => standingOf(suspectLog?.())
    const returning = { store, clock, nodeId: id, incarnation, logger: silentLogger, logOf }
    const registration = await BrokerRegistration.register({
      store,
      clock,
      logger: silentLogger,
      broker: value,
      past,
      sessionTimeoutMs: SESSION_MS,
      heartbeatIntervalMs: 2000,
      returning: () => returnToCluster(returning),
    })
    const controller = new Controller({
      store,
      image,
      clock,
      logger: silentLogger,
      nodeId: id,
      registration,
      balanceMs,
      rulesOf: ({ name }) => this.rules.get(name) ?? { minInsyncReplicas: 1, uncleanLeaderElection: false },
    })
    await image.reached(registration.brokerEpoch)
    image.onChange(({ partitions }) => {
      for (const [topicId, indexes] of partitions) {
        for (const index of indexes) {
          const partition = image.partition(topicId, index)
          if (partition && isAwaited(partition, id, incarnation))
            void tellOfLog(returning, partitionKey(topicId, index)).catch(() => {})
        }
      }
    })
    if (wish.candidacyIsLost) store.loseAnswer()
    controller.start()
    const broker: FakeBroker = {
      id,
      registration,
      controller,
      image,
      clock,
      kill: () => {
        store.kill()
        clock.kill()
      },
      close: async () => {
        await controller.close()
        await registration.close()
        image.close()
      },
    }
    this.brokers.push(broker)
    return broker
  }

  async topic(name: string, assignments: readonly (readonly number[])[], rules?: TopicRules): Promise<void> {
    if (rules) this.rules.set(name, rules)
    const revision = await createTopic(this.store, { name, id: `id-of-${name}`, assignments, configs: {} })
    await this.image.reached(revision!)
  }

  partition(topic: string, index = 0): PartitionState {
    return this.image.topic(topic)!.partitions[index]!
  }

  /** As a leader would change it, or a past that a test needs. */
  async change(topic: string, change: Partial<PartitionValue>, index = 0): Promise<void> {
    const { index: _, modRevision: __, ...value } = this.partition(topic, index)
    const next = { ...value, ...change, partitionEpoch: value.partitionEpoch + 1 }
    const key = partitionKey(`id-of-${topic}`, index)
    const { revision } = await this.store.transact([], [{ type: 'put', key, value: JSON.stringify(next) }])
    await this.image.reached(revision)
  }

  /** The controller, once there is one and it has nothing left to do. */
  async controller(): Promise<FakeBroker> {
    await this.until(() => this.image.controller !== undefined)
    const { id } = this.image.controller!
    const found = this.brokers.findLast((broker) => broker.id === id)!
    await this.until(() => found.controller.isActive)
    await found.controller.idle()
    await this.image.reached((await this.store.get('controller')).revision)
    return found
  }

  /** Lets time pass in steps short enough for keep-alives to be answered in between. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 500) {
      this.clock.advance(Math.min(500, left))
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async until(condition: () => boolean): Promise<void> {
    for (let turn = 0; turn < 20000; turn++) {
      if (condition()) return
      await new Promise((resolve) => setImmediate(resolve))
    }
    throw new Error('that did not come true')
  }

  async close(): Promise<void> {
    this.image.close()
    await this.store.close()
  }
}
