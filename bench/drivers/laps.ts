/** What is stored, read again and again so that a measured phase is long enough: each partition begins anew when it has been read. */
import { Admin } from '../../src/client/index.ts'

export interface Stored {
  readonly bootstrap: string
  readonly topic: string
  readonly partitions: number
}

/** By partition. */
export async function endOffsets({ bootstrap, topic, partitions }: Stored): Promise<number[]> {
  const admin = new Admin({ bootstrap })
  try {
    const ends = new Array<number>(partitions).fill(0)
    const asked = ends.map((_, partition) => ({ topic, partition, at: 'end' as const }))
    for (const { partition, offset } of await admin.listOffsets(asked)) ends[partition] = offset
    return ends
  } finally {
    await admin.close()
  }
}

/**
 * Where a partition is read from at first. If all came to their ends together, the request for more that is under way by then would
 * find nothing in any of them, and be answered only after fetch.max.wait.ms: half a second of nothing in every lap.
 */
export function lapStart(ends: readonly number[], partition: number): number {
  return Math.floor((ends[partition]! * partition) / ends.length)
}
