/**
 * One direction of a simulated connection: what the two kernels and the wire between them hold. Bytes arrive in order,
 * all or none; the sender may be ahead of the receiver by so many bytes, then it has to wait.
 */
import type { Links } from './links.ts'
import type { Actor } from './scheduler.ts'

/** What is on the wire: bytes, the sender's end, or its refusal to go on. */
export type Segment = Uint8Array | 'end' | 'reset'

export interface PipeEnds {
  readonly from: string
  readonly to: string
  readonly world: Actor
  readonly links: Links
  readonly capacityBytes: number
}

export class Pipe {
  readonly #ends: PipeEnds
  /** Taken from the sender and, as far as it knows, not read by the receiver. */
  #heldBytes = 0
  #lastDueMs = 0
  /** They came to a cut, in order. */
  #stopped: Segment[] = []
  #unheard = 0
  #isOver = false
  /** What was sent in an earlier one does not arrive. */
  #generation = 0
  #isLost = false
  /** A segment arrives. */
  onSegment: (segment: Segment) => void = () => {}
  /** There is room again after there was none. */
  onRoom: () => void = () => {}

  constructor(ends: PipeEnds) {
    this.#ends = ends
  }

  get to(): string {
    return this.#ends.to
  }
  /** Bytes that the kernel would take now. */
  get room(): number {
    return this.#ends.capacityBytes - this.#heldBytes
  }

  /** At most `room` bytes; they are the pipe's from now on. */
  send(bytes: Uint8Array): void {
    this.#heldBytes += bytes.length
    this.#carry(bytes, bytes.length)
  }

  /** Nothing comes after this. */
  end(how: 'end' | 'reset'): void {
    if (this.#isOver && how === 'end') return
    this.#isOver = true
    this.#carry(how, 0)
  }

  /** The receiver has read `count` bytes; the sender hears of it unless the way back is cut. */
  read(count: number): void {
    const { from, to, links } = this.#ends
    if (links.isOpen(to, from)) this.#acknowledge(count)
    else if (this.#unheard > 0) this.#unheard += count
    else {
      this.#unheard = count
      links.whenOpen(to, from, () => {
        const heard = this.#unheard
        this.#unheard = 0
        this.read(heard)
      })
    }
  }

  /** What is on its way is lost, with the host it came from. */
  forget(): void {
    this.#generation++
    this.#stopped = []
  }

  /** From now on nothing arrives any more, and nobody is told. */
  lose(): void {
    this.forget()
    this.#isLost = true
  }

  #acknowledge(count: number): void {
    const hadRoom = this.room > 0
    this.#heldBytes -= count
    if (!hadRoom) this.#ends.world.after(0, () => this.onRoom(), 'room')
  }

  #carry(segment: Segment, bytes: number): void {
    const { from, to, world, links } = this.#ends
    const nowMs = world.monotonicMs()
    const byteMs = links.bytesMs(from, to, bytes)
    this.#lastDueMs = byteMs + Math.max(this.#lastDueMs, nowMs + links.delayMs(from, to))
    const generation = this.#generation
    world.after(this.#lastDueMs - nowMs, () => this.#arrive(segment, generation), 'segment')
  }

  #arrive(segment: Segment, generation: number): void {
    if (this.#isLost || generation !== this.#generation) return
    const { from, to, links } = this.#ends
    if (this.#stopped.length === 0 && links.isOpen(from, to)) this.onSegment(segment)
    else if (this.#stopped.push(segment) === 1) links.whenOpen(from, to, () => this.#arriveAgain())
  }

  #arriveAgain(): void {
    const { from, to, links } = this.#ends
    if (!links.isOpen(from, to)) links.whenOpen(from, to, () => this.#arriveAgain())
    else for (const segment of this.#stopped.splice(0)) this.onSegment(segment)
  }
}
