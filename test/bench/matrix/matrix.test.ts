/** The matrix: workloads, plans, rounds, going on after an interruption, what is shown of it. No broker is started. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LoadRunOptions } from '../../../bench/load/run.ts'
import { heatMapsOf } from '../../../bench/matrix/charts.ts'
import { planOf, quickWorkload } from '../../../bench/matrix/plan.ts'
import { presets } from '../../../bench/matrix/presets.ts'
import { renderMatrixReport } from '../../../bench/matrix/report.ts'
import type { MatrixResult } from '../../../bench/matrix/result.ts'
import { type MatrixOptions, runMatrix } from '../../../bench/matrix/run.ts'
import { MatrixState } from '../../../bench/matrix/state.ts'
import { formatMatrix, formatPlan, matrixRows } from '../../../bench/matrix/table.ts'
import { readWorkload, type Workload } from '../../../bench/matrix/workload.ts'
import { Progress } from '../../../bench/measure/progress.ts'
import { loopback } from '../../../bench/netns/placement.ts'
import { UsageError } from '../../../bench/options.ts'
import { makeScratch } from '../../../bench/process/scratch.ts'
import { toCsv, toMarkdown } from '../../../bench/report/text-files.ts'
import { loadRun } from '../sample-load.ts'
import { schemaErrors } from '../suite-schema.ts'

const TEXT = `
name: a small one
matrix:
  acks: [1, all]
  batchBytes: [1000, 2000]
  idempotence: [false, true]
load: { seconds: 1, warmUpSeconds: 0 }
runs: 2
`

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-matrix-test-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

interface Machine {
  readonly signal?: AbortSignal
  readonly run?: (options: LoadRunOptions) => ReturnType<typeof loadRun>
  readonly onSession?: (brokers: number | undefined) => void
  readonly settle?: NonNullable<MatrixOptions['settle']>
}

async function measure(workload: Workload, machine: Machine = {}): Promise<MatrixResult> {
  const options: MatrixOptions = {
    ...{ workload, plan: planOf(workload, true), state: new MatrixState(directory, workload, 'loopback') },
    ...{
      bootstrap: null,
      dataDirectory: directory,
      netns: undefined,
      hosts: undefined,
      quick: machine.settle === undefined,
    },
    ...(machine.settle === undefined ? {} : { settle: machine.settle }),
    command: 'a test',
    signal: machine.signal ?? new AbortController().signal,
    progress: new Progress(1, { quiet: true }),
    run: async (given) => machine.run?.(given) ?? loadRun(given.settings.tuning.batchBytes, 10),
    session: async (given, work) => {
      machine.onSession?.(given.brokers)
      const scratch = makeScratch(join(directory, 'scratch'))
      return await work({ target: { bootstrap: 'nowhere:1' }, placement: loopback, scratch })
    },
  }
  return await runMatrix(options)
}

describe('workloads', () => {
  test('every combination that means anything is a cell; the others say why', () => {
    const plan = planOf(readWorkload(TEXT, 'a file'), true)
    expect(plan.cells.map(({ id }) => id)).toEqual([
      'acks=1 idempotence=false batchBytes=1000',
      'acks=1 idempotence=false batchBytes=2000',
      'acks=all idempotence=false batchBytes=1000',
      'acks=all idempotence=false batchBytes=2000',
      'acks=all idempotence=true batchBytes=1000',
      'acks=all idempotence=true batchBytes=2000',
    ])
    expect(plan.skipped.map(({ why }) => why)).toEqual(['idempotence needs acks=all', 'idempotence needs acks=all'])
    expect(formatPlan(readWorkload(TEXT, 'a file'), plan, 0)).toMatch(/6 cells × 2 runs of 1 s, about \d+ s/)
  })

  test.each(Object.keys(presets))('%s is ready-made, and quick in five minutes', (name) => {
    const workload = readWorkload(presets[name]!, name)
    const quick = quickWorkload(workload, 300)
    const plan = planOf(quick, true)
    expect(plan.cells.length).toBeGreaterThan(3)
    expect(plan.seconds).toBeLessThanOrEqual(300)
    expect(quick.load.seconds).toBeGreaterThanOrEqual(0.5)
    expect(planOf(workload, false).seconds).toBeGreaterThan(plan.seconds)
  })

  test.each([
    ['matrix: [', 'a file'],
    ['[]', 'the file'],
    ['matrix: { acks: [2] }', 'matrix.acks'],
    ['matrix: { acks: [] }', 'matrix.acks'],
    ['matrix: { acks: [1, 1] }', 'twice'],
    ['matrix: { speed: [1] }', 'speed is none of'],
    ['matrix: { batchBytes: [many] }', 'matrix.batchBytes'],
    ['matrix: { compression: [zip] }', 'matrix.compression'],
    ['matrix: { idempotence: ["yes"] }', 'matrix.idempotence'],
    ['matrix: { fsync: [never] }', 'matrix.fsync'],
    ['load: { seconds: 0 }', 'load.seconds'],
    ['load: { values: zeros }', 'zeros'],
    ['load: { arrivals: bursts }', 'load.arrivals'],
    ['runs: 0', 'runs'],
    ['run: 1', 'run is none of'],
  ])('%j is refused', (text, said) => {
    expect(() => readWorkload(text, 'a file')).toThrow(UsageError)
    expect(() => readWorkload(text, 'a file')).toThrow(said)
  })
})

describe('runs', () => {
  const workload = readWorkload(TEXT, 'a file')

  test('go round by round; medians, the front, a valid result', async () => {
    const order: number[] = []
    const result = await measure(workload, {
      run: ({ settings }) => {
        order.push(settings.tuning.batchBytes)
        return loadRun(settings.tuning.batchBytes + order.length, settings.tuning.acks === 1 ? 5 : 10)
      },
    })
    expect(order).toEqual([1000, 2000, 1000, 2000, 1000, 2000, 1000, 2000, 1000, 2000, 1000, 2000])
    expect(result).toMatchObject({ complete: true, planned: 6 })
    expect(result.cells[0]).toMatchObject({ recordsPerSecond: 1004, low: 1001, high: 1007, p99: 5 })
    // The last cell has most, the second nearly as much at half of its latency.
    expect(result.cells.filter(({ pareto }) => pareto).map(({ id }) => id)).toEqual([
      'acks=1 idempotence=false batchBytes=2000',
      'acks=all idempotence=true batchBytes=2000',
    ])
    expect(schemaErrors(result)).toEqual([])
  })

  test('what was interrupted goes on where it was, and the same command of another workload does not', async () => {
    const abort = new AbortController()
    let count = 0
    const run = () => {
      if (++count === 4) abort.abort()
      return loadRun(count, 10)
    }
    const cut = await measure(workload, { signal: abort.signal, run })
    expect(cut.complete).toBe(false)
    expect(cut.cells).toHaveLength(3)
    expect(schemaErrors(cut)).toEqual([])
    expect(new MatrixState(directory, workload, 'loopback').count).toBe(3)

    let more = 0
    const whole = await measure(workload, { run: () => loadRun(100 + ++more, 10) })
    expect(more).toBe(12 - 3)
    expect(whole.complete).toBe(true)
    expect(whole.startedAt).toBe(cut.startedAt)
    expect(whole.cells[0]!.runs.map(({ recordsPerSecond }) => recordsPerSecond)).toEqual([1, 104])
    expect(new MatrixState(directory, { ...workload, runs: 1 }, 'loopback').count).toBe(0)
  })

  test('a line that was cut off in the middle is measured again', async () => {
    await measure(workload)
    const path = join(directory, readdirSync(directory).find((name) => name.endsWith('.jsonl'))!)
    writeFileSync(path, readFileSync(path, 'utf8').slice(0, -20))
    expect(new MatrixState(directory, workload, 'loopback').count).toBe(11)
    const state = new MatrixState(directory, workload, 'loopback')
    state.add('x', 0, loadRun(1, 1))
    expect(new MatrixState(directory, workload, 'loopback').count).toBe(12)
    state.remove()
    expect(new MatrixState(directory, workload, 'loopback').count).toBe(0)
  })

  test('a failed run fails its cell, a broker that cannot be had those that need it; the rest goes on', async () => {
    const two = readWorkload('matrix: { replication: [1, 3], acks: [1, all] }\nruns: 1', 'a file')
    const result = await measure(two, {
      run: ({ settings }) => loadRun(10, 10, settings.tuning.acks === 1 ? 'it broke' : null),
      onSession: (brokers) => {
        if (brokers === 3) throw new Error('no three of them')
      },
    })
    expect(result.complete).toBe(false)
    const errors = Object.fromEntries(result.cells.map(({ id, error }) => [id, error]))
    expect(errors).toEqual({
      'acks=1 replication=1': 'it broke',
      'acks=1 replication=3': 'no three of them',
      'acks=all replication=1': null,
      'acks=all replication=3': 'no three of them',
    })
    expect(formatMatrix(result)).toContain('FAILED')
    expect(schemaErrors(result)).toEqual([])
  })

  test('on a machine that could not be settled fail, unless they were interrupted', async () => {
    const one = readWorkload('matrix: { acks: [1] }\nruns: 1', 'a file')
    const run = () => loadRun(10, 10)
    const full = async () => {
      throw new Error('no space left')
    }
    const result = await measure(one, { run, settle: full })
    expect(result.cells[0]).toMatchObject({ error: 'the machine was not settled: no space left' })

    const abort = new AbortController()
    const other = { ...one, name: 'another' }
    const cut = async () => {
      abort.abort()
      throw abort.signal.reason
    }
    expect(await measure(other, { run, settle: cut, signal: abort.signal })).toMatchObject({
      complete: false,
      cells: [],
    })
  })
})

describe('what is shown', () => {
  test('table, CSV, Markdown, and a page with the front and a heat map of each pair', async () => {
    const result = await measure(readWorkload(TEXT, 'a file'))
    expect(formatMatrix(result)).toMatch(/\*.*all.*true.*2000/)
    expect(toCsv(matrixRows(result)).split('\r\n')).toHaveLength(6 + 2)
    expect(toMarkdown(matrixRows(result)).split('\n')[1]).toMatch(/^\| --- \|/)
    // Three axes vary: three pairs, each for throughput and p99.
    expect(heatMapsOf(result)).toHaveLength(6)
    const html = await renderMatrixReport(result)
    expect(html.match(/<svg/g)).toHaveLength((6 + 1) * 4)
    expect(html).toContain('A small one')
    expect(html).not.toContain('<script')
    expect(html).not.toMatch(/NaN|undefined/)
  })

  test('one axis alone has a heat map too; nothing measured has a page all the same', async () => {
    const abort = new AbortController()
    abort.abort()
    const nothing = await measure(readWorkload('matrix: { lingerMs: [0, 5] }', 'a file'), { signal: abort.signal })
    expect(nothing.cells).toEqual([])
    expect(await renderMatrixReport(nothing)).toContain('0 of 2 cells')
    const one = await measure(readWorkload('matrix: { lingerMs: [0, 5] }', 'a file'))
    expect(heatMapsOf(one)).toHaveLength(2)
  })

  test('CSV and Markdown keep what would break them', () => {
    expect(toCsv([['a,b', 'say "x"', null, 1]])).toBe('"a,b","say ""x""",,1\r\n')
    expect(toMarkdown([['a|b'], ['c\nd']])).toBe('| a\\|b |\n| --- |\n| c d |\n')
  })
})
