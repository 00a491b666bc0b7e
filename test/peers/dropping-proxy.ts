/**
 * A TCP proxy in front of a broker that can lose answers: it lets a produce request through, waits for the broker's
 * answer to it, and then breaks the connection instead of passing the answer on. The client cannot know whether the
 * request arrived and has to send it again.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

const PRODUCE = 0
const LENGTH_BYTES = 4
const ACKS_NONE_HAS_NO_ANSWER = 'the proxy expects an answer to every request: use acks other than 0'

export class DroppingProxy {
  readonly port: number
  /** Told for every answer to a produce request, counted from 1: true loses it. */
  loses: (answer: number) => boolean = () => false
  lost = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #upstreamPort = 0
  #produceAnswers = 0

  private constructor(server: Server) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    server.on('connection', (client) => this.#serve(client))
  }

  /** Listens; the broker may be told its address before it is there to be connected to. */
  static async listen(): Promise<DroppingProxy> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new DroppingProxy(server)
  }

  forwardTo(port: number): void {
    this.#upstreamPort = port
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #serve(client: Socket): void {
    const upstream = connect(this.#upstreamPort, '127.0.0.1')
    const end = (): void => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', end)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        end()
      })
    }
    // Answers come in the order of the requests.
    const asked: number[] = []
    client.on(
      'data',
      framesTo((frame) => {
        asked.push(frame.readInt16BE(LENGTH_BYTES))
        upstream.write(frame)
      }),
    )
    upstream.on(
      'data',
      framesTo((frame) => {
        const apiKey = asked.shift()
        if (apiKey === undefined) throw new Error(ACKS_NONE_HAS_NO_ANSWER)
        if (client.destroyed) return
        if (apiKey === PRODUCE && this.loses(++this.#produceAnswers)) {
          this.lost++
          end()
        } else client.write(frame)
      }),
    )
  }
}

/** Cuts a stream into frames, the length prefix included. */
function framesTo(take: (frame: Buffer) => void): (chunk: Buffer) => void {
  let pending: Buffer = Buffer.alloc(0)
  return (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    while (pending.length >= LENGTH_BYTES) {
      const size = LENGTH_BYTES + pending.readInt32BE(0)
      if (pending.length < size) return
      take(pending.subarray(0, size))
      pending = pending.subarray(size)
    }
  }
}
