/**
 * How far the replicas of a topic are apart, by the sizes of their segments: every replica holds the same batches byte for
 * byte, so sizes tell what each has written, with any broker and without asking it for anything while it is measured.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const LOOK_MS = 2
/** A leader may still write what it received: equal counts when it is still so, and no larger, after this. */
const STEADY_MS = 50

export interface ReplicaSizes {
  /** Of the replica furthest behind the longest ones, over all partitions. */
  readonly lagBytes: number
  /** Of all replicas together. */
  readonly bytes: number
}

/** One look at the log directories of all brokers, of which each has a replica of every partition. */
export function replicaSizes(dataDirectories: readonly string[], topic: string): ReplicaSizes {
  const sizes = dataDirectories.map((directory) => partitionSizes(directory, topic))
  const longest = new Map<string, number>()
  let bytes = 0
  for (const replica of sizes) {
    for (const [partition, size] of replica) {
      longest.set(partition, Math.max(size, longest.get(partition) ?? 0))
      bytes += size
    }
  }
  const lags = sizes.map((replica) => {
    let lag = 0
    for (const [partition, size] of longest) lag += size - (replica.get(partition) ?? 0)
    return lag
  })
  return { lagBytes: Math.max(0, ...lags), bytes }
}

function partitionSizes(directory: string, topic: string): Map<string, number> {
  const sizes = new Map<string, number>()
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(`${topic}-`)) continue
    let bytes = 0
    for (const file of readdirSync(join(directory, name))) {
      if (file.endsWith('.log')) bytes += statSync(join(directory, name, file)).size
    }
    sizes.set(name, bytes)
  }
  return sizes
}

/** Milliseconds from now until all replicas are equal, and stay so. Rejects after `limitMs`. */
export async function untilEqual(
  dataDirectories: readonly string[],
  topic: string,
  limitMs: number,
  signal?: AbortSignal,
): Promise<number> {
  const startedMs = performance.now()
  for (;;) {
    const atMs = performance.now() - startedMs
    const now = replicaSizes(dataDirectories, topic)
    if (now.lagBytes === 0 && now.bytes > 0) {
      await sleep(STEADY_MS, undefined, { signal })
      const later = replicaSizes(dataDirectories, topic)
      if (later.lagBytes === 0 && later.bytes === now.bytes) return atMs
    }
    if (atMs > limitMs) throw new Error(`after ${limitMs} ms a replica is still ${now.lagBytes} bytes behind`)
    await sleep(LOOK_MS, undefined, { signal })
  }
}
