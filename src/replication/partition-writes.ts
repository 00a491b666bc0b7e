/**
 * Changes of many partitions as few transactions: each has at most as many operations and comparisons as the store takes,
 * stands for itself, and is made on the condition that none of its partitions was changed by somebody else. They follow
 * each other in the order given.
 */
import {
  type Compare,
  type MetadataStore,
  type PartitionValue,
  partitionKey,
  partitionsOfTopic,
  TRANSACTION_OPERATIONS_MAX,
} from '../metadata/index.ts'

/** A third condition may come with each election; one more is the fence. */
const PARTITIONS_PER_TRANSACTION = 100

export interface PartitionWrite {
  readonly topicId: string
  readonly index: number
  /** What it was decided on. */
  readonly modRevision: number
  readonly next: PartitionValue
  /** What else must hold. */
  readonly provided?: Compare
}

export interface PartitionWriteResult {
  /** Of the last change; 0 without one. */
  readonly revision: number
  /** Partitions that were changed by others meanwhile, or whose own condition does not hold. */
  readonly refused: readonly PartitionWrite[]
  /** The fence does not hold: the rest was not tried. */
  readonly fenced: boolean
}

/** Rejects as the store does; some of the changes may have been made then. */
export async function writePartitions(
  store: MetadataStore,
  writes: readonly PartitionWrite[],
  fence?: Compare,
): Promise<PartitionWriteResult> {
  const refused: PartitionWrite[] = []
  let revision = 0
  const queue: (readonly PartitionWrite[])[] = chunksOf(writes)
  for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
    const result = await store.transact(comparesOf(chunk, fence), chunk.map(putOf))
    if (result.succeeded) {
      revision = result.revision
      continue
    }
    if (fence && !(await holds(store, fence)))
      return { revision, refused: [...refused, ...chunk, ...queue.flat()], fenced: true }
    if (chunk.length === 1) refused.push(chunk[0]!)
    else queue.unshift(...(await leftOf(store, chunk, refused)))
  }
  return { revision, refused, fenced: false }
}

/**
 * What is to be tried again of a chunk that was refused. Somebody else may have changed all of it: a broker that comes back
 * gives up what the controller is electing others for. So who it was is read, not found out by trying each.
 */
async function leftOf(
  store: MetadataStore,
  chunk: readonly PartitionWrite[],
  refused: PartitionWrite[],
): Promise<(readonly PartitionWrite[])[]> {
  const revisions = new Map<string, number>()
  const topics = new Set(chunk.map(({ topicId }) => partitionsOfTopic(topicId)))
  const readings = await Promise.all([...topics].map((prefix) => store.range(prefix)))
  for (const { pairs } of readings) for (const { key, modRevision } of pairs) revisions.set(key, modRevision)
  const unchanged = ({ topicId, index, modRevision }: PartitionWrite): boolean =>
    revisions.get(partitionKey(topicId, index)) === modRevision
  const left = chunk.filter(unchanged)
  refused.push(...chunk.filter((write) => !unchanged(write)))
  if (left.length === 0) return []
  // It was a condition of one of them, or is over.
  if (left.length === chunk.length) return [left.slice(0, left.length >> 1), left.slice(left.length >> 1)]
  return [left]
}

function chunksOf(writes: readonly PartitionWrite[]): (readonly PartitionWrite[])[] {
  const chunks: PartitionWrite[][] = []
  let compares = 0
  let last: PartitionWrite[] | undefined
  const provided = new Set<string>()
  for (const write of writes) {
    const more = write.provided && !provided.has(write.provided.key) ? 2 : 1
    if (!last || last.length >= PARTITIONS_PER_TRANSACTION || compares + more >= TRANSACTION_OPERATIONS_MAX) {
      last = []
      chunks.push(last)
      provided.clear()
      compares = 0
    }
    if (write.provided) provided.add(write.provided.key)
    last.push(write)
    compares += more
  }
  return chunks
}

function comparesOf(chunk: readonly PartitionWrite[], fence: Compare | undefined): Compare[] {
  const compares: Compare[] = fence ? [fence] : []
  const provided = new Set<string>()
  for (const { topicId, index, modRevision, provided: condition } of chunk) {
    compares.push({ key: partitionKey(topicId, index), field: 'modRevision', equals: modRevision })
    if (!condition || provided.has(condition.key)) continue
    provided.add(condition.key)
    compares.push(condition)
  }
  return compares
}

export function putOf({ topicId, index, next }: Pick<PartitionWrite, 'topicId' | 'index' | 'next'>) {
  return { type: 'put', key: partitionKey(topicId, index), value: JSON.stringify(storedValue(next)) } as const
}

/** An image's partition knows its index and revision, which are no part of the value. */
function storedValue({
  leader,
  leaderEpoch,
  replicas,
  isr,
  elr,
  partitionEpoch,
  suspects,
}: PartitionValue): PartitionValue {
  return { leader, leaderEpoch, replicas, isr, elr, partitionEpoch, ...(suspects ? { suspects } : {}) }
}

async function holds(store: MetadataStore, compare: Compare): Promise<boolean> {
  const { pair } = await store.get(compare.key)
  if (compare.field === 'value') return pair?.value === compare.equals
  return (pair?.[compare.field] ?? 0) === compare.equals
}
