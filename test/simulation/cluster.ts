/**
 * Three brokers, the metadata store and clients in one process, on a simulated network, in virtual time, each broker on
 * a lying disk. A seed decides everything.
 */
import { ErrorCode, type Logger, PagelogError } from '../../src/base/index.ts'
import { Broker, type BrokerOptions } from '../../src/broker/index.ts'
import { loadClusterMember } from '../../src/broker/membership.ts'
import { Admin } from '../../src/client/index.ts'
import type { Disk } from '../../src/env/index.ts'
import {
  type Fault,
  Scheduler,
  SimulatedMachine,
  SimulatedNetwork,
  type Stalls,
} from '../../src/env/simulated/index.ts'
import { type ReplicationRules, soundRules } from '../../src/replication/index.ts'
import { checkHistory, checkReplicas, History, type ReplicaBytes, type Violation } from './history.ts'
import { Invariants, type Replica } from './invariants.ts'
import { Load } from './load.ts'
import { MetadataHost } from './metadata-host.ts'
import { RECREATED, RecreatedTopic } from './recreated-topic.ts'
import { METADATA_HOST, RemoteMetadata } from './remote-metadata.ts'

export const CLIENT = 'client'
export const TOPIC = 'topic'
export const SECOND = 1000
const LOGS = '/logs'
const SEND_EVERY_MS = 250
/** When all is well again nobody takes longer to read what is there. */
const SEEN_MS = 60 * SECOND
/** How long after it lost some others may not have heard that records are missing. */
const SUSPECT_MS = 30 * SECOND
/** Until what has changed on a disk is surely known: a broker reads its logs through a second after it has started. */
const DAMAGE_MS = 15 * SECOND

export interface ClusterOptions {
  readonly seed: number
  readonly brokers?: number
  readonly partitions?: number
  readonly settings?: BrokerOptions['settings']
  readonly rules?: ReplicationRules
  /** Of the topic. */
  readonly minInsyncReplicas?: number
  /** Share of metadata calls whose answer is lost, and of changes that come late. */
  readonly lostAnswers?: number
  readonly lateChanges?: number
  /** Of brokers and clients. */
  readonly stalls?: Stalls | undefined
  /** Told what the brokers log, with their names. */
  readonly log?: (line: string) => void
}

/** What is alive of a partition. */
interface PartitionReplicas {
  readonly topic: string
  /** The topic's name in the history. */
  readonly told: string
  readonly index: number
  readonly topicId: string
  readonly replicas: readonly Replica[]
}

/** A machine with a broker on it that is started again when it has ended. */
export class Member {
  readonly nodeId: number
  readonly machine: SimulatedMachine
  broker: Broker | undefined
  /** When it last lost, or may have lost, what was not synced. */
  lostMs = Number.NEGATIVE_INFINITY
  boots = 0
  readonly usualDiskBytes: number
  readonly usualDiskMsMax: number

  constructor(nodeId: number, machine: SimulatedMachine) {
    this.nodeId = nodeId
    this.machine = machine
    this.usualDiskBytes = machine.disk.capacityBytes
    this.usualDiskMsMax = machine.diskMsMax
  }
}

export class SimulatedCluster {
  readonly scheduler: Scheduler
  readonly network: SimulatedNetwork
  readonly members: readonly Member[]
  readonly history = new History()
  readonly invariants = new Invariants()
  readonly metadata: MetadataHost
  readonly partitions: number
  readonly load: Load
  readonly admin: Admin
  readonly recreated: RecreatedTopic
  /** Why starts failed. */
  readonly failures: unknown[] = []
  /** Bytes that were changed on disks. */
  damages = 0
  #damagedMs = Number.NEGATIVE_INFINITY
  readonly #options: ClusterOptions

  private constructor(
    options: ClusterOptions,
    scheduler: Scheduler,
    network: SimulatedNetwork,
    metadata: MetadataHost,
  ) {
    const { brokers = 3, partitions = 2 } = options
    const stalls = options.stalls ? { stalls: options.stalls } : {}
    this.#options = options
    this.partitions = partitions
    this.scheduler = scheduler
    this.network = network
    this.metadata = metadata
    const machine = (name: string): SimulatedMachine => new SimulatedMachine({ scheduler, network, name, ...stalls })
    this.members = Array.from({ length: brokers }, (_, at) => new Member(at + 1, machine(`broker-${at + 1}`)))
    const env = machine(CLIENT).start()
    const bootstrap = this.members.map((member) => `${member.machine.name}:9092`)
    this.load = new Load({ env, bootstrap, history: this.history, logger: this.#loggerOf('client') })
    this.admin = new Admin({ bootstrap, env })
    this.recreated = new RecreatedTopic(this.load, this.admin, metadata)
    this.history.onTold = (partition, offset) => this.invariants.told(partition, offset)
  }

  /** With a topic whose partitions all brokers have. */
  static async start(options: ClusterOptions): Promise<SimulatedCluster> {
    // A file that is imported comes in real time.
    await loadClusterMember()
    const scheduler = new Scheduler(options.seed)
    const network = new SimulatedNetwork(scheduler)
    const metadataMachine = new SimulatedMachine({ scheduler, network, name: METADATA_HOST })
    const metadata = await MetadataHost.start(scheduler, metadataMachine)
    const cluster = new SimulatedCluster(options, scheduler, network, metadata)
    const { members, partitions } = cluster
    scheduler.onEvent = () => cluster.#check()
    for (const member of members) cluster.startBroker(member)
    const isUp = (): boolean => members.every(({ broker }) => broker !== undefined)
    if (!(await scheduler.runUntil(isUp, 30 * SECOND))) throw new Error(`not started: ${String(cluster.failures[0])}`)
    const topic = {
      topic: TOPIC,
      partitions,
      replicationFactor: members.length,
      configs: { 'min.insync.replicas': String(options.minInsyncReplicas ?? 2) },
    }
    const make = async (): Promise<void> => {
      try {
        await scheduler.settled(cluster.admin.createTopics([topic]), 30 * SECOND, 'making the topic')
      } catch (error) {
        // The answer to the broker that made it may have been lost.
        if (!(error instanceof PagelogError) || error.kafkaCode !== ErrorCode.TOPIC_ALREADY_EXISTS) throw error
      }
    }
    try {
      await make()
    } catch (error) {
      // Whoever was asked has not heard of all brokers yet.
      if (!(error instanceof PagelogError) || error.kafkaCode !== ErrorCode.INVALID_REPLICATION_FACTOR) throw error
      const hears = (): boolean =>
        members.every(({ broker }) => broker?.membership.image.brokers.size === members.length)
      if (!(await scheduler.runUntil(hears, 30 * SECOND))) throw error
      await make()
    }
    return cluster
  }

  /** Starts a broker, and again when that fails. */
  startBroker(member: Member): void {
    const { machine, nodeId } = member
    if (machine.isRunning) return
    const env = machine.start()
    const { life } = { life: machine.lives }
    const { scheduler, network, metadata: server } = this
    const { lostAnswers = 0, lateChanges = 0 } = this.#options
    const actor = machine.process!
    const remote = { server, scheduler, network, host: machine.name, actor, lostAnswers, lateChanges }
    const started = Broker.start({
      env,
      settings: {
        nodeId,
        listeners: [`PLAINTEXT://${machine.name}:9092`],
        logDir: LOGS,
        brokerSessionTimeoutMs: 3 * SECOND,
        brokerHeartbeatIntervalMs: SECOND,
        replicaLagTimeMaxMs: 4 * SECOND,
        ...this.#options.settings,
      },
      logger: this.#loggerOf(machine.name),
      metadata: new RemoteMetadata(remote),
      bootId: `boot-${member.boots}`,
      replicationRules: this.#options.rules ?? soundRules,
    })
    started.then(
      (broker) => {
        if (machine.lives === life && machine.isRunning) member.broker = broker
      },
      (error: unknown) => {
        if (machine.lives !== life || !machine.isRunning) return
        this.failures.push(error)
        this.kill(member)
        scheduler.world.after(SECOND, () => this.startBroker(member))
      },
    )
  }

  /** kill -9. */
  kill(member: Member): void {
    member.broker = undefined
    member.machine.kill()
  }

  /** Power loss. */
  crash(member: Member): void {
    member.broker = undefined
    member.boots++
    member.lostMs = this.scheduler.elapsedMs
    member.machine.crash()
  }

  /** The disk fails; what is on it cannot be relied on until its broker has been told so. */
  breakDisk(member: Member, fault: Fault): void {
    member.lostMs = this.scheduler.elapsedMs
    member.machine.disk.inject(fault)
  }

  /** SIGTERM: it hands over what it leads, closes, and is started again. */
  restart(member: Member, meanwhile: () => Promise<void> = async () => {}): void {
    const { broker, machine } = member
    if (broker === undefined) return
    const { lives } = machine
    const ended = (): void => {
      if (machine.lives !== lives || !machine.isRunning) return
      this.kill(member)
      const start = (): void => this.startBroker(member)
      meanwhile().then(start, (error: unknown) => {
        this.failures.push(error)
        start()
      })
    }
    broker.close().then(ended, (error: unknown) => {
      this.failures.push(error)
      ended()
    })
  }

  /**
   * A byte of a record changes on the disk of a broker that was closed in order. Not while another replica may be damaged,
   * of which nobody knows yet: of each record somebody has a good copy.
   */
  damage(member: Member): void {
    const { elapsedMs } = this.scheduler
    if (elapsedMs - this.#damagedMs < DAMAGE_MS) return
    this.#damagedMs = elapsedMs
    this.restart(member, async () => {
      this.damages++
      this.#damagedMs = this.scheduler.elapsedMs
      // What it vouched for is gone as soon as it is set aside: a leader may hear of that later than of anything else.
      member.lostMs = this.scheduler.elapsedMs + DAMAGE_MS
      await flipMiddle(member.machine.disk.disk, `${LOGS}/${TOPIC}-0`)
    })
  }

  /** Everything is well again, and stays so. */
  heal(): void {
    this.network.healAll()
    this.metadata.watchLagMs.clear()
    this.metadata.restart()
    for (const member of this.members) {
      const { machine, usualDiskBytes } = member
      machine.resume()
      machine.disk.capacityBytes = usualDiskBytes
      this.startBroker(member)
    }
  }

  begin(): void {
    for (const name of ['p1', 'p2'])
      this.load.produce(name, TOPIC, this.partitions, SEND_EVERY_MS, { requestTimeoutMs: 5 * SECOND })
    for (let partition = 0; partition < this.partitions; partition++) {
      this.load.consume(`c${partition}`, TOPIC, partition, { requestTimeoutMs: 5 * SECOND })
    }
  }

  /** All replicas are in sync and hold the same, and nothing is on its way. */
  get isConverged(): boolean {
    if (this.load.open > 0 || this.recreated.isChanging) return false
    if (this.scheduler.elapsedMs - this.#damagedMs < DAMAGE_MS) return false
    if (this.damages > 0 && this.members.some(({ broker }) => broker?.metrics().logsDamaged !== 0)) return false
    return this.#all().every(({ replicas }) => {
      const leader = replicas.find(({ partition }) => partition.isLeader)?.partition
      if (leader === undefined || replicas.length < this.members.length) return false
      if ((leader.leader?.isr.length ?? 0) < this.members.length) return false
      const end = leader.log.logEndOffset
      return replicas.every(({ partition }) => partition.log.logEndOffset === end && partition.highWatermark === end)
    })
  }

  /** Every broker runs, is in every ISR, and has all that is committed. */
  get isWhole(): boolean {
    return this.#all().every(({ replicas }) => {
      const newest = Math.max(...replicas.map(({ partition }) => partition.leaderEpoch))
      const leader = replicas.find(({ partition }) => partition.isLeader && partition.leaderEpoch === newest)?.partition
      const isr = leader?.leader?.isr ?? []
      return replicas.length === this.members.length && isr.length === replicas.length
    })
  }

  /** Who is what, for messages. */
  get state(): string {
    const lines = this.#all().map(({ topic, index, replicas }) => {
      const texts = replicas.map(({ nodeId, partition: { leader, leaderEpoch, log, highWatermark } }) => {
        const role = leader === undefined ? 'follows' : `leads [${leader.isr.join()}]`
        return `${nodeId} ${role} in ${leaderEpoch}: ${log.logStartOffset}-${log.logEndOffset}, committed ${highWatermark}`
      })
      return `${topic}-${index}: ${texts.join('; ')}`
    })
    return [...lines, `${this.load.open} sends open`].join('\n')
  }

  /** What is wrong when all has converged: those who read all the time come to the end, and all is read once more. */
  async verdict(): Promise<Violation[]> {
    const { scheduler, load, history } = this
    const violations: Violation[] = []
    const all = this.#all()
    const ends = new Map(
      all.map(({ told, index, replicas }) => [`${told}-${index}`, replicas[0]!.partition.highWatermark]),
    )
    await scheduler.runUntil(() => load.behind(ends).length === 0, SEEN_MS)
    violations.push(...load.behind(ends))
    for (const { topic, index, told, replicas } of all) {
      const { logEndOffset } = replicas[0]!.partition.log
      const reading = load.readUntil('final', topic, index, (nextOffset) => nextOffset >= logEndOffset, told)
      await scheduler.settled(reading, 60 * SECOND, 'reading at the end')
      const name = `${topic}-${index}`
      violations.push(...checkReplicas(name, await this.#storedOf(name), replicas[0]!.partition.highWatermark))
    }
    const names = new Set(all.map(({ told, index }) => `${told}-${index}`))
    // What was in a topic that is deleted is gone.
    return [...checkHistory(history.only(names), { finalReader: 'final' }), ...violations]
  }

  async close(): Promise<void> {
    this.scheduler.onEvent = undefined
    const brokers = this.members.flatMap(({ broker }) => broker ?? [])
    const closing = Promise.all([this.load.close(), this.admin.close()]).then(() =>
      Promise.all(brokers.map((broker) => broker.close())),
    )
    await this.scheduler.settled(closing, 120 * SECOND, 'closing')
  }

  async #storedOf(name: string): Promise<ReplicaBytes[]> {
    const stored: ReplicaBytes[] = []
    for (const { machine } of this.members) {
      const { disk } = machine.disk
      const directory = `${LOGS}/${name}`
      const names = await this.scheduler.settled(disk.list(directory), SECOND)
      const segments = names.filter((file) => file.endsWith('.log'))
      const parts = segments.map((file) => disk.readFile(`${directory}/${file}`))
      const contents = await this.scheduler.settled(Promise.all(parts), SECOND)
      const bytes = Buffer.concat(contents.map((content) => content ?? new Uint8Array()))
      stored.push({ name: machine.name, startOffset: Number.parseInt(segments[0] ?? '0', 10), bytes })
    }
    return stored
  }

  #check(): void {
    for (const { told, index, topicId, replicas } of this.#all()) {
      this.invariants.check(`${told}-${index}`, replicas, this.metadata.partitions.get(`${topicId}/${index}`))
    }
  }

  #all(): PartitionReplicas[] {
    const all: PartitionReplicas[] = []
    for (let index = 0; index < this.partitions; index++) {
      const replicas = this.#replicasOf(TOPIC, index)
      all.push({ topic: TOPIC, told: TOPIC, index, topicId: replicas[0]?.partition.topicId ?? '', replicas })
    }
    const { topicId, told } = this.recreated
    if (topicId !== undefined) {
      const replicas = this.#replicasOf(RECREATED, 0).filter(({ partition }) => partition.topicId === topicId)
      all.push({ topic: RECREATED, told, index: 0, topicId, replicas })
    }
    return all
  }

  #replicasOf(topic: string, index: number): Replica[] {
    const replicas: Replica[] = []
    for (const { broker, nodeId, machine, lostMs } of this.members) {
      const partition = broker?.partitions.find(topic, index)
      const mayLack = this.scheduler.elapsedMs - lostMs < SUSPECT_MS
      if (partition !== undefined) replicas.push({ nodeId, life: machine.lives, partition, mayLack })
    }
    return replicas
  }

  #loggerOf(name: string): Logger {
    const { log } = this.#options
    const line =
      (level: string) =>
      (fields: object, message: string): void => {
        log?.(`${this.scheduler.elapsedMs.toFixed(1)} ${name} ${level} ${message} ${textOf(fields)}`)
      }
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
  }
}

function textOf(fields: object): string {
  const shown = Object.entries(fields).map(([key, value]) => {
    if (!(value instanceof Error)) return [key, value]
    const { code } = value as { code?: string }
    return [key, `${code ?? ''} ${value.message}`]
  })
  return JSON.stringify(Object.fromEntries(shown))
}

/** Of the first segment of a log: what nobody reads who opens it. */
async function flipMiddle(disk: Disk, directory: string): Promise<void> {
  const [segment] = (await disk.list(directory)).filter((name) => name.endsWith('.log'))
  const file = await disk.open(`${directory}/${segment}`, 'write')
  const byte = new Uint8Array(1)
  await file.read(byte, file.size >> 1)
  byte[0]! ^= 0x40
  await file.write([byte], file.size >> 1)
  await file.dataSync()
  await file.close()
}
