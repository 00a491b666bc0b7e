/** `pagelog bench`: runs it, prints the table, writes JSON and report. Ctrl-C ends it with what there is by then. */
import { resolve } from 'node:path'
import { runBench, variantsOf } from './bench.ts'
import { formatSeconds, Progress } from './measure/progress.ts'
import { type CommandLine, driving, readCommandLine, USAGE, UsageError } from './options.ts'
import { abortOnSignals } from './process/signals.ts'
import { latencyLogs } from './report/latency-logs.ts'
import { writeOutputs } from './report/outputs.ts'
import { resultFolder, writeTables } from './report/result-files.ts'
import { benchMarkdown, benchRows } from './report/rows.ts'
import { formatTable, warmUpLines } from './report/table.ts'
import { reachHosts } from './targets/hosts.ts'

/** Exit status: 0 when all was measured, 1 when something failed or was cut short, 2 for a wrong command line. */
export async function main(argv: readonly string[]): Promise<number> {
  const version = optionOf(argv, '--kafka-version')
  if (version !== undefined) {
    const status = await refusing(async () => {
      const { chooseKafka } = await import('./peers/java.ts')
      chooseKafka(version)
      return 0
    })
    if (status !== 0) return status
  }
  const rate = netnsRate(argv)
  if (rate !== undefined) {
    const { hubHere } = await import('./netns/namespaces.ts')
    const { endWithOuter, runInHub } = await import('./netns/in-hub.ts')
    if (hubHere() === undefined) {
      return await refusing(async () => {
        await fetchBefore(argv)
        return await runInHub(rate, argv)
      })
    }
    endWithOuter()
  }
  if (argv.length === 0) return (await import('./linkedin/command.ts')).linkedinCommand(['--quick'])
  const other = await otherCommand(argv[0])
  if (other !== undefined) return other(argv.slice(1))
  let commandLine: CommandLine | undefined
  try {
    commandLine = readCommandLine(argv)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`pagelog bench: ${error.message}\n\n${USAGE}`)
    return 2
  }
  if (commandLine === undefined) {
    process.stdout.write(USAGE)
    return 0
  }
  return measure(commandLine, argv)
}

/** undefined where everything is to be on loopback. */
function netnsRate(argv: readonly string[]): string | undefined {
  return argv.includes('--help') ? undefined : optionOf(argv, '--netns')
}

function optionOf(argv: readonly string[], option: string): string | undefined {
  const at = argv.findIndex((word) => word === option || word.startsWith(`${option}=`))
  if (at < 0) return undefined
  return argv[at]!.includes('=') ? argv[at]!.slice(option.length + 1) : (argv[at + 1] ?? '')
}

/** From within a namespace nothing can be fetched. What cannot be had now is a failure of its runs later. */
async function fetchBefore(argv: readonly string[]): Promise<void> {
  const clients = optionOf(argv, '--clients')
  const drivers = clients === undefined ? [] : (driving({ clients }).clients ?? [])
  if (optionOf(argv, '--against') === 'kafka' || drivers.includes('kafka-tools')) {
    const { kafkaClasspath } = await import('./peers/java.ts')
    await kafkaClasspath()
  }
  const { isOtherClient, prepareClient } = await import('./peers/other-clients.ts')
  for (const driver of drivers) if (isOtherClient(driver)) await prepareClient(driver).catch(() => {})
}

async function refusing(work: () => Promise<number>): Promise<number> {
  try {
    return await work()
  } catch (error) {
    process.stderr.write(`pagelog bench: ${(error as Error).message}\n`)
    return error instanceof UsageError ? 2 : 1
  }
}

type Command = (argv: readonly string[]) => Promise<number>

/** What has its own measurements and options; imported only when asked for. */
async function otherCommand(name: string | undefined): Promise<Command | undefined> {
  switch (name) {
    case 'compression':
      return (await import('./compression/command.ts')).compressionCommand
    case 'load':
      return (await import('./load/command.ts')).loadCommand
    case 'find-max':
      return (await import('./load/command.ts')).findMaxCommand
    case 'linkedin-2014':
      return (await import('./linkedin/command.ts')).linkedinCommand
    case 'compare':
      return (await import('./compare/command.ts')).compareCommand
    case 'matrix':
      return (await import('./matrix/command.ts')).matrixCommand
    default:
      return undefined
  }
}

async function measure(commandLine: CommandLine, argv: readonly string[]): Promise<number> {
  const { settings, quick, dataDirectory } = commandLine
  const { driving } = commandLine
  const variants = variantsOf({ ...driving, against: settings.against }).length
  const progress = new Progress(settings.tests.length * settings.runs * variants)
  const signals = abortOnSignals()
  const startedMs = performance.now()
  try {
    if (driving.hosts !== undefined) await reachHosts(driving.hosts, signals.signal)
    const result = await runBench({
      settings,
      ...driving,
      command: ['pagelog bench', ...argv].join(' '),
      signal: signals.signal,
      progress,
      quick,
      ...(dataDirectory === undefined ? {} : { dataDirectory: resolve(dataDirectory) }),
    })
    const toStandardOutput = commandLine.json === '-'
    const report = toStandardOutput ? process.stderr : process.stdout
    report.write(`\n${formatTable(result)}\n\n`)
    // Charts take a while to load: only now.
    const { renderReport } = await import('./report/html.ts')
    const places = writeOutputs(commandLine, result, await renderReport(result))
    const folder = resultFolder(commandLine.out, result.startedAt)
    places.push(
      ...writeTables(folder, benchRows(result), benchMarkdown(result), latencyLogs(result), warmUpLines(result)),
    )
    for (const place of places) report.write(`${place}\n`)
    report.write(`${formatSeconds((performance.now() - startedMs) / 1000)} in all\n`)
    return result.complete ? 0 : 1
  } catch (error) {
    process.stderr.write(`\npagelog bench: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  } finally {
    signals.close()
  }
}
