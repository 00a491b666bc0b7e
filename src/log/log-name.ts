/** Names of logs: Kafka's rule for topics, since they become names of directories and topics of a broker. */
import { PagelogError } from '../base/index.ts'

const NAME_LENGTH_MAX = 249
const PARTITION_MAX = 0x7fffffff

/** Throws PAGELOG_INVALID_ARGUMENT unless a log may be called so. */
export function checkLogName(name: string, partition: number): void {
  const reason = typeof name === 'string' ? faultOf(name) : 'it is not a string'
  if (reason !== undefined) {
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `${JSON.stringify(name)} cannot be the name of a log: ${reason}`)
  }
  if (!(Number.isInteger(partition) && partition >= 0 && partition <= PARTITION_MAX)) {
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `a partition is a whole number, ${partition} is not`)
  }
}

function faultOf(name: string): string | undefined {
  if (name === '') return 'it is empty'
  if (name === '.' || name === '..') return 'it names a directory'
  if (name.length > NAME_LENGTH_MAX) return `it is longer than ${NAME_LENGTH_MAX} characters`
  return /^[\w.-]+$/.test(name) ? undefined : "letters, digits, '.', '_' and '-' are allowed"
}
