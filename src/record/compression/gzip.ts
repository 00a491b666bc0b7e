/**
 * gzip (RFC 1952) by node:zlib. The last four bytes of a member say how much it holds, modulo 2^32; they are taken for
 * the size of the output buffer, so that an honest batch is inflated into one buffer of its own size. A lie costs a
 * second attempt and never more than the bound.
 *
 * Memory of its own: zlib's window (about 300 KiB to compress, 40 KiB to inflate), and the result once more while it is
 * copied behind room.
 */
import * as zlib from 'node:zlib'
import { Compression } from '../batch-header.ts'
import { behindRoom, type Codec, damaged, tooLarge } from './codec.ts'

/** Header and trailer of the smallest member. */
const MEMBER_BYTES_MIN = 18
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
  decompress(bytes, maxBytes, room = 0) {
    if (bytes.length < MEMBER_BYTES_MIN) throw damaged('gzip', 'shorter than a header')
    const most = Math.min(maxBytes, bytes.length * RATIO_MAX)
    const claimed = Math.min(claimedSize(bytes), most)
    const output = inflate(bytes, claimed) ?? inflate(bytes, most)
    if (output === undefined) throw tooLarge('gzip', maxBytes)
    return behindRoom(output, room)
  },
}

function claimedSize(bytes: Uint8Array): number {
  const at = bytes.length - 4
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

/** Undefined when there is more than `limit`. One byte more than the limit tells the end from a full buffer. */
function inflate(bytes: Uint8Array, limit: number): Uint8Array | undefined {
  let output: Uint8Array
  try {
    output = zlib.gunzipSync(bytes, {
      maxOutputLength: Math.max(limit, 1),
      chunkSize: Math.max(limit + 1, CHUNK_BYTES_MIN),
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined
    throw damaged('gzip', (error as Error).message, error)
  }
  return output.length > limit ? undefined : output
}
