/** Leaders change, brokers go and come back: a scripted cluster and our clients, in virtual time. */
import { describe, expect, test, vi } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { ClusterMetadata } from '../../src/client/cluster-metadata.ts'
import { Consumer, type ConsumerOptions, Producer, type ProducerOptions } from '../../src/client/index.ts'
import { Scheduler, SimulatedMachine, SimulatedNetwork, type Stalls } from '../../src/env/simulated/index.ts'
import { Fetch, ListOffsets, Metadata, OffsetForLeaderEpoch, Produce } from '../../src/protocol/index.ts'
import { batchWith } from './batches.ts'
import { FakeBroker } from './fake-broker.ts'

const SECOND = 1000
const decoder = new TextDecoder()

// Virtual minutes take a fraction of a second, unless the machine is busy.
vi.setConfig({ testTimeout: 60_000 })

class World {
  readonly scheduler: Scheduler
  readonly network: SimulatedNetwork
  readonly machines: readonly SimulatedMachine[]
  readonly #client: SimulatedMachine
  readonly #spare: SimulatedMachine
  readonly #clientEnv
  cluster!: FakeBroker
  /** Node 1 starts on a host that nobody has heard of, but whose address is among the bootstrap servers. */
  useSpare = false

  private constructor(seed: number, stalls: Stalls) {
    this.scheduler = new Scheduler(seed)
    this.network = new SimulatedNetwork(this.scheduler)
    const parts = { scheduler: this.scheduler, network: this.network }
    const machine = (name: string): SimulatedMachine => new SimulatedMachine({ ...parts, name })
    this.machines = [1, 2, 3].map((id) => machine(`node-${id}`))
    this.#client = new SimulatedMachine({ ...parts, name: 'client', stalls })
    this.#spare = machine('spare')
    this.#clientEnv = this.#client.start()
  }

  /** `stalls`: of the client. */
  static async start(seed = 1, stalls: Stalls = { chance: 0, msMax: 0 }): Promise<World> {
    const world = new World(seed, stalls)
    world.cluster = await FakeBroker.start(3, (nodeId) => {
      if (world.useSpare) return { env: world.#spare.start(), host: 'spare', port: 9092 }
      const machine = world.machines[nodeId - 1]!
      return { env: machine.start(), host: machine.name }
    })
    world.cluster.hasIds = true
    world.cluster.addTopic('t', 1)
    return world
  }

  get bootstrap(): string[] {
    return [this.cluster.bootstrap, 'spare:9092']
  }

  /** The node of this id is gone. */
  kill(nodeId: number): void {
    this.machines[nodeId - 1]!.kill()
  }

  async restart(nodeId: number): Promise<void> {
    await this.cluster.startNode(nodeId)
  }

  producer(options: Partial<ProducerOptions> = {}): Producer {
    return new Producer({ bootstrap: this.bootstrap, env: this.#clientEnv, lingerMs: 0, ...options })
  }

  /** Sends one value and says how long it took. */
  async send(producer: Producer, value: string, limitMs = 60 * SECOND): Promise<number> {
    const startMs = this.scheduler.elapsedMs
    await this.scheduler.settled(
      producer.send({ topic: 't', partition: 0, value }).then(() => {}),
      limitMs,
    )
    return this.scheduler.elapsedMs - startMs
  }

  consumer(options: Partial<ConsumerOptions> = {}): { consumer: Consumer; values: string[]; errors: unknown[] } {
    const env = this.#clientEnv
    const consumer = new Consumer({ bootstrap: this.bootstrap, env, autoOffsetReset: 'earliest', ...options })
    consumer.assign([{ topic: 't', partition: 0, offset: 'beginning' }])
    const values: string[] = []
    const errors: unknown[] = []
    const read = async (): Promise<void> => {
      for await (const batch of consumer) for (const { value } of batch) values.push(decoder.decode(value!))
    }
    read().catch((error: unknown) => errors.push(error))
    return { consumer, values, errors }
  }

  append(...values: string[]): void {
    for (const value of values) this.cluster.append('t', 0, batchWith([value]))
  }

  async until(condition: () => boolean, limitMs = 60 * SECOND): Promise<number> {
    const startMs = this.scheduler.elapsedMs
    expect(await this.scheduler.runUntil(condition, limitMs)).toBe(true)
    return this.scheduler.elapsedMs - startMs
  }

  get stored(): string[] {
    return this.cluster.partition('t', 0).values()
  }
}

describe('a leader that is named by the one before it (KIP-951)', () => {
  test('a producer goes there at once, without metadata', async () => {
    const world = await World.start()
    const producer = world.producer()
    await world.send(producer, 'a')
    world.cluster.givesHints = true
    world.cluster.freezeMetadata()
    world.cluster.moveLeader('t', 0, 2)
    expect(await world.send(producer, 'b')).toBeLessThan(50)
    expect(world.stored).toEqual(['a', 'b'])
    // Metadata that lags behind does not take the leader back.
    await world.scheduler.run(10 * SECOND)
    expect(await world.send(producer, 'c')).toBeLessThan(50)
    expect(world.cluster.callsOf(Produce).map(({ nodeId }) => nodeId)).toEqual([1, 1, 2, 2])
  })

  test('a consumer goes there at once, without metadata', async () => {
    const world = await World.start()
    world.cluster.givesHints = true
    const { values, errors } = world.consumer()
    world.append('a')
    await world.until(() => values.length === 1)
    world.cluster.freezeMetadata()
    world.cluster.moveLeader('t', 0, 3)
    await world.scheduler.run(20)
    world.append('b')
    expect(await world.until(() => values.length === 2)).toBeLessThan(50)
    expect(values).toEqual(['a', 'b'])
    expect(errors).toEqual([])
    expect(world.cluster.callsOf(Fetch).every(({ version }) => version >= 16)).toBe(true)
  })

  test('the same broker in a new epoch: FENCED_LEADER_EPOCH names it, and nothing waits', async () => {
    const world = await World.start()
    world.cluster.givesHints = true
    const { values } = world.consumer()
    world.append('a')
    await world.until(() => values.length === 1)
    world.cluster.freezeMetadata()
    world.cluster.moveLeader('t', 0, 1)
    await world.scheduler.run(SECOND)
    world.append('b')
    expect(await world.until(() => values.length === 2)).toBeLessThan(50)
  })

  test('one that does not know yet that it leads is asked again within milliseconds', async () => {
    const world = await World.start()
    const producer = world.producer()
    const { values, errors } = world.consumer()
    await world.send(producer, 'a')
    await world.until(() => values.length === 1)
    world.cluster.givesHints = true
    world.cluster.freezeMetadata()
    world.cluster.moveLeader('t', 0, 2)
    const refusal = { error: ErrorCode.NOT_LEADER_OR_FOLLOWER }
    world.cluster.inject(Produce, refusal, refusal, refusal)
    world.cluster.inject(Fetch, { error: ErrorCode.UNKNOWN_LEADER_EPOCH })
    expect(await world.send(producer, 'b')).toBeLessThan(60)
    expect(world.cluster.callsOf(Produce).map(({ nodeId }) => nodeId)).toEqual([1, 1, 2, 2, 2])
    expect(await world.until(() => values.length === 2)).toBeLessThan(60)
    expect(errors).toEqual([])
  })

  test('only what is newer counts, and only with an address', () => {
    const metadata = new ClusterMetadata()
    const partition = { partitionIndex: 0, errorCode: 0, leaderId: 1, leaderEpoch: 5, replicaNodes: [], isrNodes: [] }
    metadata.update({
      brokers: [{ nodeId: 1, host: 'one', port: 1, rack: null }],
      clusterId: 'c',
      controllerId: 1,
      topics: [{ errorCode: 0, name: 't', topicId: 'id', isInternal: false, partitions: [partition] }],
    } as unknown as Parameters<ClusterMetadata['update']>[0])
    const hint = { topic: 't', partition: 0, leaderId: 2, leaderEpoch: 6 }
    const endpoint = { nodeId: 2, host: 'two', port: 2, rack: null }
    expect(metadata.learnLeader(hint, [])).toBe(false)
    expect(metadata.learnLeader({ ...hint, leaderEpoch: 5 }, [endpoint])).toBe(false)
    expect(metadata.learnLeader({ ...hint, leaderId: -1 }, [endpoint])).toBe(false)
    expect(metadata.learnLeader({ ...hint, partition: 7 }, [endpoint])).toBe(false)
    expect(metadata.learnLeader({ ...hint, topic: 'other' }, [endpoint])).toBe(false)
    expect(metadata.nodes.has(2)).toBe(false)
    expect(metadata.learnLeader(hint, [endpoint])).toBe(true)
    expect(metadata.partition('t', 0)).toMatchObject({ leaderId: 2, leaderEpoch: 6 })
    expect(metadata.nodes.get(2)).toMatchObject({ host: 'two', port: 2 })
    expect(metadata.learnLeader(hint, [endpoint])).toBe(false)
  })
})

describe('a leader that has to be found', () => {
  test.each([1, 2, 3])(
    'a consumer whose thread stands still between any two lines comes late, and is never stuck (seed %i)',
    async (seed) => {
      const world = await World.start(seed, { chance: 0.2, msMax: 3 })
      const { values, errors } = world.consumer()
      for (let count = 1; count <= 30; count++) {
        world.cluster.inject(Fetch, { error: ErrorCode.KAFKA_STORAGE_ERROR })
        world.cluster.inject(OffsetForLeaderEpoch, { error: ErrorCode.UNKNOWN_LEADER_EPOCH })
        if (count % 2 === 0) world.cluster.moveLeader('t', 0, (count % 3) + 1)
        world.append('a')
        await world.until(() => values.length === count, 10 * SECOND)
      }
      expect(errors).toEqual([])
    },
  )

  test('a producer and a consumer go on after metadata has told', async () => {
    const world = await World.start()
    const producer = world.producer()
    const { values } = world.consumer()
    await world.send(producer, 'a')
    for (const [at, value] of ['b', 'c', 'd'].entries()) {
      world.cluster.moveLeader('t', 0, (at % 3) + 1)
      expect(await world.send(producer, value)).toBeLessThan(SECOND)
    }
    await world.until(() => values.length === 4)
    expect(values).toEqual(['a', 'b', 'c', 'd'])
    expect(world.stored).toEqual(values)
  })

  test('without a leader they wait, asking with back-off', async () => {
    const world = await World.start()
    const producer = world.producer()
    const { values } = world.consumer()
    await world.send(producer, 'a')
    world.cluster.moveLeader('t', 0, -1)
    let isStored = false
    producer.send({ topic: 't', partition: 0, value: 'b' }).then(
      () => {
        isStored = true
      },
      () => {},
    )
    await world.until(() => values.length === 1)
    const before = world.cluster.callsOf(Metadata).length
    await world.scheduler.run(30 * SECOND)
    const asked = world.cluster.callsOf(Metadata).length - before
    expect(asked).toBeGreaterThan(20)
    expect(asked).toBeLessThan(120)
    expect(isStored).toBe(false)
    world.cluster.moveLeader('t', 0, 2)
    await world.until(() => values.length === 2)
    expect(isStored).toBe(true)
  })

  test.each([
    ['UNKNOWN_LEADER_EPOCH', ErrorCode.UNKNOWN_LEADER_EPOCH],
    ['OFFSET_NOT_AVAILABLE', ErrorCode.OFFSET_NOT_AVAILABLE],
    ['KAFKA_STORAGE_ERROR', ErrorCode.KAFKA_STORAGE_ERROR],
    ['UNKNOWN_TOPIC_ID', ErrorCode.UNKNOWN_TOPIC_ID],
  ])('%s is waited out by a consumer, where it reads and where it begins', async (_, error) => {
    const world = await World.start()
    world.append('a', 'b')
    world.cluster.inject(ListOffsets, { error }, { error })
    world.cluster.inject(Fetch, { error }, { error })
    const { values, errors } = world.consumer()
    await world.until(() => values.length === 2)
    world.cluster.inject(Fetch, { error })
    world.append('c')
    await world.until(() => values.length === 3)
    expect(values).toEqual(['a', 'b', 'c'])
    expect(errors).toEqual([])
  })
})

describe('brokers that vanish', () => {
  test('another one takes over: nothing is lost, doubled or out of order', async () => {
    const world = await World.start()
    const producer = world.producer()
    const { values } = world.consumer()
    await world.send(producer, 'a')
    world.kill(1)
    world.cluster.moveLeader('t', 0, 2)
    expect(await world.send(producer, 'b')).toBeLessThan(2 * SECOND)
    await world.until(() => values.length === 2)
    expect(world.stored).toEqual(['a', 'b'])
  })

  test('one that comes back elsewhere is found there', async () => {
    const world = await World.start()
    const producer = world.producer()
    const { values } = world.consumer()
    await world.send(producer, 'a')
    world.kill(1)
    const sending = world.send(producer, 'b')
    world.scheduler.world.after(5 * SECOND, () => void world.restart(1))
    expect(await sending).toBeLessThan(8 * SECOND)
    await world.until(() => values.length === 2)
    expect(world.stored).toEqual(['a', 'b'])
  })

  test('a leader that hangs is left by a consumer as soon as another one is known', async () => {
    const world = await World.start()
    world.cluster.addTopic('u', 2)
    const { consumer, values } = world.consumer()
    // Node 2 leads u-1, and is connected to as well.
    consumer.assign([
      { topic: 't', partition: 0 },
      { topic: 'u', partition: 1, offset: 'beginning' },
    ])
    world.append('a')
    await world.until(() => values.length === 1)
    await world.scheduler.run(SECOND)
    world.network.cut('node-1', 'client')
    world.cluster.moveLeader('t', 0, 3)
    world.append('b')
    await world.scheduler.run(SECOND)
    expect(values).toEqual(['a'])
    // Something makes the client ask for metadata: of those it is connected to, the one that answers.
    world.cluster.moveLeader('u', 1, 3)
    expect(await world.until(() => values.length === 2)).toBeLessThan(5 * SECOND)
    world.network.healAll()
    world.append('c')
    await world.until(() => values.length === 3)
    await world.scheduler.run(SECOND)
    expect(values).toEqual(['a', 'b', 'c'])
  })

  test.each([0, 1, 2, 3, 4])(
    'batches in flight to a broker that dies keep their order at the next one (seed %i)',
    async (seed) => {
      const world = await World.start(seed)
      world.cluster.givesHints = seed % 2 === 0
      const { random } = world.scheduler
      const producer = world.producer({ batchBytes: 200 })
      const sent: string[] = []
      const { values } = world.consumer()
      const timer = world.scheduler.world.every(3, () => {
        const value = `v${sent.length}`
        sent.push(value)
        producer.send({ topic: 't', partition: 0, value }).catch(() => {})
      })
      let leader = 1
      for (let round = 0; round < 6; round++) {
        await world.scheduler.run(random.below(400))
        const next = (leader % 3) + 1
        const faults = [
          () => world.network.reset('client', `node-${leader}`),
          () => world.network.cut('client', `node-${leader}`),
          () => world.cluster.inject(Produce, { kind: 'lose answer' }),
        ]
        faults[random.below(faults.length)]!()
        await world.scheduler.run(random.below(50))
        world.cluster.moveLeader('t', 0, next)
        await world.scheduler.run(random.below(200))
        world.network.healAll()
        leader = next
      }
      timer.cancel()
      await world.scheduler.settled(producer.flush(), 130 * SECOND)
      await world.until(() => values.length === sent.length)
      expect(world.stored).toEqual(sent)
      expect(values).toEqual(sent)
    },
  )
})

describe('starting from the bootstrap addresses again', () => {
  async function moved(options: Partial<ProducerOptions>, away: (world: World) => void): Promise<number> {
    const world = await World.start()
    const producer = world.producer(options)
    await world.send(producer, 'a')
    away(world)
    world.useSpare = true
    await world.restart(1)
    for (const id of [2, 3]) world.kill(id)
    return await world.send(producer, 'b', 200 * SECOND)
  }

  test('when no known broker can be reached', async () => {
    expect(await moved({}, (world) => world.kill(1))).toBeLessThan(10 * SECOND)
  })

  test('not with metadata.recovery.strategy=none: then records wait, and time out', async () => {
    const options = { metadataRecoveryStrategy: 'none', deliveryTimeoutMs: 35_000 }
    await expect(moved(options, (world) => world.kill(1))).rejects.toMatchObject({ code: 'PAGELOG_TIMED_OUT' })
  })

  test('when a broker says so, and goes on after that', async () => {
    const world = await World.start()
    const producer = world.producer()
    await world.send(producer, 'a')
    world.cluster.metadataError = ErrorCode.REBOOTSTRAP_REQUIRED
    world.cluster.moveLeader('t', 0, 2)
    const sending = world.send(producer, 'b')
    world.scheduler.world.after(5 * SECOND, () => {
      world.cluster.metadataError = 0
    })
    expect(await sending).toBeLessThan(8 * SECOND)
  })

  test('when no known broker has answered for metadata.recovery.rebootstrap.trigger.ms', async () => {
    const options = { requestTimeoutMs: 2 * SECOND, metadataRecoveryTriggerMs: 3 * SECOND }
    const hang = (world: World): void => {
      world.machines[0]!.pause()
    }
    expect(await moved(options, hang)).toBeLessThan(30 * SECOND)
  })
})

describe('a log that was truncated below what a consumer has read (KIP-320)', () => {
  async function truncated(options: Partial<ConsumerOptions> = {}) {
    const world = await World.start()
    const { consumer, values, errors } = world.consumer(options)
    world.append('a', 'b', 'c', 'd')
    await world.until(() => values.length === 4)
    // Node 2 becomes leader without the last two, and stores others.
    world.cluster.partition('t', 0).truncate(2)
    world.cluster.moveLeader('t', 0, 2)
    world.append('C', 'D', 'E', 'F')
    return { world, consumer, values, errors }
  }

  test('goes on where the logs part', async () => {
    const { world, values, errors } = await truncated()
    await world.until(() => values.length === 8)
    expect(values).toEqual(['a', 'b', 'c', 'd', 'C', 'D', 'E', 'F'])
    expect(errors).toEqual([])
    const asked = world.cluster.callsOf(OffsetForLeaderEpoch).map(({ body }) => body)
    const partition = expect.objectContaining({ currentLeaderEpoch: 1, leaderEpoch: 0 })
    expect(asked[0]).toMatchObject({ replicaId: -1, topics: [{ partitions: [partition] }] })
  })

  test('stops with auto.offset.reset=none, and says where', async () => {
    const { world, values, errors } = await truncated({ autoOffsetReset: 'none' })
    await world.until(() => errors.length === 1)
    expect(errors[0]).toMatchObject({ code: 'PAGELOG_OFFSET_OUT_OF_RANGE', offset: 2 })
    expect(values).toEqual(['a', 'b', 'c', 'd'])
  })

  test('a new leader that has everything is read on from', async () => {
    const world = await World.start()
    const { values } = world.consumer()
    world.append('a', 'b')
    await world.until(() => values.length === 2)
    world.cluster.moveLeader('t', 0, 2)
    world.append('c')
    world.cluster.moveLeader('t', 0, 3)
    await world.until(() => values.length === 3)
    expect(values).toEqual(['a', 'b', 'c'])
    expect(world.cluster.callsOf(ListOffsets).length).toBe(1)
  })

  test('a leader that cannot say yet is asked again', async () => {
    const world = await World.start()
    const { values } = world.consumer()
    world.append('a', 'b')
    await world.until(() => values.length === 2)
    const faults = [ErrorCode.UNKNOWN_LEADER_EPOCH, ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.OFFSET_NOT_AVAILABLE]
    world.cluster.inject(OffsetForLeaderEpoch, ...faults.map((error) => ({ error })), { kind: 'disconnect' })
    world.cluster.moveLeader('t', 0, 2)
    world.append('c')
    await world.until(() => values.length === 3)
    expect(values).toEqual(['a', 'b', 'c'])
  })

  test('a log that begins later by now is no truncation: auto.offset.reset decides', async () => {
    const world = await World.start()
    const { consumer, values } = world.consumer()
    world.append('a', 'b')
    await world.until(() => values.length === 2)
    consumer.pause()
    await world.scheduler.run(SECOND)
    world.append('c', 'd', 'e')
    const partition = world.cluster.partition('t', 0)
    partition.batches.splice(0, 4)
    partition.startOffset = 4
    consumer.resume()
    await world.until(() => values.length === 3)
    expect(values).toEqual(['a', 'b', 'e'])
  })
})
