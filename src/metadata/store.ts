/**
 * The metadata store as every engine offers it; the words are etcd's, because etcd is the engine of a cluster. Each
 * committed transaction raises the revision by one and changes all its keys at that revision.
 */
export interface KeyValue {
  readonly key: string
  readonly value: string
  /** Revision at which the key came into being (again, after a deletion); 0 in a comparison means "there is none". */
  readonly createRevision: number
  /** Revision of the last change. */
  readonly modRevision: number
  /** Changes since creation, from 1. */
  readonly version: number
}

export type Compare =
  | { readonly key: string; readonly field: 'createRevision' | 'modRevision' | 'version'; readonly equals: number }
  | { readonly key: string; readonly field: 'value'; readonly equals: string }

export type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'delete'; readonly key: string }
  /** Deletes every key that starts with `prefix`. */
  | { readonly type: 'deletePrefix'; readonly prefix: string }

export interface TransactionResult {
  /** False when a comparison failed; nothing was changed then. */
  readonly succeeded: boolean
  /** Of the change, or the current one when nothing changed. */
  readonly revision: number
}

export interface MetadataEvent {
  readonly type: 'put' | 'delete'
  readonly key: string
  /** Empty for a deletion. */
  readonly value: string
  readonly revision: number
}

/** All events of one revision together, in order of revision. */
export type WatchListener = (events: readonly MetadataEvent[], revision: number) => void
export type Unwatch = () => void

export interface MetadataStore {
  /** The last committed revision; 0 for an empty store. */
  readonly revision: number
  get(key: string): KeyValue | undefined
  /** Every key that starts with `prefix`, sorted. */
  range(prefix: string): KeyValue[]
  /**
   * Applies the operations if every comparison holds, and answers once the change is durable. Errors:
   * PAGELOG_STORAGE (outcome unknown; the store is offline from then on), PAGELOG_DISK_FULL (nothing changed),
   * PAGELOG_CLOSED.
   */
  transact(compare: readonly Compare[], operations: readonly Operation[]): Promise<TransactionResult>
  /**
   * Calls `listener` for every change of a key below `prefix` from `fromRevision` (inclusive) on: what is past at
   * once, the rest as it is committed. Error: PAGELOG_OFFSET_OUT_OF_RANGE when that revision is no longer remembered;
   * read with `range` and watch from `revision + 1`.
   */
  watch(prefix: string, fromRevision: number, listener: WatchListener): Unwatch
  close(): Promise<void>
}
