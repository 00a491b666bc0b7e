/** Failures of what only opens and reads files: nothing was changed, so that the log goes on and the next attempt may succeed. */
import { hasCode, PagelogError } from '../../base/index.ts'

/** A PAGELOG_STORAGE of reading, told from those of writing by `retriable`; other errors as they are. */
export function readFailure(error: unknown): unknown {
  if (!hasCode(error, 'PAGELOG_STORAGE') || error.retriable) return error
  const { message, path } = error
  return new PagelogError('PAGELOG_STORAGE', message, { cause: error, retriable: true, ...(path && { path }) })
}
