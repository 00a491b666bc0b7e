/**
 * Brings what consumers are about to read into the page cache. A kernel may reclaim pages that nobody used for a while
 * (seen: 40 MB/s on an idle virtual machine with free memory), and a test of reading from the page cache would then
 * measure the device for whoever waited longer.
 */
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

const CHUNK_BYTES = 1 << 20
const PASSES_MAX = 4
/** What one pass may still have found on the device. */
const MISSING_SHARE = 0.001
/** Of `fsRead`. */
const BLOCK_BYTES = 512

/**
 * Reads all segments of the topic below a broker's data directory; the bytes read. More than once if need be: to make room for the
 * first pages, a kernel may give up others of the same topic that this pass has found in memory.
 */
export async function readIntoPageCache(dataDirectory: string, topic: string): Promise<number> {
  let bytes = 0
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    const before = process.resourceUsage().fsRead
    bytes = await readSegments(dataDirectory, topic)
    const missing = (process.resourceUsage().fsRead - before) * BLOCK_BYTES
    if (missing <= bytes * MISSING_SHARE) break
  }
  return bytes
}

async function readSegments(dataDirectory: string, topic: string): Promise<number> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  let bytes = 0
  for (const partition of (await readdir(dataDirectory)).filter((name) => name.startsWith(`${topic}-`))) {
    for (const name of await readdir(join(dataDirectory, partition))) {
      if (!name.endsWith('.log')) continue
      const file = await open(join(dataDirectory, partition, name))
      try {
        for (let count = 1; count > 0; bytes += count) count = (await file.read(chunk, 0, CHUNK_BYTES)).bytesRead
      } finally {
        await file.close()
      }
    }
  }
  return bytes
}
