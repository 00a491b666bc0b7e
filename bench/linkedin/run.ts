/** The ten tests of 2014, with the settings of then and with today's: the runs it takes, and what becomes of them. */
import { type AskedSettings, type BenchOptions, runBench } from '../bench.ts'
import { POOL_BYTES } from '../drivers/payloads.ts'
import { factsOf } from '../facts.ts'
import type { Progress } from '../measure/progress.ts'
import type { Driving } from '../options.ts'
import { allTests, type BenchResult, type TestId, type TestResult, variantName } from '../result.ts'
import { storedOf } from '../summary.ts'
import { type Column, columns, HARDWARE_2014, MESSAGE_SIZES, type Published, published } from './published.ts'
import type { LinkedinColumn, LinkedinResult, LinkedinTest } from './result.ts'

export interface LinkedinOptions {
  /** Ids of `published`. */
  readonly tests: readonly string[]
  readonly mode: 'quick' | 'normal' | 'full'
  readonly against: string | null
  readonly driving?: Driving
  /** What throughput-vs-stored adds; by default as the mode has it. */
  readonly storedBytes?: number
  /** What each broker is confined to. */
  readonly brokerMemoryBytes?: number
  readonly command: string
  readonly dataDirectory?: string
  readonly signal: AbortSignal
  readonly progress: Progress
  readonly run?: (options: BenchOptions) => Promise<BenchResult>
}

/** One call of the harness. */
export interface Step {
  readonly column: Column
  /** Which of `published` its tests are for, in the order of the tests. */
  readonly ids: readonly string[]
  readonly tests: readonly TestId[]
  readonly valueBytes: number
  readonly batchBytes: number
}

const SYNC = 'single-producer-3x-sync'
const GIB = 1024 ** 3
const phases = {
  quick: {
    runs: 1,
    seconds: 1.5,
    warmUpSeconds: 0.7,
    latencyRecords: 1_000,
    recordsMax: 1_000_000,
    storedBytes: 1 * GIB,
  },
  normal: {
    runs: 3,
    seconds: 10,
    warmUpSeconds: 2.5,
    latencyRecords: 10_000,
    recordsMax: 10_000_000,
    storedBytes: 4 * GIB,
  },
  // The paper's size.
  full: {
    runs: 3,
    seconds: 600,
    warmUpSeconds: 5,
    latencyRecords: 50_000,
    recordsMax: 50_000_000,
    storedBytes: 40 * GIB,
  },
} as const
/** What one run stores at most with records of other sizes than the paper's. */
const RUN_BYTES = 1e9
/** A quick run begins nothing more after this, so that it ends within three minutes. */
const QUICK_MS_MAX = 150_000

/** The test of ours that stands for one of 2014; undefined when there is none. */
export function ourTest(one: Published): TestId | undefined {
  const known: readonly string[] = allTests
  return one.ours.find((id) => known.includes(id)) as TestId | undefined
}

export function stepsOf(asked: readonly string[], mode: LinkedinOptions['mode']): Step[] {
  const wanted = published.filter(({ id }) => asked.includes(id) && id !== 'message-size')
  return columns.flatMap((column) => {
    const found = wanted.flatMap((one) => {
      const test = ourTest(one)
      return test === undefined ? [] : [{ id: one.id, test }]
    })
    const step = (some: typeof found, batchBytes: number, valueBytes = 100): Step[] =>
      some.length === 0
        ? []
        : [{ column, ids: some.map(({ id }) => id), tests: some.map(({ test }) => test), valueBytes, batchBytes }]
    const sizes = asked.includes('message-size') && (mode !== 'quick' || column.name === 'today')
    return [
      ...step(
        found.filter(({ id }) => id !== SYNC),
        column.batchBytes,
      ),
      ...step(
        found.filter(({ id }) => id === SYNC),
        column.syncBatchBytes,
      ),
      ...(sizes
        ? MESSAGE_SIZES.flatMap((bytes) =>
            step([{ id: 'message-size', test: 'single-producer' }], column.batchBytes, bytes),
          )
        : []),
    ]
  })
}

/** A step for each test, so that a quick run can end between any two; both columns of a test are neighbours. */
function oneByOne(steps: readonly Step[]): Step[] {
  const single = steps.flatMap((step) => step.tests.map((test, i) => ({ ...step, ids: [step.ids[i]!], tests: [test] })))
  const place = ({ ids }: Step) => published.findIndex(({ id }) => id === ids[0])
  return single.sort((a, b) => place(a) - place(b))
}

export async function runLinkedin(options: LinkedinOptions): Promise<LinkedinResult> {
  const { signal, progress, command, mode } = options
  const startedAt = new Date().toISOString()
  const startedMs = performance.now()
  const steps = mode === 'quick' ? oneByOne(stepsOf(options.tests, mode)) : stepsOf(options.tests, mode)
  const done: { step: Step; result: BenchResult }[] = []
  for (const step of steps) {
    if (signal.aborted) break
    if (mode === 'quick' && performance.now() - startedMs > QUICK_MS_MAX) {
      progress.line('three minutes are over: the rest is left out')
      break
    }
    progress.line(
      `${step.column.name}: batch.size ${step.batchBytes}, linger.ms ${step.column.lingerMs}, ${step.valueBytes} bytes`,
    )
    const result = await (options.run ?? runBench)({
      settings: settingsOf(step, options),
      ...options.driving,
      command,
      signal,
      progress,
      quick: mode === 'quick',
      ...(options.dataDirectory === undefined ? {} : { dataDirectory: options.dataDirectory }),
    })
    done.push({ step, result })
  }
  const isWhole = done.length === steps.length && done.every(({ result }) => result.complete)
  const facts = { startedAt, command, complete: isWhole && !signal.aborted, orientation: mode === 'quick' }
  const tests = published.filter(({ id }) => options.tests.includes(id)).map((one) => testOf(one, done))
  return {
    kind: 'linkedin-2014',
    schemaVersion: 1,
    ...factsOf({ ...facts, ...(options.dataDirectory === undefined ? {} : { directory: options.dataDirectory }) }),
    quick: mode === 'quick',
    tests: tests.filter((test) => test.columns.length > 0),
    missing: published
      .map(({ id }) => id)
      .filter((id) => !tests.some((test) => test.id === id && test.columns.length > 0)),
    hardware2014: HARDWARE_2014,
    results: done.map(({ result }) => result),
  }
}

function settingsOf(step: Step, { mode, against, storedBytes, brokerMemoryBytes }: LinkedinOptions): AskedSettings {
  const { valueBytes, batchBytes, column, tests } = step
  const { recordsMax, ...phase } = phases[mode]
  const records =
    valueBytes === 100 ? recordsMax : Math.min(recordsMax, Math.max(1_000, Math.round(RUN_BYTES / valueBytes)))
  return {
    tests,
    valueBytes,
    records,
    ...phase,
    batchBytes,
    lingerMs: column.lingerMs,
    acks: 1,
    partitions: 6,
    against,
    payloadSeed: 1,
    payloadPoolBytes: POOL_BYTES,
    ...(storedBytes === undefined ? {} : { storedBytes }),
    ...(brokerMemoryBytes === undefined ? {} : { brokerMemoryBytes }),
  }
}

function testOf(one: Published, done: readonly { step: Step; result: BenchResult }[]): LinkedinTest {
  const columnsOf = done.flatMap(({ step, result }) => {
    const test = step.tests[step.ids.indexOf(one.id)]
    if (test === undefined) return []
    return result.results.filter((found) => found.test === test).map((found) => columnOf(step, result, found))
  })
  const { id, title, recordsPerSecond, mebibytesPerSecond, latencyMs, note } = one
  return { id, title, published: { recordsPerSecond, mebibytesPerSecond, latencyMs, note }, columns: columnsOf }
}

function columnOf(step: Step, result: BenchResult, found: TestResult): LinkedinColumn {
  const target = variantName(found.target, found.driver)
  const failure = result.failures.find((one) => one.test === found.test && one.target === target)
  const { latencyMs } = found
  return {
    name: step.column.name,
    settings: `${step.valueBytes} bytes, batch.size ${step.batchBytes}, linger.ms ${step.column.lingerMs}`,
    target: found.test.endsWith('-1x') ? `${target}, one broker` : target,
    recordsPerSecond: found.recordsPerSecond,
    low: found.low,
    high: found.high,
    mebibytesPerSecond: found.mebibytesPerSecond,
    p50: latencyMs?.p50 ?? null,
    p99: latencyMs?.p99 ?? null,
    p999: latencyMs?.p999 ?? null,
    lastOfFirst: storedOf(found)?.lastOfFirst ?? null,
    error: failure?.error ?? null,
  }
}
