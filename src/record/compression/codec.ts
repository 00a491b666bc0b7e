/**
 * What a codec is: two synchronous functions over the records area of a batch, the second never without a bound on its
 * output. Both give a buffer of their own (never a view of a pool), so that a worker can transfer it, with `room` bytes
 * left free in front for the header of the batch.
 */
import { PagelogError } from '../../base/index.ts'
import type { Compression } from '../batch-header.ts'

export type CodecName = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** The levels that Kafka's settings allow, and their defaults. */
export interface CodecLevels {
  readonly min: number
  readonly max: number
  readonly default: number
}

export interface Codec {
  /** As in the attributes of a batch. */
  readonly compression: Compression
  readonly name: CodecName
  /** Compresses `records`; `level` is one that {@link checkLevel} lets pass. */
  compress(records: Uint8Array, level: number, room?: number): Uint8Array
  /**
   * The records again. Throws PAGELOG_CORRUPT for bytes that are not whole and legal, PAGELOG_TOO_LARGE for more than
   * `maxBytes` of output, PAGELOG_UNSUPPORTED for a legal form that Kafka does not have. Memory: the output of at most
   * `maxBytes`, and what the codec's file says of its own.
   */
  decompress(bytes: Uint8Array, maxBytes: number, room?: number): Uint8Array
}

export function damaged(name: CodecName, reason: string, cause?: unknown): PagelogError {
  return new PagelogError('PAGELOG_CORRUPT', `damaged ${name} data: ${reason}`, { cause })
}

export function tooLarge(name: CodecName, maxBytes: number): PagelogError {
  return new PagelogError('PAGELOG_TOO_LARGE', `${name} data decompress to more than ${maxBytes} bytes`)
}

/** What a library has given, behind `room` free bytes: a copy unless it needs no room and is alone in its buffer. */
export function behindRoom(bytes: Uint8Array, room: number): Uint8Array {
  if (room === 0 && bytes.byteLength === bytes.buffer.byteLength) return new Uint8Array(bytes.buffer)
  return copyBehindRoom(bytes, room)
}

export function copyBehindRoom(bytes: Uint8Array, room: number): Uint8Array {
  const copy = new Uint8Array(room + bytes.length)
  copy.set(bytes, room)
  return copy
}

/**
 * The first `used` bytes of an output whose size had to be guessed from above. Copied when most of the buffer would be
 * kept for nothing: pages that were never written to take no memory, so that the copy stays within the guess.
 */
export function fitted(output: Uint8Array, used: number): Uint8Array {
  return used * 2 < output.length ? output.slice(0, used) : output.subarray(0, used)
}
