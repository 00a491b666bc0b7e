/**
 * Several pagelog brokers as `pagelog cluster start` runs them: its supervisor as a library, in the harness's process, with the
 * metadata that it serves; the brokers are processes of their own. They have an IPC channel to the harness, so that
 * their event loops can be asked, and so that they close when it is gone.
 */
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../../src/base/index.ts'
import { isProcessAlive, nodeEnv, processMark, type StartedProcess, signalProcess } from '../../src/env/index.ts'
import { brokerDirectory, ClusterSupervisor, type Processes } from '../../src/supervisor/index.ts'
import { placementHere } from '../netns/namespaces.ts'
import type { Place } from '../netns/placement.ts'
import { Child } from '../process/children.ts'
import { packageRoot } from '../process/package-root.ts'
import { withResolvers } from '../process/resolvers.ts'
import { loopDelayOf } from './broker-metrics.ts'
import type { PagelogOptions } from './pagelog-options.ts'
import type { Target } from './target.ts'

export interface ClusterOptions extends Omit<PagelogOptions, 'partitions'> {
  readonly partitions?: number
  /** The supervisor does not see that a broker died before `reveal`: as when a whole host is gone. */
  readonly hidesDeaths?: boolean
}

/** The address of a Unix socket holds so many bytes everywhere. */
const SOCKET_PATH_BYTES_MAX = 100

export class PagelogCluster {
  readonly target: Target
  readonly #processes: BrokerProcesses
  readonly #supervisor: ClusterSupervisor

  private constructor(target: Target, processes: BrokerProcesses, supervisor: ClusterSupervisor) {
    this.target = target
    this.#processes = processes
    this.#supervisor = supervisor
  }

  /** Resolves when all brokers are registered. On a directory of before it starts that cluster again. */
  static async start(options: ClusterOptions): Promise<PagelogCluster> {
    const { directory, partitions, overrides, brokers: count = 3 } = options
    mkdirSync(directory, { recursive: true })
    const settings = {
      ...(partitions === undefined ? {} : { 'num.partitions': String(partitions) }),
      // Deleted topics leave the disk at once, so that one run's data are gone before the next; Apache Kafka has it too.
      'log.segment.delete.delay.ms': '0',
      ...overrides,
    }
    const places = Array.from({ length: count }, (_, index) => placementHere().broker(index))
    const processes = new BrokerProcesses(options, places)
    const died = withResolvers<Error>()
    const launcher = [
      options.node ?? process.execPath,
      ...(options.runtimeFlags ?? []),
      join(packageRoot, 'bin/pagelog.cjs'),
    ]
    const supervisor = await ClusterSupervisor.start({
      env: nodeEnv(),
      processes,
      logger: silentLogger,
      directory,
      socketPath: socketPathFor(directory),
      brokers: count,
      host: '127.0.0.1',
      hosts: places.map(({ host }) => host),
      port: 0,
      settings,
      launcher,
      self: await processMark(process.pid),
      report: (event) => {
        if (event.event !== 'died') return
        died.resolve(new Error(`broker ${event.broker} ended with ${event.how}: ${event.lastLine}`))
      },
      failed: (error) => died.resolve(error),
    })
    const failure = died.promise.then((error) => Promise.reject(error)) as Promise<never>
    failure.catch(() => {})
    const target = targetOf({ supervisor, processes, failure, directory, settings })
    return new PagelogCluster(target, processes, supervisor)
  }

  /** The process that is broker `id` now. */
  child(id: number): Child {
    return this.#processes.child(id)
  }

  /** Tells the supervisor of a death that was hidden; it starts the broker again. */
  reveal(id: number): void {
    this.#processes.reveal(id)
  }

  /** Stops all of it in order. */
  stop(): Promise<void> {
    return this.#supervisor.stop()
  }
}

interface Parts {
  readonly supervisor: ClusterSupervisor
  readonly processes: BrokerProcesses
  readonly failure: Promise<never>
  readonly directory: string
  readonly settings: Readonly<Record<string, string>>
}

function targetOf({ supervisor, processes, failure, directory, settings }: Parts): Target {
  const ids = Array.from({ length: supervisor.brokers }, (_, i) => i + 1)
  const children = ids.map((id) => processes.child(id))
  const brokers = ids.map((id, i) => ({ pid: children[i]!.pid, dataDirectory: brokerDirectory(directory, id) }))
  return {
    name: 'pagelog',
    bootstrap: supervisor.bootstrap,
    ...brokers[0]!,
    brokers,
    settings,
    resetMetrics: async () => {
      for (const child of children) child.process.send('metrics-reset')
    },
    loopDelays: () => Promise.all(children.map(loopDelayOf)),
    failure,
    close: () => supervisor.stop(),
  }
}

class BrokerProcesses implements Processes {
  readonly #options: ClusterOptions
  readonly #places: readonly Place[]
  readonly #children = new Map<number, { readonly child: Child; readonly reveal: () => void }>()

  constructor(options: ClusterOptions, places: readonly Place[]) {
    this.#options = options
    this.#places = places
  }

  child(id: number): Child {
    return this.#children.get(id)!.child
  }

  reveal(id: number): void {
    this.#children.get(id)!.reveal()
  }

  async start(command: readonly string[], logFile: string): Promise<StartedProcess> {
    const [program, ...args] = command as [string, ...string[]]
    const id = Number(/(\d+)\.log$/.exec(logFile)?.[1])
    const placed = this.#places[id - 1]!.wrap(program, args)
    const child = new Child(`pagelog broker ${id}`, { ...placed, ipc: true, logFile })
    this.#options.onStart?.(child.pid)
    const seen = withResolvers<void>()
    if (this.#options.hidesDeaths !== true) seen.resolve()
    this.#children.set(id, { child, reveal: () => seen.resolve() })
    const ended = Promise.all([child.exited, seen.promise]).then(([{ code, signal }]) =>
      signal === null ? `status ${code}` : `signal ${signal}`,
    )
    return { mark: await processMark(child.pid), ended }
  }

  isAlive(mark: Parameters<Processes['isAlive']>[0]): Promise<boolean> {
    return isProcessAlive(mark)
  }

  signal(mark: Parameters<Processes['signal']>[0], signal: 'SIGTERM' | 'SIGKILL'): Promise<boolean> {
    // Whoever stops a broker in order wants to see its end.
    for (const { child, reveal } of this.#children.values()) if (child.pid === mark.pid) reveal()
    return signalProcess(mark, signal)
  }
}

function socketPathFor(directory: string): string {
  const path = join(directory, 'metadata.sock')
  return Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX
    ? path
    : join(tmpdir(), `pagelog-bench-${process.pid}-${socketNumber++}.sock`)
}

let socketNumber = 0
