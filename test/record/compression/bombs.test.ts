/**
 * Small inputs that become or claim to be huge: each ends in an error, and the process never holds more than the bound.
 * The file has a process of its own, so that its largest memory so far is a measure.
 */
import { constants, deflateRawSync, gzipSync } from 'node:zlib'
import lz4 from 'lz4-napi'
import snappy from 'snappy'
import { beforeAll, expect, it } from 'vitest'
import type { OperatingErrorCode } from '../../../src/base/index.ts'
import { checkLevel, loadCodec } from '../../../src/record/index.ts'
import { availableCodecs, concat, noise, refusal } from './support.ts'
import { little, runBlock, zstdFrame } from './zstd-blocks.ts'

const MIB = 1 << 20
const GIB = 2 ** 30
const BOUND = 8 * MIB
/** What a call may hold beside its output: input, windows, one block of 4 MiB, what the collector has not yet taken. */
const BESIDE = 24 * MIB

const codecs = await availableCodecs()

beforeAll(() => {
  // Loading and first calls have a memory of their own.
  for (const codec of codecs) codec.decompress(codec.compress(noise(3 * MIB), checkLevel(codec.name)), BOUND)
})

/** Must be refused with this code; the process's peak may grow by the bound and what stands beside it. */
function refused(codecNumber: number, bytes: Uint8Array, code: OperatingErrorCode, bound = BOUND): void {
  const codec = codecs.find(({ compression }) => compression === codecNumber)
  if (codec === undefined) return
  expect(bytes.length).toBeLessThanOrEqual(MIB + 100)
  const before = process.resourceUsage().maxRSS * 1024
  refusal(() => codec.decompress(bytes, bound), code)
  expect(process.resourceUsage().maxRSS * 1024 - before).toBeLessThan(bound + BESIDE)
}

/** One MiB of the same piece. */
const fill = (piece: Uint8Array, length = MIB): Uint8Array =>
  Buffer.concat(Array<Uint8Array>(Math.floor(length / piece.length)).fill(piece))

/** A gzip member of about one MiB that holds one GiB of zeros, which is the most that deflate can do. */
function deflateBomb(): Uint8Array {
  const zeros = new Uint8Array(16 * MIB)
  const piece = deflateRawSync(zeros, { finishFlush: constants.Z_FULL_FLUSH, level: 9 })
  return concat(gzipSync('').subarray(0, 10), fill(piece, MIB - 30), [3, 0], little(0, 4), little(GIB, 4))
}

const sized = (bytes: Uint8Array): Uint8Array => concat(little(bytes.length, 4), bytes)
const packedZeros = lz4.compressSync(Buffer.alloc(4 * MIB)).subarray(4)
const lz4Frame = (flags: number, fields: readonly number[], sum: number, body: Uint8Array): Uint8Array =>
  concat([0x04, 0x22, 0x4d, 0x18, flags, 0x70, ...fields, sum], body, [0, 0, 0, 0])

it('gzip that becomes one GiB', () => {
  const bomb = deflateBomb()
  refused(1, bomb, 'PAGELOG_TOO_LARGE')
  // And one that says it holds nothing, which is no member then.
  refused(1, concat(bomb.subarray(0, bomb.length - 4), [0, 0, 0, 0]), 'PAGELOG_CORRUPT')
})

it('gzip that claims 4 GiB and holds little', () => {
  const member = gzipSync(noise(500_000))
  refused(1, concat(member.subarray(0, member.length - 4), [255, 255, 255, 255]), 'PAGELOG_CORRUPT')
})

it('gzip of many members', () => {
  refused(1, fill(gzipSync(Buffer.alloc(5_000))), 'PAGELOG_TOO_LARGE')
})

it('snappy that becomes 21 times its size, bare and framed', () => {
  const bare = snappy.compressSync(Buffer.alloc(21 * MIB))
  refused(2, bare, 'PAGELOG_TOO_LARGE')
  const block = snappy.compressSync(Buffer.alloc(32_768))
  const head = Buffer.from('82534e41505059000000000100000001', 'hex')
  refused(2, concat(head, fill(concat([0, 0, block.length >> 8, block.length & 255], block))), 'PAGELOG_TOO_LARGE')
})

it('snappy that claims 4 GiB', () => {
  const claim = [0xff, 0xff, 0xff, 0xff, 0x0f]
  refused(2, concat(claim, noise(MIB)), 'PAGELOG_CORRUPT')
  // Below the bound, but more than so few bytes can hold.
  refused(2, concat([0xff, 0xff, 0xff, 0x03], noise(1_000)), 'PAGELOG_CORRUPT')
  // 35 bits of length.
  refused(2, concat([0xff, 0xff, 0xff, 0xff, 0x7f], noise(MIB)), 'PAGELOG_CORRUPT')
})

it('lz4 that becomes 255 times its size', () => {
  refused(3, lz4Frame(0x60, [], 0x73, fill(sized(packedZeros))), 'PAGELOG_TOO_LARGE')
})

it('lz4 that claims 10 GiB', async () => {
  const { default: xxhash } = await import('xxhash-wasm')
  const { h32Raw } = await xxhash()
  const fields = little(10 * GIB, 8)
  const sum = (h32Raw(Uint8Array.from([0x68, 0x70, ...fields])) >>> 8) & 0xff
  refused(3, lz4Frame(0x68, fields, sum, sized(packedZeros)), 'PAGELOG_TOO_LARGE')
})

it('lz4 of very many blocks that could hold 4 MiB each', () => {
  // One literal each: 6 bytes that are given no room of 4 MiB.
  refused(3, lz4Frame(0x60, [], 0x73, fill(sized(Uint8Array.of(0x10, 65)))), 'PAGELOG_TOO_LARGE', 100_000)
})

it('lz4 of blocks that could hold 4 MiB each and hold 16 KiB', () => {
  const block = lz4.compressSync(Buffer.from(noise(16_384))).subarray(4)
  const frame = lz4Frame(0x60, [], 0x73, fill(sized(block), MIB - 100))
  const before = process.resourceUsage().maxRSS * 1024
  const output = codecs.find(({ name }) => name === 'lz4')!.decompress(frame, 1 << 30)
  expect([output.length, output.buffer.byteLength]).toEqual([63 * 16_384, 63 * 16_384])
  expect(process.resourceUsage().maxRSS * 1024 - before).toBeLessThan(BESIDE)
})

it('zstd that becomes 32 GiB', () => {
  refused(4, zstdFrame([fill(runBlock(0, 131_072, false), MIB - 100), runBlock(0, 1, true)]), 'PAGELOG_TOO_LARGE')
})

it('zstd with a window of 128 MiB', () => {
  const frame = zstdFrame([fill(runBlock(0, 131_072, false), MIB - 100), runBlock(0, 1, true)])
  frame[5] = 0x88
  refused(4, frame, 'PAGELOG_TOO_LARGE')
})

it('zstd that claims 10 GiB', () => {
  const blocks = [fill(runBlock(0, 131_072, false), MIB - 100), runBlock(0, 1, true)]
  refused(4, zstdFrame(blocks, 10 * GIB), 'PAGELOG_TOO_LARGE')
  refused(4, zstdFrame([runBlock(0, 131_072, true)], 10 * GIB), 'PAGELOG_CORRUPT')
})

it('none that is larger than the bound', async () => {
  const none = await loadCodec(0)
  refusal(() => none.decompress(new Uint8Array(101), 100), 'PAGELOG_TOO_LARGE')
  expect(none.decompress(new Uint8Array(100), 100).length).toBe(100)
})
