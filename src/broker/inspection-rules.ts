/** What the settings ask of the records of a produced batch. */
import type { Clock } from '../env/index.ts'
import { type CodecName, Compression, codecNumber, compression } from '../record/index.ts'
import type { InspectionRules } from './record-inspection.ts'
import type { TopicSettings } from './topic-settings.ts'

/**
 * Whether a batch of this codec is looked into, rather than taken by its header and CRC. Whatever `check` says, a
 * compacted topic's records need keys, and another codec cannot be had without opening the batch.
 */
export function isInspected(codec: number, settings: TopicSettings, check: string): boolean {
  if (targetCodec(codec, settings) !== codec) return true
  return codec !== Compression.NONE && (check === 'full' || settings.cleanupPolicy.includes('compact'))
}

/** Requires a batch that passed its check; undefined when it is appended as it is. */
export function inspectionRules(
  batch: Uint8Array,
  settings: TopicSettings,
  check: string,
  given: { readonly maxBytes: number; readonly clock: Clock },
): InspectionRules | undefined {
  const codec = compression(batch, 0)
  if (!isInspected(codec, settings, check)) return undefined
  const target = targetCodec(codec, settings)
  const { messageTimestampType, messageTimestampBeforeMaxMs, messageTimestampAfterMaxMs } = settings
  const nowMs = given.clock.nowMs()
  return {
    maxBytes: given.maxBytes,
    maxBatchBytes: settings.maxMessageBytes,
    codec: target,
    level: levelOf(target, settings),
    needsKeys: settings.cleanupPolicy.includes('compact'),
    times:
      messageTimestampType === 'CreateTime'
        ? { oldestMs: nowMs - messageTimestampBeforeMaxMs, newestMs: nowMs + messageTimestampAfterMaxMs }
        : undefined,
  }
}

function targetCodec(codec: number, { compressionType }: TopicSettings): number {
  return compressionType === 'producer' ? codec : codecNumber(compressionType as CodecName | 'uncompressed')
}

function levelOf(codec: number, settings: TopicSettings): number | undefined {
  switch (codec) {
    case Compression.GZIP:
      return settings.compressionGzipLevel
    case Compression.LZ4:
      return settings.compressionLz4Level
    case Compression.ZSTD:
      return settings.compressionZstdLevel
    default:
      return undefined
  }
}
