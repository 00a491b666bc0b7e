/**
 * client: producer, consumer and admin for Kafka's protocol. They work with any broker that speaks it.
 *
 *   const producer = new Producer({ bootstrap: 'localhost:9092' })
 *   const { partition, offset } = await producer.send({ topic: 'clicks', key: 'user-1', value: 'hello' })
 *
 *   const consumer = new Consumer({ bootstrap: 'localhost:9092' })
 *   consumer.assign([{ topic: 'clicks', partition, offset }])
 *   for await (const batch of consumer) for (const record of batch) console.log(record.offset, record.value)
 *
 * Settings have Kafka's meanings and defaults; see `producerSettings`, `consumerSettings`, `adminSettings`. Errors are
 * PagelogError with a stable `code`; that of a broker has its `kafkaCode`.
 */
export {
  Admin,
  type AdminOptions,
  type ClusterDescription,
  type ConfigEntry,
  type ConfigResource,
  type ListedOffset,
  type NewTopic,
  type OffsetQuestion,
} from './admin.ts'
export type { StartingPoint } from './assignment.ts'
export type { BatchCompletion, BatchReceipt } from './batch-completion.ts'
export type { NodeInfo, PartitionInfo, TopicInfo } from './cluster-metadata.ts'
export type { ConsumedBatch } from './consumed-batch.ts'
export { Consumer, type ConsumerOptions, type NextBatchOptions, type TopicPartitionStart } from './consumer.ts'
export type { Delivery, RecordMetadata } from './delivery.ts'
export { murmur2 } from './murmur2.ts'
export { type Partitioner, partitionOfKey } from './partitioner.ts'
export { Producer } from './producer.ts'
export type { FailedBatch, ProducerOptions, ProducerStats } from './producer-options.ts'
export type { ProducerRecord, ProducerRecordHeader } from './producer-record.ts'
export {
  type AdminSettings,
  adminSettings,
  type Bootstrap,
  type ConsumerSettings,
  consumerSettings,
  type ProducerSettings,
  producerSettings,
} from './settings.ts'
export type { WaitOptions } from './waiting.ts'
