/**
 * The connections of a listener: takes each new stream if the limits allow it, gives it a session, passes its requests
 * to the dispatcher, closes it when it has been idle for too long.
 */
import { PagelogError } from '../base/index.ts'
import type { Stream, Timer } from '../env/index.ts'
import { AnsweringConnection, SlabPool } from '../net/index.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { BrokerFacade } from './facade.ts'
import { Session } from './session.ts'

const IDLE_CHECK_MS_MAX = 10000

export class Connections {
  readonly #broker: BrokerFacade
  readonly #dispatcher: Dispatcher
  readonly #pool: SlabPool
  readonly #open = new Map<Session, AnsweringConnection>()
  readonly #countByAddress = new Map<string, number>()
  readonly #idleTimer: Timer
  #closing = false

  constructor(broker: BrokerFacade, dispatcher: Dispatcher) {
    const { receiveSlabBytes, queuedMaxRequestBytes, connectionsMaxIdleMs } = broker.settings
    this.#broker = broker
    this.#dispatcher = dispatcher
    this.#pool = new SlabPool({ slabBytes: receiveSlabBytes, maxBytes: queuedMaxRequestBytes, clock: broker.clock })
    const idleCheckMs = Math.max(1, Math.min(IDLE_CHECK_MS_MAX, connectionsMaxIdleMs / 4))
    this.#idleTimer = broker.clock.every(idleCheckMs, () => this.#closeIdle())
  }

  get count(): number {
    return this.#open.size
  }

  accept(stream: Stream): void {
    const { settings, clock, counters } = this.#broker
    const session = new Session(stream.remote, clock.monotonicMs())
    const fromAddress = this.#countByAddress.get(session.address) ?? 0
    if (this.#closing || this.#open.size >= settings.maxConnections || fromAddress >= settings.maxConnectionsPerIp) {
      counters.connectionsRefused++
      if (!this.#closing) {
        const limit = this.#open.size >= settings.maxConnections ? 'max.connections' : 'max.connections.per.ip'
        this.#broker.refusals.note({ remote: stream.remote, limit }, 'refused a connection')
      }
      void stream.close()
      return
    }
    counters.connectionsAccepted++
    this.#countByAddress.set(session.address, fromAddress + 1)
    const connection = new AnsweringConnection(stream, {
      maxFrameBytes: settings.socketRequestMaxBytes,
      maxOutboxBytes: settings.connectionOutboxMaxBytes,
      pool: this.#pool,
      onRequest: (frame) => this.#dispatcher.dispatch(frame, session),
      onClose: (error) => this.#closed(session, error),
    })
    this.#open.set(session, connection)
  }

  /** Ends every connection; requests that wait are given up. */
  async close(): Promise<void> {
    this.#closing = true
    this.#idleTimer.cancel()
    await Promise.all([...this.#open.values()].map((connection) => connection.close()))
  }

  #closed(session: Session, error: Error | undefined): void {
    if (!this.#open.delete(session)) return
    const left = this.#countByAddress.get(session.address)! - 1
    if (left > 0) this.#countByAddress.set(session.address, left)
    else this.#countByAddress.delete(session.address)
    session.close()
    // A peer that goes away is no news; one that sends what is not the protocol is. Requests have had their line already.
    if (session.refused || !isPeersFault(error)) return
    this.#broker.counters.requestsMalformed++
    const { remote, clientId } = session
    this.#broker.refusals.note({ remote, clientId, reason: error.message }, 'closed a connection')
  }

  #closeIdle(): void {
    const { clock, settings, counters, logger } = this.#broker
    const limitMs = clock.monotonicMs() - settings.connectionsMaxIdleMs
    for (const [session, connection] of this.#open) {
      if (session.requestsInFlight > 0 || session.lastRequestMs > limitMs) continue
      counters.connectionsIdleClosed++
      logger.debug({ remote: session.remote, clientId: session.clientId }, 'closed an idle connection')
      void connection.close()
    }
  }
}

/** A frame of an impossible length, one that never became whole, or one whose rest did not come while memory was short. */
function isPeersFault(error: Error | undefined): error is PagelogError {
  if (!(error instanceof PagelogError)) return false
  if (error.code === 'PAGELOG_DISCONNECTED') return error.cause === undefined
  return error.code === 'PAGELOG_PROTOCOL' || error.code === 'PAGELOG_TOO_LARGE' || error.code === 'PAGELOG_TIMED_OUT'
}
