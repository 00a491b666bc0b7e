/** A log as replication uses it: batches of a leader as they are, what is committed, epochs that begin and end. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defaultsOf } from '../../src/base/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { Log, logSettings } from '../../src/log/index.ts'
import { baseOffset, batchSize, setBaseOffset, setLeaderEpoch } from '../../src/record/index.ts'
import { batchOf } from '../broker/fixtures.ts'

let disk: ReturnType<typeof memoryDisk>
let log: Log
const open = (overrides: Partial<typeof Log.prototype.settings> = {}): Promise<Log> =>
  Log.open({
    env: { disk, clock: nodeEnv().clock },
    directory: '/log',
    settings: { ...defaultsOf(logSettings), ...overrides },
    recoveryPoint: 0,
    cleanShutdown: true,
  })
beforeEach(async () => {
  disk = memoryDisk()
  await disk.makeDirectory('/log')
  log = await open()
})
afterEach(() => log.close())

/** As a leader has it. */
function batch(offset: number, epoch: number, values: readonly string[], producer = {}): Buffer {
  const bytes = batchOf(values, { timestamp: 1, ...producer })
  setBaseOffset(bytes, 0, offset)
  setLeaderEpoch(bytes, 0, epoch)
  return Buffer.from(bytes)
}

async function stored(): Promise<Buffer> {
  return Buffer.from((await disk.readFile(`/log/${'0'.repeat(20)}.log`))!)
}

describe('batches of a leader', () => {
  test('are stored as they are, several at once, epochs of their own', async () => {
    const bytes = Buffer.concat([batch(0, 2, ['a', 'b']), batch(2, 2, ['c']), batch(3, 5, ['d'])])
    const append = log.replica.append(bytes)!
    expect(append).toMatchObject({ byteLength: bytes.length, endOffset: 4, lastEpoch: 5 })
    expect((await append.written).lastOffset).toBe(3)
    expect((await stored()).equals(bytes)).toBe(true)
    expect(log.endOffsetFor(2)).toEqual({ epoch: 2, endOffset: 3 })
    expect(log.replica.lastEpoch).toBe(5)
  })

  test('that came in one piece are one write, up to 1 MiB', async () => {
    const value = 'v'.repeat(60_000)
    const batches = Array.from({ length: 20 }, (_, i) => batch(i, 1, [value]))
    await log.replica.append(Buffer.concat(batches.slice(0, 10)))!.written
    expect(log.stats()).toMatchObject({ writes: 1, appends: 10 })
    await log.replica.append(Buffer.concat(batches.slice(10)))!.written
    expect(log.stats()).toMatchObject({ writes: 2, appends: 20 })
    const rest = Array.from({ length: 20 }, (_, i) => batch(20 + i, 1, [value]))
    await log.replica.append(Buffer.concat(rest))!.written
    expect(log.stats()).toMatchObject({ writes: 4, appends: 40 })
    expect((await stored()).equals(Buffer.concat([...batches, ...rest]))).toBe(true)
  })

  test('are appended behind each other before the first is written', async () => {
    const first = log.replica.append(batch(0, 1, ['a', 'b']))!
    const second = log.replica.append(batch(2, 1, ['c']))!
    await Promise.all([first.written, second.written])
    expect(log.logEndOffset).toBe(3)
  })

  test('torn at the end are left out; nothing is appended where not even the first is whole', async () => {
    const bytes = Buffer.concat([batch(0, 1, ['a']), batch(1, 1, ['b'])])
    const append = log.replica.append(bytes.subarray(0, bytes.length - 1))!
    expect(append.endOffset).toBe(1)
    await append.written
    expect(log.replica.append(batch(1, 1, ['b']).subarray(0, 68))).toBeUndefined()
    expect(log.replica.append(bytes.subarray(0, 3))).toBeUndefined()
  })

  test('with any bit flipped behind the checksum are refused, and nothing of them is kept', async () => {
    const good = batch(0, 1, ['a value'])
    for (let bit = 17 * 8; bit < good.length * 8; bit++) {
      const bad = Uint8Array.from(good)
      bad[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => log.replica.append(bad)).toThrow(expect.objectContaining({ code: 'PAGELOG_CORRUPT' }))
    }
    expect(log.logEndOffset).toBe(0)
  })

  test('that do not follow what is there are refused', async () => {
    await log.replica.append(batch(0, 3, ['a', 'b']))!.written
    await expect(log.replica.append(batch(1, 3, ['x']))!.written).rejects.toMatchObject({ code: 'PAGELOG_REFUSED' })
    await expect(log.replica.append(batch(5, 3, ['x']))!.written).rejects.toMatchObject({ code: 'PAGELOG_REFUSED' })
    await expect(log.replica.append(batch(2, 2, ['x']))!.written).rejects.toMatchObject({ code: 'PAGELOG_REFUSED' })
    expect(() => log.replica.append(Buffer.concat([batch(2, 3, ['x']), batch(2, 3, ['y'])]))).toThrow(/not in order/)
    expect(log.logEndOffset).toBe(2)
  })

  test('with gaps between them are refused as a whole where nothing is compacted', async () => {
    const bytes = Buffer.concat([batch(0, 1, ['a']), batch(2, 1, ['c'])])
    expect(() => log.replica.append(bytes)).toThrow('offsets 1 to 2 are missing in what the leader sent')
    expect(log.logEndOffset).toBe(0)
    expect((await log.replica.append(batch(0, 1, ['a']))!.written).lastOffset).toBe(0)
  })

  test('of a later epoch than the leader can know are refused', async () => {
    const bytes = Buffer.concat([batch(0, 1, ['a']), batch(1, 3, ['b'])])
    expect(() => log.replica.append(bytes, 2)).toThrow(expect.objectContaining({ code: 'PAGELOG_REFUSED' }))
    expect(log.replica.append(bytes, 3)!.endOffset).toBe(2)
  })

  test('may leave gaps in a compacted topic', async () => {
    await log.close()
    log = await open({ cleanupPolicy: ['compact'] })
    await log.replica.append(batch(7, 1, ['a']))!.written
    expect(log.logEndOffset).toBe(8)
  })

  test('bring the state of their producers, which truncation takes back', async () => {
    const producer = (baseSequence: number) => ({ producerId: 9, producerEpoch: 0, baseSequence })
    await log.replica.append(Buffer.concat([batch(0, 1, ['a'], producer(0)), batch(1, 1, ['b'], producer(1))]))!.written
    await log.truncateTo(1)
    const next = batchOf(['c'], producer(1))
    expect((await log.appendBatch(next, 1)).baseOffset).toBe(1)
    const again = await log.appendBatch(batchOf(['c'], producer(1)), 1)
    expect(again).toMatchObject({ baseOffset: 1, duplicate: true })
  })
})

describe('what is committed', () => {
  beforeEach(async () => {
    for (const value of ['a', 'b', 'c']) await log.appendBatch(batchOf([value], { timestamp: 1 }), 0)
  })

  test('is all there is, until somebody says otherwise', async () => {
    expect(log.highWatermark).toBe(3)
    log.replica.commitTo(1)
    expect(log.highWatermark).toBe(1)
    expect(log.lastStableOffset).toBe(1)
    log.replica.commitTo(Number.POSITIVE_INFINITY)
    expect(log.highWatermark).toBe(3)
  })

  test('neither goes back by itself nor lies beyond the end', () => {
    log.replica.commitTo(2)
    expect(() => log.replica.commitTo(1)).toThrow('went back')
    expect(() => log.replica.commitTo(4)).toThrow('beyond the end')
    log.replica.uncommit(3)
    expect(log.highWatermark).toBe(2)
    log.replica.uncommit(1)
    expect(log.highWatermark).toBe(1)
  })

  test('bounds a slice, at a batch', async () => {
    const bytes = await stored()
    const size = batchSize(bytes, 0)
    for (const [endOffset, batches] of [
      [1, 1],
      [2, 2],
      [3, 3],
    ] as const) {
      const slice = await log.slice(0, 1 << 20, { endOffset, minOneBatch: true })
      expect(slice.byteLength).toBe(batches * size)
      for (const region of slice.regions) region.release()
    }
    expect((await log.slice(2, 1 << 20, { endOffset: 2, minOneBatch: true })).byteLength).toBe(0)
  })

  test('bounds readers, which go on when it moves', async () => {
    log.replica.commitTo(1)
    const reader = log.read({ from: 0, tail: true })
    const seen: number[] = []
    const reading = (async () => {
      for await (const found of reader) {
        seen.push(baseOffset(found.bytes, found.position))
        if (seen.length === 3) break
      }
    })()
    while (seen.length < 1) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(seen).toEqual([0])
    log.replica.commitTo(3)
    await reading
    expect(seen).toEqual([0, 1, 2])
  })
})

describe('epochs', () => {
  test('begin at the end of the log, in memory, and are on disk before their first batch', async () => {
    await log.appendBatch(batchOf(['a']), 0)
    expect(await log.replica.begin(4)).toBe(1)
    expect(log.endOffsetFor(3)).toEqual({ epoch: 0, endOffset: 1 })
    expect(log.endOffsetFor(4)).toEqual({ epoch: 4, endOffset: 1 })
    const file = async () => Buffer.from((await disk.readFile('/log/leader-epoch-checkpoint'))!).toString()
    expect(await file()).not.toContain('4 1')
    await log.appendBatch(batchOf(['b']), 4)
    expect(await file()).toContain('4 1')
  })

  test('without a batch are forgotten when another leads, whose older batches may follow', async () => {
    await log.appendBatch(batchOf(['a']), 0)
    await log.replica.begin(4)
    await log.replica.follow()
    await log.replica.append(batch(1, 3, ['b']))!.written
    expect(log.replica.lastEpoch).toBe(3)
  })
})
