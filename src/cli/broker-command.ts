/**
 * `pagelog broker`: reads settings, starts a broker, tells where it listens, and closes it on SIGTERM or SIGINT.
 *
 * With --json standard output has two lines: `{"event":"listening",…}` when clients can connect and
 * `{"event":"closed","metrics":{…}}` at the end. A parent with an IPC channel may send "metrics" and gets
 * `{"event":"metrics","metrics":{…}}`, "metrics-reset" to measure the event loop anew; when the channel closes the
 * broker does, so that no broker outlives the program that started it.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import { formatSetting, PagelogError, type Setting } from '../base/index.ts'
import { Broker, type BrokerOptions, brokerSettings, readSettings } from '../broker/index.ts'
import { startLoopSampler } from '../env/index.ts'
import { LateLogger } from './late-logger.ts'
import { parseProperties } from './properties.ts'

const USAGE = `pagelog broker [server.properties] [options]

  --port N                port to listen on (0: any free one)
  --host H                address to listen on (0.0.0.0: all)
  --data-dir D            folder of the logs, as log.dir
  --metadata WHERE        the cluster's metadata: etcd://host:port,host:port; without it the broker is by itself
  --override NAME=VALUE   any setting below; may be repeated
  --json                  print JSON when ready and at the end
  --help

Settings, the strongest first: command line, environment (KAFKA_LOG_SEGMENT_BYTES for log.segment.bytes),
server.properties, default.
`

/** pino takes longer to load than a broker to start; first clients are served first. */
const LOGGER_DELAY_MS = 1000

interface CommandLine {
  readonly file: string | undefined
  readonly overrides: Map<string, string>
  readonly host: string | undefined
  readonly port: string | undefined
  readonly json: boolean
}

/** undefined: the broker runs, and the process ends with it. `options`: what no argument says. */
export async function brokerCommand(argv: readonly string[], options: BrokerOptions = {}): Promise<number | undefined> {
  try {
    const commandLine = readCommandLine(argv)
    if (commandLine === undefined) {
      process.stdout.write(`${USAGE}\n${settingsHelp()}`)
      return 0
    }
    await serve(commandLine, options)
    return undefined
  } catch (error) {
    if (!(error instanceof PagelogError) && !isArgumentError(error)) throw error
    const cause = error instanceof PagelogError && error.cause instanceof Error ? ` (${error.cause.message})` : ''
    process.stderr.write(`pagelog: ${error.message}${cause}\n`)
    return 1
  }
}

async function serve(commandLine: CommandLine, options: BrokerOptions): Promise<void> {
  const logger = new LateLogger()
  const { settings, warnings } = readAllSettings(commandLine)
  for (const warning of warnings) logger.warn({}, warning)
  const sampler = startLoopSampler({ backsOff: true })
  const broker = await Broker.start({ ...options, settings, logger, sampler, hostname: hostname() })
  const { host, port, directory, nodeId, clusterId } = broker
  const loading = setTimeout(() => void logger.load(), LOGGER_DELAY_MS)
  const close = async (): Promise<void> => {
    clearTimeout(loading)
    try {
      await broker.close()
    } catch (error) {
      logger.error({ error }, 'the broker did not close cleanly')
      process.exit(1)
    }
    if (commandLine.json) tell(JSON.stringify({ event: 'closed', metrics: broker.metrics() }))
    sampler.close()
    process.exit(0)
  }
  closeOnSignals(close)
  answerParent(broker, () => sampler.reset(), close)
  // Last: whoever reads it may send a signal or a message at once.
  tell(
    commandLine.json
      ? JSON.stringify({ event: 'listening', host, port, dataDir: directory, nodeId, clusterId, pid: process.pid })
      : `pagelog: listening on ${host}:${port}, data in ${directory}`,
  )
}

function closeOnSignals(close: () => Promise<void>): void {
  let asked = false
  const signals = { SIGTERM: 15, SIGINT: 2 } as const
  for (const [signal, number] of Object.entries(signals)) {
    process.on(signal, () => {
      if (asked) process.exit(128 + number)
      asked = true
      void close()
    })
  }
}

function answerParent(broker: Broker, reset: () => void, close: () => Promise<void>): void {
  if (process.send === undefined) return
  process.on('message', (message) => {
    if (message === 'metrics') process.send?.({ event: 'metrics', metrics: broker.metrics() })
    else if (message === 'metrics-reset') reset()
  })
  process.once('disconnect', () => void close())
}

function tell(line: string): void {
  // Whoever started us may have gone; that must not end the broker.
  process.stdout.on('error', () => {})
  process.stdout.write(`${line}\n`)
}

/** undefined: help was asked for. */
function readCommandLine(argv: readonly string[]): CommandLine | undefined {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      port: { type: 'string' },
      host: { type: 'string' },
      'data-dir': { type: 'string' },
      metadata: { type: 'string' },
      override: { type: 'string', multiple: true },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) return undefined
  if (positionals.length > 1) throw invalid(`one settings file, not ${positionals.join(' ')}`)
  const overrides = new Map<string, string>()
  for (const text of values.override ?? []) {
    const at = text.indexOf('=')
    if (at <= 0) throw invalid(`--override ${text}: write NAME=VALUE`)
    overrides.set(text.slice(0, at).trim(), text.slice(at + 1))
  }
  if (values['data-dir'] !== undefined) overrides.set('log.dir', values['data-dir'])
  if (values.metadata !== undefined) overrides.set('pagelog.metadata', values.metadata)
  return { file: positionals[0], overrides, host: values.host, port: values.port, json: values.json ?? false }
}

function readAllSettings({ file, overrides, host, port }: CommandLine): ReturnType<typeof readSettings> {
  const properties = file === undefined ? new Map<string, string>() : parseProperties(readText(file))
  if (overrides.has('log.dir')) properties.delete('log.dirs')
  const read = () => readSettings({ file: properties, environment: process.env, commandLine: overrides })
  if (host === undefined && port === undefined) return read()
  if (port !== undefined && !/^\d{1,5}$/.test(port)) throw invalid(`--port ${port}: write a number`)
  // The listener that the other sources give, with one or both parts changed.
  const [listener] = read().settings.listeners ?? brokerSettings.listeners.default
  const { given, rest } = /^(?:[A-Z_]+:\/\/)?(?<given>.*):(?<rest>\d+)$/.exec(listener ?? '')?.groups ?? {}
  const address = host?.includes(':') && !host.startsWith('[') ? `[${host}]` : host
  overrides.set('listeners', `PLAINTEXT://${address ?? given ?? '127.0.0.1'}:${port ?? rest ?? '9092'}`)
  return read()
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `cannot read the settings file ${path}`, { cause, path })
  }
}

function settingsHelp(): string {
  const settings: readonly Setting[] = Object.values(brokerSettings)
  return settings
    .map(
      (setting) =>
        `  ${setting.name} (${setting.type}, ${formatSetting(setting, setting.default) || 'empty'})\n      ${setting.doc}\n`,
    )
    .join('')
}

function invalid(message: string): PagelogError {
  return new PagelogError('PAGELOG_INVALID_ARGUMENT', message)
}

/** parseArgs' own complaints. */
function isArgumentError(error: unknown): error is Error {
  return error instanceof TypeError && String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS')
}
