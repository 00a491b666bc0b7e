/** classic-level (LevelDB): `put`, or a chained batch; `sync: true` for fsync. Defaults else (Snappy on, as it comes). */
import { loadStore } from '../../peers/stores.ts'
import { keyOf, type Store, type StoreOptions } from './store.ts'

interface ChainedBatch {
  put(key: Buffer, value: Uint8Array): unknown
  write(options: { sync: boolean }): Promise<void>
}

export interface Level {
  open(): Promise<void>
  put(key: Buffer, value: Uint8Array, options: { sync: boolean }): Promise<void>
  get(key: Buffer): Promise<Uint8Array | undefined>
  batch(): ChainedBatch
  iterator(): { nextv(size: number): Promise<[Uint8Array, Uint8Array][]>; close(): Promise<void> }
  close(): Promise<void>
}

interface ClassicLevelModule {
  readonly ClassicLevel: new (location: string, options: { keyEncoding: 'buffer'; valueEncoding: 'buffer' }) => Level
}

export async function openLevel(peers: string | undefined, directory: string): Promise<Level> {
  if (peers === undefined) throw new Error('classic-level is not installed')
  const { ClassicLevel } = loadStore(peers, 'classic-level') as ClassicLevelModule
  const db = new ClassicLevel(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await db.open()
  return db
}

export async function openClassicLevelStore({ directory, durability, values, peers }: StoreOptions): Promise<Store> {
  const db = await openLevel(peers, directory)
  const options = { sync: durability === 'fsync' }
  let n = 0
  return {
    append: (count) => {
      if (count === 1) return db.put(keyOf(n++), values.next(), options)
      const batch = db.batch()
      for (let i = 0; i < count; i++) batch.put(keyOf(n++), values.next())
      return batch.write(options)
    },
    close: () => db.close(),
  }
}
