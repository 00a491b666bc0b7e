/** The cleaner of a log directory: which log it takes, when, what it remembers; and compaction in real worker threads. */
import { describe, expect, test } from 'vitest'
import { nodeEnv } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { type Log, LogDirectory, type LogDirectoryOptions, type LogSettings } from '../../src/log/index.ts'
import { compactSettings, HOUR_MS, type Machine, machineOn, pairs, recordsIn, tableOf } from './compaction-support.ts'
import { temporaryDirectory } from './disks.ts'

const PATH = '/data'

async function opened(machine: Machine, options: Partial<LogDirectoryOptions> = {}): Promise<LogDirectory> {
  return await LogDirectory.open({ env: machine, path: PATH, defaults: compactSettings, ...options })
}

/** One record a batch, keys repeating; the segments before the last one are sealed and synced. */
async function fill(log: Log, count: number, keys: number, timestampMs: number): Promise<void> {
  const value = 'v'.repeat(60)
  const batches = Array.from({ length: count }, (_, index) =>
    pairs([[`k${index % keys}`, `${index}${value}`]], timestampMs),
  )
  await Promise.all(batches.map((batch) => log.appendBatch(batch, 0)))
  await log.flush()
}

const withSettings = (settings: Partial<LogSettings>): LogSettings => ({ ...compactSettings, ...settings })

describe('the cleaner', () => {
  test('compacts by itself what is dirty enough, every log.cleaner.backoff.ms', async () => {
    const machine = machineOn(memoryDisk(), new VirtualClock())
    const directory = await opened(machine, { settings: { cleanerBackoffMs: 1000 } })
    const log = await directory.create('dirty', 0)
    await fill(log, 60, 3, machine.clock.nowMs())
    const { logEndOffset } = log
    machine.clock.advance(1000)
    await directory.compact() // shares the round that runs
    expect(log.firstDirtyOffset).toBeGreaterThan(logEndOffset - 20)
    expect(directory.cleaner).toMatchObject({ running: 0, uncleanable: 0, compactions: 1 })
    expect(directory.cleaner.bytesRead).toBeGreaterThan(directory.cleaner.bytesWritten)
    await directory.close()
  })

  test('leaves alone: what is not compact, what is clean enough, what is still active', async () => {
    const machine = machineOn()
    const directory = await opened(machine, { settings: { cleanerEnable: false } })
    const deleted = await directory.create('deleted', 0, undefined, withSettings({ cleanupPolicy: ['delete'] }))
    const active = await directory.create('active', 0, undefined, withSettings({ segmentBytes: 1 << 20 }))
    const clean = await directory.create('clean', 0, undefined, withSettings({ minCleanableDirtyRatio: 0.9 }))
    await fill(clean, 60, 60, 1)
    await clean.compact()
    for (const log of [deleted, active, clean]) await fill(log, 30, 3, 1)
    await directory.compact()
    expect([deleted, active].map((log) => log.firstDirtyOffset)).toEqual([0, 0])
    expect(clean.firstDirtyOffset).toBe(60)
    expect(directory.cleaner.compactions).toBe(0)
    await directory.close()
  })

  test('seals an active segment whose records have waited max.compaction.lag.ms, however clean the log is', async () => {
    const machine = machineOn()
    const settings = withSettings({ maxCompactionLagMs: HOUR_MS, minCleanableDirtyRatio: 1, segmentBytes: 1 << 20 })
    const directory = await opened(machine, { settings: { cleanerEnable: false } })
    const log = await directory.create('lagging', 0, undefined, settings)
    await fill(log, 20, 2, machine.clock.nowMs())
    await directory.compact()
    expect(await recordsIn(log)).toHaveLength(20)
    machine.clock.advance(HOUR_MS + 1)
    await directory.compact()
    expect(await recordsIn(log)).toHaveLength(2)
    await directory.close()
  })

  test('its checkpoint tells what a power loss took from what compaction took', async () => {
    const machine = machineOn()
    const directory = await opened(machine, { settings: { cleanerEnable: false } })
    const log = await directory.create('table', 0)
    await fill(log, 40, 4, 1)
    await log.compact()
    const table = await recordsIn(log)
    for (let index = 0; index < 40; index++)
      await log.append({ key: Buffer.from(`k${index}`), value: Buffer.alloc(60) })
    await directory.close({ clean: false })
    const path = `${PATH}/table-0`
    const sealed = (await machine.disk.list(path))
      .filter((name) => name.endsWith('.log'))
      .sort()
      .at(-2)!
    const file = await machine.disk.open(`${path}/${sealed}`, 'write')
    await file.truncate(0)
    await file.close()
    const again = await opened(machine, { settings: { cleanerEnable: false } })
    const found = again.get('table', 0)!
    expect(found.logEndOffset).toBe(Number.parseInt(sealed, 10))
    expect((await recordsIn(found)).slice(0, table.length)).toEqual(table)
    await again.close()
  })

  test('goes on after a start where it was, by cleaner-offset-checkpoint', async () => {
    const machine = machineOn()
    const directory = await opened(machine, { settings: { cleanerEnable: false } })
    const log = await directory.create('table', 3)
    await fill(log, 40, 4, 1)
    await log.compact()
    await directory.create('other', 0)
    const read = async () => new TextDecoder().decode(await machine.disk.readFile(`${PATH}/cleaner-offset-checkpoint`))
    expect(await read()).toBe('0\n1\ntable 3 40\n')
    await directory.close()
    const again = await opened(machine, { settings: { cleanerEnable: false } })
    expect(again.get('table', 3)!.firstDirtyOffset).toBe(40)
    expect(await again.get('table', 3)!.compact()).toMatchObject({ passes: 0 })
    // What is cut is not clean when it comes back; what is removed begins anew.
    await again.get('table', 3)!.truncateTo(38)
    expect(await read()).toBe(`0\n1\ntable 3 ${again.get('table', 3)!.logEndOffset}\n`)
    await again.remove('table', 3)
    const fresh = await again.create('table', 3)
    expect(fresh.firstDirtyOffset).toBe(0)
    expect(await read()).toBe('0\n0\n')
    await again.close()
  })

  test('a damaged log is left alone and counted; the others are compacted', async () => {
    const machine = machineOn()
    const directory = await opened(machine, { settings: { cleanerEnable: false } })
    const [good, bad] = [await directory.create('good', 0), await directory.create('bad', 0)]
    for (const log of [good, bad]) await fill(log, 60, 3, 1)
    const file = await machine.disk.open(`${PATH}/bad-0/00000000000000000000.log`, 'write')
    await file.write([new Uint8Array([255])], 200)
    await file.close()
    await directory.compact()
    expect(directory.cleaner).toMatchObject({ uncleanable: 1, compactions: 1 })
    expect(bad.firstDirtyOffset).toBe(0)
    expect(directory.offline).toBe(false)
    await directory.compact()
    expect(directory.cleaner).toMatchObject({ uncleanable: 1, compactions: 1 })
    await directory.close()
  })

  test('compacts and deletes a log with both policies', async () => {
    const machine = machineOn()
    const both = withSettings({ cleanupPolicy: ['compact', 'delete'], retentionMs: HOUR_MS })
    const directory = await opened(machine, { settings: { cleanerEnable: false } })
    const log = await directory.create('both', 0, undefined, both)
    await fill(log, 40, 4, machine.clock.nowMs())
    await log.compact()
    machine.clock.advance(HOUR_MS + 1)
    await fill(log, 40, 2, machine.clock.nowMs())
    await directory.applyRetention()
    expect(log.logStartOffset).toBe(40)
    await log.compact()
    expect(Object.keys(await tableOf(log))).toEqual(['k0', 'k1'])
    await directory.close()
  })
})

describe('in worker threads', () => {
  test('a log on the real disk is compacted while it is appended to', async () => {
    const directory = await LogDirectory.open({
      env: nodeEnv(),
      path: await temporaryDirectory(),
      defaults: withSettings({ segmentBytes: 1 << 16 }),
    })
    const log = await directory.create('table', 0)
    await fill(log, 3000, 50, 1)
    const compacting = log.compact()
    await fill(log, 200, 50, 2)
    expect(await compacting).toMatchObject({ keys: 50 })
    await log.compact()
    expect(await recordsIn(log)).toHaveLength(50)
    const table = await tableOf(log)
    expect(Object.values(table).every((value) => Number.parseInt(value, 10) < 200)).toBe(true)
    await directory.close()
  })

  test('closing the log stops a compaction that is held to a slow rate', async () => {
    const directory = await LogDirectory.open({
      env: nodeEnv(),
      path: await temporaryDirectory(),
      defaults: withSettings({ segmentBytes: 1 << 16 }),
      settings: { cleanerIoMaxBytesPerSecond: 1000, cleanerIoBufferSize: 16384 },
    })
    const log = await directory.create('table', 0)
    await fill(log, 3000, 50, 1)
    const compacting = log.compact().catch((error: unknown) => error)
    await directory.close()
    expect(await compacting).toMatchObject({ code: 'PAGELOG_CLOSED' })
  })
})
