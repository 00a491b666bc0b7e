/** A record as the application gives it, and its way to bytes. */
import { PagelogError } from '../base/index.ts'
import type { RecordHeader } from '../record/index.ts'

/** A record to be sent. Strings are encoded as UTF-8. */
export interface ProducerRecord {
  readonly topic: string
  /** Null is a tombstone on a compacted topic. */
  readonly value: Uint8Array | string | null
  /** Records with equal keys meet in one partition. */
  readonly key?: Uint8Array | string | null | undefined
  readonly headers?: readonly ProducerRecordHeader[] | undefined
  /** Chosen by the partitioner when left out. */
  readonly partition?: number | undefined
  /** Milliseconds since 1970; now when left out. */
  readonly timestamp?: number | undefined
}

export interface ProducerRecordHeader {
  readonly key: string
  readonly value: Uint8Array | string | null
}

export function invalid(text: string): PagelogError {
  return new PagelogError('PAGELOG_INVALID_ARGUMENT', text)
}

/** UTF-8 of a string, bytes and null as they are. */
export function bytesOf(text: unknown): Uint8Array | null {
  if (text === null) return null
  if (typeof text === 'string') return Buffer.from(text)
  if (text instanceof Uint8Array) return text
  throw invalid(`key and value are string, Uint8Array or null, not ${typeof text}`)
}

export function headersOf(headers: readonly ProducerRecordHeader[]): readonly RecordHeader[] {
  return headers.map(({ key, value }) => {
    if (typeof key !== 'string') throw invalid('the key of a header is a string')
    return { key, value: bytesOf(value) }
  })
}

export function checkTimestamp(timestamp: number): void {
  if (!Number.isSafeInteger(timestamp)) throw invalid(`timestamp ${timestamp}: whole milliseconds are needed`)
}
