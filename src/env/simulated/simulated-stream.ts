/**
 * One end of a simulated connection. Until the process takes them, bytes wait with its kernel, which goes on while the
 * process is paused and closes the connection when it is killed; a host that loses power forgets it, and says so only to
 * who sends something when it is back.
 */
import { assert, PagelogError } from '../../base/index.ts'
import { crc32c } from '../../native/index.ts'
import type { Part, Receiver, Stream } from '../network.ts'
import type { Pipe, Segment } from './pipe.ts'
import type { Actor } from './scheduler.ts'
import type { SeededRandom } from './seeded-random.ts'
import { SimulatedOutbox } from './simulated-outbox.ts'
import type { Trace } from './trace.ts'

/** How long `end` waits for the peer to close as well. */
const LINGER_MS = 1000

export interface StreamParts {
  readonly remote: string
  readonly localPort: number
  readonly owner: Actor
  readonly incoming: Pipe
  readonly outgoing: Pipe
  readonly random: SeededRandom
  readonly trace: Trace
  /** Neither the process nor its kernel knows of it any more. */
  readonly onGone: (stream: SimulatedStream) => void
}

export class SimulatedStream implements Stream {
  readonly #parts: StreamParts
  readonly #outbox: SimulatedOutbox
  #inbox: Segment[] = []
  #receiver: Receiver | undefined
  #isReceiving = false
  #isPaused = false
  #isDelivering = false
  #isAsked = false
  /** Nothing is handed to the receiver any more. */
  #isOver = false
  /** The kernel has forgotten it: what comes is answered with a reset. */
  #isGone = false
  #failure: PagelogError | undefined
  #whenEnded: (() => void)[] = []
  #hasEnded = false
  #closing: Promise<void> | undefined
  #ending: Promise<void> | undefined

  constructor(parts: StreamParts) {
    this.#parts = parts
    this.#outbox = new SimulatedOutbox(parts.outgoing, parts.random, (error) => this.#failed(error))
    parts.incoming.onSegment = (segment) => this.#arrived(segment)
  }

  get remote(): string {
    return this.#parts.remote
  }
  get localPort(): number {
    return this.#parts.localPort
  }
  get pendingBytes(): number {
    return this.#outbox.pendingBytes
  }
  /** Host at the other end. */
  get peer(): string {
    return this.#parts.outgoing.to
  }

  receive(receiver: Receiver): void {
    assert(!this.#isReceiving, 'a stream has one receiver')
    this.#isReceiving = true
    this.#receiver = receiver
    this.#ask()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#ask()
  }

  send(parts: readonly Part[]): Promise<void> {
    return this.#outbox.send(parts)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  end(): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  /** The process was killed: its kernel closes what it had. */
  kill(): void {
    if (this.#isGone) return
    this.#vanish()
    this.#parts.outgoing.end(this.#inbox.length > 0 || this.#parts.random.chance(0.5) ? 'reset' : 'end')
  }

  /** The host lost power: nothing that was on its way from here arrives. */
  powerOff(): void {
    this.#vanish()
    this.#parts.outgoing.forget()
  }

  /** The connection breaks: both ends hear of it. */
  reset(): void {
    if (this.#isGone) return
    this.#parts.outgoing.end('reset')
    this.#arrived('reset')
  }

  /** Nothing gets through in either direction any more, and nobody is told. */
  lose(): void {
    this.#parts.outgoing.lose()
    this.#parts.incoming.lose()
  }

  async #close(): Promise<void> {
    this.#isOver = true
    this.#outbox.close(new PagelogError('PAGELOG_DISCONNECTED', `the stream to ${this.remote} is closed`))
    const hasUnread = this.#inbox.some((segment) => segment instanceof Uint8Array)
    if (!this.#isGone) this.#parts.outgoing.end(hasUnread ? 'reset' : 'end')
    this.#vanish()
    await this.#turn()
    this.#tellEnd(this.#failure)
  }

  async #end(): Promise<void> {
    await this.#outbox.drained()
    if (this.#closing === undefined && !this.#isGone) {
      this.#isOver = true
      this.#parts.outgoing.end('end')
      for (const segment of this.#inbox.splice(0)) this.#discard(segment)
      if (!this.#hasEnded && !this.#isGone) await this.#lingered()
    }
    await this.close()
  }

  #lingered(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#parts.owner.after(LINGER_MS, resolve, 'linger')
      this.#whenEnded.push(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#parts.owner.soon(resolve))
  }

  /** The kernel has a segment. */
  #arrived(segment: Segment): void {
    if (this.#isGone) {
      // An end needs no answer, and a reset never has one.
      if (segment instanceof Uint8Array) this.#parts.outgoing.end('reset')
      return
    }
    if (segment === 'reset') {
      this.#vanish()
      this.#inbox = []
      const text = `connection to ${this.remote} failed: it was reset by the peer`
      this.#failure ??= new PagelogError('PAGELOG_DISCONNECTED', text, { retriable: true })
      this.#isOver = true
      this.#ask()
    } else if (this.#isOver) this.#discard(segment)
    else {
      this.#inbox.push(segment)
      if (this.#parts.owner.isPaused) this.#ask()
      else this.#deliver()
    }
  }

  /** Of what comes while we only wait for the peer's end. */
  #discard(segment: Segment): void {
    if (segment instanceof Uint8Array) this.#parts.incoming.read(segment.length)
    else this.#peerEnded()
  }

  #ask(): void {
    if (this.#isAsked) return
    this.#isAsked = true
    const deliver = (): void => {
      this.#isAsked = false
      this.#deliver()
    }
    this.#parts.owner.after(0, deliver, 'receive')
  }

  #deliver(): void {
    if (this.#isDelivering || this.#parts.owner.isDead || this.#receiver === undefined) return
    this.#isDelivering = true
    while (!this.#isPaused && !this.#isOver && this.#inbox.length > 0) {
      const segment = this.#inbox.shift()!
      if (segment instanceof Uint8Array) this.#hand(segment)
      else this.#peerEnded()
    }
    this.#isDelivering = false
    if (this.#failure === undefined) return
    this.#outbox.close(this.#failure)
    this.#tellEnd(this.#failure)
  }

  #hand(segment: Uint8Array): void {
    const { owner, incoming, trace } = this.#parts
    trace.add(owner.monotonicMs(), owner.name, 'bytes', crc32c(segment))
    let from = 0
    while (from < segment.length && !this.#isPaused && !this.#isOver) {
      const room = this.#receiver!.room()
      const count = Math.min(room.length, segment.length - from)
      room.set(segment.subarray(from, from + count))
      from += count
      this.#receiver!.received(count)
    }
    incoming.read(from)
    if (from < segment.length) this.#inbox.unshift(segment.subarray(from))
  }

  /** The peer sends nothing more; we still may. */
  #peerEnded(): void {
    this.#isOver = true
    this.#tellEnd(undefined)
  }

  #tellEnd(error: Error | undefined): void {
    if (this.#hasEnded || this.#parts.owner.isDead) return
    if (this.#receiver === undefined && this.#closing === undefined) return
    this.#hasEnded = true
    this.#receiver?.ended(error)
    for (const ended of this.#whenEnded.splice(0)) ended()
  }

  #failed(error: Error): void {
    this.#failure ??= error instanceof PagelogError ? error : new PagelogError('PAGELOG_STORAGE', error.message)
    void this.close()
  }

  #vanish(): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#parts.onGone(this)
  }
}
