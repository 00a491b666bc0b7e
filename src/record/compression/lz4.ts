/**
 * LZ4: the blocks by lz4-blocks.ts, the frame around them here, because Kafka's readers want a certain one. Little endian:
 *
 *   magic 184D2204 | FLG | BD | [content size u64] | HC | { size u32, block, [xxh32] }… | 0 u32 | [xxh32 of the content]
 *
 *   FLG: bits 7-6 version = 01, 5 independent blocks, 4 block checksums, 3 content size, 2 content checksum, 0 dictionary
 *   BD:  bits 6-4 largest block: 4 = 64 KiB, 5 = 256 KiB, 6 = 1 MiB, 7 = 4 MiB
 *   HC:  second byte of xxh32 from FLG on; bit 31 of a size: the block is stored as it is
 *
 * Written: independent blocks of 64 KiB, nothing optional, as Kafka's own. Read: every legal single frame of independent
 * blocks, all checksums checked. (Kafka's reader knows no linked blocks, which are the default of other LZ4 writers.)
 * There is the fast mode only, so `compression.lz4.level` changes nothing.
 *
 * Memory of its own: one buffer of up to 1 MiB, kept for the next batch.
 */
import xxhash from 'xxhash-wasm'
import { PagelogError } from '../../base/index.ts'
import { Compression } from '../batch-header.ts'
import { type Codec, copyBehindRoom, damaged, fitsTwice, fitted, type Memory, tooLarge, unwritten } from './codec.ts'
import { compressBlock, decompressBlock, LZ4_BLOCK_BYTES, LZ4_RATIO_MAX, Lz4Fault } from './lz4-blocks.ts'
import { lz4BlockSize } from './lz4-size.ts'

const HEADER = Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82)
const MAGIC_BYTES = 4
const SIZE_BYTES = 4
const CHECKSUM_BYTES = 4
const CONTENT_SIZE_BYTES = 8
const STORED_BIT = 0x8000_0000
/** What is kept from batch to batch: room for one as large as Kafka allows by default. */
const SCRATCH_BYTES_MAX = 1024 * 1024 + 4096

const VERSION_BITS = 0xc0
const VERSION = 0x40
const INDEPENDENT = 0x20
const BLOCK_CHECKSUMS = 0x10
const CONTENT_SIZE = 0x08
const CONTENT_CHECKSUM = 0x04
const RESERVED = 0x02
const DICTIONARY = 0x01

const { h32Raw, create32 } = await xxhash()
let kept: Uint8Array = new Uint8Array(LZ4_BLOCK_BYTES)

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
  decompress: (bytes, maxBytes, room = 0, memory) =>
    decompress(bytes, readHeader(bytes, true), { maxBytes, room, memory }),
}

/** For messages of format 0, whose writers computed the header checksum over the wrong bytes: it is not looked at. */
export const lz4CodecOfFormat0: Codec = {
  ...lz4Codec,
  decompress: (bytes, maxBytes, room = 0, memory) =>
    decompress(bytes, readHeader(bytes, false), { maxBytes, room, memory }),
}

/** Into the scratch buffer, and from there what it came to. */
function compress(records: Uint8Array, room: number): Uint8Array {
  const output = scratch(
    HEADER.length + records.length + SIZE_BYTES * (Math.ceil(records.length / LZ4_BLOCK_BYTES) + 1),
  )
  output.set(HEADER)
  let at = HEADER.length
  for (let from = 0; from < records.length; from += LZ4_BLOCK_BYTES) {
    const end = Math.min(from + LZ4_BLOCK_BYTES, records.length)
    const start = at + SIZE_BYTES
    const size = compressBlock(records, from, end, output, start, start + end - from - 1)
    if (size === 0) output.set(records.subarray(from, end), start)
    writeUint32(output, at, size === 0 ? end - from + STORED_BIT : size)
    at = start + (size === 0 ? end - from : size)
  }
  writeUint32(output, at, 0)
  return copyBehindRoom(output.subarray(0, at + SIZE_BYTES), room)
}

/** At least so many bytes, until the next call. */
function scratch(bytes: number): Uint8Array {
  if (bytes <= kept.length) return kept
  const larger = unwritten(bytes)
  if (bytes <= SCRATCH_BYTES_MAX) kept = larger
  return larger
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
    most += word >= STORED_BIT ? size : Math.min(frame.blockBytes, size * LZ4_RATIO_MAX)
    at += size + (frame.blockChecksums ? CHECKSUM_BYTES : 0)
    if (at > bytes.length) throw damaged('lz4', 'a block is cut off')
  }
  at += frame.contentChecksum ? CHECKSUM_BYTES : 0
  if (at > bytes.length) throw damaged('lz4', 'the content’s checksum is cut off')
  if (at < bytes.length) throw damaged('lz4', 'bytes after the frame')
  return most
}

interface Output {
  readonly maxBytes: number
  readonly room: number
  readonly memory: Memory | undefined
}

/** What the blocks hold, by their tokens; `checkBlocks` has seen that they are there. */
function contentBytes(bytes: Uint8Array, frame: Frame): number {
  let total = 0
  for (let at = frame.blocksAt; ; ) {
    const word = readUint32(bytes, at)
    if (word === 0) return total
    const start = at + SIZE_BYTES
    const end = start + (word & 0x7fff_ffff)
    total += word >= STORED_BIT ? end - start : Math.min(frame.blockBytes, lz4BlockSize(bytes, start, end))
    at = end + (frame.blockChecksums ? CHECKSUM_BYTES : 0)
  }
}

function decompress(bytes: Uint8Array, frame: Frame, { maxBytes, room, memory }: Output): Uint8Array {
  const most = checkBlocks(bytes, frame)
  if (frame.contentSize > maxBytes) throw tooLarge('lz4', maxBytes)
  // What the blocks hold is only counted when they may hold too much.
  const mayBeTooMuch = !fitsTwice(most, bytes.length, maxBytes)
  if (mayBeTooMuch && !fitsTwice(contentBytes(bytes, frame), bytes.length, maxBytes)) throw tooLarge('lz4', maxBytes)
  const limit = frame.contentSize === -1 ? maxBytes : frame.contentSize
  const content = frame.contentChecksum ? create32() : undefined
  const roomMax = Math.min(most, limit)
  // One block, or little: what it comes to is copied out, for what it may come to would mostly be waste.
  const isSmall = memory === undefined && roomMax <= LZ4_BLOCK_BYTES
  const start = isSmall ? 0 : room
  const output = isSmall ? scratch(LZ4_BLOCK_BYTES) : (memory ?? unwritten)(room + roomMax)
  let written = start
  let at = frame.blocksAt
  for (;;) {
    const word = readUint32(bytes, at)
    at += SIZE_BYTES
    if (word === 0) break
    const end = at + (word & 0x7fff_ffff)
    if (frame.blockChecksums && h32Raw(bytes.subarray(at, end)) !== readUint32(bytes, end)) {
      throw damaged('lz4', 'wrong block checksum')
    }
    const left = limit - (written - start)
    const outputEnd = Math.min(output.length, written + Math.min(left, frame.blockBytes))
    const decode = word >= STORED_BIT ? copyStored : decompressBlock
    const size = decode(bytes, at, end, output, written, outputEnd)
    if (size < 0) {
      if (size === Lz4Fault.DAMAGED || left >= frame.blockBytes) throw damaged('lz4', 'a block is none')
      throw frame.contentSize === -1 ? tooLarge('lz4', maxBytes) : damaged('lz4', 'more content than its size says')
    }
    content?.update(output.subarray(written, written + size))
    written += size
    at = end + (frame.blockChecksums ? CHECKSUM_BYTES : 0)
  }
  if (frame.contentSize !== -1 && written - start !== limit) throw damaged('lz4', 'less content than its size says')
  if (content !== undefined && content.digest() !== readUint32(bytes, at)) throw damaged('lz4', 'wrong checksum')
  if (isSmall) return copyBehindRoom(output.subarray(0, written), room)
  return memory === undefined ? fitted(output, written) : output.subarray(0, written)
}

/** A block that lies there as it is; as `decompressBlock`. */
function copyStored(
  bytes: Uint8Array,
  at: number,
  end: number,
  output: Uint8Array,
  written: number,
  limit: number,
): number {
  if (end - at > limit - written) return Lz4Fault.FULL
  output.set(bytes.subarray(at, end), written)
  return end - at
}

function unsupported(reason: string): PagelogError {
  return new PagelogError('PAGELOG_UNSUPPORTED', `lz4 frame is not one of Kafka’s: ${reason}`)
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
