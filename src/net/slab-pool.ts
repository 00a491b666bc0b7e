/**
 * Slabs: the memory that frames are received into, used again and again, and bounded.
 *
 * A receiver *leases* a slab, alone, for as long as it fills it. Frames in it hold it beyond that, each until released.
 * What a lease leaves empty at the slab's end serves the next lease. Frames larger than a slab, and those of peers that
 * have not yet shown that they mean what they announce, get memory of their own.
 *
 * The bound. `heldBytes` counts whole slabs that are leased or have frames. Beyond `maxBytes`:
 *   1  a receiver that needs more memory waits: its stream is paused, the queue is first come, first served;
 *   2  it goes on when frames are released. So a frame must never be held while waiting for another client's bytes
 *      (a produce request: until it is written, not until it is replicated), or everything waits for ever;
 *   3  when no frame is out, so that none can come back, unfinished frames hold it all. Then the first in the queue gets
 *      memory beyond the bound until its frame is complete: one at a time, so the excess is one frame at most;
 *   4  while anyone waits, a peer that leaves an unfinished frame without a byte for a whole `stallMs` is dropped.
 *      By 3 and 4 there is always one that goes on.
 * Up to `PETTY_BYTES` are never refused: a small request (fetch, metadata, heartbeat) gets through whatever producers do.
 *
 * With `countsDelivered` false, for clients, delivered frames are no longer counted: the application may keep them as
 * long as it likes, even for ever; they are bounded by what it asks for. A slab that is released comes back to be used
 * again; one that never is, is simply collected as garbage.
 */
import { assert } from '../base/index.ts'
import type { Clock, Timer } from '../env/index.ts'

export const SLAB_BYTES = 1024 * 1024
const POOL_BYTES_MAX = 256 * 1024 * 1024
const STALL_MS = 5000
/** Where bytes go that nobody has memory for yet: shared by all receivers, used only between a read and its callback. */
const SCRATCH_BYTES = 16 * 1024
/** Requests for memory up to here are never refused. */
export const PETTY_BYTES = 4 * SCRATCH_BYTES
/** An end of a slab shorter than this is not leased again. */
export const TAIL_BYTES_MIN = 64 * 1024
const OPEN_SLABS_MAX = 8
const SHARED_BYTES_MAX = 2048
const FREE_BYTES_MAX = 64 * 1024 * 1024

export interface SlabPoolOptions {
  readonly slabBytes?: number
  /** The bound; see above. */
  readonly maxBytes?: number
  /** Whether frames count until they are released, or only until they are delivered. */
  readonly countsDelivered?: boolean
  /** Without it rule 4 does not hold. */
  readonly clock?: Clock
  readonly stallMs?: number
}

/** Who leases. */
export interface Borrower {
  /** The pool's `tick` when bytes came last. */
  readonly activeTick: number
  /** True when it does not read for a reason of its own: then nobody can say that its peer stalls. */
  readonly paused: boolean
  /** The memory that it waits for is there. */
  granted(slab: Slab): void
  /** Rule 4. */
  stalled(): void
}

/** What is asked for: `room` bytes, at the end of a slab that others use too (`shared`), or in memory of their own. */
export interface Wish {
  readonly room: number
  readonly shared: boolean
}

export class Slab {
  readonly bytes: Uint8Array
  /** Up to here it is filled with frames. */
  end = 0
  frames = 0
  leased = false
  counted = false

  constructor(byteLength: number) {
    // Small ones share Node's own little pool: an allocation apiece would cost more than the bytes.
    this.bytes = byteLength <= SHARED_BYTES_MAX ? Buffer.allocUnsafe(byteLength) : Buffer.allocUnsafeSlow(byteLength)
  }
}

export class SlabPool {
  readonly slabBytes: number
  readonly maxBytes: number
  /** See {@link SCRATCH_BYTES}. */
  readonly scratch: Uint8Array = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  readonly #countsDelivered: boolean
  readonly #clock: Clock | undefined
  readonly #stallMs: number
  readonly #free: Slab[] = []
  #freeBytes = 0
  /** Slabs with frames and an end that can be leased. */
  readonly #open: Slab[] = []
  readonly #borrowers = new Set<Borrower>()
  readonly #waiting = new Map<Borrower, Wish>()
  #heldBytes = 0
  #framesOut = 0
  #overdrawn: Borrower | undefined
  #serving = false
  #stallTimer: Timer | undefined
  /** Counts the periods of rule 4. */
  tick = 0

  constructor(options: SlabPoolOptions = {}) {
    this.slabBytes = options.slabBytes ?? SLAB_BYTES
    this.maxBytes = options.maxBytes ?? POOL_BYTES_MAX
    this.#countsDelivered = options.countsDelivered ?? true
    this.#clock = options.clock
    this.#stallMs = options.stallMs ?? STALL_MS
    assert(this.slabBytes >= 2 * SCRATCH_BYTES, 'a slab must have room for what the scratch brings')
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Memory kept for the next lease. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Frames that count and are not released. */
  get framesOut(): number {
    return this.#framesOut
  }

  /** A slab with at least `wish.room` bytes behind its `end`; or undefined: `granted` will be called. */
  lease(borrower: Borrower, wish: Wish): Slab | undefined {
    if (this.#waiting.size === 0 || borrower === this.#overdrawn || wish.room <= PETTY_BYTES) {
      const slab = this.#tryLease(borrower, wish)
      if (slab !== undefined) return slab
    }
    this.#waiting.set(borrower, wish)
    this.#watchStalls()
    this.#serve()
    return undefined
  }

  /** Memory of `room` bytes whatever is held; for what has been received already. */
  leasePetty(borrower: Borrower, room: number): Slab {
    return this.#handOut(borrower, new Slab(room))
  }

  /** The lease ends; `end`: so far the slab is filled. Nothing may be received into it any more. */
  giveBack(slab: Slab, end: number): void {
    slab.leased = false
    slab.end = end
    if (!this.#countsDelivered) this.#uncount(slab)
    if (slab.frames === 0) this.#recycle(slab)
    else if (this.#isShared(slab) && slab.bytes.length - end >= TAIL_BYTES_MIN && this.#open.length < OPEN_SLABS_MAX) {
      this.#open.push(slab)
    }
    this.#serve()
  }

  /** A frame is complete: if it was the one that had memory beyond the bound, another may. */
  completed(borrower: Borrower): void {
    if (this.#overdrawn !== borrower) return
    this.#overdrawn = undefined
    this.#serve()
  }

  /** The borrower has no lease and wants none. */
  left(borrower: Borrower): void {
    this.#borrowers.delete(borrower)
    this.#waiting.delete(borrower)
    this.completed(borrower)
  }

  frameOut(slab: Slab): void {
    slab.frames++
    if (this.#countsDelivered) this.#framesOut++
  }

  frameReleased(slab: Slab): void {
    assert(slab.frames > 0, 'a frame was released that nobody held')
    slab.frames--
    if (this.#countsDelivered) this.#framesOut--
    if (slab.frames === 0 && !slab.leased) this.#recycle(slab)
    this.#serve()
  }

  #isShared(slab: Slab): boolean {
    return slab.bytes.length === this.slabBytes
  }

  #tryLease(borrower: Borrower, wish: Wish): Slab | undefined {
    const wholeSlabs = this.#sizeFor(wish)
    const petty = wish.room <= PETTY_BYTES
    if (wish.shared) {
      const open = this.#open.findLastIndex(({ bytes, end }) => bytes.length - end >= wish.room)
      // One that counts already costs nothing.
      if (open >= 0 && (this.#open[open]!.counted || this.#heldBytes + wholeSlabs <= this.maxBytes)) {
        return this.#handOut(borrower, this.#open.splice(open, 1)[0]!)
      }
    }
    const isRefused = petty ? this.#heldBytes + wholeSlabs > this.maxBytes : !this.#admits(borrower, wholeSlabs)
    if (isRefused && !petty) return undefined
    const byteLength = isRefused ? wish.room : wholeSlabs
    const free =
      byteLength < this.slabBytes ? -1 : this.#free.findLastIndex(({ bytes }) => fits(bytes.length, byteLength))
    if (free >= 0) {
      const slab = this.#free.splice(free, 1)[0]!
      this.#freeBytes -= slab.bytes.length
      return this.#handOut(borrower, slab)
    }
    while (this.#free.length > 0 && this.#heldBytes + this.#freeBytes + byteLength > this.maxBytes) {
      this.#freeBytes -= this.#free.shift()!.bytes.length
    }
    return this.#handOut(borrower, new Slab(byteLength))
  }

  /** Sizes that can be used again: whole slabs. */
  #sizeFor(wish: Wish): number {
    if (!wish.shared && wish.room < this.slabBytes) return wish.room
    return Math.ceil(wish.room / this.slabBytes) * this.slabBytes
  }

  #admits(borrower: Borrower, byteLength: number): boolean {
    if (this.#heldBytes + byteLength <= this.maxBytes || this.#overdrawn === borrower) return true
    if (this.#framesOut > 0 || this.#overdrawn !== undefined) return false
    this.#overdrawn = borrower
    return true
  }

  #handOut(borrower: Borrower, slab: Slab): Slab {
    slab.leased = true
    if (!slab.counted) {
      slab.counted = true
      this.#heldBytes += slab.bytes.length
    }
    this.#borrowers.add(borrower)
    return slab
  }

  #uncount(slab: Slab): void {
    if (!slab.counted) return
    slab.counted = false
    this.#heldBytes -= slab.bytes.length
  }

  #recycle(slab: Slab): void {
    this.#uncount(slab)
    const open = this.#open.indexOf(slab)
    if (open >= 0) this.#open.splice(open, 1)
    slab.end = 0
    const { length } = slab.bytes
    if (length % this.slabBytes !== 0) return
    if (this.#freeBytes + length > Math.min(FREE_BYTES_MAX, this.maxBytes)) return
    this.#free.push(slab)
    this.#freeBytes += length
  }

  #serve(): void {
    if (this.#serving || this.#waiting.size === 0) return
    this.#serving = true
    for (const [borrower, wish] of this.#waiting) {
      const slab = this.#tryLease(borrower, wish)
      if (slab === undefined) break
      this.#waiting.delete(borrower)
      borrower.granted(slab)
    }
    this.#serving = false
  }

  #watchStalls(): void {
    if (this.#clock === undefined || this.#stallTimer !== undefined) return
    this.#stallTimer = this.#clock.after(this.#stallMs, () => {
      this.#stallTimer = undefined
      if (this.#waiting.size === 0) return
      this.tick++
      const stalled = [...this.#borrowers].filter(
        (borrower) => !this.#waiting.has(borrower) && !borrower.paused && borrower.activeTick < this.tick - 1,
      )
      for (const borrower of stalled) borrower.stalled()
      this.#watchStalls()
    })
  }
}

/** A free slab may be twice as large as needed, no more. */
function fits(byteLength: number, wanted: number): boolean {
  return byteLength >= wanted && byteLength <= 2 * wanted
}
