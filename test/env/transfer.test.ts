import { truncateSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { File, Part, Stream } from '../../src/env/index.ts'
import { PoolClass, poolSlots } from '../../src/env/node/thread-pool.ts'
import { counted, descriptors, fill, KiB, Meeting, MiB, Place, readBytes, until } from './sockets.ts'

let meeting: Meeting
let place: Place
beforeEach(() => {
  meeting = new Meeting()
  place = new Place()
})
afterEach(async () => {
  await meeting.close()
  await place.remove()
})

/** No call of any class is under way: nothing uses a descriptor any more. */
function poolIsIdle(): boolean {
  return [PoolClass.COLD_READ, PoolClass.REGION_SEND].every((kind) => poolSlots.held(kind) === 0)
}

describe('what arrives', () => {
  test('is what was sent, whatever the mix of memory and regions, sends and pauses of the peer', async () => {
    const file = await place.file(1, 8 * MiB)
    const whole = fill(Buffer.alloc(8 * MiB), 1)
    const length = fc.oneof(
      fc.integer({ min: 0, max: 100 }),
      fc.integer({ min: 0, max: 5000 }),
      fc.integer({ min: 0, max: 300 * KiB }),
      fc.integer({ min: 200 * KiB, max: 4 * MiB }),
    )
    const part = fc.record({ region: fc.boolean(), position: fc.nat(8 * MiB), length })
    const sends = fc.array(fc.array(part, { maxLength: 5 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(sends, fc.boolean(), async (list, together) => {
        const { stream, peer } = await meeting.pair()
        const expected: Uint8Array[] = []
        const regions: ReturnType<typeof counted>[] = []
        const sent: Promise<void>[] = []
        const slices = list.map((parts) =>
          parts.map(({ region, position, length: wanted }): Part => {
            const size = Math.min(wanted, whole.length - position)
            expected.push(whole.subarray(position, position + size))
            if (!region) return whole.subarray(position, position + size)
            const made = counted(file, position, size)
            regions.push(made)
            return made.region
          }),
        )
        const all = Buffer.concat(expected)
        const arrived = readBytes(peer, Math.max(1, all.length))
        for (const parts of slices) {
          sent.push(stream.send(parts))
          if (!together) await new Promise((resolve) => setImmediate(resolve))
        }
        await Promise.all(sent)
        expect(stream.pendingBytes).toBe(0)
        await stream.end()
        expect(Buffer.compare(await arrived, all)).toBe(0)
        for (const { releases } of regions) expect(releases()).toBe(1)
      }),
      { numRuns: 25 },
    )
  })

  test('sends of one turn leave in their order, settled in it', async () => {
    const { stream, peer } = await meeting.pair()
    const order: number[] = []
    const sends = Array.from({ length: 3000 }, (_, i) => stream.send([Buffer.from(`${i},`)]).then(() => order.push(i)))
    const expected = Array.from({ length: 3000 }, (_, i) => `${i},`).join('')
    expect(stream.pendingBytes).toBe(expected.length)
    expect((await readBytes(peer, expected.length)).toString()).toBe(expected)
    await Promise.all(sends)
    expect(order).toEqual(Array.from({ length: 3000 }, (_, i) => i))
  })

  test('comes whole though the segment was deleted within the region', async () => {
    const file = await place.file(3, 24 * MiB)
    const { stream, peer } = await meeting.pair()
    const { region, releases } = counted(file, 0, 24 * MiB)
    const sent = stream.send([Buffer.from('head'), region])
    const head = await readBytes(peer, MiB)
    await rm(file.path)
    const closed = file.close()
    const rest = await readBytes(peer, 23 * MiB + 4)
    await sent
    await closed
    const expected = Buffer.concat([Buffer.from('head'), fill(Buffer.alloc(24 * MiB), 3)])
    expect(Buffer.compare(Buffer.concat([head, rest]), expected)).toBe(0)
    expect(releases()).toBe(1)
  })

  test('comes whole to a peer that stalls again and again', async () => {
    const file = await place.file(4, 32 * MiB)
    const { stream, peer } = await meeting.pair()
    const { region, releases } = counted(file, 0, 32 * MiB)
    const sent = stream.send([region, Buffer.from('tail')])
    const pieces: Buffer[] = []
    for (let left = 32 * MiB + 4; left > 0; left -= pieces.at(-1)!.length) {
      // The sender gets stuck, or done, before we read on.
      let before = -1
      for (let same = 0; same < 20; same = stream.pendingBytes === before ? same + 1 : 0) {
        before = stream.pendingBytes
        await new Promise((resolve) => setImmediate(resolve))
      }
      pieces.push(await readBytes(peer, Math.min(left, 3 * MiB)))
    }
    await sent
    const expected = Buffer.concat([fill(Buffer.alloc(32 * MiB), 4), Buffer.from('tail')])
    expect(Buffer.compare(Buffer.concat(pieces), expected)).toBe(0)
    expect(releases()).toBe(1)
  })
})

describe('what goes wrong within a region', () => {
  test('the peer is gone: the send is rejected, all regions are released', async () => {
    const file = await place.file(5, 32 * MiB)
    const before = descriptors()
    const { stream, peer } = await meeting.pair()
    const first = counted(file, 0, 32 * MiB)
    const second = counted(file, 0, 1000)
    const sends = [stream.send([first.region, second.region]), stream.send([Buffer.alloc(10)])]
    await readBytes(peer, MiB)
    peer.resetAndDestroy()
    const results = await Promise.allSettled(sends)
    for (const result of results) expect(result).toMatchObject({ reason: { code: 'PAGELOG_DISCONNECTED' } })
    await stream.close()
    await until(poolIsIdle)
    expect([first.releases(), second.releases()]).toEqual([1, 1])
    expect(descriptors()).toBeLessThanOrEqual(before + 1)
  })

  test('the peer stalls: others are served, and closing frees everything', async () => {
    const file = await place.file(6, 32 * MiB)
    const stalled = await meeting.pair()
    const { region, releases } = counted(file, 0, 32 * MiB)
    const sent = stalled.stream.send([region])
    const other = await meeting.pair()
    for (let i = 0; i < 20; i++) {
      const part = counted(file, i * MiB, MiB)
      const [bytes] = await Promise.all([readBytes(other.peer, MiB), other.stream.send([part.region])])
      expect(Buffer.compare(bytes, fill(Buffer.alloc(MiB), 6, i * MiB))).toBe(0)
    }
    expect(stalled.stream.pendingBytes).toBeGreaterThan(0)
    expect(releases()).toBe(0)
    await Promise.all([stalled.stream.close(), expect(sent).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })])
    expect(releases()).toBe(1)
    expect(poolIsIdle()).toBe(true)
  })

  for (const [what, length] of [
    ['large', 16 * MiB],
    ['small', 100 * KiB],
  ] as const) {
    test(`the file is shorter than a ${what} region: the stream ends, with no byte that is not the file's`, async () => {
      const file = await place.file(7, length)
      const { stream, peer } = await meeting.pair()
      const { region, releases } = counted(file, 0, length)
      truncateSync(file.path, length - 1000)
      const sent = stream.send([region, Buffer.from('never')])
      const [bytes] = await Promise.all([readBytes(peer, 2 * length), sent.catch(() => {})])
      await expect(sent).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
      expect(bytes.length).toBeLessThanOrEqual(length - 1000)
      expect(Buffer.compare(bytes, fill(Buffer.alloc(bytes.length), 7))).toBe(0)
      expect(releases()).toBe(1)
    })
  }

  test('regions of a closed stream are released, not sent', async () => {
    const file = await place.file(8, MiB)
    const { stream } = await meeting.pair()
    await stream.close()
    const { region, releases } = counted(file, 0, MiB)
    await expect(stream.send([region])).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
    expect(releases()).toBe(1)
  })
})

test('with descriptor numbers used again 10,000 times no peer sees a byte that is not its own', async () => {
  const KINDS = 4
  const LENGTH = 640 * KiB
  const files: File[] = []
  const contents: Buffer[] = []
  for (let kind = 0; kind < KINDS; kind++) {
    contents.push(Buffer.alloc(LENGTH, 0x41 + kind))
    const file = await place.disk.open(`${place.path}/kind-${kind}`, 'create')
    await file.write([contents[kind]!], 0)
    files.push(file)
  }
  let next = 0
  let releases = 0
  const streams: Stream[] = []
  const listener = await meeting.network.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    const kind = next++ % KINDS
    streams.push(stream)
    const part = counted(files[kind]!, 0, LENGTH)
    const tag = Buffer.from([0x41 + kind])
    stream
      .send([tag, part.region])
      .catch(() => {})
      .then(() => stream.close())
      .then(() => {
        releases += part.releases()
      })
  })
  const warm = await fetchTagged(listener.port, LENGTH)
  expect(warm).toBe(true)
  await until(() => releases === 1)
  const before = descriptors()
  // Each round takes and gives back six numbers: both ends, the dup'ed one, and three of other files.
  const ROUNDS = 1700
  for (let round = 1; round < ROUNDS; round += 10) {
    const others = Promise.all([0, 1, 2].map(() => place.disk.open(files[0]!.path, 'read')))
    const peers = Array.from({ length: 10 }, (_, i) =>
      fetchTagged(listener.port, i % 3 === 0 ? LENGTH : (i + 1) * 10_000),
    )
    for (const file of await others) await file.close()
    expect(await Promise.all(peers)).toEqual(Array(10).fill(true))
  }
  await until(() => releases === next)
  await until(poolIsIdle)
  await listener.close()
  expect(descriptors()).toBeLessThanOrEqual(before)
})

/** Connects, reads `byteLength` bytes or what there is, goes away; whether all bytes were those that the first one promised. */
function fetchTagged(port: number, byteLength: number): Promise<boolean> {
  return new Promise((resolve) => {
    let tag = -1
    let left = byteLength
    let clean = true
    const socket: Socket = connect({ port, host: '127.0.0.1' })
    socket.on('data', (chunk) => {
      if (tag === -1) tag = chunk[0]!
      for (let i = 0; i < chunk.length; i += 1 + (i >> 8)) if (chunk[i] !== tag) clean = false
      if (chunk.at(-1) !== tag) clean = false
      left -= chunk.length
      if (left <= 0) socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(clean && tag !== -1))
  })
}
