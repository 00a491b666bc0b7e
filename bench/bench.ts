/** A whole benchmark run: settings in, one result out, nothing left behind. */
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Harness, type TestOutcome, type Variant } from './harness.ts'
import { commitOf, describeMachine } from './measure/machine.ts'
import { Progress } from './measure/progress.ts'
import { javaVersion, kafkaClasspath, kafkaVersion } from './peers/java.ts'
import { endAllChildren } from './process/children.ts'
import { packageRoot } from './process/package-root.ts'
import { makeScratch } from './process/scratch.ts'
import { type BenchResult, type BenchSettings, isRun, SCHEMA_VERSION, variantName } from './result.ts'
import { limitOf, ratiosOf, resultsOf } from './summary.ts'

export type AskedSettings = Omit<BenchSettings, 'targets'>

export interface BenchOptions {
  readonly settings: AskedSettings
  readonly command: string
  /** Where brokers keep their data: of the file system that is to be measured. Default: the system's temporary directory. */
  readonly dataDirectory?: string
  readonly signal?: AbortSignal
  readonly progress?: Progress
  /** No wait for write-back between runs. */
  readonly quick?: boolean
}

const OWN: readonly Variant[] = [{ target: 'pagelog', driver: 'pagelog-client' }]
const AGAINST_KAFKA: readonly Variant[] = [
  ...OWN,
  { target: 'kafka', driver: 'kafka-tools' },
  { target: 'kafka', driver: 'pagelog-client' },
]

/** Rejects only before anything was measured; afterwards failures are in the result, and so is an abort. */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const { settings } = options
  const signal = options.signal ?? new AbortController().signal
  const variants = settings.against === 'kafka' ? AGAINST_KAFKA : OWN
  const progress = options.progress ?? new Progress(settings.tests.length * settings.runs * variants.length)
  const startedAt = new Date().toISOString()
  let java: string | null = null
  if (settings.against === 'kafka') {
    progress.line(`Apache Kafka ${kafkaVersion}: fetched by Maven on first use`)
    await kafkaClasspath()
    java = (await javaVersion()) ?? null
  }
  const scratch = makeScratch(options.dataDirectory ?? tmpdir())
  const machine = describeMachine(scratch.path, java)
  const outcomes: TestOutcome[] = []
  const targets: Record<string, Record<string, string>> = {}
  const failures: { test: AskedSettings['tests'][number]; target: string; error: string }[] = []
  try {
    const harness = new Harness({
      settings: { ...settings, targets: {} },
      variants,
      scratch,
      signal,
      progress,
      settle: options.quick !== true,
      onTargetSettings: (target) => {
        const name = target.brokers.length === 1 ? target.name : `${target.name}, ${target.brokers.length} brokers`
        targets[name] = { ...target.settings }
      },
    })
    for (const test of settings.tests) {
      if (!signal.aborted) outcomes.push(await harness.runTest(test))
    }
  } finally {
    await endAllChildren()
    scratch.remove()
  }
  const whole = { ...settings, targets }
  for (const outcome of outcomes) {
    for (const { variant, runs } of outcome.variants) {
      const target = variantName(variant.target, variant.driver)
      for (const run of runs) if (!isRun(run)) failures.push({ test: outcome.test, target, error: run.error })
    }
  }
  return {
    schemaVersion: SCHEMA_VERSION,
    version: packageVersion(),
    startedAt,
    finishedAt: new Date().toISOString(),
    complete: !signal.aborted && failures.length === 0,
    orientation: options.quick === true || settings.runs === 1,
    command: options.command,
    commit: commitOf(packageRoot) ?? null,
    machine,
    settings: whole,
    limits: outcomes.map(limitOf).filter((limit) => limit !== undefined),
    results: outcomes.flatMap((outcome) => resultsOf(outcome, whole)),
    ratios: outcomes.flatMap(ratiosOf),
    failures,
  }
}

function packageVersion(): string {
  const text = readFileSync(join(packageRoot, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
