/**
 * A TCP socket as a `Stream`: what comes in goes through its `Intake`, what goes out through its `Outbox`. The peer's
 * end does not end ours: answers may still be sent until `close` or `end`.
 */
import { type Server, Socket } from 'node:net'
import { assert, PagelogError } from '../../base/index.ts'
import { fileCalls } from '../../native/index.ts'
import type { Part, Receiver, Stream } from '../network.ts'
import { Intake } from './intake.ts'
import { Outbox } from './outbox.ts'

/** How long `end` waits for the peer to take the last bytes and close as well. */
const LINGER_MS = 1000

const owner = Symbol('stream')

interface OwnedSocket extends Socket {
  [owner]?: NodeStream
}

/** Node's handle below a socket: not a documented name, hence looked at with care and in this file only. */
interface SocketInternals {
  _handle?: { readonly fd?: number; readonly useUserBuffer?: unknown } | null
}

export class NodeStream implements Stream {
  readonly remote: string
  readonly localPort: number
  readonly #socket: Socket
  readonly #intake: Intake
  readonly #inPlace: boolean
  readonly #outbox: Outbox
  #receiving = false
  #error: Error | undefined
  #closing: Promise<void> | undefined
  #ending: Promise<void> | undefined

  /** `socket` is connected and paused; `inPlace`: it was made with the `onread` of `intake`. */
  constructor(socket: Socket, intake: Intake, inPlace: boolean) {
    this.#socket = socket
    this.#intake = intake
    this.#inPlace = inPlace
    this.remote = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`
    this.localPort = socket.localPort ?? 0
    this.#outbox = new Outbox(socket, descriptorOf(socket), (error) => this.#fail(error))
    // One function for all sockets each: an idle connection should cost little.
    ;(socket as OwnedSocket)[owner] = this
    socket.on('error', NodeStream.#onError)
    socket.on('close', NodeStream.#onClose)
  }

  static readonly #onError = function (this: Socket, error: Error): void {
    const stream = (this as OwnedSocket)[owner]!
    stream.#error ??= error
  }

  static readonly #onClose = function (this: Socket): void {
    ;(this as OwnedSocket)[owner]!.#ended()
  }

  get pendingBytes(): number {
    return this.#outbox.pendingBytes
  }

  receive(receiver: Receiver): void {
    assert(!this.#receiving, 'a stream has one receiver')
    this.#receiving = true
    this.#intake.start(this.#socket, receiver, this.#inPlace)
    if (this.#socket.destroyed) void this.#gone().then(() => this.#intake.end(this.#failure()))
  }

  pause(): void {
    this.#intake.pause()
  }

  resume(): void {
    this.#intake.resume()
  }

  send(parts: readonly Part[]): Promise<void> {
    return this.#outbox.send(parts)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  end(): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #close(): Promise<void> {
    this.#intake.stop()
    await this.#outbox.close(new PagelogError('PAGELOG_DISCONNECTED', `the stream to ${this.remote} is closed`))
    this.#socket.destroy()
    await this.#gone()
  }

  async #end(): Promise<void> {
    await this.#outbox.drained()
    if (this.#closing === undefined && !this.#socket.destroyed) {
      // What still comes is thrown away, but read: closing with unread bytes would reset the peer under its last answer.
      this.#intake.stop()
      this.#socket.resume()
      this.#socket.end()
      let timer: NodeJS.Timeout | undefined
      const lingered = new Promise((resolve) => {
        timer = setTimeout(resolve, LINGER_MS)
      })
      await Promise.race([this.#gone(), lingered])
      clearTimeout(timer)
    }
    await this.close()
  }

  /** Resolves when the socket is closed and everybody has heard of it. */
  #gone(): Promise<void> {
    if (this.#socket.closed) return Promise.resolve()
    return new Promise((resolve) => this.#socket.once('close', () => resolve()))
  }

  /** A send that cannot be completed: whatever came next would be taken for its bytes. */
  #fail(error: Error): void {
    this.#error ??= error
    void this.close()
  }

  #ended(): void {
    const failure = this.#failure()
    this.#intake.end(failure)
    void this.#outbox.close(
      failure ?? new PagelogError('PAGELOG_DISCONNECTED', `${this.remote} has closed the connection`),
    )
  }

  #failure(): PagelogError | undefined {
    const cause = this.#error
    if (cause === undefined || cause instanceof PagelogError) return cause
    return new PagelogError('PAGELOG_DISCONNECTED', `connection to ${this.remote} failed: ${cause.message}`, {
      cause,
      retriable: true,
    })
  }
}

/**
 * The accepted and paused `socket` as a stream. It is wrapped a second time with `onread` where its handle can read into
 * our memory; else its bytes are copied.
 */
export function adopt(socket: Socket, inPlace: boolean): NodeStream {
  const intake = new Intake()
  const internals = socket as SocketInternals
  const handle = internals._handle
  if (!inPlace || handle === undefined || handle === null || typeof handle.useUserBuffer !== 'function') {
    return new NodeStream(socket, intake, false)
  }
  internals._handle = null
  socket.destroy()
  const options = { handle, onread: intake.onread, allowHalfOpen: true, pauseOnCreate: true }
  return new NodeStream(new Socket(options), intake, true)
}

export function limitSendBuffer(socket: Socket, bytes: number): void {
  const fd = descriptorOf(socket)
  if (fd !== undefined) fileCalls?.limitSendBuffer(fd, bytes)
}

/** Those who connect to `listener` are on this machine: bytes for them need not be spread over time. */
export function acceptUnpaced(listener: Server): void {
  const fd = descriptorOf(listener)
  if (fd !== undefined) fileCalls?.acceptUnpaced(fd)
}

function descriptorOf(socket: Socket | Server): number | undefined {
  const fd = (socket as unknown as SocketInternals)._handle?.fd
  return fd !== undefined && fd >= 0 ? fd : undefined
}
