/** pagelog's broker as users start it: `bin/pagelog.cjs broker`, with an IPC channel over which its metrics are asked. */
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { LoopDelay as Sampled } from '../../src/env/index.ts'
import { toLoopDelay } from '../measure/loop-delay.ts'
import { Child } from '../process/children.ts'
import { packageRoot } from '../process/package-root.ts'
import type { LoopDelay } from '../result.ts'
import { freePorts, waitForPort } from './ports.ts'
import type { Target, TargetOptions } from './target.ts'

const START_MS_MAX = 30_000
const ANSWER_MS_MAX = 10_000

export interface PagelogOptions extends TargetOptions {
  readonly signal?: AbortSignal
  /** The node that runs it, by default ours. */
  readonly node?: string
}

/** What is not the default, and why. */
function settingsOf(options: PagelogOptions): Record<string, string> {
  return {
    'num.partitions': String(options.partitions),
    ...options.overrides,
  }
}

export async function startPagelog(options: PagelogOptions): Promise<Target> {
  const [port] = (await freePorts(1)) as [number]
  const target = launchPagelog(options, port)
  try {
    await Promise.race([waitForPort(port, START_MS_MAX, options.signal), target.failure])
  } catch (error) {
    await target.close()
    throw error
  }
  return target
}

/** Starts the process and returns at once: the caller finds out when it serves. */
export function launchPagelog(options: PagelogOptions, port: number): Target {
  const dataDirectory = join(options.directory, 'data')
  mkdirSync(dataDirectory, { recursive: true })
  const settings = settingsOf(options)
  const overrides = Object.entries(settings).flatMap(([name, value]) => ['--override', `${name}=${value}`])
  const child = new Child('the pagelog broker', {
    command: options.node ?? process.execPath,
    args: [
      ...(options.runtimeFlags ?? []),
      join(packageRoot, 'bin/pagelog.cjs'),
      'broker',
      ...['--host', '127.0.0.1', '--port', String(port), '--data-dir', dataDirectory],
      ...overrides,
    ],
    cwd: options.directory,
    ipc: true,
    logFile: join(options.directory, 'broker.log'),
  })
  options.onStart?.(child.pid)
  const failure = child.failure()
  failure.catch(() => {})
  return {
    name: 'pagelog',
    bootstrap: `127.0.0.1:${port}`,
    pid: child.pid,
    dataDirectory,
    settings,
    resetMetrics: async () => {
      child.process.send('metrics-reset')
    },
    loopDelay: async () => loopDelayIn(await askMetrics(child)),
    failure,
    close: async () => {
      await child.end(30_000)
    },
  }
}

/** One question at a time. */
async function askMetrics(child: Child): Promise<unknown> {
  const answer = once(child.process, 'message', { signal: AbortSignal.timeout(ANSWER_MS_MAX) })
  child.process.send('metrics')
  const [message] = (await Promise.race([answer, child.failure()])) as unknown[]
  return message
}

function loopDelayIn(message: unknown): LoopDelay | undefined {
  const { metrics } = message as { metrics?: { process?: { eventLoop?: Sampled } } }
  const sampled = metrics?.process?.eventLoop
  return sampled === undefined || sampled.turns === 0 ? undefined : toLoopDelay(sampled)
}
