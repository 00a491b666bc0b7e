/** When a broker is warm, and that every fresh one is warmed, once. The series are 5 s each. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ProducerIntervals } from '../../bench/drivers/kafka-runs.ts'
import type { Session } from '../../bench/drivers/session.ts'
import { loadsOf, type Warmed, warmTarget } from '../../bench/drivers/target-warm-up.ts'
import { Harness, type TestOutcome, type Warm } from '../../bench/harness.ts'
import { CompilerWatch } from '../../bench/measure/compilers.ts'
import { statOf } from '../../bench/measure/processes.ts'
import { Progress } from '../../bench/measure/progress.ts'
import { isRising, isSteady, isWarmJvm } from '../../bench/measure/steadiness.ts'
import { makeScratch } from '../../bench/process/scratch.ts'
import { formatRatio, warmUpLines } from '../../bench/report/table.ts'
import { warmUpText } from '../../bench/report/warm-ups.ts'
import type { BenchSettings, TargetName, TestId } from '../../bench/result.ts'
import { ratiosOf } from '../../bench/summary.ts'
import { outcomes, result } from './sample-result.ts'

/** Three fresh brokers of Apache Kafka on two cores: thousand records a second. */
const COLD_KAFKA = [
  ...[104, 107, 147, 133, 161, 80, 94, 117, 192, 161, 225, 221, 220],
  ...[267, 175, 320, 356, 277, 264, 394, 329, 339, 414, 507, 510],
]

/** After how many intervals it is said to be steady; undefined: not at all. */
function steadyAfter(rates: readonly number[]): number | undefined {
  const found = rates.findIndex((_, i) => isSteady(rates.slice(0, i + 1)))
  return found < 0 ? undefined : found + 1
}

/** From 0 to 1, the same for a seed. */
function noise(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

describe('a rate is steady', () => {
  test('not before the last quarter of a JVM’s warm-up, which falls and rests on its way', () => {
    expect(steadyAfter(COLD_KAFKA) ?? COLD_KAFKA.length).toBeGreaterThan(COLD_KAFKA.length * 0.75)
    expect(isRising(COLD_KAFKA)).toBe(true)
  })

  test('some time after that when it has come to rest', () => {
    const rested = [...COLD_KAFKA, ...Array.from({ length: 12 }, (_, i) => 510 + (i % 3) * 20)]
    expect(isSteady(rested)).toBe(true)
    expect(isRising(rested)).toBe(false)
  })

  test('after four intervals when nothing moves', () => {
    expect(steadyAfter([500, 505, 498, 502])).toBe(4)
  })

  test.each(Array.from({ length: 40 }, (_, i) => i + 1))(
    'soon when it is flat with noise of 15 in a hundred (seed %i)',
    (seed) => {
      const next = noise(seed)
      const after = steadyAfter(Array.from({ length: 24 }, () => 1000 * (0.85 + 0.3 * next())))
      expect(after).toBeLessThanOrEqual(12)
    },
  )

  test('when it falls: at once if slowly, after a minute if it falls by half', () => {
    expect(steadyAfter(Array.from({ length: 12 }, (_, i) => 500 - 5 * i))).toBe(4)
    expect(steadyAfter(Array.from({ length: 12 }, (_, i) => 500 * 0.85 ** i))).toBe(12)
  })

  test('not while nothing moves at all, nor when there is nothing', () => {
    expect(steadyAfter(new Array(30).fill(0))).toBeUndefined()
    expect(isSteady([])).toBe(false)
    expect(isRising([])).toBe(true)
  })
})

describe('a JVM', () => {
  test('that is flat for half a minute is not warm: on a busy machine a fresh one is', () => {
    const fresh = [141, 120, 135, 107, 108, 125]
    expect(isSteady(fresh)).toBe(true)
    expect(isWarmJvm(fresh, [])).toBe(false)
  })

  test('is warm when it is steady for a minute and its compilers rest', () => {
    const rates = Array.from({ length: 12 }, (_, i) => 400 + (i % 4))
    expect(isWarmJvm(rates, [])).toBe(true)
    expect(isWarmJvm(rates, [0.4, 0.3, 0.3, 0.3])).toBe(false)
    expect(isWarmJvm(rates, [0.4, 0.2, 0.1, 0.08])).toBe(true)
    expect(isWarmJvm(COLD_KAFKA, [0.01, 0.01, 0.01])).toBe(false)
  })

  test('has compilers that are told by their names, whatever else is in those', () => {
    const rest = Array.from({ length: 40 }, (_, i) => i + 4).join(' ')
    expect(statOf(`77 (C2 CompilerThre) S ${rest}`)).toEqual({ name: 'C2 CompilerThre', cpuSeconds: 0.29 })
    expect(statOf(`77 (a) b (c) S ${rest}`).name).toBe('a) b (c')
  })

  test('is none when it is Node', () => {
    expect(new CompilerWatch([process.pid]).share()).toBeUndefined()
    expect(new CompilerWatch([]).share()).toBeUndefined()
  })
})

describe('Kafka’s tool', () => {
  const session = (runs: number) =>
    ({ settings: { runs, records: 1e9, seconds: 10 }, onProgress: () => {} }) as unknown as Session
  const line = (rate: number) =>
    `${rate * 5} records sent, ${rate}.0 records/sec (1.00 MB/sec), 3.3 ms avg latency, 240.0 ms max latency.`
  const feed = (tool: ProducerIntervals, rates: readonly number[]) => {
    tool.counting = true
    for (const rate of rates) tool.onLine(line(rate))
    return tool
  }

  test('counts from when its lines are steady', () => {
    const tool = feed(new ProducerIntervals(session(3)), [200, 400, 600, 610, 600, 605, 900])
    expect(tool.warmUpSeconds).toBe(30)
    expect(tool.stillRising).toBe(false)
    expect(tool.counted.map(({ recordsPerSecond }) => recordsPerSecond)).toEqual([900])
  })

  test('counts at last, and says so, when it goes on getting faster', () => {
    const tool = feed(new ProducerIntervals(session(3)), [100, 120, 150, 190, 230, 280, 340, 400, 480])
    expect(tool.warmUpSeconds).toBe(40)
    expect(tool.stillRising).toBe(true)
    expect(tool.counted).toHaveLength(1)
  })

  test('of a single run is for orientation', () => {
    const tool = feed(new ProducerIntervals(session(1)), [100, 120])
    expect(tool.warmUpSeconds).toBe(5)
    expect(tool.counted).toHaveLength(1)
  })
})

const settings: BenchSettings = {
  ...{ tests: ['single-producer'], valueBytes: 100, records: 1000, seconds: 1, warmUpSeconds: 0, latencyRecords: 10 },
  ...{ batchBytes: 65_536, lingerMs: 5, acks: 1, partitions: 2, runs: 1, against: null, payloadSeed: 1 },
  ...{ payloadPoolBytes: 1 << 20, targets: {} },
}

describe('the harness', () => {
  let directory = ''
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'pagelog-warm-test-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  const own = { target: 'pagelog', driver: 'pagelog-client' } as const
  async function measured(warm: Warm, tests: readonly TestId[]) {
    const harness = new Harness({
      settings,
      variants: [own, own],
      scratch: makeScratch(directory),
      signal: new AbortController().signal,
      progress: new Progress(1, { quiet: true }),
      settle: false,
      warm,
    })
    const all: TestOutcome[] = []
    for (const one of tests) all.push(await harness.runTest(one))
    return all
  }

  test('warms each fresh target once, before its first run, whoever drives it', { timeout: 120_000 }, async () => {
    const warmed: TestId[] = []
    const seen = new Set<object>()
    const all = await measured(
      async ({ target }, id) => {
        warmed.push(id)
        seen.add(target)
        return { seconds: 25, steady: true, recordsPerSecond: 5 }
      },
      ['single-producer', 'end-to-end-1x'],
    )
    expect(warmed).toEqual(['single-producer', 'end-to-end-1x'])
    expect(seen.size).toBe(2)
    const [first] = all
    expect(first!.warmUps).toEqual([
      { test: 'single-producer', target: 'pagelog', brokers: 1, seconds: 25, steady: true, recordsPerSecond: 5 },
    ])
    const runs = first!.variants.flatMap((variant) => variant.runs)
    expect(runs).toHaveLength(2)
    expect(runs.filter((run) => 'error' in run)).toEqual([])
  })

  test('goes on when a warm-up fails, and says that the target is not warm', { timeout: 120_000 }, async () => {
    const [first] = await measured(
      async (_, __, ___, onWarmUp) => {
        onWarmUp(7, 99)
        throw new Error('no')
      },
      ['single-producer'],
    )
    expect(first!.warmUps).toMatchObject([{ seconds: 7, steady: false, recordsPerSecond: 99 }])
    expect(first!.variants[0]!.runs).toHaveLength(1)
  })

  test('drives a broker with every load of a test, bounded, and leaves no topic', { timeout: 120_000 }, async () => {
    const bounds = { intervalSeconds: 0.6, leastSeconds: 0.6, mostSeconds: 3 }
    const rates: number[] = []
    const results: Warmed[] = []
    const left: string[] = []
    await measured(
      async (session, id, stored) => {
        const warmed = await warmTarget(session, id, stored, bounds, (_, rate) => rates.push(rate))
        results.push(warmed)
        left.push(...(session.target.topics ?? []))
        return warmed
      },
      ['end-to-end-1x'],
    )
    expect(results).toHaveLength(1)
    for (const one of results) expect(one.recordsPerSecond).toBeGreaterThan(0)
    expect(rates.length).toBeGreaterThanOrEqual(2)
    expect(left).toEqual([])
  })
})

test('a test is warmed by what it measures, a latency by a load first', () => {
  expect(loadsOf('single-producer-3x-sync')).toEqual(['produce'])
  expect(loadsOf('throughput-vs-stored')).toEqual(['produce'])
  expect(loadsOf('three-producers-3x-async')).toEqual(['produce'])
  expect(loadsOf('producer-and-consumer-3x')).toEqual(['both'])
  expect(loadsOf('single-consumer')).toEqual(['both', 'read'])
  expect(loadsOf('three-consumers')).toEqual(['both', 'read'])
  expect(loadsOf('end-to-end-3x')).toEqual(['both', 'end-to-end'])
})

describe('a ratio against what was still rising', () => {
  const [producer] = outcomes
  const warmed = (target: TargetName, steady: boolean) => {
    return { test: 'single-producer', target, brokers: 1, seconds: 30, steady, recordsPerSecond: 1e6 } as const
  }

  test('is marked, whether it was the broker or its tool', () => {
    const [ratio] = ratiosOf({ ...producer!, warmUps: [warmed('pagelog', true), warmed('kafka', false)] })
    expect(ratio).toMatchObject({ stillRising: true })
    expect(formatRatio(ratio!)).toBe('5.00 × (not warm)')
    const tool = producer!.variants.map(({ variant, runs }) => ({
      variant,
      runs: variant.target === 'kafka' ? runs.map((run) => ({ ...run, stillRising: true })) : runs,
    }))
    expect(ratiosOf({ ...producer!, variants: tool })[0]).toMatchObject({ stillRising: true })
  })

  test('is not marked when that was warm, whatever ours was', () => {
    const [ratio] = ratiosOf({ ...producer!, warmUps: [warmed('pagelog', false), warmed('kafka', true)] })
    expect(ratio).not.toHaveProperty('stillRising')
  })

  test('is told in words', () => {
    expect(warmUpText(warmed('kafka', true))).toBe('Apache Kafka warmed for 30 s, steady')
    expect(warmUpText(warmed('kafka', false))).toBe('Apache Kafka still rising after 30 s: its figure is too low')
    expect(warmUpLines({ ...result, warmUps: [warmed('pagelog', true)] })).toEqual([
      'single-producer · pagelog warmed for 30 s, steady',
    ])
  })
})
