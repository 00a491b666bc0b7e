import { describe, expect, test } from 'vitest'
import type { PagelogError } from '../../src/base/index.ts'
import type { Clock } from '../../src/env/index.ts'
import { type Frame, FrameReceiver, SlabPool } from '../../src/net/index.ts'
import { FakeStream, framed } from './fake-stream.ts'

const KiB = 1024
const MiB = 1024 * 1024

/** Timers run when told to. */
class HandClock implements Clock {
  readonly #due: (() => void)[] = []
  nowMs(): number {
    return 0
  }
  monotonicMs(): number {
    return 0
  }
  after(_delayMs: number, callback: () => void) {
    this.#due.push(callback)
    return { cancel: () => {} }
  }
  every() {
    return { cancel: () => {} }
  }
  soon(callback: () => void): void {
    callback()
  }
  pass(): void {
    for (const callback of this.#due.splice(0)) callback()
  }
}

class Peer {
  readonly stream = new FakeStream()
  readonly frames: Frame[] = []
  readonly receiver: FrameReceiver
  error: Error | undefined
  ended = false

  constructor(pool: SlabPool, maxFrameBytes = 16 * MiB) {
    this.receiver = new FrameReceiver({
      maxFrameBytes,
      pool,
      onFrame: (frame) => this.frames.push(frame),
      onEnd: (error) => {
        this.error = error
        this.ended = true
        this.stream.end_()
      },
    })
    this.receiver.start(this.stream)
  }

  /** Sends, and reads until nothing is left or reading is paused. */
  sends(bytes: Uint8Array): this {
    this.stream.arrive(bytes)
    this.stream.readAll(64 * KiB)
    return this
  }

  releaseAll(): void {
    for (const frame of this.frames.splice(0)) frame.release()
  }
}

/** Turns of reading for everybody until nobody gets on; frames are released at once. */
function settle(peers: readonly Peer[]): void {
  for (let moved = true; moved; ) {
    moved = false
    for (const peer of peers) {
      if (peer.stream.read(64 * KiB)) moved = true
      if (peer.frames.length > 0) moved = true
      peer.releaseAll()
    }
  }
}

describe('the bound', () => {
  test('beyond it a stream is paused; it goes on when a frame is released', () => {
    const pool = new SlabPool({ maxBytes: 4 * MiB })
    const first = new Peer(pool).sends(framed(3 * MiB))
    expect(first.frames.length).toBe(1)
    const second = new Peer(pool).sends(framed(3 * MiB, 2))
    expect(second.frames.length).toBe(0)
    expect(second.stream.paused).toBe(true)
    expect(pool.waiting).toBe(1)
    first.releaseAll()
    settle([second])
    expect(second.stream.unread).toBe(0)
    expect(pool.heldBytes).toBe(0)
  })

  test('whoever waited first is served first', () => {
    const pool = new SlabPool({ maxBytes: 4 * MiB })
    const holder = new Peer(pool).sends(framed(4 * MiB - 100))
    const peers = Array.from({ length: 5 }, (_, i) => new Peer(pool).sends(framed(2 * MiB, i)))
    expect(peers.map(({ stream }) => stream.paused)).toEqual([true, true, true, true, true])
    holder.releaseAll()
    const order: number[] = []
    for (let round = 0; round < 1000 && order.length < 5; round++) {
      for (const [i, peer] of peers.entries()) {
        peer.stream.readAll(64 * KiB)
        if (peer.frames.length > 0) order.push(i)
        peer.releaseAll()
      }
    }
    expect(order[0]).toBe(0)
    expect([...order].sort()).toEqual([0, 1, 2, 3, 4])
  })

  test('unfinished frames that hold everything all come to their end', () => {
    const pool = new SlabPool({ maxBytes: 8 * MiB })
    const peers = Array.from({ length: 20 }, (_, i) => {
      const peer = new Peer(pool)
      peer.stream.arrive(framed(5 * MiB, i))
      return peer
    })
    let peak = 0
    let complete = 0
    for (let round = 0; round < 5000 && complete < 20; round++) {
      for (const peer of peers) {
        peer.stream.read(64 * KiB)
        peak = Math.max(peak, pool.heldBytes)
        complete += peer.frames.length
        peer.releaseAll()
      }
    }
    expect(complete).toBe(20)
    // The bound, the one frame beyond it, and the petty beginnings of the others.
    expect(peak).toBeLessThanOrEqual(8 * MiB + 6 * MiB + 20 * 64 * KiB)
    expect(pool.heldBytes).toBe(0)
  })

  test('small requests get through while all memory is held', () => {
    const pool = new SlabPool({ maxBytes: 2 * MiB })
    new Peer(pool).sends(framed(2 * MiB - 100))
    const waiting = new Peer(pool).sends(framed(MiB))
    expect(waiting.stream.paused).toBe(true)
    const small = new Peer(pool)
    for (let i = 0; i < 100; i++) small.sends(framed(100, i))
    small.stream.arrive(framed(30 * KiB))
    small.stream.readAll(1000)
    expect(small.frames.length).toBe(101)
  })

  test('a peer that stalls while others wait is dropped, one that is slow is not', () => {
    const clock = new HandClock()
    const pool = new SlabPool({ maxBytes: 4 * MiB, clock })
    const stalled = new Peer(pool).sends(framed(4 * MiB).subarray(0, 3 * MiB))
    const slow = new Peer(pool).sends(framed(300 * KiB).subarray(0, 100))
    const waiting = new Peer(pool).sends(framed(4 * MiB))
    expect(waiting.stream.paused || waiting.stream.unread === 0).toBe(true)
    for (let i = 0; i < 6 && !stalled.ended; i++) {
      clock.pass()
      slow.sends(Buffer.from([i]))
      waiting.stream.readAll(64 * KiB)
    }
    expect((stalled.error as PagelogError).code).toBe('PAGELOG_TIMED_OUT')
    settle([waiting])
    expect(waiting.stream.unread).toBe(0)
    expect(slow.ended).toBe(false)
  })

  test('nobody is dropped while memory is not short', () => {
    const clock = new HandClock()
    const pool = new SlabPool({ maxBytes: 64 * MiB, clock })
    const stalled = new Peer(pool).sends(framed(4 * MiB).subarray(0, 3 * MiB))
    for (let i = 0; i < 10; i++) clock.pass()
    expect(stalled.ended).toBe(false)
  })

  test('a waiting receiver whose stream ends leaves the queue', () => {
    const pool = new SlabPool({ maxBytes: 2 * MiB })
    const holder = new Peer(pool).sends(framed(2 * MiB - 100))
    const gone = new Peer(pool).sends(framed(MiB))
    gone.stream.end_()
    expect(pool.waiting).toBe(0)
    holder.releaseAll()
    expect(pool.heldBytes).toBe(0)
  })
})

describe('slabs', () => {
  test('connections share what is left of one', () => {
    const pool = new SlabPool()
    const peers = Array.from({ length: 8 }, () => new Peer(pool).sends(framed(70 * KiB)))
    for (const peer of peers) peer.releaseAll()
    expect(pool.heldBytes).toBe(0)
    for (const peer of peers) peer.sends(framed(70 * KiB))
    expect(pool.heldBytes).toBe(MiB)
    for (const peer of peers) peer.releaseAll()
    expect(pool.heldBytes).toBe(0)
    expect(pool.freeBytes).toBe(MiB)
  })

  test('without counting, frames that are kept for ever leave the bound alone', () => {
    const pool = new SlabPool({ maxBytes: 8 * MiB, countsDelivered: false })
    const peer = new Peer(pool)
    for (let i = 0; i < 20; i++) peer.sends(framed(2 * MiB, i))
    expect(peer.frames.length).toBe(20)
    expect(pool.heldBytes).toBe(0)
    for (const [i, { bytes }] of peer.frames.entries()) {
      expect(Buffer.compare(bytes.subarray(0, 100), framed(100, i).subarray(4))).toBe(0)
    }
    peer.releaseAll()
    expect(pool.freeBytes).toBeLessThanOrEqual(8 * MiB)
    expect(pool.freeBytes).toBeGreaterThan(0)
  })
})
