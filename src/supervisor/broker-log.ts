/**
 * What a broker writes to its standard output and error, in `broker-<id>.log`. The process holds the file open and appends
 * to it, also when the supervisor that started it is gone, so the supervisor bounds it from outside: what is there is
 * copied to `broker-<id>.log.1`, over what was kept before, and cut off. What the broker writes between the copy's last
 * read and the cut, a few microseconds, is not kept.
 */
import { hasCode } from '../base/index.ts'
import type { Disk, File } from '../env/index.ts'

/** A broker's log is cut when it is found larger; its last so many bytes are kept, and what came during the copy. */
export const BROKER_LOG_BYTES_MAX = 64 * 1024 * 1024
/** How often the logs are looked at. */
export const BROKER_LOG_LOOK_MS = 60_000

const COPY_BYTES = 1024 * 1024
const LAST_LINE_BYTES = 4096

/** Of the log's last line the end, at most 4 KiB; empty when there is none. */
export async function lastLineOf(disk: Disk, path: string): Promise<string> {
  const size = (await disk.status(path))?.size ?? 0
  if (size === 0) return ''
  const file = await disk.open(path, 'read')
  try {
    const bytes = new Uint8Array(Math.min(size, LAST_LINE_BYTES))
    const length = await file.read(bytes, size - bytes.length)
    const lines = new TextDecoder().decode(bytes.subarray(0, length)).trimEnd()
    return lines.slice(lines.lastIndexOf('\n') + 1)
  } finally {
    await file.close()
  }
}

/** Cuts the log when it is too large. Where nothing can be copied, the disk being full, the old lines are given up. */
export async function boundLog(disk: Disk, path: string): Promise<void> {
  const size = (await disk.status(path))?.size ?? 0
  if (size <= BROKER_LOG_BYTES_MAX) return
  const kept = `${path}.1`
  await disk.unlink(kept)
  const log = await disk.open(path, 'write')
  try {
    await copy(disk, kept, log, size - BROKER_LOG_BYTES_MAX).catch(async (error: unknown) => {
      if (!hasCode(error, 'PAGELOG_DISK_FULL')) throw error
      await disk.unlink(kept)
    })
    await log.truncate(0)
  } finally {
    await log.close()
  }
}

/** From `begin` to the end, or to twice the bound should the broker write as fast as this copies. */
async function copy(disk: Disk, path: string, from: File, begin: number): Promise<void> {
  const to = await disk.open(path, 'write')
  try {
    const bytes = new Uint8Array(COPY_BYTES)
    for (let copied = 0; copied < 2 * BROKER_LOG_BYTES_MAX; ) {
      const length = await from.read(bytes, begin + copied)
      if (length === 0) return
      await to.write([bytes.subarray(0, length)], copied)
      copied += length
    }
  } finally {
    await to.close()
  }
}
