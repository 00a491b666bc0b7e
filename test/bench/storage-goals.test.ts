/** What the storage goals are made of, with next to nothing to do; their figures are for `npm run goals -- storage`. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { commands } from '../../bench/goals/storage/commands.ts'
import { bestOf, compare, takeTurns, withSpread } from '../../bench/goals/storage/rounds.ts'

const MEBIBYTE = 1 << 20

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-goals-test-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('turns', () => {
  test('go forwards and backwards, results stay in the order of the rounds', async () => {
    const order: string[] = []
    const contestant = (name: string) => async () => order.push(name)
    const results = await takeTurns(3, { a: contestant('a'), b: contestant('b') })
    expect(order.join('')).toBe('abbaab')
    expect(results).toEqual({ a: [1, 4, 5], b: [2, 3, 6] })
  })

  test('the best of several, round by round', () => {
    expect(bestOf([1, 5, 2], [3, 4, 2])).toEqual([3, 5, 2])
  })

  test('ratios are taken inside one round', () => {
    const { ratio, ours, theirs } = compare([10, 100, 30], [10, 50, 10])
    expect(ratio).toEqual({ median: 2, low: 1, high: 3 })
    expect(ours.median).toBe(30)
    expect(withSpread(theirs, String)).toBe('10 (10 – 50)')
  })
})

describe('what a station can do', () => {
  test.each(['pagelog', 'pagelog-batches', 'append-file'] as const)(
    'appends to %s until time or count is over',
    async (kind) => {
      const path = join(directory, 'store')
      await commands.openStore({ kind, durability: 'fsync', directory: path, peers: null })
      const { appends, seconds } = await commands.append({
        recordsPerAppend: 2,
        writers: 3,
        milliseconds: 10_000,
        appendsMax: 7,
      })
      await commands.closeStore(null)
      expect(appends).toBe(7)
      expect(seconds).toBeGreaterThan(0)
      expect(readdirSync(directory)).toEqual([])
    },
  )

  test('fills a log and reads it', async () => {
    const settings = {}
    const path = join(directory, 'read')
    const filled = await commands.fill({
      directory: path,
      logBytes: MEBIBYTE,
      recordsPerBatch: 100,
      settings,
      leave: 'open',
    })
    expect(filled.bytes).toBeGreaterThanOrEqual(MEBIBYTE)
    expect((await commands.sequentialRead({ checkCrcs: true })).records).toBe(filled.records)
    const latency = await commands.randomReads({ count: 20 })
    expect(latency.p99).toBeGreaterThanOrEqual(latency.p50)
    await commands.closeDirectory({ clean: true })
  })

  test('opens what was left by a crash and reads all of it', async () => {
    const path = join(directory, 'crashed')
    const settings = { segmentBytes: MEBIBYTE, indexIntervalBytes: 1024 }
    await commands.fill({ directory: path, logBytes: 2 * MEBIBYTE, recordsPerBatch: 10, settings, leave: 'crashed' })
    await commands.forget({ directory: path })
    const opened = await commands.openDirectory({ directory: path, settings: { indexMemoryMaxBytes: MEBIBYTE } })
    expect(opened.partitions).toBe(1)
    expect(opened.residentPeak).toBeGreaterThan(MEBIBYTE)
    expect((await commands.readWhole({ reads: 5 })).resident).toBeGreaterThan(MEBIBYTE)
    await commands.closeDirectory({ clean: false })
  })

  test('makes many partitions and opens them', async () => {
    const path = join(directory, 'partitions')
    await commands.makeDirectory({ directory: path, partitions: 5 })
    expect((await commands.openDirectory({ directory: path, settings: {} })).partitions).toBe(5)
    await commands.closeDirectory({ clean: true })
  })

  test('compacts one log beside appends to another, and appends alone', async () => {
    const path = join(directory, 'compaction')
    await commands.openCompaction({ directory: path, bytesPerSecond: 1e9 })
    await commands.prepareTurn({ keyedBytes: 2 * MEBIBYTE })
    const beside = await commands.takeTurn({ milliseconds: 20 })
    expect(beside.inputBytes).toBeGreaterThanOrEqual(2 * MEBIBYTE)
    expect(beside.keptShare).toBeLessThan(0.5)
    expect(beside.appendedBytesPerSecond).toBeGreaterThan(0)
    await commands.prepareTurn({ keyedBytes: 0 })
    expect((await commands.takeTurn({ milliseconds: 20 })).inputBytes).toBe(0)
    await commands.closeCompaction(null)
  })
})
