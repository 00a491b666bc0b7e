/**
 * How the state of a partition may change, as pure functions: what the controller makes of brokers that come and go, and
 * what a leader makes of followers that fall behind or catch up. Both go through `withIsr`, so they agree on the rules
 * (reliability R5 - R7, KIP-966):
 *
 * - A leader is elected from the ISR; if none of it is there, from the ELR: members that were removed while the ISR was
 *   below min.insync.replicas. The high watermark stood still then, so they miss nothing that was acknowledged.
 * - Suspects are replicas that may have lost records: their machine lost its page cache, their disk failed, their log is
 *   missing. They leave ISR and ELR, and say how far their log goes. Only when nobody else is left in either, one of them
 *   is elected: the one with the longest log of the latest epoch, of at least min.insync.replicas that have told in the
 *   life that they are in now. It is waited for those that are away, but not for ever.
 * - A replica whose log cannot be opened (broken) is never elected, by no rule.
 * - Any other replica is elected only where the topic allows it (`unclean.leader.election.enable`).
 * - The leader epoch rises by one with each election, the partition epoch with each change.
 */
import type { PartitionValue, SuspectLog } from '../metadata/index.ts'

/** Of a log that cannot be opened. */
const BROKEN_END = -1

/** What an election has to know besides the partition. */
export interface ElectionRules {
  /** The topic's `min.insync.replicas`. */
  readonly minInsyncReplicas: number
  /** Whether a replica that may lack acknowledged records can lead when nobody else can. */
  readonly unclean: boolean
  /** Whether it is waited for suspects that are away. */
  readonly patient: boolean
  /** Whether the broker is registered. */
  alive(id: number): boolean
  /** The incarnation of a registered broker. */
  life(id: number): string | undefined
  /** Whether it is about to close. */
  leaving(id: number): boolean
}

/** More replicas than there are cannot be in sync. */
export function effectiveMinIsr(minInsyncReplicas: number, replicas: readonly number[]): number {
  return Math.min(minInsyncReplicas, replicas.length)
}

/**
 * The partition with the ISR that its leader gives it. Members that go while what stays is below the minimum are kept as
 * eligible leaders. With enough in sync, records are committed without the others: nobody else is eligible or a suspect.
 */
export function withIsr(partition: PartitionValue, isr: readonly number[], minInsyncReplicas: number): PartitionValue {
  const next = withMembers(partition, isr, minInsyncReplicas)
  return isBelow(next, minInsyncReplicas) ? next : withSuspects(next, (_, log) => isBroken(log))
}

/** As somebody says who does not lead: nothing may be committed with that ISR, so suspects are still needed. */
function withMembers(partition: PartitionValue, isr: readonly number[], minInsyncReplicas: number): PartitionValue {
  const eligible = new Set([...partition.elr, ...partition.isr])
  const next = { ...partition, isr, partitionEpoch: partition.partitionEpoch + 1 }
  const elr = isBelow(next, minInsyncReplicas) ? [...eligible].filter((id) => !isr.includes(id)) : []
  return withSuspects({ ...next, elr }, (id) => !isr.includes(id))
}

function isBelow({ isr, replicas }: PartitionValue, minInsyncReplicas: number): boolean {
  return isr.length < effectiveMinIsr(minInsyncReplicas, replicas)
}

function withSuspects(
  { suspects = {}, ...rest }: PartitionValue,
  stays: (id: number, log: SuspectLog) => boolean,
): PartitionValue {
  const left = Object.entries(suspects).filter(([id, log]) => stays(Number(id), log))
  return left.length > 0 ? { ...rest, suspects: Object.fromEntries(left) } : rest
}

/** Whether the log cannot be opened. */
export function isBroken(log: SuspectLog | undefined): boolean {
  return log !== undefined && log[1] <= BROKEN_END
}

function isEmpty(log: SuspectLog | undefined): boolean {
  return log?.[1] === 0
}

/** What is told of a log that cannot be opened. */
export function brokenLog(incarnation: string): SuspectLog {
  return [-1, BROKEN_END, incarnation]
}

/** What the partition has to become given who is there; undefined when it can stay as it is. */
export function settled(partition: PartitionValue, rules: ElectionRules): PartitionValue | undefined {
  const isr = remainingIsr(partition, rules)
  const shrunk = isr.length === partition.isr.length ? partition : withMembers(partition, isr, rules.minInsyncReplicas)
  if (isr.includes(shrunk.leader)) return shrunk === partition ? undefined : shrunk
  const elected = elect(shrunk, rules)
  if (elected === undefined && shrunk.leader === -1) return shrunk === partition ? undefined : shrunk
  const next = elected ?? { ...shrunk, leader: -1 }
  return { ...next, partitionEpoch: partition.partitionEpoch + 1 }
}

/** The partition led by its first replica; undefined when that leads already or cannot. */
export function preferred(partition: PartitionValue, rules: ElectionRules): PartitionValue | undefined {
  const first = partition.replicas[0]!
  if (partition.leader === first || !partition.isr.includes(first)) return undefined
  if (!rules.alive(first) || rules.leaving(first)) return undefined
  return ledBy(partition, first, partition.partitionEpoch + 1)
}

/** The partition without a broker that may lack records: it vouches for nothing but what it tells of its log. */
export function suspected(partition: PartitionValue, id: number, log: SuspectLog): PartitionValue {
  const isr = partition.isr.filter((member) => member !== id)
  const elr = partition.elr.filter((member) => member !== id)
  const hadMembers = partition.isr.length + partition.elr.length > 0
  // What the others told when somebody else led still is out of date: they may have followed since.
  const isLast = hadMembers && isr.length + elr.length === 0
  const others = Object.entries(partition.suspects ?? {}).map(([other, told]) => [
    other,
    isLast ? outdated(told) : told,
  ])
  return {
    ...withoutLeader(partition, id),
    isr,
    elr,
    suspects: { ...Object.fromEntries(others), [id]: log },
    partitionEpoch: partition.partitionEpoch + 1,
  }
}

function outdated(log: SuspectLog): SuspectLog {
  return isBroken(log) ? log : [log[0], log[1]]
}

/** Whether all that is left are suspects, so that they have to tell how far their logs go. */
export function isUpToSuspects({ leader, isr, elr, suspects }: PartitionValue): boolean {
  return leader === -1 && isr.length === 0 && elr.length === 0 && suspects !== undefined
}

/** The partition of a leader that is gone: it stays in sync, and may be elected again. */
export function resigned(partition: PartitionValue, id: number): PartitionValue {
  return { ...withoutLeader(partition, id), partitionEpoch: partition.partitionEpoch + 1 }
}

/** A broker that leaves stays a member as long as nobody else could lead. */
function remainingIsr({ isr }: PartitionValue, { alive, leaving }: ElectionRules): readonly number[] {
  const there = isr.filter(alive)
  const staying = there.filter((id) => !leaving(id))
  return staying.length > 0 ? staying : there
}

function elect(partition: PartitionValue, rules: ElectionRules): PartitionValue | undefined {
  const { replicas, isr, elr, suspects } = partition
  const sound = replicas.filter((id) => rules.alive(id) && !isBroken(suspects?.[id]))
  // Those that stay go first, then those that leave: a leader for a moment is better than none.
  const candidates = [...sound.filter((id) => !rules.leaving(id)), ...sound.filter((id) => rules.leaving(id))]
  const epoch = partition.partitionEpoch
  const inSync = candidates.find((id) => isr.includes(id))
  if (inSync !== undefined) return ledBy(partition, inSync, epoch)
  const eligible = candidates.find((id) => elr.includes(id))
  if (eligible !== undefined) return ledBy(withMembers(partition, [eligible], rules.minInsyncReplicas), eligible, epoch)
  if (isr.length === 0 && elr.length === 0) {
    const suspect = electSuspect(partition, rules)
    if (suspect !== undefined) return ledAlone(partition, suspect, epoch)
  }
  if (!rules.unclean) return undefined
  // A log that is known to be empty comes last: of the others at least something is there.
  const full = longestSuspect(partition, (id) => candidates.includes(id) && !isEmpty(suspects?.[id]))
  const unclean = full ?? candidates.find((id) => suspects?.[id] === undefined) ?? candidates[0]
  return unclean === undefined ? undefined : ledAlone(partition, unclean, epoch)
}

/**
 * Acknowledged records were on min.insync.replicas of those that became suspects: with as many logs, or all that there
 * are, the longest of them is the best that can be had.
 */
function electSuspect(partition: PartitionValue, rules: ElectionRules): number | undefined {
  const all = Object.entries(partition.suspects ?? {}).map(([id, log]) => ({ id: Number(id), log }))
  const told = all.filter(({ id, log }) => !isBroken(log) && log[2] !== undefined && log[2] === rules.life(id))
  const enough = Math.min(effectiveMinIsr(rules.minInsyncReplicas, partition.replicas), all.length)
  if (told.length === 0 || told.length < enough) return undefined
  const broken = all.filter(({ log }) => isBroken(log))
  if (rules.patient && told.length + broken.length < all.length) return undefined
  return longestSuspect(partition, (id) => told.some((one) => one.id === id))
}

/** Whatever the others have beyond this leader's log is given up. */
function ledAlone(partition: PartitionValue, leader: number, partitionEpoch: number): PartitionValue {
  const alone = withSuspects({ ...partition, isr: [leader], elr: [] }, (_, log) => isBroken(log))
  return ledBy(alone, leader, partitionEpoch)
}

function ledBy(partition: PartitionValue, leader: number, partitionEpoch: number): PartitionValue {
  return { ...partition, leader, leaderEpoch: partition.leaderEpoch + 1, partitionEpoch }
}

function withoutLeader(partition: PartitionValue, id: number): PartitionValue {
  return partition.leader === id ? { ...partition, leader: -1 } : partition
}

function longestSuspect({ suspects = {} }: PartitionValue, allowed: (id: number) => boolean): number | undefined {
  const known = Object.entries(suspects).filter(([id, log]) => !isBroken(log) && allowed(Number(id)))
  const order = ([, a]: (typeof known)[number], [, b]: (typeof known)[number]) => b[0] - a[0] || b[1] - a[1]
  const longest = known.sort(order)[0]
  return longest === undefined ? undefined : Number(longest[0])
}
