/**
 * metadata: what the cluster agrees on, as a revisioned key-value store (get, range, compare-and-set transaction, lease,
 * watch) and the image of topics, partitions, brokers and controller built from it. `EmbeddedMetadata` is the engine of
 * one process: a journal through `Disk`; `MetadataServer` offers it to other processes of the host, in the part of
 * etcd's JSON gateway that `EtcdMetadata` speaks, to etcd itself or to that server.
 *
 *   const store = await EmbeddedMetadata.open({ disk, clock, path: `${directory}/pagelog-metadata.journal`, logger })
 *   const image = await ClusterImage.open(store, { clock })
 *   await store.transact([{ key, field: 'createRevision', equals: 0 }], [{ type: 'put', key, value }])
 */
export { joinCluster } from './cluster.ts'
export { ClusterImage, type ClusterImageOptions } from './cluster-image.ts'
export { EmbeddedMetadata, type EmbeddedMetadataOptions } from './embedded.ts'
export type { EtcdMetadata, EtcdMetadataOptions } from './etcd.ts'
export type { Endpoint, TlsOptions } from './http-calls.ts'
export type { BrokerState, ControllerState, ImageChange, PartitionState, TopicState } from './image-state.ts'
export {
  type BrokerValue,
  brokerKey,
  brokerPrefix,
  type ClusterValue,
  type ControllerValue,
  clusterKey,
  controllerKey,
  creatingKey,
  type DeletedTopicValue,
  deletedKey,
  failedKey,
  lifeKey,
  type PartitionValue,
  parsePartition,
  partitionKey,
  partitionPrefix,
  partitionsOfTopic,
  type SuspectLog,
  type TopicValue,
  topicKey,
  topicPrefix,
} from './keys.ts'
export type { MetadataServer, MetadataServerOptions } from './metadata-server.ts'
export { connectMetadata, serveMetadata } from './remote.ts'
export { settled } from './settled.ts'
export {
  type Compare,
  type KeyValue,
  type Lease,
  type MetadataEvent,
  type MetadataStore,
  type Operation,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_OPERATIONS_MAX,
  type TransactionResult,
  type Unwatch,
  type WatchListener,
  type WatchLoss,
} from './store.ts'
export {
  abandonTopic,
  acknowledgeDeletion,
  addPartitions,
  createTopic,
  deleteTopic,
  type NewTopic,
  setTopicConfigs,
  unfinishedTopics,
} from './topics.ts'
