/**
 * The end of a connection that answers. Requests are handed on as they come, handlers run side by side, and answers
 * leave in the order of the requests, several in one send.
 *
 * The frame of a request belongs to `onRequest`: it releases it exactly once, as soon as it needs the bytes no more and
 * always before it waits for what another client may do (slab-pool.ts says why).
 *
 * A request that cannot be answered ends the connection when its turn comes: answers to those before it are sent, those
 * after it are dropped, as if requests were looked at one by one (Kafka does).
 *
 * Bounds: reading stops while `maxRequestsInFlight` requests are without an answer or `maxOutboxBytes` of answers are not
 * taken by the kernel, and goes on at half of that. One answer alone may be larger: file regions take no memory. A peer
 * that never reads keeps what it had till then; whoever serves closes idle connections.
 */
import { hasCode, type Logger, PagelogError, silentLogger } from '../base/index.ts'
import type { Part, Stream } from '../env/index.ts'
import { type Frame, FrameReceiver } from './frame-receiver.ts'
import type { SlabPool } from './slab-pool.ts'

export type RequestAnswer = readonly Part[] | null

export interface AnsweringOptions {
  readonly maxFrameBytes: number
  readonly pool: SlabPool
  readonly maxOutboxBytes?: number
  readonly maxRequestsInFlight?: number
  readonly logger?: Logger
  /** null: there is no answer to this one. A rejection, or a throw, closes the connection after earlier answers. */
  readonly onRequest: (frame: Frame, connection: AnsweringConnection) => Promise<RequestAnswer> | RequestAnswer
  /** Called once. The error is what ended the connection, none if that was the peer's or our own will. */
  readonly onClose?: (error?: Error) => void
}

const OUTBOX_BYTES_MAX = 8 * 1024 * 1024
const REQUESTS_IN_FLIGHT_MAX = 64

/** A request's place in the queue of answers. */
interface Turn {
  parts: RequestAnswer
  done: boolean
}

export class AnsweringConnection {
  readonly #stream: Stream
  readonly #options: AnsweringOptions
  readonly #receiver: FrameReceiver
  readonly #maxOutboxBytes: number
  readonly #maxRequestsInFlight: number
  readonly #logger: Logger
  /** In the order of the requests. */
  readonly #turns: Turn[] = []
  /** Of answers that are ready and wait for an earlier one. */
  #readyBytes = 0
  #requests = 0
  #sending = 0
  #hasSent = false
  #flushing = false
  /** Nothing more is taken from the peer. */
  #peerEnded = false
  /** What ends the connection once everything before it is answered. */
  #fault: Error | undefined
  #closed = false

  constructor(stream: Stream, options: AnsweringOptions) {
    this.#stream = stream
    this.#options = options
    this.#maxOutboxBytes = options.maxOutboxBytes ?? OUTBOX_BYTES_MAX
    this.#maxRequestsInFlight = options.maxRequestsInFlight ?? REQUESTS_IN_FLIGHT_MAX
    this.#logger = options.logger ?? silentLogger
    this.#receiver = new FrameReceiver({
      maxFrameBytes: options.maxFrameBytes,
      pool: options.pool,
      onFrame: (frame) => this.#request(frame),
      onEnd: (error) => this.#ended(error),
    })
    this.#receiver.start(stream)
  }

  get remote(): string {
    return this.#stream.remote
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Requests that came so far. */
  get requests(): number {
    return this.#requests
  }

  get requestsInFlight(): number {
    return this.#turns.length
  }

  /** Bytes of answers that the kernel has not taken. */
  get outboxBytes(): number {
    return this.#readyBytes + this.#stream.pendingBytes
  }

  /** Whether reading stopped until answers have left. */
  get paused(): boolean {
    return this.#receiver.paused
  }

  /** Drops what is under way; answers that come later are thrown away, their regions released. */
  close(): Promise<void> {
    this.#finish()
    return this.#stream.close()
  }

  #request(frame: Frame): void {
    if (this.#closed || this.#fault !== undefined) {
      frame.release()
      return
    }
    this.#requests++
    const turn: Turn = { parts: null, done: false }
    this.#turns.push(turn)
    try {
      const answer = this.#options.onRequest(frame, this)
      if (answer instanceof Promise) {
        answer.then(
          (parts) => this.#answered(turn, parts),
          (error) => this.#refused(turn, error),
        )
      } else this.#answered(turn, answer)
    } catch (error) {
      this.#refused(turn, error)
    }
    this.#limit()
  }

  #answered(turn: Turn, parts: RequestAnswer): void {
    if (this.#closed || (this.#fault !== undefined && !this.#turns.includes(turn))) {
      releaseRegions(parts)
      return
    }
    turn.parts = parts
    turn.done = true
    this.#readyBytes += byteLengthOf(parts)
    if (this.#turns[0] === turn) this.#flush()
  }

  /** There will be no answer for this turn, nor for any after it. */
  #refused(turn: Turn, error: unknown): void {
    const at = this.#turns.indexOf(turn)
    if (this.#closed || at < 0) return
    this.#fault = error instanceof Error ? error : new Error(String(error))
    for (const { parts } of this.#turns.splice(at)) {
      this.#readyBytes -= byteLengthOf(parts)
      releaseRegions(parts)
    }
    this.#peerEnded = true
    this.#receiver.pause()
    this.#endWhenAnswered()
  }

  /** Sends the answers whose turn it is. */
  #flush(): void {
    let answers: readonly Part[] | undefined
    let gathered: Part[] | undefined
    let count = 0
    while (count < this.#turns.length && this.#turns[count]!.done) {
      const { parts } = this.#turns[count++]!
      if (parts === null) continue
      this.#readyBytes -= byteLengthOf(parts)
      if (answers === undefined) answers = parts
      else {
        gathered ??= [...answers]
        for (let i = 0; i < parts.length; i++) gathered.push(parts[i]!)
      }
    }
    if (count === 1) this.#turns.shift()
    else this.#turns.splice(0, count)
    if (answers !== undefined) {
      this.#sending++
      this.#hasSent = true
      this.#stream.send(gathered ?? answers).then(this.#sent, this.#unsent)
    }
    this.#limit()
  }

  readonly #sent = (): void => {
    this.#sending--
    this.#limit()
  }

  /** The stream is over, and says so itself to the receiver. */
  readonly #unsent = (): void => {
    this.#sending--
    if (this.#fault !== undefined) this.#endWhenAnswered()
  }

  #limit(): void {
    if (this.#closed) return
    if (this.#peerEnded) {
      this.#endWhenAnswered()
      return
    }
    const requests = this.#turns.length
    const bytes = this.outboxBytes
    if (!this.#receiver.paused) {
      if (requests >= this.#maxRequestsInFlight || bytes >= this.#maxOutboxBytes) this.#receiver.pause()
    } else if (requests <= this.#maxRequestsInFlight / 2 && bytes <= this.#maxOutboxBytes / 2) this.#receiver.resume()
  }

  /** The peer may still be waiting for answers. */
  #endWhenAnswered(): void {
    if (this.#turns.length > 0 || this.#sending > 0 || this.#flushing) return
    const fault = this.#fault
    if (fault !== undefined && !this.#hasSent) {
      this.#fail(fault)
      return
    }
    this.#flushing = true
    void this.#stream.end().then(() => (fault === undefined ? this.#finish() : this.#fail(fault)))
  }

  #ended(error: Error | undefined): void {
    if (this.#closed) return
    if (error !== undefined && !isLengthFault(error)) {
      this.#fail(this.#fault ?? error)
      return
    }
    this.#fault ??= error
    this.#peerEnded = true
    this.#receiver.pause()
    this.#endWhenAnswered()
  }

  #fail(error: unknown): void {
    if (this.#closed) return
    const cause = error instanceof Error ? error : new Error(String(error))
    // A peer that goes away is everyday; one that does not keep to the protocol, or a handler that fails, is not.
    const level = hasCode(cause, 'PAGELOG_DISCONNECTED') ? 'debug' : 'warn'
    const code = cause instanceof PagelogError ? cause.code : undefined
    this.#logger[level]({ remote: this.remote, code, error: cause.message }, 'connection closed')
    this.#finish(cause)
    void this.#stream.close()
  }

  #finish(error?: Error): void {
    if (this.#closed) return
    this.#closed = true
    for (const { parts } of this.#turns.splice(0)) releaseRegions(parts)
    this.#readyBytes = 0
    this.#options.onClose?.(error)
  }
}

/** A frame of an impossible length: what came before it is sound. */
function isLengthFault(error: Error): boolean {
  return hasCode(error, 'PAGELOG_PROTOCOL') || hasCode(error, 'PAGELOG_TOO_LARGE')
}

function byteLengthOf(parts: RequestAnswer): number {
  let byteLength = 0
  if (parts !== null) for (let i = 0; i < parts.length; i++) byteLength += parts[i]!.length
  return byteLength
}

function releaseRegions(parts: RequestAnswer): void {
  if (parts === null) return
  for (const part of parts) if (!(part instanceof Uint8Array)) part.release()
}
