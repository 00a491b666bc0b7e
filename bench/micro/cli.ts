/**
 * `npm run bench:micro`: runs micro-benchmarks one after the other, each subject in a process of its own; progress on
 * standard error, a table at the end, or JSON. Exit status: 0 when all was measured, 1 when something failed or was cut
 * short, 2 for a wrong command line.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { commitOf, describeMachine } from '../measure/machine.ts'
import { formatSeconds, Progress } from '../measure/progress.ts'
import { settleWriteBack } from '../measure/write-back.ts'
import { installStores, storeVersions } from '../peers/stores.ts'
import { endAllChildren } from '../process/children.ts'
import { packageRoot } from '../process/package-root.ts'
import { makeScratch, type Scratch } from '../process/scratch.ts'
import { abortOnSignals } from '../process/signals.ts'
import { micros } from './catalog.ts'
import { chooseMicros, type Micro, needsPeers } from './micro.ts'
import { type Scale, scales } from './scale.ts'
import { POOL_THREADS, runSubject } from './subject-process.ts'
import { formatMicroTable, type MicroResult, type MicroRow, summaryOf } from './table.ts'

const USAGE = `npm run bench:micro -- [NAME ...] [options]

Measures single operations of the log, beside what a Node program would use instead.
NAME is a benchmark or the beginning of its name: append, append.100, append.100.os.16, read, open, crc ...

  --list           names and titles, nothing is measured
  --quick          a fifth of the time and of the data: for orientation
  --no-peers       pagelog and plain files only: classic-level and lmdb are neither installed nor measured
  --json           the result as JSON on standard output instead of the table
  --data-dir D     where the data go; default: the system's directory for temporary files
`

interface Chosen {
  readonly micros: readonly Micro[]
  readonly scale: Scale
  readonly withPeers: boolean
  readonly json: boolean
  readonly dataDirectory: string
}

export async function main(argv: readonly string[]): Promise<number> {
  let chosen: Chosen | number
  try {
    chosen = readArguments(argv)
  } catch (error) {
    process.stderr.write(`bench:micro: ${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  return typeof chosen === 'number' ? chosen : await measureAll(chosen, argv)
}

function readArguments(argv: readonly string[]): Chosen | number {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      list: { type: 'boolean' },
      quick: { type: 'boolean' },
      'no-peers': { type: 'boolean' },
      json: { type: 'boolean' },
      'data-dir': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) {
    process.stdout.write(USAGE)
    return 0
  }
  const found = chooseMicros(micros, positionals)
  if (found === undefined) throw new Error(`no benchmark is called ${positionals.join(' or ')}; --list names all`)
  if (values.list === true) {
    for (const { name, title } of found) process.stdout.write(`${name.padEnd(24)}${title}\n`)
    return 0
  }
  return {
    micros: found,
    scale: values.quick === true ? scales.quick : scales.full,
    withPeers: values['no-peers'] !== true,
    json: values.json === true,
    dataDirectory: resolve(values['data-dir'] ?? tmpdir()),
  }
}

async function measureAll(chosen: Chosen, argv: readonly string[]): Promise<number> {
  const { scale, withPeers } = chosen
  const signals = abortOnSignals()
  const scratch = makeScratch(chosen.dataDirectory)
  const startedMs = performance.now()
  const startedAt = new Date().toISOString()
  try {
    const hasPeers = withPeers && chosen.micros.some(({ subjects }) => Object.keys(subjects).some(needsPeers))
    const peers = hasPeers ? await installStores(signals.signal) : null
    const rows = await measureRows(chosen, { scratch, peers, signal: signals.signal })
    const result: MicroResult = {
      schema: 1,
      command: ['npm run bench:micro --', ...argv].join(' '),
      startedAt,
      commit: commitOf(packageRoot) ?? null,
      machine: describeMachine(chosen.dataDirectory),
      scale,
      poolThreads: Number(POOL_THREADS),
      peers: peers === null ? null : storeVersions(peers),
      complete: !signals.signal.aborted && rows.every(({ error }) => error === null),
      rows,
    }
    process.stdout.write(chosen.json ? `${JSON.stringify(result, null, 1)}\n` : `\n${formatMicroTable(result)}\n`)
    process.stderr.write(`${formatSeconds((performance.now() - startedMs) / 1000)} in all\n`)
    return result.complete ? 0 : 1
  } catch (error) {
    process.stderr.write(`\nbench:micro: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  } finally {
    await endAllChildren()
    scratch.remove()
    signals.close()
  }
}

interface Surroundings {
  readonly scratch: Scratch
  readonly peers: string | null
  readonly signal: AbortSignal
}

async function measureRows({ micros, scale }: Chosen, { scratch, peers, signal }: Surroundings): Promise<MicroRow[]> {
  const runs = micros.flatMap((micro) =>
    Object.keys(micro.subjects)
      .filter((subject) => peers !== null || !needsPeers(subject))
      .map((subject) => ({ micro, subject })),
  )
  const progress = new Progress(runs.length)
  const rows: MicroRow[] = []
  for (const { micro, subject } of runs) {
    if (signal.aborted) break
    progress.begin(`${micro.name} · ${subject}`)
    const directory = scratch.directory('micro')
    mkdirSync(directory, { recursive: true })
    const named = { name: micro.name, title: micro.title, subject }
    try {
      const run = { micro: micro.name, subject, scale, directory, peers }
      const row: MicroRow = { ...named, outcome: await runSubject(run, signal), error: null }
      rows.push(row)
      progress.end(summaryOf(row))
    } catch (error) {
      if (signal.aborted) break
      const message = error instanceof Error ? error.message : String(error)
      rows.push({ ...named, outcome: null, error: message })
      progress.end(`FAILED ${message.split('\n').slice(0, 12).join(' | ')}`)
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
    if (scale.name === 'full' && !signal.aborted) await settleWriteBack(signal).catch(() => {})
  }
  return rows
}

process.exitCode = await main(process.argv.slice(2))
