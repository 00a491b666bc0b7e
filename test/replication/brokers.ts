/** Brokers of one cluster in this process: real sockets, disks in memory, one metadata store that they share. */

import { defaultsOf } from '../../src/base/index.ts'
import { Broker, type BrokerSettings } from '../../src/broker/index.ts'
import { type Env, inThreadWorkers, nodeEnv } from '../../src/env/index.ts'
import { type MemoryDisk, memoryDisk } from '../../src/env/memory/index.ts'
import { LogDirectory, logSettings } from '../../src/log/index.ts'
import {
  brokerKey,
  EmbeddedMetadata,
  type PartitionValue,
  parsePartition,
  partitionKey,
} from '../../src/metadata/index.ts'
import { CreateTopics } from '../../src/protocol/index.ts'
import { Lines } from '../broker/fixtures.ts'
import { RawClient } from '../broker/raw-client.ts'

const DIRECTORY = '/pagelog'

export type ReplicaOf = NonNullable<ReturnType<Broker['partitions']['find']>>

export interface ClusterOptions {
  readonly brokers?: number
  readonly settings?: Partial<BrokerSettings>
  /** `broker.rack` of the brokers 1, 2, …; none when left out. */
  readonly racks?: readonly string[]
}

export class TestCluster {
  readonly store: EmbeddedMetadata
  readonly logger = new Lines()
  readonly #settings: Partial<BrokerSettings>
  readonly #racks: readonly string[] | undefined
  readonly #disks = new Map<number, MemoryDisk>()
  readonly #brokers = new Map<number, Broker>()
  readonly #clients = new Map<number, RawClient>()

  private constructor(store: EmbeddedMetadata, { settings = {}, racks }: ClusterOptions) {
    this.store = store
    this.#settings = settings
    this.#racks = racks
  }

  static async start(options: ClusterOptions = {}): Promise<TestCluster> {
    const { brokers = 3 } = options
    const env = nodeEnv()
    const store = await EmbeddedMetadata.open({ ...env, disk: memoryDisk(), path: '/metadata.journal' })
    const cluster = new TestCluster(store, options)
    for (let id = 1; id <= brokers; id++) await cluster.startBroker(id)
    await until(() => [...cluster.#brokers.values()].length === brokers)
    return cluster
  }

  async startBroker(id: number): Promise<Broker> {
    const disk = this.#disks.get(id) ?? memoryDisk()
    this.#disks.set(id, disk)
    const base = nodeEnv()
    const env: Env = { ...base, disk, workers: inThreadWorkers({ disk, clock: base.clock }) }
    const broker = await Broker.start({
      env,
      metadata: this.store,
      bootId: 'boot',
      logger: this.logger,
      settings: {
        listeners: ['PLAINTEXT://127.0.0.1:0'],
        logDir: DIRECTORY,
        nodeId: id,
        autoLeaderRebalanceEnable: false,
        controlledShutdownEnable: false,
        replicaFetchBackoffMs: 50,
        ...(this.#racks ? { brokerRack: this.#racks[id - 1]! } : {}),
        ...this.#settings,
      },
    })
    this.#brokers.set(id, broker)
    return broker
  }

  /** Closes a broker; its disk stays. */
  async stopBroker(id: number): Promise<void> {
    await this.#clients.get(id)?.close()
    this.#clients.delete(id)
    await this.#brokers.get(id)?.close()
    this.#brokers.delete(id)
  }

  /** Appends to a log while its broker is away. */
  async appendOffline(id: number, topic: string, batch: Uint8Array, leaderEpoch: number): Promise<void> {
    const disk = this.#disks.get(id)!
    const env = { ...nodeEnv(), disk }
    const directory = await LogDirectory.open({ env, path: DIRECTORY, defaults: defaultsOf(logSettings), nodeId: id })
    await directory.get(topic, 0)!.appendBatch(batch, leaderEpoch)
    await directory.close()
  }

  broker(id: number): Broker {
    return this.#brokers.get(id)!
  }

  /** Of a broker that was started, also while it is away. */
  disk(id: number): MemoryDisk {
    return this.#disks.get(id)!
  }

  get bootstrap(): string[] {
    return [...this.#brokers.values()].map(({ host, port }) => `${host}:${port}`)
  }

  async client(id: number): Promise<RawClient> {
    const known = this.#clients.get(id)
    if (known !== undefined && !known.isClosed) return known
    const { host, port } = this.broker(id)
    const client = await RawClient.connect(`${host}:${port}`)
    this.#clients.set(id, client)
    return client
  }

  replica(id: number, topic: string, index = 0): ReplicaOf {
    return this.broker(id).partitions.find(topic, index)!
  }

  /** Replicas of one partition each, the first the leader; all are there and in their roles when it returns. */
  async createTopic(name: string, replicas: readonly (readonly number[])[], configs: Record<string, string> = {}) {
    const client = await this.client(replicas[0]![0]!)
    const { topics } = await client.ask(CreateTopics, 7, {
      timeoutMs: 10_000,
      topics: [
        {
          name,
          numPartitions: -1,
          replicationFactor: -1,
          assignments: replicas.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
          configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        },
      ],
    })
    if (topics[0]!.errorCode !== 0) throw new Error(`${topics[0]!.errorCode} ${topics[0]!.errorMessage}`)
    for (const [index, members] of replicas.entries()) await this.inRoles(name, members, index)
    return topics[0]!.topicId
  }

  /** Every member knows who leads, and is leader or follower. */
  async inRoles(name: string, members: readonly number[], index = 0): Promise<void> {
    await until(() => {
      const replicas = members.map((id) => this.broker(id).partitions.find(name, index))
      const epoch = Math.max(...replicas.map((replica) => replica?.leaderEpoch ?? -1))
      return replicas.every((r) => r !== undefined && r.leaderEpoch === epoch && (r.isLeader || r.isFollower))
    })
  }

  /** The follower takes nothing from its leader until the returned function is called. */
  hold(id: number, topic: string, index = 0): () => void {
    const replica = this.replica(id, topic, index)
    const value = (): never => {
      throw new Error('held')
    }
    Object.defineProperty(replica, 'appendAsFollower', { configurable: true, value })
    return () => Reflect.deleteProperty(replica, 'appendAsFollower')
  }

  async state(topicId: string, index = 0): Promise<PartitionValue> {
    const { pair } = await this.store.get(partitionKey(topicId, index))
    return parsePartition(pair!.value)
  }

  /** Writes what `change` makes of the partition: what a controller decides. */
  async change(topicId: string, change: (state: PartitionValue) => Partial<PartitionValue>, index = 0): Promise<void> {
    const key = partitionKey(topicId, index)
    for (;;) {
      const { pair } = await this.store.get(key)
      const state = parsePartition(pair!.value)
      const next = { ...state, partitionEpoch: state.partitionEpoch + 1, ...change(state) }
      const compare = [{ key, field: 'modRevision', equals: pair!.modRevision } as const]
      const result = await this.store.transact(compare, [{ type: 'put', key, value: JSON.stringify(next) }])
      if (result.succeeded) return
    }
  }

  /** Another leader, in the next epoch. */
  async elect(topicId: string, leader: number, index = 0): Promise<void> {
    await this.change(topicId, (state) => ({ leader, leaderEpoch: state.leaderEpoch + 1 }), index)
  }

  async brokerEpoch(id: number): Promise<number> {
    return (await this.store.get(brokerKey(id))).pair!.createRevision
  }

  async close(): Promise<void> {
    for (const client of this.#clients.values()) await client.close()
    await Promise.all([...this.#brokers.values()].map((broker) => broker.close()))
    await this.store.close()
  }
}

/** Everything that a log has. */
export async function bytesOf(replica: ReplicaOf, endOffset = replica.log.logEndOffset): Promise<Buffer> {
  const { log } = replica
  const pieces: Buffer[] = []
  for await (const piece of piecesOf(log, endOffset)) pieces.push(piece)
  return Buffer.concat(pieces)
}

async function* piecesOf(log: ReplicaOf['log'], endOffset: number) {
  const reader = log.read({ from: log.logStartOffset, to: Math.min(endOffset, log.highWatermark), reuseBuffers: false })
  for await (const batch of reader)
    yield Buffer.from(batch.bytes.subarray(batch.position, batch.position + batch.sizeInBytes))
}

export async function until(condition: () => boolean | Promise<boolean>, what = 'a condition'): Promise<void> {
  const deadline = performance.now() + 12_000
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${what} did not come about: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
