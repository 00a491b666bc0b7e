/**
 * The `pagelog` command: finds the subcommand and imports only that, so that starting a broker loads nothing of the
 * benchmarks. Arguments are read by node:util's parseArgs (docs/decisions/0003).
 */
import { readFileSync } from 'node:fs'

const USAGE = `pagelog: a Kafka-compatible commit log

  pagelog broker [server.properties] [options]   serve Kafka clients       (pagelog broker --help)
  pagelog cluster start|status|stop [options]    several brokers here      (pagelog cluster --help)
  pagelog bench [options]                        measure it                (pagelog bench --help)
  pagelog goals AREA [PART]                      measure it against its goals
  pagelog --version
`

/** Runs a command line; the result is the exit status, undefined when the command ends the process itself. */
async function run(argv: readonly string[]): Promise<number | undefined> {
  const [command, ...rest] = argv
  switch (command) {
    case 'broker':
      return await (await import('./broker-command.ts')).brokerCommand(rest)
    case 'cluster':
      return await (await import('./cluster-command.ts')).clusterCommand(rest)
    case 'bench':
      return await (await import('../../bench/cli.ts')).main(rest)
    case 'goals':
      return await (await import('../../bench/goals/cli.ts')).main(rest)
    case '--version':
    case '-v':
      process.stdout.write(`${version()}\n`)
      return 0
    case undefined:
    case '--help':
    case '-h':
    case 'help':
      process.stdout.write(USAGE)
      return command === undefined ? 2 : 0
    default:
      process.stderr.write(`pagelog: unknown command ${command}\n\n${USAGE}`)
      return 2
  }
}

function version(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

const status = await run(process.argv.slice(2))
if (status !== undefined) process.exitCode = status
