/**
 * Where the bytes of one socket go: straight into the receiver's room (decision 0002), or, where the socket cannot do
 * that, copied there.
 *
 * In place: Node's `onread` option reads into the buffer that a function names. Node asks for it when the handle is
 * made, long before there is a receiver, and again after each read; so the first read of a socket lands in a small
 * buffer that all sockets share, and is copied. A read and its callback are one uninterrupted step, so nobody else can
 * get between them.
 */
import type { Socket } from 'node:net'
import type { Receiver } from '../network.ts'

/** What one socket may receive before others have their turn. */
export const RECEIVE_BYTES_PER_TURN = 512 * 1024

const first = Buffer.allocUnsafeSlow(4096)

export class Intake {
  /** For the constructor of a socket that receives in place. */
  readonly onread = {
    buffer: (): Uint8Array => this.#room(),
    callback: (count: number): boolean => this.#received(count),
  }
  #socket: Socket | undefined
  #receiver: Receiver | undefined
  /** The room that the next read fills; undefined: the shared one. */
  #roomInUse: Uint8Array | undefined
  #paused = false
  #over = false
  #bytesInTurn = 0
  #turnEnds = false
  /** Copying only: bytes that came but were not taken, because of a pause. */
  #rest: Uint8Array | undefined
  #feeding = false
  #endsAfterRest = false

  /** Begins to deliver. `inPlace`: the socket was made with `onread`. */
  start(socket: Socket, receiver: Receiver, inPlace: boolean): void {
    this.#socket = socket
    this.#receiver = receiver
    if (!inPlace) socket.on('data', (chunk: Uint8Array) => this.#feed(chunk))
    socket.on('end', () => {
      if (this.#rest === undefined) this.end()
      else this.#endsAfterRest = true
    })
    if (this.#paused) socket.pause()
    else socket.resume()
  }

  pause(): void {
    this.#paused = true
    this.#socket?.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#over || this.#socket === undefined) return
    if (this.#rest !== undefined && !this.#feeding) {
      const rest = this.#rest
      this.#rest = undefined
      this.#feed(rest)
      if (this.#rest !== undefined) return
      if (this.#endsAfterRest) {
        this.end()
        return
      }
    }
    if (!this.#paused && !this.#turnEnds) this.#socket.resume()
  }

  /** Nothing is delivered from now on, what still comes is dropped; the receiver has yet to hear of the end. */
  stop(): void {
    this.#over = true
    this.#rest = undefined
    this.#socket?.pause()
  }

  /** Tells the receiver, once, that nothing more comes; its memory is not touched after this. */
  end(error?: Error): void {
    this.stop()
    const receiver = this.#receiver
    this.#receiver = undefined
    receiver?.ended(error)
  }

  #room(): Uint8Array {
    if (this.#receiver === undefined || this.#over) this.#roomInUse = undefined
    else this.#roomInUse = this.#receiver.room()
    return this.#roomInUse ?? first
  }

  #received(count: number): boolean {
    if (this.#over) return true
    if (this.#roomInUse === undefined) this.#feed(first.subarray(0, count))
    else this.#receiver?.received(count)
    return this.#budget(count)
  }

  /** False when the socket has had its share of this turn; it goes on in the next. */
  #budget(count: number): boolean {
    if (this.#turnEnds) return false
    if (this.#bytesInTurn === 0) setImmediate(Intake.#newTurn, this)
    this.#bytesInTurn += count
    this.#turnEnds = this.#bytesInTurn >= RECEIVE_BYTES_PER_TURN
    return !this.#turnEnds
  }

  static #newTurn(intake: Intake): void {
    intake.#bytesInTurn = 0
    if (!intake.#turnEnds) return
    intake.#turnEnds = false
    if (!intake.#paused && !intake.#over) intake.#socket?.resume()
  }

  /** Copies `chunk` into the receiver's rooms, as far as it is not paused. */
  #feed(chunk: Uint8Array): void {
    this.#feeding = true
    let from = 0
    while (from < chunk.length && !this.#paused && this.#receiver !== undefined && !this.#over) {
      const room = this.#receiver.room()
      const count = Math.min(room.length, chunk.length - from)
      room.set(from === 0 && count === chunk.length ? chunk : chunk.subarray(from, from + count))
      from += count
      this.#receiver.received(count)
    }
    this.#feeding = false
    if (from < chunk.length && !this.#over) this.#rest = new Uint8Array(chunk.subarray(from))
  }
}
