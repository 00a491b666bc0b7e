/**
 * What must hold of a replicated partition at every moment, whatever happens to its brokers (docs/replication.md): looked
 * at after every event of a simulation, so it mostly compares numbers. Bytes are compared at the end.
 */
import type { PartitionValue } from '../../src/metadata/index.ts'
import type { Partition } from '../../src/replication/index.ts'

/** A life of a broker that has this replica. */
export interface Replica {
  readonly nodeId: number
  readonly life: number
  readonly partition: Partition
  /** What was not synced was lost a short while ago: it may be in the ISR of those that have not heard of it. */
  readonly mayLack: boolean
}

interface Known {
  /** The latest epoch in which somebody has led. */
  newestEpoch: number
  /** All that was ever committed lies before it. */
  committed: number
  /** Node and life of the leader of each epoch. */
  readonly leaders: Map<number, string>
  /** The highest high watermark that each life of a leader has shown in an epoch. */
  readonly shown: Map<string, number>
  /** The last partition epoch that the store had. */
  agreed: PartitionValue | undefined
  /** What clients were told to be there: exclusive. */
  told: number
  looks: number
}

/** Epochs of whole logs are compared once in so many looks, and whenever somebody else leads. */
const EPOCHS_EVERY = 64

export class Invariants {
  readonly #partitions = new Map<string, Known>()
  /** How often `check` has looked at a leader. */
  looks = 0

  /**
   * Throws what is broken. `replicas`: all that are alive, of one partition. `agreed`: what the metadata store has of it,
   * undefined while that does not run.
   */
  check(name: string, replicas: readonly Replica[], agreed: PartitionValue | undefined): void {
    const known = this.#known(name)
    const { newestEpoch } = known
    let newest: Replica | undefined
    for (const replica of replicas) {
      const { partition } = replica
      if (!partition.isLeader) continue
      this.looks++
      this.#checkLeader(name, known, replica)
      if (newest === undefined || partition.leaderEpoch > newest.partition.leaderEpoch) newest = replica
    }
    for (const replica of replicas) checkEnds(name, known, replica)
    if (known.told > known.committed) {
      fail(name, `a client was told of offset ${known.told - 1}: ${known.committed} were committed`)
    }
    if (agreed !== undefined) checkAgreed(name, known, agreed, replicas)
    // One of an earlier epoch has been replaced, and need not have what came after it.
    if (newest === undefined || newest.partition.leaderEpoch < known.newestEpoch) return
    const { partition, nodeId } = newest
    const end = partition.log.logEndOffset
    if (end < known.committed) {
      fail(name, `leader ${nodeId} of epoch ${partition.leaderEpoch} ends at ${end}: ${known.committed} were committed`)
    }
    const isDue = known.newestEpoch !== newestEpoch || ++known.looks % EPOCHS_EVERY === 0
    checkInSync(name, newest, replicas, isDue)
  }

  /** A client was told that there is a record: acknowledged, or read. */
  told(name: string, offset: number): void {
    const known = this.#known(name)
    known.told = Math.max(known.told, offset + 1)
  }

  /** Exclusive end of what was committed. */
  committed(name: string): number {
    return this.#partitions.get(name)?.committed ?? 0
  }

  #known(name: string): Known {
    let known = this.#partitions.get(name)
    if (known === undefined) {
      const nothing = { newestEpoch: -1, committed: 0, agreed: undefined, told: 0, looks: 0 }
      known = { ...nothing, leaders: new Map(), shown: new Map() }
      this.#partitions.set(name, known)
    }
    return known
  }

  #checkLeader(name: string, known: Known, { partition, nodeId, life }: Replica): void {
    const { leaderEpoch, highWatermark } = partition
    const who = `${nodeId}#${life}`
    const leader = known.leaders.get(leaderEpoch)
    if (leader === undefined) known.leaders.set(leaderEpoch, who)
    else if (leader !== who) fail(name, `epoch ${leaderEpoch} has two leaders: ${leader} and ${who}`)
    const place = `${leaderEpoch} ${who}`
    const shown = known.shown.get(place) ?? 0
    if (highWatermark < shown) fail(name, `the high watermark of leader ${who} went back: ${shown} to ${highWatermark}`)
    if (highWatermark > shown) known.shown.set(place, highWatermark)
    known.committed = Math.max(known.committed, highWatermark)
    known.newestEpoch = Math.max(known.newestEpoch, leaderEpoch)
  }
}

/** Nobody believes in more than there is, or than any leader has committed. */
function checkEnds(name: string, known: Known, { partition, nodeId }: Replica): void {
  if (!partition.isReplicated) return
  const { highWatermark, log } = partition
  if (highWatermark > log.logEndOffset) {
    fail(name, `the high watermark of ${nodeId}, ${highWatermark}, is beyond its log end ${log.logEndOffset}`)
  }
  if (highWatermark > known.committed) {
    fail(name, `the high watermark of ${nodeId} is ${highWatermark}: leaders have committed ${known.committed}`)
  }
}

/** The state that all agreed on goes forward, and whoever may be elected by it has all that was ever committed. */
function checkAgreed(name: string, known: Known, agreed: PartitionValue, replicas: readonly Replica[]): void {
  const before = known.agreed
  if (agreed !== before) {
    known.agreed = agreed
    if (before !== undefined) {
      const { partitionEpoch, leaderEpoch, leader } = agreed
      // A store that was started again tells all anew.
      const isSame = partitionEpoch === before.partitionEpoch && JSON.stringify(agreed) === JSON.stringify(before)
      if (partitionEpoch <= before.partitionEpoch && !isSame) {
        fail(name, `the partition epoch went from ${before.partitionEpoch} to ${partitionEpoch}`)
      }
      const isOther = leader >= 0 && leader !== before.leader && leaderEpoch === before.leaderEpoch
      if (leaderEpoch < before.leaderEpoch || isOther) {
        fail(name, `from leader ${before.leader} in ${before.leaderEpoch} to ${leader} in ${leaderEpoch}`)
      }
    }
  }
  for (const { nodeId, partition, mayLack } of replicas) {
    if (mayLack || !agreed.isr.includes(nodeId)) continue
    const end = partition.log.logEndOffset
    if (end < known.committed) {
      fail(name, `${nodeId} may be elected and ends at ${end}: ${known.committed} were committed`)
    }
  }
}

/** Whoever the newest leader has in its ISR has all that this leader has committed, of the same epochs. */
function checkInSync(name: string, { partition }: Replica, replicas: readonly Replica[], hasEpochs: boolean): void {
  const { leader, highWatermark } = partition
  for (const id of leader?.isr ?? []) {
    const member = replicas.find(({ nodeId }) => nodeId === id)
    if (member === undefined || member.mayLack || member.partition === partition) continue
    const { log } = member.partition
    const end = log.logEndOffset
    if (end < highWatermark) fail(name, `${id} is in sync and ends at ${end}: ${highWatermark} are committed`)
    for (let epoch = hasEpochs ? partition.leaderEpoch : -1; epoch >= 0; epoch--) {
      const ours = Math.min(partition.log.endOffsetFor(epoch).endOffset, highWatermark)
      const theirs = Math.min(log.endOffsetFor(epoch).endOffset, highWatermark)
      if (ours !== theirs && ours >= 0 && theirs >= 0) {
        fail(name, `epoch ${epoch} ends at ${ours}, but at ${theirs} in ${id}, which is in sync`)
      }
    }
  }
}

function fail(name: string, what: string): never {
  throw new Error(`${name}: ${what}`)
}
