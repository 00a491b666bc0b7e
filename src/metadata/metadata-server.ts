/**
 * Offers an embedded store to other processes of this host, on a unix socket or a loopback port, in the part of etcd's
 * JSON gateway that our client speaks. Whoever can connect may do everything: the rights of the socket's directory are
 * what protects it.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { type Logger, PagelogError, silentLogger } from '../base/index.ts'
import type { Clock, Disk } from '../env/index.ts'
import type { EmbeddedMetadata } from './embedded.ts'
import { GRPC } from './etcd-errors.ts'
import { decodeText, paths, prefixOf, type WireWatchRequest } from './etcd-wire.ts'
import type { Endpoint } from './http-calls.ts'
import { ServedWatch } from './served-watch.ts'
import { calls, SERVED_VERSION, Served, WireRefusal, wireError } from './server-calls.ts'

export interface MetadataServerOptions {
  readonly store: EmbeddedMetadata
  readonly clock: Clock
  /** Takes the file of a socket away that an earlier process left behind. */
  readonly disk: Disk
  readonly logger?: Logger
  /** A path, whose caller makes sure that nobody else serves there; or a host and a port, 0 for any free one. */
  readonly listen: Endpoint
  /** A watch that is idle for so long says how far it is. */
  readonly progressMs?: number
}

/** Twice what a transaction may have, for base64 and the words around it. */
const BODY_BYTES_MAX = 4 * 1024 * 1024
/** What fits into a `sockaddr_un` everywhere, less the zero at its end. */
const SOCKET_PATH_BYTES_MAX = 103
/** Above what the client closes its idle connections after, so that it is never us who close one it is about to use. */
const IDLE_MS = 120_000

export class MetadataServer {
  readonly #options: MetadataServerOptions
  readonly #server: Server
  readonly #served: Served
  readonly #watches = new Set<ServedWatch>()
  #closing: Promise<void> | undefined

  private constructor(options: MetadataServerOptions, server: Server) {
    this.#options = options
    this.#server = server
    this.#served = new Served(options.store)
    server.keepAliveTimeout = IDLE_MS
    server.on('request', (request, response) => void this.#answer(request, response))
  }

  /** Errors: PAGELOG_INVALID_ARGUMENT (the address cannot be listened on). */
  static async listen(options: MetadataServerOptions): Promise<MetadataServer> {
    if ('socketPath' in options.listen) await clearSocket(options.disk, options.listen.socketPath)
    const { createServer } = await import('node:http')
    const server = createServer()
    const served = new MetadataServer(options, server)
    const { listen } = options
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        reject(new PagelogError('PAGELOG_INVALID_ARGUMENT', `cannot serve metadata: ${cause.message}`, { cause }))
      })
      server.listen('socketPath' in listen ? { path: listen.socketPath } : listen, resolve)
    })
    server.on('error', (error) => (options.logger ?? silentLogger).error({ error }, 'the metadata server failed'))
    return served
  }

  get endpoint(): Endpoint {
    const { listen } = this.#options
    if ('socketPath' in listen) return listen
    const address = this.#server.address()
    return { host: listen.host, port: typeof address === 'object' && address !== null ? address.port : 0 }
  }

  /** Ends every connection; the store stays open. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      for (const watch of this.#watches) watch.end()
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
    return this.#closing
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A peer that is gone needs no answer, and what it asked for is done.
    response.on('error', () => {})
    try {
      const path = request.url ?? ''
      if (path === paths.version) {
        send(response, 200, { etcdserver: SERVED_VERSION, etcdcluster: SERVED_VERSION })
        return
      }
      const body = await bodyOf(request)
      if (path === paths.watch) {
        this.#watch(body, response)
        return
      }
      const call = calls[path]
      if (!call || request.method !== 'POST') throw new WireRefusal(GRPC.unimplemented, 'not served here')
      send(response, 200, await call(this.#served, body))
    } catch (error) {
      const { status, body } = wireError(error)
      send(response, status, body)
    }
  }

  #watch({ create_request: asked = {} }: WireWatchRequest, response: ServerResponse): void {
    const { store, clock, progressMs = 5000 } = this.#options
    const { key = '', range_end: end, start_revision: from = '0' } = asked
    const prefix = end === undefined ? undefined : prefixOf(key, end)
    if (prefix === undefined) throw new WireRefusal(GRPC.unimplemented, `only prefixes are watched: ${decodeText(key)}`)
    response.writeHead(200, { 'content-type': 'application/json' })
    const fromRevision = Number(from) > 0 ? Number(from) : store.revision + 1
    const watch = new ServedWatch({ store, clock, prefix, fromRevision, progressMs, response })
    this.#watches.add(watch)
    response.on('close', () => {
      this.#watches.delete(watch)
      watch.end()
    })
  }
}

async function clearSocket(disk: Disk, path: string): Promise<void> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    const message = `the path of a socket has at most ${SOCKET_PATH_BYTES_MAX} bytes: ${path}`
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', message, { path })
  }
  if (await disk.status(path)) await disk.unlink(path)
}

async function bodyOf(request: IncomingMessage): Promise<object> {
  let text = ''
  request.setEncoding('utf8')
  for await (const part of request) {
    text += part as string
    if (text.length > BODY_BYTES_MAX) throw new WireRefusal(GRPC.invalidArgument, 'etcdserver: request is too large')
  }
  const body: unknown = JSON.parse(text)
  if (typeof body !== 'object' || body === null) throw new WireRefusal(GRPC.invalidArgument, 'a request is an object')
  return body
}

function send(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const text = JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}
