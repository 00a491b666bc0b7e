/**
 * LZ4: the blocks by lz4-napi, the frame around them here, because Kafka's readers want a certain one. Little endian:
 *
 *   magic 184D2204 | FLG | BD | [content size u64] | HC | { size u32, block, [xxh32] }… | 0 u32 | [xxh32 of the content]
 *
 *   FLG: bits 7-6 version = 01, 5 independent blocks, 4 block checksums, 3 content size, 2 content checksum, 0 dictionary
 *   BD:  bits 6-4 largest block: 4 = 64 KiB, 5 = 256 KiB, 6 = 1 MiB, 7 = 4 MiB
 *   HC:  second byte of xxh32 from FLG on; bit 31 of a size: the block is stored as it is
 *
 * Written: independent blocks of 64 KiB, nothing optional, as Kafka's own. Read: every legal single frame of independent
 * blocks, all checksums checked. (Kafka's reader knows no linked blocks, which are the default of other LZ4 writers.)
 *
 * lz4-napi puts the uncompressed size before a block, four bytes that it believes: they are taken off after compressing,
 * and before decompressing they are set to what the block may hold at most. It has the fast mode only, so
 * `compression.lz4.level` changes nothing.
 *
 * Memory of its own: the blocks' outputs once more until the event loop's next turn, when lz4-napi lets go of them.
 */
import lz4 from 'lz4-napi'
import xxhash from 'xxhash-wasm'
import { PagelogError } from '../../base/index.ts'
import { Compression } from '../batch-header.ts'
import { type Codec, damaged, fitted, tooLarge } from './codec.ts'

const HEADER = Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82)
const MAGIC_BYTES = 4
const BLOCK_BYTES = 64 * 1024
const SIZE_BYTES = 4
const CHECKSUM_BYTES = 4
const CONTENT_SIZE_BYTES = 8
/** The prefix that lz4-napi has before every block. */
const PREFIX_BYTES = 4
const STORED_BIT = 0x8000_0000
/** A run of a block grows by at most 255 bytes a byte. */
const RATIO_MAX = 255
/** lz4-napi's words for a block that holds more than the size before it says. */
const MORE_THAN_GIVEN = 'too small'

const VERSION_BITS = 0xc0
const VERSION = 0x40
const INDEPENDENT = 0x20
const BLOCK_CHECKSUMS = 0x10
const CONTENT_SIZE = 0x08
const CONTENT_CHECKSUM = 0x04
const RESERVED = 0x02
const DICTIONARY = 0x01

const { h32Raw, create32 } = await xxhash()

/** The frame as its header describes it. */
interface Frame {
  readonly blockBytes: number
  readonly blockChecksums: boolean
  readonly contentChecksum: boolean
  /** -1: not said. */
  readonly contentSize: number
  /** Where the blocks begin. */
  readonly blocksAt: number
}

export const lz4Codec: Codec = {
  compression: Compression.LZ4,
  name: 'lz4',
  compress: (records, _level, room = 0) => compress(records, room),
  decompress: (bytes, maxBytes, room = 0) => decompress(bytes, readHeader(bytes, true), maxBytes, room),
}

/** For messages of format 0, whose writers computed the header checksum over the wrong bytes: it is not looked at. */
export const lz4CodecOfFormat0: Codec = {
  ...lz4Codec,
  decompress: (bytes, maxBytes, room = 0) => decompress(bytes, readHeader(bytes, false), maxBytes, room),
}

function compress(records: Uint8Array, room: number): Uint8Array {
  const blocks: Buffer[] = []
  let size = room + HEADER.length + SIZE_BYTES
  for (let at = 0; at < records.length; at += BLOCK_BYTES) {
    const plain = records.subarray(at, at + BLOCK_BYTES)
    const block = lz4.compressSync(asBuffer(plain))
    blocks.push(block)
    size += SIZE_BYTES + Math.min(block.length - PREFIX_BYTES, plain.length)
  }
  const output = new Uint8Array(size)
  output.set(HEADER, room)
  let at = room + HEADER.length
  blocks.forEach((block, index) => {
    const plain = records.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES)
    const stored = block.length - PREFIX_BYTES >= plain.length
    const bytes = stored ? plain : block.subarray(PREFIX_BYTES)
    writeUint32(output, at, stored ? bytes.length + STORED_BIT : bytes.length)
    output.set(bytes, at + SIZE_BYTES)
    at += SIZE_BYTES + bytes.length
  })
  return output
}

function readHeader(bytes: Uint8Array, checkSum: boolean): Frame {
  if (bytes.length < HEADER.length) throw damaged('lz4', 'the header is cut off')
  for (let at = 0; at < MAGIC_BYTES; at++) {
    if (bytes[at] !== HEADER[at]) throw damaged('lz4', 'not an lz4 frame')
  }
  const flags = bytes[MAGIC_BYTES]!
  const descriptor = bytes[MAGIC_BYTES + 1]!
  const sizeAt = MAGIC_BYTES + 2
  const checksumAt = (flags & CONTENT_SIZE) === 0 ? sizeAt : sizeAt + CONTENT_SIZE_BYTES
  if (checksumAt >= bytes.length) throw damaged('lz4', 'the header is cut off')
  if ((flags & VERSION_BITS) !== VERSION || (flags & RESERVED) !== 0 || (descriptor & 0x8f) !== 0) {
    throw damaged('lz4', 'an unknown version, or reserved bits are set')
  }
  // A dictionary's id lies before the checksum; such a frame is refused either way.
  if ((flags & DICTIONARY) !== 0) throw unsupported('a dictionary is needed, and Kafka has none')
  const sum = (h32Raw(bytes.subarray(MAGIC_BYTES, checksumAt)) >>> 8) & 0xff
  if (checkSum && bytes[checksumAt] !== sum) throw damaged('lz4', 'wrong header checksum')
  if ((flags & INDEPENDENT) === 0) throw unsupported('its blocks are linked, and Kafka reads independent ones only')
  const code = descriptor >> 4
  if (code < 4) throw damaged('lz4', 'an unknown block size')
  return {
    blockBytes: 1 << (8 + 2 * code),
    blockChecksums: (flags & BLOCK_CHECKSUMS) !== 0,
    contentChecksum: (flags & CONTENT_CHECKSUM) !== 0,
    contentSize:
      (flags & CONTENT_SIZE) === 0 ? -1 : readUint32(bytes, sizeAt) + readUint32(bytes, sizeAt + 4) * 2 ** 32,
    blocksAt: checksumAt + 1,
  }
}

/** Walks the blocks without looking inside; the most that they can hold. Throws unless the frame fills `bytes` exactly. */
function checkBlocks(bytes: Uint8Array, frame: Frame): number {
  let most = 0
  let at = frame.blocksAt
  for (;;) {
    if (at + SIZE_BYTES > bytes.length) throw damaged('lz4', 'the frame has no end')
    const word = readUint32(bytes, at)
    at += SIZE_BYTES
    if (word === 0) break
    const size = word & 0x7fff_ffff
    if (size > frame.blockBytes) throw damaged('lz4', 'a block is larger than the frame allows')
    most += word >= STORED_BIT ? size : Math.min(frame.blockBytes, size * RATIO_MAX)
    at += size + (frame.blockChecksums ? CHECKSUM_BYTES : 0)
    if (at > bytes.length) throw damaged('lz4', 'a block is cut off')
  }
  at += frame.contentChecksum ? CHECKSUM_BYTES : 0
  if (at > bytes.length) throw damaged('lz4', 'the content’s checksum is cut off')
  if (at < bytes.length) throw damaged('lz4', 'bytes after the frame')
  return most
}

function decompress(bytes: Uint8Array, frame: Frame, maxBytes: number, room: number): Uint8Array {
  const most = checkBlocks(bytes, frame)
  if (frame.contentSize > maxBytes) throw tooLarge('lz4', maxBytes)
  const limit = frame.contentSize === -1 ? maxBytes : frame.contentSize
  const content = frame.contentChecksum ? create32() : undefined
  let output: Uint8Array | undefined
  let written = room
  let at = frame.blocksAt
  for (;;) {
    const word = readUint32(bytes, at)
    at += SIZE_BYTES
    if (word === 0) break
    const end = at + (word & 0x7fff_ffff)
    const block = bytes.subarray(at, end)
    if (frame.blockChecksums && h32Raw(block) !== readUint32(bytes, end)) throw damaged('lz4', 'wrong block checksum')
    const left = limit - (written - room)
    const plain = word >= STORED_BIT ? block : uncompress(block, frame.blockBytes, left)
    if (plain === undefined || plain.length > left) {
      throw frame.contentSize === -1 ? tooLarge('lz4', maxBytes) : damaged('lz4', 'more content than its size says')
    }
    at = end + (frame.blockChecksums ? CHECKSUM_BYTES : 0)
    // A small batch is one block: what it may hold at most would cost more to clear than the block to decompress.
    output ??= new Uint8Array(room + (readUint32(bytes, at) === 0 ? plain.length : Math.min(most, limit)))
    output.set(plain, written)
    content?.update(plain)
    written += plain.length
  }
  if (frame.contentSize !== -1 && written - room !== limit) throw damaged('lz4', 'less content than its size says')
  if (content !== undefined && content.digest() !== readUint32(bytes, at)) throw damaged('lz4', 'wrong checksum')
  return fitted(output ?? new Uint8Array(room), written)
}

/** One block; undefined when it holds more than `left` bytes, though not more than a block may. */
function uncompress(block: Uint8Array, blockBytes: number, left: number): Uint8Array | undefined {
  const given = Math.min(blockBytes, left + 1, block.length * RATIO_MAX)
  const input = Buffer.allocUnsafe(PREFIX_BYTES + block.length)
  writeUint32(input, 0, given)
  input.set(block, PREFIX_BYTES)
  try {
    return lz4.uncompressSync(input)
  } catch (error) {
    const message = (error as Error).message
    if (given === left + 1 && message.includes(MORE_THAN_GIVEN)) return undefined
    throw damaged('lz4', message, error)
  }
}

function unsupported(reason: string): PagelogError {
  return new PagelogError('PAGELOG_UNSUPPORTED', `lz4 frame is not one of Kafka’s: ${reason}`)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}
