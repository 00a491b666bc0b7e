/**
 * Compressed data of at most one MiB that become, or claim to become, far more; or as much as they just may, which is what
 * takes the most memory of all. Legal as frames; as records of a batch they are none.
 */
import { constants, deflateRawSync, gzipSync } from 'node:zlib'
import lz4 from 'lz4-napi'
import snappy from 'snappy'
import xxhash from 'xxhash-wasm'
import { ATTRIBUTES_AT, BATCH_HEADER_BYTES, crc32c, setCrc } from '../../src/record/index.ts'
import { batchWith } from '../client/batches.ts'
import { concat, noise } from '../record/compression/support.ts'
import { little, runBlock, zstdFrame } from '../record/compression/zstd-blocks.ts'

export const MIB = 1 << 20
const GIB = 2 ** 30
/** Room for the header of a batch, and of a request. */
const FRAME_BYTES_MAX = MIB - 200
const XERIAL = Buffer.from('82534e41505059000000000100000001', 'hex')

export interface Bomb {
  readonly name: string
  /** By its number. */
  readonly codec: number
  readonly frame: Uint8Array
  /** It decompresses, to less than the usual bound. */
  readonly isWithin?: boolean
}

const fill = (piece: Uint8Array, length: number): Uint8Array =>
  Buffer.concat(Array<Uint8Array>(Math.floor(length / piece.length)).fill(piece))

/** A member that holds as many MiB of zeros as are asked for, as densely as deflate can; it claims `claimed` bytes. */
function gzipOf(mebibytes: number, claimed: number): Uint8Array {
  const piece = deflateRawSync(new Uint8Array(MIB), { finishFlush: constants.Z_FULL_FLUSH, level: 9 })
  return concat(
    gzipSync('').subarray(0, 10),
    fill(piece, mebibytes * piece.length),
    [3, 0],
    little(0, 4),
    little(claimed, 4),
  )
}

const { h32Raw } = await xxhash()
const sized = (bytes: Uint8Array): Uint8Array => concat(little(bytes.length, 4), bytes)
function lz4Frame(body: Uint8Array, contentSize?: number): Uint8Array {
  const fields = contentSize === undefined ? [0x60, 0x70] : [0x68, 0x70, ...little(contentSize, 8)]
  const sum = (h32Raw(Uint8Array.from(fields)) >>> 8) & 0xff
  return concat([0x04, 0x22, 0x4d, 0x18, ...fields, sum], body, [0, 0, 0, 0])
}
const lz4Zeros = sized(lz4.compressSync(Buffer.alloc(4 * MIB)).subarray(4))

const zeros = (length: number): Uint8Array => concat(fill(runBlock(0, 131_072, false), length), runBlock(0, 1, true))
/** With a window of 128 MiB, which level 22 asks for. */
function wide(frame: Uint8Array): Uint8Array {
  frame[5] = 0x88
  return frame
}

const snappyBlock = snappy.compressSync(Buffer.alloc(32_768))
const chunk = concat([0, 0, snappyBlock.length >> 8, snappyBlock.length & 255], snappyBlock)

/** `within`: the largest output that is not refused. */
export function bombs(within: number): readonly Bomb[] {
  const mib = Math.floor(within / MIB) - 1
  return [
    { name: 'gzip that becomes one GiB and says so', codec: 1, frame: gzipOf(1_000, 1_000 * MIB) },
    { name: 'gzip that becomes one GiB and says nothing', codec: 1, frame: gzipOf(1_000, 0) },
    {
      name: 'gzip that claims 4 GiB',
      codec: 1,
      frame: concat(gzipSync(noise(900_000)).subarray(0, -4), [255, 255, 255, 255]),
    },
    { name: 'gzip of many members', codec: 1, frame: fill(gzipSync(Buffer.alloc(5_000)), FRAME_BYTES_MAX) },
    { name: 'gzip that stays within', codec: 1, frame: gzipOf(mib, mib * MIB), isWithin: true },
    { name: 'gzip that stays within and lies', codec: 1, frame: gzipOf(mib, 1_000), isWithin: false },
    {
      name: 'snappy as dense as it can be',
      codec: 2,
      frame: snappy.compressSync(Buffer.alloc(21 * MIB)),
      isWithin: true,
    },
    {
      name: 'snappy of blocks as dense',
      codec: 2,
      frame: concat(XERIAL, fill(chunk, FRAME_BYTES_MAX - 16)),
      isWithin: true,
    },
    { name: 'snappy that claims 4 GiB', codec: 2, frame: concat([0xff, 0xff, 0xff, 0xff, 0x0f], noise(900_000)) },
    { name: 'snappy of a chunk of 2 GiB', codec: 2, frame: concat(XERIAL, [0x7f, 0xff, 0xff, 0xff], noise(900_000)) },
    { name: 'lz4 as dense as it can be', codec: 3, frame: lz4Frame(fill(lz4Zeros, FRAME_BYTES_MAX - 20)) },
    { name: 'lz4 that claims 10 GiB', codec: 3, frame: lz4Frame(fill(lz4Zeros, FRAME_BYTES_MAX - 20), 10 * GIB) },
    {
      name: 'lz4 that stays within',
      codec: 3,
      frame: lz4Frame(fill(lz4Zeros, Math.floor(mib / 4) * lz4Zeros.length)),
      isWithin: true,
    },
    { name: 'zstd that becomes 32 GiB', codec: 4, frame: zstdFrame([zeros(FRAME_BYTES_MAX - 30)]) },
    {
      name: 'zstd that becomes 32 GiB, with a window of 128 MiB',
      codec: 4,
      frame: wide(zstdFrame([zeros(FRAME_BYTES_MAX - 30)])),
    },
    { name: 'zstd that claims 10 GiB', codec: 4, frame: zstdFrame([zeros(FRAME_BYTES_MAX - 30)], 10 * GIB) },
    { name: 'zstd that stays within', codec: 4, frame: zstdFrame([zeros(mib * 32)]), isWithin: true },
    {
      name: 'zstd that stays within, with a window of 128 MiB',
      codec: 4,
      frame: wide(zstdFrame([zeros(mib * 32)])),
      isWithin: true,
    },
  ]
}

/** A batch of one record by its header, with the frame for its records. */
export function batchOfFrame({ codec, frame }: Pick<Bomb, 'codec' | 'frame'>): Uint8Array {
  const batch = concat(batchWith(['x']).subarray(0, BATCH_HEADER_BYTES), frame)
  const view = new DataView(batch.buffer)
  view.setInt32(8, batch.length - 12)
  view.setInt16(ATTRIBUTES_AT, codec)
  setCrc(batch, 0, crc32c(batch, ATTRIBUTES_AT, batch.length))
  return batch
}
