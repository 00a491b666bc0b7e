/**
 * Which brokers get the replicas of a new topic. Each partition's replicas spread over as many racks as there are, its
 * brokers get equally many of the topic's replicas as far as racks allow, and leaderships (first replicas) are spread the
 * same way. What the brokers carry already only decides between equals: a new broker that got everything of the next
 * topic would be its bottleneck. What is equal in all of that is left to chance, so that the partitions of one broker
 * have their other replicas on all the others, and its failure burdens all of them.
 */
import { assert } from '../base/index.ts'

export interface AssignableBroker {
  readonly id: number
  /** Empty for none; brokers without a rack count as one rack. */
  readonly rack: string
  /** Replicas of all topics that it has already. */
  readonly replicas: number
}

export interface AssignmentWish {
  readonly brokers: readonly AssignableBroker[]
  readonly partitions: number
  /** At most the number of brokers. */
  readonly replicationFactor: number
  /** 0 ≤ x < 1. */
  readonly chance: () => number
}

interface Load {
  readonly broker: AssignableBroker
  /** Of this topic. */
  replicas: number
  leaders: number
}

/** Node ids per partition, the preferred leader first. */
export function assignReplicas(wish: AssignmentWish): number[][] {
  const { brokers, partitions, replicationFactor, chance } = wish
  assert(replicationFactor >= 1 && replicationFactor <= brokers.length, 'there are brokers for all replicas')
  const loads = brokers.map((broker): Load => ({ broker, replicas: 0, leaders: 0 }))
  const assigned = Array.from({ length: partitions }, () => {
    const chosen = chooseBrokers(loads, replicationFactor, chance)
    for (const load of chosen) load.replicas++
    const leader = least(chosen, chance, (load) => [load.leaders, load.broker.replicas])
    leader.leaders++
    return [leader, ...shuffled(without(chosen, leader), chance)]
  })
  evenOut(assigned)
  return assigned.map((replicas) => replicas.map((load) => load.broker.id))
}

/** Who was chosen later may leave an earlier leader with too much: leadership goes to the replica that leads the least. */
function evenOut(assigned: Load[][]): void {
  for (let isEven = false; !isEven; ) {
    isEven = true
    for (const replicas of assigned) {
      const leader = replicas[0]!
      const other = replicas.reduce((best, load) => (load.leaders < best.leaders ? load : best))
      if (leader.leaders - other.leaders < 2) continue
      leader.leaders--
      other.leaders++
      replicas.splice(0, replicas.length, other, ...without(replicas, other))
      isEven = false
    }
  }
}

function without(loads: readonly Load[], one: Load): Load[] {
  return loads.filter((load) => load !== one)
}

function chooseBrokers(loads: readonly Load[], count: number, chance: () => number): Load[] {
  const chosen: Load[] = []
  const perRack = new Map<string, number>()
  while (chosen.length < count) {
    const open = loads.filter((load) => !chosen.includes(load))
    const next = least(open, chance, ({ broker, replicas }) => [
      perRack.get(broker.rack) ?? 0,
      replicas,
      broker.replicas,
    ])
    chosen.push(next)
    perRack.set(next.broker.rack, (perRack.get(next.broker.rack) ?? 0) + 1)
  }
  return chosen
}

/** The one whose numbers come first, by chance among equals. */
function least(loads: readonly Load[], chance: () => number, numbers: (load: Load) => readonly number[]): Load {
  let best: Load | undefined
  let bestNumbers: readonly number[] = []
  let equals = 0
  for (const load of loads) {
    const own = numbers(load)
    const order = best === undefined ? -1 : compareNumbers(own, bestNumbers)
    equals = order === 0 ? equals + 1 : order < 0 ? 1 : equals
    if (order < 0 || (order === 0 && chance() * equals < 1)) {
      best = load
      bestNumbers = own
    }
  }
  return best!
}

function compareNumbers(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, i) => value !== b[i])
  return at < 0 ? 0 : a[at]! - b[at]!
}

function shuffled<T>(items: readonly T[], chance: () => number): T[] {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(chance() * (i + 1))
    ;[result[i], result[j]] = [result[j]!, result[i]!]
  }
  return result
}
