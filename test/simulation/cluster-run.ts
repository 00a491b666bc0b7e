/** One seed from the start of a cluster to the verdict over it. */
import { ErrorCode, hasCode, PagelogError } from '../../src/base/index.ts'
import type { Stalls } from '../../src/env/simulated/index.ts'
import type { ReplicationRules } from '../../src/replication/index.ts'
import { SECOND, SimulatedCluster } from './cluster.ts'
import { Nemesis } from './nemesis.ts'
import { RecreatedTopic } from './recreated-topic.ts'

const FAULTS = 12
/** As of threads that others push off their processor. */
const STALLS: Stalls = { chance: 0.01, msMax: 5 }
const LINES_MAX = 20_000
const SHOWN_VIOLATIONS = 5

export interface Outcome {
  /** The same for the same seed. */
  readonly trace: string
  readonly acknowledged: number
  /** Bytes that were changed on disks. */
  readonly damages: number
}

export interface RunOptions {
  readonly faults?: number
  /** What the brokers log is printed when something is wrong. */
  readonly isTold?: boolean
  readonly rules?: ReplicationRules
  /** Bytes change on disks, too; more of them is done then. */
  readonly damages?: boolean
}

/** Throws what is wrong, with the seed. */
export async function runSeed(
  seed: number,
  { faults = FAULTS, isTold = false, rules, damages = false }: RunOptions = {},
): Promise<Outcome> {
  const lines: string[] = []
  const log = (line: string): void => {
    lines.push(line)
    if (lines.length > LINES_MAX) lines.shift()
  }
  let cluster: SimulatedCluster | undefined
  try {
    const minInsyncReplicas = minInsyncReplicasOf(seed)
    cluster = await SimulatedCluster.start({
      seed,
      minInsyncReplicas,
      lostAnswers: 0.01,
      lateChanges: 0.02,
      stalls: seed % 2 === 0 ? STALLS : undefined,
      ...(isTold ? { log } : {}),
      ...(rules ? { rules } : {}),
    })
    return await live(cluster, new Nemesis(cluster, minInsyncReplicas, damages), faults)
  } catch (error) {
    if (isTold) console.log(lines.join('\n'))
    const place = cluster === undefined ? '' : `\nat ${cluster.scheduler.elapsedMs.toFixed(1)} ms:\n${cluster.state}`
    const text = error instanceof Error ? (isTold ? error.stack : error.message) : String(error)
    throw new Error(`seed ${seed}: ${text}${place}`, { cause: error })
  }
}

async function live(cluster: SimulatedCluster, nemesis: Nemesis, faults: number): Promise<Outcome> {
  const { scheduler, load, history } = cluster
  cluster.begin()
  await scheduler.run(2 * SECOND)
  await nemesis.torment(faults)
  cluster.heal()
  await scheduler.run(10 * SECOND)
  load.stopSending()
  if (!(await scheduler.runUntil(() => cluster.isConverged, 150 * SECOND))) throw new Error('it does not converge')
  const violations = await cluster.verdict()
  if (violations.length > 0) {
    const shown = violations
      .slice(0, SHOWN_VIOLATIONS)
      .map(({ verdict, partition, text }) => `${verdict} in ${partition}: ${text}`)
    throw new Error(`${violations.length} violations:\n${shown.join('\n')}`)
  }
  const failures = load.failures.filter(({ who, error }) => !isAllowed(who, error))
  if (failures.length > 0) {
    const shown = failures.slice(0, SHOWN_VIOLATIONS).map(({ who, error }) => `${who}: ${String(error)}`)
    throw new Error(`${failures.length} errors that clients were told:\n${shown.join('\n')}`)
  }
  const { damages } = cluster
  const trace = `${scheduler.trace.events} ${scheduler.trace.hash}`
  const outcome = { trace, acknowledged: history.acknowledged, damages }
  await cluster.close()
  return outcome
}

/**
 * Nobody is told of an error, but those who send to a topic that is deleted under them, with little patience: what they
 * tried last when it ended, or that they were closed. Nothing that ends a producer for good.
 */
function isAllowed(who: string, error: unknown): boolean {
  if (!RecreatedTopic.isProducer(who)) return false
  if (hasCode(error, 'PAGELOG_TIMED_OUT') || hasCode(error, 'PAGELOG_CLOSED')) return true
  if (!(error instanceof PagelogError)) return false
  // What may have arrived and came after one that was given up.
  return error.retriable || error.kafkaCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
}

/** Every fourth cluster lets a leader acknowledge alone. */
function minInsyncReplicasOf(seed: number): number {
  return seed % 4 === 3 ? 1 : 2
}

/** Runs the seeds `from` to `from + count - 1`, and throws when some fail: each with what is wrong. */
export async function runSeeds(from: number, count: number, options: RunOptions = {}): Promise<void> {
  const failures: string[] = []
  for (let seed = from; seed < from + count; seed++) {
    try {
      const { acknowledged } = await runSeed(seed, options)
      if (acknowledged === 0) failures.push(`seed ${seed}: nothing was acknowledged`)
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      console.log(text)
      failures.push(text)
    }
  }
  if (failures.length > 0) throw new Error(failures.join('\n\n'))
}

/** Runs each of the seeds twice. Throws when one went two ways, or two went the same. */
export async function expectSameTraces(from: number, count: number): Promise<void> {
  const traces = new Set<string>()
  for (let seed = from; seed < from + count; seed++) {
    const [one, again] = [await runSeed(seed), await runSeed(seed)]
    if (one.trace !== again.trace) throw new Error(`seed ${seed} went two ways: ${one.trace}, then ${again.trace}`)
    traces.add(one.trace)
  }
  if (traces.size < count) throw new Error(`${count} seeds went ${traces.size} ways`)
}
