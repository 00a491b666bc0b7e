/**
 * Snappy, by the package of that name. Written in the framing of xerial's snappy-java, which Kafka's clients write;
 * read in that framing and bare, as some clients have it:
 *
 *   magic 82 'SNAPPY' 00 | version i32 = 1 | oldest compatible version i32 = 1 | { length i32, snappy block }…
 *
 * (big endian). A block starts with its uncompressed length as a varint. The library allocates what that says, so it is
 * read here first, added up over all blocks, and held against the bound and against what snappy can expand to.
 *
 * Memory of its own: one block's output more than the result, or what the collector has not yet taken of them; a bare
 * block of any size is one block. It counts as output where a batch holds unusually much.
 */
import snappy from 'snappy'
import { Compression } from '../batch-header.ts'
import { readInt32, writeInt32 } from '../int64.ts'
import { type Codec, damaged, fitsTwice, type Memory, tooLarge, unwritten } from './codec.ts'

const MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00)
const HEADER_BYTES = 16
const LENGTH_BYTES = 4
/** Of uncompressed data in a block: what snappy-java uses and its readers have room for. */
const BLOCK_BYTES = 32 * 1024
/** A copy element makes at most 64 bytes of three. */
const RATIO_MAX = 22
/** Results in V8's memory: buffers outside of it, each with a finalizer, cost four times as much (measured, 32 KiB). */
const COPIED = { copyOutputData: true }
const UNCOMPRESSED = { asBuffer: true, copyOutputData: true }
/** Above it that would be there twice for a moment. */
const OUTSIDE_BYTES_MIN = 1024 * 1024
const UNCOMPRESSED_OUTSIDE = { asBuffer: true, copyOutputData: false }

export const snappyCodec: Codec = {
  compression: Compression.SNAPPY,
  name: 'snappy',
  compress(records, _level, room = 0) {
    const blocks: Uint8Array[] = []
    let size = room + HEADER_BYTES
    for (let at = 0; at < records.length; at += BLOCK_BYTES) {
      const block = snappy.compressSync(records.subarray(at, at + BLOCK_BYTES), COPIED)
      blocks.push(block)
      size += LENGTH_BYTES + block.length
    }
    const output = unwritten(size)
    output.set(MAGIC, room)
    writeInt32(output, room + MAGIC.length, 1)
    writeInt32(output, room + MAGIC.length + 4, 1)
    let at = room + HEADER_BYTES
    for (const block of blocks) {
      writeInt32(output, at, block.length)
      output.set(block, at + LENGTH_BYTES)
      at += LENGTH_BYTES + block.length
    }
    return output
  },
  decompress(bytes, maxBytes, room = 0, memory = unwritten) {
    return (isFramed(bytes) ? decompressFramed : decompressBare)(bytes, maxBytes, room, memory)
  },
}

function isFramed(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_BYTES && MAGIC.every((byte, at) => bytes[at] === byte)
}

function decompressFramed(bytes: Uint8Array, maxBytes: number, room: number, memory: Memory): Uint8Array {
  const total = checkBlocks(bytes, maxBytes)
  const output = memory(room + total)
  let written = room
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const end = at + LENGTH_BYTES + readInt32(bytes, at)
    const block = uncompress(bytes.subarray(at + LENGTH_BYTES, end))
    output.set(block, written)
    written += block.length
    at = end
  }
  return output
}

function decompressBare(bytes: Uint8Array, maxBytes: number, room: number, memory: Memory): Uint8Array {
  const length = claimedLength(bytes, 0, bytes.length)
  if (!fitsTwice(length, bytes.length, maxBytes)) throw tooLarge('snappy', maxBytes)
  const output = memory(room + length)
  output.set(uncompress(bytes, length), room)
  return output
}

/** Walks the blocks' lengths; the sum of what they claim to hold. */
function checkBlocks(bytes: Uint8Array, maxBytes: number): number {
  let total = 0
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    if (at + LENGTH_BYTES > bytes.length) throw damaged('snappy', 'a block’s length is cut off')
    const length = readInt32(bytes, at)
    const end = at + LENGTH_BYTES + length
    if (length < 1 || end > bytes.length) throw damaged('snappy', 'a block is cut off')
    total += claimedLength(bytes, at + LENGTH_BYTES, end)
    if (total > maxBytes) throw tooLarge('snappy', maxBytes)
    at = end
  }
  if (!fitsTwice(total, bytes.length, maxBytes)) throw tooLarge('snappy', maxBytes)
  return total
}

/** The uncompressed length that the block in [start, end) claims; refused when no such block can hold as much. */
function claimedLength(bytes: Uint8Array, start: number, end: number): number {
  let length = 0
  for (let at = start, factor = 1; at < end && at < start + 5; at++, factor *= 128) {
    const byte = bytes[at]!
    length += (byte & 0x7f) * factor
    if (byte >= 0x80) continue
    if (length > (end - start) * RATIO_MAX) throw damaged('snappy', 'a block claims more than it can hold')
    return length
  }
  throw damaged('snappy', 'a block has no length')
}

function uncompress(block: Uint8Array, length = 0): Uint8Array {
  try {
    return snappy.uncompressSync(block, length > OUTSIDE_BYTES_MIN ? UNCOMPRESSED_OUTSIDE : UNCOMPRESSED) as Buffer
  } catch (error) {
    throw damaged('snappy', (error as Error).message, error)
  }
}
