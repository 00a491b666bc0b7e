/**
 * Where things live in the store. One key per topic (its id and settings) and one per partition (leader, epochs, ISR),
 * so that a partition changes by comparing and setting a single key (reliability §5.3). Partition keys are below the
 * topic's id: a topic that is deleted and created again shares none with its past.
 *
 *   topics/<name>             {"id","partitions","replicationFactor","configs":{name:value}}
 *   partitions/<id>/<index>   {"leader","leaderEpoch","replicas","isr","partitionEpoch"}
 *   deleted/<id>              the name, until the logs of the deleted topic are gone
 */
export const topicPrefix = 'topics/'
export const partitionPrefix = 'partitions/'

export const deletedPrefix = 'deleted/'

export function deletedKey(id: string): string {
  return deletedPrefix + id
}

export function topicKey(name: string): string {
  return topicPrefix + name
}

export function partitionsOfTopic(id: string): string {
  return `${partitionPrefix}${id}/`
}

export function partitionKey(id: string, index: number): string {
  return `${partitionPrefix}${id}/${index}`
}

export interface TopicValue {
  readonly id: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly configs: Readonly<Record<string, string>>
}

export interface PartitionValue {
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly partitionEpoch: number
}
