import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { FileRegion, Part } from '../../src/env/index.ts'
import {
  AnsweringConnection,
  type AnsweringOptions,
  type Frame,
  type RequestAnswer,
  SlabPool,
} from '../../src/net/index.ts'
import { FakeStream, framed } from './fake-stream.ts'

const KiB = 1024
const MiB = 1024 * 1024

class Region {
  readonly file = {} as FileRegion['file']
  readonly position = 0
  readonly length = 100
  releases = 0
  release(): void {
    this.releases++
  }
}

interface Request {
  readonly frame: Frame
  readonly answer: (parts: RequestAnswer) => void
  readonly refuse: (error: Error) => void
}

function serve(options: Partial<AnsweringOptions> = {}) {
  const stream = new FakeStream()
  const requests: Request[] = []
  const closes: (Error | undefined)[] = []
  const lines: { level: string; fields: object }[] = []
  const log = (level: string) => (fields: object) => {
    lines.push({ level, fields })
  }
  const connection = new AnsweringConnection(stream, {
    maxFrameBytes: MiB,
    pool: new SlabPool(),
    logger: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
    onRequest: (frame) => {
      frame.release()
      return new Promise((resolve, reject) => requests.push({ frame, answer: resolve, refuse: reject }))
    },
    onClose: (error) => closes.push(error),
    ...options,
  })
  return { stream, requests, closes, lines, connection }
}

function textOf(parts: readonly Part[]): string {
  return parts.map((part) => Buffer.from(part as Uint8Array).toString()).join('')
}

describe('answers', () => {
  test('leave in the order of the requests, whichever is ready first', async () => {
    const { stream, requests } = serve()
    stream.arrive(Buffer.concat([framed(10), framed(10), framed(10)]))
    stream.readAll()
    requests[2]!.answer([Buffer.from('c')])
    requests[1]!.answer([Buffer.from('b'), Buffer.from('B')])
    await turn()
    expect(stream.sent.length).toBe(0)
    requests[0]!.answer([Buffer.from('a')])
    await turn()
    expect(stream.sent.map(({ parts }) => textOf(parts)).join('|')).toBe('abBc')
  })

  test('null means none, and holds nobody up', async () => {
    const { stream, requests } = serve()
    stream.arrive(Buffer.concat([framed(10), framed(10)]))
    stream.readAll()
    requests[1]!.answer([Buffer.from('b')])
    requests[0]!.answer(null)
    await turn()
    expect(stream.sent.map(({ parts }) => textOf(parts))).toEqual(['b'])
  })

  test('one that is there at once is sent at once', () => {
    const { stream } = serve({ onRequest: (frame) => [frame.bytes] })
    stream.arrive(framed(10))
    stream.readAll()
    expect(stream.sent.length).toBe(1)
  })

  test('after the peer ended they are still sent, then the stream is closed', async () => {
    const { stream, requests, closes } = serve()
    stream.arrive(framed(10))
    stream.readAll()
    let ended = false
    stream.end = async () => {
      ended = true
    }
    stream.end_()
    expect(ended).toBe(false)
    requests[0]!.answer([Buffer.from('late')])
    await turn()
    expect(stream.sent.map(({ parts }) => textOf(parts))).toEqual(['late'])
    expect(ended).toBe(false)
    stream.take()
    await turn()
    expect(ended).toBe(true)
    expect(closes).toEqual([undefined])
  })
})

describe('bounds', () => {
  test('a peer that never reads is not read from any more, and is again when it has read', async () => {
    const { stream, connection } = serve({
      maxOutboxBytes: 10 * KiB,
      onRequest: (frame) => {
        frame.release()
        return [Buffer.alloc(KiB)]
      },
    })
    for (let i = 0; i < 1000; i++) stream.arrive(framed(10, i))
    stream.readAll(100)
    expect(connection.paused).toBe(true)
    expect(connection.requests).toBe(10)
    expect(connection.outboxBytes).toBe(10 * KiB)
    for (let i = 0; i < 2000 && connection.requests < 1000; i++) {
      if (stream.sent.length > 0) stream.take()
      await turn()
      stream.readAll(100)
      expect(connection.outboxBytes).toBeLessThanOrEqual(10 * KiB)
    }
    expect(connection.requests).toBe(1000)
  })

  test('requests without an answer stop the reading too', async () => {
    const { stream, requests, connection } = serve({ maxRequestsInFlight: 4 })
    stream.arrive(Buffer.concat(Array.from({ length: 20 }, (_, i) => framed(10, i))))
    stream.readAll()
    expect(requests.length).toBe(4)
    requests[0]!.answer(null)
    requests[1]!.answer(null)
    await turn()
    expect(requests.length).toBe(6)
    expect(connection.requestsInFlight).toBe(4)
  })
})

describe('what closes it', () => {
  test('a handler that rejects: one line, one call, later answers thrown away with their regions released', async () => {
    const { stream, requests, closes, lines } = serve()
    stream.arrive(Buffer.concat([framed(10), framed(10), framed(10)]))
    stream.readAll()
    const ready = new Region()
    const late = new Region()
    requests[1]!.answer([ready])
    await turn()
    requests[0]!.refuse(new Error('no'))
    await turn()
    requests[2]!.answer([late])
    await turn()
    expect([ready.releases, late.releases]).toEqual([1, 1])
    expect(stream.closed).toBe(true)
    expect(closes.length).toBe(1)
    expect(lines.length).toBe(1)
    expect(lines[0]!.level).toBe('warn')
  })

  test('a handler that throws', () => {
    const { stream, closes } = serve({
      onRequest: () => {
        throw new Error('no')
      },
    })
    stream.arrive(Buffer.concat([framed(10), framed(10)]))
    stream.readAll()
    expect(stream.closed).toBe(true)
    expect(closes.length).toBe(1)
  })

  test.each([
    ['a handler that rejects', framed(10, 1)],
    ['bytes that are no frame', Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3])],
  ])('%s: requests before it are answered first, none after it is looked at', async (_what, offence) => {
    const { stream, requests, closes } = serve()
    stream.arrive(framed(10))
    stream.readAll()
    stream.arrive(offence)
    stream.readAll()
    requests[1]?.refuse(new Error('no'))
    await turn()
    stream.arrive(framed(10, 2))
    stream.readAll()
    expect(stream.closed).toBe(false)
    expect(requests.length).toBeLessThanOrEqual(2)
    requests[0]!.answer([Buffer.from('a')])
    await turn()
    expect(stream.sent.map(({ parts }) => textOf(parts))).toEqual(['a'])
    expect(stream.closed).toBe(false)
    stream.take()
    await turn()
    expect(stream.closed).toBe(true)
    expect(closes).toEqual([expect.any(Error)])
  })

  test('a peer that goes away before the answers that a fault waits for', async () => {
    const { stream, requests, closes } = serve()
    stream.arrive(framed(10))
    stream.arrive(Buffer.from([0xff, 0xff, 0xff, 0xff]))
    stream.readAll()
    requests[0]!.answer([Buffer.from('a')])
    await turn()
    stream.end_(new Error('reset'))
    await turn()
    expect(closes).toEqual([expect.objectContaining({ code: 'PAGELOG_PROTOCOL' })])
  })

  test('bytes that are no frame: one line', () => {
    const { stream, lines, closes } = serve()
    stream.arrive(Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3]))
    stream.readAll()
    expect(stream.closed).toBe(true)
    expect(lines.map(({ level }) => level)).toEqual(['warn'])
    expect(closes.length).toBe(1)
  })

  test('a failing stream: nobody is warned of that', () => {
    const { stream, lines, closes, connection } = serve()
    stream.arrive(framed(10).subarray(0, 7))
    stream.readAll()
    stream.end_()
    expect(connection.closed).toBe(true)
    expect(closes.length).toBe(1)
    expect(lines.map(({ level }) => level)).toEqual(['debug'])
  })

  test('close, with answers that come afterwards', async () => {
    const { stream, requests, closes, connection } = serve()
    stream.arrive(framed(10))
    stream.readAll()
    await connection.close()
    const region = new Region()
    requests[0]!.answer([region])
    await turn()
    expect(region.releases).toBe(1)
    expect(stream.sent.length).toBe(0)
    expect(closes).toEqual([undefined])
  })
})
