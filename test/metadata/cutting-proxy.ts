/**
 * A TCP proxy in front of a metadata server that does what networks do: loses the answer to a request that was carried
 * out, keeps an answer for itself, cuts a watch, refuses to be connected to. It tells requests by their first line.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Endpoint } from '../../src/metadata/index.ts'

/**
 * What becomes of a request: `lose` waits for the answer and cuts the connection instead, `keep` says nothing more, `late`
 * passes the answer on after `lateMs`.
 */
export type Fate = 'pass' | 'lose' | 'keep' | 'late'

interface Pair {
  readonly client: Socket
  readonly upstream: Socket
  path: string
  fate: Fate
}

export class CuttingProxy {
  readonly endpoint: { readonly host: string; readonly port: number }
  /** Asked once per request. */
  fateOf: (path: string) => Fate = () => 'pass'
  lateMs = 0
  #hangs = false
  /** Requests let through, by path. */
  readonly seen: string[] = []
  readonly #target: Endpoint
  readonly #pairs = new Set<Pair>()
  #server: Server

  private constructor(server: Server, target: Endpoint) {
    this.#server = server
    this.#target = target
    this.endpoint = { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
    this.#serve(server)
  }

  static async listen(target: Endpoint): Promise<CuttingProxy> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new CuttingProxy(server, target)
  }

  /** Connections whose last request was for `path`, all of them without one. */
  cut(path?: string): number {
    let count = 0
    for (const pair of this.#pairs) {
      if (path !== undefined && pair.path !== path) continue
      count++
      this.#end(pair)
    }
    return count
  }

  /** Takes connections, and nothing comes back on any, those that are open included. */
  hang(): void {
    this.#hangs = true
  }

  /** Nothing listens any more: a new connection is refused. */
  async refuse(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.cut()
    await closed
  }

  async accept(): Promise<void> {
    this.#server = createServer().listen(this.endpoint.port, this.endpoint.host)
    await once(this.#server, 'listening')
    this.#serve(this.#server)
  }

  async close(): Promise<void> {
    if (this.#server.listening) await this.refuse()
    else this.cut()
  }

  #serve(server: Server): void {
    server.on('connection', (client) => {
      const upstream =
        'socketPath' in this.#target ? connect(this.#target.socketPath) : connect(this.#target.port, this.#target.host)
      const pair: Pair = { client, upstream, path: '', fate: 'pass' }
      this.#pairs.add(pair)
      for (const socket of [client, upstream]) {
        socket.setNoDelay(true)
        socket.on('error', () => this.#end(pair))
        socket.on('close', () => this.#end(pair))
      }
      client.on('data', (chunk) => this.#asked(pair, chunk as Buffer))
      upstream.on('data', (chunk) => this.#answered(pair, chunk as Buffer))
    })
  }

  /** A client asks anew only when it has its answer, so a request begins with a chunk. */
  #asked(pair: Pair, chunk: Buffer): void {
    const path = /^(?:POST|GET) (\S+) HTTP/.exec(chunk.toString('latin1', 0, 200))?.[1]
    if (path !== undefined) {
      pair.path = path
      pair.fate = this.fateOf(path)
      this.seen.push(path)
    }
    pair.upstream.write(chunk)
  }

  #answered(pair: Pair, chunk: Buffer): void {
    if (this.#hangs) return
    if (pair.fate === 'pass') pair.client.write(chunk)
    else if (pair.fate === 'lose') this.#end(pair)
    else if (pair.fate === 'late') setTimeout(() => pair.client.write(chunk), this.lateMs)
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair)
    pair.client.destroy()
    pair.upstream.destroy()
  }
}
