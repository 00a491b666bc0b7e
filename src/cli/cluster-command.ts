/**
 * `pagelog cluster`: a cluster on this host. `start` runs in the foreground until SIGTERM or SIGINT, which stops the
 * brokers in order; `status` and `stop` find it by its folder. With --json every line is a JSON object.
 */

import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { PagelogError, silentLogger } from '../base/index.ts'
import { readSettings } from '../broker/index.ts'
import { isProcessAlive, nodeEnv, processMark, signalProcess, startDetached } from '../env/index.ts'
import {
  type ClusterEvent,
  type ClusterStatus,
  ClusterSupervisor,
  clusterStatus,
  type Processes,
  readClusterState,
} from '../supervisor/index.ts'
import { LateLogger } from './late-logger.ts'

const USAGE = `pagelog cluster start [options]    starts brokers on this host and keeps them running, until Ctrl-C
pagelog cluster status [options]   says how it is; the exit status is 0 when all of it is well
pagelog cluster stop [options]     stops it in order

  --dir D             folder of the cluster (pagelog-cluster)
  --json              print JSON, one object a line

of start, remembered by the folder:
  --brokers N         how many (3)
  --host H            address they listen on (127.0.0.1)
  --port N            port of the first, the others have the next ones; 0: any free ones (9092)
  --set NAME=VALUE    a setting of all brokers (pagelog broker --help); may be repeated. Without it topics have
                      three replicas, if there are as many brokers, of which two must have a record that is acknowledged
                      to a producer with acks=all (default.replication.factor, min.insync.replicas)
`

const PROGRAM = fileURLToPath(new URL('../../../bin/pagelog.cjs', import.meta.url))
/** What fits into the address of a socket everywhere. */
const SOCKET_PATH_BYTES_MAX = 100
const LOOK_MS = 100
const STOP_MS = 300_000

const processes: Processes = { start: startDetached, isAlive: isProcessAlive, signal: signalProcess }

interface Options {
  readonly directory: string
  readonly json: boolean
  readonly brokers: number | undefined
  readonly host: string
  readonly port: number
  readonly settings: Readonly<Record<string, string>>
}

/** undefined: the cluster runs, and the process ends with it. `launcher`: the command of its brokers. */
export async function clusterCommand(
  argv: readonly string[],
  launcher: readonly string[] = [process.execPath, PROGRAM],
): Promise<number | undefined> {
  const [command, ...rest] = argv
  if (command === undefined || command === 'help' || argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(USAGE)
    return command === undefined ? 2 : 0
  }
  // Whoever started us may have gone; that must not end the cluster.
  process.stdout.on('error', () => {})
  try {
    const options = readOptions(rest)
    switch (command) {
      case 'start':
        await start(options, launcher)
        return undefined
      case 'status':
        return await status(options)
      case 'stop':
        return await stop(options)
      default:
        throw invalid(`unknown command ${command}: write start, status or stop`)
    }
  } catch (error) {
    const isUsers = error instanceof PagelogError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')
    if (!isUsers) throw error
    // parseArgs explains itself on further lines.
    process.stderr.write(`pagelog: ${(error as Error).message.split('\n')[0]}\n`)
    return 1
  }
}

async function start(options: Options, launcher: readonly string[]): Promise<void> {
  const { directory, json } = options
  const began = performance.now()
  const logger = new LateLogger()
  const env = nodeEnv()
  let asked = false
  const starting = ClusterSupervisor.start({
    ...options,
    env,
    processes,
    logger,
    socketPath: socketPathFor(directory),
    launcher,
    self: await processMark(process.pid),
    report: (event) => tell(json, event, wordsFor(event)),
    failed: ({ message, cause }) => {
      // Who was asked to stop does that to the end.
      if (asked) return
      const why = cause instanceof Error ? cause.message : message
      process.stderr.write(`pagelog: the metadata in ${directory} cannot be written (${why}); the brokers run on\n`)
      process.exit(1)
    },
  })
  const stopOnSignal = (): void => {
    // Asked twice: the brokers are left running.
    if (asked) process.exit(130)
    asked = true
    const stopping = starting.then((supervisor) => supervisor.stop())
    stopping.then(
      () => {
        tell(json, { event: 'closed' }, 'the cluster is stopped')
        process.exit(0)
      },
      (error: unknown) => {
        logger.error({ error }, 'the cluster did not stop cleanly')
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', stopOnSignal)
  process.on('SIGINT', stopOnSignal)
  // The socket and the timers are all that keeps this process alive, and none of them needs to.
  setInterval(() => {}, 2 ** 30)
  try {
    const { brokers, bootstrap } = await starting
    const ms = Math.round(performance.now() - began)
    const words = `${brokers} brokers are up after ${(ms / 1000).toFixed(1)} s; clients connect to ${bootstrap}`
    tell(json, { event: 'ready', brokers, bootstrap, dir: directory, ms }, words)
    if (!json) tell(false, {}, `Ctrl-C stops them; in ${directory} are their logs (broker-1.log …)`)
    await logger.load()
  } catch (error) {
    if (!(error instanceof PagelogError)) throw error
    process.stderr.write(`pagelog: ${error.message}\n`)
    process.exit(1)
  }
}

async function status({ directory, json }: Options): Promise<number> {
  const found = await clusterStatus({ env: nodeEnv(), processes, logger: silentLogger, directory })
  const { brokers, supervisor, withoutLeader, underReplicated } = found
  const isWell =
    supervisor !== undefined &&
    brokers.every(({ registered, pid }) => registered && pid !== undefined) &&
    withoutLeader === 0 &&
    underReplicated === 0
  if (json) process.stdout.write(`${JSON.stringify({ ...found, well: isWell })}\n`)
  else process.stdout.write(describe(directory, found))
  return isWell ? 0 : 1
}

function describe(directory: string, found: ClusterStatus): string {
  const { supervisor, isKnown, controller, brokers, topics, partitions, withoutLeader, underReplicated } = found
  const counts = `${withoutLeader} without a leader, ${underReplicated} with replicas missing`
  const lines = [
    supervisor === undefined
      ? `no supervisor runs in ${directory}: nobody serves the metadata (pagelog cluster start --dir ${directory})`
      : `supervisor ${supervisor} in ${directory}`,
    ...brokers.map(({ id, host, port, pid, registered, leading, inSync }) => {
      const state = pid === undefined ? 'not running' : `process ${pid}`
      if (!isKnown) return `broker ${id}  ${host}:${port}  ${state}`
      const role = id === controller ? ', controller' : ''
      const standing = registered ? `leads ${leading}, in sync in ${inSync}${role}` : 'not registered'
      return `broker ${id}  ${host}:${port}  ${state}, ${standing}`
    }),
    ...(isKnown ? [`${topics} topics, ${partitions} partitions, ${counts}`] : []),
  ]
  return `${lines.join('\n')}\n`
}

async function stop({ directory, json }: Options): Promise<number> {
  const { disk, clock } = nodeEnv()
  const state = await readClusterState(disk, directory)
  if (!state) throw new PagelogError('PAGELOG_NOT_FOUND', `there is no cluster in ${directory}`)
  const { supervisor } = state
  const found = await clusterStatus({ env: { disk, clock }, processes, logger: silentLogger, directory })
  const alone = await Promise.all(found.brokers.map(({ pid }) => (pid === undefined ? undefined : processMark(pid))))
  // Without its supervisor the brokers cannot move their leaderships: they are only closed.
  const targets = found.supervisor === undefined ? alone.filter((mark) => mark !== undefined) : [supervisor!]
  if (targets.length === 0) {
    tell(json, { event: 'closed' }, 'nothing is running')
    return 0
  }
  for (const mark of targets) await signalProcess(mark, 'SIGTERM')
  const deadline = performance.now() + STOP_MS
  for (const mark of targets) {
    while (await isProcessAlive(mark)) {
      if (performance.now() > deadline) {
        throw new PagelogError('PAGELOG_TIMED_OUT', `process ${mark.pid} did not end within ${STOP_MS / 1000} s`)
      }
      await new Promise((done) => setTimeout(done, LOOK_MS))
    }
  }
  tell(json, { event: 'closed' }, 'the cluster is stopped')
  return 0
}

function wordsFor(event: ClusterEvent): string {
  const name = `broker ${event.broker}`
  switch (event.event) {
    case 'starting':
      return `${name} starts as process ${event.pid}`
    case 'adopted':
      return `${name} is running already as process ${event.pid}`
    case 'up':
      return `${name} is up at ${event.host}:${event.port}`
    case 'died':
      return `${name} ended with ${event.how}, started again in ${event.retryMs} ms; its last line: ${event.lastLine}`
    case 'stopping':
      return `${name} is asked to stop`
    case 'stopped':
      return `${name} is stopped`
    case 'killed':
      return `${name} did not stop and was killed`
  }
}

function tell(json: boolean, event: object, words: string): void {
  process.stdout.write(json ? `${JSON.stringify(event)}\n` : `pagelog: ${words}\n`)
}

function socketPathFor(directory: string): string {
  const path = `${directory}/metadata.sock`
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path
  return `${tmpdir()}/pagelog-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}.sock`
}

function readOptions(argv: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      dir: { type: 'string' },
      json: { type: 'boolean' },
      brokers: { type: 'string' },
      host: { type: 'string' },
      port: { type: 'string' },
      set: { type: 'string', multiple: true },
    },
  })
  if (positionals.length > 0) throw invalid(`what is ${positionals.join(' ')}? Options begin with --`)
  const brokers = values.brokers === undefined ? undefined : numberOf('--brokers', values.brokers)
  const settings = readSet(values.set ?? [])
  return {
    directory: resolve(values.dir ?? 'pagelog-cluster'),
    json: values.json ?? false,
    brokers,
    host: values.host ?? '127.0.0.1',
    port: numberOf('--port', values.port ?? '9092'),
    settings,
  }
}

function numberOf(name: string, text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw invalid(`${name} ${text}: write a number`)
  return Number(text)
}

/** Checked here, so that a mistake is said once and not by every broker. */
function readSet(texts: readonly string[]): Record<string, string> {
  const settings = new Map<string, string>()
  for (const text of texts) {
    const at = text.indexOf('=')
    if (at <= 0) throw invalid(`--set ${text}: write NAME=VALUE`)
    settings.set(text.slice(0, at).trim(), text.slice(at + 1))
  }
  const given = ['node.id', 'log.dir', 'log.dirs', 'listeners', 'pagelog.metadata'].find((name) => settings.has(name))
  if (given !== undefined) throw invalid(`--set ${given}: the cluster gives each broker its own`)
  const { warnings } = readSettings({ commandLine: settings })
  for (const warning of warnings) process.stderr.write(`pagelog: ${warning}\n`)
  return Object.fromEntries(settings)
}

function invalid(message: string): PagelogError {
  return new PagelogError('PAGELOG_INVALID_ARGUMENT', message)
}
