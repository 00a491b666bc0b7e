/**
 * Calls to one of several members of an etcd: the one that answered last, and when it does not, the next. A member is
 * looked at before it is used for the first time: its version, and that it is of the same cluster as the others.
 */
import { type Logger, PagelogError } from '../base/index.ts'
import type { Clock } from '../env/index.ts'
import { EtcdRefusal, refusalIn, storeError } from './etcd-errors.ts'
import { paths, type WireHeader } from './etcd-wire.ts'
import { CallFailure, type Endpoint, endpointName, HttpCalls, type Lane, type TlsOptions } from './http-calls.ts'

export interface EtcdConnectionOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly endpoints: readonly Endpoint[]
  readonly tls?: TlsOptions
  readonly user?: string
  readonly password?: string
  /** Until a member takes the connection; until it has answered. The next member is asked after that. */
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  /** The same for keep-alives, which are asked for often and must not wait long for a member that is gone. */
  readonly keepAliveTimeoutMs: number
}

export interface EtcdCall {
  readonly path: string
  readonly body: object
  readonly lane?: Lane
  /** Doing it twice is as good as once, so an answer that is lost is asked for elsewhere. */
  readonly repeatable: boolean
}

export interface StreamSink {
  line(text: string): void
  ended(reason: string): void
  /** The member does not answer other calls: a stream that is silent may hang with it. Called at most once. */
  doubted(): void
}

/** Below it watches can lose events around a compaction, and nothing tells that they did. */
const OLDEST = [3, 5, 0] as const
/** Below it they still can, in rare cases; reading everything now and then covers those. */
const OLDEST_GOOD = [3, 5, 18] as const

export class EtcdConnection {
  readonly #options: EtcdConnectionOptions
  readonly #http: HttpCalls
  readonly #checked = new Set<Endpoint>()
  /** Streams that are open, with the member that each is at. */
  readonly #streams = new Map<StreamSink, Endpoint>()
  #current = 0
  #clusterId: string | undefined
  #token: string | undefined
  #authenticating: Promise<void> | undefined
  #authenticationIsOff = false
  #closed = false

  private constructor(options: EtcdConnectionOptions, http: HttpCalls) {
    this.#options = options
    this.#http = http
  }

  /** The store has given a token for user and password. */
  get isUserKnown(): boolean {
    return this.#token !== undefined
  }

  static async create(options: EtcdConnectionOptions): Promise<EtcdConnection> {
    return new EtcdConnection(options, await HttpCalls.create(options.clock, options.tls))
  }

  /** Rejects as `MetadataStore` says. */
  async call<T extends { readonly header?: WireHeader }>(call: EtcdCall): Promise<T> {
    const failures: string[] = []
    const { endpoints } = this.#options
    for (let attempt = 0; attempt < endpoints.length; attempt++) {
      const index = this.#current
      const endpoint = endpoints[index]!
      try {
        return await this.#callAt<T>(endpoint, call)
      } catch (error) {
        this.#assertOpen()
        const outcome = outcomeOf(error, call.repeatable)
        if (error instanceof CallFailure) this.#passOver(index)
        if (outcome instanceof PagelogError) throw outcome
        failures.push(`${endpointName(endpoint)}: ${outcome}`)
        if (this.#current === index) this.#current = (index + 1) % endpoints.length
      }
    }
    const message = `no metadata server answers (${failures.join('; ')})`
    throw new PagelogError('PAGELOG_METADATA_UNREACHABLE', message, { retriable: true })
  }

  /** Opens a stream at the current member; the lines come until it ends. Never rejects: a failure is an end. */
  async stream(path: string, body: object, sink: StreamSink): Promise<() => void> {
    const index = this.#current
    const endpoint = this.#options.endpoints[index]!
    const ended = (reason: string): void => {
      this.#streams.delete(sink)
      if (this.#current === index) this.#current = (index + 1) % this.#options.endpoints.length
      sink.ended(`${endpointName(endpoint)}: ${reason}`)
    }
    let headers: Record<string, string>
    try {
      await this.#check(endpoint)
      // The member ends the stream when it has lost the others, instead of being silent.
      headers = { ...(await this.#authorization(endpoint)), 'grpc-metadata-hasleader': 'true' }
    } catch (error) {
      ended(error instanceof Error ? error.message : String(error))
      return () => {}
    }
    const { connectTimeoutMs, requestTimeoutMs } = this.#options
    const options = { path, body: JSON.stringify(body), headers, connectTimeoutMs, timeoutMs: requestTimeoutMs }
    this.#streams.set(sink, endpoint)
    const stop = this.#http.stream(endpoint, options, {
      answered: (status) => {
        if (status === 401) this.#token = undefined
      },
      line: sink.line,
      ended: (failure) => ended(failure.message),
    })
    return () => {
      this.#streams.delete(sink)
      stop()
    }
  }

  close(): void {
    this.#closed = true
    this.#http.close()
  }

  /** A host that is gone ends no connection: what hangs on it looks for another member now, and not when it misses something. */
  #passOver(index: number): void {
    const { endpoints } = this.#options
    if (this.#current === index) this.#current = (index + 1) % endpoints.length
    if (endpoints.length === 1) return
    for (const [sink, endpoint] of [...this.#streams]) {
      if (endpoint !== endpoints[index]) continue
      this.#streams.delete(sink)
      sink.doubted()
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new PagelogError('PAGELOG_CLOSED', 'the metadata store is closed')
  }

  async #callAt<T extends { readonly header?: WireHeader }>(endpoint: Endpoint, call: EtcdCall): Promise<T> {
    this.#assertOpen()
    await this.#check(endpoint)
    for (let renewed = false; ; renewed = true) {
      const headers = await this.#authorization(endpoint)
      try {
        const answer = await this.#send<T>(endpoint, call, headers)
        this.#checkCluster(endpoint, answer.header)
        return answer
      } catch (error) {
        if (renewed || this.#options.user === undefined) throw error
        if (!(error instanceof EtcdRefusal && error.wantsToken)) throw error
        if (this.#token === headers.authorization) this.#token = undefined
      }
    }
  }

  async #send<T>(
    endpoint: Endpoint,
    { path, body, lane = 'calls' }: Pick<EtcdCall, 'path' | 'body' | 'lane'>,
    headers: Readonly<Record<string, string>>,
  ): Promise<T> {
    const { connectTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs } = this.#options
    const answer = await this.#http.call(endpoint, lane, {
      path,
      body: JSON.stringify(body),
      headers,
      connectTimeoutMs,
      timeoutMs: lane === 'keep-alive' ? keepAliveTimeoutMs : requestTimeoutMs,
    })
    const refusal = refusalIn(answer)
    if (refusal) throw refusal
    try {
      return JSON.parse(answer.body) as T
    } catch (cause) {
      throw new CallFailure('the answer is not JSON', true, cause)
    }
  }

  async #check(endpoint: Endpoint): Promise<void> {
    if (this.#checked.has(endpoint)) return
    const { connectTimeoutMs, requestTimeoutMs, logger } = this.#options
    const options = { path: paths.version, connectTimeoutMs, timeoutMs: requestTimeoutMs }
    const answer = await this.#http.call(endpoint, 'calls', options).catch((error: CallFailure) => {
      throw new CallFailure(error.message, false, error)
    })
    const version = versionIn(answer.body)
    const name = endpointName(endpoint)
    if (version === undefined) {
      throw new PagelogError('PAGELOG_UNSUPPORTED', `what answers at ${name} is no metadata server pagelog knows`)
    }
    if (isOlder(version, OLDEST)) {
      const reason = 'its watches can drop events around a compaction'
      const message = `etcd ${version.join('.')} at ${name} is too old (${reason}): 3.5 or newer is needed`
      throw new PagelogError('PAGELOG_UNSUPPORTED', message)
    }
    if (isOlder(version, OLDEST_GOOD)) {
      logger.warn(
        { endpoint: name, version: version.join('.') },
        `etcd before ${OLDEST_GOOD.join('.')} can, rarely, drop an event around a compaction`,
      )
    }
    this.#checked.add(endpoint)
  }

  /** Members of two clusters in one list would each believe to be the only one. */
  #checkCluster(endpoint: Endpoint, header: WireHeader | undefined): void {
    const id = header?.cluster_id
    if (id === undefined) return
    this.#clusterId ??= id
    if (id === this.#clusterId) return
    const message = `${endpointName(endpoint)} belongs to another etcd cluster (${id}) than the one used until now (${this.#clusterId})`
    throw new PagelogError('PAGELOG_INVALID_SETTING', message)
  }

  async #authorization(endpoint: Endpoint): Promise<Record<string, string>> {
    const { user } = this.#options
    if (user === undefined || this.#authenticationIsOff) return {}
    while (this.#token === undefined && !this.#authenticationIsOff) {
      this.#authenticating ??= this.#authenticate(endpoint, user).finally(() => {
        this.#authenticating = undefined
      })
      await this.#authenticating
    }
    return this.#token === undefined ? {} : { authorization: this.#token }
  }

  async #authenticate(endpoint: Endpoint, name: string): Promise<void> {
    const { password = '', logger } = this.#options
    try {
      const call = { path: paths.authenticate, body: { name, password } }
      const { token } = await this.#send<{ readonly token?: string }>(endpoint, call, {})
      if (token === undefined) throw new CallFailure('an answer without a token', false)
      this.#token = token
    } catch (error) {
      // Nothing of the call itself has been sent yet.
      if (error instanceof CallFailure) throw new CallFailure(error.message, false, error)
      if (!(error instanceof EtcdRefusal)) throw error
      if (error.isOfTheMember) throw new CallFailure(error.message, false, error)
      if (!error.authenticationIsOff) throw storeError(error)
      logger.warn({ endpoint: endpointName(endpoint) }, 'etcd has a user for us but authentication is off there')
      this.#authenticationIsOff = true
    }
  }
}

/** What the caller is told; or, as a text, why the next member is to be asked. */
function outcomeOf(error: unknown, repeatable: boolean): PagelogError | string {
  if (error instanceof PagelogError) return error
  if (error instanceof EtcdRefusal) {
    if (!error.isOfTheMember) return storeError(error)
    if (repeatable || error.isSure) return error.message
    return new PagelogError('PAGELOG_OUTCOME_UNKNOWN', `the metadata server says: ${error.message}`, { cause: error })
  }
  const { message, sent = true } = error as CallFailure
  if (repeatable || !sent) return message
  return new PagelogError('PAGELOG_OUTCOME_UNKNOWN', `the metadata server's answer was lost: ${message}`, {
    cause: error,
  })
}

function versionIn(body: string): number[] | undefined {
  try {
    const { etcdserver } = JSON.parse(body) as { readonly etcdserver?: string }
    const match = /^(\d+)\.(\d+)\.(\d+)/.exec(etcdserver ?? '')
    return match === null ? undefined : match.slice(1).map(Number)
  } catch {
    return undefined
  }
}

function isOlder(version: readonly number[], than: readonly [number, number, number]): boolean {
  for (const [i, part] of than.entries()) if (version[i] !== part) return version[i]! < part
  return false
}
