/** A client of the bare protocol for tests: one socket, any bytes, answers by correlation id. */
import { connect, type Socket } from 'node:net'
import { type Api, correlationIdOf, decodeResponse, encodeRequest, type Input } from '../../src/protocol/index.ts'

export class RawClient {
  readonly socket: Socket
  /** Resolves when the broker (or we) closed the connection. */
  readonly closed: Promise<void>
  isClosed = false
  /** Correlation ids of the answers, as they came. */
  readonly answered: number[] = []
  #received: Buffer = Buffer.alloc(0)
  #nextCorrelationId = 1
  readonly #waiting = new Map<number, { resolve: (frame: Buffer) => void; reject: (error: Error) => void }>()

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes) => this.#take(bytes))
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.isClosed = true
        for (const { reject } of this.#waiting.values()) reject(new Error('connection closed'))
        this.#waiting.clear()
        resolve()
      })
    })
  }

  static connect(bootstrap: string): Promise<RawClient> {
    const [host, port] = bootstrap.split(':') as [string, string]
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port: Number(port), noDelay: true })
      socket.once('connect', () => resolve(new RawClient(socket)))
      socket.once('error', reject)
    })
  }

  /** Sends a request and waits for its answer. */
  async ask<Req, Res>(api: Api<Req, Res>, version: number, body: Input<Req>, clientId = 'test'): Promise<Res> {
    const frame = await this.askRaw(this.encode(api, version, body, clientId))
    return decodeResponse(api, version, frame).body
  }

  /** The whole request with its length, under the next correlation id. */
  encode<Req, Res>(api: Api<Req, Res>, version: number, body: Input<Req>, clientId = 'test'): Buffer {
    const parts = encodeRequest(api, version, this.#nextCorrelationId++, clientId, body)
    return Buffer.concat(parts as Uint8Array[])
  }

  /** The answer's frame; rejects when the connection is closed first. */
  askRaw(request: Uint8Array): Promise<Buffer> {
    const correlationId = new DataView(request.buffer, request.byteOffset).getInt32(8)
    return new Promise((resolve, reject) => {
      if (this.isClosed) return reject(new Error('connection closed'))
      this.#waiting.set(correlationId, { resolve, reject })
      this.socket.write(request)
    })
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  close(): Promise<void> {
    this.socket.destroy()
    return this.closed
  }

  #take(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes])
    while (this.#received.length >= 4) {
      const length = this.#received.readInt32BE(0)
      if (this.#received.length < 4 + length) return
      const frame = Buffer.from(this.#received.subarray(4, 4 + length))
      this.#received = this.#received.subarray(4 + length)
      const correlationId = correlationIdOf(frame)
      this.answered.push(correlationId)
      this.#waiting.get(correlationId)?.resolve(frame)
      this.#waiting.delete(correlationId)
    }
  }
}
