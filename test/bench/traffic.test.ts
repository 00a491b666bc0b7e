/** What brokers read, wrote and sent: read from Linux, summed up, told. Nothing is measured but this process. */

import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { pageCacheLine } from '../../bench/goals/suite/reading.ts'
import { IntervalLatency } from '../../bench/load/intervals.ts'
import { linkBytes, pageCacheShare, readIo, runIo } from '../../bench/measure/io.ts'
import { renderReport } from '../../bench/report/html.ts'
import { latencyLogs } from '../../bench/report/latency-logs.ts'
import { benchRows } from '../../bench/report/rows.ts'
import { formatTable, ioText } from '../../bench/report/table.ts'
import { toCsv } from '../../bench/report/text-files.ts'
import type { BenchResult, ProcessResult, RunIo, TestResult } from '../../bench/result.ts'
import { result as sample, sampleRun } from './sample-result.ts'

const MIB = 2 ** 20
const broker = (traffic: Partial<ProcessResult>): ProcessResult => ({
  ...{ role: 'broker', cpuSeconds: 1, rss: 1, eventLoopDelayMs: null, busiestThread: 0.5 },
  ...{ readBytes: 0, writtenBytes: 0, receivedBytes: null, sentBytes: null },
  ...traffic,
})

const DEVICES = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 5000      50    0    0    0     0          0         0     5000      50    0    0    0     0       0          0
  eth0: 1200      10    0    0    0     0          0         0     3400      20    0    0    0     0       0          0
  eth1:100 1 0 0 0 0 0 0 200 2 0 0 0 0 0 0
`

test('the bytes of links are those of all devices but the loopback', () => {
  expect(linkBytes(DEVICES)).toEqual({ received: 1300, sent: 3600 })
  expect(linkBytes('')).toEqual({ received: 0, sent: 0 })
})

test.runIf(process.platform === 'linux')(
  'a process is read; one that shares our network has no links of its own',
  () => {
    expect(readIo(process.pid)).toEqual({
      ...{ readBytes: expect.any(Number), writtenBytes: expect.any(Number) },
      ...{ receivedBytes: null, sentBytes: null },
    })
    expect(readIo(2 ** 30)).toBeUndefined()
  },
)

describe('a run', () => {
  test('on loopback: the sums of the brokers, and what went over it', () => {
    const brokers = [broker({ readBytes: 1 * MIB, writtenBytes: 10 * MIB }), broker({ writtenBytes: 5 * MIB })]
    expect(runIo(brokers, 300 * MIB, 100 * MIB)).toEqual({
      ...{ readBytes: MIB, writtenBytes: 15 * MIB, networkBytes: 300 * MIB, network: 'loopback' },
      ...{ servedBytes: 100 * MIB, pageCacheShare: 0.99 },
    })
  })

  test('with links of their own: the sum of those', () => {
    const io = runIo([broker({ receivedBytes: 1, sentBytes: 2 }), broker({ receivedBytes: 3, sentBytes: 4 })], 99, null)
    expect(io).toMatchObject({ networkBytes: 10, network: 'links', servedBytes: null, pageCacheShare: null })
  })

  test('is unknown where a broker cannot be read, or is not ours', () => {
    expect(runIo([broker({}), broker({ readBytes: null })], 1, 1)).toBeNull()
    expect(runIo([], 1, 1)).toBeNull()
  })

  test('a share of the page cache is never rounded up, nor below nothing', () => {
    expect(pageCacheShare(0, 10)).toBe(1)
    expect(pageCacheShare(1, 1e9)).toBeLessThan(1)
    expect(pageCacheShare(20, 10)).toBe(0)
  })
})

const io: RunIo = {
  ...{ readBytes: 0.5 * MIB, writtenBytes: 300 * MIB, networkBytes: 2048 * MIB, network: 'loopback' },
  ...{ servedBytes: 1024 * MIB, pageCacheShare: 0.99951 },
}

test('is told in a sentence', () => {
  expect(ioText(io)).toBe(
    '99.95 % of the reads came from the page cache (1.0 GiB served); brokers read 0.5 MiB from the device and wrote 300 MiB, 2.0 GiB over loopback',
  )
  expect(ioText({ ...io, servedBytes: null, pageCacheShare: null, network: 'links' })).toBe(
    'brokers read 0.5 MiB from the device and wrote 300 MiB, 2.0 GiB over the brokers’ links',
  )
})

/** A test with every new field. */
function resultWith(): BenchResult {
  const latency = new IntervalLatency()
  latency.record(0.25, 100)
  latency.record(0.5, 1200)
  latency.finish(1500)
  const tenths = Array.from({ length: 10 }, (_, i) => ({ storedBytes: (i + 1) * 1e9, recordsPerSecond: 2e6 - i * 1e4 }))
  const stored = { bytes: 1e10, brokerBytes: 1e10 / 3, memoryBytes: 512 * MIB, tenths, lastOfFirst: 0.955 }
  const run = { ...sampleRun(2e6, 10), io, processes: [broker({ readBytes: MIB })] }
  const one = sample.results[0]!
  const head = { target: 'pagelog', driver: 'pagelog-client' } as const
  const growing: TestResult = { ...one, ...head, test: 'throughput-vs-stored', runs: [{ ...run, stored }] }
  const echo: TestResult = {
    ...{ ...one, ...head, test: 'end-to-end-1x' as const },
    runs: [{ ...sampleRun(4000, 0.25), intervals: latency.intervals }],
  }
  const settings = {
    ...sample.settings,
    tests: [growing.test, echo.test],
    storedBytes: 1e10,
    brokerMemoryBytes: 512 * MIB,
  }
  return { ...sample, settings, results: [growing, echo], ratios: [] }
}

test('is in table, CSV, report and JSON, with the rates while the stored data grew', async () => {
  const result = resultWith()
  const schema = JSON.parse(readFileSync(new URL('../../bench/result.schema.json', import.meta.url), 'utf8')) as object
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema)
  validate(JSON.parse(JSON.stringify(result)))
  expect(validate.errors).toBeNull()
  const text = formatTable(result)
  expect(text).toContain('throughput-vs-stored · pagelog: 99.95 % of the reads came from the page cache')
  expect(text).toContain(
    'last tenth 96 % of the first while 9.3 GiB were stored (3.1 GiB on each broker, 6.2 × its memory of 512 MiB): 2.00 M, 1.99 M',
  )
  const csv = toCsv(benchRows(result)).split('\r\n')
  expect(csv[1]).toMatch(/,524288,314572800,2147483648,0\.99951,0\.955$/)
  const html = await renderReport(result)
  expect(html).toContain('Records a second by what is stored, throughput-vs-stored')
  expect(html).toContain('Last tenth 96 % of the first')
  expect(html).toContain('each broker confined to 512 MiB')
  expect(html).not.toMatch(/NaN|undefined/)
})

test('tests of latency leave an HDR log for each run', () => {
  const logs = latencyLogs(resultWith(), '1-')
  expect(Object.keys(logs)).toEqual(['1-end-to-end-1x-pagelog-1.hlog'])
  const [log] = Object.values(logs)
  expect(log).toContain('#[Histogram log format version 1.3]')
  expect(log!.split('\n').filter((line) => /^(?:Tag=[^,]*,)?\d/.test(line))).toHaveLength(2)
})

describe('the goal of the page cache', () => {
  const run = (pageCacheShare: number | null) => ({ ...sampleRun(1e6, 1), io: { ...io, pageCacheShare } })

  test('is met by the worst run, or not at all', () => {
    const line = (...shares: (number | null)[]) => pageCacheLine({ test: 'three-consumers', runs: shares.map(run) })
    expect(line(1, 0.995)).toMatchObject({
      id: 'three-consumers.page-cache',
      pass: true,
      measured: '99.50 % of the reads',
    })
    expect(line(1, 0.98999).pass).toBe(false)
    expect(line(1, null).pass).toBe(false)
    expect(pageCacheLine({ test: 'three-consumers', runs: [{ error: 'gone' }] })).toMatchObject({
      pass: false,
      measured: 'not known',
    })
  })
})
