/**
 * What a request handler is. Each file in `handlers/` makes one with `handler()` and the table in `handlers/index.ts`
 * is both what is served and what ApiVersions tells.
 */
import type { Part } from '../env/index.ts'
import type { Frame } from '../net/index.ts'
import { type Api, decodeRequest, encodeResponse, type Input } from '../protocol/index.ts'
import type { BrokerFacade } from './facade.ts'
import type { Session } from './session.ts'

export interface Request<Body> {
  readonly body: Body
  readonly version: number
  readonly correlationId: number
  /** The bytes that views in `body` point into. Released already, unless the handler keeps frames. */
  readonly frame: Frame
}

export interface Handler<Req, Res> {
  readonly api: Api<Req, Res>
  /**
   * True when `body` has views that outlive the synchronous part of `handle`; the handler then releases the frame
   * itself, exactly once, whatever happens. Otherwise the frame goes back right after decoding.
   */
  readonly keepsFrame?: boolean
  /**
   * True when clients ask again and again and mostly nothing is to be done: `handle` then tells the sampler of work
   * itself, so that an idle broker is not measured as a busy one.
   */
  readonly tellsOfWork?: boolean
  /** null: no answer is sent. A rejection closes the connection. */
  handle(request: Request<Req>, session: Session, broker: BrokerFacade): Reply<Res> | Promise<Reply<Res>>
}

export type Reply<Res> = Input<Res> | null
export type Answer = readonly Part[] | null

/** A handler with its message types hidden behind bytes, so that one table can hold all of them. */
export interface RegisteredHandler {
  readonly api: Api
  readonly tellsOfWork: boolean
  respond(
    frame: Frame,
    version: number,
    correlationId: number,
    session: Session,
    broker: BrokerFacade,
  ): Answer | Promise<Answer>
}

export function handler<Req, Res>(definition: Handler<Req, Res>): RegisteredHandler {
  const { api } = definition
  return {
    // Its messages are only reached through `respond`, so their types need not show.
    api: api as unknown as Api,
    tellsOfWork: definition.tellsOfWork === true,
    respond(frame, version, correlationId, session, broker) {
      let body: Req
      try {
        body = decodeRequest(api, version, frame.bytes)
      } catch (error) {
        frame.release()
        throw error
      }
      if (definition.keepsFrame !== true) frame.release()
      const encode = (reply: Reply<Res>): Answer =>
        reply === null ? null : (encodeResponse(api, version, correlationId, reply) as readonly Part[])
      const reply = definition.handle({ body, version, correlationId, frame }, session, broker)
      return reply instanceof Promise ? reply.then(encode) : encode(reply)
    },
  }
}
