/**
 * `npm run chaos`: random faults against a cluster of real processes under load for as long as is asked, in rounds: each
 * starts a cluster, injects faults for some minutes, heals, and checks all that clients were told. What a seed decides is
 * which faults there are and when; what processes do meanwhile is their own.
 */
import { parseArgs } from 'node:util'
import { endAllChildren } from '../../../bench/process/children.ts'
import { SeededRandom } from '../../../src/env/simulated/index.ts'
import type { Violation } from '../../simulation/history.ts'
import { FaultCluster } from './fault-cluster.ts'
import { type Stretch, sortGaps } from './gaps.ts'
import { Nemesis } from './nemesis.ts'
import { type Gap, type Outcome, pause, underLoad } from './under-load.ts'

const USAGE = `npm run chaos -- [options]    random faults against three brokers and an etcd, and what clients saw

  --minutes N      how long (5)
  --kills N        go on until so many brokers were killed, instead of --minutes
  --seed N         decides which faults there are, and when; a new one when it is not given, printed
  --round N        minutes until the cluster is healed and all is checked (3)
  --json           print JSON, one object a line
  --help

The exit status is 0 when nothing was wrong. As root with ip and nft the network is cut by namespaces, else by proxies of
its own (Linux; elsewhere it is left whole); PAGELOG_FAULT_NETWORK=namespaces or proxy says which.
`

interface Options {
  readonly minutes: number
  readonly kills: number
  readonly seed: number
  readonly roundMinutes: number
  readonly json: boolean
}

interface Summary {
  readonly seed: number
  readonly rounds: number
  readonly minutes: number
  readonly faults: Record<string, number>
  readonly sent: number
  readonly acknowledged: number
  readonly violations: readonly Violation[]
  readonly errors: readonly string[]
  /**
   * Nothing of a partition was acknowledged, milliseconds: quantiles of those above 300. Apart: while one broker was away
   * and nothing else was wrong, and all others.
   */
  readonly unavailableMs: Quantiles
  readonly unavailableMoreMs: Quantiles
  readonly looseAcknowledged: number
  readonly looseLost: number
}

interface Quantiles {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

class Chaos {
  readonly #options: Options
  readonly #beganMs = performance.now()
  readonly #outcomes: Outcome[] = []
  readonly #faults = new Map<string, number>()
  /** In which a fault was not a single broker's, or met another. */
  readonly #overlaps: Stretch[] = []
  #cluster: FaultCluster | undefined
  #failure: string | undefined
  #stopped = false

  constructor(options: Options) {
    this.#options = options
  }

  /** At the end of the round. */
  stop(): void {
    this.#stopped = true
  }

  async run(): Promise<Summary> {
    const { seed } = this.#options
    this.#tell({ event: 'begin', seed }, `seed ${seed}`)
    for (let round = 0; !this.#isDone; round++) {
      try {
        await this.#round(round)
      } catch (error) {
        // A cluster that does not heal is a finding too.
        this.#failure = error instanceof Error ? error.message : String(error)
        break
      }
      if (this.#outcomes.at(-1)!.violations.length > 0) break
    }
    return this.#summary()
  }

  get #minutes(): number {
    return (performance.now() - this.#beganMs) / 60_000
  }

  get #killed(): number {
    return this.#faults.get('brokers killed') ?? 0
  }

  get #isDone(): boolean {
    const { kills, minutes } = this.#options
    return this.#stopped || (kills > 0 ? this.#killed >= kills : this.#minutes >= minutes)
  }

  async #round(round: number): Promise<void> {
    const { seed, roundMinutes } = this.#options
    const random = new SeededRandom(seed + round)
    this.#cluster = await FaultCluster.start()
    const cluster = this.#cluster
    try {
      const endMs = performance.now() + 60_000 * roundMinutes
      let overlapFromMs: number | undefined
      const outcome = await underLoad(cluster, { seed: seed + round }, async (torture) => {
        while (!this.#isDone && performance.now() < endMs) {
          const nemesis = new Nemesis(cluster, random)
          const fromMs = performance.now()
          const { done, isSingle } = await nemesis.strike()
          if (!isSingle) overlapFromMs ??= fromMs
          for (const [kind, count] of nemesis.counts) this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + count)
          const acknowledged = torture.acknowledged()
          this.#tell({ event: 'fault', round, done, acknowledged }, `${done}; ${acknowledged} acknowledged`)
          // Mostly it heals; now and then the next fault comes before that.
          if (random.chance(0.7)) {
            await cluster.whole()
            await torture.writable()
            if (overlapFromMs !== undefined) this.#overlaps.push({ fromMs: overlapFromMs, toMs: performance.now() })
            overlapFromMs = undefined
          } else overlapFromMs ??= fromMs
          await pause(random.below(1_000))
        }
      })
      if (overlapFromMs !== undefined) this.#overlaps.push({ fromMs: overlapFromMs, toMs: performance.now() })
      this.#outcomes.push(outcome)
      const { violations, acknowledged, sent } = outcome
      const words = `round ${round}: ${acknowledged} of ${sent} acknowledged, ${violations.length} violations`
      this.#tell({ event: 'round', round, acknowledged, sent, violations }, words)
      if (violations.length > 0) this.#keep(cluster, outcome.historyFile)
    } catch (error) {
      this.#keep(cluster, undefined)
      throw error
    } finally {
      await cluster[Symbol.asyncDispose]()
    }
  }

  #keep(cluster: FaultCluster, historyFile: string | undefined): void {
    cluster.keepsFiles = true
    const kept = [cluster.scratch, historyFile].filter((path) => path !== undefined)
    this.#tell({ event: 'kept', kept }, `kept: ${kept.join(', ')}`)
  }

  #summary(): Summary {
    const outcomes = this.#outcomes
    const gaps = sortGaps(
      outcomes.flatMap((outcome) => outcome.gaps),
      this.#overlaps,
    )
    const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, one) => total + of(one), 0)
    const errors = outcomes.flatMap((outcome) => outcome.errors.map(String))
    if (this.#failure !== undefined) errors.push(this.#failure)
    return {
      seed: this.#options.seed,
      rounds: outcomes.length,
      minutes: Math.round(this.#minutes * 10) / 10,
      faults: Object.fromEntries(this.#faults),
      sent: sum(({ sent }) => sent),
      acknowledged: sum(({ acknowledged }) => acknowledged),
      violations: outcomes.flatMap(({ violations }) => violations),
      errors,
      unavailableMs: quantiles(gaps.single),
      unavailableMoreMs: quantiles(gaps.overlapping),
      looseAcknowledged: sum(({ looseAcknowledged }) => looseAcknowledged),
      looseLost: sum(({ looseLost }) => looseLost),
    }
  }

  #tell(event: object, words: string): void {
    const seconds = ((performance.now() - this.#beganMs) / 1000).toFixed(1)
    process.stdout.write(this.#options.json ? `${JSON.stringify(event)}\n` : `${seconds.padStart(7)} s  ${words}\n`)
  }
}

function quantiles(gaps: readonly Gap[]): Quantiles {
  const sorted = gaps.map(({ ms }) => Math.round(ms)).sort((a, b) => a - b)
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 }
}

function readOptions(argv: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      minutes: { type: 'string', default: '5' },
      kills: { type: 'string', default: '0' },
      seed: { type: 'string' },
      round: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const number = (name: string, text: string): number => {
    const value = Number(text)
    if (text.trim() === '' || !(value >= 0)) throw new TypeError(`--${name} ${text}: write a number`)
    return value
  }
  return {
    minutes: number('minutes', values.minutes),
    kills: number('kills', values.kills),
    seed: number('seed', values.seed ?? String(Date.now() % 1_000_000_000)),
    roundMinutes: number('round', values.round),
    json: values.json,
  }
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2))
  if (options === undefined) {
    process.stdout.write(USAGE)
    return 0
  }
  const chaos = new Chaos(options)
  let asked = false
  const stop = (): void => {
    // Once: heal and check what there is. Twice: end everything, each process by its id.
    if (!asked) chaos.stop()
    else void endAllChildren(0).then(() => process.exit(130))
    asked = true
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  const summary = await chaos.run()
  process.stdout.write(options.json ? `${JSON.stringify({ event: 'summary', ...summary })}\n` : describe(summary))
  return summary.violations.length === 0 && summary.errors.length === 0 ? 0 : 1
}

function describe(summary: Summary): string {
  const { seed, rounds, minutes, faults, sent, acknowledged, violations, errors } = summary
  const told = ({ count, p50, p99, max }: Quantiles): string =>
    `${count} times for more than 300 ms: p50 ${p50}, p99 ${p99}, longest ${max} ms`
  const lines = [
    '',
    `seed ${seed}: ${rounds} rounds in ${minutes} minutes`,
    `faults         ${Object.entries(faults)
      .map(([name, times]) => `${name} ${times}`)
      .join(', ')}`,
    `records        ${acknowledged} of ${sent} acknowledged (acks=all); acks=1: ${summary.looseLost} of ${summary.looseAcknowledged} lost`,
    `unavailable    one broker away: ${told(summary.unavailableMs)}`,
    `               otherwise:       ${told(summary.unavailableMoreMs)}`,
    `violations     ${violations.length}`,
    ...violations.slice(0, 20).map(({ verdict, partition, text }) => `  ${verdict}  ${partition}  ${text}`),
    `client errors  ${errors.length}`,
    ...errors.slice(0, 20).map((error) => `  ${error}`),
  ]
  return `${lines.join('\n')}\n`
}

try {
  process.exit(await main())
} catch (error) {
  process.stderr.write(`chaos: ${error instanceof TypeError ? error.message : (error as Error).stack}\n`)
  await endAllChildren(0)
  process.exit(2)
}
