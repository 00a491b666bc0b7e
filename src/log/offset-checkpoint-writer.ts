/**
 * Keeps one of a directory's offset checkpoint files up to date: one write at a time. Whoever asks in the turn of the event
 * loop in which one is begun shares it, whoever asks while it runs shares the next one. One that failed, other than for want of space, was the last (reliability L5).
 */
import { hasCode } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import { type PartitionOffset, writeOffsetCheckpoint } from './offset-checkpoint.ts'

export class OffsetCheckpointWriter {
  readonly #env: Pick<Env, 'disk' | 'clock'>
  readonly #path: string
  readonly #writesZero: boolean
  /** What the file should say now. */
  readonly #entries: () => Iterable<PartitionOffset>
  /** Offsets that a partition wants on disk before it takes them itself. */
  readonly #ahead = new Map<string, number>()
  #running: Promise<void> | undefined
  /** The one that runs has not looked yet at what it is to say. */
  #collecting: Promise<void> | undefined
  #next: Promise<void> | undefined
  #failure: unknown

  /** `writesZero`: also the partitions whose offset is 0, which is what absence means as well. */
  constructor(
    env: Pick<Env, 'disk' | 'clock'>,
    path: string,
    writesZero: boolean,
    entries: () => Iterable<PartitionOffset>,
  ) {
    this.#env = env
    this.#path = path
    this.#writesZero = writesZero
    this.#entries = entries
  }

  /** Resolves when the file on disk says what is true now. */
  write(): Promise<void> {
    if (this.#next !== undefined) return this.#next
    if (this.#running === undefined) return this.#start()
    if (this.#collecting !== undefined) return this.#running
    const start = (): Promise<void> => this.#start()
    this.#next = this.#running.then(start, start)
    return this.#next
  }

  /**
   * The same with `offset` for this partition, which still stands elsewhere; `take` makes it stand there once the file
   * says so.
   */
  async writeAhead(name: string, offset: number, take: () => void): Promise<void> {
    this.#ahead.set(name, offset)
    try {
      await this.write()
      take()
    } finally {
      this.#ahead.delete(name)
    }
  }

  /** Resolves when no write is under way, however it ended. */
  async settle(): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => {})
  }

  #start(): Promise<void> {
    this.#next = undefined
    const running = this.#write().finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }

  async #write(): Promise<void> {
    this.#collecting = new Promise((resolve) => this.#env.clock.soon(resolve))
    await this.#collecting
    this.#collecting = undefined
    if (this.#failure !== undefined) throw this.#failure
    // Whoever asks from now on waits for the next one.
    const ahead = new Map(this.#ahead)
    try {
      await writeOffsetCheckpoint(this.#env, this.#path, this.#lines(ahead))
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_DISK_FULL')) this.#failure = error
      throw error
    }
  }

  *#lines(ahead: ReadonlyMap<string, number>): Iterable<PartitionOffset> {
    for (const entry of this.#entries()) {
      const wanted = ahead.size === 0 ? undefined : ahead.get(`${entry.topic}-${entry.partition}`)
      const offset = wanted ?? entry.offset
      if (offset > 0 || this.#writesZero) yield offset === entry.offset ? entry : { ...entry, offset }
    }
  }
}
