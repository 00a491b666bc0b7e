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
   * `maxBytes`, and what the codec's file says of its own. With `memory` they may lie in what that gives.
   */
  decompress(bytes: Uint8Array, maxBytes: number, room?: number, memory?: Memory): Uint8Array
}

/** Gives so many bytes to write to, whatever is in them; what it gave before may be lost with that. */
export type Memory = (bytes: number) => Uint8Array

export function damaged(name: CodecName, reason: string, cause?: unknown): PagelogError {
  return new PagelogError('PAGELOG_CORRUPT', `damaged ${name} data: ${reason}`, { cause })
}

export function tooLarge(name: CodecName, maxBytes: number): PagelogError {
  return new PagelogError('PAGELOG_TOO_LARGE', `${name} data decompress to more than ${maxBytes} bytes`)
}

/** What a library has given, behind `room` free bytes: a copy unless it needs no room and is alone in its buffer. */
export function behindRoom(bytes: Uint8Array, room: number, memory?: Memory): Uint8Array {
  if (room === 0 && bytes.byteLength === bytes.buffer.byteLength) return new Uint8Array(bytes.buffer)
  return copyBehindRoom(bytes, room, memory)
}

export function copyBehindRoom(bytes: Uint8Array, room: number, memory: Memory = unwritten): Uint8Array {
  const copy = memory(room + bytes.length)
  copy.set(bytes, room)
  return copy
}

/** A buffer of its own whose bytes are whatever: for those who write to all that they give away. */
export function unwritten(length: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
}

/** Memory for those who are done with one output before they ask for the next; at most `keptMax` bytes are kept. */
export function reusedMemory(keptMax: number): Memory {
  let kept = unwritten(0)
  return (bytes) => {
    if (bytes > kept.length) {
      const larger = unwritten(bytes)
      if (bytes > keptMax) return larger
      kept = larger
    }
    return kept.subarray(0, bytes)
  }
}

/** No batch that is of any use holds more than so many times its size. */
const USUAL_RATIO_MAX = 16
/** What may lie beside an output of the bound: two batches as large as Kafka allows by default. */
const BESIDE_BYTES = 2 * 1024 * 1024

/** Whether `total` bytes are allowed where a library has them once more: of an unusual batch both count. */
export function fitsTwice(total: number, packedBytes: number, maxBytes: number): boolean {
  return total <= maxBytes && (total <= USUAL_RATIO_MAX * packedBytes || 2 * total <= maxBytes + BESIDE_BYTES)
}

/**
 * What a library has written to the start of a larger buffer, behind `room` free bytes: moved up within that buffer, so
 * that it is never there twice. Copied where that cannot be, or would keep more than as much again for nothing.
 */
export function movedBehindRoom(bytes: Uint8Array, room: number, memory?: Memory): Uint8Array {
  const { buffer, length } = bytes
  // One of the pool's size may be the pool.
  const isItsOwn = bytes.byteOffset === 0 && buffer.byteLength !== Buffer.poolSize
  const isKept = room + length <= buffer.byteLength && 2 * (room + length) >= buffer.byteLength
  // `memory` would only be one more.
  if (!isItsOwn || !isKept) return copyBehindRoom(bytes, room, memory)
  const output = new Uint8Array(buffer, 0, room + length)
  output.copyWithin(room, 0, length)
  return output
}

/**
 * The first `used` bytes of an output whose size had to be guessed from above. Copied when most of the buffer would be
 * kept for nothing: pages that were never written to take no memory, so that the copy stays within the guess.
 */
export function fitted(output: Uint8Array, used: number): Uint8Array {
  return used * 2 < output.length ? output.slice(0, used) : output.subarray(0, used)
}
