/** The shape of a matrix's result; `suite.schema.json` has the published form. */
import type { CodecName } from '../../src/record/index.ts'
import type { LoadRun } from '../load/result.ts'
import type { ResultFacts } from '../result.ts'
import type { Workload } from './workload.ts'

export const MATRIX_SCHEMA_VERSION = 1

/** When a broker calls fsync: `os`, never by itself (the default of Kafka and of pagelog); `always`, after every batch. */
export type Fsync = 'os' | 'always'

export interface CellSettings {
  readonly acks: number
  readonly batchBytes: number
  readonly lingerMs: number
  readonly compression: CodecName
  readonly recordBytes: number
  readonly partitions: number
  readonly replication: number
  readonly inFlight: number
  readonly idempotence: boolean
  /** Producers. */
  readonly clients: number
  readonly fsync: Fsync
}

export interface Cell {
  /** What differs from cell to cell, `acks=all batchBytes=65536`. */
  readonly id: string
  readonly settings: CellSettings
  readonly runs: readonly LoadRun[]
  /** Medians of the runs that succeeded; null when none did. */
  readonly recordsPerSecond: number | null
  readonly low: number | null
  readonly high: number | null
  readonly mebibytesPerSecond: number | null
  readonly p50: number | null
  readonly p99: number | null
  /** No other cell has both more throughput and a lower p99. */
  readonly pareto: boolean
  readonly error: string | null
}

export interface MatrixResult extends ResultFacts {
  readonly kind: 'matrix'
  readonly schemaVersion: typeof MATRIX_SCHEMA_VERSION
  readonly name: string
  readonly workload: Workload
  readonly placement: string
  /** Cells that were to be measured. */
  readonly planned: number
  readonly cells: readonly Cell[]
  /** Combinations that mean nothing, and why. */
  readonly skipped: readonly { readonly settings: CellSettings; readonly why: string }[]
}
