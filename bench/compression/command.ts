/** `pagelog bench compression`: runs it, prints the tables, writes JSON and report. */
import { resolve } from 'node:path'
import { formatSeconds, Progress } from '../measure/progress.ts'
import { UsageError } from '../options.ts'
import { abortOnSignals } from '../process/signals.ts'
import { writeOutputs } from '../report/outputs.ts'
import { COMPRESSION_USAGE, type CompressionCommandLine, readCompressionLine } from './options.ts'
import { runCompression, stepsOf } from './run.ts'
import { formatCompression } from './table.ts'

/** Exit status: 0 when all was measured, 1 when something failed or was cut short, 2 for a wrong command line. */
export async function compressionCommand(argv: readonly string[]): Promise<number> {
  let line: CompressionCommandLine | undefined
  try {
    line = readCompressionLine(argv)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`pagelog bench compression: ${error.message}\n\n${COMPRESSION_USAGE}`)
    return 2
  }
  if (line === undefined) {
    process.stdout.write(COMPRESSION_USAGE)
    return 0
  }
  const { settings, dataDirectory } = line
  const signals = abortOnSignals()
  const startedMs = performance.now()
  try {
    const result = await runCompression({
      settings,
      command: ['pagelog bench compression', ...argv].join(' '),
      signal: signals.signal,
      progress: new Progress(stepsOf(settings)),
      ...(dataDirectory === undefined ? {} : { dataDirectory: resolve(dataDirectory) }),
    })
    const output = line.json === '-' ? process.stderr : process.stdout
    output.write(`\n${formatCompression(result)}\n\n`)
    const { renderCompressionReport } = await import('./report.ts')
    const places = writeOutputs(line, result, await renderCompressionReport(result))
    for (const place of places) output.write(`${place}\n`)
    output.write(`${formatSeconds((performance.now() - startedMs) / 1000)} in all\n`)
    return result.complete ? 0 : 1
  } catch (error) {
    process.stderr.write(`\npagelog bench compression: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  } finally {
    signals.close()
  }
}
