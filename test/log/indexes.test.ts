import { describe, expect, it } from 'vitest'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { OffsetIndex } from '../../src/log/offset-index.ts'
import { Segment } from '../../src/log/segment.ts'
import { TimeIndex } from '../../src/log/time-index.ts'
import { setBaseOffset } from '../../src/record/index.ts'
import { batch, defaults, env } from './support.ts'

describe('OffsetIndex', () => {
  const filled = (): OffsetIndex => {
    const index = OffsetIndex.empty(1000, 800)
    for (let slot = 0; slot < 100; slot++) index.append(1000 + slot * 10 + 9, slot * 5000 + 1)
    return index
  }

  it('finds the last entry at or below an offset and a position', () => {
    const index = filled()
    expect([index.floorOfOffset(1008), index.floorOfOffset(1009), index.floorOfOffset(1018)]).toEqual([-1, 0, 0])
    expect([index.floorOfOffset(1019), index.floorOfOffset(9999)]).toEqual([1, 99])
    expect([index.floorOfPosition(0), index.floorOfPosition(1), index.floorOfPosition(5000)]).toEqual([-1, 0, 0])
    expect([index.floorOfPosition(5001), index.floorOfPosition(2 ** 31)]).toEqual([1, 99])
    expect([index.offsetAt(99), index.positionAt(99), index.isFull]).toEqual([1999, 495001, true])
  })

  it('finds nothing when it is empty', () => {
    const index = OffsetIndex.empty(5, 800)
    expect([index.floorOfOffset(5), index.floorOfPosition(0), index.isFull]).toEqual([-1, -1, false])
  })

  it("is Kafka's file: big-endian pairs relative to the base offset", () => {
    const index = OffsetIndex.empty(1000, 800)
    index.append(1028, 4374)
    expect([...index.content]).toEqual([0, 0, 0, 28, 0, 0, 0x11, 0x16])
    const loaded = OffsetIndex.load(1000, 800, filled().content.slice(), 500_000)
    expect([loaded?.count, loaded?.offsetAt(50), loaded?.positionAt(50)]).toEqual([100, 1509, 250001])
  })

  it('is not loaded from content that cannot be an index', () => {
    const content = filled().content.slice()
    const load = (bytes: Uint8Array, size = 500_000) => OffsetIndex.load(1000, 800, bytes, size)
    expect(load(content.slice(0, 799))).toBeUndefined()
    expect(load(content, 495001)).toBeUndefined()
    expect(load(new Uint8Array(80))).toBeUndefined()
    expect(load(new Uint8Array([255, 255, 255, 0, 0, 0, 0, 9]))).toBeUndefined()
    expect(load(new Uint8Array(0))?.count).toBe(0)
  })
})

describe('TimeIndex', () => {
  it('keeps rising timestamps only and finds what lies before a time', () => {
    const index = TimeIndex.empty(100, 1200)
    index.append(-1, 100)
    index.append(50, 109)
    index.append(50, 119)
    index.append(40, 129)
    index.append(70, 139)
    expect(index.count).toBe(2)
    expect([index.offsetBefore(50), index.offsetBefore(51), index.offsetBefore(70)]).toEqual([100, 109, 109])
    expect(index.offsetBefore(71)).toBe(139)
    expect([...index.content.subarray(12)]).toEqual([0, 0, 0, 0, 0, 0, 0, 70, 0, 0, 0, 39])
  })

  it('is full one entry early, which closing the segment takes', () => {
    const index = TimeIndex.empty(0, 36)
    index.append(1, 1)
    expect(index.isFull).toBe(false)
    index.append(2, 2)
    expect(index.isFull).toBe(true)
    index.append(3, 3)
    expect(index.count).toBe(3)
  })

  it('is not loaded from content that cannot be an index', () => {
    const index = TimeIndex.empty(0, 1200)
    for (let slot = 1; slot < 5; slot++) index.append(slot * 10, slot)
    const content = index.content.slice()
    expect(TimeIndex.load(0, 1200, content)?.timestampAt(3)).toBe(40)
    expect(TimeIndex.load(0, 1200, content.slice(1))).toBeUndefined()
    expect(TimeIndex.load(0, 1200, new Uint8Array(24))).toBeUndefined()
    expect(TimeIndex.load(9, 1200, new Uint8Array([0, 0, 0, 0, 0, 0, 0, 9, 255, 0, 0, 0]))).toBeUndefined()
  })
})

describe('the index files of a segment', () => {
  it('are those of the later call when two are written at the same time', async () => {
    const directory = '/segment'
    let go = (): void => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    let isFirst = true
    const disk = memoryDisk()
    await disk.makeDirectory(directory)
    const open: typeof disk.open = async (path, mode) => {
      const file = await disk.open(path, mode)
      if (!path.endsWith('.index') || !isFirst) return file
      isFirst = false
      const truncate = file.truncate.bind(file)
      file.truncate = async (size) => {
        await gate
        await truncate(size)
      }
      return file
    }
    const settings = { ...defaults, indexIntervalBytes: 0 }
    const segment = await Segment.create(
      { disk: Object.assign(Object.create(disk), { open }), clock: env.clock, directory, settings },
      0,
    )
    const accept = (offset: number): void => {
      const bytes = batch()
      setBaseOffset(bytes, 0, offset)
      segment.accept(bytes, 0, bytes.length)
    }
    for (let offset = 0; offset < 3; offset++) accept(offset)
    const first = segment.saveIndexes()
    await new Promise(setImmediate)
    for (let offset = 3; offset < 9; offset++) accept(offset)
    const second = segment.saveIndexes()
    for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate)
    go()
    await Promise.all([first, second])
    expect(await disk.readFile(`${directory}/00000000000000000000.index`)).toEqual(segment.offsetIndex!.content)
    expect(segment.hasUnsavedIndexes).toBe(false)
    await segment.unload()
  })
})
