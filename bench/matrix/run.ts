/**
 * Measures the cells of a plan: round by round, so that a machine that becomes slower does so for all; in a round all
 * cells of one broker's settings after one another. A broker that cannot be had fails its cells and the rest goes on.
 */
import { factsOf } from '../facts.ts'
import { parseKeys } from '../load/keys.ts'
import { arrivalSpec } from '../load/options.ts'
import type { LoadRun, LoadSettings } from '../load/result.ts'
import { type LoadRunOptions, runLoad } from '../load/run.ts'
import { type LoadSession, withSession } from '../load/session.ts'
import { parseValues } from '../load/values.ts'
import { formatMs, formatRate, type Progress } from '../measure/progress.ts'
import { settleMachine } from '../measure/settle.ts'
import { brokerOf, type Plan, type PlannedCell } from './plan.ts'
import { type CellSettings, MATRIX_SCHEMA_VERSION, type MatrixResult } from './result.ts'
import type { MatrixState } from './state.ts'
import { cellOf, withPareto } from './summary.ts'
import type { Workload } from './workload.ts'

export interface MatrixOptions {
  readonly workload: Workload
  readonly plan: Plan
  readonly state: MatrixState
  readonly bootstrap: string | null
  readonly dataDirectory: string | undefined
  readonly netns: string | undefined
  readonly hosts: string | undefined
  readonly quick: boolean
  readonly command: string
  readonly signal: AbortSignal
  readonly progress: Progress
  /** Instead of a broker and processes; for tests. */
  readonly run?: (options: LoadRunOptions) => Promise<LoadRun>
  readonly session?: typeof withSession
  readonly settle?: typeof settleMachine
}

export async function runMatrix(options: MatrixOptions): Promise<MatrixResult> {
  const { workload, plan, state, signal, progress } = options
  let placement = options.netns ?? 'loopback'
  for (let round = 0; round < workload.runs && !signal.aborted; round++) {
    for (const [, cells] of groups(plan.cells)) {
      const left = cells.filter(({ id }) => state.get(id, round) === undefined)
      if (left.length === 0 || signal.aborted) continue
      try {
        await (options.session ?? withSession)(sessionOf(options, left[0]!.settings), async (session) => {
          placement = session.placement.name
          for (const cell of left) if (!signal.aborted) await measure(options, cell, round, session)
        })
      } catch (error) {
        if (signal.aborted) break
        const text = error instanceof Error ? error.message : String(error)
        progress.line(`no broker for ${left.length} cells: ${text}`)
        for (const { id } of left) if (state.get(id, round) === undefined) state.add(id, round, failed(text))
      }
    }
  }
  return resultOf(options, placement)
}

async function measure(options: MatrixOptions, cell: PlannedCell, round: number, session: LoadSession): Promise<void> {
  const { workload, state, signal, progress } = options
  progress.begin(`${cell.id} · run ${round + 1} of ${workload.runs}`)
  const run = await runSettled(options, cell, session)
  // What was cut short is no run: it is measured again.
  if (signal.aborted) return
  state.add(cell.id, round, withoutBulk(run))
  const latency = run.latencyMs === null ? '' : `, p99 ${formatMs(run.latencyMs.p99)}`
  const trouble = run.error === null ? '' : `; ${run.error.split('\n')[0]}`
  progress.end(`${formatRate(run.recordsPerSecond)} rec/s${latency}${trouble}`)
}

/** On a machine that could not be settled a run fails: it would be compared with those of the others. */
async function runSettled(options: MatrixOptions, cell: PlannedCell, session: LoadSession): Promise<LoadRun> {
  const { workload, signal, progress, quick, settle = settleMachine, run = runLoad } = options
  const { target, placement, scratch } = session
  try {
    if (!quick) await settle(scratch.path, signal, (what) => progress.phase(what, 0))
  } catch (error) {
    return failed(`the machine was not settled: ${error instanceof Error ? error.message : String(error)}`)
  }
  const onProgress = (records: number) => progress.phase('', records)
  return await run({ settings: loadOf(workload, cell.settings), target, placement, signal, onProgress })
}

/** A matrix has many runs: their series and histograms by the second are left out. */
function withoutBulk(run: LoadRun): LoadRun {
  return { ...run, series: [], intervals: [] }
}

function groups(cells: readonly PlannedCell[]): Map<string, PlannedCell[]> {
  const found = new Map<string, PlannedCell[]>()
  for (const cell of cells) {
    const key = brokerOf(cell.settings)
    found.set(key, [...(found.get(key) ?? []), cell])
  }
  return found
}

function sessionOf(options: MatrixOptions, settings: CellSettings) {
  const { bootstrap, dataDirectory, netns, hosts, signal } = options
  const overrides = settings.fsync === 'always' ? { 'log.flush.interval.messages': '1' } : undefined
  return {
    ...{ bootstrap, dataDirectory, netns, hosts, signal },
    partitions: settings.partitions,
    brokers: settings.replication === 1 ? 1 : Math.max(3, settings.replication),
    ...(overrides === undefined ? {} : { overrides }),
  }
}

export function loadOf({ load }: Workload, cell: CellSettings): LoadSettings {
  const { seconds, warmUpSeconds, drainSeconds, seed, rate } = load
  return {
    ...{ bootstrap: null, topic: null, seconds, warmUpSeconds, drainSeconds, seed },
    partitions: cell.partitions,
    replication: cell.replication,
    producers: cell.clients,
    tuning: {
      acks: cell.acks,
      batchBytes: cell.batchBytes,
      lingerMs: cell.lingerMs,
      bufferBytes: load.bufferBytes,
      compression: cell.compression,
      maxInFlight: cell.inFlight,
      idempotent: cell.idempotence,
    },
    values: parseValues(load.values, cell.recordBytes),
    poolBytes: 16 << 20,
    keys: parseKeys(load.keys),
    arrivals: rate === null ? null : arrivalSpec(load.arrivals, rate, seconds, seed),
    pacing: 'precise',
    verify: false,
  }
}

function resultOf(options: MatrixOptions, placement: string): MatrixResult {
  const { workload, plan, state, signal } = options
  const cells = plan.cells.flatMap((cell) => {
    const runs = Array.from({ length: workload.runs }, (_, run) => state.get(cell.id, run)).filter(
      (one) => one !== undefined,
    )
    return runs.length === 0 ? [] : [cellOf(cell, runs)]
  })
  const isWhole = cells.length === plan.cells.length && cells.every(({ runs }) => runs.length === workload.runs)
  const facts = factsOf({
    startedAt: state.startedAt,
    command: options.command,
    complete: !signal.aborted && isWhole && cells.every(({ error }) => error === null),
    orientation: options.quick || workload.runs === 1,
    ...(options.dataDirectory === undefined ? {} : { directory: options.dataDirectory }),
  })
  return {
    kind: 'matrix',
    schemaVersion: MATRIX_SCHEMA_VERSION,
    ...facts,
    name: workload.name,
    workload,
    placement,
    planned: plan.cells.length,
    cells: withPareto(cells),
    skipped: plan.skipped,
  }
}

function failed(error: string): LoadRun {
  return {
    ...{
      intended: 0,
      sent: 0,
      acknowledged: 0,
      failed: 0,
      unfinished: 0,
      seconds: 0,
      recordsPerSecond: 0,
      mebibytesPerSecond: 0,
    },
    ...{ latencyMs: null, serviceTimeMs: null, latenessMs: null, endToEndMs: null, overhead: null, verification: null },
    ...{ series: [], intervals: [], processes: [], retries: 0, error },
  }
}
