/**
 * The clients' settings: one table per client, with Kafka's names and defaults outside and one camelCase name inside,
 * which is the name of the constructor's option. Settings of ours start with `pagelog.`.
 */
import { PagelogError, resolveSettings, type SettingsOf, type SettingsTable } from '../base/index.ts'
import { checkLevel, codecLevels, DECOMPRESSED_BATCH_BYTES_MAX } from '../record/index.ts'

const connectionSettings = {
  bootstrap: {
    name: 'bootstrap.servers',
    type: 'list',
    default: [] as readonly string[],
    doc: 'Brokers to start from, `host:port,host:port`; the others are learnt from them.',
  },
  clientId: {
    name: 'client.id',
    type: 'string',
    default: '',
    doc: 'Name sent with every request, for logs and quotas.',
  },
  requestTimeoutMs: {
    name: 'request.timeout.ms',
    type: 'int',
    default: 30_000,
    min: 1,
    doc: 'Milliseconds to wait for the answer to a request before the connection is given up.',
  },
  retryBackoffMs: {
    name: 'retry.backoff.ms',
    type: 'long',
    default: 100,
    min: 0,
    doc: 'Milliseconds before the first retry; doubles with each one, with 20 % of jitter.',
  },
  retryBackoffMaxMs: {
    name: 'retry.backoff.max.ms',
    type: 'long',
    default: 1_000,
    min: 0,
    doc: 'Longest wait between two retries, milliseconds.',
  },
  reconnectBackoffMs: {
    name: 'reconnect.backoff.ms',
    type: 'long',
    default: 50,
    min: 0,
    doc: 'Milliseconds before connecting to a broker again; doubles with each failure, with 20 % of jitter.',
  },
  reconnectBackoffMaxMs: {
    name: 'reconnect.backoff.max.ms',
    type: 'long',
    default: 1_000,
    min: 0,
    doc: 'Longest wait between two attempts to connect to a broker, milliseconds.',
  },
  connectTimeoutMs: {
    name: 'socket.connection.setup.timeout.ms',
    type: 'long',
    default: 10_000,
    min: 1,
    max: 2_147_483_647,
    doc: 'Milliseconds for a TCP connection to come about; the exchange of versions after it has request.timeout.ms.',
  },
  metadataMaxAgeMs: {
    name: 'metadata.max.age.ms',
    type: 'long',
    default: 300_000,
    min: 1,
    max: 2_147_483_647,
    doc: 'Metadata older than this, in milliseconds, is asked for anew without any error.',
  },
  metadataRecoveryStrategy: {
    name: 'metadata.recovery.strategy',
    type: 'string',
    default: 'rebootstrap',
    oneOf: ['rebootstrap', 'none'],
    doc: 'When no known broker can be reached: rebootstrap starts from bootstrap.servers again, none waits until one can.',
  },
  metadataRecoveryTriggerMs: {
    name: 'metadata.recovery.rebootstrap.trigger.ms',
    type: 'long',
    default: 300_000,
    min: 0,
    doc: 'After so many milliseconds of asking for metadata without an answer, rebootstrap forgets the known brokers.',
  },
} as const satisfies SettingsTable

const codecSettings = {
  compressionWorkerMinBytes: {
    name: 'pagelog.compression.worker.min.bytes',
    type: 'int',
    default: -1,
    min: -1,
    doc: 'Batches of at least so many bytes are compressed and decompressed in worker threads, smaller ones at once where they are; 2147483647: never in threads. -1: gzip 8192, zstd 65536, snappy and lz4 131072. There the event loop gains clearly: the way to a thread and back costs it some 0.1 ms, 128 KiB of lz4 in place 0.3 ms. What is larger there keeps the loop free for less, what is smaller uses more CPU in all; with every core busy a higher bound makes for more throughput.',
  },
} as const satisfies SettingsTable

/** What every client is told about connections and retries. */
export type ConnectionSettings = SettingsOf<typeof connectionSettings>

export const producerSettings = {
  ...connectionSettings,
  ...codecSettings,
  acks: {
    name: 'acks',
    type: 'string',
    default: 'all',
    oneOf: ['all', '-1', '1', '0'],
    doc: 'Who must have a batch before it counts as delivered: all in-sync replicas, the leader (1), nobody (0).',
  },
  idempotent: {
    name: 'enable.idempotence',
    type: 'boolean',
    default: true,
    doc: 'Retries make neither duplicates nor reorder. Needs acks=all, retries and at most 5 requests in flight; left out, it gives way to them.',
  },
  batchBytes: {
    name: 'batch.size',
    type: 'int',
    default: 16_384,
    min: 0,
    max: 1_073_741_824,
    doc: 'Room of a batch in bytes, its header included, before it is compressed; a larger record gets a batch of its own. With compression a larger room makes for better ratios and fewer requests.',
  },
  compressionType: {
    name: 'compression.type',
    type: 'string',
    default: 'none',
    oneOf: ['none', 'gzip', 'snappy', 'lz4', 'zstd'],
    doc: 'Codec of the batches, also of those that it makes no smaller. zstd needs Node 22.15 or later, or the package zstd-napi.',
  },
  compressionGzipLevel: {
    name: 'compression.gzip.level',
    type: 'int',
    ...codecLevels.gzip,
    doc: 'With compression.type=gzip: 1 (fastest) to 9 (smallest), -1: what zlib deems best, 6. Not 0.',
  },
  compressionLz4Level: {
    name: 'compression.lz4.level',
    type: 'int',
    ...codecLevels.lz4,
    doc: 'With compression.type=lz4; without effect: the fast mode is used at every level.',
  },
  compressionZstdLevel: {
    name: 'compression.zstd.level',
    type: 'int',
    ...codecLevels.zstd,
    doc: 'With compression.type=zstd: higher is smaller and slower, negative is faster still.',
  },
  lingerMs: {
    name: 'linger.ms',
    type: 'long',
    default: 5,
    min: 0,
    max: 2_147_483_647,
    doc: 'Milliseconds that a batch which is not full waits for more records.',
  },
  bufferBytes: {
    name: 'buffer.memory',
    type: 'long',
    default: 33_554_432,
    min: 0,
    doc: 'Bytes of batches, open, queued and in flight (compressed ones as they are then), beyond which send() throws PAGELOG_BUFFER_FULL; a last record larger than batch.size may exceed it. At least batch.size.',
  },
  requestBytesMax: {
    name: 'max.request.size',
    type: 'int',
    default: 1_048_576,
    min: 1,
    doc: 'Bytes of batches in a request, and the largest record.',
  },
  maxInFlight: {
    name: 'max.in.flight.requests.per.connection',
    type: 'int',
    default: 5,
    min: 1,
    max: 1_000,
    doc: 'Produce requests a broker may have unanswered.',
  },
  retries: {
    name: 'retries',
    type: 'int',
    default: 2_147_483_647,
    min: 0,
    doc: 'Retries of a batch; delivery.timeout.ms is the better bound.',
  },
  deliveryTimeoutMs: {
    name: 'delivery.timeout.ms',
    type: 'int',
    default: 120_000,
    min: 1,
    doc: 'Milliseconds from the first record of a batch until its delivery has succeeded or failed. At least linger.ms + request.timeout.ms.',
  },
  maxBlockMs: {
    name: 'max.block.ms',
    type: 'long',
    default: 60_000,
    min: 0,
    max: 2_147_483_647,
    doc: 'Milliseconds that records wait for the metadata of their topic, and a call for it.',
  },
  turnBytes: {
    name: 'pagelog.turn.bytes',
    type: 'int',
    default: 1_048_576,
    min: 1,
    doc: 'Bytes taken in one turn of the event loop after which hasRoom is false until the next turn, so that a loop of sends lets the socket work.',
  },
} as const satisfies SettingsTable
export type ProducerSettings = SettingsOf<typeof producerSettings>

export const consumerSettings = {
  ...connectionSettings,
  ...codecSettings,
  fetchMinBytes: {
    name: 'fetch.min.bytes',
    type: 'int',
    default: 1,
    min: 0,
    doc: 'Bytes a broker should have before it answers a fetch.',
  },
  fetchMaxWaitMs: {
    name: 'fetch.max.wait.ms',
    type: 'int',
    default: 500,
    min: 0,
    doc: 'Milliseconds after which a broker answers although fetch.min.bytes are not there.',
  },
  fetchMaxBytes: {
    name: 'fetch.max.bytes',
    type: 'int',
    default: 52_428_800,
    min: 1,
    doc: 'Bytes of batches in an answer; a first batch that is larger comes all the same.',
  },
  maxPartitionFetchBytes: {
    name: 'max.partition.fetch.bytes',
    type: 'int',
    default: 1_048_576,
    min: 1,
    doc: 'Bytes of batches of one partition in an answer; a first batch that is larger comes all the same.',
  },
  isolation: {
    name: 'isolation.level',
    type: 'string',
    default: 'read_uncommitted',
    oneOf: ['read_uncommitted', 'read_committed'],
    doc: 'read_committed leaves out records of aborted and of open transactions.',
  },
  checkCrcs: {
    name: 'check.crcs',
    type: 'boolean',
    default: true,
    doc: 'Checks the CRC of every batch before it is handed out.',
  },
  autoOffsetReset: {
    name: 'auto.offset.reset',
    type: 'string',
    default: 'latest',
    oneOf: ['earliest', 'latest', 'none'],
    doc: 'Where to go on when there is no offset or the log does not have it: its start, its end, or an error.',
  },
  allowAutoTopicCreation: {
    name: 'allow.auto.create.topics',
    type: 'boolean',
    default: true,
    doc: 'Whether asking for a missing topic may create it, if the broker does so.',
  },
  prefetchBytes: {
    name: 'pagelog.prefetch.bytes',
    type: 'int',
    default: 8_388_608,
    min: 1,
    doc: 'A broker is asked for more while fewer bytes than this of its answers wait for the application. Large compressed batches are decompressed ahead up to as many bytes again.',
  },
  decompressedBatchMaxBytes: {
    name: 'pagelog.decompressed.batch.max.bytes',
    type: 'int',
    default: DECOMPRESSED_BATCH_BYTES_MAX,
    min: 1,
    doc: 'Bytes that the records of one compressed batch may come to; a batch that holds more is an error, PAGELOG_TOO_LARGE, whatever its size says. A batch of 1 MiB, as Kafka allows by default, comes to some 8 MiB of JSON, 20 MiB of log lines at their best.',
  },
  turnBytes: {
    name: 'pagelog.turn.bytes',
    type: 'int',
    default: 1_048_576,
    min: 1,
    doc: 'Bytes of batches handed out in one turn of the event loop; then the sockets get theirs.',
  },
  reuseBuffers: {
    name: 'pagelog.reuse.buffers',
    type: 'boolean',
    default: false,
    doc: 'Receives into the same memory again: faster, but a batch and all views into it are valid only until the next batch is asked for.',
  },
} as const satisfies SettingsTable
export type ConsumerSettings = SettingsOf<typeof consumerSettings>

export const adminSettings = {
  ...connectionSettings,
  defaultApiTimeoutMs: {
    name: 'default.api.timeout.ms',
    type: 'int',
    default: 60_000,
    min: 1,
    doc: 'Milliseconds for a call, its retries included.',
  },
} as const satisfies SettingsTable
export type AdminSettings = SettingsOf<typeof adminSettings>

/** `host:port,host:port` or a list of `host:port`. */
export type Bootstrap = string | readonly string[]

/** Turns the option into the list that the tables hold. Throws PAGELOG_INVALID_SETTING. */
export function bootstrapList(bootstrap: Bootstrap): readonly string[] {
  if (typeof bootstrap !== 'string' && !Array.isArray(bootstrap)) {
    throw new PagelogError('PAGELOG_INVALID_SETTING', 'bootstrap.servers: host:port,host:port is needed')
  }
  const list = typeof bootstrap === 'string' ? bootstrap.split(',') : bootstrap
  return list.map((entry) => entry.trim()).filter((entry) => entry !== '')
}

type GivenProducerSettings = Partial<SettingsOf<typeof producerSettings>>

/** Fills up with defaults and checks the limits between settings. Throws PAGELOG_INVALID_SETTING. */
export function resolveProducerSettings(given: GivenProducerSettings): ProducerSettings {
  const resolved = resolveSettings(producerSettings, given)
  compressionLevel(resolved)
  const acks = resolved.acks === '-1' ? 'all' : resolved.acks
  const able = acks === 'all' && resolved.retries > 0 && resolved.maxInFlight <= 5
  if (given.idempotent === true && !able) {
    throw new PagelogError(
      'PAGELOG_INVALID_SETTING',
      'enable.idempotence=true needs acks=all, retries > 0 and max.in.flight.requests.per.connection ≤ 5',
    )
  }
  if (resolved.bufferBytes < resolved.batchBytes) {
    throw new PagelogError(
      'PAGELOG_INVALID_SETTING',
      `buffer.memory=${resolved.bufferBytes}: allowed is batch.size = ${resolved.batchBytes} and more`,
    )
  }
  const shortest = resolved.lingerMs + resolved.requestTimeoutMs
  if (resolved.deliveryTimeoutMs < shortest) {
    if (given.deliveryTimeoutMs !== undefined) {
      throw new PagelogError(
        'PAGELOG_INVALID_SETTING',
        `delivery.timeout.ms=${resolved.deliveryTimeoutMs}: allowed is linger.ms + request.timeout.ms = ${shortest} and more`,
      )
    }
    return { ...resolved, acks, idempotent: resolved.idempotent && able, deliveryTimeoutMs: shortest }
  }
  return { ...resolved, acks, idempotent: resolved.idempotent && able }
}

/** The level of the codec in force, undefined for one that has none. Throws PAGELOG_INVALID_SETTING (gzip has no level 0). */
export function compressionLevel(settings: ProducerSettings): number | undefined {
  checkLevel('gzip', settings.compressionGzipLevel)
  switch (settings.compressionType) {
    case 'gzip':
      return settings.compressionGzipLevel
    case 'lz4':
      return settings.compressionLz4Level
    case 'zstd':
      return settings.compressionZstdLevel
    default:
      return undefined
  }
}

type GivenConsumerSettings = Partial<SettingsOf<typeof consumerSettings>>

/** Fills up with defaults and checks. Throws PAGELOG_INVALID_SETTING. */
export function resolveConsumerSettings(given: GivenConsumerSettings): ConsumerSettings {
  return resolveSettings(consumerSettings, given)
}
