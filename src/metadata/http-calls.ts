/**
 * One HTTP call and its end: an answer, or a failure that knows whether the request can have reached the other side.
 * Plain node:http, loaded when the first remote store is opened: a broker with its own store never needs it.
 */
import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import type { Clock, Timer } from '../env/index.ts'

export type Endpoint = { readonly host: string; readonly port: number } | { readonly socketPath: string }

/** PEM texts. */
export interface TlsOptions {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** The name that the server's certificate must have, where it is not the endpoint's host. */
  readonly servername?: string
}

export interface CallOptions {
  readonly path: string
  /** Posted as it is; undefined: a GET. */
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly connectTimeoutMs: number
  /** From when the request was sent. */
  readonly timeoutMs: number
}

export interface HttpAnswer {
  readonly status: number
  readonly body: string
}

/** Why a call has no answer. */
export class CallFailure extends Error {
  override readonly name = 'CallFailure'
  /** False when not a byte of the request left. */
  readonly sent: boolean

  constructor(message: string, sent: boolean, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.sent = sent
  }
}

/** An answer is kept whole before it is read; a page of keys is far below. */
const ANSWER_CHARACTERS_MAX = 64 * 1024 * 1024
/** Idle connections are closed by us, before the other side does: a request on one that is closing has no sure outcome. */
const IDLE_MS = 30_000
const SOCKETS_MAX = 8

/** What is kept apart, so that none of it waits for a connection behind another. */
export type Lane = 'calls' | 'keep-alive' | 'watch'

export function endpointName(endpoint: Endpoint): string {
  return 'socketPath' in endpoint ? endpoint.socketPath : `${endpoint.host}:${endpoint.port}`
}

export class HttpCalls {
  readonly #request: (options: RequestOptions) => ClientRequest
  readonly #agents: Readonly<Record<Lane, Agent>>
  readonly #connected: 'connect' | 'secureConnect'
  readonly #clock: Clock
  readonly #requests = new Set<ClientRequest>()
  #closed = false

  private constructor(
    request: (options: RequestOptions) => ClientRequest,
    agent: (settings: object) => Agent,
    connected: 'connect' | 'secureConnect',
    clock: Clock,
  ) {
    this.#request = request
    const kept = { keepAlive: true, timeout: IDLE_MS }
    this.#agents = {
      calls: agent({ ...kept, maxSockets: SOCKETS_MAX }),
      'keep-alive': agent({ ...kept, maxSockets: 2 }),
      watch: agent({}),
    }
    this.#connected = connected
    this.#clock = clock
  }

  static async create(clock: Clock, tls?: TlsOptions): Promise<HttpCalls> {
    if (tls) {
      const https = await import('node:https')
      const agent = (settings: object): Agent => new https.Agent({ ...settings, ...tls })
      return new HttpCalls((options) => https.request(options), agent, 'secureConnect', clock)
    }
    const http = await import('node:http')
    return new HttpCalls(
      (options) => http.request(options),
      (settings) => new http.Agent(settings),
      'connect',
      clock,
    )
  }

  /** Rejects with {@link CallFailure}. */
  call(endpoint: Endpoint, lane: Lane, options: CallOptions): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const end = this.#open(endpoint, lane, options, {
        failed: reject,
        answered(response) {
          let body = ''
          response.setEncoding('utf8')
          response.on('data', (text: string) => {
            body += text
            if (body.length > ANSWER_CHARACTERS_MAX) response.destroy(new Error('the answer is too long'))
          })
          response.on('error', (cause) => {
            end()
            reject(new CallFailure(cause.message, true, cause))
          })
          response.on('end', () => {
            end()
            resolve({ status: response.statusCode ?? 0, body })
          })
        },
      })
    })
  }

  /**
   * A call whose answer goes on and on: `line` is called for each line of it, `ended` once. The returned function ends
   * it without a further call.
   */
  stream(
    endpoint: Endpoint,
    options: CallOptions,
    sink: { answered(status: number): void; line(text: string): void; ended(failure: CallFailure): void },
  ): () => void {
    let over = false
    const ended = (failure: CallFailure): void => {
      if (over) return
      over = true
      stop()
      sink.ended(failure)
    }
    const stop = this.#open(endpoint, 'watch', options, {
      failed: ended,
      answered(response) {
        sink.answered(response.statusCode ?? 0)
        let partial = ''
        response.setEncoding('utf8')
        response.on('data', (text: string) => {
          const lines = (partial + text).split('\n')
          partial = lines.pop()!
          for (const line of lines) if (!over && line !== '') sink.line(line)
          if (partial.length > ANSWER_CHARACTERS_MAX) response.destroy(new Error('a line of the answer is too long'))
        })
        response.on('error', (cause) => ended(new CallFailure(cause.message, true, cause)))
        response.on('end', () => {
          if (!over && partial !== '') sink.line(partial)
          ended(new CallFailure('the answer ended', true))
        })
      },
    })
    return () => {
      over = true
      stop()
    }
  }

  /** What is under way fails, also what waits for a connection. */
  close(): void {
    this.#closed = true
    for (const request of this.#requests) request.destroy(new Error('closed'))
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }

  /** The returned function gives the connection up, unless the answer is whole. The time-out covers a `call` to its end. */
  #open(
    endpoint: Endpoint,
    lane: Lane,
    options: CallOptions,
    sink: { failed(failure: CallFailure): void; answered(response: IncomingMessage): void },
  ): () => void {
    const { path, body, headers, connectTimeoutMs, timeoutMs } = options
    if (this.#closed) {
      sink.failed(new CallFailure('closed', false))
      return () => {}
    }
    let request: ClientRequest
    try {
      request = this.#request({
        ...('socketPath' in endpoint ? endpoint : { host: endpoint.host, port: endpoint.port }),
        path,
        method: body === undefined ? 'GET' : 'POST',
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        agent: this.#agents[lane],
      })
    } catch (cause) {
      // A key or a certificate that is none.
      sink.failed(failureOf(cause as Error, false))
      return () => {}
    }
    this.#requests.add(request)
    request.on('close', () => this.#requests.delete(request))
    let sent = false
    let response: IncomingMessage | undefined
    let timer: Timer = this.#clock.after(connectTimeoutMs, () => expire(`no connection within ${connectTimeoutMs} ms`))
    // After a pause of the process the answer may lie in the socket: what is there is read before the time counts.
    const expire = (message: string): void => {
      this.#clock.soon(() => {
        if (!response?.complete) request.destroy(new Error(message))
      })
    }
    const connected = (): void => {
      sent = true
      timer.cancel()
      timer = this.#clock.after(timeoutMs, () => expire(`no answer within ${timeoutMs} ms`))
    }
    request.on('socket', (socket) => {
      if (socket.connecting) socket.once(this.#connected, connected)
      else connected()
    })
    request.on('error', (cause) => {
      timer.cancel()
      sink.failed(failureOf(cause, sent))
    })
    request.on('response', (incoming) => {
      response = incoming
      if (lane === 'watch') timer.cancel()
      sink.answered(incoming)
    })
    request.end(body)
    return () => {
      timer.cancel()
      // A whole answer has given its connection back by now, and this does nothing.
      if (!response?.complete) request.destroy()
    }
  }
}

/** In one line: those of OpenSSL end with a break. */
function failureOf(cause: Error, sent: boolean): CallFailure {
  const [message] = (cause.message || String(cause)).split('\n')
  return new CallFailure(message!, sent, cause)
}
