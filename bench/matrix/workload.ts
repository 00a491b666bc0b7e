/**
 * A workload file: what a matrix varies, and how each cell is loaded.
 *
 *   name: what acknowledgements cost
 *   matrix:                       # every combination is a cell; what is not named has its default
 *     acks: [0, 1, all]
 *     batchBytes: [16384, 65536]
 *   load:
 *     values: json                # as of `bench load --values`
 *     seconds: 5
 *     rate: 2000                  # an open loop; without it as fast as it goes
 *   runs: 3
 */
import { parse } from 'yaml'
import { codecs } from '../compression/result.ts'
import { parseKeys } from '../load/keys.ts'
import { parseValues } from '../load/values.ts'
import { UsageError } from '../options.ts'
import type { CellSettings } from './result.ts'

export interface WorkloadLoad {
  readonly values: string
  readonly keys: string
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly drainSeconds: number
  /** Records a second of all clients together; null: a closed loop. */
  readonly rate: number | null
  readonly arrivals: 'constant' | 'poisson'
  readonly bufferBytes: number
  readonly seed: number
}

export type Axis = keyof CellSettings

export interface Workload {
  readonly name: string
  readonly matrix: { readonly [Name in Axis]: readonly CellSettings[Name][] }
  readonly load: WorkloadLoad
  readonly runs: number
}

/** In the order in which results show them. */
export const axes: readonly Axis[] = [
  'acks',
  'fsync',
  'replication',
  'idempotence',
  'inFlight',
  'batchBytes',
  'lingerMs',
  'compression',
  'recordBytes',
  'partitions',
  'clients',
]

const defaults: Workload['matrix'] = {
  acks: [1],
  fsync: ['os'],
  replication: [1],
  idempotence: [false],
  inFlight: [5],
  batchBytes: [65_536],
  lingerMs: [5],
  compression: ['none'],
  recordBytes: [100],
  partitions: [6],
  clients: [1],
}

const loadDefaults: WorkloadLoad = {
  values: 'random',
  keys: 'none',
  seconds: 5,
  warmUpSeconds: 1.5,
  drainSeconds: 20,
  rate: null,
  arrivals: 'constant',
  bufferBytes: 64 << 20,
  seed: 1,
}

/** Cells that one file may ask for: more are a mistake, not a plan. */
const VALUES_MAX = 64
const RUNS_MAX = 100

/** `source` names the text in errors. Throws UsageError. */
export function readWorkload(text: string, source: string): Workload {
  let document: unknown
  try {
    document = parse(text)
  } catch (error) {
    throw new UsageError(`${source}: ${(error as Error).message}`)
  }
  return new Reading(source).workload(document)
}

class Reading {
  readonly #source: string

  constructor(source: string) {
    this.#source = source
  }

  workload(document: unknown): Workload {
    const top = this.#object(document, 'the file', ['name', 'matrix', 'load', 'runs'])
    const given = this.#object(top.matrix ?? {}, 'matrix', axes)
    const matrix = Object.fromEntries(
      axes.map((axis) => [axis, given[axis] === undefined ? defaults[axis] : this.#values(axis, given[axis])]),
    ) as unknown as Workload['matrix']
    const runs = this.#number(top.runs ?? 3, 'runs', 1, RUNS_MAX, true)
    if (top.name !== undefined && typeof top.name !== 'string') this.#refuse('name: a text')
    return { name: (top.name as string | undefined) ?? this.#source, matrix, load: this.#load(top.load ?? {}), runs }
  }

  #load(document: unknown): WorkloadLoad {
    const given = this.#object(document, 'load', Object.keys(loadDefaults))
    const load = { ...loadDefaults, ...given } as WorkloadLoad
    this.#number(load.seconds, 'load.seconds', 0.1, 86_400)
    this.#number(load.warmUpSeconds, 'load.warmUpSeconds', 0, 600)
    this.#number(load.drainSeconds, 'load.drainSeconds', 0.1, 600)
    this.#number(load.bufferBytes, 'load.bufferBytes', 1, 2 ** 32, true)
    this.#number(load.seed, 'load.seed', 1, 0xffffffff, true)
    if (load.rate !== null) this.#number(load.rate, 'load.rate', 0.01, 1e7)
    if (load.arrivals !== 'constant' && load.arrivals !== 'poisson') this.#refuse('load.arrivals: constant or poisson')
    try {
      parseValues(String(load.values), 100)
      parseKeys(String(load.keys))
    } catch (error) {
      this.#refuse((error as Error).message)
    }
    return load
  }

  #values(axis: Axis, given: unknown): unknown[] {
    const list = Array.isArray(given) ? given : [given]
    if (list.length === 0 || list.length > VALUES_MAX) this.#refuse(`matrix.${axis}: 1 to ${VALUES_MAX} values`)
    const values = list.map((value) => this.#value(axis, value))
    if (new Set(values).size < values.length) this.#refuse(`matrix.${axis}: a value twice`)
    return values
  }

  #value(axis: Axis, value: unknown): unknown {
    const name = `matrix.${axis}`
    switch (axis) {
      case 'acks':
        if (value === 'all') return -1
        if (value === 0 || value === 1 || value === -1) return value
        return this.#refuse(`${name}: 0, 1 or all, not ${value}`)
      case 'compression':
        if (codecs.includes(value as never)) return value
        return this.#refuse(`${name}: one of ${codecs.join(', ')}, not ${value}`)
      case 'idempotence':
        if (typeof value === 'boolean') return value
        return this.#refuse(`${name}: true or false, not ${value}`)
      case 'fsync':
        if (value === 'os' || value === 'always') return value
        return this.#refuse(`${name}: os or always, not ${value}`)
      case 'lingerMs':
        return this.#number(value, name, 0, 60_000)
      case 'batchBytes':
        return this.#number(value, name, 1, 2 ** 30, true)
      case 'recordBytes':
        return this.#number(value, name, 1, 10_000_000, true)
      case 'replication':
        return this.#number(value, name, 1, 9, true)
      case 'inFlight':
        return this.#number(value, name, 1, 1000, true)
      case 'partitions':
        return this.#number(value, name, 1, 10_000, true)
      case 'clients':
        return this.#number(value, name, 1, 64, true)
    }
  }

  #number(value: unknown, name: string, low: number, high: number, whole = false): number {
    const isOne = typeof value === 'number' && value >= low && value <= high && (!whole || Number.isInteger(value))
    return isOne
      ? value
      : this.#refuse(`${name}: a ${whole ? 'whole ' : ''}number from ${low} to ${high}, not ${value}`)
  }

  #object(value: unknown, name: string, keys: readonly string[]): Record<string, unknown> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return this.#refuse(`${name}: ${keys.join(', ')}`)
    }
    const unknown = Object.keys(value).find((key) => !keys.includes(key))
    if (unknown !== undefined) this.#refuse(`${name}: ${unknown} is none of ${keys.join(', ')}`)
    return value as Record<string, unknown>
  }

  #refuse(text: string): never {
    throw new UsageError(`${this.#source}: ${text}`)
  }
}
