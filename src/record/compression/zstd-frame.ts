/**
 * The outside of zstd frames (RFC 8878): where each begins and ends and the most that it can hold, from its header and
 * the three-byte headers of its blocks, without decompressing. Decoders are then given an output of that size at most.
 *
 *   magic FD2FB528 | descriptor | [window] | [dictionary id] | [content size] | blocks… | [checksum u32]
 *   block: u24 { bit 0 last, bits 1-2 type: 0 stored 1 run 2 compressed, size } content
 *
 * Little endian. Skippable frames (184D2A5x, size u32) may lie before, between and behind.
 */
import { PagelogError } from '../../base/index.ts'
import { damaged } from './codec.ts'

export interface ZstdFrame {
  readonly start: number
  readonly end: number
  /** The most that it can hold; exact where {@link ZstdFrame.isExact}. */
  readonly contentBytesMax: number
  /** The least: what its stored blocks and runs hold. */
  readonly contentBytesMin: number
  /** Whether the frame says how much it holds. */
  readonly isExact: boolean
  /** How far back it may refer. */
  readonly windowBytes: number
}

const MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
const CHECKSUM_BYTES = 4
const BLOCK_HEADER_BYTES = 3
const BLOCK_BYTES_MAX = 128 * 1024
/** 128 MiB: what level 22 writes, and what zstd's own decoders take unless told otherwise. */
const WINDOW_BYTES_MAX = 2 ** 27
/** Every frame costs a call; everybody writes one a batch. */
const FRAMES_MAX = 16
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const
const BlockType = { STORED: 0, RUN: 1, COMPRESSED: 2 } as const

/** The frames that fill `bytes`, skippable ones left out. Throws PAGELOG_CORRUPT unless they are whole and fill it exactly. */
export function zstdFrames(bytes: Uint8Array): ZstdFrame[] {
  const frames: ZstdFrame[] = []
  let at = 0
  while (at < bytes.length) {
    need(bytes, at, 8)
    const magic = readUint(bytes, at, 4)
    if (magic === MAGIC) {
      const frame = readFrame(bytes, at)
      frames.push(frame)
      if (frames.length > FRAMES_MAX) throw unsupported(`more than ${FRAMES_MAX} frames`)
      at = frame.end
    } else if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      const size = 8 + readUint(bytes, at + 4, 4)
      need(bytes, at, size)
      at += size
    } else throw damaged('zstd', 'not a zstd frame')
  }
  if (frames.length === 0) throw damaged('zstd', 'no frame')
  return frames
}

function readFrame(bytes: Uint8Array, start: number): ZstdFrame {
  const descriptor = bytes[start + 4]!
  if ((descriptor & 0x08) !== 0) throw damaged('zstd', 'a reserved bit is set')
  const isSingleSegment = (descriptor & 0x20) !== 0
  const sizeFlag = descriptor >> 6
  const sizeBytes = sizeFlag === 0 && isSingleSegment ? 1 : CONTENT_SIZE_BYTES[sizeFlag]!
  const dictionaryAt = start + (isSingleSegment ? 5 : 6)
  const sizeAt = dictionaryAt + DICTIONARY_ID_BYTES[descriptor & 0x03]!
  need(bytes, sizeAt, sizeBytes)
  if (readUint(bytes, dictionaryAt, sizeAt - dictionaryAt) !== 0) throw unsupported('a dictionary is needed')
  const isExact = sizeBytes > 0
  const contentSize = readUint(bytes, sizeAt, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
  const windowBytes = isSingleSegment ? contentSize : windowOf(bytes[start + 5]!)
  if (!isSingleSegment && windowBytes > WINDOW_BYTES_MAX) throw unsupported('a window above 128 MiB is needed')
  const blocks = readBlocks(bytes, sizeAt + sizeBytes, Math.min(windowBytes, BLOCK_BYTES_MAX))
  if (isExact && contentSize > blocks.contentBytesMax) throw damaged('zstd', 'less content than its size says')
  const end = blocks.end + ((descriptor & 0x04) === 0 ? 0 : CHECKSUM_BYTES)
  need(bytes, end, 0)
  const contentBytesMax = isExact ? contentSize : blocks.contentBytesMax
  return { start, end, contentBytesMax, contentBytesMin: blocks.contentBytesMin, isExact, windowBytes }
}

interface Blocks {
  readonly end: number
  readonly contentBytesMin: number
  readonly contentBytesMax: number
}

function readBlocks(bytes: Uint8Array, start: number, blockBytes: number): Blocks {
  let contentBytesMin = 0
  let contentBytesMax = 0
  for (let at = start; ; ) {
    need(bytes, at, BLOCK_HEADER_BYTES)
    const header = readUint(bytes, at, BLOCK_HEADER_BYTES)
    const type = (header >> 1) & 0x03
    const size = header >> 3
    if (type > BlockType.COMPRESSED || size > blockBytes) throw damaged('zstd', 'an impossible block')
    contentBytesMax += type === BlockType.COMPRESSED ? blockBytes : size
    contentBytesMin += type === BlockType.COMPRESSED ? 0 : size
    at += BLOCK_HEADER_BYTES + (type === BlockType.RUN ? 1 : size)
    need(bytes, at, 0)
    if ((header & 1) === 1) return { end: at, contentBytesMin, contentBytesMax }
  }
}

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 0x07)
}

function need(bytes: Uint8Array, at: number, length: number): void {
  if (at + length > bytes.length) throw damaged('zstd', 'the frame is cut off')
}

function readUint(bytes: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let index = length - 1; index >= 0; index--) value = value * 256 + bytes[at + index]!
  return value
}

function unsupported(reason: string): PagelogError {
  return new PagelogError('PAGELOG_UNSUPPORTED', `zstd data are not as Kafka’s: ${reason}`)
}
