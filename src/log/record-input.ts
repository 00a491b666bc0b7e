/** What a program gives to `Log.append`, and the check of it: nothing of the caller's is believed. */
import { PagelogError } from '../base/index.ts'
import { BatchWriter, type RecordHeader } from '../record/index.ts'

/** A record to be appended. Key, value and header values are copied before `append` returns. */
export interface RecordInput {
  readonly key?: Uint8Array | null
  readonly value?: Uint8Array | null
  readonly headers?: readonly RecordHeader[]
  /** Milliseconds since 1970; the time of the append when left out. */
  readonly timestamp?: number
}

export type Durability = 'os' | 'fsync'

export interface AppendOptions {
  /**
   * When the append is answered. `os` (default): the kernel has it, a crash of the process loses nothing. `fsync`: it is
   * on the device; appends that wait at the same time share one fdatasync.
   */
  readonly durability?: Durability
  /**
   * Aborted before the call: nothing is appended. Aborted later: the promise rejects with PAGELOG_ABORTED at once, but
   * the records are on their way and may still be appended.
   */
  readonly signal?: AbortSignal
}

/** Upper bound of the bytes that the records take in a batch, its header not included. Throws PAGELOG_INVALID_ARGUMENT. */
export function checkRecords(records: readonly RecordInput[]): number {
  if (records.length === 0) throw invalid('append takes at least one record')
  let size = 0
  for (let index = 0; index < records.length; index++) size += checkRecord(records[index]!)
  return size
}

/** Bytes of a record besides key, value and headers, at most. */
const RECORD_OVERHEAD_MAX = BatchWriter.recordSizeMax(null, null)

export function checkRecord(record: RecordInput): number {
  if (typeof record !== 'object' || record === null) throw invalid('a record is an object')
  const { key, value, headers, timestamp } = record
  if (timestamp !== undefined && !(Number.isSafeInteger(timestamp) && timestamp >= 0)) {
    throw invalid('the timestamp of a record is a whole number of milliseconds, at least 0')
  }
  const size = RECORD_OVERHEAD_MAX + lengthOf(key, 'key') + lengthOf(value, 'value')
  return headers === undefined ? size : size + checkHeaders(headers)
}

/** A record that nobody else can change. */
export function copyOf(record: RecordInput): RecordInput {
  const { key, value, headers } = record
  const copies = { key: bytesOf(key), value: bytesOf(value) }
  if (headers === undefined) return { ...record, ...copies }
  return { ...record, ...copies, headers: headers.map((it) => ({ key: it.key, value: bytesOf(it.value) })) }
}

/** A Buffer's own `slice` would be a view. */
function bytesOf(bytes: Uint8Array | null | undefined): Uint8Array | null {
  return bytes === null || bytes === undefined ? null : new Uint8Array(bytes)
}

function checkHeaders(headers: readonly RecordHeader[]): number {
  if (!Array.isArray(headers)) throw invalid('the headers of a record are an array')
  for (const header of headers) {
    if (typeof header?.key !== 'string') throw invalid('the key of a header is a string')
    if (header.value !== null) lengthOf(header.value, 'value of a header')
  }
  return BatchWriter.recordSizeMax(null, null, headers) - RECORD_OVERHEAD_MAX
}

function lengthOf(bytes: Uint8Array | null | undefined, what: string): number {
  if (bytes === null || bytes === undefined) return 0
  if (!(bytes instanceof Uint8Array)) throw invalid(`the ${what} of a record is a Uint8Array or null`)
  return bytes.length
}

function invalid(message: string): PagelogError {
  return new PagelogError('PAGELOG_INVALID_ARGUMENT', message)
}
