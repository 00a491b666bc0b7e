/**
 * Hosts of a cluster on this machine without root: each has an address of its own on loopback, and the others reach what
 * listens there only through a proxy in the tests' process, which holds back what one host sends to another while that is
 * cut (cuttable-connection.ts). It knows them by the address that their connections come from (bound-sockets.cjs); whoever
 * comes from another one, as the tests themselves do, is never cut off.
 *
 * Two things are not as in a network: a connection that cannot be made is accepted, and then silent; and what is on its way
 * when a link is cut, in the buffers of the system behind the proxy, still arrives.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { packageRoot } from '../../../bench/process/package-root.ts'
import { CuttableConnection } from './cuttable-connection.ts'
import type { Endpoint, Hosts } from './hosts.ts'

// By its place in the repository: what runs chaos is compiled to somewhere else.
const PRELOADED = join(packageRoot, 'test/faults/cluster/bound-sockets.cjs')
/** Below those that connections of our own may get. */
const FIRST_PORT = 9092
const PORTS_TRIED_MAX = 1000
/** For each cluster of this process. */
const ADDRESSES = 16
let made = 0

export class Proxied implements Hosts {
  readonly canCut = true
  readonly #addresses: ReadonlyMap<string, string>
  readonly #names: ReadonlyMap<string, string>
  /** `from to`. */
  readonly #cuts = new Set<string>()
  readonly #servers: Server[] = []
  readonly #connections = new Set<CuttableConnection>()
  #nextPort = FIRST_PORT

  constructor(names: readonly string[]) {
    // Other runs on this machine have other process ids.
    const net = `127.${1 + (process.pid % 250)}.${Math.floor(process.pid / 250) % 250}`
    const first = ADDRESSES * (made++ % (256 / ADDRESSES))
    const addresses = names.map((name, index) => [name, `${net}.${first + 2 + index}`] as const)
    this.#addresses = new Map(addresses)
    this.#names = new Map(addresses.map(([name, address]) => [address, name]))
  }

  address(name: string): string {
    const address = this.#addresses.get(name)
    if (address === undefined) throw new Error(`there is no host ${name}`)
    return address
  }

  prefix(name: string): readonly string[] {
    const options = `${process.env.NODE_OPTIONS ?? ''} --require ${JSON.stringify(PRELOADED)}`
    return ['env', `NODE_OPTIONS=${options.trim()}`, `PAGELOG_FAULT_HOST=${this.address(name)}`]
  }

  /** Others may listen on every address of the machine. */
  async port(name: string): Promise<number> {
    const host = this.address(name)
    for (let left = PORTS_TRIED_MAX; left > 0; left--) {
      const port = this.#nextPort++
      if (await isFree(host, port)) return port
    }
    throw new Error(`${host} has no free port from ${FIRST_PORT} on`)
  }

  async publish(name: string, listening: Endpoint): Promise<Endpoint> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
      // It may be gone again already: then it has no address.
      if (client.remoteAddress === undefined) client.destroy()
      else this.#accept(client, this.#names.get(client.remoteAddress), name, listening)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    this.#servers.push(server)
    return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
  }

  cut(from: string, to: string): void {
    for (const name of [from, to]) this.address(name)
    this.#cuts.add(linkOf(from, to))
    this.#update()
  }

  heal(): void {
    this.#cuts.clear()
    this.#update()
  }

  close(): void {
    for (const server of this.#servers) server.close()
    for (const connection of this.#connections) connection.close()
  }

  /** `from`: undefined is no host of ours. */
  #accept(client: Socket, from: string | undefined, to: string, listening: Endpoint): void {
    const passage = () => ({ there: !this.#cuts.has(linkOf(from, to)), back: !this.#cuts.has(linkOf(to, from)) })
    const connection = new CuttableConnection({ client, server: listening }, passage, () => {
      this.#connections.delete(connection)
    })
    this.#connections.add(connection)
  }

  #update(): void {
    for (const connection of this.#connections) connection.update()
  }
}

function linkOf(from: string | undefined, to: string | undefined): string {
  return `${from} ${to}`
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}
