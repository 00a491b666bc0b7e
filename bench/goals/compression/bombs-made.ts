/**
 * Batches of about one MiB that claim to be enormous or become it. What becomes 10 GiB is possible with zstd only; the
 * others' formats end at 1,032 (deflate), 255 (lz4) and 21 times (snappy) their size, and go as far as that.
 */
import { constants, deflateRawSync, gzipSync } from 'node:zlib'
import lz4 from 'lz4-napi'
import snappy from 'snappy'
import { crc32c } from '../../../src/native/index.ts'
import { ATTRIBUTES_AT, BATCH_HEADER_BYTES, BatchWriter, codecNumber, setCrc } from '../../../src/record/index.ts'
import { randomBytes } from '../../drivers/payloads.ts'

export const bombCodecs = ['gzip', 'snappy', 'lz4', 'zstd'] as const
export type BombCodec = (typeof bombCodecs)[number]

export interface Bomb {
  readonly name: string
  readonly batch: Uint8Array
}

const MIB = 1 << 20
const GIB = 2 ** 30
/** A batch's bytes beside the frame: a broker takes 1,048,588 bytes by default. */
const FRAME_BYTES_MAX = MIB - 100
const SNAPPY_BLOCK_BYTES = 32_768
const LENGTH_AT = 8
const LENGTH_FROM = 12
/** Second byte of xxh32 over the twelve bytes of the header that claims 10 GiB. */
const LZ4_CLAIM_SUM = 0xba

const makers: Readonly<Record<BombCodec, () => Readonly<Record<string, Uint8Array>>>> = {
  gzip: () => {
    const piece = deflateRawSync(new Uint8Array(16 * MIB), { finishFlush: constants.Z_FULL_FLUSH, level: 9 })
    const head = gzipSync('').subarray(0, 10)
    const stream = (size: number) =>
      concat(head, fill(piece, FRAME_BYTES_MAX - 30), [3, 0], little(0, 4), little(size, 4))
    return {
      'becomes 1 GiB': stream(GIB),
      'becomes 1 GiB and says nothing': stream(0),
      'claims 4 GiB': concat(gzipSync(noise(1000)).subarray(0, -4), [255, 255, 255, 255]),
    }
  },
  snappy: () => {
    const block = snappy.compressSync(new Uint8Array(SNAPPY_BLOCK_BYTES), { copyOutputData: true })
    const head = Buffer.from('82534e41505059000000000100000001', 'hex')
    const bare = snappy.compressSync(Buffer.alloc(21 * MIB), { copyOutputData: true })
    return {
      'claims 10 GiB, bare': concat(varint(10 * GIB), noise(FRAME_BYTES_MAX - 5)),
      'becomes 21 MiB of no records, bare': bare,
      'claims 4 GiB, framed': concat(head, bigEndian(bare.length), varint(4 * GIB - 1), bare.subarray(5)),
      'becomes 20 MiB of no records, framed': concat(
        head,
        fill(concat(bigEndian(block.length), block), FRAME_BYTES_MAX - 16),
      ),
    }
  },
  lz4: () => {
    const packed = lz4.compressSync(Buffer.alloc(4 * MIB)).subarray(4)
    const sized = concat(little(packed.length, 4), packed)
    const head = [0x04, 0x22, 0x4d, 0x18]
    return {
      'becomes 255 MiB': concat(head, [0x60, 0x70, 0x73], fill(sized, FRAME_BYTES_MAX - 16), [0, 0, 0, 0]),
      'claims 10 GiB': concat(head, [0x68, 0x70], little(10 * GIB, 8), [LZ4_CLAIM_SUM], sized, [0, 0, 0, 0]),
    }
  },
  zstd: () => {
    const run = (length: number, last: boolean) => concat(little((length << 3) | 2 | (last ? 1 : 0), 3), [0])
    const magic = little(0xfd2fb528, 4)
    // 80 thousand runs of 128 KiB.
    const runs = fill(run(131_072, false), (10 * GIB) / 32_768)
    return {
      'becomes 10 GiB': concat(magic, [0x00, 0x38], runs, run(1, true)),
      'becomes 10 GiB with a window of 128 MiB': concat(magic, [0x00, 0x88], runs, run(1, true)),
      'claims 10 GiB': concat(magic, [0xc0, 0x38], little(10 * GIB + 1, 8), runs, run(1, true)),
    }
  },
}

export function bombs(codec: BombCodec): Bomb[] {
  return Object.entries(makers[codec]()).map(([name, frame]) => ({ name, batch: batchOf(codec, frame) }))
}

/** A batch with a right header and CRC around a frame. */
function batchOf(codec: BombCodec, frame: Uint8Array): Uint8Array {
  const writer = new BatchWriter(new Uint8Array(1000))
  writer.append(Date.now(), null, randomBytes(10, 1))
  const batch = concat(writer.finish().subarray(0, BATCH_HEADER_BYTES), frame)
  new DataView(batch.buffer).setInt32(LENGTH_AT, batch.length - LENGTH_FROM)
  batch[ATTRIBUTES_AT + 1] = codecNumber(codec)
  setCrc(batch, 0, crc32c(batch, ATTRIBUTES_AT, batch.length))
  return batch
}

function noise(bytes: number): Uint8Array {
  return randomBytes(bytes, 7)
}

function concat(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function fill(piece: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(Math.floor(length / piece.length) * piece.length)
  for (let at = 0; at < whole.length; at += piece.length) whole.set(piece, at)
  return whole
}

function little(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, at) => Math.floor(value / 256 ** at) % 256)
}

function bigEndian(value: number): number[] {
  return little(value, 4).reverse()
}

function varint(value: number): number[] {
  const bytes: number[] = []
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return [...bytes, left]
    bytes.push((left % 128) + 128)
  }
}
