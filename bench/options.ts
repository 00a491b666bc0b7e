/** The command line of `pagelog bench`: what may be said, what it means when nothing is said, what is refused. */
import { readFileSync } from 'node:fs'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { AskedSettings, BenchOptions } from './bench.ts'
import { STORED_BYTES } from './drivers/growing.ts'
import { POOL_BYTES } from './drivers/payloads.ts'
import { allDrivers, allTests, type DriverName, type TestId } from './result.ts'

export const USAGE = `pagelog bench [options]

Without any: the tests of 2014 once, in three minutes (pagelog bench linkedin-2014 --quick). With options: measures pagelog's broker with pagelog's client, each in a process of its own, beside probes of what this machine can do.
The ten tests of 2014, with the settings of then and of today: pagelog bench linkedin-2014 --help
Codecs, and producers that compress: pagelog bench compression --help
A load at a rate, latency from the intended sending: pagelog bench load --help
The highest rate that keeps a latency: pagelog bench find-max --help
Every combination of settings (acks, batch, linger, codec, …): pagelog bench matrix --help
Two results, and whether they differ by more than noise: pagelog bench compare --help

  --tests A,B        of ${allTests.join(', ')}  (all)
  --against kafka    Apache Kafka beside it in the same run: with its own perf tools, and with our client (needs Java, Maven)
  --kafka-version V  another version of it than the one that is pinned
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
  --stored SIZE      what throughput-vs-stored adds on the disks of all three brokers  (4GiB; 2GiB with --quick)
  --memory SIZE      confines each broker to so much, page cache included (root, cgroups)
  --clients A,B      who drives: pagelog, kafka-tools, kafkajs, platformatic, node-rdkafka, librdkafka; on each broker (fetched on first use)
  --hosts FILE       brokers that are there already, host:port a line; instead of ours
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
  readonly driving: Driving
  readonly dataDirectory: string | undefined
  readonly out: string | undefined
  readonly json: string | undefined
  readonly html: string | undefined
}

export type Driving = Pick<BenchOptions, 'clients' | 'hosts'>

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
    ...growing(values, quick ? QUICK_STORED_BYTES : STORED_BYTES),
  }
  return {
    settings,
    quick,
    driving: driving(values),
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
      // See cli.ts: it is chosen before anything of Kafka is started.
      'kafka-version': text,
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
      stored: text,
      memory: text,
      'data-dir': text,
      clients: text,
      hosts: text,
      // See netns/: the command runs again inside, where every process has a place.
      netns: text,
      out: text,
      json: text,
      html: text,
      help: { ...flag, short: 'h' },
    },
  })
}

/** Long enough to be cut into tenths. */
const QUICK_STORED_BYTES = 2 * 1024 ** 3
/** A broker holds about as much before it has done anything. */
const MEMORY_BYTES_MIN = 96 * 1024 ** 2
const STORED_BYTES_MAX = 1e15

/** Its heap is 1 GiB, and a JVM has more than its heap. */
const KAFKA_MEMORY_BYTES_MIN = 1.5 * 1024 ** 3

interface GrowingValues {
  readonly stored?: string | undefined
  readonly memory?: string | undefined
  readonly against?: string | undefined
}

/** `--stored` and `--memory`. Throws UsageError. */
export function growing(
  { stored, memory, against }: GrowingValues,
  storedBytes: number,
): Pick<AskedSettings, 'storedBytes' | 'brokerMemoryBytes'> {
  const least = against === 'kafka' ? KAFKA_MEMORY_BYTES_MIN : MEMORY_BYTES_MIN
  return {
    storedBytes: stored === undefined ? storedBytes : bytes(stored, '--stored', 1, STORED_BYTES_MAX),
    ...(memory === undefined ? {} : { brokerMemoryBytes: bytes(memory, '--memory', least, STORED_BYTES_MAX) }),
  }
}

const UNITS: Readonly<Record<string, number>> = {
  ...{ '': 1, b: 1, k: 1024, kb: 1e3, kib: 1024, m: 1024 ** 2, mb: 1e6, mib: 1024 ** 2 },
  ...{ g: 1024 ** 3, gb: 1e9, gib: 1024 ** 3, t: 1024 ** 4, tb: 1e12, tib: 1024 ** 4 },
}

/** `40GiB`, `512 MB`, `1.5g`. Throws UsageError. */
export function bytes(text: string, name: string, low: number, high: number): number {
  const [, amount, unit] = /^\s*([\d.]+)\s*([a-z]*)\s*$/i.exec(text) ?? []
  const value = Math.round(Number(amount) * (UNITS[(unit ?? '').toLowerCase()] ?? Number.NaN))
  if (amount !== undefined && value >= low && value <= high) return value
  throw new UsageError(`${name} ${text}: a size such as 40GiB or 512MB, from ${low} to ${high} bytes`)
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

interface DrivingValues {
  readonly clients?: string | undefined
  readonly hosts?: string | undefined
  readonly netns?: string | undefined
  readonly against?: string | undefined
}

/** `--clients` and `--hosts`. Throws UsageError. */
export function driving({ clients: names, hosts, netns, against }: DrivingValues): Driving {
  if (hosts !== undefined && (netns ?? against) !== undefined) {
    throw new UsageError('--hosts is for brokers that are there: neither --netns nor --against goes with it')
  }
  return {
    ...(names === undefined ? {} : { clients: clients(names) }),
    ...(hosts === undefined ? {} : { hosts: readHosts(hosts) }),
  }
}

/** In the order asked, each once; `pagelog` and `kafka` are short for what comes with each. */
function clients(text: string): readonly DriverName[] {
  const asked = text.split(',').map((one) => one.trim())
  const found = asked.map((one) => (one === 'pagelog' ? 'pagelog-client' : one === 'kafka' ? 'kafka-tools' : one))
  for (const [i, one] of found.entries()) {
    if (!(allDrivers as readonly string[]).includes(one)) {
      throw new UsageError(`--clients ${asked[i]}: of pagelog, ${allDrivers.slice(1).join(', ')}`)
    }
  }
  return [...new Set(found as DriverName[])]
}

/** `host:port` a line; what follows a # is for people. Throws UsageError. */
export function readHosts(path: string): string {
  let text = ''
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`--hosts ${path}: ${(error as Error).message}`)
  }
  const hosts = text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')
  const wrong = hosts.find((host) => !/^\S+:\d{1,5}$/.test(host))
  if (wrong !== undefined) throw new UsageError(`--hosts ${path}: ${wrong} is not host:port`)
  if (hosts.length === 0) throw new UsageError(`--hosts ${path}: no host in it`)
  return hosts.join(',')
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
