/** One offset per partition in a checkpoint file: recovery points, log start offsets. Lines: `topic partition offset`. */
import type { Disk } from '../env/index.ts'
import { readCheckpoint, writeCheckpoint } from './checkpoint-file.ts'

/** By `topic-partition`; empty when the file is absent or damaged. */
export type PartitionOffsets = ReadonlyMap<string, number>

export interface PartitionOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

export async function readOffsetCheckpoint(disk: Disk, path: string): Promise<PartitionOffsets> {
  const offsets = new Map<string, number>()
  for (const [topic, partition, offset] of (await readCheckpoint(disk, path, 3)) ?? []) {
    const value = Number(offset)
    if (!Number.isSafeInteger(value) || value < 0) return new Map()
    offsets.set(`${topic}-${partition}`, value)
  }
  return offsets
}

export async function writeOffsetCheckpoint(
  disk: Disk,
  path: string,
  offsets: readonly PartitionOffset[],
): Promise<void> {
  const lines = offsets.map((entry) => `${entry.topic} ${entry.partition} ${entry.offset}`)
  await writeCheckpoint(disk, path, lines)
}
