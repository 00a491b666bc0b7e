/**
 * Workers without a thread: a job runs on this one, with the disk and the clock given. For tests, for simulation, and
 * for programs without worker threads: jobs wait for their reads, so that others get their turns. As with real
 * workers, inputs and outputs are clones and at most `jobsMax` jobs run or wait.
 */
import { PagelogError } from '../base/index.ts'
import type { Job, JobEnv, JobFunction, JobOptions, Workers } from './workers.ts'

const JOBS_MAX = 64

class InThreadWorkers implements Workers {
  readonly #env: Pick<JobEnv, 'disk' | 'clock'>
  readonly #running = new Set<Promise<unknown>>()
  #isClosed = false

  constructor(env: Pick<JobEnv, 'disk' | 'clock'>) {
    this.#env = env
  }

  async run<I, O>(job: Job, input: I, options: JobOptions = {}): Promise<O> {
    if (this.#isClosed) throw new PagelogError('PAGELOG_CLOSED', 'the workers are closed')
    if (this.#running.size >= JOBS_MAX) {
      throw new PagelogError('PAGELOG_BUFFER_FULL', `${JOBS_MAX} jobs run or wait already`, { retriable: true })
    }
    const running = this.#run<I, O>(job, input, options)
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#running)
  }

  async #run<I, O>(job: Job, input: I, { signal, transfer = [] }: JobOptions): Promise<O> {
    if (signal?.aborted) throw abortedBy(signal)
    const moved = structuredClone(input, { transfer: [...transfer] })
    const work = await functionOf<I, O>(job)
    try {
      const output = await work(moved, { ...this.#env, isAborted: () => signal?.aborted === true })
      if (signal?.aborted) throw abortedBy(signal)
      return output
    } catch (error) {
      throw signal?.aborted ? abortedBy(signal) : error
    }
  }
}

/** Workers that run on this thread. */
export function inThreadWorkers(env: Pick<JobEnv, 'disk' | 'clock'>): Workers {
  return new InThreadWorkers(env)
}

/** The job's function. Error: PAGELOG_WORKER. */
export async function functionOf<I, O>(job: { module: URL; name: string }): Promise<JobFunction<I, O>> {
  let found: unknown
  let cause: unknown
  try {
    found = ((await import(job.module.href)) as Record<string, unknown>)[job.name]
  } catch (error) {
    cause = error
  }
  if (typeof found === 'function') return found as JobFunction<I, O>
  throw new PagelogError('PAGELOG_WORKER', `there is no job ${job.name} in ${job.module.href}`, { cause })
}

export function abortedBy(signal: AbortSignal): PagelogError {
  return new PagelogError('PAGELOG_ABORTED', 'the job was aborted', { cause: signal.reason })
}
