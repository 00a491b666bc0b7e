/** What every result says of its run: version, times, commit, machine, command. */
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { commitOf, describeMachine } from './measure/machine.ts'
import { packageRoot } from './process/package-root.ts'
import type { ResultFacts } from './result.ts'

export interface FactsOptions {
  readonly startedAt: string
  readonly command: string
  readonly complete: boolean
  readonly orientation: boolean
  /** Where brokers keep their data, if they are ours. */
  readonly directory?: string
}

export function factsOf(options: FactsOptions): ResultFacts {
  const { startedAt, command, complete, orientation } = options
  return {
    version: packageVersion(),
    startedAt,
    finishedAt: new Date().toISOString(),
    complete,
    orientation,
    command,
    commit: commitOf(packageRoot) ?? null,
    machine: describeMachine(options.directory ?? tmpdir()),
  }
}

function packageVersion(): string {
  const text = readFileSync(join(packageRoot, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
