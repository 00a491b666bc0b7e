/**
 * zstd frames of stored blocks and runs, which are legal and need no compressor; and an engine that knows nothing else,
 * so that the bounds around an engine are tested where Node has none.
 */
import type { ZstdEngine } from '../../../src/record/compression/zstd-engine.ts'
import { concat } from './support.ts'

export const little = (value: number, length: number): number[] =>
  Array.from({ length }, (_, index) => Math.floor(value / 256 ** index) % 256)

export const storedBlock = (bytes: Uint8Array, isLast: boolean): Uint8Array =>
  concat(little((bytes.length << 3) | (isLast ? 1 : 0), 3), bytes)

export const runBlock = (byte: number, length: number, isLast: boolean): Uint8Array =>
  concat(little((length << 3) | 2 | (isLast ? 1 : 0), 3), [byte])

/** A frame with an 8-byte content size when one is given, else with a window of 128 KiB. */
export function zstdFrame(blocks: readonly Uint8Array[], contentSize?: number): Uint8Array {
  const magic = little(0xfd2fb528, 4)
  const header = contentSize === undefined ? [0x00, 0x38] : [0xc0, 0x38, ...little(contentSize, 8)]
  return concat(magic, header, ...blocks)
}

export const skippable = (bytes: Uint8Array): Uint8Array =>
  concat(little(0x184d2a53, 4), little(bytes.length, 4), bytes)

/** Largest output that was asked for, and what it decompresses: frames of {@link zstdFrame}. */
export class BlockEngine implements ZstdEngine {
  keepsWindow = false
  largestAsked = 0

  compress(bytes: Uint8Array): Uint8Array {
    const blocks: Uint8Array[] = []
    for (let at = 0; at < bytes.length || at === 0; at += 100_000) {
      blocks.push(storedBlock(bytes.subarray(at, at + 100_000), at + 100_000 >= bytes.length))
    }
    return zstdFrame(blocks, bytes.length)
  }

  decompress(frame: Uint8Array, maxBytes: number): Uint8Array | undefined {
    this.largestAsked = Math.max(this.largestAsked, maxBytes)
    const parts: Uint8Array[] = []
    let total = 0
    for (let at = frame[4] === 0xc0 ? 14 : 6, isLast = false; !isLast; ) {
      const header = frame[at]! + frame[at + 1]! * 256 + frame[at + 2]! * 65_536
      const size = header >> 3
      const type = (header >> 1) & 3
      if (type > 1) throw new Error('a compressed block')
      at += 3
      total += size
      if (total > maxBytes) return undefined
      parts.push(type === 0 ? frame.subarray(at, at + size) : new Uint8Array(size).fill(frame[at]!))
      at += type === 0 ? size : 1
      isLast = (header & 1) === 1
    }
    return concat(...parts)
  }
}
