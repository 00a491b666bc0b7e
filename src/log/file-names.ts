/** Names of Kafka's files: what lies in the directory of a partition and in the directory of logs. */

/** Digits of a base offset in a file name. */
const NAME_DIGITS = 20
const SEGMENT_NAME = /^\d{20}\.log$/
const SNAPSHOT_NAME = /^\d{20}\.snapshot$/
const PARTITION_NAME = /^(.+)-(\d+)$/

/** `00000000000000000042.log`; suffix with its dot. */
export function segmentFileName(baseOffset: number, suffix: string): string {
  return String(baseOffset).padStart(NAME_DIGITS, '0') + suffix
}

/** The base offset when `name` is that of a segment's `.log` file. */
export function baseOffsetOf(name: string): number | undefined {
  return SEGMENT_NAME.test(name) ? Number(name.slice(0, NAME_DIGITS)) : undefined
}

/** The offset when `name` is that of a producer snapshot (Kafka's; kept, and removed when the log was cut below it). */
export function snapshotOffsetOf(name: string): number | undefined {
  return SNAPSHOT_NAME.test(name) ? Number(name.slice(0, NAME_DIGITS)) : undefined
}

export interface PartitionName {
  readonly topic: string
  readonly partition: number
}

/** Kafka's own log of its metadata lies beside the partitions and is none. */
export const CLUSTER_METADATA_TOPIC = '__cluster_metadata'

/** `topic-7`; undefined for every other name. */
export function parsePartitionName(name: string): PartitionName | undefined {
  const match = PARTITION_NAME.exec(name)
  if (match === null) return undefined
  const partition = Number(match[2])
  return partition <= 0x7fffffff && String(partition) === match[2] ? { topic: match[1]!, partition } : undefined
}

/** The other way round. */
export function nameOf({ topic, partition }: PartitionName): string {
  return `${topic}-${partition}`
}

/** What lies beside the `.log` file of a segment and can be built anew from it. */
export const SEGMENT_SIDE_SUFFIXES = ['.index', '.timeindex', '.txnindex'] as const

/** Suffixes of a file that its owner was deleting or had not finished when it stopped. */
export const DELETED_SUFFIX = '.deleted'
export const CLEANED_SUFFIX = '.cleaned'
export const SWAP_SUFFIX = '.swap'
/** Suffix of the directory of a partition that is being deleted. */
export const DELETE_DIRECTORY_SUFFIX = '-delete'
/** Suffix of the directory of a partition that nobody here knows, kept until somebody removes it. */
export const STRAY_DIRECTORY_SUFFIX = '-stray'
/** The same of one that is damaged and was begun anew. */
export const DAMAGED_DIRECTORY_SUFFIX = '-damaged'

export const RECOVERY_POINT_FILE = 'recovery-point-offset-checkpoint'
export const CLEANER_OFFSET_FILE = 'cleaner-offset-checkpoint'
export const LOG_START_OFFSET_FILE = 'log-start-offset-checkpoint'
export const CLEAN_SHUTDOWN_FILE = '.kafka_cleanshutdown'
export const META_PROPERTIES_FILE = 'meta.properties'
export const LOCK_FILE = '.lock'
export const LEADER_EPOCH_FILE = 'leader-epoch-checkpoint'
export const PARTITION_METADATA_FILE = 'partition.metadata'
/** In the folder of a partition whose log is known to be damaged, and was served until its owner could do without it. */
export const DAMAGED_FILE = 'pagelog-damaged.json'
