/**
 * The metadata store as every engine offers it; the words are etcd's, because etcd is the engine of a cluster. Each
 * committed transaction raises the revision by one and changes all its keys at that revision. Every call may travel to
 * another process, so all of them are asynchronous, and three errors tell how far one came:
 *
 *   PAGELOG_METADATA_UNREACHABLE  nothing was done: the call may be made again
 *   PAGELOG_OUTCOME_UNKNOWN       a transaction that may or may not have happened: read again and compare what only this
 *                                 attempt can have written; never send a compare-and-set again and believe its refusal
 *   PAGELOG_LEASE_LOST            the lease is gone, and with it the keys that hung on it
 *
 * Besides these: PAGELOG_CLOSED, PAGELOG_DISK_FULL (the store has no room; nothing changed), PAGELOG_STORAGE (the
 * embedded engine's journal failed: the outcome is unknown and the store offline until it is opened again),
 * PAGELOG_INVALID_ARGUMENT and PAGELOG_TOO_LARGE (the call itself is wrong), PAGELOG_REFUSED (user, password or rights).
 */

/** Most operations, and most comparisons, of one transaction: etcd's default for `--max-txn-ops`. */
export const TRANSACTION_OPERATIONS_MAX = 128

/** Most bytes of keys and values in one transaction; etcd's default for a request is 1.5 MiB. */
export const TRANSACTION_BYTES_MAX = 1024 * 1024

export interface KeyValue {
  readonly key: string
  readonly value: string
  /** Revision at which the key came into being (again, after a deletion); 0 in a comparison means "there is none". */
  readonly createRevision: number
  /** Revision of the last change. */
  readonly modRevision: number
  /** Changes since creation, from 1. */
  readonly version: number
  /** The lease that the key ends with; absent when it stays until it is deleted. */
  readonly lease?: string
}

export type Compare =
  | { readonly key: string; readonly field: 'createRevision' | 'modRevision' | 'version'; readonly equals: number }
  | { readonly key: string; readonly field: 'value'; readonly equals: string }

/** A transaction may not put a key twice, nor put one that it also deletes. */
export type Operation =
  /** Without a lease the key also leaves the one it may have had. */
  | { readonly type: 'put'; readonly key: string; readonly value: string; readonly lease?: string }
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
  /** 0 for a deletion. */
  readonly createRevision: number
}

/** Why a watch ended: the revision it was to go on from is forgotten, or the store's revisions went back. */
export type WatchLoss = 'compacted' | 'went-back'

export interface WatchListener {
  /** All events of one revision together, revisions rising without repetition. */
  changed(events: readonly MetadataEvent[], revision: number): void
  /** Everything up to `revision` has been told; comes now and then, when nothing changed below the prefix. */
  progressed?(revision: number): void
  /** The connection was lost and taken up again where it ended. Nothing is missing by contract; read again to be sure. */
  resumed?(): void
  /** The watch has ended: read with `range` and watch from the revision after. Nothing is called any more. */
  lost(reason: WatchLoss): void
}

export type Unwatch = () => void

export interface Lease {
  /** Opaque. */
  readonly id: string
  /** What was granted: never less than asked for. */
  readonly ttlMs: number
}

export interface MetadataStore {
  get(key: string): Promise<{ readonly pair: KeyValue | undefined; readonly revision: number }>
  /** Every key that starts with `prefix`, sorted; all of them, as they were at `revision`. Linearizable, like `get`. */
  range(prefix: string): Promise<{ readonly pairs: readonly KeyValue[]; readonly revision: number }>
  /** Applies the operations if every comparison holds, and answers once the change is durable. */
  transact(compare: readonly Compare[], operations: readonly Operation[]): Promise<TransactionResult>
  /**
   * Tells `listener` every change of a key below `prefix` from `fromRevision` (inclusive) on, the past first. Nothing is
   * called before `watch` has returned. A watch may lag behind: decide by transactions, not by what it told.
   */
  watch(prefix: string, fromRevision: number, listener: WatchListener): Unwatch
  /** A lease lives until `ttlMs` pass without `keepAlive`; then its keys are deleted, all at one revision. */
  grantLease(ttlMs: number): Promise<Lease>
  /**
   * Gives the lease its full time again; the milliseconds it now has, counted by the store. Count from when the call
   * was made, not from when it was answered. Rejects with PAGELOG_LEASE_LOST when it is gone.
   */
  keepAlive(leaseId: string): Promise<number>
  /** Ends a lease at once, its keys with it. One that is gone already is no error. */
  revokeLease(leaseId: string): Promise<void>
  close(): Promise<void>
}
