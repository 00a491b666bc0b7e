/**
 * Changes of an ISR as its leader makes them: a compare-and-set of the partition's key (reliability R5), on the condition
 * that the leader and every member that is added still live under the broker epochs that the leader knows (KIP-903), and
 * that who is added has said nothing new since, such as that it is leaving (KIP-841).
 *
 * A follower catches up in hundreds of partitions with one fetch. So changes that are asked for in one turn of the event loop
 * are made by one transaction, as far as the leader knows the revisions to compare. Where that is refused, because of any of
 * them, each is looked at and made alone.
 */
import { assert } from '../base/index.ts'
import {
  brokerKey,
  type Compare,
  type MetadataStore,
  type Operation,
  type PartitionValue,
  parsePartition,
  partitionKey,
  TRANSACTION_OPERATIONS_MAX,
  type TransactionResult,
} from '../metadata/index.ts'
import { withIsr } from './election.ts'
import { putOf } from './partition-writes.ts'

/** With the revision at which the store has it so, where that is known. */
export type RevisedPartition = PartitionValue & { readonly modRevision?: number }

export interface IsrChange {
  readonly topicId: string
  readonly index: number
  readonly leader: number
  readonly leaderEpoch: number
  /** What the change was decided on. */
  readonly partitionEpoch: number
  readonly known?: RevisedPartition
  readonly isr: readonly number[]
  readonly minIsr: number
  /** Of the leader and of members that come. */
  readonly brokerEpochs: ReadonlyMap<number, number>
  /** Mod revisions of the registrations of members that come. */
  readonly brokerRevisions: ReadonlyMap<number, number>
}

/** `state` is what the store has, where that is known. */
export interface IsrOutcome {
  readonly changed: boolean
  readonly state: RevisedPartition | undefined
}

export interface IsrStore {
  /**
   * Rejects with PAGELOG_METADATA_UNREACHABLE (nothing was done) or anything else (it may have been done, or may still
   * be).
   */
  change(change: IsrChange): Promise<IsrOutcome>
}

export class MetadataIsrStore implements IsrStore {
  readonly #store: MetadataStore
  /** What is asked for next may go with it. */
  #batch: IsrBatch | undefined

  constructor(store: MetadataStore) {
    this.#store = store
  }

  async change(change: IsrChange): Promise<IsrOutcome> {
    return (await this.#changeTogether(change)) ?? (await this.#changeAlone(change))
  }

  /** Undefined: nothing was done, and why is not known. */
  async #changeTogether({ known, ...change }: IsrChange): Promise<IsrOutcome | undefined> {
    if (known?.modRevision === undefined) return undefined
    const { topicId, index, isr, minIsr } = change
    const next = withIsr(known, isr, minIsr)
    const put = putOf({ topicId, index, next })
    const compares = [revisionOf(put.key, known.modRevision), ...registrationsOf(change)]
    if (this.#batch?.add(put, compares) !== true) {
      this.#batch = new IsrBatch(this.#store)
      this.#batch.add(put, compares)
    }
    const { succeeded, revision } = await this.#batch.made
    return succeeded ? { changed: true, state: { ...next, modRevision: revision } } : undefined
  }

  async #changeAlone(change: IsrChange): Promise<IsrOutcome> {
    const { topicId, index, leader, leaderEpoch, partitionEpoch } = change
    const { pair } = await this.#store.get(partitionKey(topicId, index))
    if (pair === undefined) return { changed: false, state: undefined }
    const state: RevisedPartition = { ...parsePartition(pair.value), modRevision: pair.modRevision }
    const isAsKnown = state.leader === leader && state.leaderEpoch === leaderEpoch
    if (!isAsKnown || state.partitionEpoch !== partitionEpoch) return { changed: false, state }
    const next = withIsr(state, change.isr, change.minIsr)
    const compares = [revisionOf(pair.key, pair.modRevision), ...registrationsOf(change)]
    const { succeeded, revision } = await this.#store.transact(compares, [putOf({ topicId, index, next })])
    return { changed: succeeded, state: succeeded ? { ...next, modRevision: revision } : undefined }
  }
}

/** Changes of different partitions, made by one transaction when the code that runs now has asked for all of them. */
class IsrBatch {
  readonly made: Promise<TransactionResult>
  readonly #compares = new Map<string, Compare>()
  readonly #puts = new Map<string, Operation>()
  #isClosed = false

  constructor(store: MetadataStore) {
    this.made = Promise.resolve().then(() => {
      this.#isClosed = true
      return store.transact([...this.#compares.values()], [...this.#puts.values()])
    })
  }

  /** False: it cannot be one of them. */
  add(put: Operation & { type: 'put' }, compares: readonly Compare[]): boolean {
    // Most of them name the same brokers.
    const others = compares.filter((compare) => !this.#compares.has(nameOf(compare)))
    const isFull = this.#compares.size + others.length > TRANSACTION_OPERATIONS_MAX
    if (this.#isClosed || isFull || this.#puts.has(put.key)) return false
    this.#puts.set(put.key, put)
    for (const compare of others) this.#compares.set(nameOf(compare), compare)
    return true
  }
}

function nameOf({ key, field, equals }: Compare): string {
  return `${key} ${field} ${equals}`
}

function revisionOf(key: string, equals: number): Compare {
  return { key, field: 'modRevision', equals }
}

function registrationsOf({ brokerEpochs, brokerRevisions }: IsrChange): Compare[] {
  const compares: Compare[] = []
  for (const [id, equals] of brokerEpochs) {
    // 0 would compare that there is no such broker.
    assert(equals > 0, 'a change of an ISR by or for a broker that is not registered')
    compares.push({ key: brokerKey(id), field: 'createRevision', equals })
  }
  for (const [id, revision] of brokerRevisions) compares.push(revisionOf(brokerKey(id), revision))
  return compares
}
