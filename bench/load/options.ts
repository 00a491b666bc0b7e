/** The command lines of `pagelog bench load` and `pagelog bench find-max`. */
import type { CodecName } from '../../src/record/index.ts'
import { codecs } from '../compression/result.ts'
import { acks, number, parseOptions, UsageError } from '../options.ts'
import type { OutputPlaces } from '../report/outputs.ts'
import { type ArrivalSpec, parseSteps, secondsOf } from './arrivals.ts'
import { parseKeys } from './keys.ts'
import type { FindMaxResult, LoadSettings } from './result.ts'
import { STAMP_BYTES } from './stamp.ts'
import { parseValues } from './values.ts'

const COMMON_USAGE = `
  --bootstrap H:P    a broker that is there already; without it a pagelog broker is started
  --topic T          a topic that is there already: no rights to make or delete one are needed
  --partitions N     of the topic (how many to read, with --topic and --verify)     (6)
  --replication N    of a topic that is made                                        (1)
  --producers N      processes that produce, the rate is that of all together       (1)
  --size BYTES       of a value                                                   (100)
  --values V         random, text, json, ratio:R (lz4 makes it smaller R times), file:PATH (its lines)
  --keys K           none, sequential:N, uniform:N, zipf:N[:EXPONENT], hot:N:HOT:SHARE
  --acks 0|1|all     (1)      --idempotent  only with acks=all
  --batch BYTES      (65,536) --linger MS (5)  --compression C (none)  --in-flight N (5)  --buffer BYTES (64 MiB)
  --seconds S        of the measured phase  (10)   --warm-up S (2)   --drain S  answers waited for  (10)
  --coarse           sends by timers alone: up to 2 ms late, but no core is spent on waiting
  --seed N           of values, keys and arrivals                                   (1)
  --netns RATE       broker and clients in network namespaces with links of 1gbit, 100mbit, … (root only)
  --hosts FILE       addresses of brokers on real machines, one a line
  --data-dir D       where the broker keeps its data            (system's temp)
  --out DIR          folder for the results                     (tmp/bench/<time>)
  --json FILE        the JSON here instead; - for standard output
`

export const LOAD_USAGE = `pagelog bench load [options]

Loads a broker and measures from the intended sending of every record; service time and the harness's own part beside it.

  --rate N           records a second, whatever the broker does (open loop); without it as fast as it goes
  --arrivals A       constant or poisson                                       (constant)
  --steps S          1000x5,2000x5: rates and seconds, instead of --rate and --seconds
  --verify           every record is stamped, read and compared: gaps, duplicates, order, content; latency end to end
  --runs N           (1)
${COMMON_USAGE}`

export const FIND_MAX_USAGE = `pagelog bench find-max --p99 10ms [options]

The highest rate of an open loop at which a percentile of the latency from the intended sending stays below a bound.

  --p99 T            the goal; or --p50, --p99.9; 10ms, 2s, 500us
  --start N          rate to begin with  (1000)     --max N  never above  (2,000,000)
  --precision P      done when what passed and what failed are so near, %  (10)     --trials N  at most  (16)
  --arrivals A       constant or poisson                                       (poisson)
${COMMON_USAGE}`

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const commonOptions = {
  bootstrap: text,
  topic: text,
  partitions: text,
  replication: text,
  producers: text,
  size: text,
  values: text,
  keys: text,
  acks: text,
  idempotent: flag,
  batch: text,
  linger: text,
  compression: text,
  'in-flight': text,
  buffer: text,
  seconds: text,
  'warm-up': text,
  drain: text,
  coarse: flag,
  seed: text,
  arrivals: text,
  netns: text,
  hosts: text,
  'data-dir': text,
  out: text,
  json: text,
  help: { ...flag, short: 'h' },
} as const
const loadOptions = { ...commonOptions, rate: text, steps: text, verify: flag, runs: text } as const
const findOptions = {
  ...commonOptions,
  p50: text,
  p99: text,
  'p99.9': text,
  start: text,
  max: text,
  precision: text,
  trials: text,
} as const

export interface Places extends OutputPlaces {
  readonly dataDirectory: string | undefined
  readonly netns: string | undefined
  readonly hosts: string | undefined
}

export interface LoadLine extends Places {
  readonly settings: LoadSettings
  readonly runs: number
}

export interface FindMaxLine extends Places {
  readonly settings: LoadSettings
  readonly goal: FindMaxResult['goal']
  readonly startRate: number
  readonly rateMax: number
  readonly precision: number
  readonly trialsMax: number
}

type Values = { readonly [name in keyof typeof commonOptions]?: string | boolean | undefined }

function parsed<Options extends Record<string, typeof text | typeof flag>>(argv: readonly string[], options: Options) {
  return parseOptions({ args: [...argv], options, allowPositionals: false }).values
}

/** undefined: help was asked for. Throws UsageError. */
export function readLoadLine(argv: readonly string[]): LoadLine | undefined {
  const values = parsed(argv, loadOptions)
  if (values.help === true) return undefined
  if (values.rate !== undefined && values.steps !== undefined) throw new UsageError('--rate or --steps, not both')
  if (values.rate === undefined && values.steps === undefined && values.arrivals !== undefined) {
    throw new UsageError('--arrivals: at which --rate?')
  }
  const base = settingsOf(values, values.verify === true)
  let arrivals: ArrivalSpec | null = null
  if (values.steps !== undefined) arrivals = { kind: 'steps', steps: parseSteps(values.steps) }
  else if (values.rate !== undefined) {
    const rate = number(values.rate, '--rate', 0, 0.01, 10_000_000, true)
    arrivals = arrivalSpec(values.arrivals ?? 'constant', rate, base.seconds, base.seed)
  }
  const seconds = arrivals === null ? base.seconds : secondsOf(arrivals)
  return {
    ...placesOf(values),
    settings: { ...base, arrivals, seconds },
    runs: number(values.runs, '--runs', 1, 1, 1000),
  }
}

/** undefined: help was asked for. Throws UsageError. */
export function readFindMaxLine(argv: readonly string[]): FindMaxLine | undefined {
  const values = parsed(argv, findOptions)
  if (values.help === true) return undefined
  const goals = (['p50', 'p99', 'p99.9'] as const).filter((name) => values[name] !== undefined)
  if (goals.length !== 1) throw new UsageError('one of --p50, --p99, --p99.9')
  const name = goals[0]!
  const base = settingsOf(values, false)
  const startRate = number(values.start, '--start', 1000, 1, 10_000_000)
  const kind = values.arrivals ?? 'poisson'
  return {
    ...placesOf(values),
    settings: { ...base, arrivals: arrivalSpec(kind, startRate, base.seconds, base.seed) },
    goal: { percentile: name === 'p99.9' ? 'p999' : name, milliseconds: duration(values[name]!, `--${name}`) },
    startRate,
    rateMax: number(values.max, '--max', 2_000_000, 1, 10_000_000),
    precision: number(values.precision, '--precision', 10, 0.1, 100, true) / 100,
    trialsMax: number(values.trials, '--trials', 16, 1, 200),
  }
}

export function arrivalSpec(kind: string, rate: number, seconds: number, seed: number): ArrivalSpec {
  if (kind === 'constant') return { kind, rate, seconds }
  if (kind === 'poisson') return { kind, rate, seconds, seed }
  throw new UsageError(`--arrivals ${kind}: constant or poisson`)
}

/** Milliseconds of `10ms`, `2s`, `500us`. Throws UsageError. */
export function duration(asked: string, name: string): number {
  const found = /^(\d+(?:\.\d+)?)\s*(us|ms|s)$/.exec(asked.trim())
  const milliseconds = Number(found?.[1]) * ({ us: 0.001, ms: 1, s: 1000 }[found?.[2] ?? ''] ?? Number.NaN)
  if (!(milliseconds > 0)) throw new UsageError(`${name} ${asked}: a time such as 10ms, 2s or 500us`)
  return milliseconds
}

function placesOf(values: Values): Places {
  const of = (name: keyof typeof commonOptions) => values[name] as string | undefined
  if (of('netns') !== undefined && (of('bootstrap') ?? of('hosts')) !== undefined) {
    throw new UsageError('--netns is for brokers that are started here')
  }
  return {
    dataDirectory: of('data-dir'),
    netns: of('netns'),
    hosts: of('hosts'),
    out: of('out'),
    json: of('json'),
    html: undefined,
  }
}

function settingsOf(values: Values, verify: boolean): LoadSettings {
  const of = (name: keyof typeof commonOptions) => values[name] as string | undefined
  const valueBytes = number(of('size'), '--size', 100, 1, 1_000_000)
  const seed = number(of('seed'), '--seed', 1, 1, 0xffffffff)
  const acksAsked = acks(of('acks'))
  const idempotent = values.idempotent === true
  if (idempotent && acksAsked !== -1) throw new UsageError('--idempotent needs --acks all')
  const compression = of('compression') ?? 'none'
  if (!codecs.includes(compression as CodecName)) {
    throw new UsageError(`--compression ${compression}: one of ${codecs.join(', ')}`)
  }
  if (verify && valueBytes < STAMP_BYTES) throw new UsageError(`--verify needs values of ${STAMP_BYTES} bytes or more`)
  return {
    bootstrap: of('bootstrap') ?? null,
    topic: of('topic') ?? null,
    partitions: number(of('partitions'), '--partitions', 6, 1, 10_000),
    replication: number(of('replication'), '--replication', 1, 1, 9),
    producers: number(of('producers'), '--producers', 1, 1, 64),
    tuning: {
      acks: acksAsked,
      batchBytes: number(of('batch'), '--batch', 65_536, 1, 1 << 30),
      lingerMs: number(of('linger'), '--linger', 5, 0, 60_000, true),
      bufferBytes: number(of('buffer'), '--buffer', 64 << 20, 1, 2 ** 32),
      compression: compression as CodecName,
      maxInFlight: number(of('in-flight'), '--in-flight', 5, 1, 1000),
      idempotent,
    },
    values: parseValues(of('values') ?? 'random', valueBytes),
    poolBytes: 16 << 20,
    keys: parseKeys(of('keys') ?? 'none'),
    arrivals: null,
    pacing: values.coarse === true ? 'coarse' : 'precise',
    warmUpSeconds: number(of('warm-up'), '--warm-up', 2, 0, 600, true),
    seconds: number(of('seconds'), '--seconds', 10, 0.1, 86_400, true),
    drainSeconds: number(of('drain'), '--drain', 10, 0.1, 600, true),
    verify,
    seed,
  }
}
