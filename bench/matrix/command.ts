/** `pagelog bench matrix`. Exit status: 0 all measured, 1 incomplete, 2 a wrong command line. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { formatSeconds, Progress } from '../measure/progress.ts'
import { number, parseOptions, UsageError } from '../options.ts'
import { abortOnSignals } from '../process/signals.ts'
import { writeResultFiles } from '../report/result-files.ts'
import { CELLS_MAX, planOf, quickWorkload } from './plan.ts'
import { presets, presetText } from './presets.ts'
import { renderMatrixReport } from './report.ts'
import { type MatrixOptions, runMatrix } from './run.ts'
import { MatrixState } from './state.ts'
import { formatMatrix, formatPlan, matrixMarkdown, matrixRows } from './table.ts'
import { readWorkload, type Workload } from './workload.ts'

const USAGE = `pagelog bench matrix WORKLOAD [options]

Measures every combination of what a workload varies. WORKLOAD is a YAML file, or one of ${Object.keys(presets).join(', ')}.

  --plan             shows what would be measured and how long it takes, and ends
  --quick            one short run of each cell, five minutes at most: for orientation
  --runs N           of each cell, instead of what the workload says
  --fresh            forgets what an interrupted run has measured
  --bootstrap H:P    a broker that is there already (fsync is then its own affair)
  --hosts FILE       addresses of brokers on real machines, one a line
  --netns RATE       broker and clients in network namespaces with links of 1gbit, 100mbit, … (root only)
  --data-dir D       where the broker keeps its data            (system's temp)
  --out DIR          folder for results, and for what is done when it is interrupted  (tmp/bench/matrix-<name>)
  --json FILE        the JSON here instead; - for standard output
`

const QUICK_SECONDS_MAX = 300

export async function matrixCommand(argv: readonly string[]): Promise<number> {
  const signals = abortOnSignals()
  try {
    const { values, positionals } = parsed(argv)
    if (values.help === true) {
      process.stdout.write(USAGE)
      return 0
    }
    const [source, ...rest] = positionals
    if (source === undefined || rest.length > 0) throw new UsageError('one workload')
    if (values.netns !== undefined && (values.bootstrap ?? values.hosts) !== undefined) {
      throw new UsageError('--netns is for brokers that are started here')
    }
    const workload = workloadOf(source, values)
    const quick = values.quick === true
    const plan = planOf(workload, quick)
    if (plan.cells.length === 0) throw new UsageError(`${source}: no combination means anything`)
    if (plan.cells.length > CELLS_MAX)
      throw new UsageError(`${source}: ${plan.cells.length} cells, more than ${CELLS_MAX}`)
    if (values.plan === true) {
      process.stdout.write(`${formatPlan(workload, plan, 0)}\n`)
      return 0
    }
    const folder = resolve(values.out ?? join('tmp/bench', `matrix-${slug(source)}`))
    const placement = values.netns ?? values.bootstrap ?? values.hosts ?? 'loopback'
    if (values.fresh === true) new MatrixState(folder, workload, placement).remove()
    const state = new MatrixState(folder, workload, placement)
    process.stderr.write(`${formatPlan(workload, plan, state.count)}\n\n`)
    return await measure(folder, values.json, {
      ...{ workload, plan, state, netns: values.netns, hosts: values.hosts },
      bootstrap: values.bootstrap ?? null,
      dataDirectory: values['data-dir'],
      quick,
      command: ['pagelog bench matrix', ...argv].join(' '),
      signal: signals.signal,
      progress: new Progress(plan.cells.length * workload.runs - state.count),
    })
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`pagelog bench matrix: ${error.message}\n\n${USAGE}`)
      return 2
    }
    process.stderr.write(`\npagelog bench matrix: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  } finally {
    signals.close()
  }
}

async function measure(folder: string, json: string | undefined, options: MatrixOptions): Promise<number> {
  const startedMs = performance.now()
  const result = await runMatrix(options)
  const output = json === '-' ? process.stderr : process.stdout
  output.write(`\n${formatMatrix(result)}\n\n`)
  const html = await renderMatrixReport(result)
  const files = { result, html, csv: matrixRows(result), markdown: matrixMarkdown(result) }
  for (const line of writeResultFiles({ out: folder, json }, files)) output.write(`${line}\n`)
  const isAll = result.cells.every(({ runs }) => runs.length === options.workload.runs)
  if (isAll && result.cells.length === result.planned) options.state.remove()
  else output.write('interrupted: the same command goes on from here\n')
  output.write(`${formatSeconds((performance.now() - startedMs) / 1000)} in all\n`)
  return result.complete ? 0 : 1
}

function workloadOf(source: string, values: { runs?: string | undefined; quick?: boolean | undefined }): Workload {
  const text = existsSync(source) ? readFileSync(source, 'utf8') : presetText(source)
  const read = readWorkload(text, source)
  const workload = { ...read, runs: number(values.runs, '--runs', read.runs, 1, 100) }
  return values.quick === true ? quickWorkload(workload, QUICK_SECONDS_MAX) : workload
}

function slug(source: string): string {
  const name = source.replace(/^.*\//, '').replace(/\.ya?ml$/, '')
  return name.replaceAll(/[^\w-]+/g, '-')
}

function parsed(argv: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  return parseOptions({
    args: [...argv],
    allowPositionals: true,
    options: {
      ...{ plan: flag, quick: flag, fresh: flag, runs: text, bootstrap: text, hosts: text, netns: text },
      ...{ 'data-dir': text, out: text, json: text, help: { ...flag, short: 'h' } },
    },
  })
}
