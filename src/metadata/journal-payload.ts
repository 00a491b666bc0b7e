/**
 * What the embedded engine writes into its journal, as JSON:
 *
 *   {"r":revision,"t":[[["p",key,value,lease?]|["d",key],…],…],"g":[[lease,ttlMs],…],"x":[lease,…]}
 *     one group: leases granted, then transactions, the first of them at revision r, then leases that ended (their keys
 *     were deleted by one of the transactions)
 *   {"s":revision,"k":[[key,value,create,mod,version,lease?],…],"l":[[lease,ttlMs],…],"n":next lease}
 *     everything, after a compaction
 *
 * "g", "x", "l" and "n" are left out where they are empty, as they were before there were leases.
 */
import type { KeyValue } from './store.ts'

export type Change = ['p', key: string, value: string, lease?: string] | ['d', key: string]

type LivePair = [key: string, value: string, create: number, mod: number, version: number, lease?: string]

export interface GroupPayload {
  readonly r: number
  readonly t: readonly (readonly Change[])[]
  readonly g?: readonly (readonly [id: string, ttlMs: number])[]
  readonly x?: readonly string[]
}

export interface SnapshotPayload {
  readonly s: number
  readonly k: readonly LivePair[]
  readonly l?: readonly (readonly [id: string, ttlMs: number])[]
  readonly n?: number
}

export type Payload = GroupPayload | SnapshotPayload

export function livePair({ key, value, createRevision, modRevision, version, lease }: KeyValue): LivePair {
  const pair: LivePair = [key, value, createRevision, modRevision, version]
  if (lease !== undefined) pair.push(lease)
  return pair
}

export function keyValue([key, value, createRevision, modRevision, version, lease]: LivePair): KeyValue {
  const pair = { key, value, createRevision, modRevision, version }
  return lease === undefined ? pair : { ...pair, lease }
}
