import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PagelogError } from '../../src/base/index.ts'
import { type Frame, FrameReceiver, SlabPool } from '../../src/net/index.ts'
import { FakeStream, framed } from './fake-stream.ts'

const KiB = 1024
const MiB = 1024 * 1024

interface Setup {
  readonly stream: FakeStream
  readonly receiver: FrameReceiver
  readonly frames: Frame[]
  readonly ends: (Error | undefined)[]
}

function receive(pool: SlabPool, maxFrameBytes = 100 * MiB): Setup {
  const frames: Frame[] = []
  const ends: (Error | undefined)[] = []
  const stream = new FakeStream()
  const receiver = new FrameReceiver({
    maxFrameBytes,
    pool,
    onFrame: (frame) => frames.push(frame),
    onEnd: (error) => ends.push(error),
  })
  receiver.start(stream)
  return { stream, receiver, frames, ends }
}

function codeOf(error: Error | undefined): string | undefined {
  return (error as PagelogError | undefined)?.code
}

/** Completes a frame of this size, so that the next ones get their memory at once. */
function warm({ stream, frames }: Setup, length: number): void {
  stream.arrive(framed(length))
  stream.readAll()
  expect(frames.pop()!.bytes.length).toBe(length)
}

describe('frames', () => {
  test('a frame that comes byte by byte is whole', () => {
    const { stream, frames } = receive(new SlabPool())
    const sent = framed(300, 1)
    stream.arrive(sent)
    stream.readAll(1)
    expect(frames.map(({ bytes }) => Buffer.from(bytes))).toEqual([sent.subarray(4)])
  })

  test('many frames in one read come in order', () => {
    const { stream, frames } = receive(new SlabPool())
    const sent = Array.from({ length: 1000 }, (_, i) => framed(4 + (i % 50), i))
    stream.arrive(Buffer.concat(sent))
    stream.readAll()
    expect(frames.length).toBe(1000)
    for (let i = 0; i < 1000; i++) expect(Buffer.compare(frames[i]!.bytes, sent[i]!.subarray(4))).toBe(0)
  })

  test('whatever the sizes, the reads and the releases, every frame has its own bytes', () => {
    const sizes = fc.oneof(
      fc.integer({ min: 4, max: 200 }),
      fc.integer({ min: 4, max: 80_000 }),
      fc.integer({ min: 4, max: 900_000 }),
    )
    const reads = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1000, max: 70_000 }), fc.constant(MiB))
    fc.assert(
      fc.property(
        fc.array(sizes, { minLength: 1, maxLength: 12 }),
        fc.array(reads, { minLength: 1, maxLength: 5 }),
        fc.nat(5),
        fc.boolean(),
        (lengths, readSizes, keep, counts) => {
          const pool = new SlabPool({ slabBytes: 256 * KiB, maxBytes: 64 * MiB, countsDelivered: counts })
          const { stream, frames, ends } = receive(pool)
          const sent = lengths.map((length, i) => framed(length, i))
          stream.arrive(Buffer.concat(sent))
          let checked = 0
          const check = (upTo: number) => {
            for (; checked < upTo; checked++) {
              expect(Buffer.compare(frames[checked]!.bytes, sent[checked]!.subarray(4))).toBe(0)
              frames[checked]!.release()
            }
          }
          for (let i = 0; stream.read(Math.max(readSizes[i % readSizes.length]!, Math.ceil(stream.unread / 500))); i++)
            check(frames.length - keep)
          check(frames.length)
          expect(checked).toBe(sent.length)
          stream.end_()
          expect(ends).toEqual([undefined])
          expect(pool.heldBytes).toBe(0)
          expect(pool.framesOut).toBe(0)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('a large frame is received into one piece and its slab is used again', () => {
    const pool = new SlabPool()
    const setup = receive(pool)
    warm(setup, 8 * MiB)
    setup.stream.arrive(framed(8 * MiB, 1))
    setup.stream.readAll()
    const first = setup.frames.pop()!
    const memory = first.bytes.buffer
    first.release()
    setup.stream.arrive(framed(8 * MiB, 2))
    setup.stream.readAll()
    expect(setup.frames[0]!.bytes.buffer).toBe(memory)
  })

  test('bytes stay as they are while any frame of the slab is not released', () => {
    const pool = new SlabPool()
    const setup = receive(pool)
    warm(setup, 64 * KiB)
    setup.stream.arrive(Buffer.concat([framed(100 * KiB, 1), framed(100 * KiB, 2)]))
    setup.stream.readAll()
    const [kept, released] = setup.frames.splice(0) as [Frame, Frame]
    released.release()
    for (let i = 0; i < 40; i++) {
      setup.stream.arrive(framed(100 * KiB, 9))
      setup.stream.readAll()
      for (const frame of setup.frames.splice(0)) frame.release()
    }
    expect(Buffer.compare(kept.bytes, framed(100 * KiB, 1).subarray(4))).toBe(0)
  })

  test('a released frame may be released again without harm to others', () => {
    const pool = new SlabPool()
    const setup = receive(pool)
    warm(setup, 64 * KiB)
    setup.stream.arrive(Buffer.concat([framed(100 * KiB, 1), framed(100 * KiB, 2)]))
    setup.stream.readAll()
    const before = pool.framesOut
    setup.frames[0]!.release()
    setup.frames[0]!.release()
    expect(pool.framesOut).toBe(before - 1)
  })
})

describe('what is not a frame', () => {
  const cases: [string, number, string][] = [
    ['negative', -1, 'PAGELOG_PROTOCOL'],
    ['most negative', -(2 ** 31), 'PAGELOG_PROTOCOL'],
    ['zero', 0, 'PAGELOG_PROTOCOL'],
    ['too short for a header', 3, 'PAGELOG_PROTOCOL'],
    ['2^31 - 1', 2 ** 31 - 1, 'PAGELOG_TOO_LARGE'],
    ['one above the limit', MiB + 1, 'PAGELOG_TOO_LARGE'],
  ]
  for (const [name, length, code] of cases) {
    test(`a ${name} length ends it, with the frames before it delivered`, () => {
      const pool = new SlabPool()
      const { stream, frames, ends } = receive(pool, MiB)
      const prefix = Buffer.alloc(4)
      prefix.writeInt32BE(length)
      stream.arrive(Buffer.concat([framed(10), prefix, framed(10)]))
      stream.readAll()
      expect(frames.length).toBe(1)
      expect(ends.map(codeOf)).toEqual([code])
      stream.end_()
      expect(ends.length).toBe(1)
      expect(pool.heldBytes).toBe(0)
    })
  }

  test('gives the memory back at once, though the stream lives on', () => {
    const pool = new SlabPool()
    const peer = receive(pool)
    warm(peer, 200 * KiB)
    const before = pool.heldBytes
    peer.stream.arrive(framed(200 * KiB).subarray(0, 100 * KiB))
    peer.stream.readAll(64 * KiB)
    expect(pool.heldBytes).toBeGreaterThan(before)
    peer.stream.arrive(Buffer.concat([framed(200 * KiB).subarray(100 * KiB), Buffer.alloc(4, 0xff)]))
    peer.stream.readAll(64 * KiB)
    peer.frames.pop()!.release()
    expect(peer.ends.map(codeOf)).toEqual(['PAGELOG_PROTOCOL'])
    expect(pool.heldBytes).toBe(before)
  })

  test('the limit itself is allowed', () => {
    const { stream, frames } = receive(new SlabPool(), MiB)
    stream.arrive(framed(MiB))
    stream.readAll()
    expect(frames[0]!.bytes.length).toBe(MiB)
  })

  test('an end within a frame, at any of its bytes, is an error and gives the memory back', () => {
    const sent = framed(40)
    for (let cut = 1; cut < sent.length; cut++) {
      const pool = new SlabPool()
      const { stream, frames, ends } = receive(pool)
      stream.arrive(sent.subarray(0, cut))
      stream.readAll()
      stream.end_()
      expect([frames.length, ends.map(codeOf), pool.heldBytes]).toEqual([0, ['PAGELOG_DISCONNECTED'], 0])
    }
  })

  test('ten thousand peers that announce 100 MiB get what their bytes are worth', () => {
    const pool = new SlabPool()
    const prefix = framed(100 * MiB).subarray(0, 20)
    for (let i = 0; i < 10_000; i++) {
      const { stream } = receive(pool)
      stream.arrive(prefix)
      stream.readAll()
    }
    expect(pool.heldBytes).toBeLessThan(8 * MiB)
  })

  test('memory grows with what comes: at most four times of it', () => {
    const pool = new SlabPool()
    const { stream } = receive(pool)
    stream.arrive(framed(32 * MiB).subarray(0, 20 * MiB))
    let arrived = 0
    for (let before = stream.unread; stream.read(10_000); before = stream.unread) {
      arrived += before - stream.unread
      expect(pool.heldBytes).toBeLessThanOrEqual(Math.max(512, 4 * arrived + MiB))
    }
  })

  test('an idle connection holds nothing', () => {
    const pool = new SlabPool()
    const setup = receive(pool)
    warm(setup, 300 * KiB)
    setup.stream.arrive(framed(300 * KiB))
    setup.stream.readAll()
    setup.frames[0]!.release()
    // What the first frame left is held by that frame alone.
    expect(pool.heldBytes).toBeLessThanOrEqual(2 * MiB)
    expect(pool.framesOut).toBe(1)
  })
})

describe('pausing', () => {
  test('no frame is delivered while paused, all of them after', () => {
    const frames: Frame[] = []
    const stream = new FakeStream()
    const receiver = new FrameReceiver({
      maxFrameBytes: MiB,
      pool: new SlabPool(),
      onFrame: (frame) => {
        frames.push(frame)
        if (frames.length % 3 === 0) receiver.pause()
      },
      onEnd: () => {},
    })
    receiver.start(stream)
    const sent = Array.from({ length: 10 }, (_, i) => framed(i === 5 ? 200 * KiB : 100, i))
    stream.arrive(Buffer.concat(sent))
    stream.readAll()
    expect(frames.length).toBe(3)
    expect(stream.paused).toBe(true)
    for (let round = 0; round < 5; round++) {
      receiver.resume()
      stream.readAll(50_000)
    }
    expect(frames.length).toBe(10)
    for (const [i, { bytes }] of frames.entries()) expect(Buffer.compare(bytes, sent[i]!.subarray(4))).toBe(0)
  })

  test('a receiver that is resumed from within its own frame goes on', () => {
    const frames: Frame[] = []
    const stream = new FakeStream()
    const receiver = new FrameReceiver({
      maxFrameBytes: MiB,
      pool: new SlabPool(),
      onFrame: (frame) => {
        frames.push(frame)
        receiver.pause()
        receiver.resume()
      },
      onEnd: () => {},
    })
    receiver.start(stream)
    stream.arrive(Buffer.concat([framed(10), framed(10), framed(70 * KiB)]))
    stream.readAll()
    expect(frames.length).toBe(3)
  })
})
