/** Logs are read through in the background for bytes that have changed: what is found, how fast it goes, when it ends. */
import { describe, expect, test } from 'vitest'
import { type MemoryDisk, memoryDisk } from '../../src/env/memory/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { type Log, LogDirectory, type LogDirectoryOptions } from '../../src/log/index.ts'
import { compactSettings, machineOn } from './compaction-support.ts'
import { batch } from './support.ts'

const PATH = '/data'
const SEGMENT = '00000000000000000000.log'
const HEADER_BYTES = 61

interface Opened {
  readonly directory: LogDirectory
  readonly clock: VirtualClock
  readonly disk: MemoryDisk
}

const plain = { ...compactSettings, cleanupPolicy: ['delete'] as const, segmentBytes: 64 * 1024 }

async function opened(options: Partial<LogDirectoryOptions> = {}, before?: Opened): Promise<Opened> {
  const clock = new VirtualClock()
  const disk = before?.disk ?? memoryDisk()
  const directory = await LogDirectory.open({ env: machineOn(disk, clock), path: PATH, defaults: plain, ...options })
  return { directory, clock, disk }
}

/** About so many bytes, in batches of 1 KiB. */
async function fill(log: Log, bytes: number): Promise<void> {
  const value = 'v'.repeat(1000)
  for (let left = bytes; left > 0; left -= 1024) await log.appendBatch(batch({ value }), 0)
}

async function flip(disk: MemoryDisk, path: string, position: number): Promise<void> {
  const file = await disk.open(path, 'write')
  const byte = new Uint8Array(1)
  await file.read(byte, position)
  byte[0]! ^= 0x10
  await file.write([byte], position)
  await file.close()
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Virtual time passes until a pass has ended; how much it was, in steps of 10 ms. */
async function passed({ directory, clock }: Opened): Promise<number> {
  const { scrubber } = directory.knownDamage
  const { passes } = scrubber.stats
  let tookMs = 0
  for (; scrubber.stats.passes === passes; tookMs += 10) {
    expect(tookMs).toBeLessThan(600_000)
    clock.advance(10)
    await turns()
  }
  return tookMs
}

describe('a log that is open', () => {
  test('is read through a second after start, and nothing is wrong with it', async () => {
    const { disk, directory: first } = await opened()
    await fill(await first.create('sound', 0), 200_000)
    await first.close()
    const again = await opened({}, { directory: first, clock: new VirtualClock(), disk })
    await passed(again)
    const { stats } = again.directory.knownDamage.scrubber
    expect(stats).toMatchObject({ passes: 1, damaged: 0 })
    expect(stats.bytesRead).toBeGreaterThan(200_000)
    expect(again.directory.knownDamage.names).toEqual([])
    await again.directory.close()
  })

  test.each([
    ['a payload in a sealed segment', HEADER_BYTES + 500, /CRC/],
    ['the checksum of a batch', 17, /CRC/],
    ['the length of a batch', 8, /./],
    ['the base offset of a batch', 2, /was expected/],
    ['the leader epoch of a batch', 13, /leader epoch/],
  ])('and closed in order, with a flipped bit in %s: it is found, told and served on', async (_, at, reason) => {
    const { disk, directory: first } = await opened()
    for (const name of ['damaged', 'sound']) await fill(await first.create(name, 0), 200_000)
    const size = first.get('damaged', 0)!.size / 200
    expect(first.get('damaged', 0)!.segmentCount).toBeGreaterThan(1)
    await first.close()
    const stored = (await disk.readFile(`${PATH}/damaged-0/${SEGMENT}`))!
    // The third batch of the first segment.
    const third = 2 * (12 + new DataView(stored.buffer, stored.byteOffset).getInt32(8))
    expect(third).toBeLessThan(3 * size)
    await flip(disk, `${PATH}/damaged-0/${SEGMENT}`, third + at)
    const again = await opened({}, { directory: first, clock: new VirtualClock(), disk })
    const { directory } = again
    expect(directory.damaged.size).toBe(0)
    const told: string[] = []
    directory.knownDamage.onFound(({ topic, partition }) => told.push(`${topic}-${partition}`))
    await passed(again)
    expect(told).toEqual(['damaged-0'])
    const error = directory.knownDamage.get('damaged-0')!
    expect(error).toMatchObject({ code: 'PAGELOG_CORRUPT', path: `${PATH}/damaged-0/${SEGMENT}`, position: third })
    expect(error.message).toMatch(reason)
    expect(directory.knownDamage.scrubber.stats.damaged).toBe(1)
    await directory.get('damaged', 0)!.appendBatch(batch(), 0)
    await directory.close()
  })

  test('is read no faster than pagelog.scrub.bytes.per.second', async () => {
    const { disk, directory: first } = await opened()
    await fill(await first.create('events', 0), 1_000_000)
    await first.close()
    const settings = { scrubBytesPerSecond: 100_000 }
    const again = await opened({ settings }, { directory: first, clock: new VirtualClock(), disk })
    const tookMs = await passed(again)
    expect(tookMs).toBeGreaterThan(9500)
    const { bytesRead } = again.directory.knownDamage.scrubber.stats
    expect(bytesRead / (tookMs / 1000)).toBeLessThan(105_000)
    await again.directory.close()
  })

  test('has many small batches: they count as more than they are, so that the processor is not what bounds it', async () => {
    const { disk, directory: first } = await opened()
    const log = await first.create('events', 0)
    for (let count = 0; count < 8192; count++) await log.appendBatch(batch({ value: 'v' }), 0)
    await first.close()
    const settings = { scrubBytesPerSecond: 1024 * 1024 }
    const again = await opened({ settings }, { directory: first, clock: new VirtualClock(), disk })
    // A second and a half by their bytes alone.
    expect(await passed(again)).toBeGreaterThan(4500)
    const { bytesRead } = again.directory.knownDamage.scrubber.stats
    expect(bytesRead).toBeLessThan(8192 * 100)
    await again.directory.close()
  })

  test('is read again after pagelog.scrub.interval.ms: what has changed meanwhile is found', async () => {
    const one = await opened({ settings: { scrubIntervalMs: 50_000 } })
    const log = await one.directory.create('events', 0)
    await fill(log, 10_000)
    await passed(one)
    expect(one.directory.knownDamage.names).toEqual([])
    await flip(one.disk, `${PATH}/events-0/${SEGMENT}`, 5000)
    expect(await passed(one)).toBeGreaterThanOrEqual(49_000)
    expect(one.directory.knownDamage.names).toEqual(['events-0'])
    await one.directory.close()
  })

  test('is not read at a rate of 0', async () => {
    const one = await opened({ settings: { scrubBytesPerSecond: 0, scrubIntervalMs: 1 } })
    await fill(await one.directory.create('events', 0), 10_000)
    for (let step = 0; step < 100; step++) {
      one.clock.advance(100)
      await turns()
    }
    expect(one.directory.knownDamage.scrubber.stats).toMatchObject({ isRunning: false, passes: 0, bytesRead: 0 })
    await one.directory.close()
  })

  test('is cut and written again while it is read: that is no damage', async () => {
    const one = await opened({ settings: { scrubBytesPerSecond: 50_000, scrubIntervalMs: 1 } })
    const log = await one.directory.create('events', 0)
    await fill(log, 50_000)
    for (let round = 0; round < 40; round++) {
      one.clock.advance(300)
      await turns()
      await log.truncateTo(log.logEndOffset - 20)
      const sizes = [300, 1000, 1700]
      for (let count = 0; count < 20; count++)
        await log.appendBatch(batch({ value: 'w'.repeat(sizes[(round + count) % sizes.length]!) }), 0)
    }
    expect(one.directory.knownDamage.scrubber.stats.passes).toBeGreaterThan(1)
    expect(one.directory.knownDamage.names).toEqual([])
    await one.directory.close()
  })

  test('is read before others where others rely on it', async () => {
    const { disk, directory: first } = await opened()
    for (const name of ['a', 'b', 'c']) await fill(await first.create(name, 0), 10_000)
    await first.close()
    for (const name of ['a', 'b', 'c']) await flip(disk, `${PATH}/${name}-0/${SEGMENT}`, 5000)
    const scrubsFirst = ({ topic }: { topic: string }): boolean => topic === 'c'
    const again = await opened({ scrubsFirst }, { directory: first, clock: new VirtualClock(), disk })
    await passed(again)
    expect(again.directory.knownDamage.names).toEqual(['c-0', 'a-0', 'b-0'])
    await again.directory.close()
  })

  test('can be closed while it is read, and is not read then', async () => {
    const one = await opened({ settings: { scrubBytesPerSecond: 1000 } })
    await fill(await one.directory.create('events', 0), 100_000)
    one.clock.advance(1000)
    await turns()
    const { scrubber } = one.directory.knownDamage
    expect(scrubber.stats.isRunning).toBe(true)
    await one.directory.close()
    const { bytesRead } = scrubber.stats
    one.clock.advance(1_000_000)
    await turns()
    expect(scrubber.stats).toMatchObject({ isRunning: false, passes: 0, bytesRead })
  })
})

test('a log of small batches can be closed while these and what is read ahead both have to wait', async () => {
  const settings = { scrubBytesPerSecond: 50_000 }
  const one = await opened({ settings, defaults: { ...plain, segmentBytes: 1024 * 1024 } })
  const log = await one.directory.create('events', 0)
  for (let count = 0; count < 6000; count++) await log.appendBatch(batch({ value: 'v' }), 0)
  const { scrubber } = one.directory.knownDamage
  for (let step = 0; scrubber.stats.bytesRead < 300_000; step++) {
    expect(step).toBeLessThan(1000)
    one.clock.advance(100)
    await turns()
  }
  await one.directory.close()
  expect(scrubber.stats).toMatchObject({ isRunning: false, passes: 0 })
})

describe('a mark in the folder', () => {
  test('tells the next process, and goes when the log is repaired', async () => {
    const one = await opened()
    await fill(await one.directory.create('events', 0), 10_000)
    await flip(one.disk, `${PATH}/events-0/${SEGMENT}`, 5000)
    await passed(one)
    await one.directory.knownDamage.mark('events-0')
    await one.directory.close()
    const two = await opened({}, one)
    expect(two.directory.knownDamage.names).toEqual(['events-0'])
    expect(two.directory.damaged.size).toBe(0)
    await two.directory.repair('events', 0, { damagedBatches: 'skip' })
    expect(two.directory.knownDamage.names).toEqual([])
    await two.directory.close()
    const three = await opened({}, two)
    await passed(three)
    expect(three.directory.knownDamage.names).toEqual([])
    await three.directory.close()
  })

  test('leaves with the folder when that is set aside, of which the last one is kept', async () => {
    const one = await opened({ settings: { scrubIntervalMs: 100 } })
    const { directory, disk } = one
    const folders = async () => (await disk.list(PATH)).filter((name) => name.endsWith('-damaged'))
    let last: string[] = []
    for (const other of ['events', 'events.0']) await directory.create(other, 0)
    await directory.setAside('events.0', 0, 'damaged')
    const [others] = await folders()
    for (let round = 0; round < 3; round++) {
      await fill(await directory.create('events', 0), 10_000)
      await flip(disk, `${PATH}/events-0/${SEGMENT}`, 5000)
      for (const _ of [1, 2]) await passed(one) // one may have been under way
      await directory.knownDamage.mark('events-0')
      await directory.setAside('events', 0, 'damaged')
      expect(directory.knownDamage.names).toEqual([])
      const now = (await folders()).filter((name) => name !== others)
      expect(now).toHaveLength(1)
      expect(now).not.toEqual(last)
      last = now
    }
    expect(await folders()).toContain(others)
    expect(await disk.list(`${PATH}/${last[0]}`)).toContain('pagelog-damaged.json')
    await directory.close()
  })

  test('goes with the log where the disk has not twice the room of all damaged logs that are kept', async () => {
    const { directory, disk } = await opened()
    const folders = async () => (await disk.list(PATH)).filter((name) => name.includes('.') && name.startsWith('t'))
    for (const topic of ['t0', 't1', 't2']) await fill(await directory.create(topic, 0), 100_000)
    // Of 100 KB each: for the second one as much would have to be free as for both.
    disk.capacityBytes = disk.capacityBytes - (await disk.freeSpace()) + 300_000
    expect(await directory.setAside('t0', 0, 'damaged')).toBe(true)
    expect(await directory.setAside('t1', 0, 'damaged')).toBe(false)
    expect(await folders()).toEqual([expect.stringMatching(/^t0-0\.[0-9a-f]{32}-damaged$/)])
    disk.capacityBytes += 300_000
    expect(await directory.setAside('t2', 0, 'damaged')).toBe(true)
    expect(await folders()).toHaveLength(2)
    expect(directory.offline).toBe(false)
    await directory.close()
  })
})
