/** The engines that the conformance suite runs over, each with what a test may do to it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeEnv } from '../../src/env/index.ts'
import { MemoryDisk } from '../../src/env/memory/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { EtcdMetadata, type EtcdMetadataOptions } from '../../src/metadata/etcd.ts'
import {
  EmbeddedMetadata,
  type EmbeddedMetadataOptions,
  type Endpoint,
  type MetadataStore,
  type Operation,
} from '../../src/metadata/index.ts'
import { MetadataServer } from '../../src/metadata/metadata-server.ts'

export interface StoreUnderTest {
  readonly store: MetadataStore
  /** Where a remote one is served. */
  readonly endpoint?: Endpoint
  /** Another client of the same data, by way of `endpoints`. */
  connect?(endpoints: readonly Endpoint[], options?: Partial<EtcdMetadataOptions>): Promise<MetadataStore>
  /** Lets time pass, by the clock of the leases. */
  pass(ms: number): Promise<void>
  /** Makes the store forget the past. */
  compact(): Promise<void>
  close(): Promise<void>
}

export const put = (key: string, value: string, lease?: string): Operation =>
  lease === undefined ? { type: 'put', key, value } : { type: 'put', key, value, lease }

/** A revision more than the embedded engine keeps here. */
export const HISTORY_REVISIONS = 50

async function forget(store: MetadataStore): Promise<void> {
  for (let i = 0; i <= HISTORY_REVISIONS; i++) await store.transact([], [put('forgotten', String(i))])
  await store.transact([], [{ type: 'delete', key: 'forgotten' }])
}

/** In this process, on a disk in memory and a clock of its own. */
export async function embedded(options: Partial<EmbeddedMetadataOptions> = {}): Promise<StoreUnderTest> {
  const clock = new VirtualClock()
  const disk = new MemoryDisk()
  await disk.makeDirectory('/m')
  const store = await EmbeddedMetadata.open({
    disk,
    clock,
    path: '/m/journal',
    historyRevisions: HISTORY_REVISIONS,
    ...options,
  })
  return {
    store,
    pass: async (ms) => clock.advance(ms),
    compact: () => forget(store),
    close: () => store.close(),
  }
}

/** The same, served on a unix socket and reached through it. */
export async function served(): Promise<StoreUnderTest> {
  const inner = await embedded()
  const { clock } = nodeEnv()
  const directory = await mkdtemp(join(tmpdir(), 'pagelog-served-'))
  const endpoint: Endpoint = { socketPath: join(directory, 'metadata.sock') }
  const server = await MetadataServer.listen({
    store: inner.store as EmbeddedMetadata,
    clock,
    disk: nodeEnv().disk,
    listen: endpoint,
    progressMs: 50,
  })
  const clients: MetadataStore[] = []
  const connect: NonNullable<StoreUnderTest['connect']> = async (endpoints, options = {}) => {
    const client = await EtcdMetadata.open({ clock, endpoints, root: '', ...options })
    clients.push(client)
    return client
  }
  return {
    store: await connect([endpoint]),
    endpoint,
    connect,
    pass: inner.pass,
    compact: inner.compact,
    async close() {
      for (const client of clients) await client.close()
      await server.close()
      await inner.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
