/**
 * gzip (RFC 1952) by node:zlib. The last four bytes of a member say how much it holds, modulo 2^32; they are taken for
 * the size of the output buffer, so that a batch is inflated into one buffer of its own size, and one that says too much
 * is not inflated at all. Everybody writes one member; where there are more, a second attempt adds up what they say.
 *
 * Memory of its own: zlib's window (about 300 KiB to compress, 40 KiB to inflate).
 */
import * as zlib from 'node:zlib'
import { Compression } from '../batch-header.ts'
import { behindRoom, type Codec, damaged, movedBehindRoom, tooLarge } from './codec.ts'

/** Header and trailer of the smallest member. */
const MEMBER_BYTES_MIN = 18
const HEADER_BYTES = 10
/** Magic, and deflate. */
const MEMBER_START = Buffer.of(0x1f, 0x8b, 0x08)
/** Deflate makes at most 258 bytes of two bits. */
const RATIO_MAX = 1032
const CHUNK_BYTES_MIN = 64
const COMPRESSED_CHUNK_BYTES_MAX = 256 * 1024

export const gzipCodec: Codec = {
  compression: Compression.GZIP,
  name: 'gzip',
  compress(records, level, room = 0) {
    const chunkSize = Math.min(Math.max(records.length, CHUNK_BYTES_MIN), COMPRESSED_CHUNK_BYTES_MAX)
    return behindRoom(zlib.gzipSync(records, { level, chunkSize }), room)
  },
  decompress(bytes, maxBytes, room = 0, memory) {
    if (bytes.length < MEMBER_BYTES_MIN) throw damaged('gzip', 'shorter than a header')
    const last = claimedSize(bytes, bytes.length)
    if (last > bytes.length * RATIO_MAX) throw damaged('gzip', 'it claims more than it can hold')
    if (last > maxBytes) throw tooLarge('gzip', maxBytes)
    const output = inflate(bytes, last, room) ?? inflateMembers(bytes, last, room, maxBytes)
    return movedBehindRoom(output, room, memory)
  },
}

/** The same of several members, whose `last` says so much. */
function inflateMembers(bytes: Uint8Array, last: number, room: number, maxBytes: number): Uint8Array {
  let claimed = last
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = MEMBER_BYTES_MIN; ; at++) {
    at = buffer.indexOf(MEMBER_START, at)
    if (at < 0 || at + HEADER_BYTES > bytes.length) break
    if (isHeader(bytes, at)) claimed += claimedSize(bytes, at)
  }
  if (claimed > maxBytes) throw tooLarge('gzip', maxBytes)
  const output = claimed === last ? undefined : inflate(bytes, claimed, room)
  if (output === undefined) throw damaged('gzip', 'more content than its size says')
  return output
}

/** Whether what begins like a member has legal flags, compression level and system: in other bytes, one in 10 000 of them. */
function isHeader(bytes: Uint8Array, at: number): boolean {
  const extra = bytes[at + 8]!
  const system = bytes[at + 9]!
  return bytes[at + 3]! < 0x20 && (extra === 0 || extra === 2 || extra === 4) && (system < 14 || system === 255)
}

/** Of the member that ends at `end`. */
function claimedSize(bytes: Uint8Array, end: number): number {
  const at = end - 4
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

/**
 * Undefined when there is more than `limit`. One byte more than the limit tells the end from a full buffer; the `room` is
 * behind the output in its buffer.
 */
function inflate(bytes: Uint8Array, limit: number, room: number): Uint8Array | undefined {
  let output: Uint8Array
  try {
    output = zlib.gunzipSync(bytes, {
      maxOutputLength: Math.max(limit, 1),
      chunkSize: Math.max(limit + 1 + room, CHUNK_BYTES_MIN),
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined
    throw damaged('gzip', (error as Error).message, error)
  }
  return output.length > limit ? undefined : output
}
