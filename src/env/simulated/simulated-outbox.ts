/** What a simulated stream has been given to send and its kernel has not taken; regions are read from their files here. */
import type { FileRegion } from '../disk.ts'
import type { Part } from '../network.ts'
import type { Pipe } from './pipe.ts'
import type { SeededRandom } from './seeded-random.ts'

const SEGMENT_BYTES = 64 * 1024
/** Share of segments that end somewhere before their end. */
const SPLITS = 0.1

interface Sending {
  readonly parts: readonly Part[]
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  index: number
  position: number
}

export class SimulatedOutbox {
  readonly #pipe: Pipe
  readonly #random: SeededRandom
  readonly #onFailure: (error: Error) => void
  readonly #onDrained: (() => void)[] = []
  #queue: Sending[] = []
  #pendingBytes = 0
  #isAsked = false
  /** A region of the first sending is being read. */
  #reading: FileRegion | undefined
  #closed: Error | undefined

  /** `onFailure`: what was promised cannot be sent. */
  constructor(pipe: Pipe, random: SeededRandom, onFailure: (error: Error) => void) {
    this.#pipe = pipe
    this.#random = random
    this.#onFailure = onFailure
    pipe.onRoom = () => this.#push()
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  send(parts: readonly Part[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) {
        for (const part of parts) releaseRegion(part)
        return reject(this.#closed)
      }
      for (const part of parts) this.#pendingBytes += part.length
      this.#queue.push({ parts, resolve, reject, index: 0, position: 0 })
      if (this.#isAsked) return
      this.#isAsked = true
      queueMicrotask(() => this.#push())
    })
  }

  /** Resolves when nothing is left to send, or nothing can be sent any more. */
  drained(): Promise<void> {
    if (this.#queue.length === 0 || this.#closed !== undefined) return Promise.resolve()
    return new Promise((resolve) => this.#onDrained.push(resolve))
  }

  /** Drops what is not sent and rejects it with `error`. */
  close(error: Error): void {
    if (this.#closed !== undefined) return
    this.#closed = error
    for (const sending of this.#queue.splice(0)) {
      for (const part of sending.parts.slice(sending.index)) if (part !== this.#reading) releaseRegion(part)
      sending.reject(error)
    }
    this.#pendingBytes = 0
    for (const drained of this.#onDrained.splice(0)) drained()
  }

  #push(): void {
    this.#isAsked = false
    while (this.#queue.length > 0 && this.#reading === undefined && this.#pipe.room > 0) {
      const wanted = Math.min(this.#pipe.room, SEGMENT_BYTES)
      const limit = this.#random.chance(SPLITS) ? 1 + this.#random.below(wanted) : wanted
      const pieces = this.#gather(limit)
      if (pieces === undefined) return
      if (pieces.length > 0) this.#pipe.send(joined(pieces))
    }
    if (this.#queue.length === 0) for (const drained of this.#onDrained.splice(0)) drained()
  }

  /** The next bytes, `limit` at most; undefined when a device has to be waited for. */
  #gather(limit: number): Uint8Array[] | undefined {
    const pieces: Uint8Array[] = []
    for (let left = limit; left > 0 && this.#queue.length > 0; ) {
      const sending = this.#queue[0]!
      const part = sending.parts[sending.index]
      if (part === undefined) {
        this.#queue.shift()
        sending.resolve()
        continue
      }
      const count = Math.min(left, part.length - sending.position)
      if (part instanceof Uint8Array) pieces.push(part.subarray(sending.position, sending.position + count))
      else if (count > 0) {
        if (pieces.length > 0) break
        const piece = new Uint8Array(count)
        if (part.file.tryRead(piece, part.position + sending.position) < count) {
          void this.#read(part, sending, piece)
          return undefined
        }
        pieces.push(piece)
      }
      left -= count
      this.#pass(sending, part, count)
    }
    // Those that end here are done now, not when there is more to send.
    while (this.#queue[0]?.index === this.#queue[0]?.parts.length && this.#queue.length > 0)
      this.#queue.shift()!.resolve()
    return pieces
  }

  #pass(sending: Sending, part: Part, count: number): void {
    sending.position += count
    this.#pendingBytes -= count
    if (sending.position < part.length) return
    sending.index++
    sending.position = 0
    releaseRegion(part)
  }

  async #read(region: FileRegion, sending: Sending, piece: Uint8Array): Promise<void> {
    this.#reading = region
    let failure: Error | undefined
    try {
      const count = await region.file.read(piece, region.position + sending.position)
      if (count < piece.length) failure = new Error('the file is shorter than the region')
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
    }
    this.#reading = undefined
    if (this.#closed !== undefined) region.release()
    else if (failure !== undefined) this.#onFailure(failure)
    else {
      this.#pass(sending, region, piece.length)
      this.#pipe.send(piece)
      this.#push()
    }
  }
}

function releaseRegion(part: Part): void {
  if (!(part instanceof Uint8Array)) part.release()
}

/** A copy: what was sent may change when it is taken. */
function joined(pieces: readonly Uint8Array[]): Uint8Array {
  let byteLength = 0
  for (const piece of pieces) byteLength += piece.length
  const bytes = new Uint8Array(byteLength)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}
