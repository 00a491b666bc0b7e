/** The command line of `pagelog bench compression`. */
import { parseOptions, UsageError } from '../options.ts'
import { producerClients } from './clients.ts'
import { payloadKinds } from './payloads.ts'
import { type CompressionSettings, codecs } from './result.ts'
import { defaultSettings } from './run.ts'

export const COMPRESSION_USAGE = `pagelog bench compression [options]

Codecs on one core, then producers at full speed through a pagelog broker: ours with 0, 1 and 2 worker threads, Apache
Kafka's Java producer, librdkafka's. By default a few minutes: one run each, for orientation.

  --full             every payload and batch size through the broker, 5 s each    (JSON; 64 KiB and 1 MiB; 2 s)
  --codecs A,B       of ${codecs.join(', ')}                       (all)
  --levels N,M       of those codecs that have levels                   (gzip 1, -1, 9; zstd 1, 3, 9)
  --payloads A,B     of ${payloadKinds.join(', ')}                                      (all)
  --batches N,M      batch.size                                          (16384,65536,1048576)
  --workers N,M      threads of ours                                                   (0,1,2)
  --clients A,B      of ${producerClients.join(', ')}                              (all)
  --seconds S        the measured phase of a producer                                      (2)
  --data-dir D       where the broker keeps its data while it runs             (system's temp)
  --out DIR          folder for result.json and report.html         (tmp/bench/<time>)
  --json FILE        the JSON here instead; - for standard output
  --html FILE        the report here instead
  --help
`

export interface CompressionCommandLine {
  readonly settings: CompressionSettings
  readonly dataDirectory: string | undefined
  readonly out: string | undefined
  readonly json: string | undefined
  readonly html: string | undefined
}

const WORKERS_MAX = 64
const BATCH_BYTES_MAX = 1 << 26
const FULL_SECONDS = 5

/** undefined: help was asked for. Throws UsageError. */
export function readCompressionLine(argv: readonly string[]): CompressionCommandLine | undefined {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const names = ['codecs', 'levels', 'payloads', 'batches', 'workers', 'clients', 'seconds'] as const
  const files = ['data-dir', 'out', 'json', 'html'] as const
  const options = Object.fromEntries([...names, ...files].map((name) => [name, text]))
  const given = { ...options, full: flag, quick: flag, help: { ...flag, short: 'h' } }
  const values: Partial<Record<string, unknown>> = parseOptions({ args: [...argv], options: given }).values
  if (values.help === true) return undefined
  const asked = (name: string) => values[name] as string | undefined
  const full = values.full === true
  const payloads = oneOf('--payloads', asked('payloads'), payloadKinds)
  const batches = numbers('--batches', asked('batches'), 512, BATCH_BYTES_MAX) ?? defaultSettings.batches
  const isSaid = (name: string) => full || asked(name) !== undefined
  const [seconds = full ? FULL_SECONDS : defaultSettings.seconds] =
    numbers('--seconds', asked('seconds'), 0.01, 600, false) ?? []
  const settings: CompressionSettings = {
    ...defaultSettings,
    codecs: oneOf('--codecs', asked('codecs'), codecs),
    levels: numbers('--levels', asked('levels'), -131_072, 22) ?? [],
    payloads,
    batches,
    workers: numbers('--workers', asked('workers'), 0, WORKERS_MAX) ?? defaultSettings.workers,
    clients: oneOf('--clients', asked('clients'), producerClients),
    throughputPayloads: isSaid('payloads') ? payloads : defaultSettings.throughputPayloads,
    throughputBatches: isSaid('batches') ? batches : defaultSettings.throughputBatches,
    seconds,
    warmUpSeconds: Math.min(defaultSettings.warmUpSeconds, seconds),
  }
  const [dataDirectory, out, json, html] = files.map(asked)
  return { settings, dataDirectory, out, json, html }
}

function parts(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** In the order of the list whatever the order asked, each once; all when nothing was asked. */
function oneOf<Name extends string>(option: string, text: string | undefined, all: readonly Name[]): readonly Name[] {
  if (text === undefined) return all
  const asked = parts(text)
  const unknown = asked.find((one) => !all.includes(one as Name))
  if (unknown !== undefined || asked.length === 0) throw new UsageError(`${option} ${text}: of ${all.join(', ')}`)
  return all.filter((one) => asked.includes(one))
}

function numbers(
  option: string,
  text: string | undefined,
  low: number,
  high: number,
  whole = true,
): readonly number[] | undefined {
  if (text === undefined) return undefined
  const values = parts(text).map(Number)
  const isGood = (value: number) => value >= low && value <= high && (!whole || Number.isInteger(value))
  if (values.length === 0 || !values.every(isGood)) {
    throw new UsageError(`${option} ${text}: numbers from ${low} to ${high}`)
  }
  return [...new Set(values)]
}
