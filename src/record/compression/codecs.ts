/**
 * The codecs by their numbers. Each is imported when it is first asked for: a program that meets no compressed batch
 * pays nothing for them.
 */
import { ErrorCode, PagelogError } from '../../base/index.ts'
import { Compression } from '../batch-header.ts'
import type { Codec, CodecLevels, CodecName } from './codec.ts'

const NAMES: readonly CodecName[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/**
 * Bounds and defaults as Kafka's `compression.<codec>.level`; the others have one level only. Of lz4's every level
 * compresses alike: its library has the fast mode only.
 */
export const codecLevels: Readonly<Record<CodecName, CodecLevels>> = {
  none: { min: 0, max: 0, default: 0 },
  gzip: { min: -1, max: 9, default: -1 },
  snappy: { min: 0, max: 0, default: 0 },
  lz4: { min: 1, max: 17, default: 9 },
  zstd: { min: -131072, max: 22, default: 3 },
}

const loaders: readonly (() => Promise<Codec>)[] = [
  async () => (await import('./none.ts')).noneCodec,
  async () => (await import('./gzip.ts')).gzipCodec,
  async () => (await import('./snappy.ts')).snappyCodec,
  async () => (await import('./lz4.ts')).lz4Codec,
  async () => await (await import('./zstd.ts')).loadZstdCodec(),
]

const loading: (Promise<Codec> | undefined)[] = []
const loaded: (Codec | undefined)[] = []

/** The name of a codec that Kafka has, else undefined. */
export function codecName(compression: number): CodecName | undefined {
  return NAMES[compression]
}

/** The number of a codec, for the attributes of a batch; `uncompressed` is Kafka's other word for `none`. */
export function codecNumber(name: CodecName | 'uncompressed'): Compression {
  return (name === 'uncompressed' ? Compression.NONE : NAMES.indexOf(name)) as Compression
}

/**
 * The codec of this number, imported now if it is its first use. Rejects with PAGELOG_UNSUPPORTED, kafkaCode
 * UNSUPPORTED_COMPRESSION_TYPE, when Kafka has no such codec or this process cannot have it (zstd on Node 20 without the
 * package that the message names).
 */
export function loadCodec(compression: number): Promise<Codec> {
  const loader = loaders[compression]
  if (loader === undefined) return Promise.reject(noSuchCodec(compression))
  loading[compression] ??= loader().then(
    (codec) => {
      loaded[compression] = codec
      return codec
    },
    (error: unknown) => {
      loading[compression] = undefined // A package may be installed meanwhile.
      throw error
    },
  )
  return loading[compression]
}

/** The same when it has been loaded before, else undefined: spares hot paths the promise. */
export function loadedCodec(compression: number): Codec | undefined {
  return loaded[compression]
}

/** `level`, or the codec's default for undefined. Throws PAGELOG_INVALID_SETTING naming Kafka's setting. */
export function checkLevel(name: CodecName, level?: number): number {
  const { min, max, default: usual } = codecLevels[name]
  if (level === undefined) return usual
  // Zero, which gzip's own libraries have as "stored", is none of Kafka's.
  const isAllowed = Number.isInteger(level) && level >= min && level <= max && !(name === 'gzip' && level === 0)
  if (isAllowed) return level
  const allowed = name === 'gzip' ? '-1 or 1 to 9' : `${min} to ${max}`
  throw new PagelogError('PAGELOG_INVALID_SETTING', `compression.${name}.level=${level}: allowed is ${allowed}`)
}

function noSuchCodec(compression: number): PagelogError {
  return new PagelogError('PAGELOG_UNSUPPORTED', `unknown compression codec ${compression}`, {
    kafkaCode: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
  })
}
