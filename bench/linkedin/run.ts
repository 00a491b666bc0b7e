/** The ten tests of 2014, with the settings of then and with today's: the runs it takes, and what becomes of them. */
import { type AskedSettings, Bench } from '../bench.ts'
import { POOL_BYTES } from '../drivers/payloads.ts'
import { factsOf } from '../facts.ts'
import type { Progress } from '../measure/progress.ts'
import { type Driving, UsageError } from '../options.ts'
import { allTests, type BenchResult, type TestId, type TestResult, variantName } from '../result.ts'
import { storedOf } from '../summary.ts'
import { isLatencyTest, workloads } from '../workloads.ts'
import { type Column, columns, HARDWARE_2014, MESSAGE_SIZES, type Published, published } from './published.ts'
import { LINKEDIN_SCHEMA_VERSION, type LinkedinColumn, type LinkedinResult, type LinkedinTest } from './result.ts'

export interface LinkedinOptions {
  /** Ids of `published`. */
  readonly tests: readonly string[]
  readonly mode: 'quick' | 'normal' | 'full'
  /** Only these; both without it. */
  readonly columns?: readonly Column['name'][]
  /** Of each test, instead of what the mode says. */
  readonly runs?: number
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
  /** Measures these instead of brokers that are started here. */
  readonly measure?: (settings: AskedSettings) => Promise<BenchResult>
  /** Told of what there is after each step. */
  readonly onStep?: (result: LinkedinResult) => void
}

/** One call of the harness. */
export interface Step {
  readonly column: Column
  /** Which of `published` it is for. */
  readonly id: string
  readonly test: TestId
  readonly valueBytes: number
  readonly batchBytes: number
}

const VALUE_BYTES = 100
const PARTITIONS = 6
const SYNC = 'single-producer-3x-sync'
/** Each takes as long as several others: a quick run has them in one column, today's unless that is not asked for. */
const LONG_TESTS = ['message-size', 'throughput-vs-stored']
const GIB = 1024 ** 3
const phases = {
  quick: {
    runs: 1,
    seconds: 1.5,
    warmUpSeconds: 0.7,
    // One record at a time is few: code that is new to it would be most of what is measured.
    latencyWarmUpSeconds: 6,
    latencyRecords: 1_000,
    recordsMax: 1_000_000,
    storedBytes: 1 * GIB,
  },
  normal: {
    runs: 3,
    seconds: 10,
    warmUpSeconds: 2.5,
    latencyWarmUpSeconds: 6,
    latencyRecords: 10_000,
    recordsMax: 10_000_000,
    storedBytes: 4 * GIB,
  },
  // The paper's size.
  full: {
    runs: 3,
    seconds: 600,
    warmUpSeconds: 5,
    latencyWarmUpSeconds: 6,
    latencyRecords: 50_000,
    recordsMax: 50_000_000,
    storedBytes: 40 * GIB,
  },
} as const
/** What one run of message-size stores and sends at most: the paper does not say how many it sent of each size. */
const SIZE_RUN_BYTES = 1e9
const SIZE_RUN_RECORDS = 10_000_000
/** A quick run begins nothing more after this, so that it ends within three minutes. */
const QUICK_MS_MAX = 150_000

/** The test of ours that stands for one of 2014; undefined when there is none. */
export function ourTest(one: Published): TestId | undefined {
  const known: readonly string[] = allTests
  return one.ours.find((id) => known.includes(id)) as TestId | undefined
}

/** A step for each test and column: after each there is a result, and a quick run can end between any two. */
export function stepsOf(
  asked: readonly string[],
  mode: LinkedinOptions['mode'],
  names: readonly Column['name'][] = columns.map(({ name }) => name),
): Step[] {
  const wanted = published.filter(({ id }) => asked.includes(id))
  return columns
    .filter(({ name }) => names.includes(name))
    .flatMap((column) =>
      wanted.flatMap((one): Step[] => {
        const { id } = one
        if (mode === 'quick' && LONG_TESTS.includes(id) && column.name !== names.at(-1)) return []
        if (id === 'message-size') {
          const { batchBytes } = column
          return MESSAGE_SIZES.map((valueBytes) => ({ column, id, test: 'single-producer', valueBytes, batchBytes }))
        }
        const test = ourTest(one)
        const batchBytes = id === SYNC ? column.syncBatchBytes : column.batchBytes
        return test === undefined ? [] : [{ column, id, test, valueBytes: VALUE_BYTES, batchBytes }]
      }),
    )
}

/**
 * Those of one broker first, then those of three: brokers go on from test to test, and are warm. Both columns of a test are
 * neighbours. The longest comes last where time may be over before all is done.
 */
function inOrder(steps: readonly Step[], mode: LinkedinOptions['mode']): Step[] {
  const isLast = ({ id }: Step) => mode === 'quick' && id === 'throughput-vs-stored'
  const place = (step: Step) => (isLast(step) ? published.length : published.findIndex(({ id }) => id === step.id))
  return steps.toSorted((a, b) => workloads[a.test].brokers - workloads[b.test].brokers || place(a) - place(b))
}

export async function runLinkedin(options: LinkedinOptions): Promise<LinkedinResult> {
  if (options.measure !== undefined) return await measureAll(options, options.measure)
  const { mode, dataDirectory, brokerMemoryBytes, command, against, signal, progress } = options
  const bench = await Bench.open({
    ...{ command, partitions: PARTITIONS, against, signal, progress, quick: mode === 'quick' },
    ...options.driving,
    ...(brokerMemoryBytes === undefined ? {} : { brokerMemoryBytes }),
    ...(dataDirectory === undefined ? {} : { dataDirectory }),
  })
  try {
    return await measureAll(options, (settings) => bench.run(settings))
  } finally {
    await bench.close()
  }
}

async function measureAll(
  options: LinkedinOptions,
  measure: (settings: AskedSettings) => Promise<BenchResult>,
): Promise<LinkedinResult> {
  const { signal, progress, mode } = options
  const startedAt = new Date().toISOString()
  const startedMs = performance.now()
  const steps = inOrder(stepsOf(options.tests, mode, options.columns), mode)
  const done: Done[] = []
  for (const step of steps) {
    if (signal.aborted) break
    if (mode === 'quick' && performance.now() - startedMs > QUICK_MS_MAX) {
      progress.line('three minutes are over: the rest is left out')
      break
    }
    progress.line(
      `${step.column.name}: batch.size ${step.batchBytes}, linger.ms ${step.column.lingerMs}, ${step.valueBytes} bytes`,
    )
    done.push({ step, result: await measure(settingsOf(step, options)) })
    if (done.length < steps.length) options.onStep?.(resultOf(options, startedAt, steps.length, done))
  }
  return resultOf(options, startedAt, steps.length, done)
}

interface Done {
  readonly step: Step
  readonly result: BenchResult
}

/** Of what is done of so many steps. */
function resultOf(options: LinkedinOptions, startedAt: string, steps: number, done: readonly Done[]): LinkedinResult {
  const { command, mode, signal } = options
  const isWhole = done.length === steps && done.every(({ result }) => result.complete)
  const orientation = done.some(({ result }) => result.orientation)
  const facts = { startedAt, command, complete: isWhole && !signal.aborted, orientation }
  const tests = published.filter(({ id }) => options.tests.includes(id)).map((one) => testOf(one, done))
  return {
    kind: 'linkedin-2014',
    schemaVersion: LINKEDIN_SCHEMA_VERSION,
    ...factsOf({ ...facts, ...(options.dataDirectory === undefined ? {} : { directory: options.dataDirectory }) }),
    quick: mode === 'quick',
    tests: tests.filter((test) => test.columns.length > 0),
    missing: missingOf(tests),
    hardware2014: HARDWARE_2014,
    results: done.map(({ result }) => result),
  }
}

function missingOf(tests: readonly LinkedinTest[]): string[] {
  const isThere = (id: string) => tests.some((test) => test.id === id && test.columns.length > 0)
  return published.map(({ id }) => id).filter((id) => !isThere(id))
}

/**
 * Pieces of a long run, each with other tests or another column, as one. Times and commands are those of all, what they have in common
 * is the first's. Throws UsageError where they are not of one machine.
 */
export function mergeLinkedin(pieces: readonly LinkedinResult[], command: string): LinkedinResult {
  const first = pieces[0]!
  const places = (one: LinkedinResult) => {
    const { cpu, cores, memoryBytes, kernel, fileSystem, node } = one.machine
    return JSON.stringify([cpu, cores, memoryBytes, kernel, fileSystem, node, networksOf(one)])
  }
  if (pieces.some((one) => places(one) !== places(first))) {
    throw new UsageError('--merge: the pieces are not of one machine, Node and network')
  }
  const tests = published.flatMap(({ id }) => {
    const found = pieces.flatMap((one) => one.tests.filter((test) => test.id === id))
    const merged = found.flatMap((test) => test.columns)
    const kinds = merged.map(({ name, settings, target }) => `${name} ${settings} ${target}`)
    if (new Set(kinds).size < kinds.length) throw new UsageError(`--merge: ${id} is in more than one of the pieces`)
    return found.length === 0 ? [] : [{ ...found[0]!, columns: merged }]
  })
  const commits = [...new Set(pieces.map(({ commit }) => commit))]
  return {
    ...first,
    startedAt: pieces.map(({ startedAt }) => startedAt).sort()[0]!,
    finishedAt: pieces
      .map(({ finishedAt }) => finishedAt)
      .sort()
      .at(-1)!,
    complete: pieces.every(({ complete }) => complete),
    orientation: pieces.some(({ orientation }) => orientation),
    quick: pieces.some(({ quick }) => quick),
    command: [command, ...pieces.map((one) => `  ${one.command}`)].join('\n'),
    commit: commits.length === 1 ? commits[0]! : commits.join(', '),
    tests,
    missing: missingOf(tests),
    results: pieces.flatMap(({ results }) => results),
  }
}

/** Where brokers and clients were, as the settings have it. */
export function networksOf({ results }: Pick<LinkedinResult, 'results'>): string[] {
  return [...new Set(results.map(({ settings }) => settings.network ?? 'loopback'))]
}

function settingsOf(step: Step, options: LinkedinOptions): AskedSettings {
  const { mode, against, storedBytes, brokerMemoryBytes, runs } = options
  const { valueBytes, batchBytes, column, test } = step
  const { recordsMax, latencyWarmUpSeconds, ...phase } = phases[mode]
  const records =
    step.id === 'message-size'
      ? Math.min(recordsMax, SIZE_RUN_RECORDS, Math.round(SIZE_RUN_BYTES / valueBytes))
      : recordsMax
  return {
    tests: [test],
    valueBytes,
    records,
    ...phase,
    ...(isLatencyTest(test) ? { warmUpSeconds: latencyWarmUpSeconds } : {}),
    ...(runs === undefined ? {} : { runs }),
    batchBytes,
    lingerMs: column.lingerMs,
    acks: 1,
    partitions: PARTITIONS,
    against,
    payloadSeed: 1,
    payloadPoolBytes: POOL_BYTES,
    ...(storedBytes === undefined ? {} : { storedBytes }),
    ...(brokerMemoryBytes === undefined ? {} : { brokerMemoryBytes }),
  }
}

function testOf(one: Published, done: readonly Done[]): LinkedinTest {
  const columnsOf = done.flatMap(({ step, result }) => {
    if (step.id !== one.id) return []
    return result.results.filter(({ test }) => test === step.test).map((found) => columnOf(step, result, found))
  })
  const { id, title, recordsPerSecond, mebibytesPerSecond, latencyMs, note } = one
  return { id, title, published: { recordsPerSecond, mebibytesPerSecond, latencyMs, note }, columns: columnsOf }
}

function columnOf(step: Step, result: BenchResult, found: TestResult): LinkedinColumn {
  const target = variantName(found.target, found.driver)
  const failure = result.failures.find((one) => one.test === found.test && one.target === target)
  const { latencyMs, shareOfLimit } = found
  const measure = latencyMs !== null && isLatencyTest(found.test) ? 'latencyP50' : 'recordsPerSecond'
  const ratio = result.ratios.find(
    (one) => one.test === found.test && one.target === target && one.against === 'kafka' && one.measure === measure,
  )
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
    ratio: ratio?.ratio ?? null,
    ...(ratio?.stillRising === true ? { stillRising: true as const } : {}),
    shareOfLimit,
    lastOfFirst: storedOf(found)?.lastOfFirst ?? null,
    error: failure?.error ?? null,
  }
}
