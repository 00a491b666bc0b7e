/**
 * From a frame to an answer: reads the header, finds the handler, and decides what becomes of what goes wrong.
 *
 * - A key or version that is not served closes the connection, as in Kafka; only ApiVersions is answered (KIP-511).
 * - Bytes that are not the protocol close the connection.
 * - A broken invariant is thrown out of every callback: the process must end, its state can no longer be trusted.
 * - Anything else that a handler did not foresee is logged as an error and closes the connection.
 * Each of them is one log line.
 */
import { ErrorCode, InvariantError, PagelogError, surfaceInvariant } from '../base/index.ts'
import type { Part } from '../env/index.ts'
import type { Frame } from '../net/index.ts'
import { ApiVersions, decodeRequestHeader, encodeResponse, supports } from '../protocol/index.ts'
import type { BrokerFacade } from './facade.ts'
import type { Answer, RegisteredHandler } from './handler.ts'
import type { Session } from './session.ts'

export class Dispatcher {
  readonly #broker: BrokerFacade
  readonly #byKey: (RegisteredHandler | undefined)[] = []

  constructor(broker: BrokerFacade) {
    this.#broker = broker
    for (const handler of broker.handlers) this.#byKey[handler.api.key] = handler
  }

  /** Takes the frame over. A rejection (or throw) has been logged and means: close the connection. */
  dispatch(frame: Frame, session: Session): Answer | Promise<Answer> {
    const { counters, clock } = this.#broker
    counters.requests++
    session.lastRequestMs = clock.monotonicMs()
    session.requestsInFlight++
    let answer: Answer | Promise<Answer>
    try {
      answer = this.#respond(frame, session)
    } catch (error) {
      session.requestsInFlight--
      throw this.#failed(error, session)
    }
    if (!(answer instanceof Promise)) {
      session.requestsInFlight--
      return answer
    }
    return answer.then(
      (parts) => {
        session.requestsInFlight--
        session.lastRequestMs = clock.monotonicMs()
        return parts
      },
      (error: unknown) => {
        session.requestsInFlight--
        throw this.#failed(error, session)
      },
    )
  }

  #respond(frame: Frame, session: Session): Answer | Promise<Answer> {
    let header: ReturnType<typeof decodeRequestHeader>
    try {
      header = decodeRequestHeader(frame.bytes)
    } catch (error) {
      frame.release()
      throw error
    }
    const { apiKey, apiVersion, correlationId, clientId } = header
    session.clientId = clientId
    const handler = this.#byKey[apiKey]
    if (!handler || !supports(handler.api, apiVersion)) {
      frame.release()
      if (apiKey === ApiVersions.key) return answerUnknownApiVersions(correlationId)
      throw new PagelogError('PAGELOG_UNSUPPORTED', `API ${apiKey} version ${apiVersion} is not served`)
    }
    if (!handler.tellsOfWork) this.#broker.sampler?.busy()
    return handler.respond(frame, apiVersion, correlationId, session, this.#broker)
  }

  #failed(error: unknown, session: Session): unknown {
    session.refused = true
    if (error instanceof InvariantError) {
      surfaceInvariant(error)
      return error
    }
    const { refusals, counters, logger } = this.#broker
    const { remote, clientId } = session
    if (error instanceof PagelogError && expected.has(error.code)) {
      counters.requestsMalformed++
      const fields =
        error.code === 'PAGELOG_BROKER' ? (error.cause as object) : { remote, clientId, reason: error.message }
      refusals.note(fields, 'closed a connection')
    } else {
      counters.requestsFailed++
      logger.error({ remote, clientId, error }, 'a request failed, closed its connection')
    }
    return error
  }
}

/** What a client can bring about. */
const expected: ReadonlySet<string> = new Set(['PAGELOG_PROTOCOL', 'PAGELOG_UNSUPPORTED', 'PAGELOG_BROKER'])

/** The client cannot read more than version 0 yet; the one entry tells it what to try next. */
function answerUnknownApiVersions(correlationId: number): readonly Part[] {
  const { key: apiKey, minVersion, maxVersion } = ApiVersions
  const body = { errorCode: ErrorCode.UNSUPPORTED_VERSION, apiKeys: [{ apiKey, minVersion, maxVersion }] }
  return encodeResponse(ApiVersions, 0, correlationId, body) as readonly Part[]
}
