/** Which cluster a store belongs to: the one key that is created once and never changed. */
import { PagelogError } from '../base/index.ts'
import { type ClusterValue, clusterKey } from './keys.ts'
import type { MetadataStore } from './store.ts'

/**
 * The store's cluster id. An empty store becomes that of `wanted`; without one it is left empty, and undefined is
 * answered. Errors: PAGELOG_INVALID_ARGUMENT when the store belongs to another cluster, PAGELOG_CORRUPT when what it
 * holds was not written by pagelog.
 */
export async function joinCluster(store: MetadataStore, wanted: string): Promise<string>
export async function joinCluster(store: MetadataStore, wanted: string | undefined): Promise<string | undefined>
export async function joinCluster(store: MetadataStore, wanted: string | undefined): Promise<string | undefined> {
  let found = await clusterIdOf(store)
  if (found === undefined && wanted !== undefined) {
    // Whether it was this attempt that created it does not matter, so an unknown outcome needs no care: it is read.
    await store
      .transact(
        [{ key: clusterKey, field: 'createRevision', equals: 0 }],
        [{ type: 'put', key: clusterKey, value: JSON.stringify({ clusterId: wanted } satisfies ClusterValue) }],
      )
      .catch(() => {})
    found = await clusterIdOf(store)
    if (found === undefined) {
      throw new PagelogError('PAGELOG_METADATA_UNREACHABLE', 'the cluster could not be created in its metadata store')
    }
  }
  if (wanted !== undefined && found !== wanted) {
    const message = `the metadata store belongs to cluster ${found}, this is ${wanted}`
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', message)
  }
  return found
}

async function clusterIdOf(store: MetadataStore): Promise<string | undefined> {
  const { pair } = await store.get(clusterKey)
  if (pair === undefined) return undefined
  try {
    const { clusterId } = JSON.parse(pair.value) as Partial<ClusterValue>
    if (typeof clusterId === 'string' && clusterId !== '') return clusterId
  } catch {
    // Said below, as for everything else that is no value of ours.
  }
  throw new PagelogError('PAGELOG_CORRUPT', `the key "${clusterKey}" of the metadata store was not written by pagelog`)
}
