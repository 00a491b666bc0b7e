/** A rate while the stored data grow: tenths, room on the disk, confinement; over made-up series and a directory for the kernel's. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkRoom } from '../../bench/drivers/growing.ts'
import { ConsumerIntervals, measuredTogether } from '../../bench/drivers/kafka-consumer-intervals.ts'
import { storedLine } from '../../bench/goals/suite/stored.ts'
import { storedResult } from '../../bench/measure/stored.ts'
import { bytes, readCommandLine, UsageError } from '../../bench/options.ts'
import { MemoryGroups, type ParentGroup, parentGroup } from '../../bench/process/memory-groups.ts'
import { sampleRun } from './sample-result.ts'

describe('rates by what is stored', () => {
  const series = (rates: readonly number[]) =>
    rates.map((recordsPerSecond, i) => ({ atSeconds: (i + 1) / 2, recordsPerSecond }))

  test('of an even rate all tenths are equal', () => {
    const found = storedResult(series(new Array(20).fill(1000)), 100, 3, null)
    expect(found).toMatchObject({ bytes: 3e6, brokerBytes: 1e6, memoryBytes: null, lastOfFirst: 1 })
    expect(found?.tenths.map(({ recordsPerSecond }) => recordsPerSecond)).toEqual(new Array(10).fill(1000))
    expect(found?.tenths.map(({ storedBytes }) => storedBytes)).toEqual(
      [3, 6, 9, 12, 15, 18, 21, 24, 27, 30].map((n) => n * 1e5),
    )
  })

  test('tenths are of the records, not of the time: a rate that halves shows as half', () => {
    // 10 s at 1000, 10 s at 500: two thirds of the records at the first rate.
    const found = storedResult(series([...new Array(20).fill(1000), ...new Array(20).fill(500)]), 1, 1, 1000)
    expect(found?.tenths.map(({ recordsPerSecond }) => recordsPerSecond)).toEqual([
      ...new Array(6).fill(1000),
      // A second at each of the two rates.
      750,
      ...new Array(3).fill(500),
    ])
    expect(found?.lastOfFirst).toBe(0.5)
  })

  test('a stop is in the tenth that it fell into', () => {
    const found = storedResult(series([...new Array(10).fill(1000), 0, 0, ...new Array(10).fill(1000)]), 1, 1, null)
    expect(found?.tenths[5]?.recordsPerSecond).toBe(500)
    expect(found?.lastOfFirst).toBe(1)
  })

  test('what is too short is not cut', () => {
    expect(storedResult(series(new Array(9).fill(1000)), 1, 1, null)).toBeUndefined()
    expect(storedResult([], 1, 1, null)).toBeUndefined()
    expect(storedResult(series(new Array(20).fill(0)), 1, 1, null)).toBeUndefined()
  })
})

test('the goal of growing data: the median of all runs, of which none may have failed', () => {
  const run = (lastOfFirst: number) => {
    const stored = storedResult(
      new Array(10).fill(0).map((_, i) => ({ atSeconds: i + 1, recordsPerSecond: 1000 })),
      ...([100, 3, null] as const),
    )!
    return { ...sampleRun(1e6, 1), stored: { ...stored, lastOfFirst } }
  }
  expect(storedLine([run(0.8), run(0.95), run(1.1)])).toMatchObject({ pass: true, measured: '95 % of the first' })
  expect(storedLine([run(0.8), run(0.89), run(1.1)]).pass).toBe(false)
  expect(storedLine([run(1), { error: 'gone\nsaid the broker' }])).toMatchObject({
    pass: false,
    how: expect.stringMatching(/gone$/),
  })
  expect(storedLine([sampleRun(1, 1)])).toMatchObject({ pass: false, measured: 'failed' })
})

test('more than there is room for is refused before it begins', () => {
  expect(() => checkRoom(tmpdir(), 1)).not.toThrow()
  expect(() => checkRoom(tmpdir(), 1e18)).toThrow(/to store .* GiB takes .* are free/)
})

describe('sizes on the command line', () => {
  test.each([
    ['1000', 1000],
    ['40GiB', 40 * 2 ** 30],
    ['512 MB', 512e6],
    ['1.5g', 1.5 * 2 ** 30],
  ])('%s', (text, value) => {
    expect(bytes(text, '--stored', 1, 1e12)).toBe(value)
  })

  test.each(['', 'GiB', '-1', '5 bananas', '1e3', '2TiB', '1.2.3k'])('%j is refused', (text) => {
    expect(() => bytes(text, '--stored', 1, 1e12)).toThrow(UsageError)
  })

  test('what is stored has a default, memory has none', () => {
    const { settings } = readCommandLine([])!
    expect(settings.storedBytes).toBe(4 * 2 ** 30)
    expect(settings).not.toHaveProperty('brokerMemoryBytes')
    const asked = readCommandLine(['--quick', '--memory', '256MiB'])!.settings
    expect(asked).toMatchObject({ storedBytes: 2 * 2 ** 30, brokerMemoryBytes: 256 * 2 ** 20 })
    expect(() => readCommandLine(['--memory', '1MB'])).toThrow(UsageError)
    // A JVM with a heap of 1 GiB would only be killed.
    expect(() => readCommandLine(['--memory', '1GiB', '--against', 'kafka'])).toThrow(UsageError)
  })
})

describe('confinement', () => {
  let parent = ''
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'pagelog-groups-'))
  })
  afterEach(() => rmSync(parent, { recursive: true, force: true }))

  const below = (limitFile: ParentGroup['limitFile']): ParentGroup => ({ path: parent, limitFile })

  test('with version 1 groups belong into the own one, found by its controller', () => {
    const own = join(parent, 'memory/a/b')
    mkdirSync(own, { recursive: true })
    writeFileSync(join(own, 'memory.limit_in_bytes'), '')
    const found = { path: own, limitFile: 'memory.limit_in_bytes' }
    expect(parentGroup('9:name=systemd:/x\n4:memory:/a/b\n0::/\n', parent)).toEqual(found)
    expect(parentGroup('3:cpu,memory:/a/b\n', parent)).toEqual(found)
    expect(parentGroup('4:memory:/elsewhere\n', parent)).toBeUndefined()
  })

  test('with version 2 into the nearest one above that hands memory on', () => {
    mkdirSync(join(parent, 'a/b'), { recursive: true })
    writeFileSync(join(parent, 'a/b/cgroup.subtree_control'), '\n')
    writeFileSync(join(parent, 'a/cgroup.subtree_control'), 'cpu pids\n')
    expect(parentGroup('0::/a/b\n', parent)).toBeUndefined()
    writeFileSync(join(parent, 'cgroup.subtree_control'), 'cpu memory pids\n')
    expect(parentGroup('0::/a/b\n', parent)).toEqual({ path: `${parent}/`, limitFile: 'memory.max' })
    writeFileSync(join(parent, 'a/cgroup.subtree_control'), 'memory\n')
    expect(parentGroup('0::/a/b\n', parent)).toEqual({ path: join(parent, 'a'), limitFile: 'memory.max' })
    expect(parentGroup('', parent)).toBeUndefined()
  })

  test.each(['memory.limit_in_bytes', 'memory.max'] as const)(
    'each broker has a group of its own with the limit in %s, gone in the end',
    async (limitFile) => {
      const groups = new MemoryGroups(2 ** 28, below(limitFile))
      groups.confine(11)
      groups.confine(12)
      const made = readdirSync(parent).map((name) => join(parent, name))
      expect(made).toHaveLength(2)
      expect(made.map((group) => readFileSync(join(group, 'cgroup.procs'), 'utf8')).sort()).toEqual(['11', '12'])
      for (const group of made) {
        expect(readFileSync(join(group, limitFile), 'utf8')).toBe(String(2 ** 28))
        // In a real one these are the kernel's, and no hindrance.
        for (const name of readdirSync(group)) rmSync(join(group, name))
      }
      await groups.remove()
      expect(readdirSync(parent)).toEqual([])
    },
  )

  test('groups of a harness that is gone are removed, those of others are not', () => {
    const [gone, others] = [join(parent, 'pagelog-bench-1073741824-5-0'), join(parent, 'somebody-1')]
    for (const group of [gone, others]) mkdirSync(group)
    new MemoryGroups(2 ** 28, below('memory.max'))
    expect(existsSync(gone)).toBe(false)
    expect(existsSync(others)).toBe(true)
  })

  test('where it cannot be, the reason is said', () => {
    expect(() => new MemoryGroups(2 ** 28, { ...below('memory.max'), path: join(parent, 'nowhere') })).toThrow()
    const groups = new MemoryGroups(2 ** 28, below('memory.max'))
    rmSync(parent, { recursive: true })
    expect(() => groups.confine(11)).toThrow(/--memory: .*only root/)
  })
})

describe('several of Kafka’s consumer tools', () => {
  /** A line every half second from `fromSeconds` on, at an even rate. */
  function tool(fromSeconds: number, lines: number, rate: number): ConsumerIntervals {
    const intervals = new ConsumerIntervals(1)
    for (let i = 0; i < lines; i++) {
      const at = new Date(Date.UTC(2026, 0, 1) + (fromSeconds + i / 2) * 1000).toISOString()
      const time = `${at.slice(0, 10)} ${at.slice(11, 19)}:${at.slice(20, 23)}`
      const records = Math.round((rate * (i + 1)) / 2)
      intervals.onLine(`${time}, 0, 1.0, 1.0, ${records}, ${rate}.0, 0, 500, 1.0, ${rate}.0`)
    }
    return intervals
  }

  test('count while all of them read, warm', () => {
    const found = measuredTogether([tool(0, 21, 1000), tool(2, 21, 3000), tool(1, 13, 2000)])
    // From 3 s (the last began at 2 s) to 7 s (the first ended).
    expect(found.records / found.seconds).toBeCloseTo(6000)
    expect(found.records).toBe(24_000)
    expect(found.series).toEqual([])
  })

  test('one alone keeps its series', () => {
    const found = measuredTogether([tool(0, 11, 1000)])
    expect(found).toMatchObject({ records: 4000, seconds: 4, warmUpSeconds: 1 })
    expect(found.series).toHaveLength(8)
  })

  test('that never read at the same time were done too soon', () => {
    expect(() => measuredTogether([tool(0, 5, 1000), tool(60, 5, 1000)])).toThrow('too soon')
  })
})
