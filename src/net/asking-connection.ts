/**
 * The end of a connection that asks: numbers requests, sends several before the first answer, gives each answer to who
 * asked. It begins with ApiVersions (version 3; 0 if the broker answers error 35 to that, KIP-511) and keeps the ranges.
 *
 * A request without an answer in its time closes the connection, as brokers answer in order and those behind it would
 * wait as well: it is rejected with PAGELOG_TIMED_OUT, the others with PAGELOG_DISCONNECTED.
 */
import { assert, ErrorCode, PagelogError } from '../base/index.ts'
import type { Env, Part, Stream, Timer } from '../env/index.ts'
import { type Api, ApiVersions, correlationIdOf, decodeResponse, encodeRequest, type Input } from '../protocol/index.ts'
import { type Frame, FrameReceiver } from './frame-receiver.ts'
import type { SlabPool } from './slab-pool.ts'

export interface AskingOptions {
  readonly host: string
  readonly port: number
  readonly clientId: string | null
  readonly requestTimeoutMs: number
  /** Until the TCP connection stands; `requestTimeoutMs` if not given. */
  readonly connectTimeoutMs?: number
  /** Requests sent and not answered; more wait here. */
  readonly maxInFlight?: number
  readonly maxFrameBytes?: number
  /** With `countsDelivered` false if answers are kept. */
  readonly pool: SlabPool
  /** As in the ApiVersions request. */
  readonly softwareName?: string
  readonly softwareVersion?: string
}

export interface AskOptions {
  readonly version?: number
  readonly timeoutMs?: number
  /** The broker sends no answer (produce with acks 0): settled when the kernel has the request, the body is undefined. */
  readonly noAnswer?: boolean
}

/** `body` has views into the received bytes: they are valid until `release`, which may be forgotten, or called twice. */
export interface Answer<Res> {
  readonly body: Res
  release(): void
}

/** More than max.in.flight.requests.per.connection may be: whoever asks that much has bounds of its own. */
const IN_FLIGHT_MAX = 1024
const FRAME_BYTES_MAX = 1024 * 1024 * 1024
/** Answers are asked for, so those of this size get their memory at once. */
const TRUSTED_BYTES = 1024 * 1024
const CORRELATION_ID_MAX = 0x7fffffff

interface Question {
  readonly api: Api
  readonly version: number
  readonly resolve: (answer: Answer<unknown>) => void
  readonly reject: (error: Error) => void
  timer: Timer | undefined
}

export class AskingConnection {
  readonly #stream: Stream
  readonly #clock: Env['clock']
  readonly #options: AskingOptions
  readonly #maxInFlight: number
  /** Sent and not answered, by correlation id. */
  readonly #questions = new Map<number, Question>()
  /** For a place among those in flight. */
  readonly #waiting: (() => void)[] = []
  readonly #ranges = new Map<number, { readonly min: number; readonly max: number }>()
  readonly #closeListeners = new Set<(error: Error) => void>()
  #inFlight = 0
  #nextId = 0
  #closed: PagelogError | undefined

  /** Errors: PAGELOG_DISCONNECTED, PAGELOG_TIMED_OUT, PAGELOG_PROTOCOL, PAGELOG_BROKER. */
  static async connect(env: Pick<Env, 'network' | 'clock'>, options: AskingOptions): Promise<AskingConnection> {
    const { host, port, requestTimeoutMs, connectTimeoutMs = requestTimeoutMs } = options
    const stream = await env.network.connect({ host, port, timeoutMs: connectTimeoutMs })
    const connection = new AskingConnection(stream, env.clock, options)
    try {
      await connection.#learnVersions()
    } catch (error) {
      await connection.close()
      throw error
    }
    return connection
  }

  private constructor(stream: Stream, clock: Env['clock'], options: AskingOptions) {
    this.#stream = stream
    this.#clock = clock
    this.#options = options
    this.#maxInFlight = options.maxInFlight ?? IN_FLIGHT_MAX
    const receiver = new FrameReceiver({
      maxFrameBytes: options.maxFrameBytes ?? FRAME_BYTES_MAX,
      pool: options.pool,
      trustedBytes: TRUSTED_BYTES,
      onFrame: (frame) => this.#answered(frame),
      onEnd: (error) => this.#finish(error),
    })
    receiver.start(stream)
  }

  get remote(): string {
    return this.#stream.remote
  }

  get closed(): boolean {
    return this.#closed !== undefined
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** Calls `listener` once when the connection ends, at once if it has; returns how to unsubscribe. */
  onClose(listener: (error: Error) => void): () => void {
    if (this.#closed !== undefined) listener(this.#closed)
    else this.#closeListeners.add(listener)
    return () => this.#closeListeners.delete(listener)
  }

  /** What waits is rejected with PAGELOG_DISCONNECTED. */
  async close(): Promise<void> {
    this.#finish()
    await this.#stream.close()
  }

  /** The highest version, up to `max`, that both sides speak. Throws PAGELOG_UNSUPPORTED. */
  versionOf<Req, Res>(api: Api<Req, Res>, max: number = api.maxVersion): number {
    const range = this.#ranges.get(api.key)
    const version = Math.min(max, api.maxVersion, range?.max ?? -1)
    if (range !== undefined && version >= Math.max(api.minVersion, range.min)) return version
    const theirs = range === undefined ? 'none' : `${range.min} to ${range.max}`
    const ours = `${api.minVersion} to ${Math.min(max, api.maxVersion)}`
    throw new PagelogError('PAGELOG_UNSUPPORTED', `no common version of ${api.name}: ours ${ours}, broker's ${theirs}`)
  }

  /**
   * The answer to `body`. Memory in it must not change until the promise settles. Errors: PAGELOG_DISCONNECTED,
   * PAGELOG_TIMED_OUT, PAGELOG_PROTOCOL (the answer makes no sense; the connection is closed), PAGELOG_UNSUPPORTED.
   */
  ask<Req, Res>(api: Api<Req, Res>, body: Input<Req>, options: AskOptions = {}): Promise<Answer<Res>> {
    return new Promise((resolve, reject) => {
      const question: Question = {
        // Body and decoder belong together by construction; the map need not know how.
        api: api as unknown as Api,
        version: options.version ?? this.versionOf(api),
        resolve: resolve as (answer: Answer<unknown>) => void,
        reject,
        timer: undefined,
      }
      if (this.#closed !== undefined) return reject(this.#disconnected())
      const start = () => this.#send(question, body, options)
      if (this.#inFlight < this.#maxInFlight) start()
      else this.#waiting.push(start)
    })
  }

  #send(question: Question, body: unknown, options: AskOptions): void {
    if (this.#closed !== undefined) {
      question.reject(this.#disconnected())
      return
    }
    const id = this.#nextId
    let parts: readonly Part[]
    try {
      parts = encodeRequest(
        question.api,
        question.version,
        id,
        this.#options.clientId,
        body as Input<unknown>,
      ) as Part[]
    } catch (error) {
      question.reject(error as Error)
      this.#startNext()
      return
    }
    this.#nextId = id === CORRELATION_ID_MAX ? 0 : id + 1
    assert(!this.#questions.has(id), 'a correlation id is in use')
    this.#inFlight++
    this.#questions.set(id, question)
    const timeoutMs = options.timeoutMs ?? this.#options.requestTimeoutMs
    question.timer = this.#clock.after(timeoutMs, () => this.#timedOut(id, timeoutMs))
    this.#stream.send(parts).then(
      () => {
        if (options.noAnswer === true) this.#take(id)?.resolve({ body: undefined, release: nothing })
      },
      (error) => this.#finish(error),
    )
  }

  #answered(frame: Frame): void {
    if (this.#closed !== undefined) {
      frame.release()
      return
    }
    let question: Question | undefined
    try {
      question = this.#take(correlationIdOf(frame.bytes))
      if (question === undefined) throw new PagelogError('PAGELOG_PROTOCOL', 'an answer that nobody asked for')
      const { body } = decodeResponse(question.api, versionOfAnswer(question, frame.bytes), frame.bytes)
      question.resolve({ body, release: () => frame.release() })
    } catch (error) {
      frame.release()
      question?.reject(error as Error)
      this.#finish(error as Error)
      void this.#stream.close()
    }
  }

  /** The question is settled by the caller, and the next one may be sent. */
  #take(id: number): Question | undefined {
    const question = this.#questions.get(id)
    if (question === undefined) return undefined
    this.#questions.delete(id)
    question.timer?.cancel()
    this.#inFlight--
    this.#startNext()
    return question
  }

  #startNext(): void {
    if (this.#inFlight < this.#maxInFlight) this.#waiting.shift()?.()
  }

  #timedOut(id: number, timeoutMs: number): void {
    const question = this.#questions.get(id)
    if (question === undefined) return
    this.#questions.delete(id)
    const message = `${question.api.name} to ${this.remote} was not answered in ${timeoutMs} ms`
    const error = new PagelogError('PAGELOG_TIMED_OUT', message, { retriable: true })
    question.reject(error)
    this.#finish(error)
    void this.#stream.close()
  }

  #finish(cause?: Error): void {
    if (this.#closed !== undefined) return
    const reason = cause === undefined ? 'closed' : cause.message
    const message = `connection to ${this.remote}: ${reason}`
    this.#closed = new PagelogError('PAGELOG_DISCONNECTED', message, { cause, retriable: true })
    const questions = [...this.#questions.values()]
    this.#questions.clear()
    for (const { timer, reject } of questions) {
      timer?.cancel()
      reject(this.#disconnected())
    }
    for (const start of this.#waiting.splice(0)) start()
    for (const listener of this.#closeListeners) listener(this.#closed)
    this.#closeListeners.clear()
    void this.#stream.close()
  }

  #disconnected(): PagelogError {
    return this.#closed!
  }

  async #learnVersions(): Promise<void> {
    const { softwareName = 'pagelog', softwareVersion = '0' } = this.#options
    const request = { clientSoftwareName: softwareName, clientSoftwareVersion: softwareVersion }
    let { body, release } = await this.ask(ApiVersions, request, { version: 3 })
    if (body.errorCode === ErrorCode.UNSUPPORTED_VERSION) {
      release()
      ;({ body, release } = await this.ask(ApiVersions, {}, { version: 0 }))
    }
    if (body.errorCode !== ErrorCode.NONE) {
      const { errorCode: kafkaCode } = body
      throw new PagelogError('PAGELOG_BROKER', `ApiVersions: error ${kafkaCode}`, { kafkaCode })
    }
    for (const { apiKey, minVersion, maxVersion } of body.apiKeys) {
      this.#ranges.set(apiKey, { min: minVersion, max: maxVersion })
    }
    release()
  }
}

/** A broker that does not know the version of an ApiVersions request answers in version 0 (KIP-511). */
function versionOfAnswer({ api, version }: Question, bytes: Uint8Array): number {
  if (api.key !== ApiVersions.key || bytes.length < 6) return version
  const errorCode = (bytes[4]! << 8) | bytes[5]!
  return errorCode === ErrorCode.UNSUPPORTED_VERSION ? 0 : version
}

function nothing(): void {}
