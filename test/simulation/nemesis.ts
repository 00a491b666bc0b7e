/** What happens to a simulated cluster: one fault after the other, as the seed has it, some of them at the same time. */

import { CLIENT, type Member, SECOND, type SimulatedCluster, TOPIC } from './cluster.ts'
import { METADATA_HOST } from './remote-metadata.ts'

/** At most this long until a fault is over. */
const FAULT_MS = 8 * SECOND
const QUICK_MS = 500
const WATCH_LAG_MS = 5 * SECOND
/** What is left of a disk that fills up, at most. */
const SPARE_BYTES = 64 * 1024
const FAILING_OPERATIONS = 20

/** Each does something, and sees to it that it is over some time. */
type Fault = () => void

export class Nemesis {
  readonly #cluster: SimulatedCluster
  readonly #names: readonly string[]
  readonly #damages: boolean
  /** The least that min.insync.replicas is or was: with 1 there may be one copy of what is acknowledged. */
  #minInsyncReplicas: number

  /** `damages`: bytes change on disks, too. */
  constructor(cluster: SimulatedCluster, minInsyncReplicas: number, damages = false) {
    this.#cluster = cluster
    this.#damages = damages
    this.#minInsyncReplicas = minInsyncReplicas
    this.#names = [...cluster.members.map(({ machine }) => machine.name), METADATA_HOST, CLIENT]
  }

  /** Does so many things to the cluster, then lets it alone. */
  async torment(faults: number): Promise<void> {
    const { random } = this.#cluster.scheduler
    const kinds = [...this.#ofProcesses(), ...this.#ofNetwork(), ...this.#ofMetadata(), ...this.#ofDisks()]
    const damage = (): void => {
      if (this.#cluster.isWhole) this.#cluster.damage(this.#aMember())
    }
    if (this.#damages) kinds.push(...Array<Fault>(kinds.length).fill(damage))
    for (let count = 0; count < faults; count++) {
      kinds[random.below(kinds.length)]!()
      await this.#cluster.scheduler.run(random.chance(0.3) ? random.below(200) : random.below(6 * SECOND))
    }
  }

  #ofProcesses(): Fault[] {
    const cluster = this.#cluster
    const killed = (): void => {
      const member = this.#aMember()
      cluster.kill(member)
      this.#later(() => cluster.startBroker(member))
    }
    return [
      killed,
      killed,
      () => {
        for (const member of cluster.members) {
          cluster.kill(member)
          this.#later(() => cluster.startBroker(member))
        }
      },
      () => cluster.restart(this.#aMember()),
      () => this.#pause(this.#aMember()),
      // Clients are connected to it and have sent more; it is replaced meanwhile.
      () => this.#pause(this.#aLeader()),
    ]
  }

  #ofNetwork(): Fault[] {
    const { network, scheduler } = this.#cluster
    const { random } = scheduler
    return [
      () => {
        const [one, other] = this.#aPair()
        network.cut(one, other)
        this.#later(() => network.heal(one, other))
      },
      () => {
        const [from, to] = this.#aPair()
        network.cutOneWay(from, to)
        this.#later(() => network.heal(from, to))
      },
      () => {
        const { machine } = this.#aMember()
        network.isolate(machine.name)
        this.#later(() => {
          for (const name of this.#names) if (name !== machine.name) network.heal(name, machine.name)
        })
      },
      // A leader that is replaced and does not hear of it: those that it cannot reach leave its ISR, or do they.
      () => {
        const { machine } = this.#aLeader()
        const follower = this.#aMember().machine.name
        const isDeaf = random.chance(0.5)
        network.cutOneWay(METADATA_HOST, machine.name)
        if (!isDeaf) network.cutOneWay(machine.name, METADATA_HOST)
        if (follower !== machine.name) network.cut(machine.name, follower)
        this.#later(() => {
          network.heal(machine.name, METADATA_HOST)
          network.heal(machine.name, follower)
        })
      },
      // What a follower has asked for comes to its leader late, maybe when that leads in another epoch.
      () => {
        const { machine } = this.#aLeader()
        const follower = this.#aMember().machine.name
        if (follower === machine.name) return
        network.cutOneWay(follower, machine.name)
        this.#later(() => network.heal(follower, machine.name))
      },
      () => network.reset(...this.#aPair()),
      () => network.swallow(...this.#aPair()),
    ]
  }

  #ofMetadata(): Fault[] {
    const cluster = this.#cluster
    const { metadata, scheduler } = cluster
    const { random } = scheduler
    return [
      () => {
        metadata.kill()
        this.#later(() => metadata.restart())
      },
      () => {
        metadata.machine.pause()
        this.#later(() => metadata.machine.resume())
      },
      () => {
        const { name } = this.#aMember().machine
        metadata.watchLagMs.set(name, random.below(WATCH_LAG_MS))
        this.#later(() => metadata.watchLagMs.delete(name))
      },
      // Its lease is over before its time. One that is alone may rely on it, so not where one is enough.
      () => {
        if (this.#minInsyncReplicas > 1) void metadata.expire(this.#aMember().nodeId).catch(() => {})
      },
      () => {
        const least = cluster.isWhole ? 1 : 2
        const count = least + random.below(cluster.members.length + 1 - least)
        this.#minInsyncReplicas = Math.min(this.#minInsyncReplicas, count)
        void metadata.setTopicConfigs(TOPIC, { 'min.insync.replicas': String(count) }).catch(() => {})
      },
      () => void cluster.recreated.recreate(cluster.members.length),
    ]
  }

  #ofDisks(): Fault[] {
    const cluster = this.#cluster
    const { random, world } = cluster.scheduler
    return [
      () => {
        const { machine, usualDiskMsMax } = this.#aMember()
        machine.diskMsMax = 20 + random.below(300)
        this.#later(() => {
          machine.diskMsMax = usualDiskMsMax
        })
      },
      () => {
        const { machine, usualDiskBytes } = this.#aMember()
        const { disk } = machine
        disk.capacityBytes = disk.usedBytes + random.below(SPARE_BYTES)
        this.#later(() => {
          disk.capacityBytes = usualDiskBytes
        })
      },
      // Whoever lost something before must have it again: one copy of what is not synced is too few. Nor may one be enough:
      // until others know of the loss, who lost it may be left alone in the ISR.
      () => {
        if (!cluster.isWhole || this.#minInsyncReplicas === 1) return
        const member = this.#aMember()
        cluster.crash(member)
        // Back before anybody has noticed, or later.
        if (random.chance(0.5)) world.after(random.below(QUICK_MS), () => cluster.startBroker(member), 'power is back')
        else this.#later(() => cluster.startBroker(member))
      },
      () => {
        if (!cluster.isWhole) return
        const member = this.#aMember()
        const operation = (['write', 'dataSync', 'read', 'syncDirectory'] as const)[random.below(4)]!
        cluster.breakDisk(member, { operation, error: 'EIO', nth: 1 + random.below(FAILING_OPERATIONS) })
        this.#later(() => {
          cluster.kill(member)
          cluster.startBroker(member)
        })
      },
    ]
  }

  #pause({ machine }: Member): void {
    machine.pause()
    this.#later(() => machine.resume())
  }

  #later(undo: () => void): void {
    const { random, world } = this.#cluster.scheduler
    world.after(random.below(FAULT_MS), undo, 'fault ends')
  }

  #aMember(): Member {
    const { members, scheduler } = this.#cluster
    return members[scheduler.random.below(members.length)]!
  }

  #aLeader(): Member {
    const { members, scheduler } = this.#cluster
    const leaders = members.filter(({ broker }) => broker?.partitions.find(TOPIC, 0)?.isLeader)
    return leaders[scheduler.random.below(leaders.length)] ?? this.#aMember()
  }

  #aPair(): [string, string] {
    const { random } = this.#cluster.scheduler
    const names = this.#names
    const one = random.below(names.length)
    const other = (one + 1 + random.below(names.length - 1)) % names.length
    return [names[one]!, names[other]!]
  }
}
