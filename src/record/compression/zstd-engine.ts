/**
 * Who does the work of zstd: node:zlib where Node has it (from 22.15), else the package zstd-napi if the program has
 * installed it, else nobody. Both under one small interface.
 */
import * as zlib from 'node:zlib'
import { ErrorCode, PagelogError } from '../../base/index.ts'

export interface ZstdEngine {
  /** It keeps what a frame's window reaches back over once more, unless the frame states its size. */
  readonly keepsWindow: boolean
  compress(bytes: Uint8Array, level: number): Uint8Array
  /**
   * One frame that holds at most `maxBytes`; undefined when it holds more, other errors as the library throws them. Behind
   * the output there are `room` bytes in its buffer.
   */
  decompress(frame: Uint8Array, maxBytes: number, room?: number): Uint8Array | undefined
}

/** What node:zlib has of it; the types are those of Node 20, which has nothing. */
interface ZlibZstd {
  zstdCompressSync(bytes: Uint8Array, options: { params: Record<number, number>; chunkSize: number }): Buffer
  zstdDecompressSync(bytes: Uint8Array, options: { maxOutputLength: number; chunkSize: number }): Buffer
  readonly constants: { readonly ZSTD_c_compressionLevel: number }
}

/** What is used of zstd-napi/binding, whose calls write into buffers that they are given. */
interface ZstdBinding {
  compress(target: Uint8Array, bytes: Uint8Array, level: number): number
  decompress(target: Uint8Array, bytes: Uint8Array): number
  compressBound(size: number): number
}

export const ZSTD_PACKAGE = 'zstd-napi'
const CHUNK_BYTES_MIN = 64
const COMPRESSED_CHUNK_BYTES_MAX = 256 * 1024

/** Throws PAGELOG_UNSUPPORTED with Kafka's UNSUPPORTED_COMPRESSION_TYPE where there is none. */
export async function loadZstdEngine(): Promise<ZstdEngine> {
  if ('zstdCompressSync' in zlib) return zlibEngine(zlib as unknown as ZlibZstd)
  try {
    // The name is no literal, so that neither compilers nor bundlers look for a package that need not be there.
    const name = `${ZSTD_PACKAGE}/binding.js`
    return bindingEngine(((await import(name)) as { default: ZstdBinding }).default)
  } catch (cause) {
    throw new PagelogError(
      'PAGELOG_UNSUPPORTED',
      `zstd needs Node 22.15 or later, or the package ${ZSTD_PACKAGE}: npm install ${ZSTD_PACKAGE}`,
      { cause, kafkaCode: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE },
    )
  }
}

export function zlibEngine(zstd: ZlibZstd): ZstdEngine {
  return {
    keepsWindow: true,
    compress(bytes, level) {
      const chunkSize = Math.min(Math.max(bytes.length, CHUNK_BYTES_MIN), COMPRESSED_CHUNK_BYTES_MAX)
      return zstd.zstdCompressSync(bytes, { params: { [zstd.constants.ZSTD_c_compressionLevel]: level }, chunkSize })
    },
    decompress(frame, maxBytes, room = 0) {
      try {
        // One byte more than the limit tells the end from a full buffer: the output is one buffer, never a list.
        const chunkSize = Math.max(maxBytes + 1 + room, CHUNK_BYTES_MIN)
        const output = zstd.zstdDecompressSync(frame, { maxOutputLength: Math.max(maxBytes, 1), chunkSize })
        return output.length > maxBytes ? undefined : output
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined
        throw error
      }
    },
  }
}

export function bindingEngine(zstd: ZstdBinding): ZstdEngine {
  return {
    keepsWindow: false,
    compress(bytes, level) {
      const output = new Uint8Array(zstd.compressBound(bytes.length))
      return output.slice(0, zstd.compress(output, bytes, level))
    },
    decompress(frame, maxBytes, room = 0) {
      const output = new Uint8Array(maxBytes + room)
      try {
        return output.subarray(0, zstd.decompress(output.subarray(0, maxBytes), frame))
      } catch (error) {
        if (/too small/i.test((error as Error).message)) return undefined
        throw error
      }
    },
  }
}
