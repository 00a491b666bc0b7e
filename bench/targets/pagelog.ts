/** pagelog's broker as users start it: `bin/pagelog.cjs broker`, with an IPC channel over which its metrics are asked. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { placementHere } from '../netns/namespaces.ts'
import { Child } from '../process/children.ts'
import { packageRoot } from '../process/package-root.ts'
import { loopDelayOf } from './broker-metrics.ts'
import { PagelogCluster } from './pagelog-cluster.ts'
import type { PagelogOptions } from './pagelog-options.ts'
import { freePorts, waitForPort } from './ports.ts'
import type { Target } from './target.ts'

const START_MS_MAX = 30_000

/** What is not the default, and why. */
function settingsOf(options: PagelogOptions): Record<string, string> {
  return {
    'num.partitions': String(options.partitions),
    ...options.overrides,
  }
}

/** One broker with its own metadata, or as many as `brokers` says that share a supervisor's. */
export async function startPagelog(options: PagelogOptions): Promise<Target> {
  if ((options.brokers ?? 1) > 1) return (await PagelogCluster.start(options)).target
  const [port] = (await freePorts(1)) as [number]
  const target = launchPagelog(options, port)
  const host = (options.place ?? placementHere().broker(0)).host
  try {
    await Promise.race([waitForPort(port, START_MS_MAX, options.signal, host), target.failure])
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
  const { host, wrap } = options.place ?? placementHere().broker(0)
  const child = new Child('the pagelog broker', {
    ...wrap(options.node ?? process.execPath, [
      ...(options.runtimeFlags ?? []),
      join(packageRoot, 'bin/pagelog.cjs'),
      'broker',
      ...['--host', host, '--port', String(port), '--data-dir', dataDirectory],
      ...overrides,
    ]),
    cwd: options.directory,
    ipc: true,
    logFile: join(options.directory, 'broker.log'),
  })
  options.onStart?.(child.pid)
  const failure = child.failure()
  failure.catch(() => {})
  return {
    name: 'pagelog',
    bootstrap: `${host}:${port}`,
    pid: child.pid,
    dataDirectory,
    brokers: [{ pid: child.pid, dataDirectory }],
    settings,
    resetMetrics: async () => {
      child.process.send('metrics-reset')
    },
    loopDelays: async () => [await loopDelayOf(child)],
    failure,
    close: async () => {
      await child.end(30_000)
    },
  }
}
