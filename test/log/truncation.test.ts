import { expect, it } from 'vitest'
import { LyingDisk } from '../../src/env/simulated/index.ts'
import { type Log, LogDirectory } from '../../src/log/index.ts'
import { onEachDisk, readdir, readFile } from './disks.ts'
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
const fill = async (log: Log, count: number, mark = 'a'): Promise<void> => {
  for (let index = 0; index < count; index++) {
    await log.appendBatch(batch({ value: `${mark}${log.logEndOffset}`.padEnd(100, '.') }), 0)
  }
}
const valuesOf = async (log: Log): Promise<string[]> =>
  (await readAll(log)).map((record) => record.value.replaceAll('.', ''))
const valued = (mark: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `${mark}${from + index}`)

onEachDisk('truncateTo', () => {
  it('cuts inside the active segment, and appends go on from there', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory)
    await fill(log, 10)
    expect(await log.truncateTo(6)).toBe(6)
    expect(log.logEndOffset).toBe(6)
    await fill(log, 2, 'b')
    expect(await valuesOf(log)).toEqual([...valued('a', 0, 6), 'b6', 'b7'])
    await log.close()
    const again = await openLog(directory)
    expect(await valuesOf(again)).toEqual([...valued('a', 0, 6), 'b6', 'b7'])
    await again.close()
  })

  it('knows the producers when the batch that holds the start of the log goes', async () => {
    for (const isCrash of [false, true]) {
      const directory = await temporaryDirectory()
      const settings = { ...small, segmentBytes: 500 }
      let log = await openLog(directory, { settings })
      const append = async (baseSequence: number) =>
        await log.appendBatch(
          batch({ producerId: 7, producerEpoch: 0, baseSequence, count: 5, value: 'v'.repeat(8) }),
          0,
        )
      for (let sequence = 0; sequence < 100; sequence += 5) await append(sequence)
      await log.trimBefore(88)
      const names = (await readdir(directory)).filter((name) => name.endsWith('.log'))
      expect(Number.parseInt(names.sort()[0]!, 10)).toBeLessThan(85) // one with batches before the one to be cut
      expect(await log.truncateTo(89)).toBe(88)
      if (isCrash) {
        await log.close({ clean: false })
        log = await openLog(directory, { settings, logStartOffset: 88, recoveryPoint: 88 })
      }
      expect(await append(85)).toMatchObject({ baseOffset: 88, duplicate: false })
      await log.close()
    }
  })

  it('removes later segments, also down to an empty log', async () => {
    for (const offset of [7, 3, 0]) {
      const directory = await temporaryDirectory()
      const log = await openLog(directory, { settings: small })
      await fill(log, 10)
      await log.flush()
      expect(await log.truncateTo(offset)).toBe(offset)
      expect([log.logEndOffset, log.recoveryPoint]).toEqual([offset, offset])
      await fill(log, 3, 'b')
      const expected = [...valued('a', 0, offset), ...valued('b', offset, offset + 3)]
      expect(await valuesOf(log)).toEqual(expected)
      const clean = offset === 3
      await log.close({ clean })
      const again = await openLog(directory, { settings: small, cleanShutdown: clean })
      expect(await valuesOf(again)).toEqual(expected)
      expect(await again.offsetForTime(0)).toMatchObject({ offset: 0 })
      await again.close()
    }
  })

  it('gives up the whole batch that holds the offset, also what was trimmed of it', async () => {
    const log = await openLog(await temporaryDirectory())
    await log.appendBatch(batch({ count: 5 }), 0)
    await log.appendBatch(batch({ count: 5 }), 0)
    expect(await log.truncateTo(7)).toBe(5)
    await log.trimBefore(3)
    // The start never goes back, so the log goes on there.
    expect(await log.truncateTo(4)).toBe(3)
    expect([log.logStartOffset, log.logEndOffset, log.size, log.segmentCount]).toEqual([3, 3, 0, 1])
    await fill(log, 1, 'b')
    expect(await valuesOf(log)).toEqual(['b3'])
    await log.close({ clean: false })
    const again = await openLog(log.directory, { logStartOffset: 3 })
    expect(await valuesOf(again)).toEqual(['b3'])
    await again.close()
  })

  it('at the end changes nothing; outside of the log, or without a number, it is refused', async () => {
    const log = await openLog(await temporaryDirectory())
    await fill(log, 4)
    await log.trimBefore(2)
    expect(await log.truncateTo(4)).toBe(4)
    for (const offset of [1, 5]) {
      await expect(log.truncateTo(offset)).rejects.toMatchObject({ code: 'PAGELOG_OFFSET_OUT_OF_RANGE', offset })
    }
    await expect(log.truncateTo(2.5)).rejects.toMatchObject({ code: 'PAGELOG_INVALID_ARGUMENT' })
    const signal = AbortSignal.abort('late')
    await expect(log.truncateTo(3, { signal })).rejects.toMatchObject({ code: 'PAGELOG_ABORTED', cause: 'late' })
    expect(log.logEndOffset).toBe(4)
    await log.close()
    await expect(log.truncateTo(3)).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  })

  it('lets appends called before it be written first and those called meanwhile follow the new end', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    await fill(log, 3)
    failing.hold()
    const before = [log.appendBatch(batch(), 0), log.appendBatch(batch(), 0)]
    const truncated = log.truncateTo(1)
    await new Promise(setImmediate)
    const meanwhile = [log.appendBatch(batch({ value: 'x' }), 0), log.append({ value: new Uint8Array([121]) })]
    failing.release()
    expect((await Promise.all(before)).map((result) => result.baseOffset)).toEqual([3, 4])
    expect(await truncated).toBe(1)
    expect((await Promise.all(meanwhile)).map((result) => result.baseOffset)).toEqual([1, 2])
    expect(await valuesOf(log)).toEqual(['a0', 'x', 'y'])
    await log.close()
  })

  it('takes idempotent producers and leader epochs back to what the log still says', async () => {
    const log = await openLog(await temporaryDirectory(), { settings: small })
    const next = (baseSequence: number, epoch: number) =>
      log.appendBatch(batch({ producerId: 9, producerEpoch: 0, baseSequence, value: 'v'.repeat(100) }), epoch)
    for (let sequence = 0; sequence < 6; sequence++) await next(sequence, sequence < 4 ? 0 : 7)
    expect(log.leaderEpoch).toBe(7)
    await log.truncateTo(2)
    expect(log.leaderEpoch).toBe(0)
    expect(await next(1, 0)).toMatchObject({ baseOffset: 1, duplicate: true })
    await expect(next(5, 0)).rejects.toMatchObject({ kafkaCode: 45 })
    expect(await next(2, 3)).toMatchObject({ baseOffset: 2, duplicate: false })
    expect(await readFile(`${log.directory}/leader-epoch-checkpoint`, 'utf8')).toBe('0\n2\n0 0\n3 2\n')
    await log.truncateTo(0)
    expect(log.producerCount).toBe(0)
    await log.close()
  })

  it('leaves no memory of positions behind the cut', async () => {
    const log = await openLog(await temporaryDirectory())
    await fill(log, 4)
    const first = await log.slice(0, 10_000)
    expect((await bytesOf(first.regions)).length).toBe(log.size)
    await log.truncateTo(2)
    await log.appendBatch(batch({ count: 2, value: 'long'.repeat(200) }), 0)
    await fill(log, 1, 'c')
    expect((await readAll(log, 4)).map((record) => record.value.slice(0, 2))).toEqual(['c4'])
    await log.close()
  })
})

onEachDisk('truncateTo on a failing disk', () => {
  it('lowers the recovery point in the checkpoint before it cuts, and syncs the cut before it appends', async () => {
    const failing = new FailingDisk()
    const path = await temporaryDirectory()
    const directory = await LogDirectory.open({ env: failing.env, path, defaults: small })
    const log = await directory.create('events', 0)
    await fill(log, 6)
    await log.flush()
    failing.calls.length = 0
    await log.truncateTo(3)
    await log.appendBatch(batch(), 0)
    const names = failing.calls.map((call) => `${call.operation} ${call.path.slice(path.length + 1)}`)
    const at = (pattern: RegExp): number => names.findIndex((name) => pattern.test(name))
    const lowered = at(/^replaceFile recovery-point-offset-checkpoint/)
    expect(lowered).toBeGreaterThanOrEqual(0)
    expect(at(/^(unlink|truncate)/)).toBeGreaterThan(lowered)
    const removed = names.filter((name) => /^unlink .*\.log$/.test(name)).map((name) => Number(name.slice(-24, -4)))
    expect(removed).toEqual([5, 4])
    expect(at(/^write events-0\/.*\.log/)).toBeGreaterThan(at(/^syncDirectory events-0/))
    await directory.close()
  })

  it('on a full disk changes nothing when the checkpoint cannot be written', async () => {
    const failing = new FailingDisk()
    const path = await temporaryDirectory()
    const directory = await LogDirectory.open({ env: failing.env, path, defaults: small })
    const log = await directory.create('events', 0)
    await fill(log, 6)
    await log.flush()
    failing.fails = (operation, at) => (operation === 'replaceFile' ? diskFull(at) : undefined)
    await expect(log.truncateTo(3)).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    expect([log.logEndOffset, log.recoveryPoint, directory.offline]).toEqual([6, 6, false])
    failing.fails = () => undefined
    expect(await log.truncateTo(3)).toBe(3)
    expect(await valuesOf(log)).toEqual(valued('a', 0, 3))
    await directory.close()
  })

  it('on a full disk that has no room for the next segment cuts all the same; appends wait for the room', async () => {
    const failing = new FailingDisk()
    const path = await temporaryDirectory()
    const settings = { ...small, segmentBytes: 500 }
    const directory = await LogDirectory.open({ env: failing.env, path, defaults: settings })
    const log = await directory.create('events', 0)
    await fill(log, 6) // two to a segment
    failing.fails = (operation, at) => (operation === 'open' && at.endsWith('3.log') ? diskFull(at) : undefined)
    expect(await log.truncateTo(3)).toBe(3)
    expect([log.logEndOffset, log.segmentCount, directory.offline]).toEqual([3, 2, false])
    await expect(log.appendBatch(batch(), 0)).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    expect(await valuesOf(log)).toEqual(valued('a', 0, 3))
    failing.fails = () => undefined
    await fill(log, 2, 'b')
    expect(log.segmentCount).toBe(3) // what is cut may have gaps: nothing goes behind them
    const expected = [...valued('a', 0, 3), 'b3', 'b4']
    expect(await valuesOf(log)).toEqual(expected)
    await directory.close()
    const again = await LogDirectory.open({ env, path, defaults: settings })
    expect(await valuesOf(again.get('events', 0)!)).toEqual(expected)
    await again.close()
  })

  it('never calls a refusal what fails for want of space after the cut was begun', async () => {
    const failing = new FailingDisk()
    const path = await temporaryDirectory()
    const directory = await LogDirectory.open({ env: failing.env, path, defaults: small })
    const log = await directory.create('events', 0)
    await fill(log, 6)
    failing.fails = (operation, at) => (operation === 'unlink' && at.endsWith('.log') ? diskFull(at) : undefined)
    await expect(log.truncateTo(3)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    expect(directory.offline).toBe(true)
    failing.fails = () => undefined
    await directory.close()
    const again = await LogDirectory.open({ env, path, defaults: small })
    expect(await valuesOf(again.get('events', 0)!)).toEqual(valued('a', 0, 6))
    await again.close()
  })

  it('takes the directory offline when a step fails; the next open finds a log again', async () => {
    for (const failed of ['replaceFile', 'unlink', 'truncate', 'dataSync', 'syncDirectory'] as const) {
      const failing = new FailingDisk()
      const path = await temporaryDirectory()
      const directory = await LogDirectory.open({ env: failing.env, path, defaults: { ...small, segmentBytes: 500 } })
      const log = await directory.create('events', 0)
      await fill(log, 9)
      await log.flush()
      failing.fails = (operation, at) => (operation === failed ? storageError(at) : undefined)
      await expect(log.truncateTo(3)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
      expect(directory.offline).toBe(true)
      failing.fails = () => undefined
      await directory.close()
      const again = await LogDirectory.open({ env, path, defaults: small })
      const found = await valuesOf(again.get('events', 0)!)
      expect(found).toEqual(valued('a', 0, found.length))
      expect(found.length).toBeGreaterThanOrEqual(3)
      await again.close()
    }
  })
})

it('a power loss at any step of a truncation leaves a log that opens, with all that is to stay', async () => {
  for (let step = 0, isOver = false; !isOver; step++) {
    const lying = new LyingDisk({ seed: step })
    const open = () => LogDirectory.open({ env: { ...env, disk: lying.disk }, path: '/data', defaults: small })
    const directory = await open()
    const log = await directory.create('events', 0)
    await fill(log, 6)
    await log.flush()
    lying.stopAt(lying.steps + step)
    const truncating = log.truncateTo(3)
    await truncating
      .then(
        () => fill(log, 1, 'b'),
        () => {},
      )
      .catch(() => {})
    isOver = !lying.isOff
    lying.crash()
    await directory.close({ clean: false }).catch(() => {})
    const again = await open()
    expect([...again.damaged.keys()], `seed and step ${step}`).toEqual([])
    const found = await valuesOf(again.get('events', 0)!)
    const isCut = found[3] === undefined || found[3] === 'b3'
    expect(found, `seed and step ${step}`).toEqual(
      isCut ? [...valued('a', 0, 3), ...found.slice(3)] : valued('a', 0, found.length),
    )
    expect(found.length).toBeGreaterThanOrEqual(3)
    const next = again.get('events', 0)!
    await fill(next, 1, 'c')
    expect((await valuesOf(next)).at(-1)).toBe(`c${found.length}`)
    await again.close()
  }
})

it('truncation leaves no file behind that the log does not have', async () => {
  const directory = await temporaryDirectory()
  const log = await openLog(directory, { settings: small })
  await fill(log, 6)
  await log.truncateTo(2)
  await log.close()
  const names = (await readdir(directory)).filter((name) => /^\d/.test(name)).map((name) => name.slice(17))
  expect(names.filter((name) => Number(name.slice(0, 3)) > 2)).toEqual([])
})
