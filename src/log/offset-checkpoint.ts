/** One offset per partition in a checkpoint file: recovery points, log start offsets. Lines: `topic partition offset`. */
import type { Clock, Disk } from '../env/index.ts'
import { readCheckpoint, writeCheckpointText } from './checkpoint-file.ts'

/** Lines made in one turn of the event loop. */
const ENTRIES_A_TURN = 500

/** By `topic-partition`. */
export type PartitionOffsets = ReadonlyMap<string, number>

export interface PartitionOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** Undefined when the file is absent or damaged. */
export async function readOffsetCheckpoint(disk: Disk, path: string): Promise<Map<string, number> | undefined> {
  const offsets = new Map<string, number>()
  const lines = await readCheckpoint(disk, path, 3)
  if (lines === undefined) return undefined
  for (const [topic, partition, offset] of lines) {
    const value = Number(offset)
    if (!Number.isSafeInteger(value) || value < 0) return undefined
    offsets.set(`${topic}-${partition}`, value)
  }
  return offsets
}

/** In slices, so that thousands of partitions do not hold up the event loop: an entry may be newer than one before it. */
export async function writeOffsetCheckpoint(
  env: { readonly disk: Disk; readonly clock: Pick<Clock, 'soon'> },
  path: string,
  offsets: Iterable<PartitionOffset>,
): Promise<void> {
  const pieces: string[] = []
  let piece: string[] = []
  let count = 0
  for (const { topic, partition, offset } of offsets) {
    piece.push(`${topic} ${partition} ${offset}\n`)
    if (++count % ENTRIES_A_TURN !== 0) continue
    pieces.push(piece.join(''))
    piece = []
    await new Promise<void>((resolve) => env.clock.soon(resolve))
  }
  pieces.push(piece.join(''))
  await writeCheckpointText(env.disk, path, count, pieces.join(''))
}
