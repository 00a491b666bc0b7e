/**
 * zstd (RFC 8878) by whatever engine there is. Frame headers and block headers are read first (zstd-frame.ts): a size
 * that they state is held against the bound, and the output's buffer is no larger than the blocks can fill.
 *
 * Memory of its own, to decompress: node:zlib keeps a window for a frame that does not state its size, up to 128 MiB of
 * address space of which at most as much is touched as there is output; zstd-napi keeps none. With either, the result
 * once more while it is copied behind room.
 */
import { Compression } from '../batch-header.ts'
import { behindRoom, type Codec, damaged, fitted, tooLarge } from './codec.ts'
import { loadZstdEngine, type ZstdEngine } from './zstd-engine.ts'
import { type ZstdFrame, zstdFrames } from './zstd-frame.ts'

export async function loadZstdCodec(): Promise<Codec> {
  return zstdCodec(await loadZstdEngine())
}

export function zstdCodec(engine: ZstdEngine): Codec {
  return {
    compression: Compression.ZSTD,
    name: 'zstd',
    compress: (records, level, room = 0) => behindRoom(engine.compress(records, level), room),
    decompress(bytes, maxBytes, room = 0) {
      const frames = zstdFrames(bytes)
      // One frame is what everybody writes.
      if (frames.length === 1) return behindRoom(decompressFrame(engine, bytes, frames[0]!, maxBytes, maxBytes), room)
      return decompressFrames(engine, bytes, frames, maxBytes, room)
    },
  }
}

function decompressFrames(
  engine: ZstdEngine,
  bytes: Uint8Array,
  frames: readonly ZstdFrame[],
  maxBytes: number,
  room: number,
): Uint8Array {
  const most = frames.reduce((sum, frame) => sum + frame.contentBytesMax, 0)
  const output = new Uint8Array(room + Math.min(most, maxBytes))
  let written = room
  for (const frame of frames) {
    const plain = decompressFrame(engine, bytes, frame, maxBytes - (written - room), maxBytes)
    output.set(plain, written)
    written += plain.length
  }
  return fitted(output, written)
}

/** `left` of `maxBytes` is what this frame may give. */
function decompressFrame(
  engine: ZstdEngine,
  bytes: Uint8Array,
  frame: ZstdFrame,
  left: number,
  maxBytes: number,
): Uint8Array {
  if (frame.isExact && frame.contentBytesMax > left) throw tooLarge('zstd', maxBytes)
  const limit = Math.min(frame.contentBytesMax, left)
  let output: Uint8Array | undefined
  try {
    output = engine.decompress(bytes.subarray(frame.start, frame.end), limit)
  } catch (error) {
    throw damaged('zstd', (error as Error).message, error)
  }
  if (output === undefined) {
    throw limit < frame.contentBytesMax
      ? tooLarge('zstd', maxBytes)
      : damaged('zstd', 'more content than its frame says')
  }
  if (frame.isExact && output.length !== limit) throw damaged('zstd', 'less content than its size says')
  return output
}
