/**
 * Operating errors: what can go wrong outside our own code (a disk, a network, a caller's argument). They carry a stable
 * `code`; match on the code, never on the class or the text. The two other families are Kafka's wire codes
 * (`error-codes.ts`) and broken invariants (`assert.ts`).
 */
export type OperatingErrorCode =
  | 'PAGELOG_CLOSED' // used after close
  | 'PAGELOG_LOCKED' // another process holds the directory
  | 'PAGELOG_CORRUPT' // stored bytes that cannot be what was written; see path and position
  | 'PAGELOG_DISK_FULL' // ENOSPC or EDQUOT: refused, nothing kept of it
  | 'PAGELOG_STORAGE' // a failed write, fsync or rename: the log directory is offline until restart
  | 'PAGELOG_NOT_FOUND' // no such file, where one has to be
  | 'PAGELOG_OFFSET_OUT_OF_RANGE'
  | 'PAGELOG_TOO_LARGE' // a record, batch or frame above its limit
  | 'PAGELOG_INVALID_ARGUMENT'
  | 'PAGELOG_INVALID_SETTING'
  | 'PAGELOG_BUFFER_FULL' // producer's buffer.memory is used up: await room first
  | 'PAGELOG_DISCONNECTED'
  | 'PAGELOG_TIMED_OUT'
  | 'PAGELOG_REFUSED' // a batch the log will not take (sequence gap, old epoch); kafkaCode says which
  | 'PAGELOG_PROTOCOL' // the peer sent bytes that are not the protocol
  | 'PAGELOG_UNSUPPORTED' // version, codec or platform
  | 'PAGELOG_BROKER' // the broker answered an error code; see kafkaCode
  | 'PAGELOG_ABORTED'
  | 'PAGELOG_METADATA_UNREACHABLE' // no metadata server answers; nothing was done
  | 'PAGELOG_OUTCOME_UNKNOWN' // the answer to a metadata transaction was lost: it may have happened
  | 'PAGELOG_LEASE_LOST' // the metadata lease is gone, its keys with it
  | 'PAGELOG_WORKER' // a worker thread died, or the module of its job does not load

export interface ErrorFields {
  readonly cause?: unknown
  readonly path?: string
  readonly offset?: number
  readonly position?: number
  /** Kafka's error code, with PAGELOG_BROKER, PAGELOG_REFUSED and PAGELOG_UNSUPPORTED. */
  readonly kafkaCode?: number
  /** Whether the same call may succeed later. */
  readonly retriable?: boolean
}

export class PagelogError extends Error {
  override readonly name = 'PagelogError'
  readonly code: OperatingErrorCode
  readonly path: string | undefined
  readonly offset: number | undefined
  readonly position: number | undefined
  readonly kafkaCode: number | undefined
  readonly retriable: boolean

  constructor(code: OperatingErrorCode, message: string, fields: ErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause })
    this.code = code
    this.path = fields.path
    this.offset = fields.offset
    this.position = fields.position
    this.kafkaCode = fields.kafkaCode
    this.retriable = fields.retriable ?? false
  }
}

/** True when `error` is one of ours with this code. */
export function hasCode(error: unknown, code: OperatingErrorCode): error is PagelogError {
  return error instanceof PagelogError && error.code === code
}
