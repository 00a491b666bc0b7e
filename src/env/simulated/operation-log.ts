/** What was asked of a lying disk, in the order in which it happened: tests assert on it, and a seed is known by it. */

export type DiskOperation =
  | 'open'
  | 'create'
  | 'read'
  | 'write'
  | 'dataSync'
  | 'truncate'
  | 'allocate'
  | 'rename'
  | 'unlink'
  | 'list'
  | 'status'
  | 'makeDirectory'
  | 'removeDirectory'
  | 'syncDirectory'
  | 'freeSpace'
  | 'lock'

export interface LoggedOperation {
  readonly operation: DiskOperation
  readonly path: string
  /** Of a rename. */
  readonly to?: string
  readonly position?: number
  readonly length?: number
  /** Number of the step, from 1 on: operations that change something, which `stopAt` counts. */
  readonly step?: number
  /** Errno of one that failed. */
  readonly error?: string
}

/** Operations that change what is on the disk, or make it durable. */
const STEPS: ReadonlySet<DiskOperation> = new Set<DiskOperation>([
  'create',
  'write',
  'dataSync',
  'truncate',
  'allocate',
  'rename',
  'unlink',
  'makeDirectory',
  'removeDirectory',
  'syncDirectory',
])

/** Later ones are counted, but not kept. */
const KEPT_MAX = 1_000_000

export class OperationLog {
  readonly #entries: LoggedOperation[] = []

  get entries(): readonly LoggedOperation[] {
    return this.#entries
  }

  /** Those of one kind, or of several. */
  of(...operations: readonly DiskOperation[]): LoggedOperation[] {
    return this.#entries.filter((entry) => operations.includes(entry.operation))
  }

  add(entry: LoggedOperation): void {
    if (this.#entries.length < KEPT_MAX) this.#entries.push(entry)
  }

  /** One line an operation. */
  toString(): string {
    return this.#entries.map(lineOf).join('\n')
  }
}

export function isStep(operation: DiskOperation): boolean {
  return STEPS.has(operation)
}

function lineOf({ step, operation, path, to, position, length, error }: LoggedOperation): string {
  const fields = [step ?? '-', operation, path]
  if (to !== undefined) fields.push(`-> ${to}`)
  if (position !== undefined) fields.push(`at ${position}`)
  if (length !== undefined) fields.push(`${length} bytes`)
  if (error !== undefined) fields.push(error)
  return fields.join(' ')
}
