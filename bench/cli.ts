/** `pagelog bench`: runs it, prints the table, writes JSON and report. Ctrl-C ends it with what there is by then. */
import { resolve } from 'node:path'
import { runBench } from './bench.ts'
import { formatSeconds, Progress } from './measure/progress.ts'
import { type CommandLine, readCommandLine, USAGE, UsageError } from './options.ts'
import { abortOnSignals } from './process/signals.ts'
import { writeOutputs } from './report/outputs.ts'
import { formatTable } from './report/table.ts'

/** Exit status: 0 when all was measured, 1 when something failed or was cut short, 2 for a wrong command line. */
export async function main(argv: readonly string[]): Promise<number> {
  // Its own measurements, its own options.
  if (argv[0] === 'compression') return (await import('./compression/command.ts')).compressionCommand(argv.slice(1))
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

async function measure(commandLine: CommandLine, argv: readonly string[]): Promise<number> {
  const { settings, quick, dataDirectory } = commandLine
  const variants = settings.against === null ? 1 : 3
  const progress = new Progress(settings.tests.length * settings.runs * variants)
  const signals = abortOnSignals()
  const startedMs = performance.now()
  try {
    const result = await runBench({
      settings,
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
