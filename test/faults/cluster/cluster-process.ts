/** `pagelog cluster` in a process of its own, as a user starts it; its supervisor may be killed and started again. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child, runToEnd } from '../../../bench/process/children.ts'
import { packageRoot } from '../../../bench/process/package-root.ts'
import { nodeEnv, processMark } from '../../../src/env/index.ts'
import { brokerDirectory, brokerLogFile, readClusterState } from '../../../src/supervisor/index.ts'
import { type Member, openView, type View, WatchedCluster } from './watched-cluster.ts'

const launcher = join(packageRoot, 'bin/pagelog.cjs')

interface Running {
  readonly child: Child
  readonly ready: Promise<void>
}

export class ClusterProcess extends WatchedCluster {
  readonly directory: string
  readonly brokers: readonly Member[]
  #supervisor: Child
  /** The brokers outlive their supervisor, but not us. */
  readonly #atExit = (): void => {
    for (const { pid } of this.image.brokers.values()) if (pid !== undefined) process.kill(pid, 'SIGKILL')
  }

  private constructor(directory: string, brokers: readonly Member[], supervisor: Child, view: View) {
    super(view)
    this.directory = directory
    this.brokers = brokers
    this.#supervisor = supervisor
    process.once('exit', this.#atExit)
  }

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<ClusterProcess> {
    const directory = mkdtempSync(join(tmpdir(), 'pagelog-cluster-'))
    const { child, ready } = supervise(directory, settings)
    try {
      await ready
      const state = (await readClusterState(nodeEnv().disk, directory))!
      const members = state.brokers.map(({ id, port }): Member => {
        return {
          id,
          address: `${state.host}:${port}`,
          directory: brokerDirectory(directory, id),
          isRunning: true,
          get output() {
            return readFileSync(brokerLogFile(directory, id), 'utf8')
          },
        }
      })
      return new ClusterProcess(directory, members, child, await openView([{ socketPath: state.socketPath }], ''))
    } catch (error) {
      await child.end()
      rmSync(directory, { recursive: true, force: true })
      throw error
    }
  }

  /** Of a broker's process; undefined: it is not registered. */
  pidOf(id: number): number | undefined {
    return this.image.brokers.get(id)?.pid
  }

  killBroker(id: number): void {
    const pid = this.pidOf(id)
    if (pid === undefined) throw new Error(`broker ${id} is not registered`)
    process.kill(pid, 'SIGKILL')
  }

  async killSupervisor(): Promise<void> {
    this.#supervisor.killNow()
    await this.#supervisor.exited
  }

  async startSupervisor(): Promise<void> {
    const { child, ready } = supervise(this.directory, {})
    this.#supervisor = child
    await ready
  }

  async stop(): Promise<void> {
    await this.#supervisor.end(60_000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.image.close()
    await this.store.close()
    if (this.#supervisor.exit === undefined) await this.stop()
    // What a supervisor that failed to start again has left running.
    await runToEnd('pagelog cluster stop', {
      command: process.execPath,
      args: [launcher, 'cluster', 'stop', '--dir', this.directory],
    })
    await this.#killLeft()
    process.off('exit', this.#atExit)
    rmSync(this.directory, { recursive: true, force: true })
  }

  async #killLeft(): Promise<void> {
    const state = await readClusterState(nodeEnv().disk, this.directory)
    for (const { process: mark } of state?.brokers ?? []) {
      if (mark === undefined) continue
      const now = await processMark(mark.pid).catch(() => undefined)
      if (now !== undefined && JSON.stringify(now) === JSON.stringify(mark)) process.kill(mark.pid, 'SIGKILL')
    }
  }
}

function supervise(directory: string, settings: Readonly<Record<string, string>>): Running {
  const set = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`])
  const args = [launcher, 'cluster', 'start', '--dir', directory, '--port', '0', '--json', ...set]
  let isUp = (): void => {}
  const up = new Promise<void>((resolve) => {
    isUp = resolve
  })
  const onLine = (line: string): void => {
    if ((JSON.parse(line) as { readonly event: string }).event === 'ready') isUp()
  }
  const child = new Child('the supervisor', { command: process.execPath, args, onLine })
  stopWithoutUs(child.pid)
  const failure = child.failure()
  failure.catch(() => {})
  return { child, ready: Promise.race([up, failure]) }
}

/** However we end: a supervisor that is asked stops its brokers, one that is killed does not. */
function stopWithoutUs(pid: number): void {
  const script = 'while kill -0 $2; do kill -0 $1 || exit; sleep 1; done 2>/dev/null; kill -TERM $1'
  const options = { detached: true, stdio: 'ignore' } as const
  spawn('sh', ['-c', script, 'sh', String(pid), String(process.pid)], options).unref()
}
