/**
 * Three brokers as a user starts them on three hosts (`pagelog broker --metadata etcd://…`), with a real etcd, each on a
 * host of its own (hosts.ts) and in a folder of its own. Every process is ended by its id, at the latest when this
 * process ends, however it does.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child } from '../../../bench/process/children.ts'
import { packageRoot } from '../../../bench/process/package-root.ts'
import { type EtcdMember, TestEtcd } from '../../peers/etcd.ts'
import { type Endpoint, type FaultNetwork, type Hosts, makeHosts } from './hosts.ts'
import { openView, type View, WatchedCluster } from './watched-cluster.ts'

export const SESSION_MS = 2_000
/** replica.lag.time.max.ms */
export const LAG_MS = 3_000
const START_MS_MAX = 60_000
const STOP_MS_MAX = 60_000
const SETTINGS = {
  'broker.session.timeout.ms': String(SESSION_MS),
  'broker.heartbeat.interval.ms': '400',
  'default.replication.factor': '3',
  'min.insync.replicas': '2',
  // A peer that was cut off says nothing: how long until that is noticed.
  'replica.socket.timeout.ms': '3000',
  'replica.lag.time.max.ms': String(LAG_MS),
  'auto.create.topics.enable': 'false',
}
/** Leases as short as SESSION_MS: etcd allows none below one and a half elections. */
const ETCD_FLAGS = ['--heartbeat-interval', '50', '--election-timeout', '500']

export interface FaultClusterOptions {
  readonly settings?: Readonly<Record<string, string>>
  readonly etcdMembers?: 1 | 3
  /** Where a broker has its logs; a folder of the cluster when it is not said. */
  readonly directoryOf?: (id: number) => string | undefined
  readonly env?: Readonly<Record<string, string>>
  /** What node runs, `bin/pagelog.cjs` when it is not said. */
  readonly program?: readonly string[]
  /** What the machine can do when it is not said. */
  readonly network?: FaultNetwork
}

export class BrokerProcess {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly directory: string
  readonly #start: (log: string) => { child: Child; listening: Promise<void> }
  readonly #logs: string
  #child: Child | undefined
  #starts = 0

  constructor(
    at: Endpoint & { readonly id: number; readonly directory: string },
    logs: string,
    start: (log: string) => { child: Child; listening: Promise<void> },
  ) {
    this.id = at.id
    this.host = at.host
    this.port = at.port
    this.directory = at.directory
    this.#logs = logs
    this.#start = start
  }

  get address(): string {
    return addressOf(this)
  }

  get pid(): number {
    return this.#child!.pid
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exit === undefined
  }

  /** What it printed since it was started last. */
  get output(): string {
    return readFileSync(this.#logFile, 'utf8')
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    this.#starts++
    const { child, listening } = this.#start(this.#logFile)
    this.#child = child
    await listening
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child!.killNow()
    await this.#child!.exited
  }

  /** SIGTERM: it leaves in order. How it ended. */
  async stop(): Promise<number | null> {
    const { code } = await this.#child!.end(60_000)
    return code
  }

  async exited(): Promise<void> {
    await this.#child!.exited
  }

  pause(): void {
    process.kill(this.pid, 'SIGSTOP')
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT')
  }

  get #logFile(): string {
    return join(this.#logs, `broker-${this.id}.${this.#starts}.log`)
  }
}

export class FaultCluster extends WatchedCluster {
  readonly hosts: Hosts
  readonly etcd: TestEtcd
  readonly brokers: readonly BrokerProcess[]
  /** Folders and what brokers printed stay for whoever looks for a fault. */
  keepsFiles = false
  readonly scratch: string
  #disposed: Promise<void> | undefined
  readonly #atExit = (): void => this.#removeFiles()

  private constructor(hosts: Hosts, etcd: TestEtcd, brokers: readonly BrokerProcess[], view: View, scratch: string) {
    super(view)
    this.hosts = hosts
    this.etcd = etcd
    this.brokers = brokers
    this.scratch = scratch
    process.once('exit', this.#atExit)
  }

  static async start(options: FaultClusterOptions = {}): Promise<FaultCluster> {
    const hosts = makeHosts(['e', 'b1', 'b2', 'b3'], options.network)
    const scratch = mkdtempSync(join(tmpdir(), 'pagelog-fault-cluster-'))
    let etcd: TestEtcd | undefined
    try {
      etcd = await TestEtcd.start({
        members: options.etcdMembers ?? 1,
        flags: ETCD_FLAGS,
        host: hosts.address('e'),
        prefix: hosts.prefix('e'),
      })
      const published = await Promise.all(etcd.endpoints.map((endpoint) => hosts.publish('e', endpoint)))
      const brokers: BrokerProcess[] = []
      for (const id of [1, 2, 3]) brokers.push(await brokerOf(id, { hosts, etcd: published, scratch, options }))
      // Past what can be cut: a test sees the metadata whatever it does.
      const view = await openView(etcd.endpoints, 'pagelog/')
      const cluster = new FaultCluster(hosts, etcd, brokers, view, scratch)
      try {
        await Promise.all(brokers.map((broker) => broker.start()))
        await cluster.whole()
      } catch (error) {
        await cluster[Symbol.asyncDispose]()
        throw error
      }
      return cluster
    } catch (error) {
      await etcd?.close()
      hosts.close()
      rmSync(scratch, { recursive: true, force: true })
      throw error
    }
  }

  broker(id: number): BrokerProcess {
    return this.brokers[id - 1]!
  }

  get etcdMembers(): readonly EtcdMember[] {
    return this.etcd.members
  }

  /** In order, one after the other. */
  async stop(): Promise<void> {
    for (const broker of this.brokers) if (broker.isRunning) await broker.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose()
    return this.#disposed
  }

  async #dispose(): Promise<void> {
    this.image.close()
    await this.store.close()
    await Promise.all(this.brokers.map((broker) => (broker.isRunning ? broker.kill() : undefined)))
    await this.etcd.close()
    this.hosts.close()
    process.off('exit', this.#atExit)
    this.#removeFiles()
  }

  #removeFiles(): void {
    if (!this.keepsFiles) rmSync(this.scratch, { recursive: true, force: true })
  }
}

/** A cluster for one test, gone when that ends, however it does. Several tests may have theirs at the same time. */
export async function startFor(test: TestContext, options?: FaultClusterOptions): Promise<FaultCluster> {
  const cluster = await FaultCluster.start(options)
  test.onTestFinished(() => cluster[Symbol.asyncDispose](), STOP_MS_MAX)
  return cluster
}

/** As far as a cluster is of it: what runs chaos is no test. */
interface TestContext {
  onTestFinished(end: () => Promise<void>, limitMs?: number): void
}

interface Surroundings {
  readonly hosts: Hosts
  /** Where brokers reach it. */
  readonly etcd: readonly Endpoint[]
  readonly scratch: string
  readonly options: FaultClusterOptions
}

async function brokerOf(id: number, { hosts, etcd, scratch, options }: Surroundings): Promise<BrokerProcess> {
  const name = `b${id}`
  const listening = { host: hosts.address(name), port: await hosts.port(name) }
  const reached = await hosts.publish(name, listening)
  const directory = options.directoryOf?.(id) ?? join(scratch, name)
  mkdirSync(directory, { recursive: true })
  const metadata = `etcd://${etcd.map(addressOf).join(',')}`
  const settings = { ...SETTINGS, ...options.settings, 'node.id': String(id), ...advertised(listening, reached) }
  const [command, ...args] = [
    ...hosts.prefix(name),
    process.execPath,
    ...(options.program ?? [join(packageRoot, 'bin/pagelog.cjs')]),
    'broker',
    '--json',
    ...['--host', listening.host, '--port', String(listening.port), '--data-dir', directory, '--metadata', metadata],
    ...Object.entries(settings).flatMap(([key, value]) => ['--override', `${key}=${value}`]),
  ] as [string, ...string[]]
  return new BrokerProcess({ id, ...reached, directory }, scratch, (logFile) => {
    let listens = (): void => {}
    const said = new Promise<void>((resolve) => {
      listens = resolve
    })
    const onLine = (line: string): void => {
      if (line.includes('"event":"listening"')) listens()
    }
    const env = options.env ?? {}
    const child = new Child(`broker ${id}`, { command, args, env, guarded: true, logFile, onLine })
    const failure = child.failure()
    failure.catch(() => {})
    return { child, listening: Promise.race([said, failure, late(id)]) }
  })
}

function addressOf({ host, port }: Endpoint): string {
  return `${host}:${port}`
}

/** Said only where it is not the address that it listens on. */
function advertised(listening: Endpoint, reached: Endpoint): Readonly<Record<string, string>> {
  const isElsewhere = addressOf(listening) !== addressOf(reached)
  return isElsewhere ? { 'advertised.listeners': `PLAINTEXT://${addressOf(reached)}` } : {}
}

function late(id: number): Promise<never> {
  return new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error(`broker ${id} does not listen after ${START_MS_MAX} ms`)), START_MS_MAX).unref()
  })
}
