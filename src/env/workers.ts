/**
 * CPU work off the event loop. A job is an exported function of a module, `(input, env) => output`; input and output are
 * what structured clone takes, shared buffers go by reference, the buffers of `transfer` are moved.
 *
 * A job is bound to the disk of the Env that its `Workers` came with: the real ones run in worker threads on the real
 * disk, the twin (in-thread-workers.ts) calls the same function on this thread with the disk it was given.
 */
import type { Clock } from './clock.ts'
import type { Disk } from './disk.ts'

/** Where a job's function is, see {@link jobAt}. */
export interface Job {
  readonly module: URL
  readonly name: string
}

/** The job `name` of the module `path` (without extension) beside the caller: `jobAt(import.meta.url, './some-job', 'run')`. */
export function jobAt(caller: string, path: string, name: string): Job {
  return { module: new URL(`${path}${caller.endsWith('.ts') ? '.ts' : '.js'}`, caller), name }
}

/** What a job is given of the world. */
export interface JobEnv {
  readonly disk: Disk
  readonly clock: Clock
  /** The caller gave up: a long job looks at this now and then, and stops by throwing `aborted()`. */
  isAborted(): boolean
}

export type JobFunction<I, O> = (input: I, env: JobEnv) => O | Promise<O>

const movable = new WeakMap<object, readonly ArrayBuffer[]>()

/**
 * For a job: its output, in which the buffers of `views` hold nothing else and are used by nobody else. They are moved to
 * the caller instead of cloned.
 */
export function moved<T extends object>(output: T, ...views: readonly Uint8Array[]): T {
  const buffers = views.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer)
  movable.set(output, buffers)
  return output
}

/** For those that run jobs: the buffers that `moved` was told of. */
export function movedBuffers(output: unknown): readonly ArrayBuffer[] {
  return (typeof output === 'object' && output !== null ? movable.get(output) : undefined) ?? []
}

export interface JobOptions {
  readonly signal?: AbortSignal | undefined
  /** Buffers of the input that move to the job and are empty here afterwards. */
  readonly transfer?: readonly ArrayBuffer[] | undefined
}

export interface Workers {
  /**
   * Runs a job; settles only when nothing of it runs any more, so that its files and shared buffers are quiet. Errors:
   * what the job threw (a PagelogError keeps its code and fields); PAGELOG_ABORTED with the signal's reason as cause;
   * PAGELOG_BUFFER_FULL, retriable (too many jobs wait); PAGELOG_WORKER (its thread died, its module does not load);
   * PAGELOG_CLOSED.
   */
  run<I, O>(job: Job, input: I, options?: JobOptions): Promise<O>
  /** Waits for the jobs that run; those that wait are refused. Idempotent. */
  close(): Promise<void>
}
