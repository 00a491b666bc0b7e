/**
 * zstd (RFC 8878) by whatever engine there is. Frame headers and block headers are read first (zstd-frame.ts): a size
 * that they state is held against the bound, and the output's buffer is no larger than the blocks can fill.
 *
 * Memory of its own, to decompress: node:zlib keeps a window for a frame that does not state its size, as large as the
 * output at most; all of it but WINDOW_BYTES_FREE counts as output. zstd-napi keeps none.
 */
import { Compression } from '../batch-header.ts'
import { behindRoom, type Codec, damaged, fitted, movedBehindRoom, tooLarge } from './codec.ts'
import { loadZstdEngine, type ZstdEngine } from './zstd-engine.ts'
import { type ZstdFrame, zstdFrames } from './zstd-frame.ts'

/** The window of the usual level, 3: whoever writes at a high level without stating a size has to hold less. */
const WINDOW_BYTES_FREE = 2 * 1024 * 1024

export async function loadZstdCodec(): Promise<Codec> {
  return zstdCodec(await loadZstdEngine())
}

export function zstdCodec(engine: ZstdEngine): Codec {
  return {
    compression: Compression.ZSTD,
    name: 'zstd',
    compress: (records, level, room = 0) => behindRoom(engine.compress(records, level), room),
    decompress(bytes, maxBytes, room = 0, memory) {
      const frames = zstdFrames(bytes)
      // One frame is what everybody writes.
      if (frames.length === 1) {
        return movedBehindRoom(
          decompressFrame(engine, bytes, frames[0]!, { maxBytes, left: maxBytes, room }),
          room,
          memory,
        )
      }
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
    const plain = decompressFrame(engine, bytes, frame, { maxBytes, left: maxBytes - (written - room), room: 0 })
    output.set(plain, written)
    written += plain.length
  }
  return fitted(output, written)
}

/** What a frame is given: `left` of `maxBytes`, and so many bytes behind them. */
interface Bounds {
  readonly maxBytes: number
  readonly left: number
  readonly room: number
}

function decompressFrame(
  engine: ZstdEngine,
  bytes: Uint8Array,
  frame: ZstdFrame,
  { maxBytes, left, room }: Bounds,
): Uint8Array {
  const least = frame.isExact ? frame.contentBytesMax : frame.contentBytesMin
  const most = engine.keepsWindow && !frame.isExact ? besideWindow(left, frame.windowBytes) : left
  if (least > most) throw tooLarge('zstd', maxBytes)
  const limit = Math.min(frame.contentBytesMax, most)
  let output: Uint8Array | undefined
  try {
    output = engine.decompress(bytes.subarray(frame.start, frame.end), limit, room)
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

/** The most output that `left` allows, when as much of it as the window takes is there twice. */
function besideWindow(left: number, windowBytes: number): number {
  const counted = Math.max(0, windowBytes - WINDOW_BYTES_FREE)
  return Math.max(left - counted, Math.min(left, Math.floor((left + WINDOW_BYTES_FREE) / 2)))
}
