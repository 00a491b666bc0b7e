/** What etcd refuses in a transaction, refused by every engine in the same way. */
import { PagelogError } from '../base/index.ts'
import { type Compare, type Operation, TRANSACTION_BYTES_MAX, TRANSACTION_OPERATIONS_MAX } from './store.ts'

/** Throws PAGELOG_INVALID_ARGUMENT, PAGELOG_TOO_LARGE. */
export function checkTransaction(compare: readonly Compare[], operations: readonly Operation[]): void {
  if (Math.max(compare.length, operations.length) > TRANSACTION_OPERATIONS_MAX) {
    const message = `a transaction has at most ${TRANSACTION_OPERATIONS_MAX} operations and comparisons`
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', message)
  }
  const puts = new Set<string>()
  let bytes = 0
  for (const one of compare) bytes += bytesOf(one.key) + (one.field === 'value' ? bytesOf(one.equals) : 0)
  for (const operation of operations) {
    if (operation.type !== 'put') continue
    bytes += bytesOf(operation.key) + bytesOf(operation.value)
    if (operation.key === '') throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'a key has at least one character')
    if (puts.has(operation.key)) throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'a transaction puts a key once')
    puts.add(operation.key)
  }
  if (bytes > TRANSACTION_BYTES_MAX) {
    throw new PagelogError('PAGELOG_TOO_LARGE', `a transaction has at most ${TRANSACTION_BYTES_MAX} bytes`)
  }
  for (const operation of operations) {
    if (operation.type === 'put') continue
    const isPut =
      operation.type === 'delete' ? puts.has(operation.key) : [...puts].some((key) => key.startsWith(operation.prefix))
    if (isPut) throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'a transaction puts a key that it also deletes')
  }
}

function bytesOf(text: string): number {
  return Buffer.byteLength(text, 'utf8')
}
