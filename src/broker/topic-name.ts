/** Kafka's rules for topic names. */
const LENGTH_MAX = 249

/** Why `name` cannot be a topic's, or undefined when it can. */
export function topicNameFault(name: string): string | undefined {
  if (name.length === 0) return 'Topic name is empty.'
  if (name === '.' || name === '..') return `Topic name cannot be '${name}'.`
  if (name.length > LENGTH_MAX) return `Topic name is longer than ${LENGTH_MAX} characters.`
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) return 'Topic name has a character other than ASCII letters, digits, . _ and -.'
  return undefined
}

/** Names that differ only in `.` and `_` collide (in Kafka's metric names), and so Kafka refuses the second. */
export function collisionKey(name: string): string {
  return name.replaceAll('.', '_')
}

/** Topics whose records are the cluster's own. */
export function isInternalTopic(name: string): boolean {
  return name === '__consumer_offsets' || name === '__transaction_state' || name === '__share_group_state'
}

/** Held back for Kafka's own metadata log; no client may create it. */
export const CLUSTER_METADATA_TOPIC = '__cluster_metadata'
