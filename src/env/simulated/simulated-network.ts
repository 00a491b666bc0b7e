/**
 * A network of hosts in one process, in the time of a `Scheduler`: streams of bytes with back-pressure, links with
 * latency that are slow, or cut in one direction or both, connections that break, that only one end still knows of, or
 * that swallow everything; all of it from the scheduler's seed.
 *
 *   const network = new SimulatedNetwork(scheduler)
 *   const env = { network: network.host('broker-1', actor), … }      // what listens there is at broker-1:port
 *   network.cut('broker-1', 'broker-2')                              // both ways; cutOneWay(from, to)
 *   network.heal('broker-1', 'broker-2')
 *
 * A host outlives its process: `kill` is the end of the process, whose connections the kernel closes; after `powerOff`
 * nobody hears of it until it is back.
 */
import { assert, PagelogError } from '../../base/index.ts'
import type { Listener, ListenOptions, Network, Stream } from '../network.ts'
import { type LinkSettings, Links } from './links.ts'
import { Pipe } from './pipe.ts'
import type { Actor, Scheduler } from './scheduler.ts'
import type { SeededRandom } from './seeded-random.ts'
import { SimulatedStream } from './simulated-stream.ts'

const BUFFER_BYTES = 256 * 1024
const FIRST_FREE_PORT = 32_768
const PORT_MAX = 65_535
/** What a process means by them is its own host. */
const OWN_NAMES: ReadonlySet<string> = new Set(['', '0.0.0.0', '::', '127.0.0.1', '::1', 'localhost'])

export interface SimulatedNetworkOptions {
  readonly links?: Partial<LinkSettings>
  /** What both kernels and the wire hold of one direction of a connection. */
  readonly bufferBytes?: number
}

type Accept = (stream: Stream) => void

interface Host {
  readonly name: string
  actor: Actor
  readonly listeners: Map<number, Accept>
  readonly streams: Set<SimulatedStream>
  nextPort: number
}

export class SimulatedNetwork {
  readonly links: Links
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly #bufferBytes: number
  readonly #hosts = new Map<string, Host>()

  constructor(scheduler: Scheduler, options: SimulatedNetworkOptions = {}) {
    this.#scheduler = scheduler
    this.#random = scheduler.random.fork()
    this.#bufferBytes = options.bufferBytes ?? BUFFER_BYTES
    this.links = new Links(scheduler.world, this.#random.fork(), options.links)
  }

  /** The network as the process `actor` on the host sees it; whatever ran there before is gone. */
  host(name: string, actor: Actor): Network {
    let host = this.#hosts.get(name)
    if (host === undefined) {
      host = { name, actor, listeners: new Map(), streams: new Set(), nextPort: FIRST_FREE_PORT }
      this.#hosts.set(name, host)
    } else this.kill(name)
    host.actor = actor
    this.links.setUp(name)
    return new HostNetwork(this, host)
  }

  cut(one: string, other: string): void {
    this.cutOneWay(one, other)
    this.cutOneWay(other, one)
  }

  cutOneWay(from: string, to: string): void {
    this.links.cut(from, to)
  }

  heal(one: string, other: string): void {
    this.links.heal(one, other)
    this.links.heal(other, one)
  }

  /** From all other hosts, both ways. */
  isolate(name: string): void {
    for (const other of this.#hosts.keys()) if (other !== name) this.cut(name, other)
  }

  healAll(): void {
    for (const from of this.#hosts.keys()) for (const to of this.#hosts.keys()) this.links.heal(from, to)
  }

  /** All connections between the two break; both ends hear of it. */
  reset(one: string, other: string): void {
    for (const stream of this.#between(one, other)) stream.reset()
  }

  /** What is open between the two swallows everything from now on; new connections are sound. */
  swallow(one: string, other: string): void {
    for (const stream of this.#between(one, other)) stream.lose()
  }

  /** The process on the host ends; its kernel closes what it had. */
  kill(name: string): void {
    const host = this.#hosts.get(name)
    if (host === undefined) return
    host.listeners.clear()
    for (const stream of [...host.streams]) stream.kill()
  }

  /** The host loses power: its connections are half open until someone sends on them when it is back. */
  powerOff(name: string): void {
    const host = this.#hosts.get(name)
    if (host === undefined) return
    host.listeners.clear()
    for (const stream of [...host.streams]) stream.powerOff()
    this.links.setDown(name)
  }

  listen(host: Host, port: number, accept: Accept): Promise<Listener> {
    if (host.listeners.has(port)) {
      const message = `cannot listen on ${host.name}:${port}: the port is taken`
      return Promise.reject(new PagelogError('PAGELOG_INVALID_ARGUMENT', message))
    }
    const taken = port === 0 ? this.#freePort(host) : port
    host.listeners.set(taken, accept)
    const close = async (): Promise<void> => {
      if (host.listeners.get(taken) === accept) host.listeners.delete(taken)
    }
    return Promise.resolve({ host: host.name, port: taken, close })
  }

  connect(host: Host, options: { host: string; port: number; timeoutMs: number }): Promise<Stream> {
    const name = OWN_NAMES.has(options.host) ? host.name : options.host
    const target = this.#hosts.get(name)
    const { actor } = host
    return new Promise((resolve, reject) => {
      let isOver = false
      const settle = (result: SimulatedStream | PagelogError): void => {
        if (isOver) return
        isOver = true
        timer.cancel()
        if (result instanceof SimulatedStream) resolve(result)
        else reject(result)
      }
      const fail = (why: string): void => {
        const text = `cannot connect to ${options.host}:${options.port}: ${why}`
        actor.after(0, () => settle(new PagelogError('PAGELOG_DISCONNECTED', text, { retriable: true })), 'refused')
      }
      const timer = actor.after(options.timeoutMs, () => {
        const text = `no connection to ${options.host}:${options.port} within ${options.timeoutMs} ms`
        settle(new PagelogError('PAGELOG_TIMED_OUT', text, { retriable: true }))
      })
      const connected = (stream: SimulatedStream): void => {
        if (isOver || actor.isDead) stream.reset()
        else actor.after(0, () => settle(stream), 'connected')
      }
      if (target === undefined) fail('there is no such host')
      else
        this.links.travel(
          host.name,
          name,
          () => this.#asked(host, target, options.port, { connected, fail }),
          'connect',
        )
    })
  }

  /** Somebody wants to connect, and the host has heard of it. */
  #asked(
    from: Host,
    target: Host,
    port: number,
    answer: { connected: (stream: SimulatedStream) => void; fail: (why: string) => void },
  ): void {
    const accept = target.listeners.get(port)
    if (accept === undefined) {
      this.links.travel(target.name, from.name, () => answer.fail('nobody listens'), 'refuse')
      return
    }
    const [near, far] = this.#pair(from, target, port)
    const take = (): void => {
      if (target.listeners.get(port) === accept) accept(far)
      else void far.close()
    }
    target.actor.after(0, take, 'accept')
    this.links.travel(target.name, from.name, () => answer.connected(near), 'accepted')
  }

  #pair(from: Host, to: Host, port: number): [SimulatedStream, SimulatedStream] {
    const near = this.#freePort(from)
    const common = { world: this.#scheduler.world, links: this.links, capacityBytes: this.#bufferBytes }
    const there = new Pipe({ ...common, from: from.name, to: to.name })
    const back = new Pipe({ ...common, from: to.name, to: from.name })
    const streamOf = (
      host: Host,
      localPort: number,
      remote: string,
      incoming: Pipe,
      outgoing: Pipe,
    ): SimulatedStream => {
      const onGone = (gone: SimulatedStream): void => void host.streams.delete(gone)
      const { trace } = this.#scheduler
      const parts = { remote, localPort, owner: host.actor, incoming, outgoing, random: this.#random, trace, onGone }
      const stream = new SimulatedStream(parts)
      host.streams.add(stream)
      return stream
    }
    return [
      streamOf(from, near, `${to.name}:${port}`, back, there),
      streamOf(to, port, `${from.name}:${near}`, there, back),
    ]
  }

  #freePort(host: Host): number {
    host.nextPort = host.nextPort >= PORT_MAX ? FIRST_FREE_PORT : host.nextPort + 1
    return host.nextPort
  }

  #between(one: string, other: string): SimulatedStream[] {
    return [...(this.#hosts.get(one)?.streams ?? [])].filter(({ peer }) => peer === other)
  }
}

/** The network of one process on one host. */
class HostNetwork implements Network {
  readonly #network: SimulatedNetwork
  readonly #host: Host
  readonly #actor: Actor

  constructor(network: SimulatedNetwork, host: Host) {
    this.#network = network
    this.#host = host
    this.#actor = host.actor
  }

  listen(options: ListenOptions, accept: Accept): Promise<Listener> {
    const isOwn = OWN_NAMES.has(options.host) || options.host === this.#host.name
    assert(isOwn, 'a process listens on its own host')
    return this.#isGone ? never() : this.#network.listen(this.#host, options.port, accept)
  }

  connect(options: { host: string; port: number; timeoutMs: number }): Promise<Stream> {
    return this.#isGone ? never() : this.#network.connect(this.#host, options)
  }

  get #isGone(): boolean {
    return this.#actor.isDead || this.#host.actor !== this.#actor
  }
}

/** For code of a process that is no more. */
function never<T>(): Promise<T> {
  return new Promise<T>(() => {})
}
