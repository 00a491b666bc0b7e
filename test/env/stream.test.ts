import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Receiver, Stream } from '../../src/env/index.ts'
import { descriptors, fill, KiB, Meeting, MiB, readBytes, until } from './sockets.ts'

/** Keeps all it gets, in rooms of a given size. */
class Keeper implements Receiver {
  readonly #room: Uint8Array
  readonly chunks: Buffer[] = []
  byteLength = 0
  ends: (Error | undefined)[] = []
  onReceived = () => {}

  constructor(roomBytes = 64 * KiB) {
    this.#room = new Uint8Array(roomBytes)
  }
  room(): Uint8Array {
    return this.#room
  }
  received(count: number): void {
    this.chunks.push(Buffer.from(this.#room.subarray(0, count)))
    this.byteLength += count
    this.onReceived()
  }
  ended(error?: Error): void {
    this.ends.push(error)
  }
}

for (const [way, inPlace] of [
  ['in place', true],
  ['copying', false],
] as const) {
  describe(`receiving ${way}`, () => {
    let meeting: Meeting
    beforeEach(() => {
      meeting = new Meeting(inPlace)
    })
    afterEach(() => meeting.close())

    for (const roomBytes of [1, 1000, 64 * KiB, MiB]) {
      test(`every byte comes in order, in rooms of ${roomBytes}`, async () => {
        const { stream, peer } = await meeting.pair()
        const keeper = new Keeper(roomBytes)
        stream.receive(keeper)
        const sent = fill(Buffer.alloc(roomBytes === 1 ? 20 * KiB : 6 * MiB), 1)
        peer.end(sent)
        await until(() => keeper.ends.length > 0)
        expect(Buffer.compare(Buffer.concat(keeper.chunks), sent)).toBe(0)
        expect(keeper.ends).toEqual([undefined])
      })
    }

    test('nothing comes while paused, everything afterwards', async () => {
      const { stream, peer } = await meeting.pair()
      const keeper = new Keeper(1000)
      let paused = false
      keeper.onReceived = () => {
        expect(paused).toBe(false)
        if (keeper.chunks.length % 5 !== 0) return
        paused = true
        stream.pause()
      }
      stream.receive(keeper)
      const sent = fill(Buffer.alloc(300 * KiB), 2)
      peer.end(sent)
      let resumes = 0
      while (keeper.ends.length === 0) {
        await until(() => paused || keeper.ends.length > 0)
        for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve))
        paused = false
        stream.resume()
        resumes++
      }
      expect(resumes).toBeGreaterThan(10)
      expect(Buffer.compare(Buffer.concat(keeper.chunks), sent)).toBe(0)
    })

    test('before receive nothing is read; what came is not lost', async () => {
      const { stream, peer } = await meeting.pair()
      peer.write('early')
      await stream.send([Buffer.from('x')])
      await readBytes(peer, 1)
      const keeper = new Keeper()
      stream.receive(keeper)
      await until(() => keeper.byteLength === 5)
      expect(keeper.chunks.join('')).toBe('early')
    })

    test('the side that connects receives as well', async () => {
      const accepted: Stream[] = []
      const { network } = meeting
      const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (stream) => accepted.push(stream))
      const client = await network.connect({ host: '127.0.0.1', port: listener.port, timeoutMs: 5000 })
      const keeper = new Keeper()
      client.receive(keeper)
      await until(() => accepted.length === 1)
      const sent = fill(Buffer.alloc(3 * MiB), 4)
      await accepted[0]!.send([sent])
      await accepted[0]!.close()
      await until(() => keeper.ends.length === 1)
      expect(Buffer.compare(Buffer.concat(keeper.chunks), sent)).toBe(0)
      await client.close()
      await listener.close()
    })

    test('the peer ends, and answers still reach it', async () => {
      const { stream, peer } = await meeting.pair()
      const keeper = new Keeper()
      stream.receive(keeper)
      peer.end('question')
      await until(() => keeper.ends.length === 1)
      await stream.send([Buffer.from('answer')])
      expect((await readBytes(peer, 6)).toString()).toBe('answer')
      await stream.close()
      expect(keeper.ends).toEqual([undefined])
    })

    test('a reset is an end with an error, told once; sends are rejected', async () => {
      const { stream, peer } = await meeting.pair()
      const keeper = new Keeper()
      stream.receive(keeper)
      peer.resetAndDestroy()
      await until(() => keeper.ends.length > 0)
      expect(keeper.ends[0]).toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
      await expect(stream.send([Buffer.from('x')])).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
      await stream.close()
      expect(keeper.ends.length).toBe(1)
    })

    test('closing from within received delivers nothing more', async () => {
      const { stream, peer } = await meeting.pair()
      const keeper = new Keeper(10)
      keeper.onReceived = () => void stream.close()
      stream.receive(keeper)
      peer.write(Buffer.alloc(100_000))
      await until(() => keeper.ends.length > 0)
      expect(keeper.chunks.length).toBe(1)
      expect(keeper.ends).toEqual([undefined])
    })

    test('end sends what is queued, though the peer has sent what nobody read', async () => {
      const { stream, peer } = await meeting.pair()
      const keeper = new Keeper()
      stream.receive(keeper)
      const sent = fill(Buffer.alloc(3 * MiB), 3)
      stream.pause()
      peer.write(Buffer.alloc(200_000))
      const done = stream.send([sent])
      const ended = stream.end()
      expect(Buffer.compare(await readBytes(peer, sent.length), sent)).toBe(0)
      peer.end()
      await Promise.all([done, ended])
      expect(keeper.ends).toEqual([undefined])
    })

    test('descriptors do not grow with connections', async () => {
      await meeting.pair()
      const before = descriptors()
      for (let i = 0; i < 50; i++) {
        const { stream, peer } = await meeting.pair()
        stream.receive(new Keeper())
        await stream.send([Buffer.from('x')])
        if (i % 2 === 0) await stream.close()
        else peer.destroy()
        peer.resume()
        await until(() => peer.closed)
        await stream.close()
      }
      expect(descriptors()).toBeLessThanOrEqual(before)
    })
  })
}

describe('connecting', () => {
  test('nobody listens: PAGELOG_DISCONNECTED', async () => {
    const meeting = new Meeting()
    const listener = await meeting.network.listen({ host: '127.0.0.1', port: 0 }, () => {})
    await listener.close()
    const options = { host: '127.0.0.1', port: listener.port, timeoutMs: 5000 }
    await expect(meeting.network.connect(options)).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
  })

  test('a port that is taken: PAGELOG_INVALID_ARGUMENT', async () => {
    const meeting = new Meeting()
    const port = await meeting.listen()
    await expect(meeting.network.listen({ host: '127.0.0.1', port }, () => {})).rejects.toMatchObject({
      code: 'PAGELOG_INVALID_ARGUMENT',
    })
    await meeting.close()
  })

  test('streams live on when the listener closes', async () => {
    const network = new Meeting().network
    const accepted: Stream[] = []
    const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (stream) => accepted.push(stream))
    const client = await network.connect({ host: '127.0.0.1', port: listener.port, timeoutMs: 5000 })
    await until(() => accepted.length === 1)
    await listener.close()
    const keeper = new Keeper()
    client.receive(keeper)
    await accepted[0]!.send([Buffer.from('still here')])
    await until(() => keeper.byteLength === 10)
    await client.close()
    await accepted[0]!.close()
  })
})
