/**
 * One subject of one benchmark in a process of its own, with the thread pool that `pagelog broker` would have. Started
 * with the JSON of a `SubjectRun`, it prints the outcome as a line of JSON.
 */
import { runToEnd } from '../process/children.ts'
import { builtFile } from '../process/package-root.ts'
import type { MicroOutcome } from './micro.ts'
import type { Scale } from './scale.ts'

export interface SubjectRun {
  readonly micro: string
  readonly subject: string
  readonly scale: Scale
  readonly directory: string
  readonly peers: string | null
}

/** As bin/pagelog.cjs sets it for the broker: for every subject the same. */
export const POOL_THREADS = '8'

export async function runSubject(run: SubjectRun, signal?: AbortSignal): Promise<MicroOutcome> {
  const options = {
    command: process.execPath,
    args: [builtFile('bench/micro/main.ts'), JSON.stringify(run)],
    env: { UV_THREADPOOL_SIZE: POOL_THREADS },
  }
  const output = await runToEnd(`${run.micro} · ${run.subject}`, options, signal)
  return JSON.parse(output.slice(output.lastIndexOf('\n') + 1)) as MicroOutcome
}
