/** The command line of `pagelog bench`: what may be said, what it means when nothing is said, what is refused. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { AskedSettings } from './bench.ts'
import { POOL_BYTES } from './drivers/payloads.ts'
import { allTests, type TestId } from './result.ts'

export const USAGE = `pagelog bench [options]

Measures pagelog's broker with pagelog's client, each in a process of its own, beside probes of what this machine can do.
The ten tests of 2014, with the settings of then and of today: pagelog bench linkedin-2014 --help
Codecs, and producers that compress: pagelog bench compression --help
A load at a rate, latency from the intended sending: pagelog bench load --help
The highest rate that keeps a latency: pagelog bench find-max --help
Every combination of settings (acks, batch, linger, codec, …): pagelog bench matrix --help
Two results, and whether they differ by more than noise: pagelog bench compare --help

  --tests A,B        of ${allTests.join(', ')}  (all)
  --against kafka    Apache Kafka beside it in the same run: with its own perf tools, and with our client (needs Java, Maven)
  --quick            one run of each, no waits: for orientation
  --runs N           interleaved runs of each test                               (3)
  --records N        records in the measured phase of a run      (10,000,000, or 1 GB)
  --seconds S        the measured phase ends after so long at the latest         (10)
  --warm-up S        seconds that do not count                                  (2.5)
  --latency-records N  records of the end-to-end test                        (10,000)
  --size BYTES       bytes of a value                                           (100)
  --batch BYTES      producer's batch.size                                   (65,536)
  --linger MS        producer's linger.ms                                         (5)
  --acks 0|1|all     producer's acks                                              (1)
  --partitions N     partitions of the topic                                      (6)
  --seed N           of the random values                                         (1)
  --netns RATE       brokers and clients in network namespaces with links of 1gbit, 100mbit, … (root only)
  --data-dir D       where brokers keep their data while it runs     (system's temp)
  --out DIR          folder for result.json and report.html   (tmp/bench/<time>)
  --json FILE        the JSON here instead; - for standard output
  --html FILE        the report here instead
  --help
`

export interface CommandLine {
  readonly settings: AskedSettings
  readonly quick: boolean
  readonly dataDirectory: string | undefined
  readonly out: string | undefined
  readonly json: string | undefined
  readonly html: string | undefined
}

export class UsageError extends Error {}

/** `parseArgs`, whose complaints are for people. Throws UsageError. */
export function parseOptions<Config extends ParseArgsConfig>(config: Config): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs(config)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** undefined: help was asked for. Throws UsageError. */
export function readCommandLine(argv: readonly string[]): CommandLine | undefined {
  const { values, positionals } = parse(argv)
  if (values.help === true) return undefined
  if (positionals.length > 0) throw new UsageError(`unknown argument ${positionals[0]}`)
  const quick = values.quick === true
  const valueBytes = number(values.size, '--size', 100, 1, 1_000_000)
  if (values.against !== undefined && values.against !== 'kafka') {
    throw new UsageError(`--against ${values.against}: only kafka can be had`)
  }
  const settings: AskedSettings = {
    tests: tests(values.tests),
    valueBytes,
    records: number(values.records, '--records', defaultRecords(valueBytes), 1, 1e9),
    seconds: number(values.seconds, '--seconds', 10, 0.001, 3600, true),
    warmUpSeconds: number(values['warm-up'], '--warm-up', quick ? 1.5 : 2.5, 0, 600, true),
    latencyRecords: number(values['latency-records'], '--latency-records', 10_000, 1, 10_000_000),
    batchBytes: number(values.batch, '--batch', 65_536, 1, 1 << 30),
    lingerMs: number(values.linger, '--linger', 5, 0, 60_000, true),
    acks: acks(values.acks),
    partitions: number(values.partitions, '--partitions', 6, 1, 10_000),
    runs: number(values.runs, '--runs', quick ? 1 : 3, 1, 1000),
    against: values.against ?? null,
    payloadSeed: number(values.seed, '--seed', 1, 1, 0xffffffff),
    payloadPoolBytes: POOL_BYTES,
  }
  return {
    settings,
    quick,
    dataDirectory: values['data-dir'],
    out: values.out,
    json: values.json,
    html: values.html,
  }
}

function parse(argv: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  return parseOptions({
    args: [...argv],
    allowPositionals: true,
    options: {
      tests: text,
      against: text,
      quick: flag,
      runs: text,
      records: text,
      seconds: text,
      'warm-up': text,
      'latency-records': text,
      size: text,
      batch: text,
      linger: text,
      acks: text,
      partitions: text,
      seed: text,
      'data-dir': text,
      // See netns/: the command runs again inside, where every process has a place.
      netns: text,
      out: text,
      json: text,
      html: text,
      help: { ...flag, short: 'h' },
    },
  })
}

/** Ten million of the small ones, a gigabyte of the large ones. */
function defaultRecords(valueBytes: number): number {
  return Math.max(1000, Math.min(10_000_000, Math.round(1e9 / valueBytes)))
}

export function number(
  text: string | undefined,
  name: string,
  otherwise: number,
  low: number,
  high: number,
  fraction = false,
): number {
  if (text === undefined) return otherwise
  const value = Number(text.replaceAll(/[_,](?=\d)/g, ''))
  if (text.trim() === '' || !Number.isFinite(value) || value < low || value > high) {
    throw new UsageError(`${name} ${text}: a number from ${low} to ${high}`)
  }
  if (!fraction && !Number.isInteger(value)) throw new UsageError(`${name} ${text}: a whole number`)
  return value
}

export function acks(text: string | undefined): number {
  if (text === undefined || text === '1') return 1
  if (text === '0') return 0
  if (text === 'all' || text === '-1') return -1
  throw new UsageError(`--acks ${text}: 0, 1 or all`)
}

function tests(text: string | undefined): readonly TestId[] {
  if (text === undefined) return allTests
  const asked = text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')
  for (const one of asked) {
    if (!allTests.includes(one as TestId)) throw new UsageError(`--tests ${one}: one of ${allTests.join(', ')}`)
  }
  if (asked.length === 0) throw new UsageError('--tests: which?')
  // In the order of the list whatever the order asked, each once.
  return allTests.filter((one) => asked.includes(one))
}
