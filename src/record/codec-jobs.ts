/**
 * The codecs' jobs for `Workers`: what they take and give is plain data. Inputs are best transferred; results are alone
 * in their buffers and are moved.
 */
import { moved } from '../env/index.ts'
import { compression } from './batch-header.ts'
import { compressBatch, decompressBatch } from './compression/batch-compression.ts'
import { loadCodec } from './compression/codecs.ts'
import { convertLegacy } from './legacy/convert-legacy.ts'
import type { LegacyConversion } from './legacy/legacy-converter.ts'

export interface CompressJob {
  /** A whole uncompressed batch. */
  readonly batch: Uint8Array
  /** Codec number. */
  readonly codec: number
  readonly level?: number
}

export interface CompressedAndReturned {
  readonly twin: Uint8Array
  /** All of the buffer that the uncompressed batch lies in. */
  readonly buffer: Uint8Array
}

export interface DecompressJob {
  /** A whole batch; its codec is in its header. */
  readonly batch: Uint8Array
  readonly maxBytes: number
}

export interface ConvertJob {
  /** Messages of format 0 or 1. */
  readonly bytes: Uint8Array
  readonly position: number
  readonly maxBytes: number
  readonly checkCrcs?: boolean
}

export async function compress({ batch, codec, level }: CompressJob): Promise<Uint8Array> {
  const twin = compressBatch(batch, await loadCodec(codec), level)
  return moved(twin, twin)
}

/** The same, and the batch's buffer comes back: it must have been transferred, alone in its buffer. */
export async function compressAndReturn(job: CompressJob): Promise<CompressedAndReturned> {
  const twin = compressBatch(job.batch, await loadCodec(job.codec), job.level)
  return moved({ twin, buffer: new Uint8Array(job.batch.buffer) }, twin, job.batch)
}

export async function decompress({ batch, maxBytes }: DecompressJob): Promise<Uint8Array> {
  const twin = decompressBatch(batch, await loadCodec(compression(batch, 0)), maxBytes)
  return moved(twin, twin)
}

export async function convert({ bytes, position, ...options }: ConvertJob): Promise<LegacyConversion> {
  const conversion = await convertLegacy(bytes, position, options)
  return moved(conversion, conversion.batch)
}
