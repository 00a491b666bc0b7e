/** Free ports on loopback, for a target that must be told its port before it starts; and waiting until it serves. */
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin } from '../../src/client/index.ts'

/** All held open together, so that they differ; another process may still take one before the target does. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = []
  for (let i = 0; i < count; i++) {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push(server)
  }
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Resolves once somebody accepts connections there. Rejects after `timeoutMs`. */
export async function waitForPort(
  port: number,
  timeoutMs: number,
  signal?: AbortSignal,
  host = '127.0.0.1',
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await accepts(port, host))) {
    signal?.throwIfAborted()
    if (performance.now() > deadline) throw new Error(`nothing listens on ${host}:${port} after ${timeoutMs} ms`)
    await sleep(5)
  }
}

/** Resolves once so many brokers know of each other, as the one says that answers. Rejects after `timeoutMs`. */
export async function waitForBrokers(
  bootstrap: string,
  count: number,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  const admin = new Admin({ bootstrap })
  try {
    while ((await admin.describeCluster()).nodes.length < count) {
      signal?.throwIfAborted()
      if (performance.now() > deadline) throw new Error(`fewer than ${count} brokers after ${timeoutMs} ms`)
      await sleep(50)
    }
  } finally {
    await admin.close()
  }
}

function accepts(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
