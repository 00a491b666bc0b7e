import { expect, it } from 'vitest'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { LyingDisk, VirtualClock } from '../../src/env/simulated/index.ts'
import { type Log, LogDirectory } from '../../src/log/index.ts'
import { onEachDisk, readdir } from './disks.ts'
import {
  batch,
  bytesOf,
  defaults,
  diskFull,
  env,
  FailingDisk,
  openLog,
  readAll,
  storageError,
  temporaryDirectory,
} from './support.ts'

const small = { ...defaults, segmentBytes: 300, fileDeleteDelayMs: 0 }
const fill = async (log: Log, count: number): Promise<void> => {
  for (let index = 0; index < count; index++) {
    await log.appendBatch(batch({ value: String(log.logEndOffset).padEnd(100, '.') }), 0)
  }
}
const offsetsOf = async (log: Log): Promise<number[]> => (await readAll(log)).map((record) => record.offset)
const segmentsIn = async (directory: string): Promise<number[]> =>
  (await readdir(directory)).filter((name) => name.endsWith('.log')).map((name) => Number(name.slice(0, 20)))
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

onEachDisk('trimBefore', () => {
  it('lets what was appended meanwhile land before the log is closed', async () => {
    for (const turns of [0, 1, 2, 3, 5, 8, 20, 50]) {
      const directory = await temporaryDirectory()
      const failing = new FailingDisk()
      const log = await openLog(directory, { env: failing.env })
      await log.append({ value: new Uint8Array(10) })
      failing.hold('.log')
      const trimming = log.trimBefore(1)
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      const appended = log.append({ value: new Uint8Array(10) })
      const stored = log.appendBatch(batch(), 0)
      const closing = log.close()
      for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
      failing.release()
      const [trimmed, result, batchResult] = await Promise.allSettled([trimming, appended, stored])
      await closing
      if (trimmed.status === 'rejected') expect(trimmed.reason).toMatchObject({ code: 'PAGELOG_CLOSED' })
      expect(result).toMatchObject({ status: 'fulfilled', value: { baseOffset: 1 } })
      expect(batchResult).toMatchObject({ status: 'fulfilled', value: { baseOffset: 2 } })
      expect(log.recoveryPoint).toBe(3)
      const calls = failing.calls.length
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
      expect(failing.calls.length).toBe(calls)
    }
  })

  it('hides records inside a segment and deletes whole segments below', async () => {
    const path = await temporaryDirectory()
    const directory = await LogDirectory.open({ env, path, defaults: small })
    const log = await directory.create('events', 0)
    await fill(log, 10) // one record of about 170 bytes, so one to a segment
    const segments = log.segmentCount
    expect(await log.trimBefore(4)).toMatchObject({ logStartOffset: 4, segments: 4 })
    expect([log.logStartOffset, log.logEndOffset, log.segmentCount]).toEqual([4, 10, segments - 4])
    expect(await offsetsOf(log)).toEqual(range(4, 10))
    expect(() => log.slice(3, 100)).toThrow(expect.objectContaining({ code: 'PAGELOG_OFFSET_OUT_OF_RANGE' }))
    expect(await segmentsIn(log.directory)).toEqual(range(4, 10))
    await directory.close()

    const again = await LogDirectory.open({ env, path, defaults: small })
    expect(again.get('events', 0)!.logStartOffset).toBe(4)
    expect(await offsetsOf(again.get('events', 0)!)).toEqual(range(4, 10))
    await again.close()
  })

  it('keeps an offset inside a batch over a restart, clean or not', async () => {
    for (const clean of [true, false]) {
      const path = await temporaryDirectory()
      const directory = await LogDirectory.open({ env, path, defaults })
      const log = await directory.create('events', 0)
      await log.appendBatch(batch({ count: 10 }), 0)
      expect(await log.trimBefore(7)).toEqual({ logStartOffset: 7, segments: 0, bytes: 0 })
      await directory.close({ clean })
      const again = await LogDirectory.open({ env, path, defaults })
      expect(await offsetsOf(again.get('events', 0)!)).toEqual([7, 8, 9])
      await again.close()
    }
  })

  it('of everything leaves an empty segment at the end, and appends go on', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory, { settings: small })
    await fill(log, 5)
    expect((await log.trimBefore(5)).logStartOffset).toBe(5)
    expect([log.logStartOffset, log.logEndOffset, log.size, log.segmentCount]).toEqual([5, 5, 0, 1])
    expect(await segmentsIn(directory)).toEqual([5])
    await fill(log, 2)
    expect(await offsetsOf(log)).toEqual([5, 6])
    expect(await log.trimBefore(7)).toMatchObject({ logStartOffset: 7 })
    expect(await log.trimBefore(7)).toEqual({ logStartOffset: 7, segments: 0, bytes: 0 })
    await log.close()
    const again = await openLog(directory, { settings: small, cleanShutdown: true })
    expect([again.logStartOffset, again.logEndOffset]).toEqual([7, 7])
    await again.close()
  })

  it('of offsets that are no offsets, or beyond the end, is refused; below the start it changes nothing', async () => {
    const log = await openLog(await temporaryDirectory())
    await fill(log, 3)
    await log.trimBefore(2)
    await expect(log.trimBefore(4)).rejects.toMatchObject({ code: 'PAGELOG_OFFSET_OUT_OF_RANGE', offset: 4 })
    for (const wrong of [-1, 1.5, Number.NaN]) {
      await expect(log.trimBefore(wrong)).rejects.toMatchObject({ code: 'PAGELOG_INVALID_ARGUMENT' })
    }
    expect(await log.trimBefore(1)).toEqual({ logStartOffset: 2, segments: 0, bytes: 0 })
    await log.close()
    await expect(log.trimBefore(3)).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  })

  it('that was aborted changes nothing', async () => {
    const log = await openLog(await temporaryDirectory(), { settings: small })
    await fill(log, 3)
    const reason = new Error('no longer')
    const aborted = expect.objectContaining({ code: 'PAGELOG_ABORTED', cause: reason })
    await expect(log.trimBefore(2, { signal: AbortSignal.abort(reason) })).rejects.toEqual(aborted)
    const controller = new AbortController()
    const first = log.trimBefore(1)
    const second = log.trimBefore(2, { signal: controller.signal })
    controller.abort(reason)
    await expect(second).rejects.toEqual(aborted)
    expect((await first).logStartOffset).toBe(1)
    expect(log.logStartOffset).toBe(1)
    await log.close()
  })

  it('lets reads under way and regions keep their bytes', async () => {
    const log = await openLog(await temporaryDirectory(), { settings: small })
    await fill(log, 6)
    const held = await log.slice(0, 1000)
    const slow = log.offsetForTime(0)
    await log.trimBefore(6)
    expect((await bytesOf(held.regions)).length).toBe(held.byteLength)
    expect([0, undefined]).toContain((await slow)?.offset)
    await log.close()
  })

  it('keeps the files for file.delete.delay.ms, and close does not wait for that', async () => {
    const clock = new VirtualClock()
    const directory = await temporaryDirectory()
    const settings = { ...small, fileDeleteDelayMs: 1000 }
    const log = await openLog(directory, { env: { ...env, clock }, settings })
    await fill(log, 4)
    await log.trimBefore(2)
    const deleted = async () => (await readdir(directory)).filter((name) => name.endsWith('.deleted')).length
    expect([await deleted(), log.stats().filesToDelete]).toEqual([2, 2])
    clock.advance(999)
    expect(log.stats().filesToDelete).toBe(2)
    clock.advance(1)
    await expect.poll(deleted).toBe(0)
    await log.trimBefore(3)
    await log.close()
    expect(await deleted()).toBe(0)
    expect(clock.timerCount).toBe(0)
  })
})

onEachDisk('trimBefore on a failing disk', () => {
  it('writes the start into the checkpoint before it deletes anything', async () => {
    const failing = new FailingDisk()
    const path = await temporaryDirectory()
    const directory = await LogDirectory.open({ env: failing.env, path, defaults: small })
    const log = await directory.create('events', 0)
    await fill(log, 5)
    await log.flush()
    failing.calls.length = 0
    await log.trimBefore(3)
    const names = failing.calls.map((call) => `${call.operation} ${call.path.slice(path.length + 1)}`)
    const checkpoint = names.indexOf('replaceFile log-start-offset-checkpoint')
    const removals = names.flatMap((name, index) => (/^(unlink|rename)/.test(name) ? [index] : []))
    expect(checkpoint).toBeGreaterThanOrEqual(0)
    expect(Math.min(...removals)).toBeGreaterThan(checkpoint)
    const order = names.filter((name) => name.startsWith('unlink') && name.endsWith('.log'))
    expect(order).toEqual([...order].sort())
    await directory.close()
  })

  it('on a full disk lets whole segments go, to make room, and reports what it could not do', async () => {
    const failing = new FailingDisk()
    const path = await temporaryDirectory()
    const directory = await LogDirectory.open({ env: failing.env, path, defaults: small })
    const log = await directory.create('events', 0)
    await log.appendBatch(batch({ count: 3 }), 0)
    await fill(log, 4)
    failing.fails = (operation, at) => (operation === 'replaceFile' ? diskFull(at) : undefined)
    await expect(log.trimBefore(1)).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    expect([log.logStartOffset, directory.offline]).toEqual([0, false])
    const start = await log.trimBefore(5)
    expect(start.logStartOffset).toBe(5)
    expect(await segmentsIn(log.directory)).toEqual([5, 6])
    failing.fails = () => undefined
    await fill(log, 1)
    await directory.close()
    const again = await LogDirectory.open({ env, path, defaults: small })
    expect(await offsetsOf(again.get('events', 0)!)).toEqual([5, 6, 7])
    await again.close()
  })

  it('takes the directory offline when the checkpoint or a removal fails', async () => {
    for (const failed of ['replaceFile', 'unlink', 'rename'] as const) {
      const failing = new FailingDisk()
      const settings = { ...small, fileDeleteDelayMs: failed === 'rename' ? 1000 : 0 }
      const path = await temporaryDirectory()
      const directory = await LogDirectory.open({ env: failing.env, path, defaults: settings })
      const log = await directory.create('events', 0)
      await fill(log, 5)
      failing.fails = (operation, at) => (operation === failed ? storageError(at) : undefined)
      await expect(log.trimBefore(3)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
      expect(directory.offline).toBe(true)
      await expect(log.appendBatch(batch(), 0)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
      failing.fails = () => undefined
      await directory.close()
      const again = await LogDirectory.open({ env, path, defaults: settings })
      const start = again.get('events', 0)!.logStartOffset
      expect(failed === 'replaceFile' ? [0] : [3]).toContain(start)
      expect(await offsetsOf(again.get('events', 0)!)).toEqual(range(start, 5))
      await again.close()
    }
  })
})

it('a start that was on disk when the power went holds after a clean shutdown as well', async () => {
  for (let step = 0, isOver = false; !isOver; step++) {
    const lying = new LyingDisk({ seed: step })
    const open = () => LogDirectory.open({ env: { ...env, disk: lying.disk }, path: '/data', defaults: small })
    const first = await open()
    await fill(await first.create('events', 0), 6)
    await first.close() // so that nothing is to be recovered
    const second = await open()
    lying.stopAt(lying.steps + step)
    await second
      .get('events', 0)!
      .trimBefore(4)
      .catch(() => {})
    isOver = !lying.isOff
    lying.crash()
    await second.close({ clean: false }).catch(() => {})
    const third = await open()
    const { logStartOffset } = third.get('events', 0)!
    expect([0, 4], `seed and step ${step}`).toContain(logStartOffset)
    await third.close()
    const fourth = await open()
    expect(fourth.get('events', 0)!.logStartOffset, `seed and step ${step}`).toBe(logStartOffset)
    expect(await offsetsOf(fourth.get('events', 0)!)).toEqual(range(logStartOffset, 6))
    await fourth.close()
  }
})

it('a power loss at any step of a trim on a full disk leaves no hole, and takes nothing that was synced', async () => {
  for (const offset of [3, 5]) {
    const settings = { ...small, segmentBytes: offset === 3 ? 400 : 300 } // two to a segment, and one
    for (let step = 0, isOver = false; !isOver; step++) {
      const lying = new LyingDisk({ seed: step })
      const open = () => LogDirectory.open({ env: { ...env, disk: lying.disk }, path: '/data', defaults: settings })
      const directory = await open()
      const log = await directory.create('events', 0)
      await fill(log, 5)
      await log.flush()
      lying.inject({ operation: 'create', path: 'log-start-offset-checkpoint', error: 'ENOSPC', times: 100 })
      lying.stopAt(lying.steps + step)
      const trimmed = await log.trimBefore(offset).catch(() => undefined)
      isOver = !lying.isOff
      lying.crash()
      await directory.close({ clean: false }).catch(() => {})
      const again = await open()
      expect([...again.damaged.keys()], `seed and step ${step}`).toEqual([])
      const found = again.get('events', 0)!
      expect(found.logStartOffset, `seed and step ${step}`).toBeGreaterThanOrEqual(trimmed?.logStartOffset ?? 0)
      expect(found.logStartOffset, `seed and step ${step}`).toBeLessThanOrEqual(offset)
      expect(await offsetsOf(found), `seed and step ${step}`).toEqual(range(found.logStartOffset, 5))
      expect(found.logEndOffset, `seed and step ${step}`).toBe(5)
      await again.close()
    }
  }
})

it('on a full disk a segment stays until the name of the next is on the device, synced as its records are', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const lying = new LyingDisk({ seed })
    const open = () => LogDirectory.open({ env: { ...env, disk: lying.disk }, path: '/data', defaults: small })
    const directory = await open()
    const log = await directory.create('events', 0)
    await fill(log, 1)
    await log.flush()
    // Without the snapshot, too: its sync of the directory would cover the name.
    lying.inject({ operation: 'create', path: /checkpoint|snapshot/, error: 'ENOSPC', times: 100 })
    const held = lying.hold({ operation: 'syncDirectory' })
    await fill(log, 1) // in a segment of its own
    while (held.waiting === 0) await new Promise(setImmediate)
    const trimming = log.trimBefore(1).catch(() => {})
    for (let turn = 0; turn < 40; turn++) await new Promise(setImmediate)
    lying.crash()
    await trimming
    await directory.close({ clean: false }).catch(() => {})
    const again = await open()
    expect([...again.damaged.keys()], `seed ${seed}`).toEqual([])
    expect(again.get('events', 0)!.logEndOffset, `seed ${seed}`).toBeGreaterThanOrEqual(1)
    await again.close()
  }
})

it('a power loss at any step of a trim leaves the old start or the new one, and no hole', async () => {
  for (let step = 0, isOver = false; !isOver; step++) {
    const lying = new LyingDisk({ seed: step })
    const open = () => LogDirectory.open({ env: { ...env, disk: lying.disk }, path: '/data', defaults: small })
    const directory = await open()
    const log = await directory.create('events', 0)
    await fill(log, 6)
    await log.flush()
    lying.stopAt(lying.steps + step)
    await log.trimBefore(4).catch(() => {})
    isOver = !lying.isOff
    lying.crash()
    await directory.close({ clean: false }).catch(() => {})
    const again = await open()
    const found = again.get('events', 0)!
    expect([0, 4], `seed and step ${step}`).toContain(found.logStartOffset)
    expect(await offsetsOf(found)).toEqual(range(found.logStartOffset, 6))
    if (isOver) expect(found.logStartOffset).toBe(4)
    await again.close()
  }
})

it('with no room for snapshots forgets producers whose batches are gone, instead of knowing them as they once were', async () => {
  const failing = new FailingDisk(memoryDisk())
  const path = '/data'
  const open = () => LogDirectory.open({ env: { ...env, disk: failing.disk }, path, defaults: small })
  const directory = await open()
  const log = await directory.create('events', 0)
  const appendAs = (producerId: number, baseSequence: number) =>
    log.appendBatch(batch({ value: '.'.repeat(100), producerId, producerEpoch: 0, baseSequence }), 0)
  for (let sequence = 0; sequence < 3; sequence++) await appendAs(1, sequence)
  await log.flush()
  failing.fails = (operation, at) =>
    operation === 'replaceFile' && at.endsWith('.snapshot') ? diskFull(at) : undefined
  for (let sequence = 3; sequence < 6; sequence++) await appendAs(1, sequence)
  for (let sequence = 0; sequence < 4; sequence++) await appendAs(2, sequence)
  await log.trimBefore(7)
  expect(log.logStartOffset).toBe(7)
  await directory.close() // without a snapshot, too
  failing.fails = () => undefined
  const again = await open()
  const found = again.get('events', 0)!
  const go = (producerId: number, baseSequence: number) =>
    found.appendBatch(batch({ producerId, producerEpoch: 0, baseSequence }), 0)
  expect(await go(1, 6)).toMatchObject({ baseOffset: 10 })
  expect(await go(2, 4)).toMatchObject({ baseOffset: 11 })
  await again.close()
})
