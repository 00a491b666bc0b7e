/**
 * What a matrix has measured so far, in a file beside its results: a line for the workload, then one for each run, written
 * as it ends. A run that finds the file of the same workload goes on behind it; a line that was cut off is measured again.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LoadRun } from '../load/result.ts'
import type { Workload } from './workload.ts'

const FILE = 'matrix.partial.jsonl'

interface Entry {
  readonly id: string
  readonly run: number
  readonly result: LoadRun
}

export class MatrixState {
  readonly startedAt: string
  readonly #path: string
  readonly #done = new Map<string, LoadRun>()

  /** `key`: whatever must be the same for runs to belong together. */
  constructor(folder: string, workload: Workload, placement: string) {
    mkdirSync(folder, { recursive: true })
    this.#path = join(folder, FILE)
    const key = JSON.stringify({ workload, placement })
    const found = readState(this.#path, key)
    this.startedAt = found?.startedAt ?? new Date().toISOString()
    for (const { id, run, result } of found?.entries ?? []) this.#done.set(`${id} ${run}`, result)
    // Written anew: what follows a cut line must not be appended to it.
    const lines = [
      JSON.stringify({ key, startedAt: this.startedAt }),
      ...(found?.entries ?? []).map((one) => JSON.stringify(one)),
    ]
    writeFileSync(this.#path, `${lines.join('\n')}\n`)
  }

  /** Runs that were there when it was opened, or are by now. */
  get count(): number {
    return this.#done.size
  }

  get(id: string, run: number): LoadRun | undefined {
    return this.#done.get(`${id} ${run}`)
  }

  add(id: string, run: number, result: LoadRun): void {
    this.#done.set(`${id} ${run}`, result)
    appendFileSync(this.#path, `${JSON.stringify({ id, run, result } satisfies Entry)}\n`)
  }

  /** All is done: the next one begins anew. */
  remove(): void {
    rmSync(this.#path, { force: true })
  }
}

function readState(path: string, key: string): { startedAt: string; entries: Entry[] } | undefined {
  if (!existsSync(path)) return undefined
  const [head = '', ...lines] = readFileSync(path, 'utf8').split('\n')
  try {
    const header = JSON.parse(head) as { key: string; startedAt: string }
    if (header.key !== key) return undefined
    const entries: Entry[] = []
    for (const line of lines) {
      const entry = entryOf(line)
      if (entry === undefined) break
      entries.push(entry)
    }
    return { startedAt: header.startedAt, entries }
  } catch {
    return undefined
  }
}

function entryOf(line: string): Entry | undefined {
  try {
    return line === '' ? undefined : (JSON.parse(line) as Entry)
  } catch {
    return undefined
  }
}
