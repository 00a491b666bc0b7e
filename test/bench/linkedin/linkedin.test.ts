/** The tests of 2014: which runs they take, and how ours stand beside what was published. Nothing is measured here. */
import { describe, expect, test } from 'vitest'
import type { BenchOptions } from '../../../bench/bench.ts'
import { published } from '../../../bench/linkedin/published.ts'
import { type LinkedinOptions, runLinkedin, stepsOf } from '../../../bench/linkedin/run.ts'
import { formatLinkedin, linkedinCsv, linkedinRows, renderLinkedin } from '../../../bench/linkedin/table.ts'
import { Progress } from '../../../bench/measure/progress.ts'
import { toMarkdown } from '../../../bench/report/text-files.ts'
import type { BenchResult } from '../../../bench/result.ts'
import { result as sample, sampleRun } from '../sample-result.ts'
import { schemaErrors } from '../suite-schema.ts'

const all = published.map(({ id }) => id)

function measured({ settings }: BenchOptions): BenchResult {
  const some = sample.results.find((one) => one.target === 'pagelog')!
  const results = settings.tests.map((name) => ({ ...some, test: name, recordsPerSecond: settings.batchBytes * 100 }))
  return { ...sample, complete: true, failures: [], results, settings: { ...settings, targets: {} } }
}

async function run(options: Partial<LinkedinOptions> = {}) {
  const asked: BenchOptions[] = []
  const result = await runLinkedin({
    ...{ tests: all, mode: 'quick', against: null, command: 'a test' },
    signal: new AbortController().signal,
    progress: new Progress(1, { quiet: true }),
    run: async (given) => {
      asked.push(given)
      return measured(given)
    },
    ...options,
  })
  return { result, asked }
}

describe('steps', () => {
  test('the ten tests of 2014 are all there, each with what was published of it', () => {
    expect(all).toHaveLength(10)
    for (const { recordsPerSecond, latencyMs, note } of published) {
      expect(recordsPerSecond ?? latencyMs ?? note).not.toBeNull()
    }
  })

  test('two columns: batches of 8,196 bytes and none that linger, batches of 64 KiB that do', () => {
    const steps = stepsOf(['single-producer'], 'normal')
    expect(steps.map(({ column, batchBytes }) => [column.name, batchBytes, column.lingerMs])).toEqual([
      ['2014', 8196, 0],
      ['today', 65_536, 5],
    ])
  })

  test('five sizes of records, in a quick run with the settings of today only', () => {
    expect(stepsOf(['message-size'], 'normal').map(({ valueBytes }) => valueBytes)).toEqual([
      10, 100, 1000, 10_000, 100_000, 10, 100, 1000, 10_000, 100_000,
    ])
    expect(stepsOf(['message-size'], 'quick')).toHaveLength(5)
  })

  test('the full size is that of 2014', async () => {
    const { asked } = await run({ tests: ['single-producer'], mode: 'full' })
    expect(asked.map(({ settings }) => settings.records)).toEqual([50_000_000, 50_000_000])
  })
})

describe('how much is stored', () => {
  const growing = { tests: ['throughput-vs-stored'] }
  const GIB = 2 ** 30

  test('is less in a quick run, 40 GiB in a full one, or what is asked for', async () => {
    const stored = async (options: Partial<LinkedinOptions>) =>
      (await run({ ...growing, ...options })).asked.map(({ settings }) => settings.storedBytes)
    expect(await stored({ mode: 'quick' })).toEqual([GIB, GIB])
    expect(await stored({ mode: 'normal' })).toEqual([4 * GIB, 4 * GIB])
    expect(await stored({ mode: 'full' })).toEqual([40 * GIB, 40 * GIB])
    expect(await stored({ mode: 'full', storedBytes: 7 })).toEqual([7, 7])
  })

  test('brokers are confined when that is asked for', async () => {
    const { asked } = await run({ ...growing, brokerMemoryBytes: GIB })
    expect(asked.map(({ settings }) => settings.brokerMemoryBytes)).toEqual([GIB, GIB])
  })
})

describe('results', () => {
  test('a quick run takes test by test, so that it can end between any two', async () => {
    const { asked } = await run({ tests: ['single-producer', 'single-consumer', 'end-to-end'] })
    const steps = asked.map(({ settings }) => [settings.tests.join(), settings.batchBytes])
    expect(steps).toEqual([
      ['single-producer', 8196],
      ['single-producer', 65_536],
      ['single-consumer', 8196],
      ['single-consumer', 65_536],
      ['end-to-end-3x', 8196],
      ['end-to-end-3x', 65_536],
    ])
  })

  test('the page cache and the growing data are told', async () => {
    const io = {
      ...{ readBytes: 1e6, writtenBytes: 0, networkBytes: 0, network: 'loopback' as const },
      ...{ servedBytes: 1e9, pageCacheShare: 0.999 },
    }
    const tenths = Array.from({ length: 10 }, (_, i) => ({ storedBytes: (i + 1) * 1e8, recordsPerSecond: 1e6 }))
    const stored = { bytes: 1e9, brokerBytes: 3e8, memoryBytes: null, tenths, lastOfFirst: 0.97 }
    const { result } = await run({
      tests: ['throughput-vs-stored'],
      run: async (given) => {
        const whole = measured(given)
        const results = whole.results.map((one) => ({ ...one, runs: [{ ...sampleRun(1e6, 1), io, stored }] }))
        return { ...whole, results }
      },
    })
    expect(schemaErrors(result)).toEqual([])
    expect(linkedinRows(result)[1]?.at(-1)).toContain('last tenth 97 % of the first')
    expect(formatLinkedin(result)).toContain('pagelog: 99.90 % of the reads came from the page cache')
    expect(await renderLinkedin(result)).toContain('Records a second by what is stored, throughput-vs-stored')
  })

  test('2014 and now side by side; what could not be measured is said', async () => {
    const { result } = await run()
    expect(schemaErrors(result)).toEqual([])
    expect(result.missing).toEqual([])
    const [, producer] = linkedinRows(result)
    expect(producer).toEqual([
      'single-producer',
      'pagelog',
      '822 k rec/s, 78.3 MiB/s',
      expect.stringContaining('820 k rec/s'),
      expect.stringContaining('6.55 M rec/s'),
    ])
    expect(formatLinkedin(result)).toContain('six SATA disks')
    expect(linkedinCsv(result)[1]).toContain(821_557)
    expect(toMarkdown(linkedinRows(result))).toContain('| published in 2014 |')
    const html = await renderLinkedin(result)
    expect(html).toContain('<svg')
    expect(html).not.toMatch(/NaN|undefined|<script/)
  })

  test('an abort keeps what is there', async () => {
    const abort = new AbortController()
    const { result } = await run({
      tests: ['single-producer', 'message-size'],
      signal: abort.signal,
      run: async (given) => {
        abort.abort()
        return measured(given)
      },
    })
    expect(result.complete).toBe(false)
    expect(result.tests.map(({ id }) => id)).toEqual(['single-producer'])
    expect(schemaErrors(result)).toEqual([])
  })
})
