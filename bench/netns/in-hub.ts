/** Runs the same command again inside a hub, and removes all namespaces when it is over, however it ended. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { packageRoot } from '../process/package-root.ts'
import { hubEnvironment, makeHub, removeNamespaces, sweepNamespaces } from './namespaces.ts'

/** Its exit status. The command inside ends when this process is gone: it has an IPC channel to it. */
export async function runInHub(rate: string, argv: readonly string[]): Promise<number> {
  sweepNamespaces()
  const hub = makeHub(rate)
  const onSignal = () => {}
  // A terminal tells both of Ctrl-C; we wait for the other to end in order.
  process.on('SIGINT', onSignal)
  const child = spawn(
    'ip',
    ['netns', 'exec', hub.name, process.execPath, join(packageRoot, 'bin/pagelog.cjs'), 'bench', ...argv],
    {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, ...hubEnvironment(hub) },
    },
  )
  const onTerminate = () => child.kill('SIGTERM')
  process.on('SIGTERM', onTerminate)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code) => resolve(code ?? 1))
    })
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onTerminate)
    removeNamespaces(hub.prefix)
  }
}

/** In the hub: ends this process when the one outside is gone, so that nothing outlives it. */
export function endWithOuter(): void {
  if (process.channel === undefined) return
  process.once('disconnect', () => process.exit(1))
  process.channel?.unref()
}
