/**
 * lmdb in the three ways its documentation knows: `put`s that it gathers into a transaction of its own (recommended), an
 * asynchronous transaction, a synchronous one (blocks the event loop). os: `noSync`, the memory-mapped file is left to
 * the kernel. fsync: `overlappingSync: false`, so that a write's promise means that the device has it.
 */
import { loadStore } from '../../peers/stores.ts'
import type { Durability, Store, StoreOptions } from './store.ts'

export type LmdbWay = 'batching' | 'transaction' | 'sync-transaction'

export interface Lmdb {
  put(key: number, value: Uint8Array): Promise<boolean>
  putSync(key: number, value: Uint8Array): boolean
  getBinary(key: number): Uint8Array | undefined
  getRange(options: object): Iterable<{ readonly value: Uint8Array }>
  transaction<T>(action: () => T): Promise<T>
  transactionSync<T>(action: () => T): T
  close(): Promise<void>
}

interface LmdbModule {
  open(options: object): Lmdb
}

/** Keys are numbers: lmdb's own order-preserving encoding, faster here than buffers of 8 bytes. */
export function openLmdb(peers: string | undefined, directory: string, durability: Durability): Lmdb {
  if (peers === undefined) throw new Error('lmdb is not installed')
  const { open } = loadStore(peers, 'lmdb') as LmdbModule
  const sync = durability === 'fsync' ? { overlappingSync: false } : { noSync: true }
  return open({ path: directory, encoding: 'binary', ...sync })
}

export async function openLmdbStore(options: StoreOptions, way: LmdbWay): Promise<Store> {
  const { values } = options
  const db = openLmdb(options.peers, options.directory, options.durability)
  let n = 0
  const putAll = (count: number): void => {
    // Inside of a transaction: the promises say nothing more than the transaction's own.
    for (let i = 0; i < count; i++) void db.put(n++, values.next())
  }
  const putAllSync = (count: number): void => {
    for (let i = 0; i < count; i++) db.putSync(n++, values.next())
  }
  const ways: Record<LmdbWay, (count: number) => Promise<unknown>> = {
    batching: (count) => {
      for (let i = 1; i < count; i++) void db.put(n++, values.next())
      return db.put(n++, values.next()) // committed in order: the last one's promise is all of theirs
    },
    transaction: (count) => db.transaction(() => putAll(count)),
    'sync-transaction': async (count) => db.transactionSync(() => putAllSync(count)),
  }
  return { append: ways[way], close: () => db.close() }
}
