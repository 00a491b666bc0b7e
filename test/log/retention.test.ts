import { expect, it } from 'vitest'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { type Log, LogDirectory, type LogSettings } from '../../src/log/index.ts'
import { onEachDisk, readdir } from './disks.ts'
import { batch, defaults, diskFull, env, FailingDisk, openLog, readAll, temporaryDirectory } from './support.ts'

const HOUR = 3_600_000
const small = { ...defaults, segmentBytes: 300, fileDeleteDelayMs: 0, retentionMs: -1 }
/** One record of about 170 bytes, so one to a segment. */
const append = async (log: Log, timestampMs: number): Promise<void> => {
  await log.appendBatch(batch({ value: 'v'.repeat(100), timestampMs }), 0)
}
const opened = async (settings: Partial<LogSettings>, clock = new VirtualClock()) => {
  const log = await openLog(await temporaryDirectory(), { env: { ...env, clock }, settings: { ...small, ...settings } })
  return { log, clock, now: clock.nowMs() }
}
const offsetsOf = async (log: Log): Promise<number[]> => (await readAll(log)).map((record) => record.offset)

onEachDisk('retention by time', () => {
  it('removes leading segments whose records all are older, and stops at the first that is not', async () => {
    const { log, now } = await opened({ retentionMs: 2 * HOUR })
    for (const hours of [5, 4, 1, 3, 0]) await append(log, now - hours * HOUR)
    expect(await log.applyRetention()).toMatchObject({ logStartOffset: 2, segments: 2 })
    expect(await offsetsOf(log)).toEqual([2, 3, 4])
    expect(await log.applyRetention()).toEqual({ logStartOffset: 2, segments: 0, bytes: 0 })
    await log.close()
  })

  it('goes by the largest timestamp of a segment, so that a record from the future keeps it', async () => {
    const { log, now } = await opened({ retentionMs: HOUR, segmentBytes: 2000 })
    await append(log, now - 9 * HOUR)
    await append(log, now + 9 * HOUR)
    await append(log, now - 9 * HOUR)
    expect(await log.applyRetention()).toMatchObject({ segments: 0 })
    await log.close()
  })

  it('seals and removes the active segment when all of it is too old', async () => {
    const { log, clock, now } = await opened({ retentionMs: HOUR })
    await append(log, now)
    await append(log, now)
    clock.advance(HOUR)
    expect(await log.applyRetention()).toMatchObject({ segments: 0 }) // as old as is allowed
    clock.advance(1)
    expect(await log.applyRetention()).toMatchObject({ logStartOffset: 2, segments: 2 })
    expect([log.logStartOffset, log.logEndOffset, log.size, log.segmentCount]).toEqual([2, 2, 0, 1])
    clock.advance(HOUR)
    expect(await log.applyRetention()).toMatchObject({ segments: 0 })
    await append(log, clock.nowMs())
    expect(await offsetsOf(log)).toEqual([2])
    await log.close()
  })

  it('is as old as the file where records have no timestamps', async () => {
    const { log } = await opened({ retentionMs: HOUR }, new VirtualClock(Date.now() + 100 * HOUR))
    await append(log, -1)
    await append(log, -1)
    expect(await log.applyRetention()).toMatchObject({ segments: 2 })
    await log.close()
    const { log: young } = await opened({ retentionMs: HOUR }, new VirtualClock(0))
    await append(young, -1)
    expect(await young.applyRetention()).toMatchObject({ segments: 0 })
    await young.close()
  })

  it('knows the timestamps of segments after a restart', async () => {
    const clock = new VirtualClock()
    const directory = await temporaryDirectory()
    const options = { env: { ...env, clock }, settings: { ...small, retentionMs: 2 * HOUR } }
    const log = await openLog(directory, options)
    for (const hours of [5, 4, 1]) await append(log, clock.nowMs() - hours * HOUR)
    await log.close()
    const again = await openLog(directory, { ...options, cleanShutdown: true })
    expect(await again.applyRetention()).toMatchObject({ logStartOffset: 2, segments: 2 })
    await again.close()
  })
})

onEachDisk('retention by size', () => {
  it('removes leading segments while the others have at least retention.bytes', async () => {
    const { log, now } = await opened({})
    for (let count = 0; count < 6; count++) await append(log, now)
    const one = log.size / 6
    await log.close()
    for (const [retentionBytes, kept] of [
      [3 * one, 3],
      [3 * one + 1, 4],
      [0, 0],
      [-1, 6],
    ] as const) {
      const { log } = await opened({ retentionBytes })
      for (let count = 0; count < 6; count++) await append(log, now)
      expect(await log.applyRetention()).toMatchObject({ segments: 6 - kept })
      expect((await offsetsOf(log)).length).toBe(kept)
      await log.close()
    }
  })

  it('and by time hold together', async () => {
    const { log, now } = await opened({ retentionMs: 3 * HOUR, retentionBytes: 700 })
    for (const hours of [9, 2, 2, 2, 2, 2]) await append(log, now - hours * HOUR)
    await log.applyRetention()
    expect((await offsetsOf(log)).length).toBe(Math.ceil(700 / (log.size / log.segmentCount)))
    await log.close()
  })
})

onEachDisk('cleanup.policy', () => {
  it('without delete keeps everything but what lies before the start; with both, retention holds', async () => {
    for (const [cleanupPolicy, segments] of [
      [['compact'], 0],
      [[], 0],
      [['compact', 'delete'], 3],
    ] as const) {
      const { log, now } = await opened({ retentionMs: HOUR, retentionBytes: 0, cleanupPolicy })
      for (let count = 0; count < 3; count++) await append(log, now - 9 * HOUR)
      expect(await log.applyRetention()).toMatchObject({ segments })
      await log.close()
    }
  })
})

onEachDisk('a directory', () => {
  it('applies retention every log.retention.check.interval.ms', async () => {
    const clock = new VirtualClock()
    const path = await temporaryDirectory()
    const directory = await LogDirectory.open({
      env: { ...env, clock },
      path,
      defaults: { ...small, retentionMs: HOUR },
      settings: { logRetentionCheckIntervalMs: 1000 },
    })
    const logs = await Promise.all(['a', 'b', 'c'].map((topic) => directory.create(topic, 0)))
    for (const log of logs) await append(log, clock.nowMs() - 2 * HOUR)
    for (const log of logs) await append(log, clock.nowMs())
    clock.advance(999)
    expect(logs.map((log) => log.logStartOffset)).toEqual([0, 0, 0])
    clock.advance(1)
    await expect.poll(() => logs.map((log) => log.logStartOffset)).toEqual([1, 1, 1])
    await directory.close()
    expect(clock.timerCount).toBe(0)
  })

  it('goes on with the other logs when one fails, and says so', async () => {
    const clock = new VirtualClock()
    const failing = new FailingDisk()
    const path = await temporaryDirectory()
    const directory = await LogDirectory.open({
      env: { ...failing.env, clock },
      path,
      defaults: { ...small, retentionMs: HOUR },
    })
    const logs = await Promise.all(['a', 'b'].map((topic) => directory.create(topic, 0)))
    for (const log of logs) await append(log, clock.nowMs() - 2 * HOUR)
    failing.fails = (operation, at) => (operation === 'open' && at.includes('/a-0/') ? diskFull(at) : undefined)
    // There is no room for the next segment of the one: what it has stays until there is.
    await directory.applyRetention()
    expect(logs.map((log) => log.logStartOffset)).toEqual([0, 1])
    failing.fails = () => undefined
    await directory.applyRetention()
    expect(logs.map((log) => log.logStartOffset)).toEqual([1, 1])
    expect(await readdir(`${path}/a-0`)).not.toContain('00000000000000000000.log')
    await directory.close()
  })

  it('keeps what retention removed removed over a power loss', async () => {
    const clock = new VirtualClock()
    const path = await temporaryDirectory()
    const open = () => LogDirectory.open({ env: { ...env, clock }, path, defaults: { ...small, retentionBytes: 400 } })
    const directory = await open()
    const log = await directory.create('a', 0)
    for (let count = 0; count < 6; count++) await append(log, clock.nowMs())
    await directory.applyRetention()
    const start = log.logStartOffset
    expect(start).toBeGreaterThan(0)
    await directory.close({ clean: false })
    const again = await open()
    expect(again.get('a', 0)!.logStartOffset).toBe(start)
    await again.close()
  })
})

it('segments roll apart with segment.jitter.ms, and always within segment.ms', async () => {
  const settings = { segmentBytes: 1 << 20, segmentMs: HOUR, segmentJitterMs: HOUR / 2 }
  const counts: number[] = []
  for (let index = 0; index < 8; index++) {
    const { log, now } = await opened(settings)
    await append(log, now)
    let ageMs = 0
    while (log.segmentCount === 1) {
      ageMs += HOUR / 60
      await append(log, now + ageMs)
    }
    expect(ageMs).toBeGreaterThanOrEqual(HOUR / 2)
    expect(ageMs).toBeLessThanOrEqual(HOUR + HOUR / 60)
    counts.push(ageMs)
    await log.close()
  }
  expect(new Set(counts).size).toBeGreaterThan(1)
})
