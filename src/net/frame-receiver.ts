/**
 * Cuts a stream into frames and has each of them in one piece, received where it stays:
 *
 *   int32 length · length bytes
 *
 * Between frames a connection has no memory: what comes lands in the pool's scratch, and small whole frames are copied
 * out of it. A frame that goes on gets a slab, its beginning is moved there, and the rest is received into the slab,
 * with all that follows it. How much memory a peer gets depends on what came of it, not on what it announced: at most
 * four times the bytes it has sent of this frame, or as much as the largest frame that it ever completed.
 *
 * Room and memory: whoever reads may still hold the last `room()`; so a slab is given back, or left for another, only
 * within `received` and `ended`, or while the room that was given last is the scratch.
 */
import { assert, PagelogError } from '../base/index.ts'
import type { Receiver, Stream } from '../env/index.ts'
import { type Borrower, PETTY_BYTES, type Slab, type SlabPool, TAIL_BYTES_MIN } from './slab-pool.ts'

const PREFIX_BYTES = 4
/** A frame has a correlation id at least. */
const FRAME_BYTES_MIN = 4
const GROWTH = 4
/** One read takes no more, so that a turn stays short. */
const ROOM_BYTES_MAX = 1024 * 1024
const OWN_BYTES_MIN = 128

/** One message without its length. `bytes` are valid until `release`, which may be called more than once. */
export interface Frame {
  readonly bytes: Uint8Array
  release(): void
}

export interface FrameReceiverOptions {
  readonly maxFrameBytes: number
  readonly pool: SlabPool
  /** Takes the frame over: it must be released by whoever has it. */
  readonly onFrame: (frame: Frame) => void
  /**
   * Called once, nothing follows. Errors: PAGELOG_TOO_LARGE, PAGELOG_PROTOCOL (no such length), PAGELOG_TIMED_OUT (a peer
   * that stalls while memory is short), PAGELOG_DISCONNECTED (also: ended within a frame). The stream must be closed then.
   */
  readonly onEnd: (error?: Error) => void
  /** Frames up to here get their memory as soon as they are announced; for a peer that one has chosen oneself. */
  readonly trustedBytes?: number
}

export class FrameReceiver implements Receiver, Borrower {
  readonly #options: FrameReceiverOptions
  readonly #pool: SlabPool
  #stream: Stream | undefined
  /** What is being cut: the slab's bytes, or the scratch. */
  #bytes: Uint8Array
  #slab: Slab | undefined
  #start = 0
  #end = 0
  #trustedBytes: number
  /** The room given last is in the slab. */
  #roomInSlab = false
  #roomEnd = 0
  #waiting = false
  #cutting = false
  #over = false
  paused = false
  activeTick = 0

  constructor(options: FrameReceiverOptions) {
    this.#options = options
    this.#pool = options.pool
    this.#bytes = options.pool.scratch
    this.#trustedBytes = options.trustedBytes ?? 0
  }

  /** Receives from `stream` from now on. */
  start(stream: Stream): void {
    assert(this.#stream === undefined, 'a frame receiver has one stream')
    this.#stream = stream
    if (this.paused) stream.pause()
    stream.receive(this)
  }

  /** No frame is delivered until `resume`; what has arrived waits. */
  pause(): void {
    this.paused = true
    this.#stream?.pause()
  }

  resume(): void {
    if (!this.paused || this.#over) return
    this.paused = false
    if (!this.#roomInSlab) this.#cut(false)
    if (!this.paused && !this.#waiting) this.#stream?.resume()
  }

  room(): Uint8Array {
    const slab = this.#slab
    this.#roomInSlab = slab !== undefined && !this.#waiting && !this.paused && this.#end < slab.bytes.length
    if (!this.#roomInSlab) return this.#pool.scratch
    this.#roomEnd = Math.min(this.#bytes.length, this.#end + ROOM_BYTES_MAX)
    return this.#bytes.subarray(this.#end, this.#roomEnd)
  }

  received(count: number): void {
    this.activeTick = this.#pool.tick
    if (this.#over) return
    const { scratch } = this.#pool
    if (this.#roomInSlab) {
      this.#roomInSlab = false
      this.#end += count
      this.#cut(this.#end === this.#roomEnd)
    } else this.#receivedInScratch(count, count === scratch.length)
  }

  ended(error?: Error): void {
    const unfinished = this.#end - this.#start
    this.#roomInSlab = false
    this.#letGo()
    if (this.#over) return
    const truncated = unfinished > 0 && error === undefined
    this.#finish(
      truncated ? new PagelogError('PAGELOG_DISCONNECTED', `the stream ended ${unfinished} bytes into a frame`) : error,
    )
  }

  granted(slab: Slab): void {
    this.#waiting = false
    this.activeTick = this.#pool.tick
    this.#moveTo(slab)
    if (!this.paused) this.#stream?.resume()
  }

  stalled(): void {
    this.#finish(new PagelogError('PAGELOG_TIMED_OUT', 'the peer stalled within a frame while memory was short'))
  }

  /** Behind what the slab holds already; what is more than it can take is cut from the scratch. */
  #receivedInScratch(count: number, filled: boolean): void {
    const { scratch } = this.#pool
    let from = 0
    while (from < count && !this.#over) {
      if (this.#slab === undefined) {
        this.#bytes = scratch
        this.#start = from
        this.#end = count
        from = count
      } else {
        if (this.#end === this.#bytes.length) this.#moveTo(this.#pool.leasePetty(this, this.#held() + count - from))
        const taken = Math.min(count - from, this.#bytes.length - this.#end)
        this.#bytes.set(scratch.subarray(from, from + taken), this.#end)
        this.#end += taken
        from += taken
      }
      this.#cut(filled)
    }
  }

  #held(): number {
    return this.#end - this.#start
  }

  /** Delivers every whole frame, then sees to the memory for the rest. */
  #cut(filled: boolean): void {
    // A frame's owner may pause and resume us from within `onFrame`: the loop below sees it.
    if (this.#cutting) return
    this.#cutting = true
    while (!this.paused && !this.#over && this.#held() >= PREFIX_BYTES) {
      const length = this.#announced()
      if (!this.#isAllowed(length)) break
      const from = this.#start + PREFIX_BYTES
      if (this.#end - from < length) break
      this.#start = from + length
      if (PREFIX_BYTES + length > this.#trustedBytes) this.#trustedBytes = PREFIX_BYTES + length
      const frame = this.#frame(from, from + length)
      this.#pool.completed(this)
      this.#options.onFrame(frame)
    }
    this.#cutting = false
    if (this.#over) this.#letGo()
    else this.#arrange(filled)
  }

  #announced(): number {
    const bytes = this.#bytes
    const at = this.#start
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }

  #isAllowed(length: number): boolean {
    const { maxFrameBytes } = this.#options
    if (length >= FRAME_BYTES_MIN && length <= maxFrameBytes) return true
    const code = length > maxFrameBytes ? 'PAGELOG_TOO_LARGE' : 'PAGELOG_PROTOCOL'
    this.#start = this.#end
    this.#finish(
      new PagelogError(code, `a frame of ${length} bytes; ${FRAME_BYTES_MIN} to ${maxFrameBytes} are allowed`),
    )
    return false
  }

  #frame(from: number, to: number): Frame {
    if (this.#slab !== undefined) return new SlabFrame(this.#pool, this.#slab, from, to)
    const bytes = Buffer.allocUnsafe(to - from)
    bytes.set(this.#bytes.subarray(from, to))
    return { bytes, release: nothing }
  }

  /** `filled`: all the room was used, so there is probably more to come at once. */
  #arrange(filled: boolean): void {
    const held = this.#held()
    if (held === 0) {
      const keeps = filled && this.#pool.waiting === 0 && this.#bytes.length - this.#end >= TAIL_BYTES_MIN
      if (this.#slab !== undefined && !keeps) this.#letGo()
      return
    }
    if (this.paused || this.#waiting) {
      if (this.#slab === undefined) this.#moveTo(this.#pool.leasePetty(this, held))
      return
    }
    const needed = held < PREFIX_BYTES ? PREFIX_BYTES : PREFIX_BYTES + this.#announced()
    const room = this.#slab === undefined ? 0 : this.#bytes.length - this.#start
    if (room > held && room >= Math.min(needed, this.#trustedBytes)) return
    this.#grow(needed, held, filled)
  }

  /** Moves the unfinished frame to where more of it fits; or waits for that. */
  #grow(needed: number, held: number, filled: boolean): void {
    const { slabBytes } = this.#pool
    const trusted = needed <= this.#trustedBytes
    const shared = trusted && needed <= slabBytes && (filled || needed > PETTY_BYTES)
    const wanted = trusted ? needed : Math.min(needed, Math.max(this.#trustedBytes, GROWTH * held, OWN_BYTES_MIN))
    const wish = { room: Math.max(wanted, shared ? TAIL_BYTES_MIN : OWN_BYTES_MIN), shared }
    this.#waiting = true
    const slab = this.#pool.lease(this, wish)
    if (slab !== undefined) {
      this.#waiting = false
      this.#moveTo(slab)
      return
    }
    // `granted` may have been called already.
    if (!this.#waiting) return
    // The scratch is not ours beyond this call.
    if (this.#slab === undefined) this.#moveTo(this.#pool.leasePetty(this, held))
    this.#stream?.pause()
  }

  #moveTo(slab: Slab): void {
    const from = this.#slab
    const held = this.#held()
    const at = slab.end
    slab.bytes.set(this.#bytes.subarray(this.#start, this.#end), at)
    const filledTo = this.#start
    this.#slab = slab
    this.#bytes = slab.bytes
    this.#start = at
    this.#end = at + held
    if (from !== undefined) this.#pool.giveBack(from, filledTo)
  }

  /** Between frames, or at the end: no memory. */
  #letGo(): void {
    const slab = this.#slab
    const filledTo = this.#start
    this.#slab = undefined
    this.#bytes = this.#pool.scratch
    this.#start = 0
    this.#end = 0
    if (slab !== undefined) this.#pool.giveBack(slab, filledTo)
    this.#pool.left(this)
  }

  #finish(error: Error | undefined): void {
    if (this.#over) return
    this.#over = true
    this.#pool.left(this)
    this.#options.onEnd(error)
  }
}

class SlabFrame implements Frame {
  readonly bytes: Uint8Array
  readonly #pool: SlabPool
  #slab: Slab | undefined

  constructor(pool: SlabPool, slab: Slab, from: number, to: number) {
    this.bytes = slab.bytes.subarray(from, to)
    this.#pool = pool
    this.#slab = slab
    pool.frameOut(slab)
  }

  release(): void {
    const slab = this.#slab
    if (slab === undefined) return
    this.#slab = undefined
    this.#pool.frameReleased(slab)
  }
}

function nothing(): void {}
