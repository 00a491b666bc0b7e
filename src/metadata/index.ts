/**
 * metadata: what the cluster agrees on, as a revisioned key-value store (get, range, compare-and-set transaction,
 * watch) and the image of topics, partitions and settings built from it. `EmbeddedMetadata` is the engine of a single
 * broker: a journal through `Disk`.
 *
 *   const store = await EmbeddedMetadata.open({ disk, path: `${directory}/pagelog-metadata.journal`, logger })
 *   const image = new ClusterImage(store)
 *   await store.transact([{ key, field: 'createRevision', equals: 0 }], [{ type: 'put', key, value }])
 */
export { ClusterImage, type PartitionState, type TopicState } from './cluster-image.ts'
export { EmbeddedMetadata, type EmbeddedMetadataOptions } from './embedded.ts'
export type {
  Compare,
  KeyValue,
  MetadataEvent,
  MetadataStore,
  Operation,
  TransactionResult,
  Unwatch,
  WatchListener,
} from './store.ts'
export {
  createTopic,
  deletedTopics,
  deleteTopic,
  forgetDeletedTopic,
  type NewTopic,
  setTopicConfigs,
} from './topics.ts'
