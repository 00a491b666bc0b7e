import { expect, it } from 'vitest'
import { batchesOf } from '../../src/record/index.ts'
import { copyFile, onEachDisk, readFile, writeFile } from './disks.ts'
import { batch, bytesOf, defaults, openLog, readAll, temporaryDirectory } from './support.ts'

async function filled(batches = 50, settings = { ...defaults, indexIntervalBytes: 300 }) {
  const directory = await temporaryDirectory()
  const log = await openLog(directory, { settings })
  for (let index = 0; index < batches; index++) await log.appendBatch(batch({ count: 3, value: `value ${index}` }), 0)
  return { log, directory, settings }
}

onEachDisk('reading', () => {
  it('is refused outside of the log and empty at its end', async () => {
    const { log } = await filled(2)
    for (const offset of [-1, 7, 1e15, Number.NaN]) {
      expect(() => log.slice(offset, 100)).toThrow(expect.objectContaining({ code: 'PAGELOG_OFFSET_OUT_OF_RANGE' }))
    }
    expect(await log.slice(6, 100)).toEqual({ regions: [], byteLength: 0, startOffset: 6 })
    expect(await log.slice(0, 0)).toEqual({ regions: [], byteLength: 0, startOffset: 0 })
    await log.close()
  })

  it('begins with the batch that holds the offset, for every offset', async () => {
    const { log } = await filled()
    for (let offset = 0; offset < 150; offset++) {
      const slice = await log.slice(offset, 10_000)
      const [first] = [...batchesOf(await bytesOf(slice.regions))]
      expect(first!.baseOffset).toBe(offset - (offset % 3))
    }
    await log.close()
  })

  it('keeps to maxBytes, unless the first batch is wanted whole', async () => {
    const { log } = await filled()
    for (const maxBytes of [1, 60, 61, 100, 109, 300, 1000, 5000]) {
      const slice = await log.slice(30, maxBytes)
      expect(slice.byteLength).toBeLessThanOrEqual(maxBytes)
      await bytesOf(slice.regions)
      const atLeastOne = await log.slice(30, maxBytes, { minOneBatch: true })
      expect([...batchesOf(await bytesOf(atLeastOne.regions))].length).toBeGreaterThan(0)
    }
    const large = await log.slice(30, 2000)
    const bytes = await bytesOf(large.regions)
    const whole = [...batchesOf(bytes)].reduce((sum, one) => sum + one.sizeInBytes, 0)
    expect(whole).toBe(bytes.length)
    await log.close()
  })

  it('knows what a reader at the end still has to get', async () => {
    const { log } = await filled(10)
    expect(log.availableBytes(0)).toBe(log.size)
    expect(log.availableBytes(log.logEndOffset)).toBe(0)
    expect(log.availableBytes(-1)).toBe(0)
    const size = log.size
    await bytesOf((await log.slice(0, 100_000)).regions)
    const end = log.logEndOffset
    await log.appendBatch(batch({ value: 'more' }), 0)
    expect(log.availableBytes(end)).toBe(log.size - size)
    for (let offset = 0; offset < end; offset++) {
      const available = log.availableBytes(offset)
      expect(available).toBeGreaterThan(0)
      const { byteLength, regions } = await log.slice(offset, 100_000)
      await bytesOf(regions)
      expect(available).toBeLessThanOrEqual(byteLength)
    }
    await log.close()
  })

  it('of more segments than stay loaded gives every record, also after reopening', async () => {
    const { log, directory, settings } = await filled(400, { ...defaults, segmentBytes: 600, indexIntervalBytes: 100 })
    expect(log.segmentCount).toBeGreaterThan(60)
    expect((await readAll(log)).length).toBe(1200)
    const offsets = Array.from({ length: 200 }, (_, index) => (index * 397) % 1200)
    await Promise.all(offsets.map(async (offset) => bytesOf((await log.slice(offset, 500)).regions)))
    expect((await log.offsetForTime(1_700_000_000_000))?.offset).toBe(0)
    await log.close()
    const again = await openLog(directory, { settings, cleanShutdown: true })
    expect((await readAll(again, 0, 200)).length).toBe(1200)
    await again.close()
  })

  it('goes on behind segments that compaction has emptied', async () => {
    const { log, directory } = await filled(1)
    await log.close()
    const later = await temporaryDirectory()
    const other = await openLog(later, { logStartOffset: 30 })
    await other.appendBatch(batch({ value: 'later' }), 0)
    await other.close()
    for (const empty of [10, 20]) await writeFile(`${directory}/${String(empty).padStart(20, '0')}.log`, '')
    const name = '00000000000000000030.log'
    await copyFile(`${later}/${name}`, `${directory}/${name}`)
    const again = await openLog(directory, { cleanShutdown: true })
    for (const offset of [3, 5, 10, 15, 20, 25, 30]) {
      const slice = await again.slice(offset, 1000)
      expect([...batchesOf(await bytesOf(slice.regions))].map((one) => one.baseOffset)).toEqual([30])
    }
    await again.close()
  })

  it('does not hold the event loop for a search that no index shortens', async () => {
    const { log } = await filled(3000, { ...defaults, indexIntervalBytes: 2_000_000_000 })
    const slice = log.slice(8500, 1000)
    expect(slice).toBeInstanceOf(Promise)
    const [first] = [...batchesOf(await bytesOf((await slice).regions))]
    expect(first!.baseOffset).toBe(8499)
    await log.close()
  })

  it('by time is not led astray by a damaged offset index', async () => {
    const directory = await temporaryDirectory()
    const settings = { ...defaults, segmentBytes: 2000, indexIntervalBytes: 50 }
    const log = await openLog(directory, { settings })
    for (let index = 0; index < 60; index++) await log.appendBatch(batch({ timestampMs: 1000 + index }), 0)
    await log.close()
    const path = `${directory}/00000000000000000000.index`
    const index = await readFile(path)
    for (let at = 7; at < index.length; at += 8) index[at]! ^= 4
    await writeFile(path, index)
    const again = await openLog(directory, { settings, cleanShutdown: true })
    for (let offset = 0; offset < 60; offset++) {
      expect(await again.offsetForTime(1000 + offset)).toMatchObject({ offset, timestamp: 1000 + offset })
    }
    await again.close()
  })
})
