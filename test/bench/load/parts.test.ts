/** Arrivals, keys, values, stamps, search and command lines: what a load is made of. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { arrivalsOf, expectedRecords, parseSteps, partOf } from '../../../bench/load/arrivals.ts'
import { IntervalLatency, mergeIntervals } from '../../../bench/load/intervals.ts'
import { Keys, parseKeys } from '../../../bench/load/keys.ts'
import { duration, readFindMaxLine, readLoadLine } from '../../../bench/load/options.ts'
import { search } from '../../../bench/load/search.ts'
import { readStamp, Stamper } from '../../../bench/load/stamp.ts'
import { makeValues, meanBytes, parseValues } from '../../../bench/load/values.ts'
import { isSound, rangesOf, Verifier } from '../../../bench/load/verification.ts'
import { UsageError } from '../../../bench/options.ts'
import { BatchWriter, codecNumber, compressBatch, loadCodec } from '../../../src/record/index.ts'

describe('arrivals', () => {
  test('steps follow one another, each with its rate', () => {
    const arrivals = arrivalsOf({ kind: 'steps', steps: parseSteps('10x1, 100x0.5') })
    const times: number[] = []
    for (let at = arrivals.next(); at !== Number.POSITIVE_INFINITY; at = arrivals.next()) times.push(at)
    expect(times.filter((at) => at < 1000)).toHaveLength(10)
    expect(times.filter((at) => at >= 1000)).toHaveLength(50)
    expect(times[11]! - times[10]!).toBeCloseTo(10)
  })

  test('the parts of several producers are together what was asked for', () => {
    const spec = { kind: 'constant', rate: 999, seconds: 2 } as const
    const parts = [0, 1, 2].map((client) => partOf(spec, 1, 3, client))
    expect(parts.reduce((sum, part) => sum + expectedRecords(part), 0)).toBe(999 * 3)
    const poisson = { kind: 'poisson', rate: 10, seconds: 2, seed: 1 } as const
    expect(partOf(poisson, 0, 2, 0)).not.toEqual(partOf(poisson, 0, 2, 1))
  })

  test.each(['', '10', 'x5', '0x1', '10x0', '10x1,'])('steps of %j are refused', (text) => {
    expect(() => parseSteps(text)).toThrow(UsageError)
  })
})

describe('keys', () => {
  const counts = (text: string, records: number) => {
    const keys = new Keys(parseKeys(text), 3)
    const found = new Map<number, number>()
    for (let i = 0; i < records; i++) {
      const index = keys.nextIndex()
      found.set(index, (found.get(index) ?? 0) + 1)
    }
    return found
  }

  test('in turn and evenly', () => {
    expect([...counts('sequential:4', 8).values()]).toEqual([2, 2, 2, 2])
    const even = [...counts('uniform:10', 100_000).values()]
    expect(Math.min(...even)).toBeGreaterThan(9_500)
    expect(Math.max(...even)).toBeLessThan(10_500)
  })

  test('by Zipf: the first is twice as frequent as the second', () => {
    const zipf = counts('zipf:1000:1', 200_000)
    expect(zipf.get(0)! / zipf.get(1)!).toBeCloseTo(2, 0)
    expect(zipf.get(0)! / 200_000).toBeCloseTo(0.1336, 2)
  })

  test('hot ones have their share', () => {
    const hot = counts('hot:100:5:0.8', 100_000)
    const share = [0, 1, 2, 3, 4].reduce((sum, key) => sum + (hot.get(key) ?? 0), 0) / 100_000
    expect(share).toBeCloseTo(0.8, 1)
    expect(hot.size).toBe(100)
  })

  test('none is null', () => {
    expect(new Keys(parseKeys('none'), 1).next()).toBeNull()
  })

  test.each(['', 'some', 'uniform', 'uniform:0', 'uniform:1.5', 'zipf:10:0', 'hot:10:10:0.5', 'hot:10:1:1', 'none:1'])(
    'keys of %j are refused',
    (text) => {
      expect(() => parseKeys(text)).toThrow(UsageError)
    },
  )
})

describe('values', () => {
  test.each([1, 2, 4, 8])('lz4 makes values of ratio:%d so much smaller', async (ratio) => {
    const values = makeValues(parseValues(`ratio:${ratio}`, 1000), 1 << 20, 1)
    const writer = new BatchWriter(new Uint8Array(65_536))
    for (let next = 0; writer.append(1, null, values[next]!); next++);
    const batch = writer.finish().slice()
    const compressed = compressBatch(batch, await loadCodec(codecNumber('lz4')))
    const reached = batch.length / compressed.length
    expect(Math.abs(reached - ratio) / ratio).toBeLessThan(0.1)
  })

  test('lines of a file, in turn; a file that is not there is said so', () => {
    const directory = mkdtempSync(join(tmpdir(), 'pagelog-load-test-'))
    try {
      const path = join(directory, 'lines')
      writeFileSync(path, 'one\n\nthree\nlast')
      const values = makeValues(parseValues(`file:${path}`, 1), 1, 1)
      expect(values.map((value) => Buffer.from(value).toString())).toEqual(['one', 'three', 'last'])
      expect(meanBytes(values)).toBe(4)
      expect(() => makeValues({ kind: 'file', path: join(directory, 'none') }, 1, 1)).toThrow(UsageError)
      writeFileSync(path, '\n\n')
      expect(() => makeValues({ kind: 'file', path }, 1, 1)).toThrow('no lines')
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  test.each(['', 'ratio:0.5', 'ratio:x', 'file:', 'zeros'])('values of %j are refused', (text) => {
    expect(() => parseValues(text, 100)).toThrow(UsageError)
  })
})

describe('verification', () => {
  const stamped = (count: number) => {
    const stamper = new Stamper(1)
    return Array.from({ length: count }, (_, n) => stamper.stamp(Buffer.alloc(40, n), n * 2).slice())
  }
  const verified = (values: readonly Uint8Array[], doubtful: [number, number][] = []) => {
    const verifier = new Verifier()
    values.forEach((value, offset) => {
      verifier.add(0, offset, value, 0, value.length)
    })
    return verifier.finish([{ producer: 1, count: 5, doubtful }])
  }

  test('a stamp tells number and time, and whether the bytes are whole', () => {
    const value = stamped(3)[2]!
    expect(readStamp(value, 0, value.length)).toEqual({ producer: 1, number: 2, intendedMs: 4 })
    value[30]! ^= 1
    expect(readStamp(value, 0, value.length)).toBeUndefined()
    expect(readStamp(value, 0, 10)).toBeUndefined()
  })

  test('what is whole is sound', () => {
    expect(isSound(verified(stamped(5)))).toBe(true)
  })

  test('gaps, duplicates, order and content are told apart', () => {
    const [a, b, c, d, e] = stamped(5) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array]
    expect(verified([a, b, d, e])).toMatchObject({ missing: 1, duplicates: 0, outOfOrder: 0, damaged: 0 })
    expect(verified([a, b, b, c, d, e])).toMatchObject({ missing: 0, duplicates: 1, outOfOrder: 0 })
    expect(verified([a, c, b, d, e])).toMatchObject({ missing: 0, duplicates: 0, outOfOrder: 1 })
    expect(verified([a, b, c, d, Buffer.alloc(40)])).toMatchObject({ missing: 1, damaged: 1 })
  })

  test('what was not acknowledged may be there or not', () => {
    expect(isSound(verified(stamped(5).slice(0, 3), rangesOf([4, 3])))).toBe(true)
    expect(verified(stamped(5).slice(0, 2), [[3, 5]]).missing).toBe(1)
    expect(rangesOf([5, 1, 2, 9, 6])).toEqual([
      [1, 3],
      [5, 7],
      [9, 10],
    ])
  })
})

describe('search', () => {
  const find = async (limit: number, startRate: number) => {
    const tried: number[] = []
    const options = { startRate, rateMax: 1_000_000, precision: 0.05, trialsMax: 40 }
    const outcome = await search(options, async (rate) => {
      tried.push(rate)
      return rate <= limit
    })
    return { ...outcome, tried }
  }

  test.each([1, 77, 5_000, 123_456])('finds %d from below and from above', async (limit) => {
    for (const start of [1, 10_000, 1_000_000]) {
      const { passed, failed } = await find(limit, start)
      expect(passed).toBeLessThanOrEqual(limit)
      expect(failed).toBeGreaterThan(limit)
      // Whole rates: between 1 and 2 there is none.
      expect(failed! - passed!).toBeLessThanOrEqual(Math.max(1, passed! * 0.051))
    }
  })

  test('ends when nothing passes, when everything does, and when it is interrupted', async () => {
    expect(await find(0, 100)).toMatchObject({ passed: null, failed: 1 })
    expect(await find(Number.MAX_VALUE, 100)).toMatchObject({ passed: 1_000_000, failed: null })
    const outcome = await search({ startRate: 1, rateMax: 9, precision: 1, trialsMax: 9 }, async () => undefined)
    expect(outcome).toEqual({ passed: null, failed: null })
  })
})

describe('intervals', () => {
  test('each second has its own latencies, empty ones none; processes are merged second by second', () => {
    const one = new IntervalLatency()
    one.record(5, 100)
    one.record(7, 3_400)
    one.finish(3_500)
    expect(one.intervals.map(({ startSeconds }) => startSeconds)).toEqual([0, 3])
    const merged = mergeIntervals([one.intervals, one.intervals])
    expect(merged.map(({ startSeconds }) => startSeconds)).toEqual([0, 3])
    expect(one.whole.count).toBe(2)
  })
})

describe('command lines', () => {
  test('a rate makes an open loop, none a closed one', () => {
    expect(readLoadLine([])?.settings.arrivals).toBeNull()
    const open = readLoadLine(['--rate', '1000', '--seconds', '3'])!.settings
    expect(open.arrivals).toEqual({ kind: 'constant', rate: 1000, seconds: 3 })
    expect(readLoadLine(['--steps', '5x1,9x2'])!.settings.seconds).toBe(3)
  })

  test('a goal of find-max is a percentile and a time', () => {
    expect(readFindMaxLine(['--p99.9', '2s'])).toMatchObject({ goal: { percentile: 'p999', milliseconds: 2000 } })
    expect(duration('500us', '--p99')).toBe(0.5)
    expect(() => readFindMaxLine([])).toThrow(UsageError)
    expect(() => readFindMaxLine(['--p99', '10'])).toThrow(UsageError)
  })

  test.each([
    ['--rate', '1', '--steps', '1x1'],
    ['--arrivals', 'poisson'],
    ['--rate', '0'],
    ['--idempotent'],
    ['--compression', 'zip'],
    ['--verify', '--size', '10'],
    ['--netns', '1gbit', '--bootstrap', 'a:1'],
    ['stray'],
  ])('%s %s %s %s is refused', (...argv) => {
    expect(() => readLoadLine(argv.filter((one) => one !== undefined))).toThrow(UsageError)
  })
})
