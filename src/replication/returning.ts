/**
 * What a broker does with the partitions that it left behind, before it registers again and while nobody can elect it:
 *
 * - It leads none any more. So a leader is elected after every restart, and no leader epoch spans two lives of a process.
 * - Where its log may lack records that it had vouched for, it leaves ISR and ELR and says how far the log goes
 *   (reliability R7). A process that was killed on a machine that went on lost nothing.
 * - Where it was such a suspect before, it says anew how far its log goes: what an earlier life told does not count.
 * - Where its log has a later epoch than the store knows of, the store was put back to an older state: its epoch is raised.
 *
 * A partition with this one replica is left alone: there is nobody to disagree with.
 */
import type { Logger } from '../base/index.ts'
import type { Clock } from '../env/index.ts'
import {
  type KeyValue,
  type MetadataStore,
  type PartitionValue,
  parsePartition,
  partitionPrefix,
} from '../metadata/index.ts'
import { brokenLog, isBroken, isUpToSuspects, resigned, suspected } from './election.ts'
import { type PartitionWrite, writePartitions } from './partition-writes.ts'

/** What a log has: its last leader epoch and its end; -1 and 0 for none. */
export type LogEnd = readonly [lastEpoch: number, endOffset: number]

/** How this broker stands to one of its logs: `trusted` has all that it vouched for, `broken` cannot be opened. */
export interface ReplicaLog {
  readonly standing: 'trusted' | 'suspect' | 'broken'
  readonly end: LogEnd
  /** It is open, and known to be damaged: given up as if it were broken where another replica is in sync. */
  readonly isDamaged?: boolean
}

export interface ReturningOptions {
  readonly store: MetadataStore
  readonly clock: Pick<Clock, 'soon'>
  readonly nodeId: number
  readonly incarnation: string
  readonly logger: Logger
  logOf(topicId: string, index: number): ReplicaLog
}

/** Looked at in one turn of the event loop. */
const SLICE = 100

/** Rejects as the store does; what is left is done by the next call. */
export async function returnToCluster(options: ReturningOptions): Promise<void> {
  const { store, logger, clock } = options
  for (;;) {
    const { pairs } = await store.range(partitionPrefix)
    const writes: PartitionWrite[] = []
    for (let at = 0; at < pairs.length; at += SLICE) {
      for (const pair of pairs.slice(at, at + SLICE)) {
        const write = writeOf(pair, options)
        if (write) writes.push(write)
      }
      await new Promise<void>((resolve) => clock.soon(resolve))
    }
    if (writes.length === 0) return
    const suspect = writes.filter(({ next }) => next.suspects?.[options.nodeId] !== undefined).length
    logger.info({ partitions: writes.length, suspect }, 'back: leaders are elected anew')
    // Others may change a partition at the same time: then it is read again.
    await writePartitions(store, writes)
  }
}

/** Tells of one log that cannot be opened, or how far one goes when only suspects are left. Rejects as the store does. */
export async function tellOfLog(options: ReturningOptions, key: string): Promise<void> {
  for (;;) {
    const { pair } = await options.store.get(key)
    const write = pair && writeOf(pair, options)
    if (!write) return
    // The leader of now resigns only because it comes back, or because its log is broken.
    const before = parsePartition(pair.value)
    if (before.leader === options.nodeId && !isBroken(write.next.suspects?.[options.nodeId])) return
    const { refused } = await writePartitions(options.store, [write])
    if (refused.length === 0) return
  }
}

/** Whether this broker has to tell how far its log goes. */
export function isAwaited(partition: PartitionValue, nodeId: number, incarnation: string): boolean {
  const told = isUpToSuspects(partition) ? partition.suspects?.[nodeId] : undefined
  return told !== undefined && told[2] !== incarnation
}

function writeOf({ key, value, modRevision }: KeyValue, options: ReturningOptions): PartitionWrite | undefined {
  const partition = parsePartition(value)
  if (partition.replicas.length === 1 || !partition.replicas.includes(options.nodeId)) return undefined
  const [topicId, text] = key.slice(partitionPrefix.length).split('/') as [string, string]
  const index = Number(text)
  const log = options.logOf(topicId, index)
  const known = notBefore(partition, log.end[0])
  if (known !== partition) {
    const fields = { topicId, partition: index, leaderEpoch: partition.leaderEpoch, ofLog: log.end[0] }
    options.logger.warn(fields, 'the metadata store was put back: its leader epoch is raised above that of the log')
  }
  const next = changeOf(known, log, options) ?? (known === partition ? undefined : known)
  return next && { topicId, index, modRevision, next }
}

/** A store that was put back would give epochs anew that logs have: what was written under them could not be told apart. */
function notBefore(partition: PartitionValue, lastEpoch: number): PartitionValue {
  if (partition.leaderEpoch >= lastEpoch) return partition
  return { ...partition, leaderEpoch: lastEpoch + 1, partitionEpoch: partition.partitionEpoch + 1 }
}

function changeOf(
  partition: PartitionValue,
  { standing, end, isDamaged = false }: ReplicaLog,
  { nodeId, incarnation }: ReturningOptions,
): PartitionValue | undefined {
  const vouches = partition.isr.includes(nodeId) || partition.elr.includes(nodeId)
  const told = partition.suspects?.[nodeId]
  const isBad = standing === 'broken' || (isDamaged && partition.isr.some((id) => id !== nodeId))
  const tells = isBad ? brokenLog(incarnation) : ([...end, incarnation] as const)
  const isNews = vouches ? isBad || standing !== 'trusted' : told !== undefined || isBad
  if (isNews && (vouches || String(told) !== String(tells))) {
    const next = suspected(partition, nodeId, tells)
    return isDamaged && isBad ? begunAnew(next) : next
  }
  return partition.leader === nodeId ? resigned(partition, nodeId) : undefined
}

/**
 * With a leader that stays, in an epoch of its own: what the replica has asked for in earlier ones, with the log that it is
 * about to give up, brings it back into no ISR however late it comes.
 */
function begunAnew(partition: PartitionValue): PartitionValue {
  return partition.leader < 0 ? partition : { ...partition, leaderEpoch: partition.leaderEpoch + 1 }
}
