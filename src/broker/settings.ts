/**
 * The settings of a broker that are obeyed now, under Kafka's names. Defaults are Kafka's, except:
 *
 *   listeners                 127.0.0.1 instead of every address: there is no authentication yet
 *   log.dir                   a folder of the current directory instead of one under the temporary directory
 *   node.id                   1 instead of none
 *   max.connections           10000, below the descriptors a process may have; Kafka has no limit
 *   max.connections.per.ip    5000; Kafka has no limit
 *   socket.send.buffer.bytes  512 KiB, five times Kafka's: what is in flight fits in a core's cache (decision 0001)
 *   queued.max.request.bytes  128 MiB: what requests being received or written may hold; Kafka has no limit
 */
import { resolveSettings, type Setting, type SettingsOf, type SettingsTable } from '../base/index.ts'
import { type LogDirectorySettings, logDirectorySettings } from '../log/index.ts'
import { replicationSettings } from '../replication/index.ts'
import { type TopicSettingKey, type TopicSettings, topicSettings } from './topic-settings.ts'

/** The broker setting that gives a topic setting's default: same type and bounds under its own name. */
function topicDefault<S extends Setting>(name: string, setting: S): Omit<S, 'name'> & { readonly name: string } {
  return { ...setting, name, doc: `Default of the topic setting ${setting.name}. ${setting.doc}` }
}

const topicDefaultSettings = {
  logSegmentBytes: topicDefault('log.segment.bytes', topicSettings.segmentBytes),
  logRollMs: topicDefault('log.roll.ms', topicSettings.segmentMs),
  logIndexSizeMaxBytes: topicDefault('log.index.size.max.bytes', topicSettings.segmentIndexBytes),
  logIndexIntervalBytes: topicDefault('log.index.interval.bytes', topicSettings.indexIntervalBytes),
  messageMaxBytes: topicDefault('message.max.bytes', topicSettings.maxMessageBytes),
  logMessageTimestampType: topicDefault('log.message.timestamp.type', topicSettings.messageTimestampType),
  logMessageTimestampBeforeMaxMs: topicDefault(
    'log.message.timestamp.before.max.ms',
    topicSettings.messageTimestampBeforeMaxMs,
  ),
  logMessageTimestampAfterMaxMs: topicDefault(
    'log.message.timestamp.after.max.ms',
    topicSettings.messageTimestampAfterMaxMs,
  ),
  logFlushIntervalMessages: topicDefault('log.flush.interval.messages', topicSettings.flushMessages),
  logFlushIntervalMs: topicDefault('log.flush.interval.ms', topicSettings.flushMs),
  logPreallocate: topicDefault('log.preallocate', topicSettings.preallocate),
  logRollJitterMs: topicDefault('log.roll.jitter.ms', topicSettings.segmentJitterMs),
  logCleanupPolicy: topicDefault('log.cleanup.policy', topicSettings.cleanupPolicy),
  logRetentionMs: topicDefault('log.retention.ms', topicSettings.retentionMs),
  logRetentionBytes: topicDefault('log.retention.bytes', topicSettings.retentionBytes),
  logSegmentDeleteDelayMs: topicDefault('log.segment.delete.delay.ms', topicSettings.fileDeleteDelayMs),
  logCleanerMinCleanableRatio: topicDefault('log.cleaner.min.cleanable.ratio', topicSettings.minCleanableDirtyRatio),
  logCleanerMinCompactionLagMs: topicDefault('log.cleaner.min.compaction.lag.ms', topicSettings.minCompactionLagMs),
  logCleanerMaxCompactionLagMs: topicDefault('log.cleaner.max.compaction.lag.ms', topicSettings.maxCompactionLagMs),
  logCleanerDeleteRetentionMs: topicDefault('log.cleaner.delete.retention.ms', topicSettings.deleteRetentionMs),
  minInsyncReplicas: topicDefault('min.insync.replicas', topicSettings.minInsyncReplicas),
  uncleanLeaderElectionEnable: topicDefault(
    'unclean.leader.election.enable',
    topicSettings.uncleanLeaderElectionEnable,
  ),
  compressionType: topicDefault('compression.type', topicSettings.compressionType),
  compressionGzipLevel: topicDefault('compression.gzip.level', topicSettings.compressionGzipLevel),
  compressionLz4Level: topicDefault('compression.lz4.level', topicSettings.compressionLz4Level),
  compressionZstdLevel: topicDefault('compression.zstd.level', topicSettings.compressionZstdLevel),
} as const

/** Topic setting -> the broker setting above. The others take Kafka's default. */
export const brokerKeyOfTopicSetting = {
  segmentBytes: 'logSegmentBytes',
  segmentMs: 'logRollMs',
  segmentIndexBytes: 'logIndexSizeMaxBytes',
  indexIntervalBytes: 'logIndexIntervalBytes',
  maxMessageBytes: 'messageMaxBytes',
  messageTimestampType: 'logMessageTimestampType',
  messageTimestampBeforeMaxMs: 'logMessageTimestampBeforeMaxMs',
  messageTimestampAfterMaxMs: 'logMessageTimestampAfterMaxMs',
  flushMessages: 'logFlushIntervalMessages',
  flushMs: 'logFlushIntervalMs',
  preallocate: 'logPreallocate',
  segmentJitterMs: 'logRollJitterMs',
  cleanupPolicy: 'logCleanupPolicy',
  retentionMs: 'logRetentionMs',
  retentionBytes: 'logRetentionBytes',
  fileDeleteDelayMs: 'logSegmentDeleteDelayMs',
  minCleanableDirtyRatio: 'logCleanerMinCleanableRatio',
  minCompactionLagMs: 'logCleanerMinCompactionLagMs',
  maxCompactionLagMs: 'logCleanerMaxCompactionLagMs',
  deleteRetentionMs: 'logCleanerDeleteRetentionMs',
  minInsyncReplicas: 'minInsyncReplicas',
  uncleanLeaderElectionEnable: 'uncleanLeaderElectionEnable',
  compressionType: 'compressionType',
  compressionGzipLevel: 'compressionGzipLevel',
  compressionLz4Level: 'compressionLz4Level',
  compressionZstdLevel: 'compressionZstdLevel',
} as const satisfies Partial<Record<TopicSettingKey, keyof typeof topicDefaultSettings>>

/** How a broker lives in a cluster. */
const clusterSettings = {
  metadata: {
    name: 'pagelog.metadata',
    type: 'string',
    default: 'embedded',
    doc: 'Where the metadata of the cluster is: embedded for a broker by itself, etcd://host:port,host:port, or socket:/path as `pagelog cluster` serves it.',
  },
  metadataRoot: {
    name: 'pagelog.metadata.root',
    type: 'string',
    default: 'pagelog/',
    doc: 'What all keys of this cluster begin with in etcd, which may have other users.',
  },
  metadataUser: {
    name: 'pagelog.metadata.user',
    type: 'string',
    default: '',
    doc: 'User of etcd; empty for one without authentication.',
  },
  metadataPassword: {
    name: 'pagelog.metadata.password',
    type: 'string',
    default: '',
    isSecret: true,
    doc: 'Password of that user. Give it by the variable PAGELOG_METADATA_PASSWORD: a command line can be read by others.',
  },
  metadataCa: {
    name: 'pagelog.metadata.ca',
    type: 'string',
    default: '',
    doc: 'A file (PEM) with the authority of the certificates of etcd; with it, or with a certificate, connections are by TLS.',
  },
  metadataCertificate: {
    name: 'pagelog.metadata.certificate',
    type: 'string',
    default: '',
    doc: 'A file (PEM) with the certificate that this broker shows to etcd.',
  },
  metadataKey: {
    name: 'pagelog.metadata.key',
    type: 'string',
    default: '',
    doc: 'A file (PEM) with the key of that certificate.',
  },
  etcdRequireAuth: {
    name: 'pagelog.etcd.require.auth',
    type: 'boolean',
    default: false,
    doc: 'Whether a broker refuses to start on an etcd that asks it for neither a password nor a certificate.',
  },
  brokerSessionTimeoutMs: {
    name: 'broker.session.timeout.ms',
    type: 'int',
    default: 9000,
    min: 100,
    doc: 'A broker that the cluster does not hear from for so long counts as dead, and others lead its partitions.',
  },
  brokerHeartbeatIntervalMs: {
    name: 'broker.heartbeat.interval.ms',
    type: 'int',
    default: 2000,
    min: 1,
    doc: 'How often a broker says that it lives; at least three times in a session.',
  },
  controlledShutdownEnable: {
    name: 'controlled.shutdown.enable',
    type: 'boolean',
    default: true,
    doc: 'Whether a broker that closes first lets others lead its partitions.',
  },
  autoLeaderRebalanceEnable: {
    name: 'auto.leader.rebalance.enable',
    type: 'boolean',
    default: true,
    doc: 'Whether leadership goes back to the first replica of a partition when that is in sync.',
  },
  leaderImbalanceCheckIntervalSeconds: {
    name: 'leader.imbalance.check.interval.seconds',
    type: 'long',
    default: 300,
    min: 1,
    doc: 'How often that is looked at.',
  },
} as const

export const brokerSettings = {
  ...clusterSettings,
  ...replicationSettings,
  nodeId: { name: 'node.id', type: 'int', default: 1, min: 0, doc: 'Number of this broker in its cluster.' },
  listeners: {
    name: 'listeners',
    type: 'list',
    default: ['PLAINTEXT://127.0.0.1:9092'] as readonly string[],
    doc: 'Where clients connect: one PLAINTEXT://host:port for now. No host means every address, port 0 any free one.',
  },
  advertisedListeners: {
    name: 'advertised.listeners',
    type: 'list',
    default: [] as readonly string[],
    doc: 'The address that clients are told to use, when it is not the one listened on.',
  },
  logDir: {
    name: 'log.dir',
    type: 'string',
    default: 'pagelog-data',
    doc: 'The folder that holds the logs and the metadata.',
  },
  numPartitions: {
    name: 'num.partitions',
    type: 'int',
    default: 1,
    min: 1,
    doc: 'Partitions of a topic that is created without a number.',
  },
  defaultReplicationFactor: {
    name: 'default.replication.factor',
    type: 'int',
    default: 1,
    min: 1,
    max: 32767,
    doc: 'Replicas of each partition of a topic that is created without a number.',
  },
  autoCreateTopicsEnable: {
    name: 'auto.create.topics.enable',
    type: 'boolean',
    default: true,
    doc: 'Whether asking for the metadata of an unknown topic creates it.',
  },
  deleteTopicEnable: {
    name: 'delete.topic.enable',
    type: 'boolean',
    default: true,
    doc: 'Whether topics can be deleted.',
  },
  brokerRack: {
    name: 'broker.rack',
    type: 'string',
    default: '',
    doc: 'Where this broker stands: the replicas of new partitions are spread over racks. Clients are told it.',
  },
  fetchMaxBytes: {
    name: 'fetch.max.bytes',
    type: 'int',
    default: 57671680,
    min: 1024,
    doc: 'Most bytes of records in one fetch response, whatever the client allows; the first batch always goes whole.',
  },
  socketRequestMaxBytes: {
    name: 'socket.request.max.bytes',
    type: 'int',
    default: 104857600,
    min: 1,
    doc: 'A connection that announces a longer request is closed.',
  },
  socketListenBacklogSize: {
    name: 'socket.listen.backlog.size',
    type: 'int',
    default: 50,
    min: 1,
    doc: 'Connections that may wait to be accepted.',
  },
  socketSendBufferBytes: {
    name: 'socket.send.buffer.bytes',
    type: 'int',
    default: 524288,
    min: -1,
    doc: 'Unsent bytes of a connection that the kernel keeps, about half of them; -1 leaves it to the system.',
  },
  queuedMaxRequestBytes: {
    name: 'queued.max.request.bytes',
    type: 'long',
    default: 134217728,
    min: 1048576,
    doc: 'Memory for requests that are being received or written; above it sockets are not read until some is free.',
  },
  connectionsMaxIdleMs: {
    name: 'connections.max.idle.ms',
    type: 'long',
    default: 600000,
    min: 1,
    doc: 'A connection without a request for so long is closed.',
  },
  maxConnections: {
    name: 'max.connections',
    type: 'int',
    default: 10000,
    min: 0,
    doc: 'Connections beyond this number are closed as they arrive.',
  },
  maxConnectionsPerIp: {
    name: 'max.connections.per.ip',
    type: 'int',
    default: 5000,
    min: 0,
    doc: 'Connections beyond this number from one address are closed as they arrive.',
  },
  connectionOutboxMaxBytes: {
    name: 'pagelog.connection.outbox.max.bytes',
    type: 'long',
    default: 16777216,
    min: 1024,
    doc: 'While more response bytes than this wait for a client to read them, its further requests are not read.',
  },
  receiveSlabBytes: {
    name: 'pagelog.receive.slab.bytes',
    type: 'int',
    default: 1048576,
    min: 65536,
    doc: 'Size of the pieces of memory that requests are received into.',
  },
  produceCheckCompressed: {
    name: 'pagelog.produce.check.compressed',
    type: 'string',
    default: 'full',
    oneOf: ['full', 'header'],
    doc: 'How far compressed batches of producers are checked. full decompresses them, as Kafka does: nobody else can refuse a batch at which every consumer of the partition would stop. header trusts producers and saves that work; batches are still opened where the topic is compacted or compression.type asks for another codec.',
  },
  compressionWorkerMinBytes: {
    name: 'pagelog.compression.worker.min.bytes',
    type: 'int',
    default: 131072,
    min: 0,
    doc: 'Batches of at least so many decompressed bytes are checked by worker threads, smaller ones on the event loop, which takes some 0.3 ms for 128 KiB. Batches that are compressed again go to a worker from an eighth of this on.',
  },
  logFlushSchedulerIntervalMs: {
    name: 'log.flush.scheduler.interval.ms',
    type: 'long',
    default: topicSettings.flushMs.default,
    defaultText: topicSettings.flushMs.defaultText,
    min: 0,
    doc: 'Default of the topic setting flush.ms where log.flush.interval.ms is not given. Nothing else has to be scheduled: each log syncs by a timer of its own.',
  },
  clusterId: {
    name: 'pagelog.cluster.id',
    type: 'string',
    default: '',
    doc: 'Name of the cluster for a new data folder; empty makes one up. An existing folder keeps its own.',
  },
  ...logDirectorySettings,
  ...topicDefaultSettings,
} as const satisfies SettingsTable

export type BrokerSettings = SettingsOf<typeof brokerSettings>

/** Fills up and checks, also between settings. Throws PAGELOG_INVALID_SETTING. */
export function resolveBrokerSettings(given: Partial<BrokerSettings> = {}): BrokerSettings {
  return resolveSettings(brokerSettings, given)
}

/** The defaults that a broker with these settings gives its topics. */
export function topicDefaultsOf(settings: BrokerSettings, kafkaDefaults: TopicSettings): TopicSettings {
  const defaults: Record<string, unknown> = { ...kafkaDefaults }
  for (const [topicKey, brokerKey] of Object.entries(brokerKeyOfTopicSetting)) defaults[topicKey] = settings[brokerKey]
  const isGiven = settings.logFlushIntervalMs !== topicSettings.flushMs.default
  if (!isGiven) defaults.flushMs = settings.logFlushSchedulerIntervalMs
  return defaults as TopicSettings
}

/** The part of a broker's settings that its log directory takes. */
export function logDirectorySettingsOf(settings: BrokerSettings): LogDirectorySettings {
  const keys = Object.keys(logDirectorySettings) as (keyof LogDirectorySettings)[]
  return Object.fromEntries(keys.map((key) => [key, settings[key]])) as unknown as LogDirectorySettings
}
