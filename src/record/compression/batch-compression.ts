/**
 * Whole batches: the records area compressed or plain, the header before it adjusted (length, codec, CRC). Everything
 * else in the header stays: offsets, times, producer, count. The result is a new buffer of its own.
 */
import { PagelogError } from '../../base/index.ts'
import { crc32c } from '../../native/index.ts'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  batchSize,
  Compression,
  compression,
  MAGIC_V2,
  magic,
  setBatchSize,
  setCompression,
  setCrc,
} from '../batch-header.ts'
import type { Codec, Memory } from './codec.ts'
import { checkLevel } from './codecs.ts'

/**
 * Suggested bound for the records of one batch, decompressed. A batch of 1 MiB as Kafka allows it by default holds some
 * 8 MiB of JSON with zstd, 20 MiB of log lines at their best; beyond 32 times its size a batch is no longer a usual one.
 */
export const DECOMPRESSED_BATCH_BYTES_MAX = 32 * 1024 * 1024

/**
 * The compressed twin of the uncompressed batch that `batch` begins with. `level` as {@link checkLevel}. Throws
 * PAGELOG_INVALID_ARGUMENT for what is no such batch.
 */
export function compressBatch(batch: Uint8Array, codec: Codec, level?: number): Uint8Array {
  const end = batch.length < BATCH_HEADER_BYTES ? 0 : batchSize(batch, 0)
  const isWhole = end >= BATCH_HEADER_BYTES && end <= batch.length && magic(batch, 0) === MAGIC_V2
  if (!isWhole || compression(batch, 0) !== Compression.NONE) {
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'not a whole uncompressed batch of version 2')
  }
  const records = batch.subarray(BATCH_HEADER_BYTES, end)
  const twin = codec.compress(records, checkLevel(codec.name, level), BATCH_HEADER_BYTES)
  return withHeader(twin, batch, codec.compression)
}

/**
 * The uncompressed twin of the batch that `batch` begins with, whatever its codec; `codec` must be that of its number.
 * Its records take at most `maxBytes`. Throws as `Codec.decompress`; the CRC of the compressed bytes is the caller's to
 * check, that of the twin is right. It lies in a buffer of its own, or in what `memory` gives.
 */
export function decompressBatch(batch: Uint8Array, codec: Codec, maxBytes: number, memory?: Memory): Uint8Array {
  const end = batch.length < BATCH_HEADER_BYTES ? 0 : batchSize(batch, 0)
  if (end < BATCH_HEADER_BYTES || end > batch.length) throw corrupt('it is cut off')
  if (magic(batch, 0) !== MAGIC_V2) throw corrupt('not a batch of version 2')
  if (compression(batch, 0) !== codec.compression) {
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `a batch of codec ${compression(batch, 0)}, not ${codec.name}`)
  }
  // A batch that compaction has emptied keeps its header only, perhaps with the codec that it had.
  const isEmpty = end === BATCH_HEADER_BYTES
  const compressed = batch.subarray(BATCH_HEADER_BYTES, end)
  const twin = isEmpty
    ? new Uint8Array(BATCH_HEADER_BYTES)
    : codec.decompress(compressed, maxBytes, BATCH_HEADER_BYTES, memory)
  return withHeader(twin, batch, Compression.NONE)
}

function withHeader(twin: Uint8Array, batch: Uint8Array, codec: Compression): Uint8Array {
  twin.set(batch.subarray(0, BATCH_HEADER_BYTES))
  setBatchSize(twin, 0, twin.length)
  setCompression(twin, 0, codec)
  setCrc(twin, 0, crc32c(twin, ATTRIBUTES_AT, twin.length))
  return twin
}

function corrupt(reason: string): PagelogError {
  return new PagelogError('PAGELOG_CORRUPT', `damaged record batch: ${reason}`)
}
