import { expect, it } from 'vitest'
import { type Log, LogDirectory, type LogDirectorySettings } from '../../src/log/index.ts'
import { descriptors } from '../env/sockets.ts'
import { onEachDisk } from './disks.ts'
import { batch, bytesOf, defaults, env, FailingDisk, readAll, storageError, temporaryDirectory } from './support.ts'

const small = { ...defaults, segmentBytes: 2000, indexIntervalBytes: 0 }
const open = (path: string, settings: Partial<LogDirectorySettings>, on = env) =>
  LogDirectory.open({ env: on, path, defaults: small, settings })
const fill = async (log: Log, count: number): Promise<void> => {
  for (let index = 0; index < count; index++) await log.appendBatch(batch({ value: 'v'.repeat(100) }), 0)
}

onEachDisk('open segments of a directory', () => {
  it('stay within their limit over all logs, active ones included, and everything reads as before', async () => {
    const path = await temporaryDirectory()
    const directory = await open(path, { openSegmentsMax: 8 })
    const logs: Log[] = []
    for (let index = 0; index < 20; index++) logs.push(await directory.create('log', index))
    for (let round = 0; round < 3; round++) {
      for (const log of logs) {
        await fill(log, 10)
        expect(directory.stats().openSegments).toBeLessThanOrEqual(9) // the one in use may be one too many
      }
    }
    for (const log of logs) {
      expect((await readAll(log)).length).toBe(30)
      expect(directory.stats().openSegments).toBeLessThanOrEqual(9)
    }
    expect(directory.stats().segments).toBeGreaterThan(40)
    await directory.close()
    const again = await open(path, { openSegmentsMax: 8 })
    for (const log of logs.keys()) expect((await readAll(again.get('log', log)!)).length).toBe(30)
    await again.close()
  })

  it('are not closed while a region of them is being sent or an append is written', async () => {
    const failing = new FailingDisk()
    const directory = await open(await temporaryDirectory(), { openSegmentsMax: 8 }, failing.env)
    const busy = await directory.create('busy', 0)
    await fill(busy, 3)
    const held = await busy.slice(0, 10_000)
    failing.hold()
    const pending = busy.appendBatch(batch({ value: 'late' }), 0)
    await expect.poll(() => failing.calls.at(-1)?.operation).toBe('write')
    const others: Promise<unknown>[] = []
    for (let index = 0; index < 12; index++) others.push(directory.create('other', index))
    await Promise.all(others)
    failing.release()
    expect(await pending).toMatchObject({ baseOffset: 3 })
    expect((await bytesOf(held.regions)).length).toBe(held.byteLength)
    expect((await readAll(busy)).length).toBe(4)
    await directory.close()
  })

  it('that are not synced are synced before they are closed; what fails there stops the directory', async () => {
    const failing = new FailingDisk()
    const directory = await open(await temporaryDirectory(), { openSegmentsMax: 8 }, failing.env)
    const logs: Log[] = []
    for (let index = 0; index < 8; index++) logs.push(await directory.create('log', index))
    for (const log of logs) await fill(log, 1)
    expect(logs.map((log) => log.recoveryPoint)).toEqual(logs.map(() => 0))
    const more = await directory.create('more', 0)
    await fill(more, 1)
    const twice = await directory.create('more', 1)
    await fill(twice, 1)
    expect(logs.filter((log) => log.recoveryPoint === 1).length).toBeGreaterThan(0)
    failing.fails = (operation, at) => (operation === 'dataSync' ? storageError(at) : undefined)
    for (let index = 2; index < 12 && !directory.offline; index++) {
      await directory
        .create('more', index)
        .then((log) => fill(log, 1))
        .catch(() => {})
    }
    expect(directory.offline).toBe(true)
    failing.fails = () => undefined
    await directory.close()
  })
})

onEachDisk('indexes of a directory', () => {
  it('stay within their limit and are read again when they are needed', async () => {
    const path = await temporaryDirectory()
    const directory = await open(path, { indexMemoryMaxBytes: 65_536 })
    const log = await directory.create('log', 0)
    const wide = await directory.create('wide', 0)
    for (const one of [log, wide]) {
      one.configure({ ...small, segmentBytes: 4 << 20 })
      const bytes = batch()
      for (let round = 0; round < 4; round++) {
        await Promise.all(Array.from({ length: 1000 }, () => one.appendBatch(bytes.slice(), 0)))
      }
    }
    // 4,000 batches a log, each with entries of 20 bytes.
    expect(wide.stats().indexBytes).toBeGreaterThan(30_000)
    await expect.poll(() => directory.stats().indexBytes).toBeLessThanOrEqual(200_000)
    expect((await readAll(log, 3_990, 10_000)).length).toBe(10)
    expect((await readAll(wide, 3_990, 10_000)).length).toBe(10)
    await directory.close()
  })
})

it('a hundred idle logs hold no more descriptors than they may', async () => {
  const before = descriptors()
  const directory = await open(await temporaryDirectory(), { openSegmentsMax: 10 })
  for (let index = 0; index < 100; index++) await fill(await directory.create('log', index), 1)
  expect(descriptors() - before).toBeLessThanOrEqual(16)
  await directory.close()
  expect(descriptors()).toBeLessThanOrEqual(before)
})
