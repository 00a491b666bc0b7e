/** A benchmark: settings in, a result out, as often as wanted on the same brokers, and nothing left behind. */
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { QUICK_WARM_UP, WARM_UP, warmTarget } from './drivers/target-warm-up.ts'
import { Harness, type HarnessOptions, type TestOutcome, type Variant } from './harness.ts'
import { commitOf, describeMachine } from './measure/machine.ts'
import { Progress } from './measure/progress.ts'
import { placementHere } from './netns/namespaces.ts'
import { javaVersion, kafkaClasspath, kafkaVersion } from './peers/java.ts'
import { clientVersion, fetchingText, isOtherClient, prepareClient } from './peers/other-clients.ts'
import { endAllChildren } from './process/children.ts'
import { MemoryGroups } from './process/memory-groups.ts'
import { packageRoot } from './process/package-root.ts'
import { makeScratch, type Scratch } from './process/scratch.ts'
import { type BenchResult, type BenchSettings, type DriverName, isRun, SCHEMA_VERSION, variantName } from './result.ts'
import { limitOf, ratiosOf, resultsOf } from './summary.ts'
import { Targets } from './targets/targets.ts'

export type AskedSettings = Omit<BenchSettings, 'targets'>

/** What all runs of a bench have in common. */
export interface Surroundings {
  readonly command: string
  readonly partitions: number
  /** `kafka`: Apache Kafka stands beside ours. */
  readonly against: string | null
  /** What each broker is confined to. */
  readonly brokerMemoryBytes?: number
  /** Where brokers keep their data: of the file system that is to be measured. Default: the system's temporary directory. */
  readonly dataDirectory?: string
  readonly signal: AbortSignal
  readonly progress: Progress
  /** Who drives the tests, of every target alike; without it pagelog's client, and Kafka's tools where Kafka is measured. */
  readonly clients?: readonly DriverName[]
  /** Addresses of brokers that are there already: they are measured instead of ours. */
  readonly hosts?: string
  /** No wait for write-back between runs. */
  readonly quick?: boolean
}

export type BenchOptions = Partial<Pick<Surroundings, 'signal' | 'progress'>> &
  Omit<Surroundings, 'signal' | 'progress' | 'partitions' | 'against' | 'brokerMemoryBytes'> & {
    readonly settings: AskedSettings
  }

const OWN: readonly Variant[] = [{ target: 'pagelog', driver: 'pagelog-client' }]
const AGAINST_KAFKA: readonly Variant[] = [
  ...OWN,
  { target: 'kafka', driver: 'kafka-tools' },
  { target: 'kafka', driver: 'pagelog-client' },
]

/** Pairs of brokers and what drives them; how many there are decides how long a run takes. */
export function variantsOf(options: Pick<Surroundings, 'clients' | 'hosts' | 'against'>): readonly Variant[] {
  const { clients, hosts, against } = options
  if (clients === undefined && hosts === undefined) return against === 'kafka' ? AGAINST_KAFKA : OWN
  const kafka = against === 'kafka' ? (['kafka'] as const) : []
  const targets = hosts === undefined ? (['pagelog', ...kafka] as const) : (['hosts'] as const)
  const drivers = clients ?? ['pagelog-client']
  return targets.flatMap((target) => drivers.map((driver) => ({ target, driver })))
}

/** Rejects only before anything was measured; afterwards failures are in the result, and so is an abort. */
export async function runBench({ settings, ...options }: BenchOptions): Promise<BenchResult> {
  const { partitions, against, brokerMemoryBytes, tests, runs } = settings
  const bench = await Bench.open({
    ...options,
    ...{ partitions, against, ...(brokerMemoryBytes === undefined ? {} : { brokerMemoryBytes }) },
    signal: options.signal ?? new AbortController().signal,
    progress:
      options.progress ??
      new Progress(tests.length * runs * variantsOf({ ...options, against: settings.against }).length),
  })
  try {
    return await bench.run(settings)
  } finally {
    await bench.close()
  }
}

/** What is measured, from the first broker's start to the last one's end; between them any number of runs. */
export class Bench {
  readonly #surroundings: Surroundings
  readonly #prepared: Prepared
  readonly #variants: readonly Variant[]
  readonly #scratch: Scratch
  readonly #memory: MemoryGroups | undefined
  readonly #targets: Targets

  private constructor(surroundings: Surroundings, variants: readonly Variant[], prepared: Prepared) {
    const { brokerMemoryBytes, dataDirectory, partitions, hosts, signal } = surroundings
    this.#surroundings = surroundings
    this.#variants = variants
    this.#prepared = prepared
    const memory = brokerMemoryBytes === undefined ? undefined : new MemoryGroups(brokerMemoryBytes)
    const scratch = makeScratch(dataDirectory ?? tmpdir())
    this.#memory = memory
    this.#scratch = scratch
    this.#targets = new Targets({
      ...{ partitions, scratch, signal, onBroker: (pid) => memory?.confine(pid) },
      ...(hosts === undefined ? {} : { hosts }),
    })
  }

  /** Fetches what is not there. */
  static async open(surroundings: Surroundings): Promise<Bench> {
    const variants = variantsOf(surroundings)
    return new Bench(surroundings, variants, await prepare(variants, surroundings.signal, surroundings.progress))
  }

  /** Failures are in the result, and so is an abort. */
  async run(asked: AskedSettings): Promise<BenchResult> {
    const { command, hosts, quick = false, signal } = this.#surroundings
    const startedAt = new Date().toISOString()
    const { versions, java } = this.#prepared
    const machine = describeMachine(this.#scratch.path, java)
    const outcomes: TestOutcome[] = []
    const targets: Record<string, Record<string, string>> = {}
    const harness = this.#harness(asked, targets)
    for (const test of asked.tests) {
      if (!signal.aborted) outcomes.push(await harness.runTest(test))
    }
    const settings = { ...asked, network: hosts === undefined ? placementHere().name : 'hosts', targets }
    const failures = outcomes.flatMap(failuresOf)
    const warmUps = outcomes.flatMap((outcome) => outcome.warmUps ?? [])
    return {
      schemaVersion: SCHEMA_VERSION,
      version: packageVersion(),
      startedAt,
      finishedAt: new Date().toISOString(),
      complete: !signal.aborted && failures.length === 0,
      orientation: quick || settings.runs === 1,
      command,
      commit: commitOf(packageRoot) ?? null,
      machine,
      settings,
      ...(Object.keys(versions).length === 0 ? {} : { versions }),
      limits: outcomes.map(limitOf).filter((limit) => limit !== undefined),
      results: outcomes.flatMap((outcome) => resultsOf(outcome, settings)),
      ratios: outcomes.flatMap(ratiosOf),
      ...(warmUps.length > 0 ? { warmUps } : {}),
      failures,
    }
  }

  /** Ends every process that it started, also those that hang, and removes their data. */
  async close(): Promise<void> {
    await this.#targets.close().catch(() => {})
    await endAllChildren()
    await this.#memory?.remove()
    this.#scratch.remove()
  }

  #harness(settings: AskedSettings, found: Record<string, Record<string, string>>): Harness {
    const { signal, progress, quick = false } = this.#surroundings
    return new Harness({
      settings: { ...settings, targets: {} },
      ...{ variants: this.#variants, targets: this.#targets, scratch: this.#scratch, signal, progress, settle: !quick },
      ...warming(this.#variants, quick),
      onTargetSettings: (target) => {
        const name = target.brokers.length <= 1 ? target.name : `${target.name}, ${target.brokers.length} brokers`
        found[name] = { ...target.settings }
      },
    })
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
    if (!isOtherClient(driver)) continue
    progress.line(fetchingText(driver))
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

interface Prepared {
  readonly java: string | null
  readonly versions: Record<string, string>
}

/** Fetches what stands beside pagelog; says which versions it is. */
async function prepare(variants: readonly Variant[], signal: AbortSignal, progress: Progress): Promise<Prepared> {
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
