/**
 * Faults of every kind against a running cluster, chosen by a seed: one at a time, or one that meets another before it is
 * over. Every fault ends healed; what it did is told in one line.
 */
import type { SeededRandom } from '../../../src/env/simulated/index.ts'
import { type FaultCluster, SESSION_MS } from './fault-cluster.ts'
import { pause } from './under-load.ts'

interface Fault {
  readonly name: string
  readonly weight: number
  /** One broker is away, and nothing else is wrong. */
  readonly single?: boolean
  /** Needs a network that can be cut. */
  readonly cuts?: boolean
  readonly strike: (world: World) => Promise<string>
}

interface World {
  readonly cluster: FaultCluster
  readonly random: SeededRandom
  /** Counted by kind. */
  readonly count: (kind: string, by?: number) => void
}

export class Nemesis {
  readonly #world: World
  readonly #faults: readonly Fault[]
  readonly counts = new Map<string, number>()

  constructor(cluster: FaultCluster, random: SeededRandom) {
    const count = (kind: string, by = 1): void => void this.counts.set(kind, (this.counts.get(kind) ?? 0) + by)
    this.#world = { cluster, random, count }
    this.#faults = FAULTS.filter(({ cuts }) => cuts !== true || cluster.hosts.canCut)
  }

  /** One fault from its beginning to its end; resolves with what was done. */
  async strike(): Promise<{ readonly done: string; readonly isSingle: boolean }> {
    const { random, count } = this.#world
    let left = random.below(this.#faults.reduce((sum, { weight }) => sum + weight, 0))
    const fault = this.#faults.find(({ weight }) => {
      left -= weight
      return left < 0
    })!
    count(fault.name)
    return { done: `${fault.name}: ${await fault.strike(this.#world)}`, isSingle: fault.single === true }
  }
}

const FAULTS: readonly Fault[] = [
  { name: 'kill', weight: 10, single: true, strike: killOne },
  { name: 'kill all', weight: 2, strike: killAll },
  { name: 'kill controller', weight: 2, single: true, strike: killController },
  { name: 'kill two', weight: 2, strike: killTwo },
  { name: 'pause', weight: 4, single: true, strike: pauseOne },
  { name: 'restart', weight: 2, single: true, strike: restartOne },
  { name: 'kill etcd', weight: 2, strike: killEtcd },
  { name: 'pause etcd', weight: 1, strike: pauseEtcd },
  { name: 'cut', weight: 5, cuts: true, strike: cutLinks },
  { name: 'isolate', weight: 2, cuts: true, strike: isolate },
]

function anyBroker({ random }: World): number {
  return 1 + random.below(3)
}

/** Before the cluster has noticed, or after. */
async function aWhile({ random }: World): Promise<number> {
  const ms = random.below(2 * SESSION_MS)
  await pause(ms)
  return ms
}

async function killAndStart(world: World, ids: readonly number[]): Promise<string> {
  const { cluster, count } = world
  count('brokers killed', ids.length)
  await Promise.all(ids.map((id) => cluster.broker(id).kill()))
  const ms = await aWhile(world)
  await Promise.all(ids.map((id) => cluster.broker(id).start()))
  return `broker ${ids.join(', ')} for ${ms} ms`
}

function killOne(world: World): Promise<string> {
  return killAndStart(world, [anyBroker(world)])
}

function killAll(world: World): Promise<string> {
  return killAndStart(world, [1, 2, 3])
}

function killController(world: World): Promise<string> {
  return killAndStart(world, [world.cluster.image.controller?.id ?? anyBroker(world)])
}

/** The second while the first is away or catching up. */
async function killTwo(world: World): Promise<string> {
  const { cluster, random, count } = world
  const first = anyBroker(world)
  const second = 1 + ((first + random.below(2)) % 3)
  count('brokers killed', 2)
  await cluster.broker(first).kill()
  await aWhile(world)
  const early = random.chance(0.5)
  if (early) await cluster.broker(first).start()
  await cluster.broker(second).kill()
  const ms = await aWhile(world)
  if (!early) await cluster.broker(first).start()
  await cluster.broker(second).start()
  return `broker ${first}, then ${second} for ${ms} ms`
}

async function pauseOne(world: World): Promise<string> {
  const id = anyBroker(world)
  world.cluster.broker(id).pause()
  const ms = await aWhile(world)
  world.cluster.broker(id).resume()
  return `broker ${id} for ${ms} ms`
}

async function restartOne(world: World): Promise<string> {
  const id = anyBroker(world)
  const code = await world.cluster.broker(id).stop()
  if (code !== 0) throw new Error(`broker ${id} ended with ${code} when it was asked to close`)
  await world.cluster.broker(id).start()
  return `broker ${id}`
}

async function killEtcd(world: World): Promise<string> {
  const [member] = world.cluster.etcd.members
  await member!.kill()
  const ms = await aWhile(world)
  await member!.startAgain()
  return `for ${ms} ms`
}

async function pauseEtcd(world: World): Promise<string> {
  const [member] = world.cluster.etcd.members
  process.kill(member!.pid, 'SIGSTOP')
  const ms = await aWhile(world)
  process.kill(member!.pid, 'SIGCONT')
  return `for ${ms} ms`
}

/** One link or two, each in one direction or in both. */
async function cutLinks(world: World): Promise<string> {
  const { cluster, random } = world
  const names = ['e', 'b1', 'b2', 'b3']
  const told: string[] = []
  for (let left = 1 + random.below(2); left > 0; left--) {
    const from = names[random.below(4)]!
    const to = names.filter((name) => name !== from)[random.below(3)]!
    cluster.hosts.cut(from, to)
    const isBoth = random.chance(0.4)
    if (isBoth) cluster.hosts.cut(to, from)
    told.push(`${from} ${isBoth ? 'and' : 'to'} ${to}`)
  }
  const ms = await aWhile(world)
  cluster.hosts.heal()
  return `${told.join(', ')} for ${ms} ms`
}

async function isolate(world: World): Promise<string> {
  const { cluster } = world
  const name = `b${anyBroker(world)}`
  for (const other of ['e', 'b1', 'b2', 'b3']) {
    if (other === name) continue
    cluster.hosts.cut(name, other)
    cluster.hosts.cut(other, name)
  }
  const ms = await aWhile(world)
  cluster.hosts.heal()
  return `${name} for ${ms} ms`
}
