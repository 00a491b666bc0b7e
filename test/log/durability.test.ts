import { stat } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { onEachDisk } from './disks.ts'
import { batch, defaults, FailingDisk, openLog, readAll, storageError, temporaryDirectory } from './support.ts'

const value = new Uint8Array(100)

onEachDisk('group commit', () => {
  it('takes one fdatasync for many concurrent appends, and none of the directory', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    await log.append({ value }, { durability: 'fsync' })
    failing.calls.length = 0
    await Promise.all(Array.from({ length: 256 }, () => log.append({ value }, { durability: 'fsync' })))
    expect(failing.count('dataSync')).toBeLessThanOrEqual(2)
    expect(failing.count('syncDirectory')).toBe(0)
    expect(log.recoveryPoint).toBe(257)
    failing.calls.length = 0
    await Promise.all(Array.from({ length: 256 }, () => log.appendBatch(batch(), 0).then(() => log.flush())))
    expect(failing.count('dataSync')).toBeLessThanOrEqual(3)
    expect(log.recoveryPoint).toBe(513)
    await log.close()
  })

  it('answers with flush.messages=1 only what is on the device', async () => {
    const failing = new FailingDisk()
    const settings = { ...defaults, flushMessages: 1 }
    const log = await openLog(await temporaryDirectory(), { env: failing.env, settings })
    const appends = Array.from({ length: 100 }, async () => {
      const { lastOffset } = await log.appendBatch(batch(), 0)
      expect(log.recoveryPoint).toBeGreaterThan(lastOffset)
    })
    await Promise.all(appends)
    expect(failing.count('dataSync')).toBeLessThanOrEqual(3)
    await log.close()
  })

  it('syncs nothing again after a failed sync', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    await log.append({ value })
    failing.fails = (operation, path) => (operation === 'dataSync' ? storageError(path) : undefined)
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, () => log.append({ value }, { durability: 'fsync' })),
    )
    expect(outcomes.every((outcome) => outcome.status === 'rejected')).toBe(true)
    expect(failing.count('dataSync')).toBe(1)
    failing.fails = () => undefined
    await expect(log.flush()).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    await log.close()
    expect(failing.count('dataSync')).toBe(1)
  })
})

it('a sealed segment gives back the blocks that were reserved for it', async () => {
  const directory = await temporaryDirectory()
  const settings = { ...defaults, segmentBytes: 8 << 20, preallocate: true }
  const log = await openLog(directory, { settings })
  const blocks = async (): Promise<number> => (await stat(`${directory}/00000000000000000000.log`)).blocks
  await log.appendBatch(batch({ value: 'v'.repeat(10_000) }), 0)
  const reserved = await blocks()
  log.configure({ ...settings, segmentBytes: 12_000 })
  await log.appendBatch(batch({ value: 'v'.repeat(10_000) }), 0)
  await log.flush()
  if (reserved * 512 >= 8 << 20) await expect.poll(blocks).toBeLessThan(reserved / 10) // where the platform can reserve
  expect((await readAll(log)).length).toBe(2)
  await log.close()
})
