/**
 * The blocks of lz4 by lz4-napi, into buffers of ours. It puts the uncompressed size before a block, four bytes that it
 * believes: they are taken off after compressing, and before decompressing they are set to what there is room for. Memory
 * of its own: a block's output once more until the event loop's next turn, when it lets go of it.
 */
import lz4 from 'lz4-napi'

/** What `decompressBlock` says of a block that it cannot give; what it has written by then counts for nothing. */
export const Lz4Fault = {
  DAMAGED: -1,
  /** It holds more than there is room for. */
  FULL: -2,
} as const

/** Largest block that `compress` takes. */
export const LZ4_BLOCK_BYTES = 64 * 1024

const PREFIX_BYTES = 4
/** A block makes at most so many bytes of one. */
export const LZ4_RATIO_MAX = 255
/** The library's words for a block that holds more than the size before it says. */
const MORE_THAN_GIVEN = 'too small'

/**
 * Compresses input[start, end), at most `LZ4_BLOCK_BYTES`, into output[at, limit). The bytes written; 0 when they would
 * not fit.
 */
export function compressBlock(
  input: Uint8Array,
  start: number,
  end: number,
  output: Uint8Array,
  at: number,
  limit: number,
): number {
  const block = lz4.compressSync(asBuffer(input, start, end))
  const size = block.length - PREFIX_BYTES
  if (size > limit - at) return 0
  output.set(block.subarray(PREFIX_BYTES), at)
  return size
}

/** The block input[start, end) again, into output[at, limit). The bytes written, or one of `Lz4Fault`. */
export function decompressBlock(
  input: Uint8Array,
  start: number,
  end: number,
  output: Uint8Array,
  at: number,
  limit: number,
): number {
  const room = limit - at
  const size = end - start
  const prefixed = Buffer.allocUnsafe(PREFIX_BYTES + size)
  prefixed.writeUInt32LE(Math.min(room, size * LZ4_RATIO_MAX))
  prefixed.set(input.subarray(start, end), PREFIX_BYTES)
  let plain: Buffer
  try {
    plain = lz4.uncompressSync(prefixed)
  } catch (error) {
    return (error as Error).message.includes(MORE_THAN_GIVEN) ? Lz4Fault.FULL : Lz4Fault.DAMAGED
  }
  if (plain.length > room) return Lz4Fault.FULL
  output.set(plain, at)
  return plain.length
}

function asBuffer(bytes: Uint8Array, start: number, end: number): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
}
