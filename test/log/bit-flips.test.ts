/**
 * Every flipped bit of a segment is noticed (goal D7 of reliability). The CRC covers a batch from its attributes (byte
 * 21) to its end. Of the 21 bytes before:
 *
 *   base offset (8)    by the offsets of its neighbours; not where compaction may have left a gap beside the batch
 *   length (4)         the CRC is over other bytes then
 *   leader epoch (4)   by leader-epoch-checkpoint
 *   version (1)        no other is known
 *   CRC (4)            it is not that of the bytes
 */
import { describe, expect, it } from 'vitest'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { Log, verifyLog } from '../../src/log/index.ts'
import { isContradicted, OffsetOrder, orderOf } from '../../src/log/offset-order.ts'
import { baseOffset, batchSize, checkBatchStored, lastOffset, leaderEpoch } from '../../src/record/index.ts'
import { batch, defaults, env } from './support.ts'

const SEGMENT_BYTES = 65_536
const DIRECTORY = '/log'
const PATH = `${DIRECTORY}/00000000000000000000.log`

interface Stored {
  readonly bytes: Uint8Array
  readonly starts: readonly number[]
}

const disk = memoryDisk()
const options = {
  env: { ...env, disk },
  directory: DIRECTORY,
  settings: defaults,
  recoveryPoint: 0,
  cleanShutdown: false,
}

async function stored(): Promise<Stored> {
  await disk.removeDirectory(DIRECTORY)
  await disk.makeDirectory(DIRECTORY)
  const log = await Log.open(options)
  const starts: number[] = []
  const one = batch({ count: 5, value: 'v'.repeat(180) })
  while (log.size + one.length <= SEGMENT_BYTES) {
    starts.push(log.size)
    await log.appendBatch(one.slice(), 0)
  }
  starts.push(log.size)
  const room = SEGMENT_BYTES - log.size
  const lengths = Array.from({ length: 12 }, (_, index) => Math.max(0, room - 62 - index))
  await log.appendBatch(
    lengths.map((length) => batch({ value: 'w'.repeat(length) })).find((last) => last.length === room)!,
    0,
  )
  await log.close({ clean: false })
  return { bytes: (await disk.readFile(PATH))!, starts }
}

/** What recovery and `verify` ask of a batch in its place, of a log with the leader epoch 0 throughout. */
function isNoticed(bytes: Uint8Array, start: number, end: number, mayHaveGaps: boolean, next: number): boolean {
  const size = batchSize(bytes, start)
  if (size !== end - start || checkBatchStored(bytes, start, end) !== size) return true
  const place = { nextOffset: next, baseOffset: 0, mayHaveGaps }
  const last = lastOffset(bytes, start)
  const order = orderOf(baseOffset(bytes, start), last, place)
  if (order === OffsetOrder.WRONG) return true
  const following = end + 12 <= bytes.length ? baseOffset(bytes, end) : undefined
  return (order === OffsetOrder.GAP && isContradicted(last, following)) || leaderEpoch(bytes, start) !== 0
}

/** The flips that are not noticed, as bytes in their batch. */
function unnoticed({ bytes, starts }: Stored, mayHaveGaps: boolean): { inBatch: number; isLast: boolean }[] {
  const found: { inBatch: number; isLast: boolean }[] = []
  for (const [index, start] of starts.entries()) {
    const end = starts[index + 1] ?? bytes.length
    const next = baseOffset(bytes, start)
    for (let at = start; at < end; at++) {
      for (let bit = 0; bit < 8; bit++) {
        bytes[at]! ^= 1 << bit
        const isSeen = isNoticed(bytes, start, end, mayHaveGaps, next)
        bytes[at]! ^= 1 << bit
        if (!isSeen) found.push({ inBatch: at - start, isLast: index === starts.length - 1 })
      }
    }
  }
  return found
}

/** The segment as it is given, and the epochs as they were: a recovery may have cut both. */
async function put(content: Uint8Array): Promise<void> {
  await disk.replaceFile(`${DIRECTORY}/leader-epoch-checkpoint`, new TextEncoder().encode('0\n1\n0 0\n'))
  const file = await disk.open(PATH, 'write')
  await file.truncate(0)
  await file.write([content.slice()], 0)
  await file.close()
}

describe('a flipped bit', () => {
  it('of a segment of 64 KiB is noticed, each of them', async () => {
    const segment = await stored()
    expect(segment.bytes.length).toBe(SEGMENT_BYTES)
    expect(unnoticed(segment, false)).toEqual([])
  })

  it('of a compacted segment is noticed but in the base offset of a last batch', async () => {
    const found = unnoticed(await stored(), true)
    expect(found.every(({ inBatch, isLast }) => isLast && inBatch < 8)).toBe(true)
    // Those that make the offset larger, as far as a segment may reach; all others are noticed.
    expect(found.length).toBeLessThan(32)
  })

  it('is reported by verify with its place, and recovery cuts there, through files', async () => {
    const { bytes, starts } = await stored()
    const log = { env: { disk }, directory: DIRECTORY, settings: defaults }
    expect((await verifyLog(log)).problemCount).toBe(0)
    // Every byte of one header, then a sample of all.
    const header = Array.from({ length: 64 }, (_, index) => (starts[7]! + index) * 8 + (index % 8))
    const sample = Array.from({ length: 150 }, (_, index) => (index * 2_654_435_761) % (SEGMENT_BYTES * 8))
    for (const bit of [...header, ...sample]) {
      const at = Math.floor(bit / 8)
      const start = starts.findLast((position) => position <= at)!
      const damaged = bytes.slice()
      damaged[at]! ^= 1 << (bit % 8)
      await put(damaged)
      const report = await verifyLog(log)
      expect([bit, report.problems[0]?.position, report.problemCount > 0]).toEqual([bit, start, true])
      // Nothing is wrong with a batch of another leader epoch but that: it is kept and reported.
      const inBatch = at - start
      if (inBatch >= 12 && inBatch < 16) expect(report.problems[0]?.kind).toBe('leader-epoch')
      const opened = await Log.open(options)
      const kept = inBatch >= 12 && inBatch < 16 ? bytes.length : start
      expect([bit, opened.size, opened.leaderEpoch]).toEqual([bit, kept, 0])
      await opened.close({ clean: false })
    }
  })

  it('of a sealed segment meets a reader as PAGELOG_CORRUPT', async () => {
    const { bytes, starts } = await stored()
    for (const at of [starts[3]! + 17, starts[3]! + 21, starts[3]! + 60, starts[4]! - 1, bytes.length - 1]) {
      const log = await Log.open(options)
      const damaged = bytes.slice()
      damaged[at]! ^= 1
      await put(damaged)
      const read = async (): Promise<void> => {
        for await (const one of log.read()) expect(one.recordCount).toBeGreaterThan(0)
      }
      await expect(read()).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT', path: PATH })
      await put(bytes)
      await log.close({ clean: false })
    }
  })
})
