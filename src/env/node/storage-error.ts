/** Turns the errors of Node's file calls into operating errors. */
import { PagelogError } from '../../base/index.ts'

/** ENOSPC and EDQUOT refuse, anything else is a failure of the storage (reliability L5). `what` is a short verb phrase. */
export function storageError(what: string, path: string, cause: unknown, position?: number): PagelogError {
  if (cause instanceof PagelogError) return cause
  const code = errnoOf(cause)
  const fields = position === undefined ? { cause, path } : { cause, path, position }
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new PagelogError('PAGELOG_DISK_FULL', `cannot ${what} ${path}: disk full (${code})`, {
      ...fields,
      retriable: true,
    })
  }
  const reason = code ?? (cause instanceof Error ? cause.message : String(cause))
  return new PagelogError('PAGELOG_STORAGE', `cannot ${what} ${path}: ${reason}`, fields)
}

/** For what leaves the file or directory in an unknown state, a full disk included: always PAGELOG_STORAGE. */
export function finalError(what: string, path: string, cause: unknown): PagelogError {
  const reason = errnoOf(cause) ?? (cause instanceof Error ? cause.message : String(cause))
  return new PagelogError('PAGELOG_STORAGE', `cannot ${what} ${path}: ${reason}`, { cause, path })
}

/** `ENOENT` and the like, of an error that a system call made. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : undefined
}
