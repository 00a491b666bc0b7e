import { describe, expect, test } from 'vitest'
import { sumSeries, toSeries } from '../../bench/measure/series.ts'
import { median, pairedRatio, percentileOf, summarize } from '../../bench/measure/statistics.ts'
import { dirtyBytesIn } from '../../bench/measure/write-back.ts'

describe('statistics over runs', () => {
  test('median is the middle value, or the mean of the two in the middle', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
    expect(summarize([5, 1, 3])).toEqual({ median: 3, low: 1, high: 5 })
  })

  test('nothing has no median and no percentile', () => {
    expect(() => median([])).toThrow(RangeError)
    expect(() => percentileOf([], 0.5)).toThrow(RangeError)
  })

  test('a percentile is a value that was seen', () => {
    const values = Array.from({ length: 100 }, (_, i) => i + 1)
    expect(percentileOf(values, 0.99)).toBe(99)
    expect(percentileOf(values, 1)).toBe(100)
    expect(percentileOf(values, 0)).toBe(1)
  })

  test('a ratio pairs run with run, so that a machine that slows down for both does not show', () => {
    expect(pairedRatio([600, 300, 150], [100, 50, 25])).toEqual({ median: 6, low: 6, high: 6 })
  })

  test('a failed run takes its partner with it, and without pairs there is no ratio', () => {
    expect(pairedRatio([600, undefined, 400], [100, 10, 100])).toEqual({ median: 5, low: 4, high: 6 })
    expect(pairedRatio([undefined, 400], [100, undefined])).toBeUndefined()
    expect(pairedRatio([1], [0])).toBeUndefined()
  })
})

describe('series of rates', () => {
  test('a steady count gives a steady rate', () => {
    const points = Array.from({ length: 9 }, (_, i) => ({ atMs: 1000 + i * 250, count: i * 2500 }))
    const series = toSeries(points)
    expect(series).toHaveLength(8)
    expect(series.every((point) => point.recordsPerSecond === 10_000)).toBe(true)
    expect(series.at(-1)?.atSeconds).toBe(2)
  })

  test('a long run gets a point a second', () => {
    const points = Array.from({ length: 81 }, (_, i) => ({ atMs: i * 250, count: i * 250 }))
    expect(toSeries(points)).toHaveLength(20)
  })

  test('a short run keeps every reading', () => {
    const points = Array.from({ length: 9 }, (_, i) => ({ atMs: i * 125, count: i * 125 }))
    expect(toSeries(points)).toHaveLength(8)
  })

  test('series of different steps add up, until the first of them ends', () => {
    const series = (step: number, rates: readonly number[]) =>
      rates.map((recordsPerSecond, i) => ({ atSeconds: (i + 1) * step, recordsPerSecond }))
    expect(sumSeries([series(1, [100, 200, 300]), series(0.5, [1, 3, 5, 5, 9])])).toEqual([
      { atSeconds: 1, recordsPerSecond: 102 },
      { atSeconds: 2, recordsPerSecond: 205 },
    ])
    expect(sumSeries([])).toEqual([])
    expect(sumSeries([series(1, [5]), []])).toEqual([])
  })

  test('nothing and a single reading have no rate', () => {
    expect(toSeries([])).toEqual([])
    expect(toSeries([{ atMs: 1, count: 1 }])).toEqual([])
  })
})

test('dirty bytes are those dirty and those being written', () => {
  const meminfo = 'MemTotal: 100 kB\nDirty:          2048 kB\nWriteback:       1024 kB\nWritebackTmp:   512 kB\n'
  expect(dirtyBytesIn(meminfo)).toBe(3 * 1024 * 1024)
  expect(dirtyBytesIn('')).toBe(0)
})
