import { describe, expect, it } from 'vitest'
import { EpochReplay } from '../../src/log/epoch-replay.ts'
import { LeaderEpochCheckpoint } from '../../src/log/leader-epoch-checkpoint.ts'
import { currentDisk, onEachDisk, readFile, writeFile } from './disks.ts'
import { batch, openLog, temporaryDirectory } from './support.ts'

const PATH_NAME = 'leader-epoch-checkpoint'

onEachDisk('LeaderEpochCheckpoint', () => {
  const opened = async (text: string): Promise<LeaderEpochCheckpoint> => {
    const path = `${await temporaryDirectory()}/${PATH_NAME}`
    await writeFile(path, text)
    const { epochs, isNew } = await LeaderEpochCheckpoint.open(currentDisk(), path)
    expect(isNew).toBe(false)
    return epochs
  }

  it('says where an epoch ended, as a leader tells its followers', async () => {
    const epochs = await opened('0\n3\n2 10\n4 20\n7 20000\n')
    const end = (epoch: number) => Object.values(epochs.endOffsetFor(epoch, 30_000))
    expect(end(7)).toEqual([7, 30_000])
    expect(end(4)).toEqual([4, 20_000])
    expect([end(5), end(6)]).toEqual([
      [4, 20_000],
      [4, 20_000],
    ])
    expect([end(2), end(3)]).toEqual([
      [2, 20],
      [2, 20],
    ])
    expect([end(0), end(1)]).toEqual([
      [0, 10],
      [1, 10],
    ])
    expect([end(8), end(-1)]).toEqual([
      [-1, -1],
      [-1, -1],
    ])
    expect([9, 10, 19, 20, 19_999, 20_000, 99_999].map((offset) => epochs.epochAt(offset))).toEqual([
      -1, 2, 2, 4, 4, 7, 7,
    ])
  })

  it('is cut from both ends; the epoch that holds the log start begins there', async () => {
    const epochs = await opened('0\n3\n2 10\n4 20\n7 30\n')
    expect([epochs.truncateStart(5), epochs.truncateStart(10)]).toEqual([false, false])
    expect(epochs.truncateStart(25)).toBe(true)
    expect(epochs.entries).toEqual([
      { epoch: 4, startOffset: 25 },
      { epoch: 7, startOffset: 30 },
    ])
    // One that begins at the very end is kept, unless the log was cut there.
    expect(epochs.truncate(31)).toBe(false)
    expect(epochs.truncate(30)).toBe(true)
    expect(epochs.latest).toBe(4)
    expect(epochs.truncateStart(100)).toBe(true)
    expect(epochs.entries).toEqual([{ epoch: 4, startOffset: 100 }])
  })

  it('begins while the start is cut: none is lost, neither in memory nor on disk', async () => {
    const path = `${await temporaryDirectory()}/${PATH_NAME}`
    const { epochs } = await LeaderEpochCheckpoint.open(currentDisk(), path)
    for (const [epoch, offset] of [
      [1, 0],
      [2, 10],
    ] as const)
      await epochs.assign(epoch, offset)
    const assigning = epochs.assign(3, 20)
    epochs.truncateStart(15)
    await Promise.all([assigning, epochs.save(), epochs.save()])
    expect(epochs.entries.map(({ epoch, startOffset }) => [epoch, startOffset])).toEqual([
      [2, 15],
      [3, 20],
    ])
    expect(await readFile(path, 'utf8')).toBe('0\n2\n2 15\n3 20\n')
  })

  it('drops what a new epoch contradicts, and is on disk before it returns', async () => {
    const path = `${await temporaryDirectory()}/${PATH_NAME}`
    const { epochs, isNew } = await LeaderEpochCheckpoint.open(currentDisk(), path)
    expect(isNew).toBe(true)
    for (const [epoch, offset] of [
      [1, 0],
      [3, 10],
      [3, 15],
      [5, 10],
    ] as const)
      await epochs.assign(epoch, offset)
    expect(await readFile(path, 'utf8')).toBe('0\n2\n1 0\n5 10\n')
    await epochs.assign(4, 20)
    expect(await readFile(path, 'utf8')).toBe('0\n2\n1 0\n4 20\n')
  })

  it('counts as missing when it is damaged', async () => {
    const texts = [
      '',
      '0\n',
      '0\n2\n1 0\n',
      '1\n1\n1 0\n',
      '0\n2\n3 0\n2 10\n',
      '0\n2\n1 10\n2 10\n',
      '0\n1\n-1 0\n',
      '0\n1\nx 0\n',
    ]
    for (const text of texts) {
      const path = `${await temporaryDirectory()}/${PATH_NAME}`
      await writeFile(path, text)
      expect((await LeaderEpochCheckpoint.open(currentDisk(), path)).isNew).toBe(true)
    }
  })

  it('is built anew from the batches, after a clean shutdown as after a crash', async () => {
    for (const cleanShutdown of [true, false]) {
      const directory = await temporaryDirectory()
      const log = await openLog(directory)
      for (const epoch of [0, 0, 2, 2, 5]) await log.appendBatch(batch({ count: 2 }), epoch)
      expect(log.endOffsetFor(2)).toEqual({ epoch: 2, endOffset: 8 })
      await log.close({ clean: cleanShutdown })
      await writeFile(`${directory}/${PATH_NAME}`, 'garbage')
      const again = await openLog(directory, { cleanShutdown })
      expect(await readFile(`${directory}/${PATH_NAME}`, 'utf8')).toBe('0\n3\n0 0\n2 4\n5 8\n')
      expect(again.endOffsetFor(5)).toEqual({ epoch: 5, endOffset: 10 })
      await again.close()
    }
  })
})

describe('EpochReplay', () => {
  it('believes an epoch when the next batch does not contradict it', async () => {
    const seen = async (epochsMet: readonly number[], known: string | undefined): Promise<number[]> => {
      const content = known === undefined ? undefined : new TextEncoder().encode(known)
      const { epochs, isNew } = LeaderEpochCheckpoint.of(currentDisk(), 'unused', content)
      const replay = new EpochReplay(epochs, isNew)
      for (const [index, epoch] of epochsMet.entries()) replay.see(epoch, index)
      replay.end()
      return epochs.entries.map(({ epoch }) => epoch)
    }
    expect(await seen([0, 0, 1, 1, 4], undefined)).toEqual([0, 1, 4])
    expect(await seen([0, 0, 900, 1, 1], undefined)).toEqual([0, 1])
    expect(await seen([0, 3, 3, 900], '0\n1\n0 0\n')).toEqual([0, 3])
    expect(await seen([0, 900, 0], '0\n1\n0 0\n')).toEqual([0])
    expect(await seen([-1, -1], undefined)).toEqual([])
  })
})
