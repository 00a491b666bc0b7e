/** The tests of 2014: which runs they take, and how ours stand beside what was published. Nothing is measured here. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { AskedSettings } from '../../../bench/bench.ts'
import { published } from '../../../bench/linkedin/published.ts'
import type { LinkedinResult } from '../../../bench/linkedin/result.ts'
import { type LinkedinOptions, mergeLinkedin, runLinkedin, stepsOf } from '../../../bench/linkedin/run.ts'
import {
  formatLinkedin,
  linkedinCsv,
  linkedinDrawings,
  linkedinNotes,
  linkedinRows,
  renderLinkedin,
} from '../../../bench/linkedin/table.ts'
import { Progress } from '../../../bench/measure/progress.ts'
import { toMarkdown } from '../../../bench/report/text-files.ts'
import type { BenchResult } from '../../../bench/result.ts'
import { workloads } from '../../../bench/workloads.ts'
import { result as sample, sampleRun } from '../sample-result.ts'
import { schemaErrors } from '../suite-schema.ts'

const all = published.map(({ id }) => id)

function measured(settings: AskedSettings): BenchResult {
  const some = sample.results.find((one) => one.target === 'pagelog')!
  const results = settings.tests.map((name) => ({ ...some, test: name, recordsPerSecond: settings.batchBytes * 100 }))
  return { ...sample, complete: true, failures: [], results, settings: { ...settings, targets: {} } }
}

async function run(options: Partial<LinkedinOptions> = {}) {
  const asked: AskedSettings[] = []
  const result = await runLinkedin({
    ...{ tests: all, mode: 'quick', against: null, command: 'a test' },
    signal: new AbortController().signal,
    progress: new Progress(1, { quiet: true }),
    measure: async (given) => {
      asked.push(given)
      return measured(given)
    },
    ...options,
  })
  return { result, asked }
}

// Charts take a while to load, on a busy machine longer than a test may.
beforeAll(() => import('../../../bench/report/charts.ts'), 120_000)

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

  test('five sizes of records, in a quick run with the settings of today only, like what is stored', () => {
    expect(stepsOf(['message-size'], 'normal').map(({ valueBytes }) => valueBytes)).toEqual([
      10, 100, 1000, 10_000, 100_000, 10, 100, 1000, 10_000, 100_000,
    ])
    const quick = stepsOf(['message-size', 'throughput-vs-stored'], 'quick')
    expect(quick.map(({ column }) => column.name)).toEqual(Array(6).fill('today'))
    expect(stepsOf(['throughput-vs-stored'], 'quick', ['2014'])).toHaveLength(1)
  })

  test('one column, as many runs as asked', async () => {
    const { asked, result } = await run({ tests: ['single-producer'], columns: ['2014'], runs: 2 })
    expect(asked.map((settings) => [settings.batchBytes, settings.runs])).toEqual([[8196, 2]])
    expect(linkedinRows(result)[0]).toEqual(['test', 'broker and client', 'published in 2014', 'settings of 2014'])
    expect(linkedinRows(result)[1]?.at(-1)).toMatch(/ % of the limit/)
    expect(stepsOf(all, 'full', ['today']).every(({ column }) => column.name === 'today')).toBe(true)
  })

  test('sizes of records: a gigabyte a run at most, and ten million', async () => {
    const { asked } = await run({ tests: ['message-size'], mode: 'full', columns: ['today'] })
    expect(asked.map((settings) => settings.records)).toEqual([1e7, 1e7, 1e6, 1e5, 1e4])
  })

  test('what consumers find stored fits the page cache: of 50 million records no more than these', () => {
    const settings = { ...sample.settings, against: 'kafka', runs: 3 }
    const stored = (records: number) => workloads['single-consumer'].storedRecords({ ...settings, records })
    expect([1e6, 1e7, 2e7, 5e7].map(stored)).toEqual([2e7, 4e7, 4e7, 5e7])
    expect(workloads['three-consumers'].storedRecords({ ...settings, records: 5e7, against: null })).toBe(5e7)
  })

  test('the full size is that of 2014', async () => {
    const { asked } = await run({ tests: ['single-producer'], mode: 'full' })
    expect(asked.map((settings) => settings.records)).toEqual([50_000_000, 50_000_000])
  })
})

describe('how much is stored', () => {
  const growing = { tests: ['throughput-vs-stored'] }
  const GIB = 2 ** 30

  test('is less in a quick run, 40 GiB in a full one, or what is asked for', async () => {
    const stored = async (options: Partial<LinkedinOptions>) =>
      (await run({ ...growing, ...options })).asked.map((settings) => settings.storedBytes)
    expect(await stored({ mode: 'quick' })).toEqual([GIB])
    expect(await stored({ mode: 'normal' })).toEqual([4 * GIB, 4 * GIB])
    expect(await stored({ mode: 'full' })).toEqual([40 * GIB, 40 * GIB])
    expect(await stored({ mode: 'full', storedBytes: 7 })).toEqual([7, 7])
  })

  test('brokers are confined when that is asked for', async () => {
    const { asked } = await run({ ...growing, brokerMemoryBytes: GIB })
    expect(asked.map((settings) => settings.brokerMemoryBytes)).toEqual([GIB])
  })
})

describe('results', () => {
  test('a quick run takes test by test, so that it can end between any two', async () => {
    const tests = ['single-producer', 'throughput-vs-stored', 'single-consumer', 'end-to-end']
    const { asked } = await run({ tests })
    const steps = asked.map((settings) => [settings.tests.join(), settings.batchBytes])
    expect(steps).toEqual([
      ['single-producer', 8196],
      ['single-producer', 65_536],
      ['single-consumer', 8196],
      ['single-consumer', 65_536],
      ['end-to-end-3x', 8196],
      ['end-to-end-3x', 65_536],
      // It takes longest, so it is what may be left out.
      ['throughput-vs-stored', 65_536],
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
      measure: async (given) => {
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

  test('after each step but the last there is a result so far', async () => {
    const parts: LinkedinResult[] = []
    await run({ tests: ['single-producer', 'end-to-end'], mode: 'normal', onStep: (part) => parts.push(part) })
    expect(parts.map(({ results, complete }) => [results.length, complete])).toEqual([
      [1, false],
      [2, false],
      [3, false],
    ])
    for (const part of parts) expect(schemaErrors(part)).toEqual([])
  })

  test('what stands behind the rates is told: followers, limits, failures, where, which versions', async () => {
    const replication = { lagBytes: 5000, lagRecords: 45, equalAfterMs: 12 }
    const { result } = await run({
      tests: ['single-producer-3x-sync'],
      columns: ['today'],
      measure: async (given) => {
        const whole = measured(given)
        const results = whole.results.map((one) => {
          return { ...one, runs: [{ ...sampleRun(1e6, 1), replication }], bottleneck: 'producer (a thread)' }
        })
        const failures = [{ test: 'single-producer' as const, target: 'kafka', error: 'gone\nand more' }]
        const settings = { ...whole.settings, network: '1gbit' }
        return { ...whole, results, failures, settings, versions: { 'Apache Kafka': '4.1.1' } }
      },
    })
    expect(schemaErrors(result)).toEqual([])
    const notes = linkedinNotes(result).join('\n')
    expect(notes).toMatch(/3x-sync · pagelog: followers 45 records behind at the end, equal after 12.0 ms$/m)
    expect(notes).toMatch(/the limit was the producer \(a thread\)$/m)
    expect(notes).toMatch(/FAILED single-producer · kafka: gone$/m)
    expect(notes).toContain('Apache Kafka 4.1.1; ')
    expect(notes).toContain('namespace of its own, links of 1gbit')
    expect(linkedinRows(result)[1]?.at(-1)).not.toContain('Kafka')
  })

  test('the ratio to Kafka stands beside the rate, of latencies the p50’s', async () => {
    const { result } = await run({
      tests: ['single-producer', 'end-to-end'],
      columns: ['today'],
      measure: async (given) => {
        const whole = measured(given)
        const test = given.tests[0]!
        const ratio = (measure: 'recordsPerSecond' | 'latencyP50' | 'latencyP99', value: number) => {
          return { test, measure, target: 'pagelog', against: 'kafka', ratio: value, low: value, high: value }
        }
        return { ...whole, ratios: [ratio('latencyP99', 9), ratio('latencyP50', 0.25), ratio('recordsPerSecond', 6.5)] }
      },
    })
    const [, producer, latency] = linkedinRows(result)
    expect(producer?.at(-1)).toMatch(/\(6.50 × Kafka\)$/)
    expect(latency?.at(-1)).toMatch(/\(p50 0.25 × Kafka\)$/)
    expect(schemaErrors(result)).toEqual([])
  })

  test('sizes and latencies have charts, and the bars are files of their own, light and dark', async () => {
    const { result } = await run({ mode: 'normal' })
    const html = await renderLinkedin(result)
    for (const label of ['Records a second by the size', 'MiB a second by the size', 'Latency from end to end']) {
      expect(html).toContain(`aria-label="${label}`)
    }
    const drawn = await linkedinDrawings(result)
    expect(Object.keys(drawn)).toEqual(['chart.svg', 'chart-dark.svg'])
    for (const svg of Object.values(drawn)) expect(svg).toMatch(/^<svg[^>]* xmlns="http:\/\/www.w3.org\/2000\/svg"/)
  })

  test('pieces of a long run become one; what does not belong together is refused', async () => {
    const [a, b, c] = await Promise.all([
      run({ tests: ['single-producer'], columns: ['2014'], mode: 'full' }),
      run({ tests: ['single-producer'], columns: ['today'], mode: 'full' }),
      run({ tests: ['end-to-end'], mode: 'full' }),
    ])
    const whole = mergeLinkedin([c!.result, a!.result, b!.result], 'merged')
    expect(schemaErrors(whole)).toEqual([])
    expect(whole.tests.map(({ id, columns }) => [id, columns.map(({ name }) => name)])).toEqual([
      ['single-producer', ['2014', 'today']],
      ['end-to-end', ['2014', 'today']],
    ])
    expect(whole.missing).not.toContain('single-producer')
    expect(whole.results).toHaveLength(4)
    expect(whole.complete).toBe(true)
    expect(await renderLinkedin(whole)).toContain('<svg')
    expect(() => mergeLinkedin([a!.result, a!.result], 'x')).toThrow('single-producer is in more than one')
    const elsewhere = { ...b!.result, machine: { ...b!.result.machine, cores: 64 } }
    expect(() => mergeLinkedin([a!.result, elsewhere], 'x')).toThrow('not of one machine')
  })

  test('an abort keeps what is there', async () => {
    const abort = new AbortController()
    const { result } = await run({
      tests: ['single-producer', 'message-size'],
      signal: abort.signal,
      measure: async (given) => {
        abort.abort()
        return measured(given)
      },
    })
    expect(result.complete).toBe(false)
    expect(result.tests.map(({ id }) => id)).toEqual(['single-producer'])
    expect(schemaErrors(result)).toEqual([])
  })
})
