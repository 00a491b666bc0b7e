/** A whole benchmark run: settings in, one result out, nothing left behind. */
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { QUICK_WARM_UP, WARM_UP, warmTarget } from './drivers/target-warm-up.ts'
import { Harness, type HarnessOptions, type TestOutcome, type Variant } from './harness.ts'
import { commitOf, describeMachine } from './measure/machine.ts'
import { Progress } from './measure/progress.ts'
import { placementHere } from './netns/namespaces.ts'
import { javaVersion, kafkaClasspath, kafkaVersion } from './peers/java.ts'
import { clientVersion, isNodeClient, prepareClient } from './peers/node-clients.ts'
import { endAllChildren } from './process/children.ts'
import { MemoryGroups } from './process/memory-groups.ts'
import { packageRoot } from './process/package-root.ts'
import { makeScratch } from './process/scratch.ts'
import { type BenchResult, type BenchSettings, type DriverName, isRun, SCHEMA_VERSION, variantName } from './result.ts'
import { limitOf, ratiosOf, resultsOf } from './summary.ts'

export type AskedSettings = Omit<BenchSettings, 'targets'>

export interface BenchOptions {
  readonly settings: AskedSettings
  readonly command: string
  /** Where brokers keep their data: of the file system that is to be measured. Default: the system's temporary directory. */
  readonly dataDirectory?: string
  readonly signal?: AbortSignal
  readonly progress?: Progress
  /** Who drives the tests, of every target alike; without it pagelog's client, and Kafka's tools where Kafka is measured. */
  readonly clients?: readonly DriverName[]
  /** Addresses of brokers that are there already: they are measured instead of ours. */
  readonly hosts?: string
  /** No wait for write-back between runs. */
  readonly quick?: boolean
}

const OWN: readonly Variant[] = [{ target: 'pagelog', driver: 'pagelog-client' }]
const AGAINST_KAFKA: readonly Variant[] = [
  ...OWN,
  { target: 'kafka', driver: 'kafka-tools' },
  { target: 'kafka', driver: 'pagelog-client' },
]

/** Pairs of brokers and what drives them; how many there are decides how long a run takes. */
export function variantsOf(
  options: Pick<BenchOptions, 'clients' | 'hosts'> & { settings: { against: string | null } },
): readonly Variant[] {
  const { clients, hosts, settings } = options
  if (clients === undefined && hosts === undefined) return settings.against === 'kafka' ? AGAINST_KAFKA : OWN
  const kafka = settings.against === 'kafka' ? (['kafka'] as const) : []
  const targets = hosts === undefined ? (['pagelog', ...kafka] as const) : (['hosts'] as const)
  const drivers = clients ?? ['pagelog-client']
  return targets.flatMap((target) => drivers.map((driver) => ({ target, driver })))
}

/** Rejects only before anything was measured; afterwards failures are in the result, and so is an abort. */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const { settings } = options
  const signal = options.signal ?? new AbortController().signal
  const variants = variantsOf(options)
  const progress = options.progress ?? new Progress(settings.tests.length * settings.runs * variants.length)
  const startedAt = new Date().toISOString()
  const { java, versions } = await prepare(variants, signal, progress)
  const memory = settings.brokerMemoryBytes === undefined ? undefined : new MemoryGroups(settings.brokerMemoryBytes)
  const scratch = makeScratch(options.dataDirectory ?? tmpdir())
  const machine = describeMachine(scratch.path, java)
  const outcomes: TestOutcome[] = []
  const targets: Record<string, Record<string, string>> = {}
  try {
    const harness = new Harness({
      settings: { ...settings, targets: {} },
      variants,
      ...(options.hosts === undefined ? {} : { hosts: options.hosts }),
      scratch,
      signal,
      progress,
      settle: options.quick !== true,
      ...warming(variants, options.quick === true),
      onBroker: (pid) => memory?.confine(pid),
      onTargetSettings: (target) => {
        const name = target.brokers.length <= 1 ? target.name : `${target.name}, ${target.brokers.length} brokers`
        targets[name] = { ...target.settings }
      },
    })
    for (const test of settings.tests) {
      if (!signal.aborted) outcomes.push(await harness.runTest(test))
    }
  } finally {
    await endAllChildren()
    await memory?.remove()
    scratch.remove()
  }
  const whole = { ...settings, network: options.hosts === undefined ? placementHere().name : 'hosts', targets }
  const failures = outcomes.flatMap(failuresOf)
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
    ...(Object.keys(versions).length === 0 ? {} : { versions }),
    limits: outcomes.map(limitOf).filter((limit) => limit !== undefined),
    results: outcomes.flatMap((outcome) => resultsOf(outcome, whole)),
    ratios: outcomes.flatMap(ratiosOf),
    ...(outcomes.some(({ warmUps = [] }) => warmUps.length > 0)
      ? { warmUps: outcomes.flatMap(({ warmUps = [] }) => warmUps) }
      : {}),
    failures,
  }
}

/** Versions of those that can be had. What cannot is a failure of its runs. */
async function fetchClients(
  variants: readonly Variant[],
  progress: Progress,
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const versions: Record<string, string> = {}
  for (const driver of new Set(variants.map((variant) => variant.driver)).values()) {
    if (!isNodeClient(driver)) continue
    progress.line(
      `${driver}: fetched by npm on first use${driver === 'node-rdkafka' ? ', compiled for some minutes' : ''}`,
    )
    await prepareClient(driver, signal).then(
      (client) => {
        versions[driver] = clientVersion(client)
      },
      () => {},
    )
  }
  return versions
}

/** Brokers are warmed where different ones are compared, all of them alike. */
function warming(variants: readonly Variant[], isQuick: boolean): Pick<HarnessOptions, 'warm'> {
  if (new Set(variants.map(({ target }) => target)).size < 2) return {}
  const bounds = isQuick ? QUICK_WARM_UP : WARM_UP
  return { warm: (session, test, stored, onWarmUp) => warmTarget(session, test, stored, bounds, onWarmUp) }
}

/** Fetches what stands beside pagelog; says which versions it is. */
async function prepare(
  variants: readonly Variant[],
  signal: AbortSignal,
  progress: Progress,
): Promise<{ java: string | null; versions: Record<string, string> }> {
  const versions: Record<string, string> = {}
  let java: string | null = null
  if (variants.some(({ target, driver }) => target === 'kafka' || driver === 'kafka-tools')) {
    versions['Apache Kafka'] = kafkaVersion()
    progress.line(`Apache Kafka ${kafkaVersion()}: fetched by Maven on first use`)
    await kafkaClasspath(signal)
    java = (await javaVersion()) ?? null
  }
  Object.assign(versions, await fetchClients(variants, progress, signal))
  return { java, versions }
}

function failuresOf({ test, variants }: TestOutcome): BenchResult['failures'] {
  return variants.flatMap(({ variant, runs }) => {
    const target = variantName(variant.target, variant.driver)
    return runs.flatMap((run) => (isRun(run) ? [] : [{ test, target, error: run.error }]))
  })
}

function packageVersion(): string {
  const text = readFileSync(join(packageRoot, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
