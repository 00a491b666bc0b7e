/**
 * The real workers: a piscina pool of few threads, loaded and started with the first job. Threads without a job end
 * after a while and never keep the process alive. A thread that dies fails its job alone; the next job gets a new one.
 *
 * A running job is never killed, since its writes would still be under way: an abort raises a flag that the job looks
 * at. Jobs are compiled modules: those named in sources (a test runner's) are looked for in dist/.
 */
import { access } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Piscina } from 'piscina'
import { PagelogError } from '../../base/index.ts'
import { packageRoot } from '../../native/index.ts'
import { abortedBy } from '../in-thread-workers.ts'
import { type Job, type JobOptions, jobAt, type Workers } from '../workers.ts'
import { errorOfFailure, type JobAnswer, type JobMessage } from './worker-entry.ts'

/** One for a long job (compaction) and at least one for short ones (codecs). */
const THREADS_MIN = 2
const THREADS_MAX = 8
/** Jobs that wait for a thread; more are refused. */
const QUEUE_MAX = 256
const IDLE_MS = 10_000

export interface NodeWorkersOptions {
  /** By default as many as there are processors, 2 to 8. */
  readonly threadsMax?: number
  readonly queueMax?: number
  /** The module that threads run, by default ours. */
  readonly entry?: string
}

class NodeWorkers implements Workers {
  readonly #threadsMax: number
  readonly #queueMax: number
  readonly #entry: string
  readonly #running = new Set<Promise<unknown>>()
  /** Jobs that wait for a thread. The pool's own queue would forget them when its last thread dies. */
  readonly #waiting: (() => void)[] = []
  #busyThreads = 0
  #pool: Promise<ThreadPool> | undefined
  #isClosed = false

  constructor(options: NodeWorkersOptions) {
    this.#threadsMax = options.threadsMax ?? Math.max(THREADS_MIN, Math.min(THREADS_MAX, availableParallelism()))
    this.#queueMax = options.queueMax ?? QUEUE_MAX
    this.#entry = options.entry ?? fileURLToPath(builtModule(jobAt(import.meta.url, './worker-entry', 'runJob').module))
  }

  async run<I, O>(job: Job, input: I, options: JobOptions = {}): Promise<O> {
    if (this.#isClosed) throw new PagelogError('PAGELOG_CLOSED', 'the workers are closed')
    if (options.signal?.aborted) throw abortedBy(options.signal)
    const jobsMax = this.#threadsMax + this.#queueMax
    if (this.#running.size >= jobsMax) {
      throw new PagelogError('PAGELOG_BUFFER_FULL', `${jobsMax} jobs run or wait already`, { retriable: true })
    }
    const running = this.#run(job, input, options)
    this.#running.add(running)
    try {
      return (await running) as O
    } finally {
      this.#running.delete(running)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#running)
    const pool = this.#pool
    this.#pool = undefined
    await (await pool?.catch(() => undefined))?.destroy()
  }

  async #run(job: Job, input: unknown, options: JobOptions): Promise<unknown> {
    if (this.#busyThreads < this.#threadsMax) this.#busyThreads++
    else await new Promise<void>((go) => this.#waiting.push(go))
    try {
      if (this.#isClosed) throw new PagelogError('PAGELOG_CLOSED', 'the workers are closed')
      return await this.#runNow(job, input, options)
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#busyThreads--
      else next()
    }
  }

  async #runNow(job: Job, input: unknown, { signal, transfer = [] }: JobOptions): Promise<unknown> {
    const pool = await this.#startedPool()
    if (signal?.aborted) throw abortedBy(signal)
    const abortFlag = signal === undefined ? undefined : new SharedArrayBuffer(4)
    const raise = (): void => {
      if (abortFlag !== undefined) Atomics.store(new Int32Array(abortFlag), 0, 1)
    }
    signal?.addEventListener('abort', raise, { once: true })
    try {
      const message: JobMessage = { module: builtModule(job.module).href, name: job.name, input, abortFlag }
      const answer = await pool.run(message, transfer)
      if (signal?.aborted) throw abortedBy(signal)
      if ('failure' in answer) throw errorOfFailure(answer.failure)
      return answer.output
    } finally {
      signal?.removeEventListener('abort', raise)
    }
  }

  /** A new pool with the first job, and after one that failed as a whole. */
  #startedPool(): Promise<ThreadPool> {
    if (this.#pool !== undefined) return this.#pool
    const forget = (): void => {
      if (this.#pool === pool) this.#pool = undefined
    }
    const pool = ThreadPool.start(this.#entry, this.#threadsMax, forget)
    pool.catch(forget)
    this.#pool = pool
    return pool
  }
}

/** Workers in threads, which use the real disk and the real clock. */
export function nodeWorkers(options: NodeWorkersOptions = {}): Workers {
  return new NodeWorkers(options)
}

let shared: Workers | undefined

/** Those of this process: every Env has the same few threads. */
export function sharedWorkers(): Workers {
  shared ??= nodeWorkers()
  return shared
}

/** Piscina's pool, given up as a whole when threads cannot even start: by itself it would let jobs wait for ever. */
class ThreadPool {
  readonly #pool: Piscina
  #failure: unknown

  private constructor(pool: Piscina, onFailure: () => void) {
    this.#pool = pool
    pool.on('error', (error: unknown) => {
      // Of a thread that died without a job: while starting, or between two jobs, when nobody misses it.
      if (pool.threads.length > 0 || this.#failure !== undefined) return
      this.#failure = error
      onFailure()
      void pool.destroy()
    })
  }

  /** Error: PAGELOG_WORKER when there is nothing that threads could run. */
  static async start(filename: string, threadsMax: number, onFailure: () => void): Promise<ThreadPool> {
    await access(filename).catch((cause: unknown) => {
      const text = `worker threads need ${filename}, which is not there: build first (npm run build)`
      throw new PagelogError('PAGELOG_WORKER', text, { cause, path: filename })
    })
    const { Piscina: Pool } = await import('piscina')
    const pool = new Pool({
      filename,
      name: 'runJob',
      minThreads: 0,
      maxThreads: threadsMax,
      idleTimeout: IDLE_MS,
      atomics: 'disabled', // otherwise a thread without a job waits without running its own event loop
      recordTiming: false,
    })
    return new ThreadPool(pool, onFailure)
  }

  async run(message: JobMessage, transfer: readonly ArrayBuffer[]): Promise<JobAnswer> {
    try {
      return (await this.#pool.run(message, { transferList: [...transfer] })) as JobAnswer
    } catch (error) {
      const cause = this.#failure ?? error
      const text = cause instanceof Error ? cause.message : String(cause)
      throw new PagelogError('PAGELOG_WORKER', `job ${message.name} failed with its thread: ${text}`, { cause })
    }
  }

  destroy(): Promise<void> {
    return this.#pool.destroy()
  }
}

/** The module as `node` can load it: of one below src/ or bench/, what the build made of it. */
export function builtModule(module: URL): URL {
  const path = fileURLToPath(module)
  if (!path.endsWith('.ts')) return module
  const root = packageRoot(dirname(path))
  const inside = relative(root, path)
  const isSource = /^(?:src|bench)$/.test(inside.split(sep)[0]!)
  return isSource ? pathToFileURL(join(root, 'dist', inside.replace(/\.ts$/, '.js'))) : module
}
