/**
 * A process of its own that does one thing after another for a goal: fresh heap, the thread pool that the broker's
 * launcher would set. Several stations side by side take turns in small slices, so that each meets the same machine.
 */

import { POOL_THREADS } from '../../micro/subject-process.ts'
import { Child } from '../../process/children.ts'
import { builtFile } from '../../process/package-root.ts'
import type { Commands } from './commands.ts'

export interface StationCall {
  readonly id: number
  readonly command: keyof Commands
  readonly input: unknown
}

export interface StationAnswer {
  readonly id: number
  readonly output?: unknown
  readonly error?: string
}

type Input<Name extends keyof Commands> = Parameters<Commands[Name]>[0]
type Output<Name extends keyof Commands> = Awaited<ReturnType<Commands[Name]>>

export class Station {
  readonly #child: Child
  /** It ended, or the goal was interrupted. */
  readonly #failure: Promise<never>
  readonly #waiting = new Map<number, (answer: StationAnswer) => void>()
  readonly #signal: AbortSignal
  #calls = 0

  constructor(name: string, signal: AbortSignal, options: { readonly flags?: readonly string[] } = {}) {
    this.#signal = signal
    this.#child = new Child(name, {
      command: process.execPath,
      args: ['--expose-gc', ...(options.flags ?? []), builtFile('bench/goals/storage/station-main.ts')],
      env: { UV_THREADPOOL_SIZE: POOL_THREADS },
      ipc: true,
    })
    const aborted = new Promise<never>((_, reject) => {
      const onAbort = () => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      void this.#child.exited.then(() => signal.removeEventListener('abort', onAbort))
    })
    this.#failure = Promise.race([this.#child.failure(), aborted])
    this.#failure.catch(() => {})
    this.#child.process.on('message', (answer: StationAnswer) => {
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
    })
  }

  get pid(): number {
    return this.#child.pid
  }

  async call<Name extends keyof Commands>(command: Name, input: Input<Name>): Promise<Output<Name>> {
    this.#signal.throwIfAborted()
    const id = this.#calls++
    const answered = new Promise<StationAnswer>((resolve) => this.#waiting.set(id, resolve))
    this.#child.process.send({ id, command, input } satisfies StationCall)
    const answer = await Promise.race([answered, this.#failure])
    if (answer.error !== undefined) throw new Error(`${command}: ${answer.error}`)
    return answer.output as Output<Name>
  }

  async end(): Promise<void> {
    await this.#child.end(5_000)
  }

  /** As a crash: nothing of the process runs any more. */
  async kill(): Promise<void> {
    this.#child.killNow()
    await this.#child.exited
  }
}

/** A station for as long as `use` runs. */
export async function withStation<T>(
  name: string,
  signal: AbortSignal,
  use: (station: Station) => Promise<T>,
): Promise<T> {
  const station = new Station(name, signal)
  try {
    return await use(station)
  } finally {
    await station.end()
  }
}
