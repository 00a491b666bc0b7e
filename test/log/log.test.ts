import { expect, it } from 'vitest'
import { onEachDisk, readdir, readFile } from './disks.ts'
import { batch, bytesOf, defaults, FailingDisk, openLog, readAll, temporaryDirectory } from './support.ts'

onEachDisk('appending', () => {
  it('assigns rising offsets and makes batches visible when the write is done', async () => {
    const log = await openLog(await temporaryDirectory())
    const first = log.appendBatch(batch({ count: 3, value: 'a' }), 0)
    const second = log.appendBatch(batch({ count: 2, value: 'b' }), 0)
    expect(log.logEndOffset).toBe(0)
    expect(await first).toMatchObject({ baseOffset: 0, lastOffset: 2, duplicate: false, logAppendTimeMs: -1 })
    expect(await second).toMatchObject({ baseOffset: 3, lastOffset: 4, duplicate: false, logAppendTimeMs: -1 })
    expect(log.logEndOffset).toBe(5)
    const values = (await readAll(log)).map((record) => record.value)
    expect(values).toEqual(['a', 'a', 'a', 'b', 'b'])
    await log.close()
  })

  it('keeps everything across a clean and an unclean close', async () => {
    const directory = await temporaryDirectory()
    for (let round = 0; round < 4; round++) {
      const cleanShutdown = round % 2 === 1
      const log = await openLog(directory, { cleanShutdown })
      expect(log.logEndOffset).toBe(round * 20)
      expect(log.recovery.bytesDropped).toBe(0)
      await Promise.all(Array.from({ length: 10 }, () => log.appendBatch(batch({ count: 2 }), 0)))
      await log.close({ clean: !cleanShutdown })
    }
    const log = await openLog(directory)
    expect((await readAll(log)).length).toBe(80)
    await log.close()
    expect((await readdir(directory)).sort()).toEqual([
      '00000000000000000000.index',
      '00000000000000000000.log',
      '00000000000000000000.timeindex',
      '00000000000000000000.txnindex',
      '00000000000000000080.snapshot',
      'leader-epoch-checkpoint',
    ])
    expect(await readFile(`${directory}/leader-epoch-checkpoint`, 'utf8')).toBe('0\n1\n0 0\n')
  })
})

onEachDisk('segments', () => {
  it('rolls by size and reads across segments', async () => {
    const directory = await temporaryDirectory()
    const settings = { ...defaults, segmentBytes: 2000, indexIntervalBytes: 100 }
    const log = await openLog(directory, { settings })
    for (let index = 0; index < 300; index++) await log.appendBatch(batch({ value: `value ${index}` }), 0)
    expect(log.segmentCount).toBeGreaterThan(10)
    const records = await readAll(log)
    expect(records.map((record) => record.value)).toEqual(Array.from({ length: 300 }, (_, index) => `value ${index}`))
    for (let offset = 0; offset < 300; offset += 7) {
      const slice = await log.slice(offset, 500)
      const bytes = await bytesOf(slice.regions)
      expect(bytes.length).toBeLessThanOrEqual(500)
    }
    await log.close()
    const again = await openLog(directory, { settings, cleanShutdown: true })
    expect((await readAll(again)).length).toBe(300)
    await again.close()
  })

  it('are no longer touched once the log is closed, also without cleaning up', async () => {
    const failing = new FailingDisk()
    const settings = { ...defaults, segmentBytes: 300 }
    for (const clean of [false, true]) {
      const log = await openLog(await temporaryDirectory(), { settings, env: failing.env })
      await Promise.all(Array.from({ length: 20 }, () => log.appendBatch(batch(), 0)))
      await log.close({ clean })
      const calls = failing.calls.length
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
      expect(failing.calls.length).toBe(calls)
    }
  })
})
