/**
 * Compressed batches for compaction's jobs: opened, and closed again in the codec that they had (at the level that the
 * log is configured for, since a batch does not say which one it had). Nothing is held but one batch, of
 * pagelog.decompressed.batch.max.bytes at most.
 *
 * One that cannot be opened stays closed: its codec is not to be had here, it holds more, or its producer made it wrong
 * and nobody looked. It is no damage of the log: its CRC was checked.
 */
import { hasCode } from '../../base/index.ts'
import {
  type Codec,
  Compression,
  compressBatch,
  compression,
  decompressBatch,
  loadCodec,
  RecordCursor,
} from '../../record/index.ts'
import type { LogSettings } from '../log-settings.ts'

export interface CompressionRules {
  readonly decompressedBytesMax: number
  /** By the number of the codec; its usual one without. */
  readonly levels: readonly (number | undefined)[]
}

/** What the settings of a log say. */
export function levelsOf(settings: LogSettings): (number | undefined)[] {
  const levels: (number | undefined)[] = []
  levels[Compression.GZIP] = settings.compressionGzipLevel
  levels[Compression.LZ4] = settings.compressionLz4Level
  levels[Compression.ZSTD] = settings.compressionZstdLevel
  return levels
}

export class CompressedBatches {
  readonly #rules: CompressionRules
  /** By number; null where this process cannot have it. */
  readonly #codecs: (Codec | null | undefined)[] = []
  readonly #cursor = new RecordCursor()

  constructor(rules: CompressionRules) {
    this.#rules = rules
  }

  /** False: `load` comes first. */
  isReady(bytes: Uint8Array, at: number): boolean {
    const codec = compression(bytes, at)
    return codec === Compression.NONE || this.#codecs[codec] !== undefined
  }

  async load(bytes: Uint8Array, at: number): Promise<void> {
    const number = compression(bytes, at)
    this.#codecs[number] = await loadCodec(number).catch((error: unknown) => {
      if (hasCode(error, 'PAGELOG_UNSUPPORTED')) return null
      throw error
    })
  }

  /** The uncompressed twin of a whole batch, every record of it checked; undefined when it cannot be opened. */
  open(bytes: Uint8Array, at: number, size: number): Uint8Array | undefined {
    const codec = this.#codecs[compression(bytes, at)]
    if (!codec) return undefined
    try {
      const plain = decompressBatch(bytes.subarray(at, at + size), codec, this.#rules.decompressedBytesMax)
      const cursor = this.#cursor
      cursor.reset(plain, 0)
      while (cursor.next()) {} // throws where a record is not one
      return plain
    } catch (error) {
      if (CLOSED.some((code) => hasCode(error, code))) return undefined
      throw error
    }
  }

  /** An uncompressed batch in the codec of this number, which `open` has had. */
  close(plain: Uint8Array, codec: number): Uint8Array {
    return compressBatch(plain, this.#codecs[codec]!, this.#rules.levels[codec])
  }
}

const CLOSED = ['PAGELOG_CORRUPT', 'PAGELOG_TOO_LARGE', 'PAGELOG_UNSUPPORTED'] as const
