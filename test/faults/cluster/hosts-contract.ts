/**
 * What every network that can be cut must do (hosts.ts), whatever it is made of: a link that is cut holds what is sent
 * there, and only that, and lets it go on when it is healed.
 */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Endpoint, type FaultNetwork, type Hosts, makeHosts } from './hosts.ts'
import { soon, Talker } from './talker.ts'

/** Far above what all buffers on the way hold. */
const POURED_BYTES = 64 * 1024 * 1024
const ROUND_TRIPS = 10

const both = [
  ['a', 'b'],
  ['b', 'a'],
] as const
const ways = [
  ['both ways', both],
  ['to it', both.slice(0, 1)],
  ['from it', both.slice(1)],
] as const

/** `b` listens, `a` and `c` and the tests' own host connect to it. */
class Hall implements AsyncDisposable {
  readonly hosts: Hosts
  readonly a: Talker
  readonly b: Talker
  readonly #c: Talker
  readonly #here: Talker
  #reached: Endpoint | undefined
  #trips = 0

  constructor(network: FaultNetwork) {
    this.hosts = makeHosts(['a', 'b', 'c'], network)
    const [a, b, c, here] = ['a', 'b', 'c', undefined].map((name) => Talker.on(this.hosts, name))
    this.a = a!
    this.b = b!
    this.#c = c!
    this.#here = here!
  }

  async open(): Promise<void> {
    const listening = { host: this.hosts.address('b'), port: await this.hosts.port('b') }
    await this.b.listen(listening)
    this.#reached = await this.hosts.publish('b', listening)
    this.#c.connect('c', this.#reached)
    this.#here.connect('here', this.#reached)
    await this.others()
  }

  connect(name: string): void {
    this.a.connect(name, this.#reached!)
  }

  /** A connection from `a` to `b` that is used both ways. */
  async connected(name: string): Promise<void> {
    this.connect(name)
    await soon(() => this.b.talks).toContain(name)
    this.b.send(name, '.')
    await soon(() => this.a.talk(name).text).toBe('.')
  }

  cut(links: Iterable<readonly [string, string]>): void {
    for (const [from, to] of links) this.hosts.cut(from, to)
  }

  /** Everybody else goes on as ever, and what was sent before would have arrived by the end of it. */
  async others(): Promise<void> {
    for (let trip = 0; trip < ROUND_TRIPS; trip++) {
      const words = ` ${this.#trips++}`
      for (const [name, talker] of [['c', this.#c] as const, ['here', this.#here] as const]) {
        talker.send(name, words)
        await soon(() => this.b.talk(name).text).toMatch(new RegExp(`${words}$`))
        this.b.send(name, words)
        await soon(() => talker.talk(name).text).toMatch(new RegExp(`${words}$`))
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.a, this.b, this.#c, this.#here].map((talker) => talker.kill()))
    this.hosts.close()
  }
}

export function holdsContract(network: FaultNetwork): void {
  let hall: Hall
  beforeEach(async () => {
    hall = new Hall(network)
    await hall.open()
  })
  afterEach(() => hall[Symbol.asyncDispose]())

  for (const [name, links] of ways) {
    const isCut = (from: string): boolean => links.some((link) => link[0] === from)
    test(`a host is cut off ${name}: what is sent there waits, the rest arrives, and all of it in order once that is healed`, async () => {
      const { a, b, hosts } = hall
      await hall.connected('one')
      hall.cut(links)
      a.send('one', 'asked')
      b.send('one', 'answered')
      if (!isCut('a')) await soon(() => b.talk('one').text).toBe('asked')
      if (!isCut('b')) await soon(() => a.talk('one').text).toBe('.answered')
      await hall.others()
      expect(b.talk('one').text).toBe(isCut('a') ? '' : 'asked')
      expect(a.talk('one').text).toBe(isCut('b') ? '.' : '.answered')
      a.send('one', ' twice')
      hosts.heal()
      await soon(() => b.talk('one').text).toBe('asked twice')
      await soon(() => a.talk('one').text).toBe('.answered')
    })

    test(`a host is cut off ${name}: it hears of a new connection when that is healed`, async () => {
      const { a, b, hosts } = hall
      hall.cut(links)
      hall.connect('late')
      a.send('late', 'hello')
      await hall.others()
      expect(b.talks).not.toContain('late')
      hosts.heal()
      await soon(() => b.talk('late').text).toBe('hello')
      b.send('late', 'welcome')
      await soon(() => a.talk('late').text).toBe('welcome')
    })
  }

  test('what was healed can be cut again, and what was made meanwhile with it', async () => {
    const { a, b, hosts } = hall
    for (const name of ['one', 'two']) {
      await hall.connected(name)
      hall.cut(both)
      for (const each of b.talks) if (['one', 'two'].includes(each)) a.send(each, name)
      await hall.others()
      expect(b.talk('one').text).toBe(name === 'one' ? '' : 'one')
      expect(b.talk('two').text).toBe('')
      hosts.heal()
      await soon(() => b.talk(name).text).toMatch(/..$/)
    }
    await soon(() => b.talk('one').text).toBe('onetwo')
  })

  test('an end of a connection that is closed meanwhile: the other hears of it, after all that was said, when that is healed', async () => {
    const { a, b, hosts } = hall
    await hall.connected('one')
    hall.cut([['a', 'b']])
    a.send('one', 'bye')
    a.end('one')
    // The other direction is whole.
    b.send('one', 'still here')
    await soon(() => a.talk('one').text).toBe('.still here')
    await hall.others()
    expect(b.talk('one')).toMatchObject({ text: '', isOver: false })
    hosts.heal()
    await soon(() => b.talk('one')).toMatchObject({ text: 'bye', isOver: true })
    expect(a.talk('one').isOver).toBe(false)
  })

  test('a process that is killed meanwhile: the other end hears of it when that is healed, not by what it sends before', async () => {
    const { a, b, hosts } = hall
    await hall.connected('one')
    hall.cut([['a', 'b']])
    await a.kill()
    for (let count = 0; count < 3; count++) {
      b.send('one', 'anybody?')
      await hall.others()
    }
    expect(b.talk('one').isOver).toBe(false)
    hosts.heal()
    await soon(() => b.talk('one').isOver).toBe(true)
  })

  test('who gives up a connection that could not begin is never heard of', async () => {
    const { a, b, hosts } = hall
    hall.cut([['b', 'a']])
    hall.connect('late')
    a.send('late', 'hello')
    await hall.others()
    await a.kill()
    await hall.others()
    hosts.heal()
    await hall.others()
    expect(b.talks).not.toContain('late')
  })

  test('who sends without end into a cut has to wait, and all of it arrives once that is healed', async () => {
    const { a, b, hosts } = hall
    await hall.connected('one')
    hall.cut([['a', 'b']])
    a.pour('one', POURED_BYTES)
    for (let before = -1; before !== a.talk('one').sent; ) {
      before = a.talk('one').sent
      await hall.others()
    }
    expect(a.talk('one').sent).toBeLessThan(POURED_BYTES / 2)
    expect(b.talk('one').got).toBe(0)
    hosts.heal()
    await soon(() => b.talk('one').got).toBe(POURED_BYTES)
  })
}
