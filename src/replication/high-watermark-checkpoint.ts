/**
 * `replication-offset-checkpoint`: the high watermarks of replicated partitions, written now and then and at close. A
 * broker that starts knows by it what was committed when it was there last; nothing is ever cut by it.
 *
 * The file knows partitions by name, as Kafka's. So before a log begins that has the name of one that the file speaks of, the
 * file is written without that (`forget`): the new topic must not take the old one's offsets for its own (reliability R10).
 */
import { hasCode, type Logger } from '../base/index.ts'
import type { Env, Timer } from '../env/index.ts'
import {
  OffsetCheckpointWriter,
  type PartitionOffset,
  type PartitionOffsets,
  readOffsetCheckpoint,
} from '../log/index.ts'
import type { Partition } from './partition.ts'

const FILE = 'replication-offset-checkpoint'

export interface CheckpointOptions {
  readonly env: Pick<Env, 'disk' | 'clock'>
  /** The folder of the logs. */
  readonly path: string
  readonly intervalMs: number
  readonly logger: Logger
  partitions(): Iterable<Partition>
}

export class HighWatermarkCheckpoint {
  readonly #options: CheckpointOptions
  readonly #writer: OffsetCheckpointWriter
  readonly #timer: Timer
  /** Of the last process, by `topic-partition`. */
  readonly #known: PartitionOffsets
  /** Names of which the file may still say what held for an earlier topic, with how many had been removed then. */
  readonly #stale: Map<string, number>
  #removals = 0
  /** Sum of what the file says, which only a high watermark that moved changes. */
  #written = -1

  private constructor(options: CheckpointOptions, known: PartitionOffsets) {
    const { env, path, intervalMs } = options
    this.#options = options
    this.#known = known
    this.#stale = new Map([...known.keys()].map((name) => [name, 0]))
    this.#writer = new OffsetCheckpointWriter(env, `${path}/${FILE}`, false, () => this.#offsets())
    this.#timer = env.clock.every(intervalMs, () => void this.write())
  }

  static async open(options: CheckpointOptions): Promise<HighWatermarkCheckpoint> {
    const known = await readOffsetCheckpoint(options.env.disk, `${options.path}/${FILE}`)
    return new HighWatermarkCheckpoint(options, known ?? new Map())
  }

  /** Its log is gone, or about to. */
  removed({ topic, index }: Pick<Partition, 'topic' | 'index'>): void {
    this.#stale.set(`${topic}-${index}`, ++this.#removals)
  }

  /** Before a new log of that name begins: resolves when the file says nothing of it. Rejects as the disk does. */
  async forget(topic: string, index: number): Promise<void> {
    if (this.#stale.has(`${topic}-${index}`)) await this.#write()
  }

  /**
   * The high watermark of a partition went back: resolves when the file says no more than that. Rejects as the disk does; it
   * is offline then, unless it is only full.
   */
  async lowered({ log }: Pick<Partition, 'log'>): Promise<void> {
    try {
      await this.#write()
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_DISK_FULL')) log.fail(error as Error)
      throw error
    }
  }

  /** 0 where nothing is known. */
  knownOf(topic: string, index: number): number {
    return this.#known.get(`${topic}-${index}`) ?? 0
  }

  /** Nothing is written when nothing has moved. Never rejects: an older file only means that less is known. */
  async write(): Promise<void> {
    let sum = 0
    let any: Partition | undefined
    for (const partition of this.#replicated()) {
      any ??= partition
      sum += partition.highWatermark + 1
    }
    if (any === undefined || sum === this.#written) return
    try {
      await this.#write()
      this.#written = sum
    } catch (error) {
      this.#options.logger.warn({ error }, 'the high watermarks could not be written')
      // A write that failed for another reason takes the directory offline (reliability L5), by whichever of its logs.
      if (!hasCode(error, 'PAGELOG_DISK_FULL')) any.log.fail(error as Error)
    }
  }

  async #write(): Promise<void> {
    // The file will say nothing of these, or what holds for partitions that there are now.
    const stale = [...this.#stale]
    this.#written = -1
    await this.#writer.write()
    // One that was removed while it was written may be in it.
    for (const [name, removal] of stale) if (this.#stale.get(name) === removal) this.#stale.delete(name)
  }

  async close(): Promise<void> {
    this.#timer.cancel()
    await this.write()
    await this.#writer.settle()
  }

  *#replicated(): Iterable<Partition> {
    for (const partition of this.#options.partitions()) if (partition.isReplicated) yield partition
  }

  *#offsets(): Iterable<PartitionOffset> {
    for (const { topic, index, highWatermark } of this.#replicated()) {
      yield { topic, partition: index, offset: highWatermark }
    }
  }
}
