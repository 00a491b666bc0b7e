/** `pagelog bench load` and `pagelog bench find-max`. Exit status: 0 all well, 1 incomplete, 2 a wrong command line. */
import { factsOf } from '../facts.ts'
import { formatMs, formatRate, Progress } from '../measure/progress.ts'
import { UsageError } from '../options.ts'
import { abortOnSignals } from '../process/signals.ts'
import { writeResultFiles } from '../report/result-files.ts'
import { toHdrLog } from '../report/text-files.ts'
import type { ArrivalSpec } from './arrivals.ts'
import {
  FIND_MAX_USAGE,
  type FindMaxLine,
  LOAD_USAGE,
  type LoadLine,
  type Places,
  readFindMaxLine,
  readLoadLine,
} from './options.ts'
import { loadMarkdown, loadRows, renderLoadReport } from './report.ts'
import {
  type FindMaxResult,
  LOAD_SCHEMA_VERSION,
  type LoadResult,
  type LoadRun,
  type LoadSettings,
  type Trial,
} from './result.ts'
import { runLoad } from './run.ts'
import { search } from './search.ts'
import { type LoadSession, withSession } from './session.ts'
import { formatFindMax, formatLoad } from './table.ts'

/** What was reached must be so near to what was asked for, or the rate was not held. */
const RATE_SHARE_MIN = 0.98

export async function loadCommand(argv: readonly string[]): Promise<number> {
  return await command('load', argv, LOAD_USAGE, readLoadLine, measureLoad, formatLoad)
}

export async function findMaxCommand(argv: readonly string[]): Promise<number> {
  return await command('find-max', argv, FIND_MAX_USAGE, readFindMaxLine, findMax, formatFindMax)
}

interface Doing {
  readonly command: string
  readonly signal: AbortSignal
  readonly progress: Progress
}

async function command<Line extends Places, Result extends LoadResult | FindMaxResult>(
  name: string,
  argv: readonly string[],
  usage: string,
  read: (argv: readonly string[]) => Line | undefined,
  measure: (line: Line, doing: Doing) => Promise<Result>,
  format: (result: Result) => string,
): Promise<number> {
  const signals = abortOnSignals()
  try {
    const line = read(argv)
    if (line === undefined) {
      process.stdout.write(usage)
      return 0
    }
    const doing = {
      command: ['pagelog bench', name, ...argv].join(' '),
      signal: signals.signal,
      progress: new Progress(1),
    }
    const result = await measure(line, doing)
    const output = line.json === '-' ? process.stderr : process.stdout
    output.write(`\n${format(result)}\n\n`)
    const written = writeResultFiles(line, {
      result,
      html: await renderLoadReport(result),
      csv: loadRows(result),
      markdown: loadMarkdown(result),
      more: hdrLogs(result),
    })
    for (const one of written) output.write(`${one}\n`)
    return result.complete ? 0 : 1
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`pagelog bench ${name}: ${error.message}\n\n${usage}`)
      return 2
    }
    process.stderr.write(`\npagelog bench ${name}: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  } finally {
    signals.close()
  }
}

export async function measureLoad(line: LoadLine, doing: Doing): Promise<LoadResult> {
  const { settings, runs } = line
  const { signal, progress } = doing
  const startedAt = new Date().toISOString()
  return await withSession({ ...settings, ...line, signal }, async (session) => {
    const done: LoadRun[] = []
    for (let run = 0; run < runs && !signal.aborted; run++) {
      done.push(await oneRun(`run ${run + 1} of ${runs}`, settings, session, doing))
    }
    progress.line('')
    const complete = !signal.aborted && done.every(({ error }) => error === null)
    const facts = {
      startedAt,
      command: doing.command,
      complete,
      orientation: runs === 1,
      directory: session.scratch.path,
    }
    return {
      kind: 'load',
      schemaVersion: LOAD_SCHEMA_VERSION,
      ...factsOf(facts),
      settings,
      placement: session.placement.name,
      runs: done,
    }
  })
}

async function oneRun(title: string, settings: LoadSettings, session: LoadSession, doing: Doing): Promise<LoadRun> {
  const { signal, progress } = doing
  const { target, placement } = session
  progress.begin(title)
  const onProgress = (records: number) => progress.phase('', records)
  const run = await runLoad({ settings, target, placement, signal, onProgress })
  const latency =
    run.latencyMs === null ? 'no answers' : `p50 ${formatMs(run.latencyMs.p50)}, p99 ${formatMs(run.latencyMs.p99)}`
  progress.end(
    `${formatRate(run.recordsPerSecond)} rec/s, ${latency}${run.error === null ? '' : `; ${run.error.split('\n')[0]}`}`,
  )
  return run
}

export async function findMax(line: FindMaxLine, doing: Doing): Promise<FindMaxResult> {
  const { settings, goal } = line
  const { signal } = doing
  const startedAt = new Date().toISOString()
  return await withSession({ ...settings, ...line, signal }, async (session) => {
    const trials: Trial[] = []
    const outcome = await search(line, async (rate) => {
      if (signal.aborted) return undefined
      const arrivals = { ...(settings.arrivals as Exclude<ArrivalSpec, { kind: 'steps' }>), rate }
      const run = await oneRun(`${formatRate(rate)} rec/s`, { ...settings, arrivals }, session, doing)
      if (signal.aborted) return undefined
      const why = whyNot(run, settings.seconds, goal)
      trials.push({ rate, passed: why === undefined, why: why ?? '', run })
      // A broker that does not answer at all will not answer at another rate either.
      if (run.acknowledged === 0) throw new Error(run.error ?? 'nothing was acknowledged')
      return why === undefined
    }).catch((error: unknown) => ({ passed: null, failed: null, error: (error as Error).message }))
    const complete = !signal.aborted && !('error' in outcome) && outcome.passed !== null
    const facts = { startedAt, command: doing.command, complete, orientation: true, directory: session.scratch.path }
    return {
      kind: 'find-max',
      schemaVersion: LOAD_SCHEMA_VERSION,
      ...factsOf(facts),
      settings,
      placement: session.placement.name,
      goal,
      maxRate: outcome.passed,
      tooHigh: outcome.failed,
      trials,
    }
  })
}

/** Undefined: the run met the goal. */
export function whyNot(run: LoadRun, seconds: number, goal: FindMaxResult['goal']): string | undefined {
  if (run.error !== null) return run.error.split('\n')[0]
  const reached = run.latencyMs?.[goal.percentile]
  if (reached === undefined) return 'nothing was acknowledged'
  if (reached > goal.milliseconds) return `${formatMs(reached)}`
  if (run.recordsPerSecond < (run.intended / seconds) * RATE_SHARE_MIN) return 'the rate was not reached'
  return undefined
}

function hdrLogs(result: LoadResult | FindMaxResult): Record<string, string> {
  const runs = result.kind === 'load' ? result.runs : result.trials.map(({ run }) => run)
  const logs: Record<string, string> = {}
  runs.forEach((run, index) => {
    const name = runs.length === 1 ? 'latency.hlog' : `latency-${index + 1}.hlog`
    const comment = `[microseconds from the intended sending to the acknowledgement; ${result.command}]`
    if (run.intervals.length > 0) logs[name] = toHdrLog(run.intervals, result.startedAt, comment)
  })
  return logs
}
