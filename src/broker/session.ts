/** What the broker knows of one connection. Lives as long as the connection does. */
export class Session {
  /** `host:port` of the client. */
  readonly remote: string
  /** Of the newest request header; for log lines. */
  clientId: string | null = null
  softwareName = 'unknown'
  softwareVersion = 'unknown'
  /** Requests being worked on; an idle connection has none. */
  requestsInFlight = 0
  /** A request closed this connection, and has had its log line. */
  refused = false
  /** Monotonic. */
  lastRequestMs: number
  /** `topic-partition` that found no room in the last fetch response and is served first in the next. */
  starvedPartition = ''
  #closed = false
  readonly #closeListeners = new Set<() => void>()

  constructor(remote: string, nowMs: number) {
    this.remote = remote
    this.lastRequestMs = nowMs
  }

  get closed(): boolean {
    return this.#closed
  }

  /** The address without the port. */
  get address(): string {
    return this.remote.slice(0, this.remote.lastIndexOf(':'))
  }

  /** Calls `listener` once when the connection ends; a request that waits uses it to stop. Returns how to unsubscribe. */
  onClose(listener: () => void): () => void {
    this.#closeListeners.add(listener)
    return () => this.#closeListeners.delete(listener)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const listener of [...this.#closeListeners]) listener()
    this.#closeListeners.clear()
  }
}
