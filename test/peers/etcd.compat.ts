/** The metadata suites over a real etcd. */

import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll } from 'vitest'
import { nodeEnv } from '../../src/env/index.ts'
import { EtcdMetadata, type EtcdMetadataOptions } from '../../src/metadata/etcd.ts'
import type { Endpoint, MetadataStore } from '../../src/metadata/index.ts'
import { conformance } from '../metadata/conformance.ts'
import { modelTest } from '../metadata/model.ts'
import { remoteConformance } from '../metadata/remote-conformance.ts'
import { put, type StoreUnderTest } from '../metadata/stores.ts'
import { TestEtcd } from './etcd.ts'

const { clock } = nodeEnv()
let etcd: TestEtcd
let roots = 0

beforeAll(async () => {
  etcd = await TestEtcd.start()
})
afterAll(() => etcd?.close())

/** A root of its own in the one etcd. */
async function inEtcd(): Promise<StoreUnderTest> {
  const root = `test-${roots++}/`
  const clients: MetadataStore[] = []
  const connect = async (endpoints: readonly Endpoint[], options: Partial<EtcdMetadataOptions> = {}) => {
    const client = await EtcdMetadata.open({ clock, endpoints, root, ...options })
    clients.push(client)
    return client
  }
  const endpoint = etcd.endpoints[0]!
  const store = await connect([endpoint])
  return {
    store,
    endpoint,
    connect,
    // The leases' clock is etcd's: time passes as it does.
    pass: (ms) => delay(ms),
    async compact() {
      // The revision that etcd compacts to stays, so the one before must be the last that counts.
      await store.transact([], [put('forgotten', '')])
      const { revision } = await store.transact([], [{ type: 'delete', key: 'forgotten' }])
      await compact(endpoint, revision)
    },
    async close() {
      for (const client of clients) await client.close()
    },
  }
}

async function compact({ host, port }: { host: string; port: number }, revision: number): Promise<void> {
  const body = JSON.stringify({ revision: String(revision), physical: true })
  const answer = await fetch(`http://${host}:${port}/v3/kv/compaction`, { method: 'POST', body })
  if (!answer.ok) throw new Error(await answer.text())
}

conformance('etcd', inEtcd)
remoteConformance('etcd', inEtcd)
modelTest('etcd', inEtcd, { runs: 30, timePasses: false })
