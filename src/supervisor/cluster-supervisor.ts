/**
 * Several brokers on one host: serves the embedded metadata store to them on a socket, starts them, starts again what
 * dies, and stops them in order. The brokers do not need it to live: they go on while it is away, and the next supervisor
 * finds the living ones by pid and start time, so that none is ever started twice.
 *
 * Of a broker that died the supervisor knows at once what others would learn when the session is over: it revokes the
 * lease, and the controller elects other leaders.
 */
import { hasCode, type Logger, PagelogError } from '../base/index.ts'
import type { Env, FileLock, ProcessMark, Timer } from '../env/index.ts'
import { ClusterImage, EmbeddedMetadata, type MetadataServer, serveMetadata } from '../metadata/index.ts'
import { BrokerChild, type Processes } from './broker-child.ts'
import { BROKER_LOG_LOOK_MS, boundLog, lastLineOf } from './broker-log.ts'
import {
  type BrokerRecord,
  brokerDirectory,
  brokerLogFile,
  type ClusterState,
  holderOf,
  readClusterState,
  type StoredClusterState,
  writeClusterState,
} from './cluster-state.ts'

export type ClusterEvent =
  | { readonly event: 'starting' | 'adopted'; readonly broker: number; readonly pid: number }
  | {
      readonly event: 'up'
      readonly broker: number
      readonly pid: number
      readonly host: string
      readonly port: number
    }
  | {
      readonly event: 'died'
      readonly broker: number
      readonly pid: number
      readonly how: string
      readonly lastLine: string
      readonly retryMs: number
    }
  | { readonly event: 'stopping' | 'stopped' | 'killed'; readonly broker: number }

export interface SupervisorOptions {
  readonly env: Pick<Env, 'disk' | 'clock'>
  readonly processes: Processes
  readonly logger: Logger
  readonly directory: string
  /** Where the metadata is served, when the cluster is new; short, as paths of sockets must be. */
  readonly socketPath: string
  /** undefined: as many as there are, 3 for a new cluster. */
  readonly brokers: number | undefined
  readonly host: string
  /** Of single brokers, first to last, that are reached elsewhere than at `host`: namespaces of one machine. Counts for brokers that are new. */
  readonly hosts?: readonly string[]
  /** Of the first broker; the others have the next ones. 0: any. Counts for brokers that are new. */
  readonly port: number
  /** Settings of all brokers, by dotted name; those of before stay. */
  readonly settings: Readonly<Record<string, string>>
  /** What starts the `pagelog` command. */
  readonly launcher: readonly string[]
  readonly self: ProcessMark
  readonly report: (event: ClusterEvent) => void
  /**
   * The metadata can be written no more until they are opened again: whoever called `start` ends this process. The
   * brokers go on, and the next supervisor finds them.
   */
  readonly failed: (error: PagelogError) => void
}

interface Held {
  readonly lock: FileLock
  readonly store: EmbeddedMetadata
  readonly server: MetadataServer
  readonly image: ClusterImage
}

const BROKERS_BY_DEFAULT = 3
const BROKERS_MAX = 100
/** Until `cluster.json` is written again that could not be. */
const SAVE_AGAIN_MS = 5000

export class ClusterSupervisor {
  readonly #options: SupervisorOptions
  readonly #held: Held
  readonly #children = new Map<number, BrokerChild>()
  /** Brokers whose registration was seen. */
  readonly #up = new Set<number>()
  #state: ClusterState
  #writing: Promise<void> = Promise.resolve()
  /** Set while `cluster.json` is older than what is known. */
  #saveAgain: Timer | undefined
  readonly #logLooks: Timer
  #stopping: Promise<void> | undefined
  /** Told of the first broker that cannot be started, while all are being started. */
  #startFailed: ((error: PagelogError) => void) | undefined

  private constructor(options: SupervisorOptions, held: Held, state: ClusterState) {
    this.#options = options
    this.#held = held
    this.#state = state
    this.#logLooks = options.env.clock.every(BROKER_LOG_LOOK_MS, () => {
      for (const { id } of this.#state.brokers) void this.#boundLog(id)
    })
  }

  /**
   * Resolves when all brokers are registered. A broker that ends before it was stops the start: what was started is
   * stopped, what was found alive goes on. Errors: PAGELOG_LOCKED, PAGELOG_INVALID_ARGUMENT, PAGELOG_ABORTED (with the
   * last line of the broker that failed), and those of the metadata store.
   */
  static async start(options: SupervisorOptions): Promise<ClusterSupervisor> {
    const { env, directory, logger, failed } = options
    const undo: (() => Promise<unknown>)[] = []
    try {
      await env.disk.makeDirectory(directory)
      const lock = await env.disk.lock(`${directory}/supervisor.lock`)
      undo.push(() => lock.release())
      const before = await readClusterState(env.disk, directory)
      const place = (await env.disk.status(directory))?.place
      const isRunning = before !== undefined && (await hasLivingBroker(options, before))
      const state = nextState({ before, isRunning, options, place })
      const store = await EmbeddedMetadata.open({ ...env, path: `${directory}/metadata.journal`, logger, failed })
      undo.push(() => store.close())
      const image = await ClusterImage.open(store, { clock: env.clock, logger })
      undo.push(async () => image.close())
      const { socketPath } = state
      const server = await serveMetadata({ store, ...env, logger, listen: { socketPath } })
      undo.push(() => server.close())
      // A new cluster that cannot even be written down is not begun; one of before may have brokers that run.
      if (before === undefined) await writeClusterState(env.disk, directory, state)
      const supervisor = new ClusterSupervisor(options, { lock, store, server, image }, state)
      undo.push(async () => supervisor.#cancelTimers())
      if (before !== undefined) supervisor.#save({})
      await supervisor.#startAll()
      return supervisor
    } catch (error) {
      for (const step of undo.reverse()) await step().catch(() => {})
      if (hasCode(error, 'PAGELOG_LOCKED')) {
        const message = `the cluster in ${directory} has a supervisor already (${error.message}); stop it first`
        throw new PagelogError('PAGELOG_LOCKED', message, { cause: error })
      }
      throw error
    }
  }

  /** Where clients connect. */
  get bootstrap(): string {
    return this.#state.brokers.map(({ port, host = this.#state.host }) => `${host}:${port}`).join(',')
  }

  get brokers(): number {
    return this.#state.brokers.length
  }

  /** Stops the brokers one after the other, the controller last, then the metadata. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /** Ends without stopping the brokers: they go on, and the next supervisor finds them. */
  abandon(): Promise<void> {
    this.#stopping ??= this.#abandon()
    return this.#stopping
  }

  async #abandon(): Promise<void> {
    for (const child of this.#children.values()) child.release()
    await this.#release()
  }

  async #startAll(): Promise<void> {
    const { image } = this.#held
    const failed = new Promise<never>((_, reject) => {
      this.#startFailed = reject
    })
    failed.catch(() => {})
    const unwatch = image.onChange(({ brokers }) => {
      for (const id of brokers) this.#noteRegistration(id)
    })
    const started: BrokerChild[] = []
    try {
      await Promise.race([this.#startBrokers(started), failed])
      await Promise.race([this.#allUp(), failed])
    } catch (error) {
      unwatch()
      for (const child of this.#children.values()) if (!started.includes(child)) child.release()
      await Promise.all(started.map((child) => child.stop()))
      await this.#writing
      throw error
    }
    this.#startFailed = undefined
    await this.#writing
  }

  async #startBrokers(started: BrokerChild[]): Promise<void> {
    await Promise.all(
      this.#state.brokers.map(async (record) => {
        const child = this.#childOf(record.id)
        this.#children.set(record.id, child)
        const alive = await livingProcess(this.#options, record)
        await this.#revoke(record.id, (pid) => pid !== alive?.pid)
        if (alive) {
          child.adopt(alive)
          this.#saveProcess(record.id, alive)
          this.#options.report({ event: 'adopted', broker: record.id, pid: alive.pid })
          this.#noteRegistration(record.id)
        } else {
          started.push(child)
          await child.start()
        }
      }),
    )
  }

  /** A registration of a process that is gone would be believed for the rest of its session. */
  async #revoke(id: number, isGone: (pid: number | undefined) => boolean): Promise<void> {
    const registered = this.#held.image.brokers.get(id)
    if (registered?.lease === undefined || !isGone(registered.pid)) return
    this.#up.delete(id)
    await this.#held.store.revokeLease(registered.lease)
  }

  #childOf(id: number): BrokerChild {
    const { env, processes, directory, report, logger } = this.#options
    return new BrokerChild({
      clock: env.clock,
      processes,
      command: () => this.#commandOf(id),
      logFile: brokerLogFile(directory, id),
      started: (mark) => {
        this.#saveProcess(id, mark)
        report({ event: 'starting', broker: id, pid: mark.pid })
      },
      died: (mark, how, retryMs) => void this.#died(id, mark, how, retryMs),
      failed: (error) => logger.error({ broker: id, error }, 'the broker could not be started, tried again'),
    })
  }

  #commandOf(id: number): string[] {
    const { launcher, directory } = this.#options
    const { socketPath, settings, brokers } = this.#state
    const { port, host = this.#state.host } = brokers.find((broker) => broker.id === id)!
    const overrides = Object.entries({ ...settings, 'node.id': String(id) })
    return [
      ...launcher,
      'broker',
      '--metadata',
      `socket:${socketPath}`,
      '--host',
      host,
      '--port',
      String(port),
      '--data-dir',
      brokerDirectory(directory, id),
      ...overrides.flatMap(([name, value]) => ['--override', `${name}=${value}`]),
    ]
  }

  async #died(id: number, mark: ProcessMark, how: string, retryMs: number | undefined): Promise<void> {
    const { report, logger } = this.#options
    const wasUp = this.#up.delete(id)
    try {
      // Whoever else has registered under this id is not known to be gone.
      await this.#revoke(id, (pid) => pid === mark.pid)
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_CLOSED')) logger.error({ broker: id, error }, 'the registration could not be ended')
    }
    if (retryMs === undefined) return
    const lastLine = await this.#lastLine(id)
    report({ event: 'died', broker: id, pid: mark.pid, how, lastLine, retryMs })
    if (!wasUp) {
      const message = `broker ${id} ended with ${how} before it served: ${lastLine || 'it said nothing'}`
      this.#startFailed?.(new PagelogError('PAGELOG_ABORTED', message))
    }
  }

  async #lastLine(id: number): Promise<string> {
    const { env, directory, logger } = this.#options
    try {
      return await lastLineOf(env.disk, brokerLogFile(directory, id))
    } catch (error) {
      logger.warn({ broker: id, error }, 'the last line of the broker could not be read')
      return ''
    }
  }

  async #boundLog(id: number): Promise<void> {
    const { env, directory, logger } = this.#options
    try {
      await boundLog(env.disk, brokerLogFile(directory, id))
    } catch (error) {
      logger.warn({ broker: id, error }, 'the log of the broker could not be cut')
    }
  }

  #noteRegistration(id: number): void {
    const { report } = this.#options
    const registered = this.#held.image.brokers.get(id)
    const pid = this.#children.get(id)?.mark?.pid
    if (!registered || pid === undefined || registered.pid !== pid || this.#up.has(id)) return
    this.#up.add(id)
    const { host, port } = registered
    // A port that the system chose is kept, so that clients find the broker again.
    this.#save({ brokers: this.#state.brokers.map((broker) => (broker.id === id ? { ...broker, port } : broker)) })
    report({ event: 'up', broker: id, pid, host, port })
  }

  #allUp(): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        for (const { id } of this.#state.brokers) this.#noteRegistration(id)
        if (this.#up.size < this.#state.brokers.length) return
        unwatch()
        resolve()
      }
      const unwatch = this.#held.image.onChange(look)
      look()
    })
  }

  async #stop(): Promise<void> {
    const { report } = this.#options
    for (const id of this.#stopOrder()) {
      report({ event: 'stopping', broker: id })
      const orderly = await this.#children.get(id)!.stop()
      report({ event: orderly ? 'stopped' : 'killed', broker: id })
    }
    this.#save({
      brokers: this.#state.brokers.map((broker) => ({ ...broker, process: undefined })),
      supervisor: undefined,
    })
    await this.#release()
  }

  #cancelTimers(): void {
    this.#logLooks.cancel()
    this.#saveAgain?.cancel()
  }

  async #release(): Promise<void> {
    const { lock, store, server, image } = this.#held
    await this.#writing
    this.#cancelTimers()
    image.close()
    await server.close()
    await store.close()
    await lock.release()
  }

  /** Each in turn can move its leaderships; who decides that stays to the end. */
  #stopOrder(): number[] {
    const controller = this.#held.image.controller?.id
    const ids = this.#state.brokers.map(({ id }) => id).sort((a, b) => b - a)
    return ids.sort((a, b) => Number(a === controller) - Number(b === controller))
  }

  #saveProcess(id: number, process: ProcessMark): void {
    this.#save({
      brokers: this.#state.brokers.map((broker) => (broker.id === id ? { ...broker, process } : broker)),
    })
  }

  /**
   * Written as soon as it can be. Nothing waits for it: what is not written is found by the next supervisor in the locks of
   * the log directories (a broker's process) and in the brokers' registrations.
   */
  #save(change: Partial<ClusterState>): void {
    this.#state = { ...this.#state, ...change }
    this.#writing = this.#writing.then(() => this.#write())
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    const { env, directory, logger } = this.#options
    try {
      await writeClusterState(env.disk, directory, this.#state)
      if (this.#saveAgain) logger.info({}, 'the state of the cluster is written again')
      this.#saveAgain?.cancel()
      this.#saveAgain = undefined
    } catch (error) {
      if (!this.#saveAgain) logger.error({ error }, 'the state of the cluster cannot be written, tried on')
      this.#saveAgain?.cancel()
      this.#saveAgain = env.clock.after(SAVE_AGAIN_MS, () => this.#save({}))
    }
  }
}

/** By what we wrote down when we started it, or by who holds its log directory. */
async function livingProcess(options: SupervisorOptions, record: BrokerRecord): Promise<ProcessMark | undefined> {
  const { processes, env, directory } = options
  const { id, process } = record
  if (process && (await processes.isAlive(process))) return process
  return await holderOf(env.disk, brokerDirectory(directory, id), (mark) => processes.isAlive(mark))
}

async function hasLivingBroker(options: SupervisorOptions, { brokers }: ClusterState): Promise<boolean> {
  for (const record of brokers) if (await livingProcess(options, record)) return true
  return false
}

interface StateBefore {
  readonly before: StoredClusterState | undefined
  /** A broker of it lives. */
  readonly isRunning: boolean
  readonly options: SupervisorOptions
  readonly place: string | undefined
}

function nextState({ before, isRunning, options, place }: StateBefore): ClusterState {
  const { directory, host, port, settings, self } = options
  const known = before?.brokers ?? []
  const count = options.brokers ?? (known.length || BROKERS_BY_DEFAULT)
  if (count < 1 || count > BROKERS_MAX || !Number.isInteger(count)) {
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `a cluster has 1 to ${BROKERS_MAX} brokers, not ${count}`)
  }
  if (count < known.length) {
    const message = `the cluster in ${directory} has ${known.length} brokers; it can be given more, not fewer`
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', message)
  }
  const brokers = Array.from({ length: count }, (_, i): BrokerRecord => {
    const its = options.hosts?.[i]
    return known[i] ?? { id: i + 1, port: port === 0 ? 0 : port + i, ...(its === undefined ? {} : { host: its }) }
  })
  return {
    host: before?.host ?? host,
    // Living brokers know the one of before. Otherwise that may be another folder's, or where this one was moved from.
    socketPath: before !== undefined && isRunning ? before.socketPath : options.socketPath,
    settings: { ...(before?.settings ?? defaultsFor(count)), ...settings },
    brokers,
    supervisor: self,
    ...(place === undefined ? {} : { place }),
  }
}

/** Of a new cluster: what a cluster is for. */
function defaultsFor(brokers: number): Record<string, string> {
  if (brokers < 3) return { 'default.replication.factor': String(brokers) }
  return { 'default.replication.factor': '3', 'min.insync.replicas': '2' }
}
