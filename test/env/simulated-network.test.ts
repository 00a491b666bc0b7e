import { describe, expect, test } from 'vitest'
import type { Listener, Receiver, Stream } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { Scheduler, SimulatedMachine, SimulatedNetwork } from '../../src/env/simulated/index.ts'
import { fill, KiB, MiB } from './sockets.ts'

const PORT = 9092

/** Keeps all it gets. */
class Keeper implements Receiver {
  readonly #room: Uint8Array
  readonly chunks: Buffer[] = []
  byteLength = 0
  ends: (Error | undefined)[] = []
  onReceived = () => {}

  constructor(roomBytes = 64 * KiB) {
    this.#room = new Uint8Array(roomBytes)
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks)
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

/** Two machines, a listener on the second. */
class World {
  readonly scheduler: Scheduler
  readonly network: SimulatedNetwork
  readonly a: SimulatedMachine
  readonly b: SimulatedMachine
  readonly accepted: Stream[] = []
  listener: Listener | undefined

  constructor(seed = 1) {
    this.scheduler = new Scheduler(seed)
    this.network = new SimulatedNetwork(this.scheduler)
    const machine = (name: string): SimulatedMachine =>
      new SimulatedMachine({ scheduler: this.scheduler, network: this.network, name })
    this.a = machine('a')
    this.b = machine('b')
  }

  async pair(): Promise<{ near: Stream; far: Stream; connect: (timeoutMs?: number) => Promise<Stream> }> {
    const here = this.a.start()
    const there = this.b.start()
    this.listener = await there.network.listen({ host: 'b', port: PORT }, (stream) => this.accepted.push(stream))
    const connect = (timeoutMs = 5000): Promise<Stream> => here.network.connect({ host: 'b', port: PORT, timeoutMs })
    const near = await this.scheduler.settled(connect(), 100)
    await this.scheduler.run(10)
    return { near, far: this.accepted[0]!, connect }
  }

  until(condition: () => boolean): Promise<void> {
    return this.scheduler.runUntil(condition, 60_000).then((holds) => expect(holds).toBe(true))
  }
}

describe('a simulated stream', () => {
  for (const roomBytes of [1, 1000, MiB]) {
    test(`brings every byte in order, in rooms of ${roomBytes}`, async () => {
      const world = new World(roomBytes)
      const { near, far } = await world.pair()
      const keeper = new Keeper(roomBytes)
      far.receive(keeper)
      const sent = fill(Buffer.alloc(roomBytes === 1 ? 20 * KiB : 3 * MiB), 1)
      const parts = [sent.subarray(0, 10), sent.subarray(10, 11), sent.subarray(11)]
      await world.scheduler.settled(near.send(parts), 10_000)
      await world.scheduler.settled(near.end(), 10_000)
      await world.until(() => keeper.ends.length > 0)
      expect(Buffer.compare(keeper.bytes, sent)).toBe(0)
      expect(keeper.ends).toEqual([undefined])
      expect(near.pendingBytes).toBe(0)
    })
  }

  test('bytes that nobody takes stop the sender, and no byte comes while paused', async () => {
    const world = new World()
    const { near, far } = await world.pair()
    const keeper = new Keeper()
    far.receive(keeper)
    far.pause()
    let isTaken = false
    const sending = near.send([new Uint8Array(MiB)]).then(() => {
      isTaken = true
    })
    await world.scheduler.run(60_000)
    expect(isTaken).toBe(false)
    expect(near.pendingBytes).toBeGreaterThan(MiB / 2)
    expect(keeper.byteLength).toBe(0)
    far.resume()
    await world.scheduler.settled(sending, 1000)
    await world.until(() => keeper.byteLength === MiB)
  })

  test('pausing from within received leaves the rest for later', async () => {
    const world = new World()
    const { near, far } = await world.pair()
    const keeper = new Keeper(100)
    keeper.onReceived = () => far.pause()
    far.receive(keeper)
    void near.send([fill(Buffer.alloc(1000), 3)])
    for (let count = 1; count <= 10; count++) {
      await world.scheduler.run(100)
      expect(keeper.chunks.length).toBe(count)
      far.resume()
    }
    expect(Buffer.compare(keeper.bytes, fill(Buffer.alloc(1000), 3))).toBe(0)
  })

  test('regions are read from their file, also when that has to wait, and released once', async () => {
    for (const coldReads of [0, 0.5, 1]) {
      const world = new World()
      const { near, far } = await world.pair()
      const { disk } = new SimulatedMachine({ ...world, name: 'c', coldReads }).start()
      const work = async (): Promise<void> => {
        const file = await disk.open('/file', 'create')
        await file.write([fill(Buffer.alloc(200 * KiB), 4)], 0)
        await near.send([Buffer.from('head'), file.region(0, 150 * KiB), file.region(150 * KiB, 50 * KiB)])
        await file.close()
      }
      const keeper = new Keeper()
      far.receive(keeper)
      await world.scheduler.settled(work(), 1000)
      await world.until(() => keeper.byteLength === 4 + 200 * KiB)
      expect(Buffer.compare(keeper.bytes.subarray(4), fill(Buffer.alloc(200 * KiB), 4))).toBe(0)
    }
  })

  test('regions of a stream that ends are released, and what was not sent is rejected', async () => {
    const world = new World()
    const { near } = await world.pair()
    const disk = memoryDisk({ clock: world.scheduler.world })
    const file = await world.scheduler.settled(disk.open('/file', 'create'), 100)
    await world.scheduler.settled(file.write([new Uint8Array(MiB)], 0), 100)
    const sending = near.send([file.region(0, MiB), file.region(0, 10)])
    const outcome = expect(sending).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
    await world.scheduler.run(1)
    const closing = near.close()
    await expect(near.send([file.region(0, 5)])).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
    await world.scheduler.settled(closing, 100)
    await outcome
    await world.scheduler.settled(file.close(), 100)
  })

  test('after the peer has ended answers still reach it', async () => {
    const world = new World()
    const { near, far } = await world.pair()
    const [question, answer] = [new Keeper(), new Keeper()]
    far.receive(question)
    near.receive(answer)
    void near.send([Buffer.from('question')])
    await world.scheduler.run(10)
    // Only our direction ends; what comes back is for nobody, but it is no error to send it.
    const ended = near.end()
    await world.until(() => question.ends.length === 1)
    await world.scheduler.settled(far.send([Buffer.from('answer')]), 100)
    await world.scheduler.settled(far.close(), 2000)
    await world.scheduler.settled(ended, 2000)
    expect(question.ends).toEqual([undefined])
    expect(answer.ends).toEqual([undefined])
  })

  test('what comes for a closed stream is answered with a reset', async () => {
    const world = new World()
    const { near, far } = await world.pair()
    const keeper = new Keeper()
    near.receive(keeper)
    const closing = far.close()
    await near.send([Buffer.from('into the void')])
    await world.scheduler.settled(closing, 100)
    await world.scheduler.run(100)
    await expect(near.send([Buffer.from('x')])).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
    expect(keeper.ends.length).toBe(1)
  })

  test('closing from within received delivers nothing more', async () => {
    const world = new World()
    const { near, far } = await world.pair()
    const keeper = new Keeper(10)
    keeper.onReceived = () => void far.close()
    far.receive(keeper)
    void near.send([Buffer.alloc(100_000)])
    await world.until(() => keeper.ends.length > 0)
    expect(keeper.chunks.length).toBe(1)
    expect(keeper.ends).toEqual([undefined])
  })
})

describe('a simulated network', () => {
  test('nobody listens, or there is no such host: PAGELOG_DISCONNECTED; a taken port: PAGELOG_INVALID_ARGUMENT', async () => {
    const { scheduler, a, b } = new World()
    const { network } = a.start()
    b.start()
    const options = { port: 1, timeoutMs: 100 }
    for (const host of ['b', 'nowhere', 'localhost']) {
      const connecting = network.connect({ ...options, host })
      await expect(scheduler.settled(connecting, 10)).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
    }
    const listener = await network.listen({ host: '', port: 0 }, () => {})
    await expect(network.listen({ host: '', port: listener.port }, () => {})).rejects.toMatchObject({
      code: 'PAGELOG_INVALID_ARGUMENT',
    })
    await listener.close()
    await (await network.listen({ host: '', port: listener.port }, () => {})).close()
  })

  test('over a cut no connection is made: PAGELOG_TIMED_OUT at its time', async () => {
    for (const [from, to] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      const world = new World()
      const { connect } = await world.pair()
      world.network.cutOneWay(from, to)
      const startMs = world.scheduler.elapsedMs
      await expect(world.scheduler.settled(connect(700), 1000)).rejects.toMatchObject({ code: 'PAGELOG_TIMED_OUT' })
      expect(world.scheduler.elapsedMs - startMs).toBe(700)
      const connecting = connect(5000)
      await world.scheduler.run(1000)
      world.network.heal('a', 'b')
      await world.scheduler.settled(connecting, 1000)
    }
  })

  test('a cut holds bytes back, in one direction or both, and they come when it is healed', async () => {
    const world = new World()
    const { near, far } = await world.pair()
    const [atFar, atNear] = [new Keeper(), new Keeper()]
    far.receive(atFar)
    near.receive(atNear)
    world.network.cutOneWay('a', 'b')
    void near.send([Buffer.from('one ')])
    void far.send([Buffer.from('back')])
    await world.scheduler.run(10_000)
    expect([atFar.byteLength, atNear.byteLength]).toEqual([0, 4])
    world.network.cut('a', 'b')
    void near.send([Buffer.from('two ')])
    void far.send([Buffer.from(' again')])
    await world.scheduler.run(10_000)
    expect([atFar.byteLength, atNear.byteLength]).toEqual([0, 4])
    world.network.healAll()
    void near.send([Buffer.from('three')])
    await world.until(() => atFar.byteLength === 13 && atNear.byteLength === 10)
    expect(atFar.bytes.toString()).toBe('one two three')
    expect(atNear.bytes.toString()).toBe('back again')
    expect([atFar.ends, atNear.ends]).toEqual([[], []])
  })

  test('a sender whose acknowledgements are cut off goes on until the buffers are full', async () => {
    const world = new World()
    const { near, far } = await world.pair()
    const keeper = new Keeper()
    far.receive(keeper)
    world.network.cutOneWay('b', 'a')
    const sending = near.send([new Uint8Array(MiB)])
    await world.scheduler.run(10_000)
    expect(keeper.byteLength).toBe(256 * KiB)
    world.network.healAll()
    await world.scheduler.settled(sending, 10_000)
    await world.until(() => keeper.byteLength === MiB)
  })

  test('a killed process has its connections closed by its kernel; its own code hears nothing more', async () => {
    const seen = new Set<string>()
    for (let seed = 0; seed < 20; seed++) {
      const world = new World(seed)
      const { near, far, connect } = await world.pair()
      const [keeper, dead] = [new Keeper(), new Keeper()]
      near.receive(keeper)
      far.receive(dead)
      world.b.kill()
      await world.until(() => keeper.ends.length === 1)
      seen.add(keeper.ends[0] === undefined ? 'end' : 'reset')
      expect(dead.ends).toEqual([])
      await expect(world.scheduler.settled(connect(), 1000)).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
      const { network } = world.b.start()
      await network.listen({ host: 'b', port: PORT }, () => {})
      await world.scheduler.settled(connect(), 1000)
    }
    expect([...seen].sort()).toEqual(['end', 'reset'])
  })

  test('after a power loss a connection is half open until something is sent to the host that is back', async () => {
    const world = new World()
    const { near, connect } = await world.pair()
    const keeper = new Keeper()
    near.receive(keeper)
    world.b.crash()
    void near.send([Buffer.from('x')])
    await world.scheduler.run(60_000)
    expect(keeper.ends).toEqual([])
    await expect(world.scheduler.settled(connect(500), 1000)).rejects.toMatchObject({ code: 'PAGELOG_TIMED_OUT' })
    world.b.start()
    await world.until(() => keeper.ends.length === 1)
    expect(keeper.ends[0]).toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
  })

  test('a paused process takes what came when it goes on; connections are made meanwhile', async () => {
    const world = new World()
    const { near, far, connect } = await world.pair()
    const keeper = new Keeper()
    far.receive(keeper)
    world.b.pause()
    void near.send([Buffer.from('early')])
    await world.scheduler.settled(connect(), 100)
    await world.scheduler.run(10_000)
    expect(keeper.byteLength).toBe(0)
    expect(world.accepted.length).toBe(1)
    world.b.resume()
    await world.scheduler.run(1)
    expect(keeper.bytes.toString()).toBe('early')
    expect(world.accepted.length).toBe(2)
  })

  test('connections break for both, or swallow what is sent and tell nobody', async () => {
    const world = new World()
    const { near, far, connect } = await world.pair()
    const keepers = [new Keeper(), new Keeper()]
    near.receive(keepers[0]!)
    far.receive(keepers[1]!)
    world.network.reset('a', 'b')
    await world.until(() => keepers.every(({ ends }) => ends.length === 1))
    expect(keepers.every(({ ends }) => ends[0] !== undefined)).toBe(true)
    const lost = await world.scheduler.settled(connect(), 100)
    await world.scheduler.run(10)
    const keeper = new Keeper()
    world.accepted[1]!.receive(keeper)
    world.network.swallow('a', 'b')
    await lost.send([Buffer.from('x')])
    await world.scheduler.run(60_000)
    expect([keeper.byteLength, keeper.ends]).toEqual([0, []])
  })

  test('a slow link takes its time', async () => {
    const world = new World()
    const { near, far } = await world.pair()
    const keeper = new Keeper()
    far.receive(keeper)
    world.network.links.set('a', 'b', { bytesPerMs: 100, latencyMs: 50 })
    const startMs = world.scheduler.elapsedMs
    void near.send([new Uint8Array(100_000)])
    await world.until(() => keeper.byteLength === 100_000)
    expect(world.scheduler.elapsedMs - startMs).toBeGreaterThan(1000)
    expect(world.scheduler.elapsedMs - startMs).toBeLessThan(1100)
  })

  test('the same seed gives the same trace', async () => {
    const hashOf = async (seed: number): Promise<string> => {
      const world = new World(seed)
      const { near, far } = await world.pair()
      far.receive(new Keeper(100))
      void near.send([new Uint8Array(MiB)])
      await world.scheduler.run(3)
      world.network.cut('a', 'b')
      await world.scheduler.run(100)
      world.network.healAll()
      await world.scheduler.run(1000)
      return world.scheduler.trace.hash
    }
    expect(await hashOf(5)).toBe(await hashOf(5))
    expect(await hashOf(5)).not.toBe(await hashOf(6))
  })
})

describe('a simulated machine', () => {
  test('its disk outlives the process, and after a crash has what was synced', async () => {
    const { scheduler, a } = new World()
    const put = async (): Promise<void> => {
      const { disk } = a.start()
      const file = await disk.open('/file', 'write')
      await file.write([Buffer.from('synced')], 0)
      await file.dataSync()
      await disk.syncDirectory('/')
      await file.write([Buffer.from(', not synced')], 6)
    }
    await scheduler.settled(put(), 100)
    a.kill()
    const first = a.start().disk.readFile('/file')
    expect(Buffer.from((await scheduler.settled(first, 100))!).toString()).toBe('synced, not synced')
    a.crash()
    const second = a.start().disk.readFile('/file')
    expect(Buffer.from((await scheduler.settled(second, 100))!).toString()).toMatch(/^synced/)
    expect(a.lives).toBe(3)
  })

  test('while it is paused its disk answers nobody', async () => {
    const { scheduler, a } = new World()
    const { disk } = a.start()
    let isThere = false
    a.pause()
    void disk.makeDirectory('/x').then(() => {
      isThere = true
    })
    await scheduler.run(10_000)
    expect(isThere).toBe(false)
    a.resume()
    await scheduler.run(10)
    expect(isThere).toBe(true)
  })
})
