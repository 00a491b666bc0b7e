/**
 * The offset checkpoint files of a log directory: recovery points (all partitions, every minute and at close), log start
 * offsets, and where compaction goes on. Each says for every partition what its log says of itself; a partition that
 * could not be opened keeps what is known of it.
 */
import type { Disk, Env } from '../env/index.ts'
import {
  CLEANER_OFFSET_FILE,
  LOG_START_OFFSET_FILE,
  type PartitionName,
  parsePartitionName,
  RECOVERY_POINT_FILE,
} from './file-names.ts'
import type { OffsetPersistence } from './log-state.ts'
import { type PartitionOffset, readOffsetCheckpoint } from './offset-checkpoint.ts'
import { OffsetCheckpointWriter } from './offset-checkpoint-writer.ts'

export interface CheckpointedOffsets {
  readonly recoveryPoint: number
  readonly logStartOffset: number
  readonly firstDirtyOffset: number
}

/** What a partition is opened with. `firstDirtyOffset` is undefined where no file knows the partition. */
export type OffsetsAtOpen = Omit<CheckpointedOffsets, 'firstDirtyOffset'> & {
  readonly firstDirtyOffset: number | undefined
}

/** Whose offsets are written. */
export interface CheckpointSource {
  readonly open: ReadonlyMap<string, PartitionName & { readonly log: CheckpointedOffsets }>
  /** By name: partitions that could not be opened. */
  readonly damaged: ReadonlyMap<string, unknown>
}

type Kind = keyof CheckpointedOffsets
const KINDS: readonly Kind[] = ['recoveryPoint', 'logStartOffset', 'firstDirtyOffset']

/** What the last process left in the files; undefined where one is absent or damaged. */
export type KnownOffsets = Readonly<Record<Kind, ReadonlyMap<string, number> | undefined>>

export class DirectoryCheckpoints {
  /** Of partitions that are damaged, or were not opened yet. */
  readonly #known: Readonly<Record<Kind, Map<string, number>>>
  /** There was a file of recovery points: it names every log that was ever compacted. */
  readonly #hasNames: boolean
  readonly #source: CheckpointSource
  readonly #files: Record<Kind, OffsetCheckpointWriter>
  /** The files still name a partition that was removed. */
  #isStale = false

  constructor(env: Pick<Env, 'disk' | 'clock'>, path: string, known: KnownOffsets, source: CheckpointSource) {
    const { recoveryPoint, logStartOffset, firstDirtyOffset } = known
    this.#known = {
      recoveryPoint: new Map(recoveryPoint),
      logStartOffset: new Map(logStartOffset),
      firstDirtyOffset: new Map(firstDirtyOffset),
    }
    this.#hasNames = recoveryPoint !== undefined
    this.#source = source
    const file = (name: string, kind: Kind, writesZero: boolean): OffsetCheckpointWriter =>
      new OffsetCheckpointWriter(env, `${path}/${name}`, writesZero, () => this.#offsetsOf(kind))
    this.#files = {
      recoveryPoint: file(RECOVERY_POINT_FILE, 'recoveryPoint', true),
      logStartOffset: file(LOG_START_OFFSET_FILE, 'logStartOffset', false),
      firstDirtyOffset: file(CLEANER_OFFSET_FILE, 'firstDirtyOffset', false),
    }
  }

  static async read(disk: Disk, path: string): Promise<KnownOffsets> {
    return {
      recoveryPoint: await readOffsetCheckpoint(disk, `${path}/${RECOVERY_POINT_FILE}`),
      logStartOffset: await readOffsetCheckpoint(disk, `${path}/${LOG_START_OFFSET_FILE}`),
      firstDirtyOffset: await readOffsetCheckpoint(disk, `${path}/${CLEANER_OFFSET_FILE}`),
    }
  }

  /**
   * Of the last process; 0 where nothing is known. A partition without a first dirty offset was never compacted, since its
   * recovery point is written before a compaction changes anything; only where there was no file of recovery points is that
   * unknown. A new directory has one before its first partition.
   */
  knownOf(name: string): OffsetsAtOpen {
    const { recoveryPoint, firstDirtyOffset } = this.#known
    return {
      recoveryPoint: recoveryPoint.get(name) ?? 0,
      logStartOffset: this.#known.logStartOffset.get(name) ?? 0,
      firstDirtyOffset: firstDirtyOffset.get(name) ?? (this.#hasNames || recoveryPoint.has(name) ? 0 : undefined),
    }
  }

  /** What is known of a partition that is about to be opened again, should that fail. */
  know(name: string, offsets: OffsetsAtOpen): void {
    for (const kind of KINDS) {
      const offset = offsets[kind]
      if (offset === undefined) this.#known[kind].delete(name)
      else this.#known[kind].set(name, offset)
    }
  }

  /** A partition was removed: none that gets its name may be measured by what was known, or is still written, of it. */
  forget(name: string): void {
    for (const kind of KINDS) this.#known[kind].delete(name)
    this.#isStale = true
  }

  async writeIfStale(): Promise<void> {
    if (this.#isStale) await this.write()
  }

  /** Recovery points and log start offsets; the others change only with a compaction, which writes them itself. */
  async write(): Promise<void> {
    const wasStale = this.#isStale
    this.#isStale = false
    try {
      await this.#files.recoveryPoint.write()
      await this.#files.logStartOffset.write()
      if (wasStale) await this.#files.firstDirtyOffset.write()
    } catch (error) {
      this.#isStale ||= wasStale
      throw error
    }
  }

  /** After all partitions were opened: what is not there any more goes from the files before anything is appended. */
  async settle(): Promise<void> {
    const { open, damaged } = this.#source
    const isThere = (name: string): boolean => open.has(name) || damaged.has(name)
    const isRight = this.#hasNames && [...this.#known.recoveryPoint.keys()].every(isThere)
    if (!isRight) await this.write()
    for (const [name, offset] of this.#known.firstDirtyOffset) {
      // Also of a log that was cut in recovery: what is appended there is not clean.
      if (damaged.has(name) || open.get(name)?.log.firstDirtyOffset === offset) continue
      return await this.#files.firstDirtyOffset.write()
    }
  }

  /** Resolves when none of the files is being written. */
  async stop(): Promise<void> {
    for (const file of Object.values(this.#files)) await file.settle()
  }

  /** What a log wants on disk before it removes segments, and after a compaction. */
  persistenceOf(name: string): OffsetPersistence {
    return {
      logStart: (offset, take) => this.#files.logStartOffset.writeAhead(name, offset, take),
      recoveryPoint: () => this.#files.recoveryPoint.write(),
      firstDirty: () => this.#files.firstDirtyOffset.write(),
    }
  }

  *#offsetsOf(kind: Kind): Iterable<PartitionOffset> {
    for (const { topic, partition, log } of this.#source.open.values()) yield { topic, partition, offset: log[kind] }
    for (const name of this.#source.damaged.keys()) {
      const offset = this.#known[kind].get(name)
      if (offset !== undefined) yield { ...parsePartitionName(name)!, offset }
    }
  }
}
