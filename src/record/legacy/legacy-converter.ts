/**
 * Messages of formats 0 and 1, as old segments hold them, become batches of version 2 that everything else can read.
 * For readers only: what is stored stays as it is, and the old formats are never written.
 *
 * A wrapper becomes one batch, its inner messages the records. Inner offsets are absolute in format 0; in format 1 they
 * are relative to a base that the wrapper's own offset, that of the last inner message, tells. Gaps that compaction has
 * left stay. With log append time the wrapper's time is that of all. Messages without compression are gathered, as long
 * as they can share a batch. Keys, values and times stay; format 0 has no times (-1).
 */
import { crc32 } from 'node:zlib'
import { Compression } from '../batch-header.ts'
import type { Codec } from '../compression/codec.ts'
import { loadCodec } from '../compression/codecs.ts'
import { readInt32 } from '../int64.ts'
import { corrupt, ENTRY_OVERHEAD_BYTES, isLegacy, LegacyMessage, MAGIC_END, MAGIC_V1 } from './legacy-message.ts'
import { MessageRun } from './message-run.ts'

export interface ConvertOptions {
  /** Bound of what a wrapper holds, decompressed; the batch made of it is at most a quarter larger. */
  readonly maxBytes: number
  /** Default true. */
  readonly checkCrcs?: boolean
}

export interface LegacyConversion {
  /** One uncompressed batch with a CRC of its own. */
  readonly batch: Uint8Array
  /** Position after the messages that went into it. */
  readonly end: number
}

/** Uncompressed messages are gathered into batches of about this size. */
const RUN_BYTES = 256 * 1024

/**
 * Converts the message at `position`, and those after it that go into the same batch. Rejects with PAGELOG_CORRUPT for a
 * damaged one (position in the error), PAGELOG_TOO_LARGE beyond the bound, PAGELOG_UNSUPPORTED for an unknown codec.
 */
export async function convert(bytes: Uint8Array, position: number, options: ConvertOptions): Promise<LegacyConversion> {
  const checksum = (options.checkCrcs ?? true) ? (part: Uint8Array) => crc32(part) : undefined
  const message = new LegacyMessage(bytes, checksum)
  message.read(position)
  if (message.codec === Compression.NONE) return convertRun(message, position)
  const codec = await codecOf(message, position)
  const { end } = message
  return { batch: convertWrapper(message, codec, options.maxBytes, position), end }
}

/** The messages from the one that the view stands on to the first that cannot share a batch with it. */
function convertRun(message: LegacyMessage, position: number): LegacyConversion {
  const { bytes, isLogAppendTime, timestamp } = message
  const run = new MessageRun(position)
  if (!run.add(message)) throw corrupt('negative offset', position)
  while (run.end - position < RUN_BYTES && isWhole(bytes, run.end)) {
    try {
      message.read(run.end)
    } catch {
      break // It is reported when it comes first.
    }
    const sharesTime =
      message.isLogAppendTime === isLogAppendTime && (!isLogAppendTime || message.timestamp === timestamp)
    if (message.codec !== Compression.NONE || !sharesTime || !run.add(message)) break
  }
  const batch = run.toBatch(new LegacyMessage(bytes), 0, isLogAppendTime ? timestamp : -1)
  return { batch, end: run.end }
}

function isWhole(bytes: Uint8Array, position: number): boolean {
  return isLegacy(bytes, position) && position + ENTRY_OVERHEAD_BYTES + readInt32(bytes, position + 8) <= bytes.length
}

function convertWrapper(wrapper: LegacyMessage, codec: Codec, maxBytes: number, position: number): Uint8Array {
  const value = wrapper.value()
  if (value === null) throw corrupt('a wrapper without a value', position)
  const inner = codec.decompress(value, maxBytes)
  // The CRC of the wrapper covers them; their own were checked by nobody since.
  const message = new LegacyMessage(inner)
  const run = new MessageRun(0)
  while (run.end < inner.length) {
    if (run.end + MAGIC_END > inner.length) throw corrupt('an inner message is cut off', position)
    message.read(run.end)
    if (message.codec !== Compression.NONE) throw corrupt('a wrapper inside a wrapper', position)
    if (message.magic !== wrapper.magic) throw corrupt('inner messages of another format', position)
    if (!run.add(message)) throw corrupt('inner offsets do not rise', position)
  }
  if (run.count === 0) throw corrupt('a wrapper without messages', position)
  const shift = wrapper.magic === MAGIC_V1 ? wrapper.offset - run.lastOffset : 0
  if (run.firstOffset + shift < 0) throw corrupt('negative offset', position)
  return run.toBatch(message, shift, wrapper.isLogAppendTime ? wrapper.timestamp : -1)
}

async function codecOf(message: LegacyMessage, position: number): Promise<Codec> {
  if (message.codec === Compression.ZSTD) throw corrupt('zstd, which the old formats do not have', position)
  if (message.codec === Compression.LZ4 && message.magic < MAGIC_V1) {
    return (await import('../compression/lz4.ts')).lz4CodecOfFormat0
  }
  return await loadCodec(message.codec)
}
