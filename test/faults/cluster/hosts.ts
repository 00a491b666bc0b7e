/**
 * Hosts of a cluster on this machine: a network namespace each, joined by a bridge that the tests' own process is on
 * too. What one host sends to another can be dropped, and only that: packets the other way still arrive, as when a
 * switch or a firewall is broken. Needs root, `ip` and `nft`; without them the hosts are addresses of loopback behind
 * proxies that can be cut (proxied-hosts.ts). PAGELOG_FAULT_NETWORK says which, where that must not depend on the machine.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { startTimeOf } from '../../../bench/process/start-time.ts'
import { Proxied } from './proxied-hosts.ts'

export interface Endpoint {
  readonly host: string
  readonly port: number
}

export interface Hosts {
  readonly canCut: boolean
  address(name: string): string
  /** What a command begins with to run there. */
  prefix(name: string): readonly string[]
  /** A port to listen on. */
  port(name: string): Promise<number>
  /** Where everybody else reaches what listens there. */
  publish(name: string, listening: Endpoint): Promise<Endpoint>
  /** Nothing that `from` sends arrives at `to` any more. */
  cut(from: string, to: string): void
  /** All is as it was. */
  heal(): void
  close(): void
}

export const CUT_NEEDS = 'cutting the network needs Linux'

const RULES = `table ip faults {
  set cut { type ipv4_addr; }
  chain input { type filter hook input priority 0; ip saddr @cut drop; }
}`

/** A network for each cluster. */
const PREFIX_BITS = 28
const ADDRESSES = 2 ** (32 - PREFIX_BITS)

/** Namespaces go some time after they are deleted: names are not used again. */
let made = 0

const networks = ['namespaces', 'proxy', 'loopback'] as const
export type FaultNetwork = (typeof networks)[number]

export function makeHosts(names: readonly string[], network: FaultNetwork = chosenNetwork()): Hosts {
  if (network === 'loopback') return new Loopback()
  if (network === 'proxy') return new Proxied(names)
  if (!canMakeNamespaces()) throw new Error('namespaces need root, ip and nft (Debian: iproute2, nftables)')
  return new Namespaces(names)
}

function chosenNetwork(): FaultNetwork {
  const named = process.env.PAGELOG_FAULT_NETWORK
  if (named === undefined) return canMakeNamespaces() ? 'namespaces' : hasManyAddresses() ? 'proxy' : 'loopback'
  const network = networks.find((one) => one === named)
  if (network === undefined) throw new Error(`PAGELOG_FAULT_NETWORK=${named}: allowed is ${networks.join(', ')}`)
  return network
}

/** All of 127.0.0.0/8 is there without having been set up. */
function hasManyAddresses(): boolean {
  return process.platform === 'linux'
}

function canMakeNamespaces(): boolean {
  if (process.getuid?.() !== 0) return false
  try {
    execFileSync('nft', ['--version'], { stdio: 'ignore' })
    execFileSync('ip', ['-V'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

class Namespaces implements Hosts {
  readonly canCut = true
  readonly #names: readonly string[]
  readonly #tag = `pl${process.pid.toString(36)}-${(made++).toString(36)}`
  readonly #net: string
  /** Of the last number of the addresses. Clusters of one process may live side by side. */
  readonly #first: number
  readonly #atExit = (): void => this.#remove()

  constructor(names: readonly string[]) {
    this.#names = names
    // Other runs on this machine have other process ids.
    this.#net = `10.${100 + (process.pid % 100)}.${Math.floor(process.pid / 100) % 250}`
    this.#first = ADDRESSES * ((made - 1) % (256 / ADDRESSES))
    sweep()
    process.once('exit', this.#atExit)
    try {
      this.#make()
    } catch (error) {
      this.close()
      throw error
    }
  }

  address(name: string): string {
    return `${this.#net}.${this.#first + 2 + this.#indexOf(name)}`
  }

  prefix(name: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.#space(name)]
  }

  /** Nobody else is there. Above the ports that connections of our own may get. */
  #nextPort = 9092
  async port(): Promise<number> {
    return this.#nextPort++
  }

  async publish(_name: string, listening: Endpoint): Promise<Endpoint> {
    return listening
  }

  cut(from: string, to: string): void {
    run([...this.prefix(to), 'nft', 'add', 'element', 'ip', 'faults', 'cut', `{ ${this.address(from)} }`])
  }

  heal(): void {
    for (const name of this.#names) run([...this.prefix(name), 'nft', 'flush', 'set', 'ip', 'faults', 'cut'])
  }

  close(): void {
    process.off('exit', this.#atExit)
    this.#remove()
  }

  #make(): void {
    const bridge = `${this.#tag}b`
    run(['ip', 'link', 'add', bridge, 'type', 'bridge'])
    run(['ip', 'addr', 'add', `${this.#net}.${this.#first + 1}/${PREFIX_BITS}`, 'dev', bridge])
    run(['ip', 'link', 'set', bridge, 'up'])
    for (const name of this.#names) {
      const space = this.#space(name)
      const link = this.#link(name)
      run(['ip', 'netns', 'add', space])
      run(['ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space])
      run(['ip', 'link', 'set', link, 'master', bridge, 'up'])
      run(['ip', '-n', space, 'addr', 'add', `${this.address(name)}/${PREFIX_BITS}`, 'dev', 'eth0'])
      run(['ip', '-n', space, 'link', 'set', 'lo', 'up'])
      run(['ip', '-n', space, 'link', 'set', 'eth0', 'up'])
      run([...this.prefix(name), 'nft', '-f', '-'], RULES)
    }
  }

  #remove(): void {
    for (const name of this.#names) {
      tryRun(['ip', 'link', 'del', this.#link(name)])
      tryRun(['ip', 'netns', 'del', this.#space(name)])
    }
    tryRun(['ip', 'link', 'del', `${this.#tag}b`])
  }

  #link(name: string): string {
    return `${this.#tag}v${this.#indexOf(name)}`
  }

  #space(name: string): string {
    return `${this.#tag}-${name}`
  }

  #indexOf(name: string): number {
    const index = this.#names.indexOf(name)
    if (index < 0) throw new Error(`there is no host ${name}`)
    return index
  }
}

/** What processes that are gone have left: they were killed. */
function sweep(): void {
  for (const line of run(['ip', 'netns', 'list']).split('\n')) {
    const [, space, tag, pid] = /^((pl([0-9a-z]+)-[0-9a-z]+)-\w+)/.exec(line) ?? []
    if (tag === undefined || startTimeOf(Number.parseInt(pid!, 36)) !== undefined) continue
    tryRun(['ip', 'netns', 'del', space!])
    tryRun(['ip', 'link', 'del', `${tag}b`])
  }
}

class Loopback implements Hosts {
  readonly canCut = false

  address(): string {
    return '127.0.0.1'
  }

  prefix(): readonly string[] {
    return []
  }

  async port(): Promise<number> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { readonly port: number }
    server.close()
    await once(server, 'close')
    return port
  }

  async publish(_name: string, listening: Endpoint): Promise<Endpoint> {
    return listening
  }

  cut(): void {
    throw new Error(CUT_NEEDS)
  }

  heal(): void {}

  close(): void {}
}

function run(command: readonly string[], input?: string): string {
  const [program, ...args] = command as [string, ...string[]]
  return execFileSync(program, args, { encoding: 'utf8', stdio: 'pipe', ...(input === undefined ? {} : { input }) })
}

function tryRun(command: readonly string[]): void {
  try {
    run(command)
  } catch {
    // Never made, or gone.
  }
}
