/** From a workload to its cells in their order, and how long they will take. Pure. */
import { SETTLE_SECONDS } from '../measure/settle.ts'
import type { CellSettings } from './result.ts'
import { type Axis, axes, type Workload } from './workload.ts'

export interface PlannedCell {
  readonly id: string
  readonly settings: CellSettings
}

export interface Plan {
  readonly cells: readonly PlannedCell[]
  readonly skipped: readonly { readonly settings: CellSettings; readonly why: string }[]
  /** Axes with more than one value. */
  readonly varied: readonly Axis[]
  readonly seconds: number
}

/** Starting the processes of a run, its topic, and the waiting in between. */
const OVERHEAD_SECONDS = 2.5
/** A broker is started for each of its settings. */
const BROKER_SECONDS = 1.5
export const CELLS_MAX = 2_000

/** A quick one does not wait until the machine is settled. */
export function planOf(workload: Workload, quick: boolean): Plan {
  const { matrix, load, runs } = workload
  const varied = axes.filter((axis) => matrix[axis].length > 1)
  let combinations: Record<string, unknown>[] = [{}]
  for (const axis of axes) {
    combinations = combinations.flatMap((one) => matrix[axis].map((value) => ({ ...one, [axis]: value })))
  }
  const cells: PlannedCell[] = []
  const skipped: { settings: CellSettings; why: string }[] = []
  for (const combination of combinations) {
    const settings = combination as unknown as CellSettings
    const why = whyNot(settings)
    if (why === undefined) cells.push({ id: idOf(settings, varied), settings })
    else skipped.push({ settings, why })
  }
  const brokers = new Set(cells.map(({ settings }) => brokerOf(settings))).size
  const perRun = load.warmUpSeconds + load.seconds + OVERHEAD_SECONDS + (quick ? 0 : SETTLE_SECONDS)
  return { cells, skipped, varied, seconds: cells.length * runs * perRun + brokers * BROKER_SECONDS * runs }
}

/** What needs a broker of its own. */
export function brokerOf({ replication, fsync }: CellSettings): string {
  return `${replication} ${fsync}`
}

function whyNot(settings: CellSettings): string | undefined {
  if (settings.idempotence && settings.acks !== -1) return 'idempotence needs acks=all'
  if (settings.idempotence && settings.inFlight > 5) return 'idempotence allows 5 requests in flight at most'
  return undefined
}

export function idOf(settings: CellSettings, varied: readonly Axis[]): string {
  return varied.length === 0 ? 'all' : varied.map((axis) => `${axis}=${cellText(axis, settings)}`).join(' ')
}

export function cellText(axis: Axis, settings: CellSettings): string {
  const value = settings[axis]
  return axis === 'acks' && value === -1 ? 'all' : String(value)
}

/** A shorter one: one run of each cell, and each as short as makes all of it fit. */
export function quickWorkload(workload: Workload, secondsMax: number): Workload {
  const cells = planOf({ ...workload, runs: 1 }, true).cells.length
  const room = (secondsMax - 15) / Math.max(1, cells) - OVERHEAD_SECONDS
  const seconds = Math.max(0.5, Math.min(workload.load.seconds, room * 0.75))
  const warmUpSeconds = Math.min(workload.load.warmUpSeconds, Math.max(0.3, seconds / 3))
  return {
    ...workload,
    runs: 1,
    load: { ...workload.load, seconds: tenths(seconds), warmUpSeconds: tenths(warmUpSeconds), drainSeconds: 10 },
  }
}

function tenths(seconds: number): number {
  return Math.floor(seconds * 10) / 10
}
