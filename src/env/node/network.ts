/** The real network: TCP by node:net. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { isLoopback, PagelogError } from '../../base/index.ts'
import type { Listener, ListenOptions, Network, Stream } from '../network.ts'
import { Intake } from './intake.ts'
import { acceptUnpaced, adopt, limitSendBuffer, NodeStream } from './stream.ts'

export class NodeNetwork implements Network {
  readonly #inPlace: boolean

  /** `inPlace` false copies what is received; Windows must, as its reads are under way before they are known to come. */
  constructor(inPlace = process.platform !== 'win32') {
    this.#inPlace = inPlace
  }

  listen(options: ListenOptions, accept: (stream: Stream) => void): Promise<Listener> {
    const { host, port, backlog, sendBufferBytes = -1 } = options
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (socket) => {
      // The peer may be gone again already: then there is no address and nothing to serve.
      socket.on('error', ignore)
      if (socket.remoteAddress === undefined) {
        socket.destroy()
        return
      }
      if (sendBufferBytes > 0) limitSendBuffer(socket, sendBufferBytes)
      accept(adopt(socket, this.#inPlace))
    })
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => {
        const message = `cannot listen on ${host}:${port}: ${cause.message}`
        reject(new PagelogError('PAGELOG_INVALID_ARGUMENT', message, { cause }))
      })
      server.listen({ host, port, ...(backlog === undefined ? {} : { backlog }) }, () => {
        // Without a free descriptor an accept fails; the listener lives on and accepts when there is one again.
        server.on('error', ignore)
        if (isLoopback(addressOf(server)?.address ?? '')) acceptUnpaced(server)
        resolve(new NodeListener(server, host))
      })
    })
  }

  connect(options: { host: string; port: number; timeoutMs: number }): Promise<Stream> {
    const { host, port, timeoutMs } = options
    const intake = new Intake()
    const socket = connect({
      host,
      port,
      noDelay: true,
      allowHalfOpen: true,
      ...(this.#inPlace ? { onread: intake.onread } : {}),
    })
    socket.pause()
    return new Promise((resolve, reject) => {
      const settle = (error?: PagelogError): void => {
        clearTimeout(timer)
        socket.off('error', failed)
        if (error === undefined) {
          resolve(new NodeStream(socket, intake, this.#inPlace))
          return
        }
        socket.on('error', ignore)
        socket.destroy()
        reject(error)
      }
      const failed = (cause: Error): void => {
        const message = `cannot connect to ${host}:${port}: ${cause.message}`
        settle(new PagelogError('PAGELOG_DISCONNECTED', message, { cause, retriable: true }))
      }
      const timer = setTimeout(() => {
        const message = `no connection to ${host}:${port} within ${timeoutMs} ms`
        settle(new PagelogError('PAGELOG_TIMED_OUT', message, { retriable: true }))
      }, timeoutMs)
      socket.once('error', failed)
      socket.once('connect', () => settle())
    })
  }
}

class NodeListener implements Listener {
  readonly host: string
  readonly port: number
  readonly #server: Server
  #closing: Promise<void> | undefined

  constructor(server: Server, host: string) {
    this.host = host
    this.port = addressOf(server)?.port ?? 0
    this.#server = server
  }

  close(): Promise<void> {
    // Not waiting for Node's `close`: sockets that could not be wrapped again count as the server's, and they live on.
    this.#closing ??= new Promise((resolve) => {
      this.#server.close()
      setImmediate(resolve)
    })
    return this.#closing
  }
}

/** Undefined once it is closed. */
function addressOf(server: Server): AddressInfo | undefined {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address : undefined
}

function ignore(this: Socket | Server): void {}

export function nodeNetwork(): Network {
  return new NodeNetwork()
}
