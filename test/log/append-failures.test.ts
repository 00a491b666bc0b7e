import { expect, it } from 'vitest'
import { LyingDisk } from '../../src/env/simulated/index.ts'
import { setLogAppendTime } from '../../src/record/index.ts'
import { descriptors } from '../env/sockets.ts'
import { onEachDisk } from './disks.ts'
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

const idempotent = (baseSequence: number, count = 1) => batch({ producerId: 5, producerEpoch: 0, baseSequence, count })

onEachDisk('a batch that the log does not take', () => {
  it('is refused by its size', async () => {
    const settings = { ...defaults, maxMessageBytes: 200, segmentBytes: 150 }
    const log = await openLog(await temporaryDirectory(), { settings })
    const refused = (kafkaCode: number) => ({ code: 'PAGELOG_REFUSED', kafkaCode })
    await expect(log.appendBatch(batch({ value: 'x'.repeat(300) }), 0)).rejects.toMatchObject(refused(10))
    await expect(log.appendBatch(batch({ value: 'x'.repeat(100) }), 0)).rejects.toMatchObject(refused(18))
    const invalid = { code: 'PAGELOG_INVALID_ARGUMENT' }
    await expect(log.appendBatch(new Uint8Array(10), 0)).rejects.toMatchObject(invalid)
    await expect(log.appendBatch(new Uint8Array(100), 0)).rejects.toMatchObject(invalid)
    await expect(log.appendBatch(Buffer.concat([batch(), batch()]), 0)).rejects.toMatchObject(invalid)
    expect([log.logEndOffset, log.size]).toEqual([0, 0])
    await log.close()
  })

  it('is refused by its sequence or epoch, and nothing is stored', async () => {
    const log = await openLog(await temporaryDirectory())
    await log.appendBatch(idempotent(0, 10), 0)
    await expect(log.appendBatch(idempotent(11), 0)).rejects.toMatchObject({ kafkaCode: 45 })
    await log.appendBatch(batch({ producerId: 5, producerEpoch: 1, baseSequence: 0 }), 0)
    await expect(log.appendBatch(idempotent(10), 0)).rejects.toMatchObject({ kafkaCode: 47 })
    expect(log.logEndOffset).toBe(11)
    await log.close()
  })

  it('is refused by its leader epoch, also while a newer one is only queued', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    failing.hold()
    const queued = [log.appendBatch(batch(), 0), log.appendBatch(batch(), 5)]
    await expect(log.appendBatch(batch(), 4)).rejects.toMatchObject({ code: 'PAGELOG_REFUSED', kafkaCode: 74 })
    failing.fails = (operation, path) => (operation === 'write' ? diskFull(path) : undefined)
    failing.release()
    for (const outcome of await Promise.allSettled(queued)) expect(outcome.status).toBe('rejected')
    failing.fails = () => undefined
    expect(log.leaderEpoch).toBe(0) // that of the failed append is void
    expect(await log.appendBatch(batch(), 4)).toMatchObject({ baseOffset: 0 })
    await log.close()
  })

  it('is refused after close, those before are still written, also when that begins segments', async () => {
    for (const clean of [true, false]) {
      const failing = new FailingDisk()
      const directory = await temporaryDirectory()
      const settings = { ...defaults, segmentBytes: 300 }
      const log = await openLog(directory, { env: failing.env, settings })
      failing.hold()
      const appends = Array.from({ length: 20 }, () => log.appendBatch(batch({ value: 'x'.repeat(100) }), 0))
      const closing = log.close({ clean })
      await expect(log.appendBatch(batch(), 0)).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
      failing.release()
      const results = await Promise.all(appends)
      expect(results.map((result) => result.baseOffset)).toEqual(appends.map((_, index) => index))
      await closing
      const again = await openLog(directory, { settings, cleanShutdown: clean })
      expect((await readAll(again)).length).toBe(20)
      await again.close()
    }
  })

  it('is refused after close', async () => {
    const log = await openLog(await temporaryDirectory())
    await log.close()
    await log.close()
    await expect(log.appendBatch(batch(), 0)).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
    expect(() => log.slice(0, 1)).toThrow(expect.objectContaining({ code: 'PAGELOG_CLOSED' }))
    await expect(log.flush()).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  })
})

onEachDisk('a duplicate', () => {
  it('of a stored batch is answered with its offsets', async () => {
    const log = await openLog(await temporaryDirectory())
    await log.appendBatch(batch({ count: 4 }), 0)
    await log.appendBatch(idempotent(0, 3), 0)
    expect(await log.appendBatch(idempotent(0, 3), 0)).toEqual({
      baseOffset: 4,
      lastOffset: 6,
      timestamp: 1_700_000_000_000,
      duplicate: true,
      logAppendTimeMs: -1,
    })
    expect(log.logEndOffset).toBe(7)
    await log.close()
  })

  it('of a batch in flight waits for that, and fails with it', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    for (const isFull of [false, true]) {
      failing.hold()
      const sequence = log.logEndOffset
      const first = log.appendBatch(idempotent(sequence), 0)
      let isAnswered = false
      const second = log.appendBatch(idempotent(sequence), 0).finally(() => {
        isAnswered = true
      })
      const outcomes = Promise.allSettled([first, second])
      await new Promise(setImmediate)
      expect(isAnswered).toBe(false)
      failing.fails = (operation, path) => (isFull && operation === 'write' ? diskFull(path) : undefined)
      failing.release()
      const [one, two] = await outcomes
      expect([one.status, two.status]).toEqual(isFull ? ['rejected', 'rejected'] : ['fulfilled', 'fulfilled'])
      if (!isFull) expect(await second).toMatchObject({ baseOffset: sequence, duplicate: true })
    }
    expect(log.logEndOffset).toBe(1)
    await log.close()
  })
})

onEachDisk('a full disk', () => {
  it('fails all queued appends, takes back their offsets and sequences, and is over when there is room', async () => {
    const failing = new FailingDisk()
    const directory = await temporaryDirectory()
    const log = await openLog(directory, { env: failing.env })
    await log.appendBatch(idempotent(0), 0)
    failing.hold()
    failing.fails = (operation, path) => (operation === 'write' ? diskFull(path) : undefined)
    const queued = [1, 2, 3, 4].map((sequence) => log.appendBatch(idempotent(sequence), 0))
    failing.release()
    const outcomes = await Promise.allSettled(queued)
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'PAGELOG_DISK_FULL' } })
    }
    expect(log.logEndOffset).toBe(1)
    expect((await readAll(log)).length).toBe(1)
    failing.fails = () => undefined
    expect(await log.appendBatch(idempotent(1), 0)).toMatchObject({ baseOffset: 1, duplicate: false })
    await log.close({ clean: false })
    const again = await openLog(directory)
    expect([again.logEndOffset, again.recovery.bytesDropped]).toEqual([2, 0])
    await again.close()
  })

  it.each(['close', 'truncate', 'append'] as const)(
    'lets whoever was refused append again at once, and then %s',
    async (then) => {
      const failing = new FailingDisk()
      const directory = await temporaryDirectory()
      const log = await openLog(directory, { env: failing.env })
      await log.appendBatch(idempotent(0), 0)
      failing.fails = (operation, path) => (operation === 'write' ? diskFull(path) : undefined)
      let again: Promise<unknown> = Promise.resolve()
      await log.appendBatch(batch(), 0).catch(() => {
        failing.fails = () => undefined
        again = log.appendBatch(batch(), 0)
      })
      if (then === 'append') expect(await log.append({ value: new Uint8Array(1) })).toMatchObject({ baseOffset: 2 })
      if (then === 'truncate') expect(await log.truncateTo(2)).toBe(2)
      if (then === 'close') await log.close()
      expect(await again).toMatchObject({ baseOffset: 1 })
      await log.close()
      const opened = await openLog(directory)
      expect((await opened.verify()).problems).toEqual([])
      await opened.close()
    },
  )

  it('while a segment is begun refuses the append and begins it later', async () => {
    const failing = new FailingDisk()
    const settings = { ...defaults, segmentBytes: 200 }
    const log = await openLog(await temporaryDirectory(), { env: failing.env, settings })
    await log.appendBatch(batch({ count: 2, value: 'x'.repeat(30) }), 0)
    failing.fails = (operation, path) => (operation === 'open' ? diskFull(path) : undefined)
    await expect(log.appendBatch(batch({ value: 'y'.repeat(60) }), 0)).rejects.toMatchObject({
      code: 'PAGELOG_DISK_FULL',
    })
    expect([log.segmentCount, log.logEndOffset]).toEqual([1, 2])
    failing.fails = () => undefined
    await log.appendBatch(batch({ value: 'y'.repeat(60) }), 0)
    expect([log.segmentCount, log.logEndOffset]).toEqual([2, 3])
    expect((await readAll(log)).length).toBe(3)
    await log.close()
  })

  it('while the blocks of a new segment are reserved leaves no file behind that hides later records', async () => {
    const failing = new FailingDisk()
    const directory = await temporaryDirectory()
    const settings = { ...defaults, segmentBytes: 400, preallocate: true }
    const log = await openLog(directory, { env: failing.env, settings })
    await log.appendBatch(batch({ value: 'x'.repeat(100) }), 0)
    failing.fails = (operation, path) => (operation === 'allocate' ? diskFull(path) : undefined)
    const before = descriptors()
    for (let attempt = 0; attempt < 3; attempt++) {
      await expect(log.appendBatch(batch({ value: 'y'.repeat(300) }), 0)).rejects.toMatchObject({
        code: 'PAGELOG_DISK_FULL',
      })
    }
    expect(descriptors()).toBe(before)
    failing.fails = () => undefined
    await log.appendBatch(batch({ value: 'small' }), 0) // has room in the old segment
    expect([log.segmentCount, log.logEndOffset]).toEqual([1, 2])
    await log.close()
    const again = await openLog(directory, { settings, cleanShutdown: true })
    expect(again.logEndOffset).toBe(2)
    expect((await readAll(again)).map((record) => record.value.length)).toEqual([100, 5])
    await again.close()
  })
})

onEachDisk('a failed write', () => {
  it('beside the background work of a roll is not lost, nor is anything before it', async () => {
    const failing = new FailingDisk()
    const directory = await temporaryDirectory()
    const settings = { ...defaults, segmentBytes: 200 }
    const log = await openLog(directory, { env: failing.env, settings })
    await log.appendBatch(batch({ value: 'x'.repeat(60) }), 0)
    for (const isFull of [true, false]) {
      const name = `${String(log.logEndOffset).padStart(20, '0')}.log`
      const cause = isFull ? diskFull : storageError
      failing.fails = (operation, path) => (operation === 'write' && path.endsWith(name) ? cause(path) : undefined)
      const code = isFull ? 'PAGELOG_DISK_FULL' : 'PAGELOG_STORAGE'
      await expect(log.appendBatch(batch({ value: 'y'.repeat(100) }), 0)).rejects.toMatchObject({ code })
      failing.fails = () => undefined
      if (isFull) expect(await log.appendBatch(batch({ value: 'z'.repeat(60) }), 0)).toMatchObject({ baseOffset: 1 })
    }
    expect(log.logEndOffset).toBe(2)
    await log.close()
    expect(log.recoveryPoint).toBeLessThanOrEqual(2)
    const again = await openLog(directory, { settings, recoveryPoint: log.recoveryPoint })
    expect((await readAll(again)).map((record) => record.value[0])).toEqual(['x', 'z'])
    await again.close()
  })

  it('takes the log offline for good', async () => {
    const failing = new FailingDisk()
    const failures: Error[] = []
    const options = { env: failing.env, onFailure: (error: Error) => failures.push(error) }
    const log = await openLog(await temporaryDirectory(), options)
    await log.appendBatch(batch(), 0)
    failing.fails = (operation, path) => (operation === 'write' ? storageError(path) : undefined)
    const outcomes = await Promise.allSettled([log.appendBatch(batch(), 0), log.appendBatch(batch(), 0)])
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'PAGELOG_STORAGE' } })
    failing.fails = () => undefined
    await expect(log.appendBatch(batch(), 0)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    expect(() => log.slice(0, 100)).toThrow(expect.objectContaining({ code: 'PAGELOG_STORAGE' }))
    expect(failures.length).toBe(1)
    await log.close()
  })

  it('of fsync is never repeated and never advances the recovery point', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    await log.appendBatch(batch(), 0)
    failing.fails = (operation, path) => (operation === 'dataSync' ? storageError(path) : undefined)
    await expect(log.flush()).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    failing.fails = () => undefined
    await expect(log.flush()).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    await log.close()
    expect(failing.count('dataSync')).toBe(1)
    expect(log.recoveryPoint).toBe(0)
  })
})

onEachDisk('group commit', () => {
  it('writes what was queued meanwhile at once', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    let moves = 0
    const unsubscribe = log.onAppend(() => moves++)
    failing.hold()
    const appends = Array.from({ length: 50 }, () => log.appendBatch(batch(), 0))
    failing.release()
    await Promise.all(appends)
    expect(failing.count('write')).toBeLessThanOrEqual(2)
    expect(moves).toBe(failing.count('write'))
    unsubscribe()
    const before = moves
    await log.appendBatch(batch(), 0)
    expect(moves).toBe(before)
    await log.close()
  })

  it('shares an fsync among concurrent appends with flush.messages=1, before they are visible', async () => {
    const failing = new FailingDisk()
    const settings = { ...defaults, flushMessages: 1 }
    const log = await openLog(await temporaryDirectory(), { env: failing.env, settings })
    await Promise.all(Array.from({ length: 100 }, () => log.appendBatch(batch(), 0)))
    expect(failing.count('dataSync')).toBeLessThanOrEqual(3)
    expect(log.recoveryPoint).toBe(100)
    failing.fails = (operation, path) => (operation === 'dataSync' ? storageError(path) : undefined)
    await expect(log.appendBatch(batch(), 0)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    expect(log.logEndOffset).toBe(100)
    await log.close()
  })

  it('syncs the index files of a full segment, even when its records were synced before', async () => {
    const failing = new FailingDisk()
    const settings = { ...defaults, flushMessages: 1, segmentBytes: 200 }
    const log = await openLog(await temporaryDirectory(), { env: failing.env, settings })
    for (let index = 0; index < 30; index++) await log.appendBatch(batch({ value: 'x'.repeat(100) }), 0)
    await log.close({ clean: false })
    const written = failing.calls.filter((call) => call.operation === 'write' && call.path.endsWith('index'))
    expect(written.length).toBeGreaterThan(10)
    for (const { path } of written) {
      expect(
        failing.calls.findLastIndex((call) => call.operation === 'dataSync' && call.path === path),
      ).toBeGreaterThan(failing.calls.findLastIndex((call) => call.operation === 'write' && call.path === path))
    }
  })

  it('syncs within flush.ms', async () => {
    const settings = { ...defaults, flushMs: 1 }
    const log = await openLog(await temporaryDirectory(), { settings })
    await log.appendBatch(batch(), 0)
    while (log.recoveryPoint < 1) await new Promise(setImmediate)
    await log.close()
  })
})

it('what a full disk has refused stays away after a power loss', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const lying = new LyingDisk({ seed })
    await lying.disk.makeDirectory('/log')
    const open = () => openLog('/log', { env: { ...env, disk: lying.disk } })
    const log = await open()
    await log.appendBatch(batch({ value: 'kept' }), 0)
    await log.flush()
    lying.inject({ operation: 'write', path: '.log', error: 'short' }) // it takes a part, maybe a whole batch
    const value = 'refused'.repeat(20)
    const appends = [log.appendBatch(batch({ value }), 0), log.appendBatch(batch({ value }), 0)]
    const refusal = { status: 'rejected', reason: { code: 'PAGELOG_DISK_FULL' } }
    expect(await Promise.allSettled(appends)).toMatchObject([refusal, refusal])
    lying.crash()
    await log.close({ clean: false }).catch(() => {})
    const again = await open()
    expect(await readAll(again), `seed ${seed}`).toEqual([{ offset: 0, value: 'kept' }])
    await again.close()
  }
})

it('a segment that found no room does not come back after a power loss, to hide what went elsewhere', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const lying = new LyingDisk({ seed })
    await lying.disk.makeDirectory('/log')
    const settings = { ...defaults, segmentBytes: 300, preallocate: true }
    const open = (recoveryPoint: number) =>
      openLog('/log', { env: { ...env, disk: lying.disk }, settings, recoveryPoint })
    const log = await open(0)
    await log.appendBatch(batch({ value: 'first'.padEnd(100) }), 0)
    await log.flush()
    lying.inject({ operation: 'allocate', error: 'ENOSPC' })
    const refused = log.appendBatch(batch({ value: 'large'.repeat(30) }), 0)
    await expect(refused).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    await log.appendBatch(batch({ value: 'small' }), 0)
    lying.crash()
    await log.close({ clean: false }).catch(() => {})
    const again = await open(1)
    await again.appendBatch(batch({ value: 'next' }), 0)
    const values = (await readAll(again)).map(({ value }) => value.trim())
    expect([...values, seed]).toEqual(['first', ...(values.length === 3 ? ['small'] : []), 'next', seed])
    await again.close()
  }
})

onEachDisk('settings of a log', () => {
  it('LogAppendTime stamps batches and their CRC', async () => {
    const settings = { ...defaults, messageTimestampType: 'LogAppendTime' }
    const log = await openLog(await temporaryDirectory(), { settings })
    const before = Date.now()
    const { logAppendTimeMs } = await log.appendBatch(batch({ timestampMs: 5 }), 0)
    expect(logAppendTimeMs).toBeGreaterThanOrEqual(before)
    await readAll(log)
    const slice = await log.slice(0, 1000)
    const expected = batch({ timestampMs: 5 })
    setLogAppendTime(expected, 0, logAppendTimeMs)
    expect((await bytesOf(slice.regions)).subarray(21, 61)).toEqual(Buffer.from(expected.subarray(21, 61)))
    await log.close()
  })

  it('segment.ms begins a segment when batches are younger than its first one', async () => {
    const settings = { ...defaults, segmentMs: 1000 }
    const log = await openLog(await temporaryDirectory(), { settings })
    for (const timestampMs of [5000, 6000, 5500, 6001, 6500]) await log.appendBatch(batch({ timestampMs }), 0)
    expect(log.segmentCount).toBe(2)
    expect((await log.offsetForTime(6000))?.offset).toBe(1)
    expect(await log.offsetForTime(6001)).toEqual({ offset: 3, timestamp: 6001, leaderEpoch: 0 })
    expect((await log.offsetForTime(0))?.offset).toBe(0)
    expect(await log.offsetForTime(6501)).toBeUndefined()
    expect(await log.latestTimestampOffset()).toEqual({ offset: 4, timestamp: 6500, leaderEpoch: 0 })
    await log.close()
  })

  it('segment.index.bytes begins a segment when an index is full', async () => {
    const settings = { ...defaults, segmentIndexBytes: 60, indexIntervalBytes: 0 }
    const log = await openLog(await temporaryDirectory(), { settings })
    for (let index = 0; index < 40; index++) await log.appendBatch(batch({ timestampMs: index, value: `${index}` }), 0)
    expect(log.segmentCount).toBeGreaterThan(4)
    expect((await readAll(log)).length).toBe(40)
    for (let index = 0; index < 40; index++) expect((await log.offsetForTime(index))?.offset).toBe(index)
    await log.close()
  })
})
