/**
 * Uses all memory once that is free or would be given up for something newer. A machine that has been working for a while has no free
 * memory: what its page cache needs next, something older gives up. One that was just started, or a virtual one that hands what is
 * free back to its host, gives out pages that cost a multiple when they are first written to (measured: 0.35 GB/s instead of 1.4), and
 * whoever runs into them seems that much slower. So holes of a file are read: no device is busy with that, and the kernel gives these
 * pages up before any others. All of it each time: a host that takes back what was not used for a minute would do so during the run.
 */
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What stays free: the kernel begins to look for more long before there is none. */
const FREE_SHARE = 1 / 16
const READ_BYTES = 1024 * 1024
/** At once, so that every core touches pages. */
const READERS = 4

/** In bytes. */
export interface Memory {
  readonly available: number
  readonly total: number
}

/** MemAvailable and MemTotal of /proc/meminfo; 0 where there is none. */
export function memoryIn(meminfo: string): Memory {
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(meminfo)?.[1] ?? 0)
  return { available: kilobytes('MemAvailable') * 1024, total: kilobytes('MemTotal') * 1024 }
}

/**
 * In a directory of a file system that has a page cache; its file `free-memory` stays there for the next time. Resolves with how
 * many bytes were used; 0 where it is not known what there is.
 */
export async function useMemory(directory: string, signal: AbortSignal, memory?: Memory): Promise<number> {
  const { available, total } = memory ?? memoryIn(await readFile('/proc/meminfo', 'latin1').catch(() => ''))
  const bytes = Math.floor(Math.max(0, available - total * FREE_SHARE) / READ_BYTES) * READ_BYTES
  if (bytes === 0) return 0
  const file = await open(join(directory, 'free-memory'), 'a+')
  try {
    // Only what was not read before: the kernel would keep a page that is read twice.
    const { size } = await file.stat()
    await file.truncate(size + bytes)
    await readHoles(file, size, size + bytes, signal)
    return bytes
  } finally {
    await file.close()
  }
}

async function readHoles(file: FileHandle, start: number, end: number, signal: AbortSignal): Promise<void> {
  let next = start
  const readOn = async () => {
    const buffer = Buffer.allocUnsafe(READ_BYTES)
    while (next < end && !signal.aborted) {
      const at = next
      next += READ_BYTES
      await file.read(buffer, 0, READ_BYTES, at)
    }
  }
  await Promise.all(Array.from({ length: READERS }, readOn))
}
