/** Appends to a store, for as long as asked. */
import { rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { Values } from '../../micro/records.ts'
import { openAppendFileStore } from '../../micro/stores/append-file-store.ts'
import { openClassicLevelStore } from '../../micro/stores/classic-level-store.ts'
import { openLmdbStore } from '../../micro/stores/lmdb-store.ts'
import { openPagelogStore, pagelogBatchStore } from '../../micro/stores/pagelog-store.ts'
import type { Durability, OpenStore, Store } from '../../micro/stores/store.ts'

const POOL_BYTES = 64 << 20

const kinds = {
  pagelog: openPagelogStore,
  'pagelog-batches': pagelogBatchStore(POOL_BYTES),
  'append-file': openAppendFileStore,
  'classic-level': openClassicLevelStore,
  'lmdb batching': (options) => openLmdbStore(options, 'batching'),
  'lmdb transaction': (options) => openLmdbStore(options, 'transaction'),
  'lmdb sync-transaction': (options) => openLmdbStore(options, 'sync-transaction'),
} as const satisfies Record<string, OpenStore>

export type StoreKind = keyof typeof kinds

export interface StoreInput {
  readonly kind: StoreKind
  readonly durability: Durability
  /** Made here, removed by closeStore. */
  readonly directory: string
  readonly peers: string | null
}

export interface AppendInput {
  readonly recordsPerAppend: number
  readonly writers: number
  /** Appends begin until so much time is over or so many are made, whichever is first. */
  readonly milliseconds: number
  readonly appendsMax: number
}

export interface AppendOutput {
  readonly appends: number
  readonly seconds: number
}

/** Made once: not part of what a slice measures. */
let values: Values | undefined
let store: Store | undefined
let path = ''

export async function openStore({ kind, durability, directory, peers }: StoreInput): Promise<void> {
  await mkdir(directory, { recursive: true })
  path = directory
  values ??= new Values(POOL_BYTES)
  const open: OpenStore = kinds[kind]
  store = await open({ directory, durability, values, peers: peers ?? undefined })
}

export async function append(input: AppendInput): Promise<AppendOutput> {
  const { recordsPerAppend, writers, milliseconds, appendsMax } = input
  const to = store!
  let appends = 0
  const startedMs = performance.now()
  const endMs = startedMs + milliseconds
  const write = async (): Promise<void> => {
    while (appends < appendsMax && performance.now() < endMs) {
      appends++
      await to.append(recordsPerAppend)
    }
  }
  await Promise.all(Array.from({ length: writers }, write))
  return { appends, seconds: (performance.now() - startedMs) / 1000 }
}

export async function closeStore(): Promise<void> {
  await store?.close()
  store = undefined
  rmSync(path, { recursive: true, force: true })
}
