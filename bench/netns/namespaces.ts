/**
 * Three machines on one: every broker and every client in a network namespace of its own, joined by a bridge in another,
 * the hub; every link is a veth pair shaped by a token bucket at both ends. The harness itself runs in the hub, from where
 * it reaches them all without being shaped. Nothing of it touches the machine's own network.
 *
 *   pagelog-bench-<pid>-<start>-hub    10.213.0.1     pid and start time of the harness that made them: a later run
 *   pagelog-bench-<pid>-<start>-b0     10.213.0.10    can tell that it is gone, and removes what it left
 *   pagelog-bench-<pid>-<start>-c0     10.213.0.100
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { UsageError } from '../options.ts'
import { startTimeOf } from '../process/start-time.ts'
import { loopback, type Place, type Placement } from './placement.ts'

const PREFIX = 'pagelog-bench-'
/** Where `ip netns` keeps the names. */
const NAMES = '/run/netns'
const NETWORK = '10.213.0'
const HUB_ADDRESS = `${NETWORK}.1`
const BROKERS_FROM = 10
const CLIENTS_FROM = 100
const CLIENTS_MAX = 150
/** A bucket as large as a link of a gigabit sends in 2 ms; what waits longer than this in the queue is dropped. */
const BURST = '256kb'
const LATENCY = '50ms'
/** The hub and the rate of its links, of the harness that runs in it. */
const HUB_VARIABLE = 'PAGELOG_BENCH_HUB'

const RATE = /^(\d+(?:\.\d+)?[kmg]bit|unshaped)$/

/** Of a placement's name. */
export function isShaped(name: string): boolean {
  return RATE.test(name) && name !== 'unshaped'
}

/** Throws UsageError. */
export function checkRate(rate: string): void {
  if (!RATE.test(rate)) throw new UsageError(`--netns ${rate}: a rate such as 1gbit or 100mbit, or unshaped`)
}

export function canHaveNamespaces(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false
  try {
    execFileSync('ip', ['-V'], { stdio: 'ignore' })
    execFileSync('tc', ['-V'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function ip(...args: string[]): void {
  run('ip', args)
}

function run(command: string, args: readonly string[]): void {
  try {
    execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' })
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() || (error as Error).message
    throw new Error(`${command} ${args.join(' ')}: ${said}`)
  }
}

/** What this run's namespaces begin with. */
export interface Hub {
  readonly name: string
  readonly prefix: string
  readonly rate: string
}

/** Makes the hub of this process. Throws UsageError where that cannot be. */
export function makeHub(rate: string): Hub {
  checkRate(rate)
  if (!canHaveNamespaces()) throw new UsageError('--netns needs Linux, root, and the programs ip and tc')
  const prefix = `${PREFIX}${process.pid}-${startTimeOf(process.pid) ?? 0}-`
  const name = `${prefix}hub`
  ip('netns', 'add', name)
  try {
    ip('-n', name, 'link', 'set', 'lo', 'up')
    ip('-n', name, 'link', 'add', 'br0', 'type', 'bridge')
    ip('-n', name, 'addr', 'add', `${HUB_ADDRESS}/24`, 'dev', 'br0')
    ip('-n', name, 'link', 'set', 'br0', 'up')
  } catch (error) {
    removeNamespaces(prefix)
    throw error
  }
  return { name, prefix, rate }
}

/** What a harness that is to run in the hub finds in its environment. */
export function hubEnvironment({ name, prefix, rate }: Hub): Record<string, string> {
  return { [HUB_VARIABLE]: JSON.stringify({ name, prefix, rate }) }
}

export function hubHere(): Hub | undefined {
  const text = process.env[HUB_VARIABLE]
  return text === undefined ? undefined : (JSON.parse(text) as Hub)
}

class Namespaces implements Placement {
  readonly name: string
  readonly #hub: Hub
  readonly #places = new Map<string, Place>()

  constructor(hub: Hub) {
    this.#hub = hub
    this.name = hub.rate
  }

  broker(index: number): Place {
    return this.#place(`b${index}`, BROKERS_FROM + index)
  }

  /** Of more clients than there are addresses for some share a link. */
  client(index: number): Place {
    const link = index % CLIENTS_MAX
    return this.#place(`c${link}`, CLIENTS_FROM + link)
  }

  /** Whoever made the hub removes them all. */
  async close(): Promise<void> {}

  #place(name: string, last: number): Place {
    let place = this.#places.get(name)
    if (place === undefined) {
      place = makePlace(this.#hub, name, `${NETWORK}.${last}`)
      this.#places.set(name, place)
    }
    return place
  }
}

function makePlace(hub: Hub, port: string, host: string): Place {
  const name = `${hub.prefix}${port}`
  if (!existsSync(`${NAMES}/${name}`)) {
    ip('netns', 'add', name)
    ip('-n', name, 'link', 'set', 'lo', 'up')
    ip('-n', hub.name, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
    ip('-n', hub.name, 'link', 'set', port, 'master', 'br0', 'up')
    ip('-n', name, 'addr', 'add', `${host}/24`, 'dev', 'eth0')
    ip('-n', name, 'link', 'set', 'eth0', 'up')
    if (hub.rate !== 'unshaped') {
      shape(name, 'eth0', hub.rate)
      shape(hub.name, port, hub.rate)
    }
  }
  return { host, wrap: (command, args) => ({ command: 'ip', args: ['netns', 'exec', name, command, ...args] }) }
}

/** What leaves by the device. */
function shape(namespace: string, device: string, rate: string): void {
  const bucket = ['rate', rate, 'burst', BURST, 'latency', LATENCY]
  run('tc', ['-n', namespace, 'qdisc', 'add', 'dev', device, 'root', 'tbf', ...bucket])
}

let here: Placement | undefined

/** Where processes of this harness are to live: in namespaces when it runs in a hub, else on loopback. */
export function placementHere(): Placement {
  if (here === undefined) {
    const hub = hubHere()
    here = hub === undefined ? loopback : new Namespaces(hub)
  }
  return here
}

let clients = 0

/** For the next client of this harness: each has a place of its own. */
export function nextClientPlace(): Place {
  return placementHere().client(clients++)
}

/** Ends what still runs in them and removes all namespaces with this prefix. */
export function removeNamespaces(prefix: string): void {
  for (const name of namesWith(prefix)) {
    for (const pid of pidsIn(name)) {
      try {
        if (pid !== process.pid) process.kill(pid, 'SIGKILL')
      } catch {
        // It ended by itself.
      }
    }
    try {
      ip('netns', 'del', name)
    } catch {
      // Gone already, or somebody else's run is removing it.
    }
  }
}

/** Removes what harnesses that are gone have left. */
export function sweepNamespaces(): void {
  for (const name of namesWith(PREFIX)) {
    const [, pid, start] = /^pagelog-bench-(\d+)-(\d+)-/.exec(name) ?? []
    if (pid === undefined || startTimeOf(Number(pid)) === start) continue
    removeNamespaces(`${PREFIX}${pid}-${start}-`)
  }
}

export function namesWith(prefix: string): string[] {
  try {
    return readdirSync(NAMES).filter((name) => name.startsWith(prefix))
  } catch {
    return []
  }
}

function pidsIn(name: string): number[] {
  try {
    const text = execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map(Number)
  } catch {
    return []
  }
}
