/**
 * Where things live in the store. One key per topic (its id and settings) and one per partition (leader, epochs, ISR),
 * so that a partition changes by comparing and setting a single key (reliability §5.3). Partition keys are below the
 * topic's id: a topic that is deleted and created again shares none with its past.
 *
 *   cluster                   {"clusterId"}, created once and never changed
 *   brokers/<id>              {"id","host","port","rack","bootId","incarnation","pid","lease","leaving"?}, on the broker's
 *                             lease; its create revision is the broker epoch
 *   controller                {"id"}, on the same lease; its create revision is the controller epoch
 *   topics/<name>             {"id","partitions","replicationFactor","configs":{name:value}}
 *   names/<name with _ for .> the topic's name: made and removed with it, so that no two names collide
 *   partitions/<id>/<index>   {"leader","leaderEpoch","replicas","isr","elr","partitionEpoch","suspects"?};
 *                             changed only by comparing its mod revision
 *   creating/<id>             the name, while a topic of many partitions is being created
 *   deleted/<id>              {"name","replicas"}, until the logs of the deleted topic are gone; the brokers that may
 *                             still have some
 *   failed/<id>               {"incarnation"} of a broker whose disk failed, until it is back and vouches for nothing
 *   lives/<id>                {"incarnation"} of the broker's last life, written before it registers and kept: a log
 *                             directory that does not know of that life is older than what the broker vouched for
 */
export const clusterKey = 'cluster'
export const controllerKey = 'controller'
export const brokerPrefix = 'brokers/'
export const topicPrefix = 'topics/'
export const partitionPrefix = 'partitions/'
export const creatingPrefix = 'creating/'
export const deletedPrefix = 'deleted/'
export const namePrefix = 'names/'
export const failedPrefix = 'failed/'
export const lifePrefix = 'lives/'

export function brokerKey(id: number): string {
  return `${brokerPrefix}${id}`
}

export function creatingKey(id: string): string {
  return creatingPrefix + id
}

export function deletedKey(id: string): string {
  return deletedPrefix + id
}

export function topicKey(name: string): string {
  return topicPrefix + name
}

/** Names that differ only in `.` and `_` have one key: Kafka takes them for one name in its metrics. */
export function nameKey(topic: string): string {
  return namePrefix + topic.replaceAll('.', '_')
}

export function failedKey(brokerId: number): string {
  return `${failedPrefix}${brokerId}`
}

export function lifeKey(brokerId: number): string {
  return `${lifePrefix}${brokerId}`
}

export function partitionsOfTopic(id: string): string {
  return `${partitionPrefix}${id}/`
}

export function partitionKey(id: string, index: number): string {
  return `${partitionPrefix}${id}/${index}`
}

export interface ClusterValue {
  readonly clusterId: string
}

export interface BrokerValue {
  readonly id: number
  readonly host: string
  readonly port: number
  /** Empty: none. */
  readonly rack: string
  /** Of the machine's boot: after another one the page cache is gone. */
  readonly bootId: string
  /** Of the process: another one after each start. */
  readonly incarnation: string
  /** Of the process on its host. */
  readonly pid?: number
  /** The lease that the key is on, so that whoever knows that the process is gone can end it. */
  readonly lease?: string
  /** It is about to close: its leaderships go to others, and it joins no ISR. */
  readonly leaving?: boolean
}

export interface ControllerValue {
  readonly id: number
}

export interface TopicValue {
  readonly id: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly configs: Readonly<Record<string, string>>
}

export interface PartitionValue {
  /** -1: none. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** Replicas that may lead when the ISR is empty. */
  readonly elr: readonly number[]
  readonly partitionEpoch: number
  /**
   * Broker id -> what is known of its log: replicas that may have lost records since they were in sync. They may lead
   * when ISR and ELR are empty.
   */
  readonly suspects?: Readonly<Record<string, SuspectLog>>
}

/**
 * Last leader epoch and end offset of a log, and the incarnation that has told so; without one it is out of date. An end
 * below 0: the log cannot be opened, and its broker must not lead.
 */
export type SuspectLog = readonly [lastEpoch: number, endOffset: number, incarnation?: string]

/** Values that were written before there were eligible leaders have none. */
export function parsePartition(value: string): PartitionValue {
  const parsed = JSON.parse(value) as Omit<PartitionValue, 'elr'> & Partial<PartitionValue>
  return { ...parsed, elr: parsed.elr ?? [] }
}

export interface DeletedTopicValue {
  readonly name: string
  readonly replicas: readonly number[]
}

/** A store of one broker had the bare name before there were others. */
export function parseDeleted(value: string): DeletedTopicValue {
  return value.startsWith('{') ? (JSON.parse(value) as DeletedTopicValue) : { name: value, replicas: [] }
}
